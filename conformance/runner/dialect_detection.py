"""Detect which dialect a server speaks: by `help`, else by the form of its slices."""

from collections.abc import Sequence
from typing import Final

from conformance.language import Message, either
from conformance.spec.dialects import DIALECTS
from conformance.target.probe import Probe, SliceSample, slice_forms

_ASSUMED: Final = "2019"
"""Dialect of a server without help whose slices are ambiguous."""


def knows_help(probe: Probe) -> bool:
    """Return whether the server has the command that only the newest dialect has."""
    return probe.ask(b"help").code == 0


def detect(found: Sequence[SliceSample], *, has_help: bool) -> tuple[str, str]:
    """Return the dialect, and what it was inferred from, as a phrase."""
    if has_help:
        return DIALECTS[0], Message("it knows help")
    likely = _likely(found)
    if not likely:
        basis = Message(
            "nothing: it does not know help, and its slices are ambiguous; {dialect} is assumed", dialect=_ASSUMED
        )
        return _ASSUMED, basis
    dialects = likely[0]
    if len(likely) > 1:
        dialects = Message("{first}, or {others}", first=likely[0], others=either(likely[1:]))
    return likely[0], Message("it does not know help, and its slices are those of {dialects}", dialects=dialects)


def _likely(found: Sequence[SliceSample]) -> list[str]:
    """Return the dialects that fit the slices, the most likely one first."""
    votes: dict[str, float] = {}
    for sample in found:
        if sample.answer.code == 0:
            for dialect, after in slice_forms(sample.answer.rest, sample).items():
                votes[dialect] = votes.get(dialect, 0) + (1.0 if not after else 0.6)
    return sorted(votes, key=lambda dialect: (-votes[dialect], dialect != "2019"))
