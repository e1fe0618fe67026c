"""Run a server through the Python API, with settings in JSON, and count its resources on request.

Used as ``python -m tests.greenserver.launcher SETTINGS``; see `tests.greenserver.launching` for the settings.
"""

import contextlib
import errno
import gc
import ipaddress
import json
import logging
import os
import resource
import signal
import socket
import sys
import time
from _thread import start_new_thread
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.greenserver.instrumented import RealSocket, answer_counts

_real_sleep = time.sleep  # before anything patches it
_TIMEOUT_SECONDS = 60.0


def patch_for(engine: str) -> None:
    """Monkey-patch this process for the gevent engine."""
    if engine == "gevent":
        from gevent import monkey  # noqa: PLC0415  (the other engines do not patch)

        monkey.patch_all()


def main() -> None:
    """Serve until SIGTERM."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    counts = RealSocket(socket.AF_UNIX)
    counts.bind(settings["counts"])
    counts.listen()
    start_new_thread(answer_counts, (counts,))
    if settings.get("descriptors"):
        resource.setrlimit(resource.RLIMIT_NOFILE, (settings["descriptors"],) * 2)
    patch_for(settings["engine"])
    # These must be imported after patching.
    from greenserver import Server  # noqa: PLC0415
    from greenserver.config.limits import DEFAULTS  # noqa: PLC0415
    from greenserver.connection.tls import server_context  # noqa: PLC0415
    from greenserver.telemetry import log  # noqa: PLC0415

    gc.freeze()  # makes each count of greenlets cheaper
    log.configure("json", logging.INFO)
    if settings.get("hang"):
        hang_reading(Path(settings["hang"]))
    with Server(
        settings["directory"],
        port=0,
        engine=settings["engine"],
        dialect=settings.get("dialect", "2026"),
        limits=replace(DEFAULTS, **{"log_rate": 0, **settings.get("limits", {})}),
        access_log=settings.get("access_log", "commands"),
        tls=server_context(*settings["tls"]) if settings.get("tls") else None,
        proxy_from=[ipaddress.ip_network(network) for network in settings.get("proxy_from", ())],
    ) as server:
        # Without it, a signal delivered to another thread would not interrupt the wait of the main thread.
        signal.set_wakeup_fd(server.wakeup_fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: server.stop())
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        server.serve()
    with contextlib.suppress(FileNotFoundError):
        Path(settings["counts"]).unlink()


def hang_reading(while_exists: Path) -> None:
    """Simulate a hanging disk: files named hung* are never in the page cache, and reads of them block."""
    from greenserver.files import page_cache, store  # noqa: PLC0415  (they must be imported after patching)

    hung: set[int] = set()
    real_open, real_preadv, real_is_cached = os.open, os.preadv, page_cache.is_name_cached

    def open_(path: object, *args: object, **more: object) -> int:
        descriptor = real_open(path, *args, **more)  # type: ignore[arg-type]
        (hung.add if str(path).startswith("hung") else hung.discard)(descriptor)
        return descriptor

    def wait() -> None:
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while while_exists.exists() and time.monotonic() < deadline:
            _real_sleep(0.01)

    def preadv(descriptor: int, buffers: list[memoryview], *args: int) -> int:
        if descriptor in hung:
            if args[1:]:  # RWF_NOWAIT
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            wait()
        return real_preadv(descriptor, buffers, *args)

    def is_name_cached(directory: int, name: str) -> bool:
        return not name.startswith("hung") and real_is_cached(directory, name)

    os.open, os.preadv = open_, preadv  # type: ignore[assignment]  # as the server calls it
    vars(store)["is_name_cached"] = is_name_cached


if __name__ == "__main__":
    main()
