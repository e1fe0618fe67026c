"""Replay sends recorded bytes again, and reports those that the recording lacks."""

import base64
import tracemalloc
import zlib

import pytest
from msgspec.structs import replace

from conformance.client.recording import REPLAYED_BYTES, Recording, WireEntry
from conformance.tools.replay import ReplayError, payload

LONG = b"get_metadata " + b"n" * 5000 + b"\r\n"
PACKED = base64.b64encode(zlib.compress(LONG)).decode()


def entry(**more: str) -> WireEntry:
    return replace(WireEntry(0.5, 1, "sent", size=len(LONG)), **more)


@pytest.mark.parametrize("data", [b"", bytes(range(256)), LONG], ids=["nothing", "each byte", "long"])
def test_recovers_sent_bytes_from_the_recording(data: bytes) -> None:
    record = Recording()
    record.payload(1, "sent", data)
    (recorded,) = record.describe()
    assert payload(recorded) == data
    assert (recorded.data is None) == (data == LONG)


@pytest.mark.parametrize(
    ("recorded", "reason"),
    [
        (entry(head="g", tail="n", sha256="00"), "only a hash"),
        (entry(zlib="no base64!"), "recording is damaged"),
        (entry(zlib=base64.b64encode(b"not compressed").decode()), "recording is damaged"),
        (entry(zlib=base64.b64encode(zlib.compress(LONG)[:20]).decode()), "recording is damaged"),
        (entry(zlib="\u1234"), "recording is damaged"),
        (entry(zlib=base64.b64encode(zlib.compress(LONG + b"!")).decode()), "recording is damaged"),
        (entry(zlib=base64.b64encode(zlib.compress(LONG[:-1])).decode()), "recording is damaged"),
    ],
    ids=["a hash", "no base64", "not compressed", "cut off", "no ASCII", "too long", "too short"],
)
def test_reports_missing_data_in_one_line(recorded: WireEntry, reason: str) -> None:
    assert payload(entry(zlib=PACKED)) == LONG
    with pytest.raises(ReplayError, match=reason) as refused:
        payload(recorded)
    assert "5015 bytes were sent" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_does_not_inflate_gigabytes() -> None:
    packer = zlib.compressobj(9)
    start = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = start + (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)) * ((1 << 10) - 1)
    assert len(packed) < 2_000_000
    recorded = WireEntry(0.5, 1, "sent", size=1 << 30, zlib=base64.b64encode(packed).decode())
    tracemalloc.start()
    with pytest.raises(ReplayError, match="recording is damaged"):
        payload(recorded)
    assert tracemalloc.get_traced_memory()[1] < 3 * REPLAYED_BYTES
    tracemalloc.stop()
