"""No reply that had begun is lost, and no connection reset, while servers stop, reload and crash under load."""

import pytest

from tests.cycles import WHOLE
from tests.cycles.__main__ import KINDS, MAY_RESET, run

pytestmark = pytest.mark.once

CYCLES = 2
"""For the matrix; `python -m tests.cycles` does a thousand."""


@pytest.mark.parametrize("kind", KINDS)
def test_servers_come_and_go_without_a_lost_reply(kind: str) -> None:
    outcomes = run(kind, CYCLES, workers=2, engine="gevent", clients=4)
    assert outcomes[WHOLE] > CYCLES
    assert outcomes["wrong"] == outcomes["hung"] == 0
    if kind not in MAY_RESET:
        assert outcomes["lost"] == outcomes["reset"] == outcomes["reset while connecting"] == 0


@pytest.mark.parametrize("engine", ["gevent", "threads", "selectors", "sequential"])
def test_one_process_stops_without_a_lost_reply(engine: str) -> None:
    outcomes = run("term", 1, workers=0, engine=engine, clients=4)
    assert outcomes["lost"] == outcomes["reset"] == outcomes["reset while connecting"] == 0
