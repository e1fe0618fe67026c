"""Metrics count every event, and lose nothing between threads."""

import threading
from collections.abc import Iterator

import pytest

from greenserver.admin import prometheus_text
from greenserver.admin.shared_memory import PAGE_BYTES, SharedMemory
from greenserver.admin.shared_metrics import SharedMetrics, is_kept


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory()
    yield memory
    memory.close()


def lines(memory: SharedMemory) -> set[str]:
    """Return what Prometheus gets."""
    return set(prometheus_text.write(memory).decode().splitlines())


def test_counts_every_event(memory: SharedMemory) -> None:
    number = memory.allot()
    metrics = SharedMetrics(memory.open(number))
    for _ in range(2):
        metrics.connected()
    metrics.disconnected("closed", 0.2)
    metrics.refused("full")
    metrics.stalled("write")
    metrics.command("help", 0, 5, 0.01)
    metrics.command("help", 0, 5, 0.01)
    metrics.command("", 200, 7, 0.0)
    metrics.command("quit", 0, 0, 1000.0)
    metrics.received(11)
    for lag in (0.5, 0.25):
        metrics.loop_lag(lag)
    counted = {
        'greenserver_connections_total{outcome="closed"} 1.0',
        "greenserver_connection_seconds_sum 0.2",
        'greenserver_refusals_total{reason="full"} 1.0',
        'greenserver_stalls_total{what="write"} 1.0',
        'greenserver_commands_total{command="help",status="0"} 2.0',
        'greenserver_commands_total{command="unknown",status="200"} 1.0',
        "greenserver_sent_bytes_total 17.0",
        "greenserver_received_bytes_total 11.0",
        'greenserver_command_seconds_bucket{le="0.0001"} 1.0',
        'greenserver_command_seconds_bucket{le="0.005"} 1.0',
        'greenserver_command_seconds_bucket{le="0.01"} 3.0',
        'greenserver_command_seconds_bucket{le="300.0"} 3.0',
        'greenserver_command_seconds_bucket{le="+Inf"} 4.0',
        "greenserver_command_seconds_count 4.0",
        "greenserver_command_seconds_sum 1000.02",
    }
    held = {
        "greenserver_open_connections 1.0",
        "greenserver_loop_lag_seconds 0.25",
        "greenserver_serving_processes 1.0",
    }
    assert lines(memory) >= counted | held
    memory.release(number, is_kept)
    assert lines(memory) >= counted
    assert not lines(memory) & held


def test_sums_over_processes_except_the_lag_which_is_the_maximum(memory: SharedMemory) -> None:
    for lag in (0.25, 0.5, 0.125):
        metrics = SharedMetrics(memory.open(memory.allot()))
        metrics.connected()
        metrics.loop_lag(lag)
    assert lines(memory) >= {
        "greenserver_open_connections 3.0",
        "greenserver_serving_processes 3.0",
        "greenserver_loop_lag_seconds 0.5",
    }


def test_threads_lose_no_count(memory: SharedMemory) -> None:
    metrics = SharedMetrics(memory.open(memory.allot()))

    def count() -> None:
        for _ in range(20_000):
            metrics.received(1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "greenserver_received_bytes_total 80000.0" in lines(memory)


def test_ignores_only_what_does_not_fit_in_the_page(memory: SharedMemory) -> None:
    metrics = SharedMetrics(memory.open(memory.allot()))
    metrics.received(1)
    for number in range(20):
        metrics.refused(str(number) * (PAGE_BYTES // 16))
    metrics.received(1)
    assert "greenserver_received_bytes_total 2.0" in lines(memory)
