"""Replay the bytes of a recorded scenario, in the recorded order, and print the replies."""

import base64
import socket
import zlib
from collections.abc import Callable, Iterator, Mapping

from conformance.client.raw_connection import RawConnection
from conformance.client.recording import REPLAYED_BYTES, Recording, WireEntry, escape
from conformance.failures import Failure, Incomplete, UsageError
from conformance.language import Message
from conformance.model.events import Event, Result, RunStart


class ReplayError(UsageError, ValueError):
    """A scenario cannot be replayed; the one-line message says why."""


def find_result(events: Iterator[Event], scenario: str) -> tuple[RunStart | None, Result]:
    """Return a scenario's result and the start of its run; raise ReplayError."""
    start: RunStart | None = None
    for event in events:
        if isinstance(event, RunStart):
            start = event
        elif isinstance(event, Result) and event.scenario == scenario:
            if not any(entry.what == "sent" for entry in event.transcript):
                message = Message(
                    "{scenario} did not run: {verdict}, {got}", scenario=scenario, verdict=event.verdict, got=event.got
                )
                raise ReplayError(message)
            return start, event
    message = Message("this run has no {scenario}", scenario=scenario)
    raise ReplayError(message)


def replay(
    transcript: list[WireEntry],
    dial: Callable[[float, int], socket.socket],
    timeout_seconds: float,
    write_line: Callable[[str], None],
    *,
    deadline: float,
) -> None:
    """Send the recorded bytes, and read as many as were received; call `write_line` for each step and difference.

    Raises ReplayError for a payload that was too long to be recorded, and if not even the first client can connect.
    """
    peers: dict[int, RawConnection] = {}
    record = Recording()
    for entry in transcript:
        number, what = entry.peer, entry.what
        if what == "connected":
            write_line(Message("{number} connects", number=number))
            try:
                peers[number] = RawConnection(dial, record, number, timeout_seconds=timeout_seconds, deadline=deadline)
            except (Failure, Incomplete) as failure:
                _check_connected(peers, failure)
                write_line(Message("{number} S: {failure}", number=number, failure=failure))
                return
            continue
        peer = peers.get(number)
        if peer is None:
            continue
        if what == "sent":
            data = payload(entry)
            write_line(f"{number} C: {escape(data)}")
            peer.send(data)
        elif what == "received":
            _receive(peer, entry, write_line)
        elif what == "end":
            _receive_end(peer, write_line)
        elif what in {"half-closed", "reset", "closed"}:
            write_line(f"{number} C: <{what}>")
            {"half-closed": peer.half_close, "reset": peer.reset, "closed": peer.close}[what]()
    for peer in peers.values():
        peer.close()


def _check_connected(peers: Mapping[int, RawConnection], failure: Failure | Incomplete) -> None:
    """Raise ReplayError if no client has connected: there is no server."""
    if not peers:
        message = Message("cannot connect: {failure}; start the server first", failure=_got(failure))
        raise ReplayError(message) from failure


def payload(entry: WireEntry) -> bytes:
    """Return the sent bytes if the recording has them; raise ReplayError."""
    if entry.data is not None:
        return entry.data.encode("latin-1")
    if entry.zlib is None:
        message = Message(
            "{size} bytes were sent, of which the recording has only a hash: run the scenario instead", size=entry.size
        )
        raise ReplayError(message)
    size = min(entry.size or 0, REPLAYED_BYTES)
    unpacking = zlib.decompressobj()
    try:
        data = unpacking.decompress(base64.b64decode(entry.zlib, validate=True), size + 1)
    except (ValueError, zlib.error) as error:
        raise _damaged(entry, str(error)) from error
    if len(data) != entry.size or not unpacking.eof:
        raise _damaged(entry, Message("its length is another one"))
    return data


def _damaged(entry: WireEntry, why: str) -> ReplayError:
    return ReplayError(
        Message(
            "{size} bytes were sent, but their recording is damaged ({why}): run the scenario instead",
            size=entry.size,
            why=why,
        )
    )


def _receive(peer: RawConnection, entry: WireEntry, write_line: Callable[[str], None]) -> None:
    size = entry.size or 0
    head, got = b"", 0
    try:
        for piece in peer.read_pieces(size, Message("{size} bytes", size=size)):
            head += piece[: 2048 - len(head)]
            got += len(piece)
    except (Failure, Incomplete) as failure:
        write_line(
            Message(
                "{number} S: {head}; then {failure} (recorded: {size} bytes)",
                number=peer.number,
                head=escape(head, got),
                failure=_got(failure),
                size=size,
            )
        )
        return
    before = (entry.data or entry.head or "").encode("latin-1")
    line = Message("{number} S: {head}", number=peer.number, head=escape(head, got))
    if not head.startswith(before):
        line = Message("{line} (recorded: {before})", line=line, before=escape(before, size))
    write_line(line)


def _receive_end(peer: RawConnection, write_line: Callable[[str], None]) -> None:
    try:
        peer.read_end()
        write_line(f"{peer.number} S: <close>")
    except (Failure, Incomplete) as failure:
        write_line(
            Message(
                "{number} S: {failure} (recorded: the end of the stream)", number=peer.number, failure=_got(failure)
            )
        )


def _got(failure: Failure | Incomplete) -> str:
    return failure.got if isinstance(failure, Failure) else str(failure)
