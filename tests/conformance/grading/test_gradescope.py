"""Gradescope's results.json has the fields and types that its documentation names, and nothing of a server acts in it.

https://gradescope-autograders.readthedocs.io/en/latest/specs/#output-format
"""

from typing import Annotated, Any, Literal

import msgspec
import pytest

from conformance.grading.gradescope import gradescope
from conformance.grading.points import PointsMap
from conformance.model.verdicts import Exit, Verdict
from tests.conformance.grading import SOME, assessment, result, run

Format = Literal["text", "html", "simple_format", "md", "ansi"]
Visibility = Literal["hidden", "after_due_date", "after_published", "visible"]


class OneTest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An element of `tests`; all fields are optional there."""

    score: float
    max_score: Annotated[float, msgspec.Meta(ge=0)]
    status: Literal["passed", "failed"]
    name: str
    name_format: Format = "text"
    number: str = ""
    output: str
    output_format: Format
    tags: list[str] = []
    visibility: Visibility
    extra_data: dict[str, Any] = {}


class Results(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The whole document."""

    score: float
    execution_time: int
    output: str
    output_format: Format
    test_output_format: Format
    test_name_format: Format
    visibility: Visibility
    stdout_visibility: Visibility
    extra_data: dict[str, Any]
    tests: list[OneTest]
    leaderboard: list[dict[str, Any]] = []


def results_of(text: str) -> Results:
    return msgspec.json.decode(text, type=Results)


def test_document_is_as_gradescope_documents_it() -> None:
    found = results_of(gradescope(assessment("ana", run(*SOME)), "after_published"))
    assert found.score == 46.88
    assert sum(row.score for row in found.tests) == pytest.approx(46.88, abs=0.01)
    assert sum(row.max_score for row in found.tests) == pytest.approx(100, abs=0.01)
    assert {row.visibility for row in found.tests} == {"after_published"}
    assert [row.number for row in found.tests] == ["1.1", "1.2", "1.3", "1.4", "1.6", "1.12"]
    assert [row.status for row in found.tests] == ["passed", *["failed"] * 3, "passed", "failed"]
    assert "again     conformance try framing.b" in found.tests[1].output


def test_deductions_are_tests_of_their_own() -> None:
    costly = PointsMap(causes={"lf-ends-a-line": 10})
    row = assessment("ana", run(result("a.a", "HFTP-1.1", Verdict.PASS), cause="lf-ends-a-line"), costly)
    found = results_of(gradescope(row))
    assert found.score == sum(row.score for row in found.tests) == 90


def test_server_that_does_not_start_gets_nothing_and_its_output() -> None:
    row = assessment("ana", run(status=Exit.USAGE, problems=("--serve: <b>no</b>",)))
    found = results_of(gradescope(row))
    assert found.score == sum(row.score for row in found.tests) == 0
    assert "&lt;b&gt;no" in found.output


def test_text_of_a_server_is_escaped() -> None:
    hostile = result("a.a", "HFTP-1.1", Verdict.FAIL, got="<script>alert(1)</script>\x1b[31m\u202e{0}")
    found = results_of(gradescope(assessment("ana", run(hostile))))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[31m\\u202e{0}" in found.tests[0].output
    assert "<script" not in gradescope(assessment("ana", run(hostile)))
