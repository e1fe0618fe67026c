"""Likely causes of failures, each reported only if its conditions hold: no cause is better than a wrong one.

Different bugs can produce the same failure. A cause then has conditions: what the failure looks like, and a control
request, sent on a new connection, whose reply distinguishes one bug from another.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from conformance.client.recording import Recording
from conformance.failures import Failure, Kind
from conformance.language import Message, either, joined
from conformance.model.context import ScenarioContext
from conformance.model.transcript import Transcript

if TYPE_CHECKING:
    from conformance.model.scenario import Scenario

MAX_CONTROLS: Final = 2
"""Maximum number of control requests per failure."""
_WAITS: Final = 0.15
"""The timeout of a control request, as a fraction of the scenario's: no verdict depends on it."""

Control = str | Callable[[ScenarioContext], bool]
"""A transcript that has to succeed, or a function that returns whether the cause holds."""


@dataclass(frozen=True)
class Cause:
    """A likely cause, if all of its conditions hold; omitted conditions hold always."""

    text: str
    codes: tuple[int, ...] = ()
    """The status codes of which the server sent one."""
    got: str = ""
    """A regular expression to find in `Failure.got`."""
    expected: str = ""
    """A regular expression to find in `Failure.expected`."""
    seen: str = ""
    """What these two expressions mean, as a phrase."""
    when: Callable[[Failure], bool] | None = None
    """Returns whether a failure has the symptoms of this cause; its docstring, `Tell whether ...`, is shown as the
    condition."""
    control: Control | None = None
    """The control request; the docstring of a function is shown as the condition."""
    is_about_next: bool = False
    """Whether it explains why the reply to the next command is out of step."""

    @cached_property
    def transcript(self) -> Transcript | None:
        """The control request, if it is a transcript; raises TranscriptError if it is malformed."""
        return Transcript(self.control) if isinstance(self.control, str) else None

    def fits(self, failure: Failure) -> bool:
        """Return whether a failure has the symptoms of this cause."""
        if self.codes and not re.match(rf"({'|'.join(map(str, self.codes))})(?!\d)", failure.got):
            return False
        patterns = ((self.got, failure.got), (self.expected, failure.expected))
        if not all(re.search(pattern, text) for pattern, text in patterns if pattern):
            return False
        return self.when is None or self.when(failure)

    def holds(self, context: ScenarioContext) -> bool:
        """Send the control request in its own context; return False also if that fails."""
        if self.control is None:
            return True
        try:
            if self.transcript is not None:
                self.transcript(context)
                return True
            return callable(self.control) and self.control(context)
        except Exception:  # noqa: BLE001  (a control request that fails in any way does not confirm the cause)
            return False
        finally:
            _close(context)

    @property
    def conditions(self) -> list[Message]:
        """The conditions as phrases."""
        words = []
        if self.codes:
            words.append(Message("the answer is {codes}", codes=either(map(str, self.codes))))
        words += [Message(self.seen)] * bool(self.seen)
        words += [_words(self.when)] * (self.when is not None)
        if isinstance(self.control, str):
            lines = (line.strip() for line in self.control.strip().splitlines())
            words.append(Message("this goes as written: {lines}", lines=" / ".join(lines)))
        elif self.control is not None:
            words.append(_words(self.control))
        return words

    @property
    def condition(self) -> str:
        """The conditions as one phrase; empty if there are none."""
        return joined(Message(", and "), self.conditions)

    def __str__(self) -> str:
        return f"{self.text} (if {self.condition})" if self.condition else self.text


def _words(function: Callable[..., bool] | None) -> Message:
    """Return the first line of a docstring, `Tell whether ...`, as a condition."""
    return Message((function.__doc__ or "").strip().partition("\n")[0].removeprefix("Tell whether ").rstrip("."))


CauseSpec = str | Cause | Sequence[str | Cause]
"""What a scenario gives for a kind of failure: a certain text, a cause, or several, tried in order."""


class Causes(Mapping[Kind, str]):
    """The causes of a scenario by kind of failure; as a mapping, only the texts that need no further condition."""

    def __init__(self, specs: Mapping[Kind, CauseSpec] | None = None) -> None:
        self._rows = {kind: _row(spec) for kind, spec in (specs or {}).items()}
        self._certain = {kind: row[0].text for kind, row in self._rows.items() if row and not row[0].condition}

    def of(self, kind: Kind) -> tuple[Cause, ...]:
        """Return the causes of a kind of failure, in order of precedence."""
        return self._rows.get(kind, ())

    def rows(self) -> Iterator[tuple[Kind, Cause]]:
        """Yield every cause with its kind."""
        for kind, row in self._rows.items():
            for cause in row:
                yield kind, cause

    def __getitem__(self, kind: Kind) -> str:
        """Return the text that needs no further condition; raise KeyError."""
        return self._certain[kind]

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._certain)

    def __len__(self) -> int:
        return len(self._certain)


def _row(spec: CauseSpec) -> tuple[Cause, ...]:
    causes = (spec,) if isinstance(spec, str | Cause) else tuple(spec)
    return tuple(cause if isinstance(cause, Cause) else Cause(cause) for cause in causes)


def likely(scenario: "Scenario", failure: Failure, context: ScenarioContext) -> str:
    """Return the text of the first cause that holds, or an empty one; close the clients of the context.

    The failure's own cause takes precedence over those of the scenario, except for those about the next reply.

    Sends at most MAX_CONTROLS control requests, on new, unrecorded connections, for about one timeout of the context in
    all. Never raises. Call it while the server runs and nothing else changes the directory: a control request may add
    a file to it temporarily.
    """
    _close(context)
    sent = 0
    deadline = context.clock() + context.timeout_seconds
    for cause in scenario.causes.of(failure.kind):
        if (failure.cause and not cause.is_about_next) or not cause.fits(failure):
            continue
        if cause.control is not None:
            known = context.run_context.controls
            if cause.control not in known:
                sent += 1
                if sent > MAX_CONTROLS:
                    continue
                known[cause.control] = cause.holds(_control_context(context, deadline))
            if not known[cause.control]:
                continue
        return cause.text
    return failure.cause


def _close(context: ScenarioContext) -> None:
    """Close the clients of a context, whatever fails on the way."""
    for _ in range(2):  # the second call does not wait for clients that have sent quit
        with contextlib.suppress(Exception):
            context.close()
            return


def _control_context(context: ScenarioContext, deadline: float) -> ScenarioContext:
    """Return a context for a control request, whose recording is discarded."""
    run_context = replace(context.run_context, new_recording=Recording)
    found = ScenarioContext(run_context, is_crowded=True, scenario_id="control")
    found.timeout_seconds = context.timeout_seconds * _WAITS
    found.deadline = deadline
    return found
