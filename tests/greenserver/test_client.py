"""Both clients fetch from real servers of every dialect what is there; the asynchronous one is a table of its calls."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from greenserver import client as package
from greenserver.client import (
    AsyncClient,
    ChangedError,
    Client,
    ConnectionFailedError,
    DifferentError,
    LocalError,
    Options,
    RefusedError,
)
from greenserver.client.errors import HftpError
from greenserver.client.operations import Pause
from tests.greenserver.client.scripted import Peer, one_file, serving, slice_of
from tests.greenserver.conftest import LARGE, SERVED, TEXT, ServerFor, Start

USUAL = Options()
QUICK = Options(timeout_seconds=0.3, retries=0)


class Sync:
    """The synchronous client, asked for one thing."""

    def __init__(self, options: Options = USUAL) -> None:
        self.options = options

    def names(self, address: str) -> list[str]:
        with Client(address, self.options) as client:
            return list(client.names())

    def size(self, address: str, name: str) -> int:
        with Client(address, self.options) as client:
            return client.size(name)

    def dialect(self, address: str) -> str:
        with Client(address, self.options) as client:
            return client.dialect()

    def read(self, address: str, name: str, *where: int) -> bytes:
        with Client(address, self.options) as client:
            return client.read(name, *where)

    def download(
        self,
        address: str,
        name: str,
        path: Path,
        sha256: str | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> package.Downloaded:
        with Client(address, self.options) as client:
            return client.download(name, path, sha256=sha256, on_progress=on_progress)


class Async(Sync):
    """The asynchronous client, asked for one thing."""

    def names(self, address: str) -> list[str]:
        async def ask() -> list[str]:
            async with AsyncClient(address, self.options) as client:
                return [name async for name in client.names()]

        return asyncio.run(ask())

    def size(self, address: str, name: str) -> int:
        async def ask() -> int:
            async with AsyncClient(address, self.options) as client:
                return await client.size(name)

        return asyncio.run(ask())

    def dialect(self, address: str) -> str:
        async def ask() -> str:
            async with AsyncClient(address, self.options) as client:
                return await client.dialect()

        return asyncio.run(ask())

    def read(self, address: str, name: str, *where: int) -> bytes:
        async def ask() -> bytes:
            async with AsyncClient(address, self.options) as client:
                return await client.read(name, *where)

        return asyncio.run(ask())

    def download(
        self,
        address: str,
        name: str,
        path: Path,
        sha256: str | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> package.Downloaded:
        async def ask() -> package.Downloaded:
            async with AsyncClient(address, self.options) as client:
                return await client.download(name, path, sha256=sha256, on_progress=on_progress)

        return asyncio.run(ask())


each_client = pytest.mark.parametrize("kind", [Sync, Async])


@each_client
def test_all_that_is_served_is_fetched_in_each_dialect(
    kind: type[Sync], server_for: ServerFor, dialect: str, tmp_path: Path
) -> None:
    address = f"127.0.0.1:{server_for('gevent', dialect).port}"
    client = kind()
    assert sorted(client.names(address)) == sorted(SERVED)
    assert client.dialect(address) == ("2026" if dialect == "2026" else "")
    for name, content in SERVED.items():
        assert client.size(address, name) == len(content)
        assert client.read(address, name) == content
    assert client.read(address, "large.bin", 1001, 70000) == LARGE[1001:71001]
    assert client.read(address, "text.txt", 5, 0) == b""
    got = client.download(address, "large.bin", tmp_path / "mine", sha256="")
    assert (tmp_path / "mine").read_bytes() == LARGE
    assert (got.size, got.fetched_bytes, got.sha256) == (len(LARGE), len(LARGE), hashlib.sha256(LARGE).hexdigest())
    assert [path.name for path in tmp_path.glob("mine*")] == ["mine"]
    assert not list(tmp_path.glob(".hftp-*"))


@each_client
@pytest.mark.parametrize("is_raw", [True, False])
def test_a_large_file_comes_over_several_connections(
    kind: type[Sync], is_raw: bool, start: Start, tmp_path: Path
) -> None:
    served = tmp_path / "served"
    served.mkdir()
    content = LARGE * 11
    (served / "file").write_bytes(content)
    server = start(served, "--engine", "threads")
    told: list[tuple[int, int]] = []
    client = kind(Options(connections=3, is_raw_wanted=is_raw))
    client.download(f"127.0.0.1:{server.port}", "file", tmp_path / "mine", on_progress=lambda *each: told.append(each))
    assert (tmp_path / "mine").read_bytes() == content
    assert max(told) == (len(content), len(content))
    assert server.log().count("event='connected'") + server.log().count("connected") >= 3
    assert ("raw" in server.log()) == is_raw


@each_client
def test_a_server_that_serves_one_client_at_a_time_is_waited_for_on_one_connection(
    kind: type[Sync], start: Start, tmp_path: Path
) -> None:
    served = tmp_path / "served"
    served.mkdir()
    content = LARGE * 11
    (served / "file").write_bytes(content)
    server = start(served, "--engine", "sequential", "--quiet")
    kind().download(f"127.0.0.1:{server.port}", "file", tmp_path / "mine")
    assert (tmp_path / "mine").read_bytes() == content


@each_client
def test_a_file_of_no_bytes_is_a_file(kind: type[Sync], tmp_path: Path) -> None:
    with serving(one_file(b"")) as address:
        assert kind().read(address, "file") == b""
        kind().download(address, "file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b""


@each_client
def test_what_goes_wrong_is_one_kind_of_error(kind: type[Sync], server_for: ServerFor, tmp_path: Path) -> None:
    address = f"127.0.0.1:{server_for('gevent').port}"
    client = kind()
    with pytest.raises(RefusedError, match="202 FILE NOT FOUND"):
        client.size(address, "nowhere")
    with pytest.raises(RefusedError, match="203"):
        client.read(address, "text.txt", 40, 2)
    with pytest.raises(DifferentError, match="the SHA-256 is"):
        client.download(address, "text.txt", tmp_path / "text.txt", sha256="0" * 64)
    with pytest.raises(LocalError, match="No such file or directory"):
        client.download(address, "text.txt", tmp_path / "nowhere" / "text.txt")
    with pytest.raises(ConnectionFailedError, match="cannot connect: "):
        client.size("127.0.0.1:1", "text.txt")
    with pytest.raises(ConnectionFailedError, match="cannot resolve"):
        client.size("nowhere.invalid:1", "text.txt")
    assert list(tmp_path.iterdir()) == []


@each_client
def test_a_silent_server_is_not_waited_for_for_ever(kind: type[Sync]) -> None:
    with serving(Peer.wait_for_end) as address, pytest.raises(HftpError, match=r"nothing in 0\.3 s"):
        kind(QUICK).size(address, "file")


@each_client
def test_a_connection_that_is_lost_is_made_again(
    kind: type[Sync], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greenserver.client.session.Pause", lambda _seconds: Pause(0.01))
    content = TEXT * 1000
    lost = iter(range(3))

    def cut(peer: Peer, words: list[str]) -> bytes:
        if next(lost, None) is None:
            return slice_of(content, words)
        peer.send(slice_of(content, words)[:7000])
        return b""

    with serving(one_file(content, get_slice=cut)) as address:
        got = kind(Options(dialect="2019")).download(address, "file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content
    assert got.fetched_bytes == len(content)


@each_client
def test_what_was_fetched_before_is_not_fetched_again(kind: type[Sync], tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    asked: list[tuple[int, int]] = []

    def note(_peer: Peer, words: list[str]) -> bytes:
        asked.append((int(words[2]), int(words[3])))
        return slice_of(content, words)[: 1 << 20]

    options = Options(dialect="2019", retries=0, timeout_seconds=0.3)
    with serving(one_file(content, get_slice=note)) as address:
        with pytest.raises(HftpError, match="sent"):
            kind(options).download(address, "file", tmp_path / "file")
        assert not (tmp_path / "file").exists()
        there = ((1 << 20) - 6) // 4 * 3
        asked.clear()
        got = kind(options).download(address, "file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content
    assert asked[0][0] + asked[0][1] == asked[1][0]
    assert 0 < got.fetched_bytes <= len(content) - there + 4
    assert not list(tmp_path.glob(".hftp-*"))


@each_client
def test_what_was_fetched_before_of_another_file_is_fetched_again(kind: type[Sync], tmp_path: Path) -> None:
    old, new = b"a" * (1 << 20), b"b" * (1 << 20)
    options = Options(dialect="2019", retries=0, timeout_seconds=0.3)
    with (
        serving(one_file(old, get_slice=lambda _, words: slice_of(old, words)[:500_000])) as address,
        pytest.raises(HftpError),
    ):
        kind(options).download(address, "file", tmp_path / "file")
    assert list(tmp_path.glob(".hftp-*"))
    with serving(one_file(new)) as address:
        got = kind(options).download(address, "file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == new
    assert got.fetched_bytes == len(new)


@each_client
def test_a_file_that_changes_meanwhile_is_not_kept(kind: type[Sync], tmp_path: Path) -> None:
    sizes = iter([5, 6, 6, 6])
    changing = one_file(b"hello", get_metadata=lambda *_: b"0 OK\r\n%d\r\n" % next(sizes))
    with serving(changing) as address, pytest.raises(ChangedError, match="had 5 bytes and has 6"):
        kind(Options(dialect="2019")).download(address, "file", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_the_public_names_can_be_had_and_no_others() -> None:
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = package.Nonsense
