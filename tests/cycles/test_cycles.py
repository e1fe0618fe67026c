"""No reply that has begun is lost, and no connection reset, while servers stop, reload and crash under load."""

import pytest

from tests.cycles import WHOLE
from tests.cycles.__main__ import KINDS, broken_outcomes, run
from tests.greenserver.serving import ENGINES

pytestmark = pytest.mark.once

CYCLES = 2
"""`python -m tests.cycles` runs a thousand."""


@pytest.mark.parametrize("kind", KINDS)
def test_no_reply_is_lost_while_processes_stop_reload_crash_and_take_over(kind: str) -> None:
    outcomes = run(kind, CYCLES, workers=2, engine="gevent", clients=4)
    assert outcomes[WHOLE] > CYCLES
    assert not {what: outcomes[what] for what in broken_outcomes(kind) if outcomes[what]}


@pytest.mark.parametrize("kind", ["term", "upgrade"])
@pytest.mark.parametrize("engine", ENGINES)
def test_no_reply_is_lost_when_a_single_process_stops(kind: str, engine: str) -> None:
    outcomes = run(kind, 1, workers=0, engine=engine, clients=4)
    assert not {what: outcomes[what] for what in broken_outcomes(kind) if outcomes[what]}
