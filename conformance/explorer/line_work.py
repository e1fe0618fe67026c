"""Measure the CPU time that lines of several lengths take: it grows with the length, not with its square."""

from typing import Final

from conformance.failures import Failure, Incomplete, Kind
from conformance.language import Message
from conformance.model.context import ScenarioContext

LENGTHS: Final = tuple(1 << power for power in (19, 20, 21, 22))
_REPETITIONS: Final = 2
_LEAST_SECONDS: Final = 0.4
"""What takes less CPU time than this harms no one."""
_MUCH_SECONDS: Final = 4.0
"""A longer line is not sent after one that has taken so much CPU time."""
_QUADRUPLE: Final = 6.5
"""How much more work a line of four times the length has to be: 4 is proportional, 16 is quadratic."""
_DOUBLE: Final = 2.5
"""How much more work a line of double the length has to be, likewise: 2 and 4."""
_TICK_SECONDS: Final = 0.01
_TIMEOUTS: Final = 10.0
_QUIET_SECONDS: Final = 0.05
_CAUSE: Final = Message(
    "the search for the line end begins anew with each piece that arrives, or all pieces are joined each time:"
    " search only what is new, and append to a bytearray"
)


def measure_lines(context: ScenarioContext, until: float) -> None:
    """Send lines of several lengths; raise Failure if the work for them is out of proportion, and Incomplete."""
    seconds: dict[int, float] = {}
    for length in LENGTHS:
        for _ in range(_REPETITIONS):
            if context.clock() >= until:
                break
            taken = _cpu_seconds(context, length)
            seconds[length] = min(seconds.get(length, taken), taken)
        shown = f"{seconds.get(length, 0.0):.2f}"
        context.record.note(0, "note", Message("a line of {size} bytes: {taken} s of CPU", size=length, taken=shown))
        if seconds.get(length, _MUCH_SECONDS) >= _MUCH_SECONDS:
            break
    if len(seconds) < len(LENGTHS) - 1:
        message = Message("the server is too slow for long lines")
        raise Incomplete(message)
    _judge(seconds)


def _judge(seconds: dict[int, float]) -> None:
    quarter, half, whole = (max(_TICK_SECONDS, taken) for taken in list(seconds.values())[-3:])
    if whole >= _LEAST_SECONDS and whole >= _QUADRUPLE * quarter and whole >= _DOUBLE * half:
        longest = max(seconds)
        less, more = f"{seconds[longest // 4]:.2f}", f"{whole:.2f}"
        raise Failure(
            Kind.GROWTH,
            Message("the work for a line to grow in proportion to its length"),
            Message(
                "{less} s of CPU time for a line of {short} bytes, {more} s for one of {long}",
                less=less,
                short=longest // 4,
                more=more,
                long=longest,
            ),
            _CAUSE,
        )


def _cpu_seconds(context: ScenarioContext, length: int) -> float:
    """Return the CPU time that the server uses for a line of a length."""
    before = _now(context)
    context.allow(_TIMEOUTS)
    client = context.connect()
    client.go_off_record()
    client.send(b"get_metadata " + b"a" * (length - len(b"get_metadata \r\n")) + b"\r\n")
    client.collect(lambda data: b"\n" in data)
    used = before
    while True:  # it may work on, whatever it has answered
        now, until = _now(context), context.clock() + _QUIET_SECONDS
        if now - used < _TICK_SECONDS or now - before >= _MUCH_SECONDS:
            break
        used = now
        while context.clock() < until:
            context.pause()
    client.quit_and_close()
    return now - before


def _now(context: ScenarioContext) -> float:
    found = context.run_context.resources()
    if found is None:
        message = Message("what the server uses cannot be seen")
        raise Incomplete(message)
    return found.cpu_seconds
