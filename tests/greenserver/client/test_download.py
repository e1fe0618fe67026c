"""Several connections fetch one file: what happens to one of them is made good, or ends the download for all."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from greenserver.client import AsyncClient, ChangedError, Client, Options
from tests.greenserver.client.scripted import Handler, Peer, one_file, serving, slice_of
from tests.greenserver.serving import TIMEOUT_SECONDS

CONTENT = bytes(range(256)) * (9 << 12)
"""9 MiB: 9 parts."""
OPTIONS = Options(dialect="2019", connections=3)
Progress = Callable[[int, int], None]
Fetch = Callable[[str, Path, "Progress | None"], None]


def fetch(address: str, path: Path, on_progress: "Progress | None" = None) -> None:
    with Client(address, OPTIONS) as client:
        client.download("file", path, on_progress=on_progress)


def fetch_asynchronously(address: str, path: Path, on_progress: "Progress | None" = None) -> None:
    async def run() -> None:
        async with AsyncClient(address, OPTIONS) as client:
            await client.download("file", path, on_progress=on_progress)

    asyncio.run(run())


each_way = pytest.mark.parametrize("fetch", [fetch, fetch_asynchronously])


def connections(*handlers: Handler) -> Handler:
    """Return a handler that is another one for each connection; the last one is for all others."""
    numbers = itertools.count()

    def handle(peer: Peer) -> None:
        handlers[min(next(numbers), len(handlers) - 1)](peer)

    return handle


RIGHT = one_file(CONTENT)


@each_way
def test_the_part_of_a_connection_that_is_lost_is_fetched_by_others(fetch: Fetch, tmp_path: Path) -> None:
    def lose(peer: Peer, words: list[str]) -> bytes:
        peer.send(slice_of(CONTENT, words)[:500_000])
        return b""

    with serving(connections(RIGHT, one_file(CONTENT, get_slice=lose), RIGHT)) as address:
        fetch(address, tmp_path / "file", None)
    assert (tmp_path / "file").read_bytes() == CONTENT


@each_way
def test_a_connection_that_is_refused_is_done_without(fetch: Fetch, tmp_path: Path) -> None:
    def refuse(peer: Peer) -> None:
        peer.send(b"199 TOO MANY\r\n")

    with serving(connections(RIGHT, refuse)) as address:
        fetch(address, tmp_path / "file", None)
    assert (tmp_path / "file").read_bytes() == CONTENT


@each_way
def test_a_connection_that_is_never_answered_is_done_without(fetch: Fetch, tmp_path: Path) -> None:
    given_up: list[bool] = []

    def say_nothing(peer: Peer) -> None:
        peer.wait_for_end()  # raises if it takes long
        given_up.append(True)

    with serving(connections(RIGHT, say_nothing)) as address:
        fetch(address, tmp_path / "file", None)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert given_up == [True, True]


@each_way
def test_a_connection_with_another_file_ends_the_download(fetch: Fetch, tmp_path: Path) -> None:
    def trickle(peer: Peer, words: list[str]) -> bytes:
        reply = slice_of(CONTENT, words)
        for start in range(0, len(reply), 1 << 16):
            peer.send(reply[start : start + (1 << 16)])
            time.sleep(0.02)
        return b"\r\n"  # which nobody asked for: no further slice is right

    slow, other = one_file(CONTENT, get_slice=trickle), one_file(CONTENT + b"x")
    with serving(connections(slow, other)) as address, pytest.raises(ChangedError, match="had 9437184 bytes and has"):
        fetch(address, tmp_path / "file", None)
    assert not (tmp_path / "file").exists()


@each_way
def test_an_error_in_the_caller_s_function_reaches_the_caller(fetch: Fetch, tmp_path: Path) -> None:
    def fail(done: int, _size: int) -> None:
        if done > 3 << 20:
            message = "the window was closed"
            raise RuntimeError(message)

    with serving(RIGHT) as address, pytest.raises(RuntimeError, match="the window was closed"):
        fetch(address, tmp_path / "file", fail)
    assert not (tmp_path / "file").exists()


def test_a_task_that_is_cancelled_leaves_what_it_has(tmp_path: Path) -> None:
    may_go_on = threading.Event()

    def stop_half_way(_peer: Peer, words: list[str]) -> bytes:
        if int(words[2]) > len(CONTENT) // 2:
            may_go_on.wait(TIMEOUT_SECONDS)
        return slice_of(CONTENT, words)

    async def run(address: str) -> int:
        half = asyncio.Event()
        loop = asyncio.get_running_loop()

        def tell(done: int, size: int) -> None:
            if done > size // 3:
                loop.call_soon_threadsafe(half.set)

        async with AsyncClient(address, OPTIONS) as client:
            task = asyncio.ensure_future(client.download("file", tmp_path / "file", on_progress=tell))
            await half.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            may_go_on.set()
            return (await client.download("file", tmp_path / "file")).fetched_bytes

    with serving(one_file(CONTENT, get_slice=stop_half_way)) as address:
        assert 0 < asyncio.run(run(address)) < len(CONTENT) * 3 // 4
    assert (tmp_path / "file").read_bytes() == CONTENT
