"""The machine clock leaves out the time that the machine withheld."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from time import monotonic, sleep

import pytest

from conformance.target.machine_clock import (
    PULSE_SECONDS,
    SLOWEST,
    STOPPED_SECONDS,
    TOLERATED_SECONDS,
    MachineClock,
    available_seconds,
)

pytestmark = pytest.mark.once

PULSES = 15


@contextmanager
def started(delay: float | None) -> Iterator[MachineClock]:
    """Start a clock of a server that is always delayed so much."""
    with closing(MachineClock()) as clock:
        clock.watch((lambda: delay) if delay is not None else None)
        clock.start()
        yield clock
    assert "machine clock" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(
    ("passed", "withheld", "expected"),
    [
        (0.02, -0.01, 0.02),
        (0.02, TOLERATED_SECONDS, 0.02),
        (0.02, 0.012, 0.008),
        (0.02, 0.5, 0.02 * SLOWEST),
        (STOPPED_SECONDS, STOPPED_SECONDS, STOPPED_SECONDS * SLOWEST),
        (3600.0, 3600.0, STOPPED_SECONDS * SLOWEST),
    ],
)
def test_withheld_time_is_not_available(passed: float, withheld: float, expected: float) -> None:
    assert available_seconds(passed, withheld) == pytest.approx(expected)


def test_runs_like_monotonic_until_it_is_started() -> None:
    clock = MachineClock()
    for _ in range(3):
        before = monotonic()
        assert before <= clock() <= monotonic()
        sleep(0.01)


def test_run_delay_slows_it_down_but_does_not_stop_it() -> None:
    with started(1.0) as clock:
        before, began = clock(), monotonic()
        clock.sleep(PULSES * PULSE_SECONDS * SLOWEST)
        sleep(PULSES * PULSE_SECONDS)
        assert clock() - before < (monotonic() - began) / 2
        before = clock()
        clock.sleep(PULSE_SECONDS)
        assert clock() - before >= PULSE_SECONDS


def test_is_monotonic() -> None:
    with started(PULSE_SECONDS / 2) as clock:
        readings = [clock()]
        until = monotonic() + PULSES * PULSE_SECONDS
        while monotonic() < until:
            readings.append(clock())
    assert readings == sorted(readings)
    assert readings[-1] - readings[0] < 0.95 * PULSES * PULSE_SECONDS


def test_stands_still_while_its_thread_does_not_run() -> None:
    stopped, go_on = threading.Event(), threading.Event()

    def stop() -> float:
        stopped.set()
        go_on.wait(60.0)
        return 0.0

    with closing(MachineClock()) as clock:
        clock.watch(stop)
        clock.start()
        stopped.wait(60.0)
        before, began = clock(), monotonic()
        sleep(PULSES * PULSE_SECONDS)
        passed, counted = monotonic() - began, clock() - before
        go_on.set()
    assert counted < passed / 2


def test_can_be_restarted_and_closed_twice() -> None:
    with started(None) as clock:
        clock.start()
        clock.close()
        clock.start()
        before = clock()
        clock.sleep(PULSE_SECONDS)
        assert clock() >= before + PULSE_SECONDS
        clock.close()


def test_runs_like_monotonic_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with started(1.0) as clock:
        before, began = clock(), monotonic()
        sleep(0.01)
        assert clock() - before == pytest.approx(monotonic() - began, abs=0.005)
