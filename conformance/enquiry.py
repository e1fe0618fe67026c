"""What has to be known of a server before it is judged: its distance, its dialect, and if it serves two at once."""

import base64
import binascii
import contextlib
import re
from collections.abc import Callable
from time import monotonic
from typing import Final

from conformance.client import UNKNOWN, Client
from conformance.failure import Failure
from conformance.fixtures import SERVABLE

Connect = Callable[[], Client]
"""Gives a new client, without closing the ones before; raises Failure."""

ASSUMED_DIALECT: Final = "2019"
"""Of a server without help that has no file to ask for."""
_SAMPLE_BYTES: Final = 40
_ASKED_FILES: Final = 32
_MEASUREMENTS: Final = 3


def round_trip_seconds(connect: Connect) -> float:
    """Return how long a command takes from its first byte to the reply's last: the median of a few."""
    found = []
    for _ in range(_MEASUREMENTS):
        with contextlib.closing(connect()) as client:
            started = monotonic()
            client.say(UNKNOWN)
            client.status()
            found.append(monotonic() - started)
    return sorted(found)[len(found) // 2]


def is_concurrent(connect: Connect) -> bool:
    """Tell whether a client is served while another one is connected and says nothing."""
    with contextlib.closing(connect()) as idle:
        idle.say(UNKNOWN)
        idle.status()
        try:
            with contextlib.closing(connect()) as other:
                other.say(UNKNOWN)
                other.status()
        except Failure:
            return False
    return True


def is_healthy(connect: Connect) -> bool:
    """Tell whether a new client gets a reply."""
    try:
        with contextlib.closing(connect()) as client:
            client.say(UNKNOWN)
            client.status()
    except Failure:
        return False
    return True


def dialect_of(connect: Connect) -> str:
    """Return the dialect that a server speaks: by whether it knows help, and by the form of a slice."""
    with contextlib.suppress(Failure), contextlib.closing(connect()) as client:
        client.say("help")
        if client.status().code == 0:
            return "2026"
    found = _file(connect)
    if found is None:
        return ASSUMED_DIALECT
    name, size = found
    wanted = min(size, _SAMPLE_BYTES)
    with contextlib.suppress(Failure), contextlib.closing(connect()) as client:
        client.say(b"get_slice %b 0 %d" % (name, wanted))
        client.say("quit")
        if client.status().code == 0:
            return form_of(client.read_rest(), wanted)
    return ASSUMED_DIALECT


def form_of(rest: bytes, size: int) -> str:
    """Return the dialect in which `size` bytes of a slice, and the reply to quit, were sent."""
    quitting = rb"0( [^\r\n]*)?\r\n"
    with contextlib.suppress(binascii.Error):
        line, _, after = rest.partition(b"\r\n")
        if len(base64.b64decode(line, validate=True)) == size and re.fullmatch(quitting, after):
            return "2019"
    if re.fullmatch(quitting, rest[size:]):
        return "2018"
    if re.match(rb"[1-9][0-9]* ", rest) and re.search(rb"\r\n0 \r\n" + quitting + rb"\Z", rest):
        return "2016"
    return ASSUMED_DIALECT


def _file(connect: Connect) -> tuple[bytes, int] | None:
    """Return a file that is not empty, and its size."""
    with contextlib.suppress(Failure), contextlib.closing(connect()) as client:
        client.say("get_file_listing")
        if client.status().code:
            return None
        for name in [name for name in client.listing() if SERVABLE.fullmatch(name)][:_ASKED_FILES]:
            client.say(b"get_metadata " + name)
            if client.status().code == 0 and (size := client.size()):
                return name, size
            if client.latest is not None and client.latest.is_fatal:
                return None
    return None
