"""Servers forked from a process that has imported all that they need: a start costs a fork, not 300 imports.

Each is a process of its own, as it is when a command line starts it. What tests the start itself, or needs something
done before it, starts a program instead.

``python -m tests.greenserver.forking MODULE KIND`` is the process that they are forked from. It takes requests on
its standard input, a unix socket: each a JSON object, and three descriptors: the new process's outputs, and where its
id is told, and then how it ended.
"""

import contextlib
import json
import os
import resource
import select
import signal
import socket
import sys
from _socket import socket as RawSocket  # noqa: N812  (the one of C: nothing patches it, nor what is below it here)
from importlib import import_module
from posix import fork, waitpid
from select import poll as Poll  # noqa: N812
from signal import SIG_DFL, set_wakeup_fd
from signal import signal as handle_signal
from typing import Any, Final

from tests.forked import ForkedProcess, stem

_MOST_BYTES: Final = 1 << 17

_SERVING: Final = (
    "files.page_cache",
    "files.file_slice",
    "telemetry.log",
    "service.reload",
    "service.process",
    "server",
    "files.store",
    "connection.tls",
)
IMPORTED: Final = {
    "gevent": (*_SERVING, "engines.gevent"),
    "others": (*_SERVING, "engines.selectors", "engines.sequential", "engines.threads"),
    "workers": ("service.reload", "service.workers"),  # what serves must find the sockets of the worker patched
}
"""By the kind of a server, the modules that it has imported by the time that it listens."""


def fork_server(
    module: str, kind: str, arguments: list[str], outputs: tuple[int, int], environment: dict[str, str]
) -> ForkedProcess:
    """Return a new process that is like those of a module, of a kind, and with our limit of descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    request = {"arguments": arguments, "environment": environment, "descriptors": soft}
    return stem(__name__, module, kind).fork(json.dumps(request).encode(), *outputs)


def await_request(asked: RawSocket) -> dict[str, Any] | None:
    """Fork for each request, and return it in the new process; return nothing when nobody asks any more."""
    woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    handle_signal(signal.SIGCHLD, lambda *_: None)
    set_wakeup_fd(wakes)
    told: dict[int, int] = {}
    poll = Poll()
    for descriptor in (asked.fileno(), woken):
        poll.register(descriptor, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _ in poll.poll()]
        if woken in ready:
            os.read(woken, 1000)
            _tell_of_the_dead(told)
        if asked.fileno() in ready:
            request, descriptors, *_ = socket.recv_fds(asked, _MOST_BYTES, 3)  # type: ignore[arg-type]
            if not request:
                return None
            if not (process := fork()):
                break
            os.write(descriptors[2], b"%d" % process)
            told[process] = descriptors[2]
            for descriptor in descriptors[:2]:
                os.close(descriptor)
    set_wakeup_fd(-1)
    handle_signal(signal.SIGCHLD, SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor, number in zip((null, *descriptors), (asked.detach(), 1, 2), strict=False):
        os.dup2(descriptor, number)
    for descriptor in (null, woken, wakes, *descriptors, *told.values()):
        os.close(descriptor)
    return dict(json.loads(request))


def _tell_of_the_dead(told: dict[int, int]) -> None:
    """Tell how those have ended that have ended."""
    with contextlib.suppress(ChildProcessError):
        while (ended := waitpid(-1, os.WNOHANG))[0]:
            process, status = ended
            descriptor = told.pop(process)
            with contextlib.suppress(BrokenPipeError):
                os.write(descriptor, b"%d" % os.waitstatus_to_exitcode(status))
            os.close(descriptor)


def main(module: str, kind: str) -> None:
    """Be what servers are forked from, and in the end one of them."""
    program = import_module(module)
    program.patch_for(kind)
    for name in IMPORTED[kind]:
        import_module(f"greenserver.{name}")
    request = await_request(RawSocket(fileno=0))
    if request is not None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (request["descriptors"], hard))
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv[1:] = request["arguments"]
        program.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
