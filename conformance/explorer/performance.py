"""Hold one conversation with a server, and have the model judge every byte of it."""

import contextlib
from typing import Final

from conformance.client.client import Client
from conformance.explorer.conversation import (
    SPARSE_NAME,
    AddFiles,
    AddSparse,
    Conversation,
    Leave,
    Open,
    RemoveFiles,
    Send,
    Silence,
    Step,
    added_name,
    pieces,
    rendered,
)
from conformance.explorer.known_files import served_by
from conformance.failures import Failure, Incomplete, Kind
from conformance.fixtures.content import Content, Generated, InMemory, Sparse
from conformance.language import Message
from conformance.model.context import Play, ScenarioContext
from conformance.oracle.choices import Choices
from conformance.oracle.dialogue import Dialogue
from conformance.oracle.reading import Violation, shown
from conformance.spec.reader import specification

_TIMEOUTS: Final = 60.0
"""How long a conversation may take, in multiples of one timeout."""
_OPEN_CUTS: Final = 8
"""After so many pieces the server is not waited for any more."""
_SOME: Final = Generated(1 << 16, 1)
"""Where the contents of files that are added come from."""
_OFFSETS: Final = 997
_NAME_SIZE: Final = 3
"""The size of files that differ by their names."""


class Disallowed(Failure):
    """The server did what the model does not allow."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(violation.kind, violation.expected, violation.got)
        self.violation = violation
        if violation.asked:
            self.about(shown(violation.asked))


class _Talk:
    """A client and what the model knows of its connection."""

    def __init__(self, client: Client, dialogue: Dialogue) -> None:
        self.client = client
        self.dialogue = dialogue
        self.has_left = False


class Performance:
    """One performance of a conversation; the model remembers the server's choices in `choices`."""

    def __init__(self, conversation: Conversation, context: ScenarioContext, choices: Choices) -> None:
        self._conversation = conversation
        self._context = context
        self._choices = choices
        self._talks: dict[int, _Talk] = {}
        self._served = served_by(context.fixtures, context.run_context.seed)
        self._files = contextlib.ExitStack()

    def run(self) -> None:
        """Hold the conversation; raise Disallowed, Incomplete or Unsupported."""
        self._context.allow(_TIMEOUTS)
        with self._files:
            for step in self._conversation.steps:
                self._take(step)
            for talk in list(self._talks.values()):
                self._finish(talk)
            self._talks.clear()
            self._serve_another()

    # --- Steps -----------------------------------------------------------------------------------

    def _take(self, step: Step) -> None:
        match step:
            case Send():
                self._send(step)
            case Open():
                for number in range(step.clients):
                    self._talk(number)
                self._context.await_accepted()
                self._context.pause()
            case Leave():
                self._leave(self._talk(step.client), step.how)
            case Silence():
                self._be_silent(step.seconds)
            case AddFiles() | AddSparse():
                self._settle_all()
                self._add(step)
            case RemoveFiles():
                self._settle_all()
                self._files.close()
                self._know_files()

    def _talk(self, number: int) -> _Talk:
        """Return a client, connected if it is the first time, or again if its connection is over."""
        found = self._talks.get(number)
        if found is None or found.has_left or found.client.is_over:
            try:
                client = self._context.connect()
            except Failure as failure:
                raise Disallowed(self._refused(failure)) from None
            found = self._talks[number] = _Talk(
                client, Dialogue(self._served, self._context.dialect, choices=self._choices)
            )
        return found

    def _refused(self, failure: Failure) -> Violation:
        level = specification()["HFTP-10.4"].levels[self._context.dialect]
        return Violation("HFTP-10.4", level, failure.kind, failure.expected, failure.got)

    def _send(self, step: Send) -> None:
        talk = self._talk(step.client)
        for number, piece in enumerate(pieces(rendered(step, self._context.filled), step.cuts)):
            if number and number < _OPEN_CUTS:
                talk.client.await_read()
            talk.dialogue.sent(piece)
            if not talk.client.send(piece):
                break
        if step.waits:
            self._settle(talk)

    def _leave(self, talk: _Talk, how: str) -> None:
        if how == "half-close":
            talk.client.half_close()
            talk.dialogue.half_closed()
            self._settle(talk)
            return
        talk.has_left = True
        if how == "reset":
            talk.client.reset()
        else:
            talk.client.close()

    def _be_silent(self, seconds: float) -> None:
        """Wait, and go on once the time is over by the clock that stands still while the machine is busy."""
        clock = self._context.clock
        until = clock() + seconds
        self._context.allow(_TIMEOUTS)
        while clock() < until:
            self._context.pause()

    # --- Replies ---------------------------------------------------------------------------------

    def _settle_all(self) -> None:
        for talk in self._talks.values():
            if not talk.has_left:
                self._settle(talk)

    def _settle(self, talk: _Talk) -> None:
        """Receive until the server owes nothing; raise Disallowed."""
        while not talk.dialogue.is_settled:
            self._receive(talk)
        self._check(talk)

    def _receive(self, talk: _Talk) -> None:
        """Receive something, or the end; raise Disallowed, or Incomplete if all took too long."""
        data, ending = talk.client.collect(bool)
        if data:
            talk.dialogue.received(data)
        elif ending == "silence":
            if self._context.clock() >= self._context.deadline:
                message = Message("the conversation takes too long for the time limit (raise it with --timeout-scale)")
                raise Incomplete(message)
            talk.dialogue.silent(talk.client.timeout_seconds)
        else:
            talk.dialogue.ended(is_reset=ending == "reset")
        self._check(talk)

    def _check(self, talk: _Talk) -> None:
        if (violation := talk.dialogue.violation) is not None:
            raise Disallowed(violation)

    def _finish(self, talk: _Talk) -> None:
        """Have a client say quit, unless it cannot, and read to the end."""
        if talk.has_left:
            return
        if not talk.dialogue.is_over and not talk.dialogue.is_half_closed:
            talk.dialogue.sent(b"quit\r\n")
            talk.client.send(b"quit\r\n")
        while not talk.dialogue.is_over:
            self._receive(talk)
        self._check(talk)
        talk.has_left = True
        talk.client.quit_and_close()

    def _serve_another(self) -> None:
        """Require that a new client is served as ever; raise Disallowed."""
        self._send(Send(("get_file_listing", "zz")))
        self._finish(self._talks[0])

    # --- Files -----------------------------------------------------------------------------------

    def _add(self, step: AddFiles | AddSparse) -> None:
        files: dict[bytes, Content] = {}
        if isinstance(step, AddSparse):
            files[SPARSE_NAME.encode()] = Sparse(step.size)
        else:
            for number in range(step.first, step.first + step.count):
                size = number if step.by == "size" else _NAME_SIZE
                files[added_name(step.by, number).encode()] = InMemory(_SOME.read(number % _OFFSETS, size))
        self._files.enter_context(self._context.fixtures.added(files))
        for name, content in files.items():
            self._served = self._served.with_file(name, content)
        self._know_files(keeps=True)

    def _know_files(self, *, keeps: bool = False) -> None:
        if not keeps:
            self._served = served_by(self._context.fixtures, self._context.run_context.seed)
        for talk in self._talks.values():
            talk.dialogue.served = self._served


def scripted(conversation: Conversation, choices: Choices | None = None) -> Play:
    """Return a conversation as the play of a scenario, which the model judges."""

    def play(context: ScenarioContext) -> None:
        try:
            Performance(conversation, context, choices if choices is not None else Choices()).run()
        except Failure as failure:
            if not isinstance(failure, Disallowed) and failure.kind is Kind.REFUSED:
                raise Disallowed(
                    Violation("HFTP-10.4", "SHOULD", failure.kind, failure.expected, failure.got)
                ) from None
            raise

    return play


__all__ = ["Disallowed", "Performance", "scripted"]
