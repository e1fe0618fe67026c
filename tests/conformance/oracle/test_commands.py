"""The model allows what the specification allows, in each dialect: a second reading, compared with its sentences."""

from collections.abc import Set as AbstractSet

import pytest

from conformance.fixtures.content import InMemory
from conformance.oracle.answers import CODES, Answers, Nothing, Size, Slice
from conformance.oracle.commands import answers_to
from conformance.oracle.numbers import number
from conformance.oracle.served import Entry, EntryKind, Served
from conformance.spec.dialects import DIALECTS
from conformance.spec.reader import specification

pytestmark = pytest.mark.once

TEXT = InMemory(b"Hello")
SERVED = Served(
    {
        b"text.txt": Entry(EntryKind.FILE, TEXT),
        b".dot": Entry(EntryKind.FILE, TEXT),
        b"two words": Entry(EntryKind.FILE, TEXT),
        b"folder": Entry(EntryKind.DIRECTORY),
        b"secret": Entry(EntryKind.UNREADABLE),
        b"out": Entry(EntryKind.LINK_OUTSIDE),
        b"in": Entry(EntryKind.LINK_INSIDE),
        b"n" * 255: Entry(EntryKind.FILE, TEXT),
    }
)
MUST: dict[bytes, AbstractSet[int]] = {
    b"quit": {0},
    b"quit x": {201},
    b"nonsense": {200},
    b"nonsense with words": {200},
    b"get-metadata text.txt": {200, 101},
    b"get_file_listing": {0},
    b"get_file_listing x": {201},
    b"get_metadata": {201},
    b"get_metadata text.txt": {0},
    b"get_metadata text.txt text.txt": {201},
    b"get_metadata missing": {202},
    b"get_metadata " + b"n" * 255: {0},
    b"get_metadata " + b"n" * 256: {202},
    b"get_metadata ../text.txt": CODES - {0},
    b"get_metadata /etc/passwd": CODES - {0},
    b"get_metadata ..": CODES - {0},
    b"get_slice text.txt 0 5": {0},
    b"get_slice text.txt 5 0": {0},
    b"get_slice text.txt 0 6": {203},
    b"get_slice text.txt 6 0": {203},
    b"get_slice missing 0 1": {202},
    b"get_slice text.txt -1 1": {201},
    b"get_slice text.txt x 1": {201},
    b"get_slice text.txt 1.0 1": {201},
    b"get_slice text.txt -1 99": {201, 203},
    b"get_slice missing -1 1": {201, 202},
    b"get_slice text.txt 00 5": {0, 201},
    b"get_slice text.txt +0 5": {0, 201},
    b"get_slice text.txt 0 99999999999999999999": {203, 201},
    b"get_slice text.txt 0": {201},
    b"get_slice text.txt 0 1 2 3": {201},
    b"get_slice two words 0 1": CODES - {199},
}
"""What a server must answer in each dialect."""
SHOULD: dict[bytes, AbstractSet[int]] = {
    b"get_slice text.txt +0 5": {201},
    b"get_slice text.txt 0_0 5": {201},
    b"get_slice text.txt -0 5": {201},
    b"get_slice missing -1 1": {201},
    b"GET_METADATA text.txt": {200, 101},
    b"get_metadata out": CODES - {0},
    b"get_metadata \xe9": {101, 200, 201, 202},
    b"a\rb": CODES - {199},
    b"  ": CODES - {199},
    b"get_metadata " + b"n" * (1 << 20): {202, 101},
}
"""What it should answer."""


def levels(answers: Answers, dialect: str) -> dict[str, frozenset[int]]:
    """Return the codes that keep all rules of a level, or of a graver one."""
    must = [rule.codes for rule in answers.rules if rule.level(dialect) == "MUST"]
    return {
        "MUST": frozenset(CODES).intersection(*must),
        "SHOULD": frozenset(CODES).intersection(*(rule.codes for rule in answers.rules)),
    }


@pytest.mark.parametrize("dialect", DIALECTS)
def test_must_is_what_the_specification_says(dialect: str) -> None:
    found = {line: levels(answers_to(line, SERVED, dialect), dialect)["MUST"] for line in MUST}
    assert found == MUST


@pytest.mark.parametrize("dialect", DIALECTS)
def test_should_is_what_the_specification_says(dialect: str) -> None:
    found = {line: levels(answers_to(line, SERVED, dialect), dialect)["SHOULD"] for line in SHOULD}
    assert found == SHOULD


@pytest.mark.parametrize(
    ("line", "new", "old"),
    [
        (b"", {101}, CODES),
        (b"help", {0}, {0, 200, 201}),
        (b"get_metadata secret", {199}, CODES),
        (b"get_slice text.txt 0 5 raw", {0}, {0, 201, 202, 203}),
        (b"get_slice text.txt 0 5 RAW", {201}, {201}),
    ],
)
def test_dialects_differ(line: bytes, new: AbstractSet[int], old: AbstractSet[int]) -> None:
    assert levels(answers_to(line, SERVED, "2026"), "2026")["MUST"] == new
    for dialect in DIALECTS[1:]:
        assert levels(answers_to(line, SERVED, dialect), dialect)["MUST"] == old


@pytest.mark.parametrize(
    "line", [b" get_metadata text.txt", b"get_metadata  text.txt", b"get_metadata\ttext.txt", b"quit "]
)
def test_any_one_reply_to_a_malformed_line_is_allowed_but_the_body_of_a_tolerant_server_is_right(line: bytes) -> None:
    answers = answers_to(line, SERVED, "2026")
    assert answers.codes == CODES
    assert answers.body == (Nothing() if answers.closes else Size(5))


@pytest.mark.parametrize(
    ("dialect", "form"), [("2026", "base64"), ("2019", "base64"), ("2018", "plain"), ("2016", "fragments")]
)
def test_slice_has_the_form_of_its_dialect(dialect: str, form: str) -> None:
    assert answers_to(b"get_slice text.txt 1 2", SERVED, dialect).body == Slice(TEXT, 1, 2, form)
    assert answers_to(b"get_slice text.txt 1 2 raw", SERVED, "2026").body == Slice(TEXT, 1, 2, "raw")


def test_nothing_is_known_of_names_in_a_directory_that_is_not_known() -> None:
    answers = answers_to(b"get_metadata other", Served(is_whole=False), "2026")
    assert answers.codes == CODES


def test_each_rule_names_a_requirement_of_the_dialect() -> None:
    for dialect in DIALECTS:
        for line in (*MUST, *SHOULD, b"", b"help", b"help x", b"get_metadata folder", b"get_metadata in"):
            for rule in answers_to(line, SERVED, dialect).rules:
                assert dialect in specification()[rule.requirement].dialects, (line, rule)


def test_number_of_thousands_of_digits_costs_no_conversion() -> None:
    found = number(b"9" * 100_000)
    assert found.is_huge
    assert found.value == 10**18
