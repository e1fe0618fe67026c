"""Sends the bytes of a recorded scenario again, in the recorded order, and tells what comes back."""

import base64
import socket
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from conformance.client.peer import Peer
from conformance.client.recording import Record, shown
from conformance.failures import Failure
from conformance.model.events import Event, Result, RunStart


class ReplayError(ValueError):
    """Why something cannot be sent again, in one line."""


def find_result(events: Iterator[Event], scenario: str) -> tuple[RunStart | None, Result]:
    """Return a scenario's result and the run that it belongs to; raise ReplayError."""
    start: RunStart | None = None
    for event in events:
        if isinstance(event, RunStart):
            start = event
        elif isinstance(event, Result) and event.scenario == scenario:
            if not any(moment["what"] == "sent" for moment in event.transcript):
                message = f"{scenario} was not played in this run: {event.verdict}, {event.got}"
                raise ReplayError(message)
            return start, event
    message = f"this run has no {scenario}"
    raise ReplayError(message)


def replay(
    transcript: list[dict[str, Any]],
    dial: Callable[[float, int], socket.socket],
    patience_seconds: float,
    tell: Callable[[str], None],
    *,
    deadline: float,
) -> None:
    """Send what was sent and wait for as many bytes as came; tell each step, and where the answer is another.

    Raises ReplayError for a payload that was too long to be kept.
    """
    peers: dict[int, Peer] = {}
    record = Record()
    for moment in transcript:
        number, what = int(moment["peer"]), str(moment["what"])
        if what == "connected":
            tell(f"{number} connects")
            try:
                peers[number] = Peer(dial, record, number, patience_seconds=patience_seconds, deadline=deadline)
            except Failure as failure:
                tell(f"{number} S: {failure}")
                return
            continue
        peer = peers.get(number)
        if peer is None:
            continue
        if what == "sent":
            data = payload(moment)
            tell(f"{number} C: {shown(data)}")
            peer.send(data)
        elif what == "received":
            _hear(peer, moment, tell)
        elif what == "end":
            _hear_end(peer, tell)
        elif what in {"half-closed", "reset", "closed"}:
            tell(f"{number} C: <{what}>")
            {"half-closed": peer.half_close, "reset": peer.reset, "closed": peer.close}[what]()
    for peer in peers.values():
        peer.close()


def payload(moment: Mapping[str, Any]) -> bytes:
    """Return what was sent, if the record has it; raise ReplayError."""
    if "data" in moment:
        return str(moment["data"]).encode("latin-1")
    if "zlib" in moment:
        return zlib.decompress(base64.b64decode(moment["zlib"]))
    message = f"{moment['bytes']} bytes were sent that the record has only a hash of: run the scenario instead"
    raise ReplayError(message)


def _hear(peer: Peer, moment: Mapping[str, Any], tell: Callable[[str], None]) -> None:
    size = int(moment["bytes"])
    head, got = b"", 0
    try:
        for piece in peer.read_pieces(size, f"{size} bytes"):
            head += piece[: 2048 - len(head)]
            got += len(piece)
    except Failure as failure:
        tell(f"{peer.number} S: {shown(head, got)}; then {failure.got} (recorded: {size} bytes)")
        return
    before = str(moment.get("data", moment.get("head", ""))).encode("latin-1")
    differs = "" if head.startswith(before) else f" (recorded: {shown(before, size)})"
    tell(f"{peer.number} S: {shown(head, got)}{differs}")


def _hear_end(peer: Peer, tell: Callable[[str], None]) -> None:
    try:
        peer.read_end()
        tell(f"{peer.number} S: <close>")
    except Failure as failure:
        tell(f"{peer.number} S: {failure.got} (recorded: the end of the stream)")
