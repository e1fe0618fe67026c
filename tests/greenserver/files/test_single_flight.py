"""A long thing is done once for all who ask together, and nobody gets what is older than the question."""

import threading
import time
from typing import TYPE_CHECKING

import pytest

from greenserver.files.single_flight import SingleFlight
from tests.greenserver.serving import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable


def test_who_asks_together_shares_one_run_and_who_asks_after_its_beginning_the_next() -> None:
    began, go_on = threading.Event(), threading.Event()
    runs: list[int] = []

    def call() -> int:
        runs.append(len(runs))
        began.set()
        assert go_on.wait(PATIENCE_SECONDS)
        return runs[-1]

    flights = SingleFlight(call)
    first = flights.join()
    assert flights.join() is first
    thread = threading.Thread(target=first)
    thread.start()
    assert began.wait(PATIENCE_SECONDS)
    late = flights.join()
    assert late is not first
    assert flights.join() is late
    go_on.set()
    late()
    thread.join()
    assert (first.result(), late.result(), runs) == (0, 1, [0, 1])


def test_threads_that_ask_at_the_same_time_share_the_work() -> None:
    runs = []

    def call() -> int:
        time.sleep(0.1)
        runs.append(1)
        return len(runs)

    flights = SingleFlight(call)
    results = []

    def ask() -> None:
        asked_after = len(runs)
        flight = flights.join()
        flight()
        results.append((asked_after, flight.result()))

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 30
    assert all(result > asked_after for asked_after, result in results), "no result is older than its question"
    assert len(runs) < 10


def test_a_run_that_fails_fails_for_all_who_share_it_and_not_for_the_next() -> None:
    outcomes: list[Callable[[], int]] = [lambda: 1 // 0, lambda: 7]
    flights = SingleFlight(lambda: outcomes.pop(0)())  # noqa: PLW0108  (each time another)
    first = flights.join()
    for _ in range(2):
        first()
        with pytest.raises(ZeroDivisionError):
            first.result()
    second = flights.join()
    second()
    assert second.result() == 7
