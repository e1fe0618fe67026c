"""A throttled warning is logged once, and summed up when the problem is over."""

import logging

import pytest

from greenserver.config import limits
from greenserver.telemetry import throttle


def test_logs_a_repeated_problem_once_and_sums_it_up(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(throttle, "monotonic", lambda: now)
    trouble = throttle.ThrottledWarning("trouble", "it is over")
    with caplog.at_level(logging.WARNING):
        trouble.is_not_seen()
        for now in (100.0, 101.0, 105.0):  # noqa: B007  (the clock of the module)
            trouble.happens(reason="x")
            trouble.is_not_seen()
        assert [record.message for record in caplog.records] == ["trouble"]
        now = 105.0 + limits.WARNING_SERIES_SECONDS + 1
        trouble.is_not_seen()
        trouble.is_not_seen()
        assert [record.message for record in caplog.records] == ["trouble", "it is over"]
        assert vars(caplog.records[-1])["facts"] == {"times": 3}
        trouble.happens()
        now += limits.WARNING_SERIES_SECONDS + 1
        trouble.happens()
        assert [record.message for record in caplog.records][2:] == ["trouble", "it is over", "trouble"]
