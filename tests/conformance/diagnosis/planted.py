"""Which planted bugs show which cause: the reader of `planted.toml`."""

from functools import cache
from pathlib import Path

import msgspec

PATH = Path(__file__).with_name("planted.toml")


class Planted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file."""

    causes: dict[str, list[str]]
    """Of each cause, the bugs."""
    several: dict[str, list[str]]
    """Of each server with several bugs, their causes."""
    unnamed: dict[str, str]
    """The bugs without a cause, and why."""


@cache
def planted() -> Planted:
    """Read the file."""
    return msgspec.toml.decode(PATH.read_bytes(), type=Planted)


@cache
def causes_by_bug() -> dict[str, str]:
    """Return the cause of each bug that has one."""
    return {bug: cause for cause, bugs in planted().causes.items() for bug in bugs}
