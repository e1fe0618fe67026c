"""Send several commands, and judge the content of a reply separately from its form.

A reply without a readable status line (a malformed one, none, a close, a reset) serves no file and reveals nothing.
Scenarios about something more serious than the form of a reply skip such replies.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from conformance.client.client import CODES, Client, Status
from conformance.client.recording import escape
from conformance.failures import Failure, Incomplete, Kind
from conformance.language import Message
from conformance.model.scenario import ScenarioContext

COMMANDS: Final = (b"get_metadata %b", b"get_slice %b 0 0", b"get_slice %b 0 1")
"""The commands to send for a name."""

_WAITS: Final = 2
"""How many timeouts to wait for a reply: here no reply is not a failure, so the scenario is not repeated."""
_MOST_SILENCES: Final = 2
"""After this many commands without a reply the scenario is not judged."""

_Value = TypeVar("_Value")


class _SilentError(Exception):
    """The server neither replied nor closed."""


def answers(context: ScenarioContext, lines: Iterable[bytes]) -> Iterator[tuple[bytes, Client, Status]]:
    """Send commands one by one, and yield each with its client and status; reconnect after a fatal status.

    Raises Failure if the reply is missing or is not a status line.
    """
    client: Client | None = None
    for line in lines:
        client = client or context.connect()
        client.send_line(line)
        status = client.status()
        yield line, client, status
        if status.is_fatal:
            client.read_end(Message("the end of the stream after a fatal status"))
            client = None
    if client is not None:
        client.finish()


def _read_status(client: Client, line: bytes) -> Status | None:
    """Send a command and return its status, or None if the reply is not a status line.

    Raises _SilentError if nothing arrives within two timeouts.
    """
    client.send_line(line)
    return _status(client, _WAITS)


def _status(client: Client, waits: int) -> Status | None:
    try:
        return client.status()
    except Failure as failure:
        if failure.kind is not Kind.TIMEOUT:
            return None
    if waits == 1:
        raise _SilentError
    return _status(client, waits - 1)


def readable_answers(context: ScenarioContext, lines: Iterable[bytes]) -> Iterator[tuple[bytes, Client, Status]]:
    """Send commands one by one, and yield those with a readable status line, each with its client and status.

    Reconnects after a fatal status, and after a reply without a status line. Raises Incomplete if no reply is readable,
    or if several commands get none; Failure if the server accepts no connection.
    """
    client: Client | None = None
    unreadable: list[bytes] = []
    silences = readable = 0
    for line in lines:
        status = None
        try:
            status = _read_status(client, line) if client is not None else None
            if status is None or status.code == 0:  # this may be the rest of the previous reply
                client = context.connect()
                status = _read_status(client, line)
        except _SilentError:
            silences += 1
        if status is None or client is None:
            client = None
            unreadable.append(line)
            if silences >= _MOST_SILENCES:
                break
            continue
        readable += 1
        yield line, client, status
        if status.is_fatal:
            client = None
    if client is None:
        context.connect()  # raises Failure if the last command crashed the server
    if unreadable and (not readable or silences >= _MOST_SILENCES):
        message = Message("no readable reply to {unreadable}", unreadable=escape(unreadable[0]))
        raise Incomplete(message)
    if unreadable:
        context.observe(
            Message(
                "no readable reply to {count} of the commands, the first: {unreadable}",
                count=len(unreadable),
                unreadable=escape(unreadable[0]),
            )
        )


def readable_sizes(context: ScenarioContext, lines: Iterable[bytes]) -> Iterator[tuple[bytes, int, Status]]:
    """Send get_metadata lines, and yield the sizes in the replies, 0 if there is no readable one."""
    for line, client, status in readable_answers(context, lines):
        yield line, (_readable(client.size) or 0) if status.code == 0 else 0, status


def _readable(read: Callable[[], _Value]) -> _Value | None:
    """Return the value that `read` returns, or None if the reply has another form."""
    try:
        return read()
    except Failure:
        return None


def require_readable(client: Client, *codes: int) -> Status:
    """Read a status line with one of these codes; raise Incomplete if the line is not a status line."""
    try:
        return client.status(*codes)
    except Failure as failure:
        if failure.kind is not Kind.MALFORMED:
            raise
        message = Message("the reply is not a status line (judged by other scenarios): {got}", got=failure.got)
        raise Incomplete(message) from failure


def require_served(client: Client) -> None:
    """Require that a client gets a reply to a command, in any form; raise Failure."""
    client.send_line(client.words.unknown)
    try:
        client.status(200, 201, 202)
    except Failure as failure:
        if failure.kind is not Kind.MALFORMED:
            raise
    client.quit_and_close()


def refusals_of_directory(context: ScenarioContext, line: bytes) -> tuple[int, ...]:
    """Return the codes allowed in reply to a command with the name of a directory; before 2026 all are.

    A slice may also be answered with 199, because reading a directory as a file fails.
    """
    if context.dialect != "2026":
        return tuple(CODES)
    return (199, 201, 202) if line.startswith(b"get_slice") else (201, 202)


def ask_directory(context: ScenarioContext, line: bytes) -> None:
    """Require exactly one correct reply to a command with the name of a directory; raise Failure."""
    client = context.connect()
    client.send_line(line)
    status = client.status(*refusals_of_directory(context, line))
    context.observe(Message("answered {status}", status=status))
    if status.code != 0:
        client.in_step()


def survive(context: ScenarioContext, lines: Iterable[bytes]) -> None:
    """Send commands, each on its own connection, ignore the replies, and require that a new client is served."""
    for line in lines:
        client = context.connect()
        client.send_line(line)
        client.quit_and_close()
    context.probe()
