"""A requirement is met if nothing breaks it that is as serious as it is; what did not run is not judged."""

import pytest

from conformance.model.events import Result
from conformance.model.verdicts import Verdict
from conformance.reports.requirements import Score, judged_requirements, scores


def result(verdict: str, requirement: str = "HFTP-1.1", level: str = "MUST") -> Result:
    """Return a result."""
    return Result("framing.case", requirement, level, Verdict(verdict), chapter="framing")


@pytest.mark.parametrize(
    ("verdicts", "standing"),
    [
        (["pass", "pass"], "met"),
        (["pass", "fail"], "not met"),
        (["pass", "warn"], "met"),  # of a scenario that is about what it should do
        (["pass", "blocked"], "met"),
        (["flaky"], "met"),
        (["blocked", "incomplete"], "not judged"),
        (["error", "unsupported"], "not judged"),
    ],
)
def test_the_standing_of_a_must(verdicts: list[str], standing: str) -> None:
    (row,) = judged_requirements(map(result, verdicts), "2026")
    assert (row.level, row.standing) == ("MUST", standing)


def test_a_warning_breaks_a_should_and_the_dialect_decides_about_the_level() -> None:
    broken = [result("warn", "HFTP-1.3")]
    assert [(row.level, row.standing) for row in judged_requirements(broken, "2019")] == [("SHOULD", "not met")]
    assert [(row.level, row.standing) for row in judged_requirements(broken, "2026")] == [("MUST", "met")]


def test_what_a_server_may_choose_is_observed_and_not_scored() -> None:
    (row,) = judged_requirements([result("info", "HFTP-1.11", "CHOICE")], "2026")
    assert row.standing == "observed"
    assert scores([row]) == []


def test_the_score_counts_what_was_judged() -> None:
    rows = judged_requirements(
        [
            result("pass"),
            result("fail", "HFTP-1.2"),
            result("blocked", "HFTP-1.4"),
            result("warn", "HFTP-10.1", "SHOULD"),
        ],
        "2026",
    )
    assert [row.id for row in rows] == ["HFTP-1.1", "HFTP-1.2", "HFTP-1.4", "HFTP-10.1"]
    assert scores(rows) == [Score("MUST", 1, 2), Score("SHOULD", 0, 1)]


def test_a_requirement_of_ones_own_comes_last_with_its_most_serious_level() -> None:
    rows = judged_requirements([result("pass", "OWN-1", "SHOULD"), result("pass", "OWN-1"), result("pass")], "2026")
    assert [(row.id, row.level) for row in rows] == [("HFTP-1.1", "MUST"), ("OWN-1", "MUST")]
