"""Numbers on the command line that click has no type for: sizes with a unit, and factors."""

import math
from typing import Any, Final

import click

_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Size(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.4 on
    """A number of bytes: 1000, 64K, 32M or 4G."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401  (as in click)
        """Return the number; fail in one line."""
        if isinstance(value, int):
            return value
        digits, unit = str(value).upper().removesuffix("B").removesuffix("I"), ""
        if digits[-1:] in _UNITS:
            digits, unit = digits[:-1], digits[-1]
        if not (digits.isascii() and digits.isdigit() and len(digits) < 16) or not int(digits):  # noqa: PLR2004
            self.fail(f"{value!r} is no size: 1000, 64K, 32M, 4G", param, ctx)
        return int(digits) * _UNITS[unit]


class Scale(click.FloatRange):
    """A factor from 0.01 to 1000, which nan is not."""

    def __init__(self) -> None:
        super().__init__(0.01, 1000.0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401  (as in click)
        """Return the number; fail in one line."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number", param, ctx)
        return number


class Jobs(click.IntRange):
    """A number of scenarios at a time, or `auto`, which is 0."""

    name = "number|auto"

    def __init__(self) -> None:
        super().__init__(1, 64)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401  (as in click)
        """Return the number; fail in one line."""
        return 0 if value in {"auto", 0} else int(super().convert(value, param, ctx))
