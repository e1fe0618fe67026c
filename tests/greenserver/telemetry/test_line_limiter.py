"""Lines past the rate of one client are left out and counted, in bounded memory, and their number is logged."""

import logging
import threading
from types import SimpleNamespace

import pytest

from greenserver.config import limits
from greenserver.telemetry import line_limiter
from greenserver.telemetry.line_limiter import OTHERS, LineLimiter
from tests.greenserver.serving import wait_until

BURST = limits.LOG_BURST_SECONDS
INFO, ERROR = logging.INFO, logging.ERROR


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return a clock that stands still, and starts no thread, until the test says otherwise."""
    time = SimpleNamespace(now=100.0, started=[])
    time.monotonic = lambda: time.now
    monkeypatch.setattr(line_limiter, "time", time)
    start = SimpleNamespace(start_new_thread=lambda call, _arguments: time.started.append(call))
    monkeypatch.setattr(line_limiter, "_thread", start)
    return time


@pytest.fixture(autouse=True)
def anonymous_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let threads that log leave nothing in `threading`, as `log.configure` does."""
    monkeypatch.setattr(logging, "logThreads", False)


def summaries(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int, str]]:
    """Return what each summary says: the client, the number of lines, and the level."""
    return [(record.facts["client"], record.facts["count"], record.levelname) for record in caplog.records]  # type: ignore[attr-defined]


def allowed(limiter: LineLimiter, client: str, count: int, rate: int = 3) -> int:
    """Return how many of so many lines of a client are allowed."""
    return sum(limiter.allows(client, rate, INFO) for _ in range(count))


def test_allows_a_burst_and_then_the_rate_to_each_client(clock: SimpleNamespace) -> None:
    limiter = LineLimiter()
    assert allowed(limiter, "a", 100) == 3 * BURST
    clock.now += 2
    assert allowed(limiter, "a", 100) == 6
    assert allowed(limiter, "b", 100) == 3 * BURST
    clock.now += 1000
    assert allowed(limiter, "a", 100) == 3 * BURST
    assert allowed(limiter, "a", 100, rate=30) == 0, "a higher rate after a reload applies from now on"
    clock.now += 1
    assert allowed(limiter, "a", 100, rate=30) == 30


def test_logs_how_many_lines_were_left_out_at_the_highest_level(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(INFO, "greenserver")
    limiter = LineLimiter()
    for client in ("a", "b"):
        allowed(limiter, client, 3 * BURST + 4)
    assert not limiter.allows("b", 3, ERROR)
    assert not limiter.allows("b", 3, INFO)
    assert len(clock.started) == 1
    limiter.flush()
    limiter.flush()
    assert summaries(caplog) == [("a", 4, "INFO"), ("b", 6, "ERROR")]


@pytest.mark.usefixtures("clock")
def test_its_memory_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(INFO, "greenserver")
    limiter = LineLimiter()
    for number in range(3 * limits.LOGGED_CLIENTS):
        assert allowed(limiter, f"client {number}", BURST + 2, rate=1) == BURST
        assert allowed(limiter, "always there", 1, rate=1) == (number < BURST), "it is not forgotten"
    assert len(limiter._buckets) == limits.LOGGED_CLIENTS  # noqa: SLF001  (its memory is bounded)
    limiter.flush()
    found = summaries(caplog)
    assert len(found) == limits.LOGGED_CLIENTS + 1
    assert sum(count for _, count, _ in found) == 3 * limits.LOGGED_CLIENTS * 3 - BURST, "all are counted"
    assert found[-1][0] == OTHERS


def test_reports_in_time_although_the_client_is_silent(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOG_SUMMARY_SECONDS", 0.05)
    caplog.set_level(INFO, "greenserver")
    limiter = LineLimiter()
    threads = threading.active_count()
    for number in range(1, 4):
        allowed(limiter, "a", 3 * BURST + 7)
        wait_until(lambda: not limiter._is_reporting, "the thread ends")  # noqa: SLF001  (and nothing is left)
        assert len(caplog.records) >= number
    assert threading.active_count() == threads
    assert 3 * 7 <= sum(count for _, count, _ in summaries(caplog)) <= 3 * (3 * BURST + 7)


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()])
def test_goes_on_where_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def refuse(*_: object) -> None:
        raise error

    caplog.set_level(INFO, "greenserver")
    limiter = LineLimiter()
    with monkeypatch.context() as patched:
        patched.setattr(line_limiter, "_thread", SimpleNamespace(start_new_thread=refuse))
        assert allowed(limiter, "a", 3 * BURST + 2) == 3 * BURST
    monkeypatch.setattr(limits, "LOG_SUMMARY_SECONDS", 0.01)
    assert not limiter.allows("a", 3, INFO), "starts one now"
    wait_until(lambda: summaries(caplog) == [("a", 3, "INFO")], "all are reported")
    wait_until(lambda: not limiter._is_reporting, "the thread ends")  # noqa: SLF001  (nothing shows it)


def test_counts_exactly_between_threads(clock: SimpleNamespace, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(INFO, "greenserver")
    limiter, found = LineLimiter(), []
    threads = [threading.Thread(target=lambda: found.append(allowed(limiter, "a", 5000))) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum(found) == 3 * BURST
    limiter.flush()
    assert summaries(caplog) == [("a", 4 * 5000 - 3 * BURST, "INFO")]
    assert clock.started
