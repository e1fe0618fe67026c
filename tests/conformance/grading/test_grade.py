"""A grade counts requirements, says why each line earned what it did, and blames a server for nothing of ours."""

import msgspec
import pytest

from conformance.grading.explanation import explain_grade, summary
from conformance.grading.grade import State, grade
from conformance.grading.points import PointsMap
from conformance.model.events import Result
from conformance.model.verdicts import Exit, Verdict
from tests.conformance.grading import SOME, assessment, line, result, run

EVEN = PointsMap(levels={"MUST": 3, "SHOULD": 1})


def test_each_requirement_is_met_partly_met_or_not() -> None:
    found = grade(run(*SOME), EVEN)
    states = {row.requirement.id: (row.state, row.earned) for row in found.lines if row.state is not State.LEFT_OUT}
    assert states == {
        "HFTP-1.1": (State.MET, 3.0),
        "HFTP-1.2": (State.NOT_MET, 0.0),
        "HFTP-1.3": (State.PARTLY, 1.5),
        "HFTP-1.4": (State.NOT_SHOWN, 0.0),
        "HFTP-1.6": (State.MET, 3.0),
        "HFTP-1.12": (State.NOT_MET, 0.0),
    }
    assert found.points == round(100 * 7.5 / 16, 2)
    assert found.met_of("MUST") == "2/5"
    assert found.met_of("SHOULD") == "0/1"


def test_number_of_failing_scenarios_of_a_requirement_does_not_count() -> None:
    few = [result(f"framing.s{i}", "HFTP-1.1", Verdict.FAIL if i < 2 else Verdict.PASS) for i in range(10)]
    many = [result(f"framing.s{i}", "HFTP-1.1", Verdict.FAIL if i < 7 else Verdict.PASS) for i in range(10)]
    assert grade(run(*few), EVEN).points == grade(run(*many), EVEN).points == 50


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        ([result("a.a", "HFTP-1.1", Verdict.INCOMPLETE, got="no file")], "it could not run here: no file"),
        ([result("a.a", "HFTP-1.1", Verdict.UNSUPPORTED, got="two clients")], "does not have to: two clients"),
        ([result("a.a", "HFTP-1.1", Verdict.ERROR, got="KeyError")], "the suite itself failed: KeyError"),
        ([result("a.a", "HFTP-1.1", Verdict.FAIL, known="until May")], "known: until May"),
        ([], "none of its scenarios was selected"),
    ],
)
def test_what_is_not_the_servers_fault_counts_neither_way(results: list[Result], reason: str) -> None:
    found = grade(run(*results, result("b.b", "HFTP-1.2", Verdict.PASS)), EVEN)
    assert found.points == 100
    assert line(found, "HFTP-1.1").state is State.LEFT_OUT
    assert reason in line(found, "HFTP-1.1").reason


def test_what_exploring_has_found_counts_neither_way() -> None:
    passed = result("b.b", "HFTP-1.1", Verdict.PASS)
    found = [
        msgspec.structs.replace(result("explored.x", name, Verdict.FAIL), is_explored=True)
        for name in ("HFTP-1.1", "HFTP-1.2")
    ]
    assert grade(run(passed, *found), EVEN) == grade(run(passed), EVEN)


def test_blocked_scenarios_beside_passed_ones_cost_nothing_and_are_told() -> None:
    blocked = result("a.b", "HFTP-1.1", Verdict.BLOCKED, got="a.c did not pass")
    found = line(grade(run(result("a.a", "HFTP-1.1", Verdict.PASS), blocked), EVEN), "HFTP-1.1")
    assert found.state is State.MET
    assert "1 more could not show anything: a.c did not pass" in found.reason


def test_one_way_out_of_the_directory_leaves_no_points_for_that() -> None:
    results = [result("paths.a", "HFTP-8.1", Verdict.PASS), result("paths.b", "HFTP-8.1", Verdict.FAIL)]
    found = grade(run(*results, result("a.a", "HFTP-1.1", Verdict.PASS)), PointsMap())
    assert line(found, "HFTP-8.1").reason == "1 of 2 scenarios failed: none of the points"
    assert found.points == round(100 * 3 / 13, 2)


def test_cause_costs_what_the_map_says() -> None:
    costly = PointsMap(causes={"lf-ends-a-line": 10})
    passed = result("framing.a", "HFTP-1.1", Verdict.PASS)
    found = grade(run(passed, cause="lf-ends-a-line"), costly)
    assert found.points == 90
    assert [row.title for row in found.deductions] == ["A title"]
    assert grade(run(passed, cause="path-joined"), costly).points == 100


@pytest.mark.parametrize(
    ("status", "problems", "points", "reason"),
    [
        (Exit.USAGE, ("--serve: it ends at once",), 0.0, "--serve: it ends at once"),
        (Exit.SUITE_FAULT, ("no space",), None, "the suite itself failed; no space"),
        (Exit.INCOMPLETE, ("interrupted: the remaining scenarios did not run",), None, "interrupted: "),
    ],
)
def test_run_without_a_verdict(status: Exit, problems: tuple[str, ...], points: float | None, reason: str) -> None:
    found = grade(run(*(SOME if points is None else ()), status=status, problems=problems), PointsMap())
    assert found.points == points
    assert found.reason.startswith(reason)


def test_run_that_was_cut_short_has_no_grade() -> None:
    cut = run(*SOME)
    cut.end = None
    assert grade(cut, PointsMap()).points is None


def test_explanation_has_the_evidence_for_each_lost_point() -> None:
    text = "\n".join(explain_grade(assessment("ana", run(*SOME, cause="lf-ends-a-line"), EVEN)))
    assert text.startswith("46.88 of 100: 2/5 MUST and 0/1 SHOULD met")
    for words in (
        "0/3        HFTP-1.2 MUST not met: all 2 scenarios failed.",
        "framing.b: Title of framing.b",
        "expected  100 BAD EOL",
        "again     conformance try framing.b",
        "also failed: framing.c",
        "HFTP-1.4 MUST not shown: no scenario could show it: framing.b did not pass",
        "7.5 of 16 points",
    ):
        assert words in text
    assert "HFTP-1.1 " not in text
    assert "HFTP-1.1 " in "\n".join(explain_grade(assessment("ana", run(*SOME)), everything=True))


def test_dialect_decides_which_requirements_there_are() -> None:
    old = grade(run(result("a.a", "HFTP-1.8", Verdict.PASS), dialect="2019"), PointsMap())
    assert line(old, "HFTP-1.8").state is State.MET
    assert "HFTP-1.7" not in {row.requirement.id for row in old.lines}
    assert summary(assessment("x", run(dialect="2019"))).startswith("no grade: no requirement")
