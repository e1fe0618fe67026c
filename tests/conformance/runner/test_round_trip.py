"""The timeout follows the round trip, which is measured again for a server on another machine."""

import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from time import sleep

import pytest

from conformance.client.address import Address
from conformance.model.context import RunContext
from conformance.runner.round_trip import measure, measure_again
from conformance.runner.timeouts import ROUND_TRIPS, Timeouts
from conformance.target.health import HealthMonitor
from conformance.target.managed_server import ManagedServer
from conformance.target.remote_fixtures import RemoteFixtures

pytestmark = pytest.mark.once

SLOW_SECONDS = 0.1


class Network(socketserver.ThreadingTCPServer):
    """A server behind a network that gets slower."""

    daemon_threads = True
    delay_seconds = 0.0
    is_silent = False


class Answer(socketserver.StreamRequestHandler):
    """Answers each line."""

    server: Network

    def handle(self) -> None:
        """Answer until quit."""
        for line in self.rfile:
            sleep(self.server.delay_seconds)
            if line == b"quit\r\n":
                self.wfile.write(b"0 OK\r\n")
                return
            if not self.server.is_silent:
                self.wfile.write(b"200 NO SUCH COMMAND\r\n")


@pytest.fixture
def network() -> Iterator[Network]:
    with Network(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def health(network: Network, tmp_path: Path) -> Iterator[HealthMonitor]:
    host, port = network.server_address[:2]
    with ManagedServer(Address(str(host), port), directory=tmp_path) as server:
        facts = RunContext(server.dial, RemoteFixtures({}, knows_all=False), "2026", 0.5, clock=server.clock)
        yield HealthMonitor(server, facts)


@pytest.mark.parametrize("is_local", [False, True])
def test_remote_timeout_grows_with_the_round_trip(
    is_local: bool, network: Network, health: HealthMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ManagedServer, "is_local", is_local)
    timeouts = Timeouts(1.0)
    measure(health, timeouts)
    first = health.run_context
    assert first.timeout_seconds == timeouts.full_seconds(first.round_trip_seconds)
    network.delay_seconds = SLOW_SECONDS + first.round_trip_seconds
    measure_again(health, timeouts)
    grown = health.run_context.timeout_seconds - first.timeout_seconds
    assert grown == 0 if is_local else grown >= ROUND_TRIPS * SLOW_SECONDS / 2
    assert health.run_context.round_trip_seconds == first.round_trip_seconds


def test_silent_server_does_not_extend_the_timeout(
    network: Network, health: HealthMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ManagedServer, "is_local", False)
    network.is_silent = True
    before = health.run_context.timeout_seconds
    measure_again(health, Timeouts(1.0))
    assert health.run_context.timeout_seconds == before
