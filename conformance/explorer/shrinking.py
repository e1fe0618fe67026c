"""Shrink a conversation while it still shows the same: fewer steps, fewer lines, smaller numbers, fewer clients."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from conformance.explorer.conversation import AddFiles, Conversation, Leave, Open, Send, Silence, Step

_NUMBER: Final = re.compile(r"(?<![\w{.#+-])\d+(?![\w}.])")
"""A number in a line that can be made smaller."""
_SHORT: Final = "get_metadata {missing}"
_SHORTEST_SECONDS: Final = 0.5


def shrunk(
    conversation: Conversation, fails: Callable[[Conversation], bool], is_over: Callable[[], bool]
) -> Conversation:
    """Return the smallest conversation that was found for which `fails`; stop when the time `is_over`."""
    best, tried = conversation, {conversation}
    has_improved = True
    while has_improved:
        has_improved = False
        for smaller in _smaller(best):
            if is_over():
                return best
            if smaller in tried or smaller.cost >= best.cost and not _is_simpler(smaller, best):  # noqa: RUF021
                continue
            tried.add(smaller)
            if fails(smaller):
                best, has_improved = smaller, True
                break
    return best


def _is_simpler(one: Conversation, other: Conversation) -> bool:
    """Return whether a conversation of the same cost has smaller numbers."""
    return one.cost == other.cost and _sum(one) < _sum(other)


def _sum(conversation: Conversation) -> float:
    total = 0.0
    for step in conversation.steps:
        match step:
            case Send():
                total += step.first + len(step.cuts) + step.client + (not step.waits) + len(step.ending)
                total += sum(int(found[0]) for line in step.lines for found in _NUMBER.finditer(line))
            case AddFiles():
                total += step.first + step.count
            case Silence():
                total += step.seconds
            case Open():
                total += step.clients
            case Leave():
                total += step.client
            case _:
                pass
    return total


def _smaller(conversation: Conversation) -> Iterator[Conversation]:
    """Yield smaller conversations, the smallest first."""
    steps = conversation.steps
    size = len(steps) // 2
    while size:  # without a run of steps
        for start in range(0, len(steps) - size + 1, size):
            yield Conversation(steps[:start] + steps[start + size :])
        size //= 2
    for number, step in enumerate(steps):
        for other in _smaller_step(step):
            yield Conversation((*steps[:number], other, *steps[number + 1 :]))


def _smaller_step(step: Step) -> Iterator[Step]:
    replace = msgspec.structs.replace
    match step:
        case Send():
            yield from _smaller_send(step)
        case AddFiles():
            yield from (replace(step, count=count) for count in _smaller_numbers(step.count, 1))
            yield from (replace(step, first=first) for first in _smaller_numbers(step.first, 0))
        case Open():
            yield from (replace(step, clients=count) for count in _smaller_numbers(step.clients, 1))
        case Silence():
            if step.seconds > _SHORTEST_SECONDS:
                yield from (Silence(step.seconds / 2), Silence(step.seconds - _SHORTEST_SECONDS))
        case Leave() if step.client:
            yield replace(step, client=0)


def _smaller_send(step: Send) -> Iterator[Send]:
    replace = msgspec.structs.replace
    yield from (replace(step, lines=lines) for lines in _shorter(step.lines) if lines)
    yield from (replace(step, times=times) for times in _smaller_numbers(step.times, 1))
    if step.whole_bytes:
        yield replace(step, whole_bytes=0)
    yield from (replace(step, cuts=cuts) for cuts in _shorter(step.cuts))
    if step.client:
        yield replace(step, client=0)
    if step.ending != "\r\n":
        yield replace(step, ending="\r\n")
    if not step.waits:
        yield replace(step, waits=True)
    yield from (replace(step, first=first) for first in _smaller_numbers(step.first, 0))
    for number, line in enumerate(step.lines):
        for other in _smaller_lines(line):
            yield replace(step, lines=(*step.lines[:number], other, *step.lines[number + 1 :]))


def _smaller_lines(line: str) -> Iterator[str]:
    if line.startswith("get_slice") and "{#}" not in line:
        yield _SHORT
    for found in _NUMBER.finditer(line):
        for number in _smaller_numbers(int(found[0]), 0):
            yield f"{line[: found.start()]}{number}{line[found.end() :]}"
    yield line.removesuffix(" raw")


def _shorter(rows: "Sequence[object]") -> Iterator[tuple]:  # type: ignore[type-arg]  # of the same type
    size = len(rows)
    while size:
        for start in range(0, len(rows) - size + 1, size):
            yield (*rows[:start], *rows[start + size :])
        size //= 2


def _smaller_numbers(number: int, least: int) -> Iterator[int]:
    """Yield numbers from `least` on that come ever closer: as in a binary search, if each is tried in turn."""
    distance = number - least
    while distance > 0:
        yield number - distance
        distance //= 2
