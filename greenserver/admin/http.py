"""Answer /metrics, /healthz and /readyz over HTTP, in a process of its own, which exits with its parent.

`admin.process` starts it with these arguments: the descriptors of a listener and of the shared memory, the process id
of the parent, and the format of the log.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, cast

from greenserver.admin.shared_memory import SharedMemory
from greenserver.telemetry import log
from greenserver.telemetry.log import report
from greenserver.telemetry.uncaught import log_uncaught

_log = logging.getLogger(__name__)

REQUESTS: Final = 16
"""Maximum concurrent requests; beyond it the oldest is closed. A scraper, a probe and an operator need three."""

REQUEST_SECONDS: Final = 5.0
"""Timeout for a whole request, from accept to the end of the response."""

_HEAD_BYTES: Final = 8192
_HEAD_ENDS: Final = (b"\r\n\r\n", b"\n\n")
_LOOK_SECONDS: Final = 0.5
_TEXT: Final = "text/plain; charset=utf-8"

Answer = tuple[HTTPStatus, str, bytes]


def metrics(memory: SharedMemory) -> Answer:
    """Return the metrics of all processes, running and exited."""
    from greenserver.admin import prometheus_text  # noqa: PLC0415  (what else is answered does not depend on it)

    return HTTPStatus.OK, prometheus_text.CONTENT_TYPE, prometheus_text.write(memory)


def health(_memory: SharedMemory) -> Answer:
    """Report that the server is alive: this process exits with it."""
    return HTTPStatus.OK, _TEXT, b"alive\n"


def readiness(memory: SharedMemory) -> Answer:
    """Report whether a load balancer should send clients here."""
    if memory.is_ready:
        return HTTPStatus.OK, _TEXT, b"ready\n"
    return HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, b"not ready\n"


_ANSWERS: Final[dict[str, Callable[[SharedMemory], Answer]]] = {
    "/metrics": metrics,
    "/healthz": health,
    "/readyz": readiness,
}


class _Request(asyncio.Protocol):
    """A connection: one request, and its answer."""

    def __init__(self, memory: SharedMemory, open_requests: "dict[_Request, None]") -> None:
        self._memory = memory
        self._open_requests = open_requests  # the oldest first
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, in the place of the oldest request if there are too many: one of them is always the latest."""
        if len(self._open_requests) >= REQUESTS:
            next(iter(self._open_requests)).abort()
        self._open_requests[self] = None
        self._transport = cast("asyncio.Transport", transport)
        self._timeout = asyncio.get_running_loop().call_later(REQUEST_SECONDS, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """Answer once the head is complete, and close; close if it is too long."""
        if self._transport.is_closing():
            return
        self._head += data
        if any(end in self._head for end in _HEAD_ENDS):
            self._transport.write(_respond(self._memory, self._head.partition(b"\n")[0]))
            self._transport.close()
        elif len(self._head) > _HEAD_BYTES:
            self._transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """Free the slot for another request."""
        self._timeout.cancel()
        self._open_requests.pop(self, None)

    def abort(self) -> None:
        """Close at once, and free the slot for another request."""
        self._transport.abort()
        self._open_requests.pop(self, None)


def _respond(memory: SharedMemory, request_line: bytes) -> bytes:
    """Return the response to a request."""
    method, target, *_ = (*request_line.decode("latin-1").split(), "", "")
    answer = _ANSWERS.get(target.partition("?")[0])
    more = ""
    if method not in {"GET", "HEAD"}:
        status, kind, body = HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"the methods are GET and HEAD\n"
        more = "Allow: GET, HEAD\r\n"
    elif answer is None:
        status, kind, body = HTTPStatus.NOT_FOUND, _TEXT, f"the paths are {', '.join(_ANSWERS)}\n".encode()
    else:
        try:
            status, kind, body = answer(memory)
        except Exception as error:  # noqa: BLE001  (go on with the next request)
            report(_log, logging.ERROR, "admin request failed", path=target, error=error)
            status, kind, body = HTTPStatus.INTERNAL_SERVER_ERROR, _TEXT, b"see the log of the server\n"
    head = (
        f"HTTP/1.0 {status.value} {status.phrase}\r\nServer: greenserver\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\n{more}\r\n"
    ).encode()
    return head if method == "HEAD" else head + body


async def serve(listener: socket.socket, memory: SharedMemory, parent: int) -> None:
    """Serve in one thread until the parent exits."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_report)
    open_requests: dict[_Request, None] = {}
    server = await loop.create_server(lambda: _Request(memory, open_requests), sock=listener)
    while os.getppid() == parent:  # noqa: ASYNC110  (the kernel sets no event)
        await asyncio.sleep(_LOOK_SECONDS)
    server.close()


def _report(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what fails in the event loop, such as accept for lack of descriptors, which it then tries again."""
    report(_log, logging.ERROR, "admin request failed", reason=context["message"], error=context.get("exception"))


def main() -> None:
    """Serve until the parent exits."""
    listener, memory, parent = map(int, sys.argv[1:4])
    log.configure(sys.argv[4], logging.WARNING)
    log_uncaught()
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):  # these signals are for the server
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(serve(socket.socket(fileno=listener), SharedMemory(memory), parent))
