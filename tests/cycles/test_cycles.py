"""No reply that has begun is lost, and no connection reset, while servers stop, reload and crash under load."""

import pytest

from tests.cycles import WHOLE
from tests.cycles.__main__ import KINDS, MAY_RESET, run

pytestmark = pytest.mark.once

CYCLES = 2
"""`python -m tests.cycles` runs a thousand."""


@pytest.mark.parametrize("kind", KINDS)
def test_no_reply_is_lost_while_processes_stop_reload_and_crash(kind: str) -> None:
    outcomes = run(kind, CYCLES, workers=2, engine="gevent", clients=4)
    assert outcomes[WHOLE] > CYCLES
    assert outcomes["wrong"] == outcomes["hung"] == 0
    if kind not in MAY_RESET:
        assert outcomes["lost"] == outcomes["reset"] == outcomes["reset while connecting"] == 0


@pytest.mark.parametrize("engine", ["gevent", "threads", "selectors", "sequential"])
def test_no_reply_is_lost_when_a_single_process_stops(engine: str) -> None:
    outcomes = run("term", 1, workers=0, engine=engine, clients=4)
    assert outcomes["lost"] == outcomes["reset"] == outcomes["reset while connecting"] == 0
