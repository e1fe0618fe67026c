"""Failures for lack of memory are logged once for a series, and never fail themselves."""

import errno
import os

import pytest

from greenserver.telemetry import shortage
from greenserver.telemetry.access_log import AccessLog
from greenserver.telemetry.metrics_interface import SILENT
from greenserver.telemetry.shortage import is_shortage, report_shortage
from greenserver.telemetry.throttle import ThrottledWarning

NO_MEMORY = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


@pytest.fixture(autouse=True)
def warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortage, "_warning", ThrottledWarning("out of memory", "over"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [(MemoryError(), True), (NO_MEMORY, True), (OSError(errno.EIO, ""), False), (ValueError(), False), (None, False)],
)
def test_the_interpreter_and_the_system_run_out_of_memory(error: Exception | None, expected: bool) -> None:
    assert is_shortage(error) == expected


@pytest.mark.parametrize("error", [MemoryError(), NO_MEMORY])
def test_a_series_of_failures_is_one_line_without_a_traceback(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    access_log = AccessLog("tester", SILENT)
    for _ in range(3):
        access_log.failed(b"get_metadata one", error)
        access_log.cut(7, error)
        access_log.crashed(error)
    (record,) = caplog.records
    assert record.message == "out of memory"
    assert record.facts == {"failed": "command", "client": "tester", "command": "get_metadata one"}  # type: ignore[attr-defined]
    assert not record.exc_info


def test_a_report_for_which_there_is_no_memory_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ThrottledWarning, "happens", fail)
    report_shortage("reply")
