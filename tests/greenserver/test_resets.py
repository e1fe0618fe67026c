"""A client that resets its connection leaves nothing in memory, even before the garbage collector has run."""

import pytest

from tests.greenserver.serving import ENGINES, run_script

pytestmark = pytest.mark.once

SCRIPT = """
import gc, socket, struct, sys, tempfile, threading, time
from collections import Counter
from pathlib import Path
from types import FrameType, TracebackType

engine, ask, received = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3])
from greenserver.monkeypatch import patch_for
patch_for(engine)
from greenserver import Server
from greenserver.connection.connection import Connection
from greenserver.connection.reader import Reader
from greenserver.connection.writer import Writer
from greenserver.telemetry import log
log.configure("json", 30)
directory = tempfile.mkdtemp()
Path(directory, "one").write_bytes(b"1")
Path(directory, "large").write_bytes(bytes(8_000_000))
KINDS = (Connection, Reader, Writer, TracebackType, FrameType, BaseException)

def reset():
    client = socket.create_connection(("127.0.0.1", server.port), 20)
    client.sendall(ask)
    left = received
    while left > 0:
        left -= len(client.recv(left))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()

def living():
    return Counter(kind.__name__ for each in gc.get_objects() for kind in KINDS if isinstance(each, kind))

def settled(before):
    deadline = time.monotonic() + 3
    while (more := of_several(living() - before)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return more

def of_several(more):
    # the last client, and the one last served, are kept until the next
    return {kind: count for kind, count in more.items() if count > 2}

with Server(directory, port=0, engine=engine) as server:
    serving = threading.Thread(target=server.serve)
    serving.start()
    reset()
    time.sleep(0.5)
    gc.collect()
    gc.disable()
    before = living()
    for _ in range(10):
        reset()
    print(settled(before))
    server.stop()
    serving.join(20)
"""

RESETS = {
    "before a command": ("", 0),
    "in the middle of a slice": (r"get_slice large 0 8000000" + "\r\n", 300_000),
    "in the middle of raw bytes": (r"get_slice large 0 8000000 raw" + "\r\n", 300_000),
    "with small replies unread": ("get_slice large 0 40000\r\n" * 100, 100),
    "between commands": ("get_metadata one\r\n", 3),
    "in the middle of a command": ("get_metadata one\r\nget_meta", 9),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("ask", "received"), RESETS.values(), ids=RESETS)
def test_a_reset_leaves_nothing_for_the_garbage_collector(engine: str, ask: str, received: int) -> None:
    done = run_script(SCRIPT, engine, ask, str(received))
    assert done.stdout == "{}\n", done.stderr
