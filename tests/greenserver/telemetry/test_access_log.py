"""The access log reports each event of a connection to the metrics and to the log."""

import logging
from typing import Any

import pytest

from greenserver.protocol.dialects import DIALECTS
from greenserver.protocol.status import Status
from greenserver.telemetry.access_log import DOWNLOADS, NONE, AccessLog
from greenserver.telemetry.line_limiter import LineLimiter
from greenserver.telemetry.metrics_interface import SILENT, Metrics

parse = DIALECTS["2026"].parse


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
    access_log.answered(parse(b"get_metadata one"), Status.OK, 9, 0.001)
    access_log.answered(parse(b"no\x1bsense"), Status.NO_SUCH_COMMAND, 21, 0.002)
    access_log.failed(b"help", RuntimeError("a fault"))
    access_log.failed(b"help", PermissionError(13, "Permission denied"))
    access_log.crashed(RuntimeError("another"))
    access_log.cut(17, OSError("a disk"))
    access_log.stalled("line")
    access_log.disconnected("timed out", "line")


def logged(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return the fields of each event of the log, with its name as `event`."""
    return [{"event": record.message, **record.facts} for record in caplog.records]  # type: ignore[attr-defined]


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
    ("line", "expected"),
    [
        (b"get_slice one 0 1", {"file": "one", "offset": 0, "size": 1}),
        (b"get_slice one 0007 2 raw", {"file": "one", "offset": 7, "size": 2}),
        (b"get_metadata absent", {"file": "absent"}),
        (b"get_metadata " + b"n" * 400, {"file": "n" * 255 + "..."}),
        (b"get_slice one x 1", {}),
        (b"get_slice one 0", {}),
        (b"get_file_listing", {}),
        (b"put one", {}),
    ],
)
def test_tells_which_part_of_which_file_was_asked_for(
    caplog: pytest.LogCaptureFixture, line: bytes, expected: dict[str, object]
) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    AccessLog("tester").answered(parse(line), Status.OK, 5, 0.0)
    (event,) = logged(caplog)
    assert {name: event[name] for name in event if name in {"file", "offset", "size", "complete"}} == expected


def test_names_the_proxy_and_what_tls_has_agreed_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    access_log = AccessLog("10.0.0.1:2")
    access_log.identify("192.0.2.7:1", {"tls": "TLSv1.3"})
    report_connection(access_log)
    assert access_log.client == "192.0.2.7:1"
    for event in logged(caplog):
        assert event | {"client": "192.0.2.7:1", "proxy": "10.0.0.1:2", "tls": "TLSv1.3"} == event


def test_a_download_is_one_line_however_many_slices_it_takes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    access_log = AccessLog("tester", content=DOWNLOADS)
    access_log.connected()
    for line, status in (
        (b"get_metadata one", Status.OK),
        (b"get_slice one 10 5", Status.OK),
        (b"get_slice one 15 7", Status.OK),
        (b"get_metadata one", Status.OK),
        (b"get_slice none 22 1", Status.FILE_NOT_FOUND),
        (b"get_slice one 22 1", Status.OK),
        (b"get_slice two 23 1", Status.OK),
        (b"get_slice two 0 1", Status.OK),
    ):
        access_log.answered(parse(line), status, 100, 0.25)
    assert [(event["file"], event["offset"], event["size"]) for event in logged(caplog)] == [
        ("one", 10, 13),
        ("two", 23, 1),
    ], "the third is not over"
    access_log.disconnected("closed", "")
    first, _, last = logged(caplog)
    assert {name: first[name] for name in ("event", "client", "bytes", "slices", "complete")} == {
        "event": "download",
        "client": "tester",
        "bytes": 300,
        "slices": 3,
        "complete": True,
    }
    assert 0.25 <= first["seconds"] < 20
    assert (last["file"], last["offset"], last["size"], last["complete"]) == ("two", 0, 1, True)


@pytest.mark.parametrize(("is_complete", "unsent", "sent"), [(False, 0, 100), (True, 60, 40), (True, 160, 0)])
def test_a_download_that_is_cut_is_not_complete(
    caplog: pytest.LogCaptureFixture, is_complete: bool, unsent: int, sent: int
) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    access_log = AccessLog("tester", content=DOWNLOADS)
    access_log.answered(parse(b"get_slice one 0 1000"), Status.OK, 100, 0.1, is_complete=is_complete)
    access_log.disconnected("timed out", "write", unsent)
    (event,) = logged(caplog)
    assert event | {"complete": False, "bytes": sent, "outcome": "timed out", "limit": "write"} == event


def test_a_command_that_is_cut_is_not_complete(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    access_log = AccessLog("tester")
    access_log.answered(parse(b"get_slice one 0 1000"), Status.OK, 100, 0.1, is_complete=False)
    access_log.disconnected("Connection reset by peer", "", 60)
    cut, ended = logged(caplog)
    assert cut["complete"] is False
    assert ended["unsent"] == 60


def test_no_access_is_logged_if_that_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    report_connection(AccessLog("tester", content=NONE))
    assert {record.levelname for record in caplog.records} == {"ERROR"}


def test_leaves_out_what_one_client_causes_beyond_the_rate(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    limiter = LineLimiter()
    for port in range(40):
        access_log = AccessLog("10.0.0.1:1", limiter=limiter, rate=2)
        access_log.identify(f"192.0.2.7:{port}", {})
        report_connection(access_log)
    limiter.flush()
    *events, summary = logged(caplog)
    lines_each = 8
    assert 20 <= len(events) < 30
    assert summary == {"event": "log lines suppressed", "client": "192.0.2.7", "count": 40 * lines_each - len(events)}
    assert caplog.records[-1].levelname == "ERROR", "as the worst of what is left out"


@pytest.mark.parametrize(
    ("level", "metrics", "content", "is_wanted"),
    [
        (logging.WARNING, SILENT, DOWNLOADS, False),
        (logging.WARNING, RecordingMetrics(), DOWNLOADS, True),
        (logging.INFO, SILENT, DOWNLOADS, True),
        (logging.INFO, SILENT, NONE, False),
        (logging.INFO, RecordingMetrics(), NONE, True),
    ],
)
def test_is_silent_without_a_handler_or_metrics(
    caplog: pytest.LogCaptureFixture, level: int, metrics: Metrics, content: str, *, is_wanted: bool
) -> None:
    caplog.set_level(level, "greenserver")
    assert AccessLog("tester", metrics, content=content).is_wanted == is_wanted
