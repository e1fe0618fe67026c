"""The diagnosis names the fewest causes that explain a run, only certain ones, and none for a run without failures."""

import random
from collections.abc import Iterable

import pytest

from conformance.diagnosis.causes_reader import RootCause
from conformance.diagnosis.diagnose import diagnose, symptom, with_diagnosis
from conformance.diagnosis.signatures import Signature, signatures
from conformance.model.events import Diagnosis, Event, Result, RunEnd, RunStart
from conformance.model.verdicts import Exit, Verdict
from tests.conformance import evaluate_diagnosis
from tests.conformance.diagnosis.planted import planted

NAMES = [f"chapter.scenario-{number}" for number in range(40)]
CAUSES = {
    name: RootCause(name, f"The title of {name}", severity, "Why.", "How.")
    for name, severity in (("a", "style"), ("b", "security"), ("c", "wrong answer"))
}


def signature(
    cause: str, failed: Iterable[int], kind: str = "status", deviations: frozenset[str] = frozenset()
) -> Signature:
    kinds = {NAMES[number]: kind for number in failed}
    return Signature(cause, f"bug-{cause}", "threads", kinds, deviations=deviations)


A, B = signature("a", range(10)), signature("b", range(8, 14), "closed")


def results(failed: Iterable[int], kind: str = "status", verdict: str = "fail", **others: Verdict) -> list[Result]:
    """Return results of all scenarios; `others` are verdicts of some, `scenario_7=...`."""
    bad = {NAMES[number] for number in failed}
    rest = {f"chapter.{name.replace('_', '-')}": verdict for name, verdict in others.items()}
    return [
        Result(name, "HFTP-1.1", "MUST", Verdict(verdict), kind=kind)
        if name in bad
        else Result(name, "HFTP-1.1", "MUST", rest.get(name, Verdict.PASS))
        for name in NAMES
    ]


def named(rows: Iterable[Result], *known: Signature, deviations: Iterable[str] = ()) -> list[str]:
    return [cause.id for cause in diagnose(rows, deviations, known or (A, B), CAUSES).causes]


def test_a_run_without_failures_has_no_cause() -> None:
    found = diagnose(results([]), (), (A, B), CAUSES)
    assert found == Diagnosis([], 0, 0, [])


def test_a_cause_is_named_with_its_failures_and_the_best_example() -> None:
    rows = results(range(10))
    rows[0] = Result(NAMES[0], "HFTP-1.1", "SHOULD", Verdict.WARN, kind="status")
    found = diagnose(rows, (), (A, B), CAUSES)
    assert [cause.title for cause in found.causes] == ["The title of a"]
    assert found.causes[0].scenarios == NAMES[:10]
    assert found.causes[0].example == NAMES[1], "a failure shows more than a warning"
    assert (found.failures, found.explained, found.unexplained) == (10, 10, [])


def of_both() -> list[Result]:
    """Return the results of a server with both causes, whose failures overlap."""
    return [*results(range(8))[:8], *results(range(8, 14), "closed")[8:]]


def test_two_causes_are_named_the_more_serious_first() -> None:
    assert named(of_both()) == ["b", "a"]


def test_each_failure_belongs_to_one_cause() -> None:
    found = diagnose(of_both(), (), (A, B), CAUSES)
    assert [len(cause.scenarios) for cause in found.causes] == [6, 8]
    assert found.explained == 14


def test_a_warning_is_explained_too() -> None:
    assert named(results(range(10), verdict="warn")) == ["a"]


def test_what_a_cause_predicts_has_to_fail() -> None:
    assert named(results(range(3))) == []


@pytest.mark.parametrize("verdict", [Verdict.BLOCKED, Verdict.INCOMPLETE, Verdict.UNSUPPORTED, Verdict.FLAKY])
def test_what_did_not_run_counts_neither_way(verdict: Verdict) -> None:
    rest = {f"scenario_{number}": verdict for number in range(3, 10)}
    assert named(results(range(3), **rest)) == ["a"]


def test_a_known_failure_is_not_explained() -> None:
    known = [Result(row.scenario, row.requirement, row.level, row.verdict, known="later") for row in results(range(10))]
    assert diagnose(known, (), (A, B), CAUSES) == Diagnosis([], 0, 0, [])


