"""Fixtures: a directory with all that a server may meet, and servers for every engine and dialect."""

import contextlib
import gc
import logging
import os
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
from tests.greenserver.serving import DIALECTS, ENGINES, Server, closing_all_made, settled, wait_until

TEXT = b"Hello, HFTP! This is text, 41 bytes long."
BINARY = bytes(range(256)) * 3 + b"\r\n\0\r\n"
LARGE = b"".join(number.to_bytes(4, "big") for number in range(300_000))
"""1.2 MB, no two places alike: several chunks, and not a multiple of 3."""

LIVE = hypothesis.settings(max_examples=60, deadline=None, derandomize=True, database=None)
"""For examples that are each a conversation with a server: few, and the same ones each time."""

PURE = hypothesis.settings(max_examples=100, deadline=None, derandomize=True, database=None)
"""For examples that are computed: more, and the same ones each time."""

ServerFor = Callable[..., Server]
Start = Callable[..., Server]


def populate(directory: Path) -> None:
    """Fill a directory with files that are served, and with all that must not be."""
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
"""Exactly what a server of that directory lists and serves."""


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
    """Return the directory that the servers of this session share; nobody changes it."""
    path = tmp_path_factory.mktemp("served") / "data"
    populate(path)
    return path


@pytest.fixture(scope="session")
def session_servers(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerFor]:
    """Return what starts a server when its engine and dialect are first asked for."""
    with closing_all_made(Server) as start:

        @cache
        def server_for(engine: str, dialect: str) -> Server:
            options = ("--engine", engine, "--dialect", dialect, "--quiet")
            server = start(directory, tmp_path_factory.mktemp("server"), *options)
            server.ask(b"quit\r\n")  # what a first client makes for good is made now
            return server

        yield server_for


@pytest.fixture
def server_for(session_servers: ServerFor) -> Iterator[ServerFor]:
    """Return what gives a shared server, and check that it holds no more after the test than before."""
    with contextlib.ExitStack() as checks:
        checked = set()

        def checked_server(engine: str, dialect: str = "2026") -> Server:
            server = session_servers(engine, dialect)
            if server not in checked:
                checked.add(server)
                checks.enter_context(settled(server))
            return server

        yield checked_server


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return what starts a server of the test's own, given a directory and options."""
    numbers = count()

    def start_server(directory: Path, *options: str, **more: Any) -> Server:  # noqa: ANN401  (as Server)
        return Server(directory, tmp_path / f"server-{next(numbers)}", *options, **more)

    with closing_all_made(start_server) as start:
        yield start


@pytest.fixture
def launch(directory: Path, tmp_path: Path) -> Iterator[Launch]:
    """Return what starts a server of the library with settings of the test's own."""
    numbers = count()

    def launch_server(engine: str, directory: Path = directory, **settings: Any) -> LaunchedServer:  # noqa: ANN401  (as LaunchedServer)
        return LaunchedServer(directory, tmp_path / f"launched-{next(numbers)}", engine, **settings)

    with closing_all_made(launch_server) as launch:
        yield launch


@pytest.fixture
def store(directory: Path) -> Iterator[FileStore]:
    """Return a store of the files that are shared."""
    with FileStore(directory) as store:
        yield store


@pytest.fixture
def stop() -> Iterator[ShutdownEvent]:
    """Return what tells waits to end."""
    stop = ShutdownEvent()
    yield stop
    stop.close()


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """Return the package's logger, and leave it as it was.

    What a test has it write to may be closed later, and then something else has that descriptor.
    """
    package = logging.getLogger("greenserver")
    level, handlers, propagate = package.level, package.handlers, package.propagate
    yield package
    for each in package.handlers:
        if each not in handlers:
            each.close()
    package.handlers, package.propagate = handlers, propagate
    package.setLevel(level)  # which forgets what was enabled, too


@pytest.fixture(autouse=True)
def nothing_left_here() -> Iterator[None]:
    """Check that the test itself leaves no descriptor and no thread behind in its own process."""

    def held() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")) - count_descriptors(), threading.active_count()

    before = held()
    yield

    def has_settled() -> bool:
        if all(now <= then for now, then in zip(held(), before, strict=True)):
            return True
        gc.collect()
        return False

    wait_until(has_settled, "the test closes what it opened")
