"""Hold the same conversation for hundreds of rounds, and look at what the server uses after each block of them."""

from typing import Final

from conformance.explorer.conversation import Conversation
from conformance.explorer.growth import Growth, growth
from conformance.explorer.performance import Performance
from conformance.failures import Failure, Incomplete, Kind
from conformance.language import Message
from conformance.model.context import RunContext, ScenarioContext
from conformance.model.resources import Resources
from conformance.oracle.choices import Choices

BLOCKS: Final = 16
ROUNDS: Final = 16
"""How many rounds a block has."""
_ENOUGH_BLOCKS: Final = 12
"""After so many, a series says something although the time is over."""
_QUIET_SECONDS: Final = 0.02
_SETTLING_SECONDS: Final = 0.5
"""How long the server may take after a block until it has done all that it has to do."""
_KEEPING_SECONDS: Final = 2.0
"""How long the server may take in the end to give back what it does not need."""
_KEPT: Final = 0.8
"""The part of the growth that has to be left then."""
_MOST_QUIET_CPU: Final = 0.005
_LEAST_COUNT: Final = 10
"""A growth by fewer descriptors or threads says nothing."""
_LEAST_MEMORY: Final = 8 << 20
"""A growth by fewer bytes may be fragmentation, or a cache that fills."""
_LEAST_CPU: Final = 0.1
_LEAST_FACTOR: Final = 1.6
"""How much more CPU time a block has to take in the end."""
_MIB: Final = 1 << 20

_UNCLOSED: Final = Message("what is opened is not closed on every path: use a with statement, or close it in finally")
_UNENDED: Final = Message("threads or child processes never end: have one return when its client has gone")
_KEPT_OBJECTS: Final = Message("something is kept for each command or client: a list or dictionary that only grows")
_SEARCHED: Final = Message("each command searches what earlier ones have left: a list that only grows")


class Series:
    """Rounds of a conversation, and the samples between them; `context` records these."""

    def __init__(self, context: ScenarioContext, conversation: Conversation, until: float) -> None:
        self._context = context
        self._facts: RunContext = context.run_context
        self._conversation = conversation
        self._until = until
        self._choices = Choices()
        self._samples: list[Resources] = []

    def run(self) -> None:
        """Hold all rounds; raise Failure if the server uses ever more, or breaks a requirement, and Incomplete."""
        before = self._settled()
        cpu: list[float] = []
        for block in range(BLOCKS):
            if not self._hold_block():
                if block >= _ENOUGH_BLOCKS:
                    break  # what gets slower and slower has shown it by now
                message = Message("the server is too slow: {rounds} rounds", rounds=block * ROUNDS)
                raise Incomplete(message)
            sample = self._settled()
            cpu.append(sample.cpu_seconds - before.cpu_seconds)
            before = sample
            self._samples.append(sample)
            self._note((block + 1) * ROUNDS, sample)
        self._judge(cpu)

    def _hold_block(self) -> bool:
        """Hold the rounds of a block; return False if the time is over before."""
        for _ in range(ROUNDS):
            if self._context.clock() >= self._until:
                return False
            self._hold_round()
        return True

    def _hold_round(self) -> None:
        context = ScenarioContext(self._facts, is_crowded=False)
        try:
            Performance(self._conversation, context, self._choices).run()
        finally:
            context.close()

    def _now(self) -> Resources:
        found = self._facts.resources()
        if found is None:
            message = Message("what the server uses cannot be seen")
            raise Incomplete(message)
        return found

    def _settled(self) -> Resources:
        """Return what the server uses once that has not changed for a while, or does not settle."""
        until = self._context.clock() + _SETTLING_SECONDS
        before = self._now()
        while True:
            self._sleep(_QUIET_SECONDS)
            now = self._now()
            is_idle = now.cpu_seconds - before.cpu_seconds <= _MOST_QUIET_CPU
            is_same = (now.descriptors, now.threads) == (before.descriptors, before.threads)
            if is_idle and is_same or self._context.clock() >= until:  # noqa: RUF021
                return now
            before = now

    def _sleep(self, seconds: float) -> None:
        until = self._context.clock() + seconds
        while self._context.clock() < until:
            self._context.pause()

    def _note(self, rounds: int, sample: Resources) -> None:
        memory = "?" if sample.memory_bytes is None else f"{sample.memory_bytes / _MIB:.1f}"
        cpu = f"{sample.cpu_seconds:.2f}"
        self._context.record.note(
            0,
            "note",
            Message(
                "after {rounds} rounds: {descriptors} descriptors, {threads} threads, {memory} MiB, {cpu} s of CPU",
                rounds=rounds,
                descriptors="?" if sample.descriptors is None else sample.descriptors,
                threads=sample.threads,
                memory=memory,
                cpu=cpu,
            ),
        )

    # --- The verdict -----------------------------------------------------------------------------

    def _judge(self, cpu: list[float]) -> None:
        """Raise Failure if something has grown for as long as the series lasted, and stays."""
        descriptors = [row.descriptors for row in self._samples]
        memory = [row.memory_bytes for row in self._samples]
        threads: list[int | None] = [row.threads for row in self._samples]
        if (found := _grown(descriptors, _LEAST_COUNT)) and self._stays(found, "descriptors"):
            raise self._failure(Message("descriptors"), f"{found.first:.0f}", f"{found.last:.0f}", _UNCLOSED)
        if (found := _grown(threads, _LEAST_COUNT)) and self._stays(found, "threads"):
            raise self._failure(Message("threads"), f"{found.first:.0f}", f"{found.last:.0f}", _UNENDED)
        if (found := _grown(memory, _LEAST_MEMORY)) and self._stays(found, "memory_bytes"):
            first, last = (f"{size / _MIB:.1f} MiB" for size in (found.first, found.last))
            raise self._failure(Message("memory"), first, last, _KEPT_OBJECTS)
        slower = growth(cpu)
        if slower is not None and slower.last >= max(_LEAST_CPU, _LEAST_FACTOR * slower.first):
            what = Message("CPU time of {rounds} rounds", rounds=ROUNDS)
            raise self._failure(what, f"{slower.first:.2f} s", f"{slower.last:.2f} s", _SEARCHED)

    def _stays(self, found: Growth, field: str) -> bool:
        """Return whether a growth is still there when the server has had time to give it back."""
        self._sleep(_KEEPING_SECONDS)
        left: int | None = getattr(self._now(), field)
        return left is not None and left >= found.first + _KEPT * (found.last - found.first)

    def _failure(self, what: Message, first: str, last: str, cause: Message) -> Failure:
        return Failure(
            Kind.GROWTH,
            Message("the server to use no more after {rounds} rounds than before", rounds=len(self._samples) * ROUNDS),
            Message("{what}: {first} at first, {last} in the end, and ever more", what=what, first=first, last=last),
            cause,
        )


def _grown(values: list[int | None], least: int) -> Growth | None:
    """Return the growth of a resource that can be seen, if it is by `least` or more."""
    seen = [value for value in values if value is not None]
    found = growth(seen) if len(seen) == len(values) else None
    return found if found is not None and found.last - found.first >= least else None
