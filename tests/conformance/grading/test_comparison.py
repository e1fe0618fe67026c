"""A comparison says what got better, worse and flaky, and never takes what did not run for either."""

import pytest

from conformance.grading.comparison import compare, differences
from conformance.model.verdicts import Exit, Verdict
from tests.conformance.grading import assessment, result, run

VERDICTS = {verdict.value: verdict for verdict in Verdict}


@pytest.mark.parametrize(
    ("before", "after", "where"),
    [
        ("fail", "pass", "better"),
        ("fail", "warn", "better"),
        ("warn", "pass", "better"),
        ("blocked", "pass", "better"),
        ("fail", "flaky", "better"),
        ("pass", "fail", "worse"),
        ("pass", "blocked", "worse"),
        ("info", "warn", "worse"),
        ("flaky", "fail", "worse"),
        ("pass", "flaky", "flaky"),
        ("flaky", "flaky", "flaky"),
        ("pass", "pass", ""),
        ("blocked", "fail", ""),
        ("incomplete", "fail", "only_in_one"),
        ("pass", "error", "only_in_one"),
    ],
)
def test_verdicts_are_compared(before: str, after: str, where: str) -> None:
    first, second = (assessment("x", run(result("a.a", "HFTP-1.1", VERDICTS[verdict]))) for verdict in (before, after))
    found = compare("x", first, second)
    assert (bool(found.better), bool(found.worse), bool(found.flaky), bool(found.only_in_one)) == tuple(
        where == name for name in ("better", "worse", "flaky", "only_in_one")
    )


def test_differences_name_causes_scenarios_and_grades() -> None:
    first = assessment("x", run(result("a.a", "HFTP-1.1", Verdict.PASS), cause="path-joined"))
    second = assessment("x", run(result("a.a", "HFTP-1.1", Verdict.FAIL), cause="lf-ends-a-line", dialect="2019"))
    lines = list(differences(compare("x", first, second)))
    assert lines[0] == "x: 0 better, 1 worse, 0 flaky; not conformant -> not conformant, grade 100 -> 0"
    assert "  the dialect differs: 2026, 2019" in lines
    assert "  worse       a.a (pass -> fail): 0 OK" in lines
    assert lines[2:4] == ["  cause gone  A title", "  cause new   A title"]


def test_server_that_no_longer_starts_is_worse() -> None:
    first = assessment("x", run(result("a.a", "HFTP-1.1", Verdict.PASS)))
    second = assessment("x", run(status=Exit.USAGE))
    assert compare("x", first, second).worse == ["start"]
    assert compare("x", second, first).better == ["start"]
    assert "  worse  start (pass -> fail)" in list(differences(compare("x", first, second)))
