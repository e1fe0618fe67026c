"""The specification is validated, and every requirement has a scenario or a reason why not."""

import pytest

from conformance.scenarios import catalogue
from conformance.spec.dialects import DIALECTS
from conformance.spec.reader import SpecError, parse, specification

ROW = '[[chapter]]\nnumber=1\nslug="a"\ntitle="A"\n[[chapter.requirement]]\n'
RIGHT = 'id="HFTP-1.1"\nslug="b"\nlevel="MUST"\ntext="c"\n'


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_must_and_should_has_a_scenario_or_a_reason(dialect: str) -> None:
    tested = {row.requirement for row in catalogue() if row.applies_to(dialect)}
    gaps = [
        row.id
        for row in specification()
        if dialect in row.dialects
        and row.levels[dialect] in {"MUST", "SHOULD"}
        and row.id not in tested
        and not row.untestable
    ]
    assert gaps == []


def test_level_depends_on_the_dialect() -> None:
    row = specification()["HFTP-1.3"]
    assert [row.levels[dialect] for dialect in DIALECTS] == ["MUST", "SHOULD", "SHOULD", "SHOULD"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("=", "invalid TOML"),
        (ROW + RIGHT.replace("1.1", "2.1"), "looks like HFTP-1.1"),
        (ROW + RIGHT.replace("MUST", "must"), "level is one of"),
        (ROW + RIGHT + 'dialects=["2020"]\n', "dialect is one of"),
        (ROW + RIGHT + 'color="red"\n', "color"),
        (ROW + RIGHT + "[[chapter.requirement]]\n" + RIGHT, "twice"),
        (ROW + 'id="HFTP-1.1"\n', "missing"),
    ],
)
def test_rejects_an_invalid_specification(text: str, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        parse(text.encode())
