"""Causes of failures: what is likely wrong, told only where it fits what was seen; no cause is better than a wrong one.

Several mistakes can end in the same failure. Where they do, a cause has conditions: what the failure looks like, and a
control question, which is put to the server on a new connection and whose answer tells one mistake from another.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Final

from conformance.failures import Failure, Kind
from conformance.model.context import ScenarioContext
from conformance.model.transcript import Transcript

if TYPE_CHECKING:
    from conformance.model.scenario import Scenario

QUESTIONS: Final = 2
"""How many control questions are asked about one failure."""
_WAITS: Final = 0.15
"""The patience of one wait of a control question, as a share of the scenario's: no verdict hangs on it."""

Control = str | Callable[[ScenarioContext], bool]
"""A transcript that has to go as it is written, to its end, or a function that returns whether the cause holds."""


@dataclass(frozen=True)
class Cause:
    """What is likely wrong, if all of its conditions hold; those that are left out hold always."""

    text: str
    codes: tuple[int, ...] = ()
    """The status codes of which one was got."""
    got: str = ""
    """A regular expression that is found in what was got."""
    expected: str = ""
    """A regular expression that is found in what was expected."""
    seen: str = ""
    """What these two mean, in words."""
    when: Callable[[Failure], bool] | None = None
    """Tells whether a failure looks as this cause makes it look; its docstring is the condition in words."""
    control: Control | None = None
    """The control question; the docstring of a function is the condition in words."""
    is_about_next: bool = False
    """Whether it explains a wrong reply to the next command, of which the client says that replies are out of step."""

    @cached_property
    def transcript(self) -> Transcript | None:
        """The control question, if it is a transcript; raises TranscriptError if it is not well-formed."""
        return Transcript(self.control) if isinstance(self.control, str) else None

    def fits(self, failure: Failure) -> bool:
        """Tell whether a failure looks as this cause makes it look."""
        if self.codes and not re.match(rf"({'|'.join(map(str, self.codes))})(?!\d)", failure.got):
            return False
        patterns = ((self.got, failure.got), (self.expected, failure.expected))
        if not all(re.search(pattern, text) for pattern, text in patterns if pattern):
            return False
        return self.when is None or self.when(failure)

    def holds(self, context: ScenarioContext) -> bool:
        """Ask the control question on a stage of its own; return False also if it cannot be asked."""
        if self.control is None:
            return True
        try:
            if self.transcript is not None:
                self.transcript(context)
                return True
            return callable(self.control) and self.control(context)
        except Exception:  # noqa: BLE001  (a question that goes wrong in any way is not answered by yes)
            return False
        finally:
            _close(context)

    @property
    def condition(self) -> str:
        """The conditions in words; empty if there are none."""
        words = []
        if self.codes:
            words.append(f"the answer is {' or '.join(map(str, self.codes))}")
        words += [self.seen] * bool(self.seen)
        words += [_words(self.when)] * (self.when is not None)
        if isinstance(self.control, str):
            lines = (line.strip() for line in self.control.strip().splitlines())
            words.append(f"this goes as written: {' / '.join(lines)}")
        elif self.control is not None:
            words.append(_words(self.control))
        return ", and ".join(words)

    def __str__(self) -> str:
        return f"{self.text} (if {self.condition})" if self.condition else self.text


def _words(function: Callable[..., bool] | None) -> str:
    """Return the first line of a docstring, `Tell whether ...`, as a condition."""
    return (function.__doc__ or "").strip().partition("\n")[0].removeprefix("Tell whether ").rstrip(".")


Told = str | Cause | Sequence[str | Cause]
"""What a scenario says of a kind of failure: a text that is certain, a cause, or several of which the first is told."""


class Causes(Mapping[Kind, str]):
    """The causes of a scenario by kind of failure; as a mapping it has those texts that are certain from the kind."""

    def __init__(self, told: Mapping[Kind, Told] | None = None) -> None:
        self._rows = {kind: _row(causes) for kind, causes in (told or {}).items()}
        self._certain = {kind: row[0].text for kind, row in self._rows.items() if row and not row[0].condition}

    def of(self, kind: Kind) -> tuple[Cause, ...]:
        """Return the causes of a kind of failure, the first to be told first."""
        return self._rows.get(kind, ())

    def rows(self) -> Iterator[tuple[Kind, Cause]]:
        """Yield every cause with its kind."""
        for kind, row in self._rows.items():
            for cause in row:
                yield kind, cause

    def __getitem__(self, kind: Kind) -> str:
        """Return the text that is certain from the kind; raise KeyError."""
        return self._certain[kind]

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._certain)

    def __len__(self) -> int:
        return len(self._certain)


def _row(told: Told) -> tuple[Cause, ...]:
    causes = (told,) if isinstance(told, str | Cause) else tuple(told)
    return tuple(cause if isinstance(cause, Cause) else Cause(cause) for cause in causes)


def likely(scenario: "Scenario", failure: Failure, context: ScenarioContext) -> str:
    """Return the text of the first cause that holds, or an empty one; closes the clients of the stage.

    What a failure says of its own cause comes before the causes of the scenario, except for those about the next reply.

    Asks at most QUESTIONS control questions, on new connections that are recorded nowhere, for about as long as one
    wait of the stage. It never raises. Is to be called while the server is alive, and while nobody else changes the
    directory: a control question may add a file to it for a moment.
    """
    _close(context)
    questions = 0
    deadline = monotonic() + context.timeout_seconds
    for cause in scenario.causes.of(failure.kind):
        if (failure.cause and not cause.is_about_next) or not cause.fits(failure):
            continue
        if cause.control is not None:
            known = context.run_context.controls
            if cause.control not in known:
                questions += 1
                if questions > QUESTIONS:
                    continue
                known[cause.control] = cause.holds(_control_context(context, deadline))
            if not known[cause.control]:
                continue
        return cause.text
    return failure.cause


def _close(context: ScenarioContext) -> None:
    """Let the clients of a stage leave, however long the server takes for its last replies."""
    for _ in range(2):  # a client that has said goodbye is not waited for again
        with contextlib.suppress(Exception):
            context.close()
            return


def _control_context(context: ScenarioContext, deadline: float) -> ScenarioContext:
    """Return a stage for a control question, with a record that is thrown away."""
    found = ScenarioContext(context.run_context, is_crowded=True, scenario_id="control")
    found.timeout_seconds = context.timeout_seconds * _WAITS
    found.deadline = deadline
    return found
