"""The access log reports each event of a connection to the metrics and to the log."""

import logging
from typing import Any

import pytest

from greenserver.protocol.status import Status
from greenserver.telemetry.access_log import AccessLog
from greenserver.telemetry.metrics_interface import SILENT, Metrics


class RecordingMetrics(Metrics):
    """Records every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def connected(self) -> None:
        self.calls.append(("connected",))

    def received(self, count: int) -> None:
        self.calls.append(("received", count))

    def command(self, name: str, status: int, sent_bytes: int, seconds: float) -> None:
        self.calls.append((name, status, sent_bytes, seconds))

    def stalled(self, what: str) -> None:
        self.calls.append(("stalled", what))

    def disconnected(self, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.calls.append(("disconnected", outcome))


def report_connection(access_log: AccessLog) -> None:
    """Report all events of a connection."""
    access_log.connected()
    access_log.received(30)
    access_log.answered(b"get_metadata one", "get_metadata", Status.OK, 9, 0.001)
    access_log.answered(b"no\x1bsense", "", Status.NO_SUCH_COMMAND, 21, 0.002)
    access_log.failed(b"help", RuntimeError("a fault"))
    access_log.failed(b"help", PermissionError(13, "Permission denied"))
    access_log.crashed(RuntimeError("another"))
    access_log.cut(17, OSError("a disk"))
    access_log.stalled("line")
    access_log.disconnected("timed out", "line")


def test_reports_events_to_the_metrics() -> None:
    metrics = RecordingMetrics()
    report_connection(AccessLog("tester", metrics))
    assert metrics.calls == [
        ("connected",),
        ("received", 30),
        ("get_metadata", 0, 9, 0.001),
        ("", 200, 21, 0.002),
        ("stalled", "line"),
        ("disconnected", "timed out"),
    ]


def test_logs_events_with_their_fields(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    report_connection(AccessLog("tester", SILENT))
    assert [record.message for record in caplog.records] == [
        *("connected", "command", "command", "command failed", "command failed", "connection failed"),
        *("reply aborted", "disconnected"),
    ]
    facts = [record.facts for record in caplog.records]  # type: ignore[attr-defined]
    assert all(each["client"] == "tester" for each in facts)
    assert facts[1] | {"command": "get_metadata one", "status": 0, "bytes": 9, "milliseconds": 1.0} == facts[1]
    assert [record.exc_info is not None for record in caplog.records[3:6]] == [True, False, True]
    assert facts[4]["reason"] == "Permission denied"
    assert facts[6]["position"] == 17
    assert facts[7] | {"outcome": "timed out", "limit": "line", "commands": 2} == facts[7]


@pytest.mark.parametrize(
    ("level", "metrics", "is_wanted"),
    [(logging.WARNING, SILENT, False), (logging.WARNING, RecordingMetrics(), True), (logging.INFO, SILENT, True)],
)
def test_is_silent_without_a_handler_or_metrics(
    caplog: pytest.LogCaptureFixture, level: int, metrics: Metrics, *, is_wanted: bool
) -> None:
    caplog.set_level(level, "greenserver")
    assert AccessLog("tester", metrics).is_wanted == is_wanted
