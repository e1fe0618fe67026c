"""An unexpected exception closes one connection and affects nothing else, on every engine."""

import json

import pytest

from tests.greenserver.serving import ENGINES, run_script

pytestmark = pytest.mark.once

FAILURES = 4
"""More than the connection limit: each failed connection must release its slot."""

SCRIPT = """
import socket, sys, tempfile, threading, time
from pathlib import Path
engine, method, failures = sys.argv[1], sys.argv[2], int(sys.argv[3])
from greenserver.monkeypatch import patch_for
patch_for(engine)
from greenserver import Server
from greenserver.config.limits import Limits
from greenserver.telemetry import log
from greenserver.telemetry.metrics_interface import Metrics
log.configure("json", 30)

class Failing(Metrics):
    left = failures

def fail(self, *_):
    if Failing.left:
        Failing.left -= 1
        raise ValueError("metrics failed")

setattr(Failing, method, fail)
directory = tempfile.mkdtemp()
Path(directory, "one").write_bytes(b"1")

def ask():
    try:
        with socket.create_connection(("127.0.0.1", server.port), 20) as client:
            client.sendall(b"get_metadata one\\r\\n" + (b"" if method == "stalled" and Failing.left else b"quit\\r\\n"))
            reply = b""
            while more := client.recv(100):
                reply += more
            return reply.decode()
    except ConnectionError:
        return "reset"

limits = Limits(max_connections=1, idle_seconds=0.2)
with Server(directory, port=0, engine=engine, metrics=Failing(), limits=limits) as server:
    serving = threading.Thread(target=server.serve)
    serving.start()
    replies = []
    deadline = time.monotonic() + 30
    served = ["0 OK\\r\\n1\\r\\n0 OK\\r\\n"]
    while (Failing.left or replies[-2:] != served * 2) and time.monotonic() < deadline:
        replies.append(ask())
        time.sleep(0.05)
    server.stop()
    serving.join(20)
    print(Failing.left, replies[-2:] == served * 2, serving.is_alive())
"""


@pytest.mark.parametrize("method", ["connected", "received", "command", "stalled", "disconnected"])
@pytest.mark.parametrize("engine", ENGINES)
def test_an_exception_is_logged_once_and_releases_its_slot(engine: str, method: str) -> None:
    done = run_script(SCRIPT, engine, method, str(FAILURES))
    assert done.stdout == "0 True False\n", done.stderr
    logged = [json.loads(line) for line in done.stderr.splitlines()]
    failed = [event for event in logged if event["event"] == "connection failed"]
    assert len(failed) == FAILURES, done.stderr
    assert all("ValueError: metrics failed" in event["traceback"] for event in failed)
