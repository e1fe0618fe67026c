"""The causes are complete, their code is code, and a file that is wrong is refused in one line."""

import ast
import textwrap

import pytest

from conformance.diagnosis.causes_reader import SEVERITIES, CausesError, parse, root_causes
from conformance.scenarios import catalogue
from conformance.tools.explain import explained

LONGEST_TITLE = 74
"""So that it stands on one line of a terminal with 80 columns."""
CAUSE = '[[cause]]\nid = "a"\ntitle = "b"\nseverity = "style"\nwhy = "c"\nfix = "d"\n'


def test_there_are_many_causes_of_each_severity() -> None:
    causes = root_causes()
    assert len(causes) >= 80
    assert {cause.severity for cause in causes.values()} == set(SEVERITIES)


@pytest.mark.parametrize("identifier", root_causes())
def test_a_cause_is_said_in_short_sentences_and_its_code_is_code(identifier: str) -> None:
    cause = root_causes()[identifier]
    assert len(cause.title) <= LONGEST_TITLE
    assert not cause.title.endswith(".")
    assert cause.why.endswith((".", "!"))
    assert cause.fix.endswith(".")
    ast.parse(f"def mend():\n{textwrap.indent(cause.code.get('Python', 'pass'), '    ')}")
    for language in ("Java", "C"):
        code = cause.code.get(language, "")
        assert code.count("{") == code.count("}")
        assert code.count("(") == code.count(")")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[cause", "invalid causes"),
        (CAUSE + 'more = "e"\n', "unknown field `more`"),
        (CAUSE.replace('fix = "d"\n', ""), "missing required field `fix`"),
        (CAUSE.replace('"style"', '"bad"'), "a: a severity is one of security, data loss, wrong answer, style"),
        (CAUSE + CAUSE, "a: it is defined twice"),
        (CAUSE.replace('"c"', '""'), "a: it needs a title, why and fix"),
    ],
)
def test_a_file_that_is_wrong_is_refused(text: str, reason: str) -> None:
    with pytest.raises(CausesError, match=reason) as refused:
        parse(text.encode())
    assert "\n" not in str(refused.value)


def test_a_cause_is_explained_with_its_code() -> None:
    said = explained("lf-ends-a-line", catalogue())
    assert said.startswith("lf-ends-a-line, wrong answer: A bare LF ends a command")
    assert "\n  mend  " in said
    assert "\n  Python:\n" in said
    assert "    raise Fatal(100)" in said


def test_causes_and_scenarios_and_requirements_have_different_names() -> None:
    assert not {row.id for row in catalogue()} & set(root_causes())
    assert not any(name.startswith("HFTP-") for name in root_causes())
