"""Explore a server for some time: hold conversations, shrink and confirm what breaks a requirement, and report it."""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Final

from conformance.config import Options
from conformance.explorer.conversation import Conversation, fixtures_of
from conformance.explorer.grammar import Ground
from conformance.explorer.performance import Disallowed, scripted
from conformance.explorer.search import search
from conformance.explorer.shrinking import shrunk
from conformance.explorer.strategies import opening
from conformance.failures import Failure, Kind
from conformance.fixtures.base import plan
from conformance.language import Message
from conformance.model.scenario import CONCURRENCY, EXCLUSIVE, SHARED, Scenario
from conformance.model.verdicts import Verdict
from conformance.oracle.choices import Choices
from conformance.runner.outcome import WIRE_FAILURES, Outcome
from conformance.runner.play import play
from conformance.runner.timeouts import Timeouts
from conformance.spec.reader import specification
from conformance.target.health import HealthMonitor, State

MOST_FINDINGS: Final = 8
"""An exploration ends after so many."""
_HISTORY: Final = 40
"""How many conversations before a failure are held again, if it does not show without them."""
_SHRINKING: Final = 0.25
"""How much of the time of an exploration one conversation is shrunk at most, beyond the end, too."""
_SHRINKING_SECONDS: Final = 8.0
_WAITING_SECONDS: Final = 20.0
"""An exploration of so many seconds has time for silence."""
_CLIENTS: Final = 40
_CONFIRMATIONS: Final = 2

Signature = tuple[str, Kind, bytes]


@dataclass(frozen=True)
class Finding:
    """A conversation that breaks a requirement on a fresh server, and how that ended."""

    conversation: Conversation
    outcome: Outcome

    @property
    def source(self) -> str:
        """The play of its scenario, as `--save` writes it."""
        return f'saved(\n        r"""\n{self.conversation.dumps()}\n"""\n    )'


