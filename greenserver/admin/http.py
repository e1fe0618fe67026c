"""Serve /metrics, /healthz and /readyz over HTTP, with limits on slow clients.

Run as ``python -m greenserver.admin.http LISTENER-DESCRIPTOR STATE-DIRECTORY PARENT-PROCESS``; it exits
with its parent.
"""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Lock
from time import monotonic
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from greenserver.admin.state_directory import StateDirectory

_REQUESTS: Final = 16
"""Maximum concurrent requests; further connections are closed. A scraper, a probe and an operator need three."""

_REQUEST_SECONDS: Final = 5.0
"""Timeout for a whole request, from accept to the end of the response."""

_LOOK_SECONDS: Final = 0.5
_TEXT: Final = "text/plain; charset=utf-8"

Answer = tuple[HTTPStatus, str, bytes]


def metrics(board: StateDirectory) -> Answer:
    """Return the metrics of all processes, running and exited."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(board.directory))  # type: ignore[no-untyped-call]  # prometheus_client has no types
    with board.reading():
        return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry)


def health(_board: StateDirectory) -> Answer:
    """Report that the server is alive: this process exits with it."""
    return HTTPStatus.OK, _TEXT, b"alive\n"


def readiness(board: StateDirectory) -> Answer:
    """Report whether a load balancer should send clients here."""
    if board.is_ready:
        return HTTPStatus.OK, _TEXT, b"ready\n"
    return HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, b"not ready\n"


_ANSWERS: Final[dict[str, Callable[[StateDirectory], Answer]]] = {
    "/metrics": metrics,
    "/healthz": health,
    "/readyz": readiness,
}


class _Request(BaseHTTPRequestHandler):
    server: "_AdminServer"
    server_version = "greenserver"
    sys_version = ""

    def do_GET(self) -> None:
        answer = _ANSWERS.get(self.path.partition("?")[0])
        if answer is None:
            self.send_error(HTTPStatus.NOT_FOUND, f"The paths are {', '.join(_ANSWERS)}")
            return
        status, kind, body = answer(self.server.board)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  (http.server looks for this name)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  (inherited signature)
        """Log nothing: the server's log is for HFTP clients only."""


class _AdminServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, board: StateDirectory, parent: int) -> None:
        super().__init__(("", 0), _Request, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.board = board
        self._parent = parent
        self._room = BoundedSemaphore(_REQUESTS)
        self._lock = Lock()
        self._begun: dict[socket.socket, float] = {}

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  (inherited signature)
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        with self._lock:
            self._begun[request] = monotonic()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  (inherited signature)
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                del self._begun[request]
            self._room.release()

    def service_actions(self) -> None:
        """Abort requests past their timeout, and exit when the parent has exited."""
        last = monotonic() - _REQUEST_SECONDS
        with self._lock:
            for request, begun in self._begun.items():
                if begun < last:
                    _cut(request)
        if os.getppid() != self._parent:
            os._exit(0)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  (inherited signature)
        """Ignore errors, which are mostly disconnected clients; the connection is closed in any case."""


def _cut(request: socket.socket) -> None:
    with contextlib.suppress(OSError):  # already disconnected
        request.shutdown(socket.SHUT_RDWR)


def main() -> None:
    """Serve requests until the parent exits."""
    descriptor, directory, parent = sys.argv[1:]
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # these three signals are for the server
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listener = socket.socket(fileno=int(descriptor))
    _AdminServer(listener, StateDirectory(directory), int(parent)).serve_forever(_LOOK_SECONDS)


if __name__ == "__main__":
    main()