def test_what_no_cause_explains_is_counted_and_listed() -> None:
    found = diagnose(results([*range(10), 30, 31]), (), (A, B), CAUSES)
    assert (found.failures, found.explained, found.unexplained) == (12, 10, [NAMES[30], NAMES[31]])


def test_if_most_of_a_run_fails_only_what_explains_most_of_it_is_named() -> None:
    assert named(results(range(40))) == []
    assert named(results(range(40)), A, signature("c", range(30))) == ["c"]


def test_a_scenario_of_ones_own_is_unexplained() -> None:
    mine = Result("mine.own", "HFTP-9.9", "MUST", Verdict.FAIL, kind="status")
    assert diagnose([*results(range(10)), mine], (), (A, B), CAUSES).unexplained == ["mine.own"]


def test_what_exploring_has_found_is_unexplained_and_decides_nothing() -> None:
    rows = results(range(10))
    found = [
        Result(f"explored.x{number}", "HFTP-9.9", "MUST", verdict, kind="status", is_explored=True)
        for number, verdict in enumerate([Verdict.FAIL] * 30 + [Verdict.INFO])
    ]
    (alone, beside) = (diagnose(more, (), (A, B), CAUSES) for more in (rows, [*rows, *found]))
    assert beside.causes == alone.causes
    assert beside.failures == alone.failures + 30
    assert beside.unexplained == [row.scenario for row in found[:30]]


def test_of_two_causes_that_would_do_as_well_none_is_named() -> None:
    assert named(results(range(10)), A, signature("c", range(10))) == []


def test_of_two_causes_that_would_do_as_well_the_common_one_is_named() -> None:
    causes = CAUSES | {"c": RootCause("c", "Often made", "style", "Why.", "How.", common=True)}
    found = diagnose(results(range(10)), (), (A, signature("c", range(10))), causes)
    assert [cause.id for cause in found.causes] == ["c"]


def test_the_kind_of_failure_tells_causes_apart() -> None:
    assert named(results(range(10), "closed"), A, signature("c", range(10), "closed")) == ["c"]


def test_a_similar_kind_of_failure_is_the_same_cause_in_another_style() -> None:
    assert named(results(range(8, 14), "reset")) == ["b"]


def test_how_a_connection_ends_depends_on_the_style_so_that_one_such_failure_is_enough() -> None:
    one, other = signature("a", [0], "closed"), signature("b", [1], "closed")
    assert named(results([0], "gone"), one, other) == ["a"]


def test_a_cause_of_which_every_failure_is_another_wrong_reply_is_not_named() -> None:
    assert named(results(range(10), "body")) == []
    rows = [*results(range(10))[:5], *results(range(10), "body")[5:]]
    assert named(rows) == ["a"], "some are as predicted"


def test_the_code_of_a_wrong_status_tells_causes_apart() -> None:
    rows = [
        Result(row.scenario, row.requirement, row.level, row.verdict, kind=row.kind, got="202 FILE NOT FOUND")
        for row in results(range(10))
    ]
    assert symptom(rows[0]) == "status 202"
    assert named(rows, signature("a", range(10), "status 201"), signature("c", range(10), "status 202")) == ["c"]


def test_a_constant_deviation_tells_causes_apart() -> None:
    one = signature("a", range(1), deviations=frozenset({"a slice comes in hexadecimal"}))
    other = signature("c", range(1), deviations=frozenset({"an empty line follows each reply"}))
    assert named(results(range(1)), one, other) == []
    assert named(results(range(1)), one, other, deviations=["an empty line follows each reply"]) == ["c"]
    assert named(results(range(1)), one, other, deviations=["a slice comes in hexadecimal"]) == ["a"]


def test_a_choice_counts_a_little() -> None:
    noticed = {NAMES[30]: "status", NAMES[31]: "status"}
    other = Signature("c", "bug-c", "threads", A.failed, noticed)
    rows = results(range(10))
    rows[30:32] = [Result(name, "HFTP-1.1", "CHOICE", Verdict.INFO, kind="status") for name in NAMES[30:32]]
    assert named(rows, A, other) == ["c"]
    assert named(results(range(10)), A, other) == ["a"]


