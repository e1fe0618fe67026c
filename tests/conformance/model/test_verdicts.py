"""The table of verdicts, and the exit status that follows from them."""

import pytest

from conformance.failures import CAUSES, Kind
from conformance.model.verdicts import MEANINGS, VERDICT_OF_SUCCESS, Exit, Verdict, exit_status, verdict_of_failure


def test_every_verdict_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Verdict)
    assert set(CAUSES) == set(Kind)


@pytest.mark.parametrize(
    ("level", "success", "failure"),
    [("MUST", "pass", "fail"), ("SHOULD", "pass", "warn"), ("MAY", "info", "info"), ("CHOICE", "info", "info")],
)
def test_verdict_depends_on_the_level(level: str, success: str, failure: str) -> None:
    assert VERDICT_OF_SUCCESS[level].value == success
    assert verdict_of_failure(level, Kind.STATUS).value == failure
    assert verdict_of_failure(level, Kind.GONE) is Verdict.FAIL


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ("pass", Exit.CONFORMANT),
        ("pass info unsupported warn flaky", Exit.CONFORMANT),
        ("pass fail", Exit.NOT_CONFORMANT),
        ("pass incomplete", Exit.INCOMPLETE),
        ("pass blocked", Exit.INCOMPLETE),
        ("fail blocked incomplete", Exit.NOT_CONFORMANT),
        ("fail error", Exit.SUITE_FAULT),
        ("", Exit.INCOMPLETE),
        ("unsupported", Exit.INCOMPLETE),
    ],
)
def test_worst_verdict_sets_the_exit_status(verdicts: str, expected: Exit) -> None:
    assert exit_status(map(Verdict, verdicts.split())) is expected


def test_options_make_warnings_and_baseline_mismatches_fail() -> None:
    assert exit_status([Verdict.WARN], fail_on="should") is Exit.NOT_CONFORMANT
    assert exit_status([Verdict.PASS], fail_on="should") is Exit.CONFORMANT
    assert exit_status([Verdict.PASS], has_problems=True) is Exit.NOT_CONFORMANT
