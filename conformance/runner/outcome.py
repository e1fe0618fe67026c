"""How one run of a scenario ended, and what later runs add to that."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from conformance.client.deviations import Deviation
from conformance.client.raw_connection import NOT_READ
from conformance.client.recording import Recording
from conformance.failures import Failure, Kind
from conformance.language import Message
from conformance.model.scenario import Scenario
from conformance.model.verdicts import Verdict

WIRE_FAILURES: Final = frozenset({Kind.TIMEOUT, Kind.REFUSED, Kind.CLOSED, Kind.RESET, Kind.OPEN})
"""Failures after which the server may be down."""
TIMEOUTS: Final = frozenset({Kind.TIMEOUT, Kind.OPEN})


@dataclass(frozen=True)
class Outcome:
    """How a scenario ended; it passed if there is neither a failure nor a verdict."""

    scenario: Scenario
    record: Recording
    seconds: float = 0.0
    seen: tuple[str, ...] = ()
    failure: Failure | None = None
    verdict: Verdict | None = None
    """A verdict that does not depend on the level."""
    reason: str = ""
    attempts: int = 1
    is_short: bool = False
    """Whether the timeouts were shorter than a server may need."""
    tolerated: frozenset[Deviation] = frozenset()
    """The known deviations that affected it."""
    leaves_open: bool = False
    """Whether a client closed without quit before the server closed."""
    slowest_seconds: float = 0.0
    """The longest wait that ended with data."""
    moments: int = 0
    """How many events had been recorded when it failed, or in all; what follows is how the clients left."""
    output: str = ""
    """What the server had printed when it failed."""
    is_output_own: bool = True
    """Whether no other scenario ran meanwhile."""
    is_explored: bool = False
    """Whether exploring has found it, and no scenario of the catalogue."""
    printed: Callable[[float], str] = lambda _seconds: ""
    """Returns what the server has printed since the scenario began, until the server was started again."""

    @property
    def has_passed(self) -> bool:
        """Whether it has neither a failure nor a verdict of its own."""
        return self.failure is None and self.verdict is None

    @property
    def shows_little(self) -> bool:
        """Whether it ended without a failure, but other scenarios beside it may have kept it from finding one."""
        return self.failure is None and (self.verdict is Verdict.INCOMPLETE or NOT_READ in self.seen)

    @property
    def is_timeout(self) -> bool:
        """Whether it failed by a timeout."""
        return self.failure is not None and self.failure.kind in TIMEOUTS

    @property
    def is_gone(self) -> bool:
        """Whether it failed because the server serves no client after it."""
        return self.failure is not None and self.failure.kind is Kind.GONE

    @property
    def may_end_later(self) -> bool:
        """Whether it ran without a failure, so that it may still turn out to have ended the server."""
        return self.failure is None and self.verdict is not Verdict.BLOCKED

    def may_wedge(self, capacity: int) -> bool:
        """Return whether, without a failure, it may have wedged the server, other than by abandoned or surplus clients.

        `capacity` is the server's limit of simultaneous clients, 0 if none is known.
        """
        is_used_up = 0 < capacity <= self.record.connections
        return self.failure is None and not self.leaves_open and not is_used_up

    @property
    def leaves_early(self) -> bool:
        """Whether a client reset, half-closed or closed its connection, as the scenario wants it."""
        return self.leaves_open or bool(self.record.events_of("reset", "half-closed"))

    # --- What other runs add to it ---------------------------------------------------------------

    def gone(self) -> "Outcome":
        """Return it as that of a scenario that ends the server, or leaves it unable to serve clients."""
        got = str(self.failure.got) if self.failure else Message("the right reply")
        expected = self.failure.expected if self.failure else Message("the server to go on serving clients")
        failure = Failure(Kind.GONE, expected, Message("{got}; afterwards the server serves no client", got=got))
        return replace(self, failure=failure, verdict=None, is_short=False, output=self.printed(0.0))

    def flaky(self, first: "Outcome") -> "Outcome":
        """Return it as that of a scenario that passed after a first failure that nothing explains."""
        reason = Message("first: {failure}", failure=first.failure)
        return replace(
            self, verdict=Verdict.FLAKY, reason=reason, output=first.output, is_output_own=first.is_output_own
        )

    def passed_alone(self) -> "Outcome":
        """Return a flaky one as passed, with its first failure as an observation: clients interfere with each other."""
        return replace(
            self,
            verdict=None,
            seen=(*self.seen, Message("beside other clients, {reason}", reason=self.reason)),
            reason="",
        )

    def reported_by(self, reporter: str, deviation: Deviation) -> "Outcome":
        """Return it as that of a scenario whose deviation another scenario has reported."""
        return replace(
            self,
            verdict=Verdict.BLOCKED,
            reason=Message("{reporter} reports it: {text}", reporter=reporter, text=deviation.text),
        )


def not_run(scenario: Scenario, verdict: Verdict, reason: str) -> Outcome:
    """Return the outcome of a scenario that cannot run."""
    return Outcome(scenario, Recording(), verdict=verdict, reason=reason)
