"""A reload sets the log level and logs its result."""

import logging

import pytest

from greenserver.config.settings import Settings
from greenserver.service.inspection import Finding
from greenserver.service.reload import adjust_log, configure_log, report_failed_reload, report_reload


@pytest.mark.parametrize(
    ("verbose", "quiet", "level"),
    [
        (0, 0, "INFO"),
        (1, 0, "DEBUG"),
        (3, 0, "DEBUG"),
        (0, 1, "WARNING"),
        (0, 2, "ERROR"),
        (0, 3, "ERROR"),
        (1, 1, "INFO"),
    ],
)
def test_sets_the_log_level(log: logging.Logger, verbose: int, quiet: int, level: str) -> None:
    configure_log(Settings(verbose=verbose, quiet=quiet))
    assert logging.getLevelName(log.level) == level
    adjust_log(Settings(log_format="json", verbose=1))
    assert logging.getLevelName(log.level) == "DEBUG"
    assert [type(each.formatter).__name__ for each in log.handlers] == ["JsonFormatter"]


def test_logs_the_result_of_a_reload(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "greenserver"):
        report_failed_reload("because")
        report_reload([], [])
        report_reload(["port", "engine"], [Finding("no file to serve", {"directory": "/srv"})])
    assert [(record.levelname, getattr(record, "facts", {})) for record in caplog.records] == [
        ("ERROR", {"reason": "because"}),
        ("INFO", {}),
        ("INFO", {}),
        ("WARNING", {"options": "port engine"}),
        ("WARNING", {"directory": "/srv"}),
    ]
