"""The replies that a command line may get: rules of the specification, each with the status codes that keep it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from conformance.oracle.served import Content
from conformance.spec.reader import specification

CODES: Final = frozenset({0, 100, 101, 199, 200, 201, 202, 203})


class Rule(NamedTuple):
    """A requirement, and the status codes of replies that keep it."""

    requirement: str
    codes: frozenset[int]

    def level(self, dialect: str) -> str:
        """Return the level of the requirement in a dialect."""
        return specification()[self.requirement].levels[dialect]


class Size(NamedTuple):
    """The body of a reply to get_metadata."""

    size: int


class Slice(NamedTuple):
    """The body of a reply to get_slice."""

    content: Content
    offset: int
    size: int
    form: str
    """base64, raw, plain or fragments."""


class Listing(NamedTuple):
    """The body of a reply to get_file_listing: names, one a line."""

    names: frozenset[bytes]
    """The names that have to be there, each once."""
    allowed: frozenset[bytes]
    """Further names that may be there."""
    is_whole: bool
    """Whether other names may not be there."""


class Names(NamedTuple):
    """The body of a reply to help: names, one a line."""

    names: frozenset[bytes]
    """The names that have to be there."""


class Nothing(NamedTuple):
    """A status line is all."""


class Unknown(NamedTuple):
    """Nothing is known of the body: what follows on this connection is not judged."""


Body = Size | Slice | Listing | Names | Nothing | Unknown
UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Answers:
    """The replies that a line may get: a status that keeps all rules, and after status 0 the body."""

    rules: tuple[Rule, ...]
    """The most serious first; the first one is broken, too, if there is no reply at all."""
    body: Body = UNKNOWN
    closes: bool = False
    """Whether the connection ends after status 0."""
    point: str = ""
    """Names what the server chooses here, and has to choose alike each time; empty if that is not known."""

    @property
    def codes(self) -> frozenset[int]:
        """Return the codes that keep the most serious rule."""
        return self.rules[0].codes if self.rules else CODES

    def broken(self, code: int) -> Rule | None:
        """Return the most serious rule that a status code breaks; None if it keeps all."""
        return next((rule for rule in self.rules if code not in rule.codes), None)


def rule(requirement: str, codes: Iterable[int]) -> Rule:
    """Return a rule."""
    return Rule(requirement, frozenset(codes))


def only(requirement: str, *codes: int) -> Answers:
    """Return answers of which only the status code is known; none of them is 0."""
    return Answers((rule(requirement, codes),))
