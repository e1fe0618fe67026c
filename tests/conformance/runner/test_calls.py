"""The way of a scenario through the suite stays short: its calls are counted, as a profiler sees them.

The bounds are a little above the counts of Python 3.11; later ones call no function for a comprehension.
"""

import itertools
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import conformance
from conformance.client.address import Address
from conformance.config import Options
from conformance.fixtures.base import Fixture
from conformance.fixtures.content import InMemory
from conformance.model.context import RunContext
from conformance.model.events import Event, Result, RunStart
from conformance.model.verdicts import Verdict
from conformance.runner.executor import Executor
from conformance.runner.results import Results
from conformance.runner.timeouts import Timeouts
from conformance.scenarios import catalogue
from conformance.target.health import HealthMonitor
from conformance.target.managed_server import ManagedServer
from conformance.target.remote_fixtures import RemoteFixtures

SUITE = f"{Path(conformance.__file__).parent}/"
SCENARIO = "framing.pipelining"
"""A packet of five commands, the seven lines of their replies, and the end of the stream."""
REPLIES = b"200 NO\r\n0 OK\r\n5\r\n201 NO\r\n0 OK\r\n5\r\n0 OK\r\n"
TEXT = Fixture("text", b"text.txt", 5, InMemory(b"Hello"))
TIMEOUT_SECONDS = 20.0


class Way(NamedTuple):
    """Where an action leads."""

    calls: int
    """How many functions of the suite are called."""
    modules: int
    """In how many modules they are."""
    changes: int
    """How often the next one is in another module."""


MOST = Way(calls=90, modules=14, changes=40)


def way(action: Callable[[], None]) -> Way:
    """Return the way that an action takes through the suite, in this thread."""
    files: list[str] = []

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(SUITE):
            files.append(frame.f_code.co_filename)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(before)
    return Way(len(files), len(set(files)), sum(a != b for a, b in itertools.pairwise(files)))


def answer(listener: socket.socket) -> None:
    """Answer one client, whose last command is quit, all at once."""
    sock, _ = listener.accept()
    with sock:
        received = b""
        while not received.endswith(b"quit\r\n"):
            received += sock.recv(4096)
        sock.sendall(REPLIES)


def test_judges_a_transcript_in_few_calls(tmp_path: Path) -> None:
    scenario = catalogue()[SCENARIO]
    events: list[Event] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = ManagedServer(Address(*listener.getsockname()), directory=tmp_path)
        known = RunContext(server.dial, RemoteFixtures({"text": TEXT}, knows_all=True), "2026", TIMEOUT_SECONDS)
        health = HealthMonitor(server, known)
        executor = Executor(health, Timeouts(TIMEOUT_SECONDS))
        results = Results(Options(), events.append)
        results.begin(RunStart("", "", 0, "2026", "", 1), server.address)
        client = threading.Thread(target=answer, args=(listener,))
        client.start()
        assert server.is_listening
        assert health.run_context.references.filled("{unknown} {text} {text.size}")  # computed once a run

        def judge() -> None:
            results.begin_scenario(scenario)
            for outcome in executor.run([scenario]):
                results.add(outcome)

        found = way(judge)
        client.join()
    result = events[-1]
    assert isinstance(result, Result)
    assert result.verdict == Verdict.PASS, result.got
    assert found.calls <= MOST.calls, found
    assert found.modules <= MOST.modules, found
    assert found.changes <= MOST.changes, found
