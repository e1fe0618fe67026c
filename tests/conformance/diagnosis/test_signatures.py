"""The signatures belong to the catalogue, the causes and the planted bugs of today, and are read as they were written.

What is stale is made anew by `python -m tests.conformance.signatures`.
"""

from conformance.diagnosis.causes_reader import root_causes
from conformance.diagnosis.signatures import PATH, Signature, read, scenarios, signatures, written
from conformance.scenarios import catalogue
from tests.broken_servers.all_bugs import BUGS, STYLES
from tests.conformance import signatures as command
from tests.conformance.diagnosis.planted import causes_by_bug, planted
from tests.conformance.sweep import Judged


def test_the_signatures_know_the_scenarios_of_the_catalogue_and_no_others() -> None:
    assert scenarios() == [row.id for row in catalogue()]


def test_each_bug_has_a_cause_or_a_reason_to_have_none() -> None:
    named = [bug for bugs in planted().causes.values() for bug in bugs]
    others = [*planted().several, *planted().unnamed]
    assert sorted([*named, *others]) == sorted(BUGS)


def test_the_causes_of_bugs_are_those_that_are_described() -> None:
    assert list(planted().causes) == list(root_causes())
    assert {cause for causes in planted().several.values() for cause in causes} <= set(root_causes())


def test_each_cause_and_each_bug_has_a_signature() -> None:
    assert {row.server for row in signatures()} == set(causes_by_bug())
    assert {row.cause for row in signatures()} == set(root_causes())
    assert all(row.cause == causes_by_bug()[row.server] for row in signatures())
    assert {row.style for row in signatures()} <= {*STYLES, ""}


def test_each_cause_makes_a_scenario_fail() -> None:
    assert {row.cause for row in signatures() if row.failed} == set(root_causes())


def test_what_is_written_is_read_again() -> None:
    rows = list(signatures())
    assert command.text(rows) == PATH.read_text("utf-8")
    assert list(read(command.text(rows).encode())) == rows


def test_numbers_that_follow_each_other_are_ranges() -> None:
    every = ["a", "b", "c", "d", "e"]
    row = Signature("x", "y", "loop", {"a": "timeout", "b": "timeout", "c": "timeout", "e": "status 201"})
    text = written([(row, "2026")], every, {"2026": every})
    assert '"failed":{"status 201":"4","timeout":"0-2"}' in text
    assert list(read(text.encode())) == [row]


def run(verdicts: dict[str, tuple[str, str]], **symptoms: str) -> Judged:
    names = {name.replace("_", "."): text for name, text in symptoms.items()}
    return Judged(1.0, {}, verdicts, 1, names, [])


def test_a_scenario_that_ends_otherwise_in_another_run_is_unknown() -> None:
    first, second = [row.id for row in catalogue()][:2]
    runs = [run({first: ("fail", "timeout"), second: ("pass", "")}), run({first: ("pass", ""), second: ("pass", "")})]
    found = command.signature("number-by-int", runs)
    assert found.failed == {}
    assert first in found.unknown
    assert second not in found.unknown


def test_the_code_of_a_wrong_status_comes_from_the_run_that_recorded_it() -> None:
    first = next(row.id for row in catalogue())
    before = run({first: ("fail", "status")})
    after = Judged(1.0, {}, {first: ("fail", "status")}, 1, {first: "status 202"}, ["an empty line follows"])
    found = command.signature("number-by-int", [before, after])
    assert found.failed == {first: "status 202"}
    assert found.deviations == {"an empty line follows"}
