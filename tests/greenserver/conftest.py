"""Fixtures: a directory with all kinds of files, and servers of every engine and dialect."""

import contextlib
import gc
import logging
import os
import struct
import threading
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from greenserver.files.store import FileStore
from greenserver.io.wait import ShutdownEvent
from tests.forked import count_descriptors
from tests.greenserver.launching import Launch, LaunchedServer
from tests.greenserver.serving import DIALECTS, ENGINES, Server, closing_servers, no_leaks, wait_until

TEXT = b"Hello, HFTP! This is text, 41 bytes long."
BINARY = bytes(range(256)) * 3 + b"\r\n\0\r\n"
LARGE = struct.pack(">300000I", *range(300_000))
"""1.2 MB of consecutive numbers, so that each offset has its own content: several chunks, and not a multiple of 3."""

LIVE = hypothesis.settings(max_examples=60, deadline=None, derandomize=True, database=None)
"""For examples that each need a connection to a server: few and deterministic."""

PURE = hypothesis.settings(max_examples=100, deadline=None, derandomize=True, database=None)
"""For examples that are only computed: more, and deterministic."""

ServerFor = Callable[..., Server]
Start = Callable[..., Server]


def populate(directory: Path) -> None:
    """Fill a directory with files that are served, and with entries that must not be."""
    directory.mkdir()
    (directory / "text.txt").write_bytes(TEXT)
    (directory / "one").write_bytes(b"1")
    (directory / "empty").write_bytes(b"")
    (directory / "binary.dat").write_bytes(BINARY)
    (directory / "large.bin").write_bytes(LARGE)
    (directory / ("n" * 255)).write_bytes(b"long name")
    (directory / ".hidden").write_bytes(b"hidden")
    (directory / "my file.txt").write_bytes(b"a space")
    (directory / "\xf1and\xfa").write_bytes(b"not ASCII")
    (directory / "folder").mkdir()
    (directory / "folder" / "inner").write_bytes(b"inner")
    os.mkfifo(directory / "fifo")
    (directory.parent / "secret").write_bytes(b"secret")
    (directory / "link-out").symlink_to(directory.parent / "secret")
    (directory / "link-in").symlink_to("text.txt")
    (directory / "dangling").symlink_to("nowhere")


SERVED = {
    "text.txt": TEXT,
    "one": b"1",
    "empty": b"",
    "binary.dat": BINARY,
    "large.bin": LARGE,
    "n" * 255: b"long name",
}
"""The files that a server of that directory lists and serves, and no others."""


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Return each engine's name in turn."""
    return str(request.param)


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    """Return each dialect's name in turn."""
    return str(request.param)


@pytest.fixture
def server(server_for: ServerFor, engine: str, dialect: str) -> Server:
    """Return a shared server for each engine and dialect in turn."""
    return server_for(engine, dialect)


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory that the servers of this session share. No test may change it."""
    path = tmp_path_factory.mktemp("served") / "data"
    populate(path)
    return path


@pytest.fixture(scope="session")
def session_servers(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerFor]:
    """Return a function that returns the shared server of an engine and dialect, started on first use."""
    with closing_servers(Server) as start:

        @cache
        def server_for(engine: str, dialect: str) -> Server:
            options = ("--engine", engine, "--dialect", dialect, "--quiet")
            server = start(directory, tmp_path_factory.mktemp("server"), *options)
            server.ask(b"quit\r\n")  # allocate now what stays allocated after the first connection
            return server

        yield server_for


@pytest.fixture
def server_for(session_servers: ServerFor) -> Iterator[ServerFor]:
    """Return a function that returns a shared server, and check that the test leaks nothing in it."""
    with contextlib.ExitStack() as checks:
        checked = set()

        def checked_server(engine: str, dialect: str = "2026") -> Server:
            server = session_servers(engine, dialect)
            if server not in checked:
                checked.add(server)
                checks.enter_context(no_leaks(server))
            return server

        yield checked_server


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a server for one test, given a directory and options."""
    numbers = count()

    def start_server(directory: Path, *options: str, **more: Any) -> Server:  # noqa: ANN401  (as Server)
        return Server(directory, tmp_path / f"server-{next(numbers)}", *options, **more)

    with closing_servers(start_server) as start:
        yield start


@pytest.fixture
def launch(directory: Path, tmp_path: Path) -> Iterator[Launch]:
    """Return a function that starts a `LaunchedServer` with settings of the test."""
    numbers = count()

    def launch_server(engine: str, directory: Path = directory, **settings: Any) -> LaunchedServer:  # noqa: ANN401  (as LaunchedServer)
        return LaunchedServer(directory, tmp_path / f"launched-{next(numbers)}", engine, **settings)

    with closing_servers(launch_server) as launch:
        yield launch


@pytest.fixture
def store(directory: Path) -> Iterator[FileStore]:
    """Return a store of the shared files."""
    with FileStore(directory) as store:
        yield store


@pytest.fixture
def stop() -> Iterator[ShutdownEvent]:
    """Return a shutdown event."""
    stop = ShutdownEvent()
    yield stop
    stop.close()


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """Return the logger of the package, and restore it after the test.

    A handler that outlives the test might write to a descriptor that has been closed and reused.
    """
    package = logging.getLogger("greenserver")
    level, handlers, propagate = package.level, package.handlers, package.propagate
    yield package
    for each in package.handlers:
        if each not in handlers:
            each.close()
    package.handlers, package.propagate = handlers, propagate
    package.setLevel(level)  # which also clears the cache of enabled levels


@pytest.fixture(autouse=True)
def no_leaks_in_this_process() -> Iterator[None]:
    """Check that the test leaks no descriptor and no thread in its own process."""

    def count_resources() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")) - count_descriptors(), threading.active_count()

    before = count_resources()
    yield

    def has_settled() -> bool:
        if all(now <= then for now, then in zip(count_resources(), before, strict=True)):
            return True
        gc.collect()
        return False

    wait_until(has_settled, "the test releases its descriptors and threads")
