"""Concurrent calls share one run, and no caller gets a result that is older than its call."""

import threading
import time
from typing import TYPE_CHECKING

import pytest

from greenserver.files.single_flight import SingleFlight
from tests.greenserver.serving import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable


def test_calls_before_a_run_starts_share_it_and_later_calls_share_the_next() -> None:
    began, may_finish = threading.Event(), threading.Event()
    runs: list[int] = []

    def call() -> int:
        runs.append(len(runs))
        began.set()
        assert may_finish.wait(TIMEOUT_SECONDS)
        return runs[-1]

    flights = SingleFlight(call)
    first = flights.join()
    assert flights.join() is first
    thread = threading.Thread(target=first)
    thread.start()
    assert began.wait(TIMEOUT_SECONDS)
    late = flights.join()
    assert late is not first
    assert flights.join() is late
    may_finish.set()
    late()
    thread.join()
    assert (first.result(), late.result(), runs) == (0, 1, [0, 1])


def test_concurrent_threads_share_runs() -> None:
    runs = []

    def call() -> int:
        time.sleep(0.1)
        runs.append(1)
        return len(runs)

    flights = SingleFlight(call)
    results = []

    def join_and_run() -> None:
        called_after = len(runs)
        flight = flights.join()
        flight()
        results.append((called_after, flight.result()))

    threads = [threading.Thread(target=join_and_run) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 30
    assert all(result > called_after for called_after, result in results), "no result is older than its call"
    assert len(runs) < 10


def test_a_failed_run_raises_in_all_its_callers_but_not_in_the_next_run() -> None:
    outcomes: list[Callable[[], int]] = [lambda: 1 // 0, lambda: 7]
    flights = SingleFlight(lambda: outcomes.pop(0)())  # noqa: PLW0108  (a different one each time)
    first = flights.join()
    for _ in range(2):
        first()
        with pytest.raises(ZeroDivisionError):
            first.result()
    second = flights.join()
    second()
    assert second.result() == 7
