"""Read and check `causes.toml`: what is wrong in a server's code, why it matters, and how to mend it."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

SEVERITIES: Final = ("security", "data loss", "wrong answer", "style")
"""The most serious first.

- security: a client gets what is not meant for it.
- data loss: replies or files arrive incomplete, or one client ends the service for all.
- wrong answer: a client gets out of step, waits for ever, or is told something wrong.
- style: it harms few clients, or none.
"""
LANGUAGES: Final[Mapping[str, str]] = MappingProxyType({"python": "Python", "java": "Java", "c": "C"})
"""The fields that hold code, and the names of their languages."""

_COMMENT: Final = re.compile(r"(?P<mark>(?:^|(?<=\s))(?:#|//) )(?P<text>[^\n]*[^\s])", re.MULTILINE)
_PATH: Final = Path(__file__).with_name("causes.toml")


class CausesError(ValueError):
    """The causes are invalid; the message is one line."""


class RootCause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mistake in a server's code, in the words of somebody who looks at it."""

    id: str
    title: str
    severity: str
    why: str
    """Why the protocol cares."""
    fix: str
    common: bool = False
    """Whether it is made often: then it is named although a rarer mistake would explain a run as well."""
    python: str = ""
    java: str = ""
    c: str = ""

    @property
    def code(self) -> dict[str, str]:
        """The code that mends it, by the name of the language."""
        found = {name: getattr(self, field).strip("\n") for field, name in LANGUAGES.items()}
        return {name: code for name, code in found.items() if code}


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cause: list[RootCause]


def comments(code: str) -> list[str]:
    """Return the comments in code."""
    return [found["text"] for found in _COMMENT.finditer(code)]


def with_comments(code: str, translated: Callable[[str], str]) -> str:
    """Return code with its comments in another language."""
    return _COMMENT.sub(lambda found: f"{found['mark']}{translated(found['text'])}", code)


@cache
def root_causes() -> Mapping[str, RootCause]:
    """Return the causes by id, in the order of the file."""
    return parse(_PATH.read_bytes())


def parse(text: bytes) -> Mapping[str, RootCause]:
    """Parse causes in TOML; raise CausesError."""
    try:
        rows = msgspec.toml.decode(text, type=_Document).cause
    except (ValueError, msgspec.MsgspecError) as error:  # TOMLDecodeError is a ValueError
        message = f"invalid causes: {error}"
        raise CausesError(message) from error
    found: dict[str, RootCause] = {}
    for row in rows:
        for is_wrong, what in (
            (row.id in found, "it is defined twice"),
            (row.severity not in SEVERITIES, f"a severity is one of {', '.join(SEVERITIES)}"),
            (not (row.title and row.why and row.fix), "it needs a title, why and fix"),
        ):
            if is_wrong:
                message = f"{row.id}: {what}"
                raise CausesError(message)
        found[row.id] = row
    return MappingProxyType(found)
