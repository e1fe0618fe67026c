"""A trouble that comes in crowds is told once, and summed up when it is over."""

import logging

import pytest

from greenserver.config import limits
from greenserver.telemetry import throttle


def test_a_trouble_is_told_once_and_summed_up_when_it_is_over(
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
