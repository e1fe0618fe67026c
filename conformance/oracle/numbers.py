"""The forms of OFFSET and SIZE: what a number is, and which requirement it breaks if it is none."""

import re
from typing import Final, NamedTuple

_DIGITS: Final = re.compile(rb"[0-9]+")
_NEGATIVE: Final = re.compile(rb"-[0-9]+")
_LENIENT: Final = re.compile(rb"(\+[0-9]+|[0-9]+(?:_[0-9]+)+|-0+)")
_MOST_DIGITS: Final = 18
"""A number of more digits may be too large for the server's integers."""


class Number(NamedTuple):
    """An argument that is, or should be, a number."""

    value: int | None
    """None if it is no number; a huge one has the value of 19 digits."""
    requirement: str = ""
    """The requirement by which it is invalid; empty if it is valid."""
    has_zeros: bool = False
    """Whether it has leading zeros, which a server may refuse."""
    is_huge: bool = False
    """Whether a server may refuse it as a number that is too large."""


def number(word: bytes) -> Number:
    """Return what an argument is."""
    if _DIGITS.fullmatch(word):
        digits = word.lstrip(b"0")
        is_huge = len(digits) > _MOST_DIGITS or len(word) > _MOST_DIGITS
        value = 10**_MOST_DIGITS if len(digits) > _MOST_DIGITS else int(digits or b"0")
        return Number(value, has_zeros=word != (digits or b"0"), is_huge=is_huge)
    if _LENIENT.fullmatch(word):
        digits = word.lstrip(b"+-").replace(b"_", b"").lstrip(b"0")
        return Number(int(digits[:_MOST_DIGITS] or b"0"), "HFTP-7.2", is_huge=len(digits) > _MOST_DIGITS)
    return Number(None, "HFTP-7.1" if _NEGATIVE.fullmatch(word) else "HFTP-7.3")
