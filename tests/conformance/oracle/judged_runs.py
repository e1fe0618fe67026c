"""Play scenarios against a server while the model judges each of their conversations, byte by byte."""

from dataclasses import dataclass, field, replace

from conformance.client.recording import Payload, Recording
from conformance.config import Options
from conformance.explorer.known_files import served_by
from conformance.model.context import RunContext
from conformance.model.events import Event, Result
from conformance.model.scenario import SHARED, Catalogue
from conformance.oracle.choices import Choices
from conformance.oracle.dialogue import Dialogue
from conformance.oracle.reading import Violation
from conformance.oracle.served import Served
from conformance.runner.runner import Runner
from conformance.target.environment import Environment
from tests.broken_servers import forking

NOTHING_KNOWN = Served(is_whole=False)


@dataclass
class Judgement:
    """What the model says of all conversations of a run."""

    facts: RunContext
    scenarios: Catalogue
    violations: dict[str, list[Violation]] = field(default_factory=dict)
    replies: int = 0
    choices: Choices = field(default_factory=Choices)


class JudgedRecording(Recording):
    """A recording that tells the model what is recorded."""

    def __init__(self, judgement: Judgement) -> None:
        super().__init__()
        self._judgement = judgement
        self._dialogues: dict[int, Dialogue] = {}
        self._told: set[int] = set()

    def note(self, peer: int, what: str, note: str = "", *, payload: Payload | None = None) -> None:
        super().note(peer, what, note, payload=payload)
        if what == "connected":
            self._dialogues[peer] = self._new()
        dialogue = self._dialogues.get(peer)
        if dialogue is None:
            return
        if what in {"end", "reset by server"}:
            dialogue.ended(is_reset=what != "end")
        elif what == "half-closed":
            dialogue.half_closed()
        elif what == "silence" and self._judgement.facts.is_concurrent:
            dialogue.silent(1.0)
        self._tell(peer)

    def payload(self, peer: int, what: str, data: bytes, *, is_apart: bool = False) -> None:
        super().payload(peer, what, data, is_apart=is_apart)
        if (dialogue := self._dialogues.get(peer)) is not None:
            (dialogue.sent if what == "sent" else dialogue.received)(data)
            self._tell(peer)

    def _new(self) -> Dialogue:
        facts, name = self._judgement.facts, self._name
        is_known = name in self._judgement.scenarios and self._judgement.scenarios[name].isolation == SHARED
        served = served_by(facts.fixtures, facts.seed) if is_known else NOTHING_KNOWN
        return Dialogue(served, facts.dialect, self._judgement.choices)

    @property
    def _name(self) -> str:
        return self._judgement.facts.activity.playing.get(self, "")

    def _tell(self, peer: int) -> None:
        violation = self._dialogues[peer].violation
        if violation is not None and peer not in self._told:
            self._told.add(peer)
            self._judgement.violations.setdefault(self._name, []).append(violation)


class JudgedRunner(Runner):
    """A runner whose conversations the model judges."""

    judgement: Judgement

    def __enter__(self) -> "JudgedRunner":  # noqa: PYI034  (typing has Self from 3.11 on)
        super().__enter__()
        facts = self._health.run_context
        self.judgement = Judgement(facts, self.catalogue)
        self._health.run_context = replace(facts, new_recording=lambda: JudgedRecording(self.judgement))
        return self


def judge(options: Options, scenarios: Catalogue) -> tuple[list[Result], Judgement]:
    """Return the results of a run, and what the model says of it."""
    events: list[Event] = []
    with (
        Environment(options, forking.launch) as environment,
        JudgedRunner(options, scenarios, events.append, environment) as runner,
    ):
        runner.run()
    return [event for event in events if isinstance(event, Result)], runner.judgement
