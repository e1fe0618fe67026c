"""Measure the round trip of a command, from sending it to its reply, which decides how long a full timeout is."""

import contextlib
from dataclasses import replace
from typing import Final

from conformance.failures import Failure, Incomplete, Kind
from conformance.language import Message
from conformance.runner.timeouts import Timeouts
from conformance.target.health import HealthMonitor
from conformance.target.probe import Connect

WAIT_FACTOR: Final = 2.0
"""Factor of the timeout for a measurement."""
_MEASUREMENTS: Final = 3


def measure(health: HealthMonitor, timeouts: Timeouts) -> None:
    """Measure the round trip for the facts of the run: the median of three; raise Failure or Incomplete."""
    with health.connecting(WAIT_FACTOR) as connect:
        found = sorted(_round_trip(connect)[0] for _ in range(_MEASUREMENTS))
    seconds = found[len(found) // 2]
    timeouts.answered(found[-1])
    facts = health.run_context
    health.run_context = replace(facts, round_trip_seconds=seconds, timeout_seconds=timeouts.full_seconds(seconds))


def measure_again(health: HealthMonitor, timeouts: Timeouts) -> None:
    """Before a wait that is evidence, lengthen the timeout if the way to another machine takes longer by now."""
    if health.server.is_local:
        return
    with contextlib.suppress(Failure, Incomplete), health.connecting(WAIT_FACTOR) as connect:
        seconds, is_answered = _round_trip(connect)
        if is_answered:
            facts = health.run_context
            longest = max(seconds, facts.round_trip_seconds)
            health.run_context = replace(facts, timeout_seconds=timeouts.full_seconds(longest))


def _round_trip(connect: Connect) -> tuple[float, bool]:
    """Return the seconds until a reply, or until there is none, and whether there is one; raise Failure, Incomplete."""
    client = connect()
    started = client.clock()
    client.send_line(client.words.unknown)
    _, ending = client.collect(lambda data: b"\n" in data)
    if ending == "too-much":
        raise Failure(Kind.TOO_MUCH, Message("a reply"), Message("data without a line end"))
    seconds = client.clock() - started
    client.quit_and_close()
    return seconds, ending == "enough"