def test_a_cause_that_would_show_in_choices_as_well_is_not_named_if_it_does_not() -> None:
    noticed = {NAMES[30]: "body", NAMES[31]: "body"}
    wrong = Signature("a", "bug-a", "threads", dict.fromkeys(NAMES[:2], "body"), noticed)
    rows = [*results([0])[:1], *results([1], "body")[1:]]
    assert named(rows, wrong) == []
    rows[30:32] = [Result(name, "HFTP-1.1", "CHOICE", Verdict.INFO, kind="body") for name in NAMES[30:32]]
    assert named(rows, wrong) == ["a"]


def test_a_deviation_in_the_same_words_counts_more_than_a_common_mistake() -> None:
    causes = CAUSES | {"c": RootCause("c", "Often made", "style", "Why.", "How.", common=True)}
    texts = [
        '"again" follows the status line of 100 and 200',
        "an empty line follows the status line of 100 and 200",
    ]
    one, other = (signature(name, [0], deviations=frozenset({text})) for name, text in zip("ac", texts, strict=True))
    for text, expected in zip(texts, "ac", strict=True):
        found = diagnose(results([0]), [text], (one, other), causes)
        assert [cause.id for cause in found.causes] == [expected]


# --- With the suite's own signatures -----------------------------------------------------------------


def test_the_order_of_results_does_not_matter() -> None:
    row = next(row for row in signatures() if row.server == "slice-only-offset-checked")
    rows = evaluate_diagnosis.as_results([row])
    before = diagnose(rows, row.deviations)
    random.Random(1).shuffle(rows)
    after = diagnose(rows, row.deviations)
    assert [cause.id for cause in after.causes] == [cause.id for cause in before.causes] == ["only-offset-checked"]


@pytest.mark.once
def test_single_bugs_are_recognised_in_a_style_that_is_not_known() -> None:
    score = evaluate_diagnosis.single_bugs(signatures())
    assert score.servers > 100
    assert score.right_first >= 0.95 * score.servers, score.misses


@pytest.mark.once
@pytest.mark.parametrize("count", [2, 3])
def test_several_bugs_are_recognised_together(count: int) -> None:
    score = evaluate_diagnosis.several_bugs(signatures(), count, times=50)
    assert score.right >= 0.9 * score.wanted, score.misses
    assert score.right >= 0.85 * score.named, score.misses


@pytest.mark.once
def test_real_servers_with_several_bugs_are_recognised() -> None:
    scores = evaluate_diagnosis.real_servers(evaluate_diagnosis.on_file(), signatures())
    assert len(scores) == 3
    for score in scores:
        assert score.right >= 0.9 * score.wanted, score.misses
        assert score.right >= 0.85 * score.named, score.misses


@pytest.mark.once
@pytest.mark.parametrize("name", planted().several)
def test_a_server_with_five_bugs_has_these_causes_and_no_others(name: str) -> None:
    run = next(run for run in evaluate_diagnosis.on_file() if run.name == name)
    found = diagnose(run.results, run.deviations)
    assert {cause.id for cause in found.causes} == set(planted().several[name])


# --- In a stream of events ---------------------------------------------------------------------------

START = RunStart("1", "", 1, "2026", "x", 1)
END = RunEnd({}, Exit.CONFORMANT)
PASSED = Result("framing.one-command", "HFTP-2.1", "MUST", Verdict.PASS)
NONE = Diagnosis([], 0, 0, [])


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ([START, PASSED, END], [START, PASSED, NONE, END]),
        ([START, PASSED, NONE, END], [START, PASSED, NONE, END]),
        ([START, PASSED], [START, PASSED, NONE]),
        ([START, PASSED, START, PASSED, END], [START, PASSED, NONE, START, PASSED, NONE, END]),
        ([START, END], [START, END]),
    ],
)
def test_a_recorded_run_without_a_diagnosis_gets_one(recorded: list[Event], expected: list[Event]) -> None:
    assert list(with_diagnosis(recorded)) == expected
