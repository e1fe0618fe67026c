"""The replies that each command line may get, in a dialect and of a served directory."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from conformance.oracle.answers import (
    CODES,
    UNKNOWN,
    Answers,
    Body,
    Listing,
    Names,
    Nothing,
    Rule,
    Size,
    Slice,
    only,
    rule,
)
from conformance.oracle.names import Target, is_listed, target
from conformance.oracle.numbers import Number, number
from conformance.oracle.served import EntryKind, Served

_WORD: Final = re.compile(rb"[a-z_]+")
_PLAIN: Final = re.compile(rb"[ -~]*")
_FOREIGN: Final = re.compile(rb"[\x00\x80-\xff]")
_FORMS: Final = MappingProxyType({"2026": "base64", "2019": "base64", "2018": "plain", "2016": "fragments"})
_SLICE_ARGUMENTS: Final = 3
_LONG_LINE_BYTES: Final = 8192
"""A longer line may be refused with 101."""

BAD_LINE_END: Final = Answers((rule("HFTP-1.2", {100}),))
BAD_LINE_END_AT_ONCE: Final = Answers((rule("HFTP-1.3", {100}),))


def is_plain(line: bytes) -> bool:
    """Return whether a line, or the beginning of one, has nothing in it that is malformed or too long."""
    return _PLAIN.fullmatch(line) is not None and len(line) <= _LONG_LINE_BYTES


def answers_to(line: bytes, served: Served, dialect: str) -> Answers:
    """Return the replies that a line, without its CR LF, may get."""
    if not line:
        is_new = dialect == "2026"
        return only("HFTP-1.7", 101) if is_new else only("HFTP-1.8", 101, 200, 201)
    if _FOREIGN.search(line):
        return Answers((rule("HFTP-1.12", {100, 101, 200, 201, 202} if b"\r" in line else {101, 200, 201, 202}),))
    words = line.split(b" ")
    if b"" in words or not _PLAIN.fullmatch(line):
        return _malformed(line, served, dialect)
    found = _command(words[0], words[1:], served, dialect)
    if len(line) <= _LONG_LINE_BYTES or words[0] in {b"get_metadata", b"get_slice"}:
        return found
    return Answers(tuple(Rule(row.requirement, row.codes | {101}) for row in found.rules), found.body)


def _malformed(line: bytes, served: Served, dialect: str) -> Answers:
    """Return the answers to a line with misplaced spaces or controls, which a server may tolerate.

    One reply has to come, whatever it is. If it has status 0, the line was read without what is malformed.
    """
    words = line.split()
    tolerated = _command(words[0], words[1:], served, dialect) if words else only("HFTP-1.10")
    is_odd = b"\r" in line or not words
    rules = (rule("HFTP-1.10", CODES), *([rule("HFTP-1.16", CODES - {199})] if is_odd else []))
    return Answers(rules, tolerated.body, tolerated.closes, f"a malformed line: {line[:99]!r}")


def _command(name: bytes, arguments: Sequence[bytes], served: Served, dialect: str) -> Answers:
    known = _COMMANDS if dialect == "2026" else {key: row for key, row in _COMMANDS.items() if key != b"help"}
    if name in known:
        return known[name](arguments, served, dialect)
    if name == b"help":  # of another dialect
        return Answers((rule("HFTP-3.1", {0, 200, 201}),))
    if _WORD.fullmatch(name):
        return only("HFTP-3.1", 200)
    lower = known.get(name.lower())
    if lower is None:
        return only("HFTP-3.1", 200, 101)
    same = lower(arguments, served, dialect)
    return replace(
        same, rules=(rule("HFTP-3.1", same.codes | {200, 101}), rule("HFTP-3.2", {200, 101})), point="capitals"
    )


def _quit(arguments: Sequence[bytes], _served: Served, _dialect: str) -> Answers:
    if arguments:
        return only("HFTP-3.3", 201)
    return Answers((rule("HFTP-3.6", {0}),), Nothing(), closes=True)


def _help(arguments: Sequence[bytes], _served: Served, _dialect: str) -> Answers:
    if arguments:
        return only("HFTP-3.3", 201)
    return Answers((rule("HFTP-3.8", {0}),), Names(frozenset(_COMMANDS)))


def _get_file_listing(arguments: Sequence[bytes], served: Served, dialect: str) -> Answers:
    if arguments:
        return only("HFTP-3.3", 201)
    files = {name for name, entry in served.entries.items() if entry.kind is EntryKind.FILE}
    listed = {name for name in files if is_listed(name)}
    free = {EntryKind.LINK_INSIDE, EntryKind.UNKNOWN} | ({EntryKind.UNREADABLE} if dialect != "2026" else set())
    allowed = {name for name, entry in served.entries.items() if entry.kind in free or name.startswith(b".")}
    body = Listing(frozenset(listed), frozenset(allowed), served.is_whole)
    return Answers((rule("HFTP-4.1", {0} if served.is_whole else {0, 199}),), body)


def _get_metadata(arguments: Sequence[bytes], served: Served, dialect: str) -> Answers:
    if len(arguments) != 1:
        return _wrong_count(arguments, served)
    found = target(arguments[0], served, dialect, is_slice=False)
    body: Body = UNKNOWN if found.content is None else Size(found.content.size)
    return Answers(found.rules, body, point=found.point)


def _get_slice(arguments: Sequence[bytes], served: Served, dialect: str) -> Answers:
    is_raw = dialect == "2026" and len(arguments) > _SLICE_ARGUMENTS and list(arguments[3:]) == [b"raw"]
    if dialect != "2026" and list(arguments[3:]) == [b"raw"]:  # of another dialect
        return Answers((rule("HFTP-3.3", {0, 201, 202, 203}),))
    if len(arguments) != _SLICE_ARGUMENTS and not is_raw:
        is_fourth = dialect == "2026" and len(arguments) == _SLICE_ARGUMENTS + 1
        return _wrong_count(arguments, served, "HFTP-6.9" if is_fourth else "HFTP-3.3")
    found = target(arguments[0], served, dialect, is_slice=True)
    offset, size = number(arguments[1]), number(arguments[2])
    invalid = [row for row in (offset, size) if row.value is None]
    if invalid:
        return _invalid(invalid[0].requirement, found, offset, size)
    answers = _of_range(found, offset.value or 0, size.value or 0, "raw" if is_raw else _FORMS[dialect])
    return _of_forms(answers, offset, size)


def _wrong_count(arguments: Sequence[bytes], served: Served, requirement: str = "HFTP-3.3") -> Answers:
    """Return the answers to a wrong number of arguments, which may be a name with spaces that exists."""
    spaced = [name for name in served.entries if b" " in name]
    if any(b" ".join(arguments).startswith(name) for name in spaced):
        return Answers((rule(requirement, CODES - {199}),))
    return only(requirement, 201)


def _invalid(requirement: str, found: Target, offset: Number, size: Number) -> Answers:
    """Return the answers to a slice with an argument that is no number; the file or the range may be checked first."""
    early = found.codes - {0}
    length = found.content.size if found.content is not None else 0
    if 0 in found.codes and any(row.value is not None and row.value > length for row in (offset, size)):
        early |= {203}
    return Answers((rule(requirement, early | {201}), rule("HFTP-3.5", {201})))


def _of_range(found: Target, offset: int, size: int, form: str) -> Answers:
    """Return the answers to a slice by numbers that are valid."""
    if found.content is None:
        return Answers(found.rules, point=found.point)
    if offset + size > found.content.size:
        return only("HFTP-6.4", 203)
    requirement = "HFTP-6.3" if not size else "HFTP-6.5" if offset + size == found.content.size else "HFTP-6.2"
    return Answers((rule(requirement, {0}),), Slice(found.content, offset, size, form))


def _of_forms(answers: Answers, offset: Number, size: Number) -> Answers:
    """Return answers with what the forms of the numbers allow, too."""
    numbers = (offset, size)
    further: set[int] = set()
    if any(row.has_zeros for row in numbers):
        further |= {201}
    if any(row.is_huge for row in numbers):
        further |= {201} | (set() if 0 in answers.codes else {203})
    is_lenient = any(row.requirement for row in numbers)
    if is_lenient:
        further |= {201}
    if not further:
        return answers
    is_past = answers.codes == {203} and any(row.is_huge for row in numbers)
    first = Rule("HFTP-7.5" if is_past else answers.rules[0].requirement, answers.codes | further)
    rules = (first, rule("HFTP-7.2", {201})) if is_lenient else (first,)
    point = "leading zeros" if answers.codes == {0} and further == {201} and not is_lenient else ""
    return replace(answers, rules=rules, point=point)


_COMMANDS: Final[MappingProxyType[bytes, Callable[[Sequence[bytes], Served, str], Answers]]] = MappingProxyType(
    {
        b"get_file_listing": _get_file_listing,
        b"get_metadata": _get_metadata,
        b"get_slice": _get_slice,
        b"help": _help,
        b"quit": _quit,
    }
)
