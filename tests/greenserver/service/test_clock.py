"""The supervisor's clock only runs while the supervisor does."""

import time

import pytest

from greenserver.service import clock
from greenserver.service.clock import TURN_SECONDS, RunningClock


def test_clock_advances_by_one_turn_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: moments[0])
    running = RunningClock()
    before = running.now
    for passed, counted in ((0.25, 0.25), (TURN_SECONDS, TURN_SECONDS), (64.0, TURN_SECONDS), (0.5, 0.5)):
        moments[0] += passed
        assert running.turn() - before == counted
        before = running.now


def test_clock_runs_at_the_speed_of_monotonic() -> None:
    running = RunningClock()
    began, before = time.monotonic(), running.now
    for _ in range(5):
        time.sleep(0.02)
        running.turn()
    assert running.now - before == pytest.approx(time.monotonic() - began, abs=0.01)
