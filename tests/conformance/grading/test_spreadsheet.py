"""The CSV files are read back as they are meant, and no cell of theirs is a formula."""

import csv
import io

from conformance.grading.assessment import Person
from conformance.grading.spreadsheet import csv_of, moodle
from conformance.model.verdicts import Exit, Verdict
from tests.conformance.grading import FORMULA, SOME, assessment, result, run

ANA = Person("Ana Pérez", "Participant 1234567", "ana@example.org")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_table_has_the_points_of_each_requirement() -> None:
    found = rows(csv_of([assessment("ana", run(*SOME), person=ANA), assessment("b", run(status=Exit.SUITE_FAULT))]))
    assert {"name": "ana", "id": "Participant 1234567", "grade": "46.88", "of": "100"}.items() <= found[0].items()
    assert {"HFTP-1.1": "3", "HFTP-1.3": "1.5", "HFTP-1.5": "", "fail": "3", "warn": "1"}.items() <= found[0].items()
    assert found[0]["MUST met"] == "2 of 5"
    assert found[1]["grade"] == ""
    assert "the suite itself failed" in found[1]["note"]


def test_worksheet_has_the_columns_by_which_moodle_finds_a_student() -> None:
    (found,) = rows(moodle([assessment("Ana Pérez", run(*SOME), person=ANA)]))
    assert list(found) == ["Identifier", "Full name", "Email address", "Grade", "Maximum grade", "Feedback comments"]
    assert list(found.values())[:5] == ["Participant 1234567", "Ana Pérez", "ana@example.org", "46.88", "100"]
    assert "HFTP-1.2 MUST not met: all 2 scenarios failed" in found["Feedback comments"]


def test_no_cell_is_a_formula() -> None:
    hostile = assessment(FORMULA, run(result("a.a", "HFTP-1.1", Verdict.FAIL)), person=Person("", "@x", "-2"))
    for text in (csv_of([hostile]), moodle([hostile])):
        for row in csv.reader(io.StringIO(text, newline="")):
            assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@"))]
        assert f"'{FORMULA}" in text
