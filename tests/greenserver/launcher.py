"""Runs a server as a program that uses the library would, with settings in JSON, and counts what it holds.

Used as ``python -m tests.greenserver.launcher SETTINGS``; see `tests.greenserver.launching` for the settings.
"""

import contextlib
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

from tests.greenserver.instrumented import answer_counts

_real_sleep = time.sleep  # before anything patches it
_PATIENCE_SECONDS = 60.0


def main(settings: dict[str, Any]) -> None:
    """Serve until SIGTERM."""
    counts = socket.socket(socket.AF_UNIX)
    counts.bind(settings["counts"])
    counts.listen()
    start_new_thread(answer_counts, (counts,))
    if settings.get("descriptors"):
        resource.setrlimit(resource.RLIMIT_NOFILE, (settings["descriptors"],) * 2)
    if settings["engine"] == "gevent":
        from gevent import monkey

        monkey.patch_all()
    from greenserver import Server, logs
    from greenserver.limits import DEFAULTS
    from greenserver.tls import server_context

    logs.configure("json", logging.INFO)
    if settings.get("hang"):
        hang_reading(Path(settings["hang"]))
    with Server(
        settings["directory"],
        port=0,
        engine=settings["engine"],
        dialect=settings.get("dialect", "2026"),
        limits=replace(DEFAULTS, **settings.get("limits", {})),
        tls=server_context(*settings["tls"]) if settings.get("tls") else None,
        proxy_from=[ipaddress.ip_network(network) for network in settings.get("proxy_from", ())],
    ) as server:
        signal.signal(signal.SIGTERM, lambda *_: server.stop())
        print(server.port, flush=True)
        server.serve()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(settings["counts"])


def hang_reading(while_exists: Path) -> None:
    """Replace the disk under the store: files named hung* are never in memory, and reads of them hang."""
    from greenserver import cached, store

    hung: set[int] = set()
    real_open, real_preadv, real_is_cached = os.open, os.preadv, store.is_name_cached

    def open_(path: Any, flags: int, *args: Any, **more: Any) -> int:
        descriptor = real_open(path, flags, *args, **more)
        (hung.add if str(path).startswith("hung") else hung.discard)(descriptor)
        return descriptor

    def wait() -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while while_exists.exists() and time.monotonic() < deadline:
            _real_sleep(0.01)

    def preadv(descriptor: int, *args: Any) -> int:
        if descriptor in hung:
            wait()
        return real_preadv(descriptor, *args)

    def read_cached(descriptor: int, buffer: memoryview, offset: int) -> None:
        if descriptor in hung:
            raise cached.NotCachedError
        cached.read_cached(descriptor, buffer, offset)

    def is_name_cached(directory: int, name: str) -> bool:
        return not name.startswith("hung") and real_is_cached(directory, name)

    os.open, os.preadv = open_, preadv  # type: ignore[assignment]
    store.read_cached, store.is_name_cached = read_cached, is_name_cached


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