class Exploration:
    """Explores the server of a `health` monitor, until `seconds` are over or enough is found.

    What breaks a requirement that was `reported` before is no finding.
    """

    def __init__(  # noqa: PLR0913  (two calls)
        self,
        options: Options,
        health: HealthMonitor,
        timeouts: Timeouts,
        seconds: float,
        *,
        reported: frozenset[str] = frozenset(),
        most_findings: int = 0,
    ) -> None:
        self._options = options
        self._health = health
        self._timeouts = timeouts
        self._seconds = seconds
        self._reported = reported
        self._most_findings = most_findings or MOST_FINDINGS
        self._until = 0.0
        self._known: set[Signature] = set()
        self._history: deque[Conversation] = deque(maxlen=_HISTORY)
        self._is_slow = False
        self.choices = Choices()
        self.conversations = 0
        """How many conversations were held."""
        self.unconfirmed = 0
        """How many failures did not show again."""
        self.fault: Outcome | None = None
        """An outcome that is a fault of the suite, after which the exploration ends."""

    # --- The search ------------------------------------------------------------------------------

    def findings(self, examples: Sequence[Conversation] = ()) -> Iterator[Finding]:
        """Explore, beginning with some examples, and yield what is found, each kind of failure once."""
        ground = self._ground()
        self._restart()  # what discovery has asked is no part of any conversation
        self._until = monotonic() + self._seconds
        for conversation in (*examples, *opening(ground, may_wait=self._seconds >= _WAITING_SECONDS)):
            if self._is_over():
                return
            if self._fails(conversation):
                yield from self._explained(conversation)
        seed = self._options.seed
        while not self._is_over():
            found = search(ground, self._fails, self._is_over, seed)
            seed += 1
            if found is not None:
                yield from self._explained(found)

    def _is_over(self) -> bool:
        is_enough = len(self._known) >= self._most_findings or self._health.has_given_up() or self.fault is not None
        return is_enough or monotonic() >= self._until

    def _ground(self) -> Ground:
        facts = self._health.run_context
        fixtures = facts.fixtures
        keys = [key for key in plan(facts.seed, 0) if fixtures.has(key) and fixtures.get(key).content is not None]
        sizes = tuple((key, fixtures.get(key).size) for key in keys)
        clients = 1 if not facts.is_concurrent else min(_CLIENTS, facts.capacity or _CLIENTS)
        return Ground(facts.dialect, sizes, clients, fixtures.is_local and fixtures.knows_all)

    def _fails(self, conversation: Conversation) -> bool:
        """Hold a conversation, and return whether it breaks a requirement in a way that is not known yet."""
        failure = self._failure(conversation)
        self._history.append(conversation)
        return failure is not None and self._is_new(failure)

    def _is_new(self, failure: Disallowed) -> bool:
        return _signature(failure) not in self._known and failure.violation.requirement not in self._reported

    def _failure(self, conversation: Conversation, *, is_fresh: bool = False) -> Disallowed | None:
        if is_fresh:
            self._restart()
        outcome = self._play(conversation)
        failure = outcome.failure
        if failure is not None:
            self._look_after(failure)
        return failure if isinstance(failure, Disallowed) else None

    def _play(self, conversation: Conversation, *, is_final: bool = False) -> Outcome:
        facts = self._health.run_context
        self.conversations += 1
        factor = 1.0 if self._is_slow or is_final else self._timeouts.short_factor(facts.timeout_seconds)
        outcome = play(scenario_of(conversation, "HFTP-1.6", self.choices), facts, factor, is_alone=is_final)
        if outcome.failure is None and outcome.verdict is None:
            self._timeouts.answered(outcome.slowest_seconds)
        if outcome.verdict is Verdict.ERROR:
            self.fault = outcome
        return outcome

    def _look_after(self, failure: Failure) -> None:
        """Restart the server if it has exited, or hangs."""
        if failure.kind in WIRE_FAILURES and self._health.look() is not State.WELL:
            self._history.clear()

    def _restart(self) -> None:
        if self._health.server.can_restart and not self._health.has_given_up():
            self._health.recover()
            self._history.clear()

    # --- What is found ---------------------------------------------------------------------------

    def _explained(self, conversation: Conversation) -> Iterator[Finding]:
        """Yield the smallest conversation that shows what one shows, if a fresh server shows it, too."""
        history = [*self._history]
        failure = self._failure(conversation)
        for candidate, is_fresh in self._candidates(conversation, history, shows_again=failure is not None):
            wanted = self._failure(candidate, is_fresh=True)
            if wanted is None or not self._is_new(wanted):
                continue
            smallest = self._shrunk(candidate, wanted, is_fresh=is_fresh)
            outcome = self._confirmed(smallest)
            if outcome is None and not is_fresh:
                smallest = self._shrunk(candidate, wanted, is_fresh=True)
                outcome = self._confirmed(smallest)
            if outcome is not None and isinstance(outcome.failure, Disallowed):
                self._known |= {_signature(outcome.failure), _signature(wanted)}
                yield Finding(smallest, outcome)
                return
        self.unconfirmed += 1
        self._is_slow = True  # it may have been a timeout that was too short

    def _candidates(
        self, conversation: Conversation, history: Sequence[Conversation], *, shows_again: bool
    ) -> Iterator[tuple[Conversation, bool]]:
        """Yield what may show a failure on a fresh server, and whether each try to shrink it needs a fresh server."""
        yield conversation, not shows_again
        if self._health.server.can_restart and len(history) > 1:
            yield Conversation(tuple(step for row in history for step in row.steps)), True

    def _shrunk(self, conversation: Conversation, wanted: Disallowed, *, is_fresh: bool) -> Conversation:
        until = monotonic() + max(min(_SHRINKING_SECONDS, 2 * self._seconds), _SHRINKING * self._seconds)
        signature = _signature(wanted)[:2]

        def fails(smaller: Conversation) -> bool:
            failure = self._failure(smaller, is_fresh=is_fresh)
            return failure is not None and _signature(failure)[:2] == signature

        return shrunk(conversation, fails, lambda: monotonic() >= until or self._health.has_given_up())

    def _confirmed(self, conversation: Conversation) -> Outcome | None:
        """Return how a conversation ends on a fresh server, with timeouts in full; None if nothing is wrong then."""
        for _ in range(_CONFIRMATIONS):
            self._restart()
            outcome = self._play(conversation, is_final=True)
            if isinstance(outcome.failure, Disallowed) and self._is_new(outcome.failure):
                self._look_after(outcome.failure)
                scenario = scenario_of(conversation, outcome.failure.violation.requirement)
                return replace(outcome, scenario=scenario)
        return None


def _signature(failure: Disallowed) -> Signature:
    violation = failure.violation
    return violation.requirement, violation.kind, violation.asked.split(b" ")[0][:20]


def scenario_of(conversation: Conversation, requirement: str, choices: Choices | None = None) -> Scenario:
    """Return a conversation as a scenario of a requirement."""
    row = specification()[requirement]
    digest = hashlib.sha256(conversation.dumps().encode()).hexdigest()[:8]
    needs = {key for key in fixtures_of(conversation) if key in _FILES} | (
        {"local"} if conversation.changes_files else set()
    )
    return Scenario(
        f"explored.{row.chapter}-{row.slug}-{digest}",
        requirement,
        scripted(conversation, choices),
        Message("The model allows every reply of a conversation that was made up"),
        needs=frozenset(needs | ({CONCURRENCY} if conversation.clients > 1 else set())),
        isolation=EXCLUSIVE if conversation.changes_files else SHARED,
        timeouts=60.0,
    )


_FILES: Final = frozenset(plan(0, 0))
