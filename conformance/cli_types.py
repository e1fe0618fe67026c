"""Convert command-line arguments to numbers, for click and argparse; raise ValueError with a one-line message."""

import argparse
import secrets
from collections.abc import Callable
from typing import Final

from conformance.language import Message

_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_MAXIMUM_DIGITS: Final = 15
_SEEDS: Final = 1 << 32
"""How many seeds are drawn from; others can be given."""


def integer(text: str) -> int:
    """Return a whole number."""
    try:
        return int(text)
    except ValueError:
        message = Message("{text} is not a whole number", text=repr(text))
        raise ValueError(message) from None


def integer_between(low: int, high: int) -> Callable[[str], int]:
    """Return a converter to whole numbers from `low` to `high`."""

    def bounded(text: str) -> int:
        if not low <= (number := integer(text)) <= high:
            message = Message("{text} is not in the range from {low} to {high}", text=text, low=low, high=high)
            raise ValueError(message)
        return number

    return bounded


def size(text: str) -> int:
    """Return a number of bytes, written as 1000, 64K, 32M or 4G; suffixes are powers of 1024."""
    digits, unit = text.upper().removesuffix("B").removesuffix("I"), ""
    if digits and digits[-1] in _UNITS:
        digits, unit = digits[:-1], digits[-1]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAXIMUM_DIGITS) or not int(digits):
        message = Message("{text} is not a size, such as 1000, 64K, 32M or 4G", text=repr(text))
        raise ValueError(message)
    return int(digits) * _UNITS[unit]


def scale(text: str) -> float:
    """Return a factor from 0.01 to 1000."""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not 0.01 <= number <= 1000:  # noqa: PLR2004  (the message has the bounds; nan fails the comparison)
        message = Message("{text} is not a number from 0.01 to 1000", text=repr(text))
        raise ValueError(message)
    return number


def seconds(text: str) -> int:
    """Return a number of seconds; 0 for `auto`."""
    return 0 if text == "auto" else integer_between(1, 1_000_000)(text)


def seed(text: str) -> int:
    """Return a seed; another one each time for `random`."""
    return secrets.randbelow(_SEEDS) if text == "random" else integer(text)


def jobs(text: str) -> int:
    """Return how many scenarios to run at a time; 0 for `auto`."""
    return 0 if text == "auto" else integer_between(1, 64)(text)


def for_argparse(convert: Callable[[str], object]) -> Callable[[str], object]:
    """Wrap a converter for argparse, which shows the message of an ArgumentTypeError only."""

    def converted(text: str) -> object:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return converted
