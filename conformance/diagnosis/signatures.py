"""Read and write `signatures.json`: of each cause, what it looks like from outside, in several servers that have it.

The file is generated: `python -m tests.conformance.signatures` makes it from real runs of servers with planted bugs.
Scenarios are numbers, the index into the list of ids at its top, so that a server is one short line.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

PATH: Final = Path(__file__).with_name("signatures.json")


class Signature(msgspec.Struct, frozen=True):
    """How one server with a certain cause fared."""

    cause: str
    """The id of the cause."""
    server: str
    """The name of the planted bug."""
    style: str
    """How the server is built: threads, loop, forks ..."""
    failed: Mapping[str, str]
    """The scenarios that failed, or gave a warning, and how: the kind of failure, and the code if it is a wrong one."""
    noticed: Mapping[str, str] = {}
    """The same of scenarios about a choice: their failures are reported as observations."""
    unknown: frozenset[str] = frozenset()
    """The scenarios that apply to its dialect, but showed nothing."""
    inapplicable: frozenset[str] = frozenset()
    """The scenarios that do not apply to its dialect."""
    deviations: frozenset[str] = frozenset()
    """The constant deviations of the server, as `RunStart.deviations` words them."""


class _Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """A signature as it stands in the file; the values are lists of indices such as `0-3 7`."""

    cause: str
    server: str
    style: str
    dialect: str
    failed: dict[str, str]
    """By symptom, such as `timeout` or `status 201`."""
    noticed: dict[str, str] = {}
    unknown: str = ""
    deviations: list[str] = []


class _File(msgspec.Struct, frozen=True):
    scenarios: list[str]
    """The ids of the whole catalogue."""
    dialects: dict[str, str]
    """Of each dialect, the scenarios that apply to it."""
    servers: list[_Row]


@cache
def signatures() -> tuple[Signature, ...]:
    """Return the signatures of the suite."""
    return tuple(read(PATH.read_bytes()))


def scenarios() -> list[str]:
    """Return the ids of the scenarios that the signatures were made with."""
    return msgspec.json.decode(PATH.read_bytes(), type=_File).scenarios


def read(text: bytes) -> Iterator[Signature]:
    """Yield the signatures in a file; raise msgspec.ValidationError if it is no such file."""
    file = msgspec.json.decode(text, type=_File)
    applicable = {dialect: set(_numbers(ranges)) for dialect, ranges in file.dialects.items()}
    every = range(len(file.scenarios))
    inapplicable = {
        dialect: frozenset(file.scenarios[number] for number in every if number not in numbers)
        for dialect, numbers in applicable.items()
    }

    def by_scenario(kinds: Mapping[str, str]) -> dict[str, str]:
        return {file.scenarios[number]: kind for kind, ranges in kinds.items() for number in _numbers(ranges)}

    for row in file.servers:
        yield Signature(
            row.cause,
            row.server,
            row.style,
            by_scenario(row.failed),
            by_scenario(row.noticed),
            frozenset(file.scenarios[number] for number in _numbers(row.unknown)),
            inapplicable[row.dialect],
            frozenset(row.deviations),
        )


def written(rows: Iterable[tuple[Signature, str]], every: Sequence[str], dialects: Mapping[str, Iterable[str]]) -> str:
    """Return the text of a file: signatures with their dialects, all scenarios, and those of each dialect."""
    index = {name: number for number, name in enumerate(every)}

    def ranges(names: Iterable[str]) -> str:
        return _ranges(sorted(index[name] for name in names))

    def by_kind(kinds: Mapping[str, str]) -> dict[str, str]:
        return {kind: ranges(name for name in kinds if kinds[name] == kind) for kind in sorted(set(kinds.values()))}

    servers = [
        _Row(
            row.cause,
            row.server,
            row.style,
            dialect,
            by_kind(row.failed),
            by_kind(row.noticed),
            ranges(row.unknown),
            sorted(row.deviations),
        )
        for row, dialect in rows
    ]
    head = [
        json.dumps(list(every)),
        json.dumps({dialect: ranges(names) for dialect, names in dialects.items()}),
    ]
    lines = ",\n".join(msgspec.json.encode(row).decode() for row in servers)
    return f'{{"scenarios": {head[0]},\n"dialects": {head[1]},\n"servers": [\n{lines}\n]}}\n'


def _numbers(ranges: str) -> Iterator[int]:
    """Yield the numbers in ranges such as `0-3 7`."""
    for part in ranges.split():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _ranges(numbers: Sequence[int]) -> str:
    """Return sorted numbers as ranges."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)
