"""hftp:// is a file system for fsspec: what it reads is right, and what goes wrong is an OSError of the usual kind."""

import errno
import itertools
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import fsspec
import pytest
import trustme
from fsspec.callbacks import Callback

from greenserver.client import Options
from greenserver.client.address import Address
from greenserver.client.filesystem import HftpFileSystem, HftpsFileSystem
from greenserver.client.pool import pool_of
from tests.greenserver.client.scripted import Handler, Peer, one_file, serving, slice_of
from tests.greenserver.client.tree import tree
from tests.greenserver.conftest import BINARY, LARGE, SERVED, TEXT, ServerFor
from tests.greenserver.launching import Launch

Entry = dict[str, Any]
IN_A = ("a/b/z.csv", "a/x.csv", "a/y.csv")
CONTENT = bytes(range(256)) * 40


pytestmark = [pytest.mark.once, pytest.mark.measured]


@pytest.fixture
def fs() -> Iterator[HftpFileSystem]:
    """Return a file system that leaves no connections behind."""
    yield from _closing(HftpFileSystem(skip_instance_cache=True))


@pytest.fixture
def quick() -> Iterator[HftpFileSystem]:
    """Return one that gives up soon."""
    yield from _closing(HftpFileSystem(timeout_seconds=0.3, retries=0, skip_instance_cache=True))


@pytest.fixture
def root(server_for: ServerFor) -> Iterator[str]:
    """Return the path of a greenserver; close what other instances of the file system have left open."""
    server = server_for("gevent")
    yield f"127.0.0.1:{server.port}"
    pool_of(Address("127.0.0.1", server.port), Options()).close()


def _closing(fs: HftpFileSystem) -> Iterator[HftpFileSystem]:
    yield fs
    fs.close_connections()


# --- Reading ---------------------------------------------------------------------------------------


def test_each_file_can_be_opened_by_its_url(root: str) -> None:
    assert fsspec.get_filesystem_class("hftp") is HftpFileSystem
    assert fsspec.get_filesystem_class("hftps") is HftpsFileSystem
    for name, content in SERVED.items():
        with fsspec.open(f"hftp://{root}/{name}") as file:
            assert file.read() == content
    with fsspec.open(f"hftp://{root}/text.txt", "rt") as file:
        assert file.read() == TEXT.decode()


def test_a_listing_has_names_sizes_and_types(root: str, fs: HftpFileSystem) -> None:
    sizes = {f"{root}/{name}": len(content) for name, content in SERVED.items()}
    assert {entry["name"]: entry["size"] for entry in fs.ls(root)} == sizes
    assert fs.ls(f"hftp://{root}/", detail=False) == sorted(sizes)
    assert fs.ls(f"{root}/one") == [fs.info(f"{root}/one")] == [{"name": f"{root}/one", "size": 1, "type": "file"}]
    assert fs.info(root) == {"name": root, "size": 0, "type": "directory"}
    assert fs.find(root) == sorted(sizes)
    assert {name: entry["size"] for name, entry in fs.find(root, detail=True).items()} == sizes
    assert fs.glob(f"hftp://{root}/*.*") == [f"{root}/{name}" for name in ("binary.dat", "large.bin", "text.txt")]
    assert fs.glob(f"{root}/o*", detail=True) == {f"{root}/one": fs.info(f"{root}/one")}
    assert [(path, folders, sorted(files)) for path, folders, files in fs.walk(root)] == [(root, [], sorted(SERVED))]
    assert fs.du(root) == sum(sizes.values())


def test_parts_of_files_are_read(root: str, fs: HftpFileSystem) -> None:
    path = f"{root}/binary.dat"
    for start, end in itertools.product((None, 0, 5, -7, 10_000), (None, 0, 9, -2, 10_000)):
        assert fs.cat_file(path, start, end) == BINARY[start:end]
    assert fs.cat_ranges([path, f"{root}/nothing"], [1, 0], [3, 1], on_error="return")[0] == BINARY[1:3]
    assert fs.cat([path, f"{root}/one"]) == {path: BINARY, f"{root}/one": b"1"}
    assert (fs.head(path, 4), fs.tail(path, 4)) == (BINARY[:4], BINARY[-4:])
    assert fs.read_block(f"{root}/text.txt", 8, 5, b" ") == b"This "


unclosed_by_fsspec = pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning", "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"
)


@unclosed_by_fsspec
@pytest.mark.parametrize(
    "cache_type", ["all", "background", "blockcache", "bytes", "first", "mmap", "none", "readahead"]
)
def test_each_cache_of_blocks_gives_what_is_there(root: str, fs: HftpFileSystem, cache_type: str) -> None:
    with fs.open(f"{root}/large.bin", block_size=100_000, cache_type=cache_type) as file:
        for start, size in ((0, 10), (1_150_000, 100_000), (99_990, 20), (5, 0), (300_000, 250_000), (0, 10)):
            file.seek(start)
            assert file.read(size) == LARGE[start : start + size]


@unclosed_by_fsspec
@pytest.mark.parametrize("chain", ["simplecache", "filecache", "blockcache"])
def test_a_copy_is_kept_by_the_chained_file_systems(root: str, tmp_path: Path, chain: str) -> None:
    options = {"cache_storage": str(tmp_path / "cache")}
    for _ in range(2):
        with fsspec.open(f"{chain}::hftp://{root}/large.bin", **{chain: options}) as file:
            assert file.read() == LARGE
    assert any(path.is_file() for path in (tmp_path / "cache").iterdir())


def test_two_servers_are_not_mistaken_for_each_other_in_a_cache(tmp_path: Path) -> None:
    with serving(one_file(b"one")) as first, serving(one_file(b"two")) as second:
        for address, content in ((first, b"one"), (second, b"two")):
            url = f"filecache::hftp://{address}/file"
            with fsspec.open(url, filecache={"cache_storage": str(tmp_path)}) as file:
                assert file.read() == content


def test_files_are_fetched_with_progress(root: str, fs: HftpFileSystem, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    callback = Callback(hooks={"seen": lambda size, value, **_: seen.append((value, size))})
    fs.get_file(f"{root}/large.bin", tmp_path / "folder" / "copy", callback=callback)
    assert (tmp_path / "folder" / "copy").read_bytes() == LARGE
    assert seen[-1] == (len(LARGE), len(LARGE))
    with (tmp_path / "other").open("wb") as file:
        fs.get_file(f"{root}/text.txt", file)
    assert (tmp_path / "other").read_bytes() == TEXT
    fs.get(f"{root}/*.*", f"{tmp_path}/all/")
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["binary.dat", "large.bin", "text.txt"]


def test_defaults_for_files_are_storage_options(root: str) -> None:
    url = f"hftp://{root}/large.bin"
    with fsspec.open(url, block_size=1000, cache_type="blockcache", cache_options={"maxblocks": 3}) as file:
        assert (file.blocksize, file.cache.name, file.cache.maxblocks) == (1000, "blockcache", 3)
        assert file.read(2500) == LARGE[:2500]
        with file.fs.open(url, block_size=2000, cache_type="none") as other:
            assert (other.blocksize, other.cache.name) == (2000, "none")
        file.fs.close_connections()


def test_no_copy_is_taken_for_fresh(root: str, fs: HftpFileSystem) -> None:
    before = datetime.now(tz=timezone.utc)
    assert fs.modified(f"{root}/one") >= before
    with pytest.raises(FileNotFoundError):
        fs.modified(f"{root}/nothing")


def test_file_systems_and_open_files_can_be_pickled(root: str, fs: HftpFileSystem) -> None:
    with fs.open(f"{root}/binary.dat") as file:
        file.seek(3)
        with pickle.loads(pickle.dumps(file)) as other:
            assert other.read() == BINARY[3:]
    other_fs = pickle.loads(pickle.dumps(HftpFileSystem(connections=2)))
    assert other_fs.options == Options(connections=2)


def test_a_file_system_through_tls(launch: Launch, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    running = launch("threads", tls=[str(tmp_path / "server.pem")] * 2)
    url, options = f"hftps://localhost:{running.port}/text.txt", {"tls_ca": str(tmp_path / "ca.pem")}
    with fsspec.open(url, **options) as file:
        assert file.read() == TEXT
    fs, path = fsspec.url_to_fs(url, **options)
    assert fs.unstrip_protocol(path) == url
    fs.close_connections()


@pytest.mark.parametrize(
    ("url", "path", "again"),
    [
        ("hftp://Example.org/a.txt", "example.org:19500/a.txt", "hftp://example.org:19500/a.txt"),
        ("hftp://h:1/", "h:1", "hftp://h:1"),
        ("h:1/a/b/", "h:1/a/b", "hftp://h:1/a/b"),
        ("hftp://[::1]/a", "::1:19500/a", "hftp://[::1]:19500/a"),
        ("::1:19500/a", "::1:19500/a", "hftp://[::1]:19500/a"),
        ("", "", "hftp://"),
    ],
)
def test_a_path_is_the_server_and_the_name(url: str, path: str, again: str) -> None:
    fs = HftpFileSystem()
    strip = fs._strip_protocol  # noqa: SLF001  (fsspec calls it so)
    assert strip(url) == path
    assert strip([url, path]) == [path, path]
    assert fs.unstrip_protocol(path) == again


def test_servers_that_list_paths_have_directories(tmp_path: Path, fs: HftpFileSystem) -> None:
    for name in ("top", *IN_A):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    with serving(tree(tmp_path)) as address:
        assert fs.ls(address, detail=False) == [f"{address}/a", f"{address}/top"]
        assert fs.glob(f"{address}/a/*.csv") == [f"{address}/a/x.csv", f"{address}/a/y.csv"]
        assert (fs.isdir(f"{address}/a"), fs.isdir(f"{address}/a/x.csv"), fs.isfile(f"{address}/a")) == (
            True,
            False,
            False,
        )
        assert fs.cat(fs.find(f"{address}/a")) == {f"{address}/{name}": name.encode() for name in IN_A}
        with pytest.raises(IsADirectoryError):
            fs.open(f"{address}/a")


# --- What goes wrong -------------------------------------------------------------------------------


def test_what_is_not_there(root: str, fs: HftpFileSystem) -> None:
    for name in ("nothing", "my file.txt", "folder/inner", "\xf1and\xfa"):
        with pytest.raises(FileNotFoundError, match=f"No such file or directory: '{root}/{name}'"):
            fs.open(f"{root}/{name}")
        assert not fs.exists(f"{root}/{name}")
        with pytest.raises(FileNotFoundError):
            fs.ls(f"{root}/{name}")
    assert fs.glob(f"{root}/nothing*") == fs.find(f"{root}/nothing") == []
    with pytest.raises(IsADirectoryError):
        fs.open(root)
    with pytest.raises(IsADirectoryError):
        fs.cat_file(root)


WRITES: dict[str, Callable[[HftpFileSystem, str, str], object]] = {
    "append": lambda fs, path, _local: fs.open(path, "ab"),
    "copy": lambda fs, path, _local: fs.copy(path, path + "2"),
    "makedirs": lambda fs, path, _local: fs.makedirs(path + "2"),
    "mkdir": lambda fs, path, _local: fs.mkdir(path + "2"),
    "move": lambda fs, path, _local: fs.mv(path, path + "2"),
    "pipe": lambda fs, path, _local: fs.pipe(path, b"x"),
    "put": lambda fs, path, local: fs.put(local, path),
    "remove": lambda fs, path, _local: fs.rm(path),
    "touch": lambda fs, path, _local: fs.touch(path, truncate=False),
    "update": lambda fs, path, _local: fs.open(path, "r+b"),
    "write": lambda fs, path, _local: fs.open(path, "w"),
    "exclusively": lambda fs, path, _local: fs.open(path + "2", "xb"),
}


@pytest.mark.parametrize("write", WRITES)
def test_nothing_can_be_written(root: str, fs: HftpFileSystem, tmp_path: Path, write: str) -> None:
    (tmp_path / "local").write_bytes(b"x")
    with pytest.raises(PermissionError, match="HFTP only reads"):
        WRITES[write](fs, f"{root}/text.txt", str(tmp_path / "local"))


def test_wrong_addresses_and_options() -> None:
    fs = HftpFileSystem()
    for wrong in ("hftp://h:0/a", "hftp://h:x/a", "unix:a/b", ""):
        with pytest.raises(ValueError, match=r"is not an address|has no host|name a server"):
            fs.open(wrong)
    with pytest.raises(TypeError, match=r"unknown storage options: timeout; there are .*, timeout_seconds, "):
        HftpFileSystem(timeout=5)
    with pytest.raises(ValueError, match="there is no dialect 2020"):
        HftpFileSystem(dialect="2020")


def _stalling(peer: Peer) -> None:
    peer.wait_for_end()


def _ending(peer: Peer) -> None:
    peer.line()


FAULTS: dict[str, tuple[Handler, type[OSError], int, str]] = {
    "ends": (_ending, ConnectionError, errno.ENOTCONN, "the server closed the connection in the reply"),
    "stalls": (_stalling, TimeoutError, errno.ETIMEDOUT, "the server sent nothing in 0.3 s"),
    "fails": (lambda peer: peer.send(b"199 FAILED\r\n"), OSError, errno.EIO, "the server replied 199 FAILED"),
    "babbles": (lambda peer: peer.send(b"HTTP/1.1 400\r\n"), OSError, errno.EPROTO, "instead of a status line"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_fails_is_an_error_and_not_a_missing_file(quick: HftpFileSystem, fault: str) -> None:
    handler, kind, number, text = FAULTS[fault]
    with serving(handler) as address:
        path = f"{address}/file"
        for ask in (quick.info, quick.exists, quick.isfile, quick.isdir, quick.open, quick.cat_file):
            with pytest.raises(kind, match=text) as caught:
                ask(path)
            assert (caught.value.errno, caught.value.filename) == (number, path)
        for ask in (quick.find, quick.ls, lambda path: quick.glob(f"{path}/*"), lambda path: [*quick.walk(path)]):
            with pytest.raises(kind, match=text):
                ask(address)


def test_a_server_that_is_not_there(quick: HftpFileSystem) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = "{}:{}".format(*listening.getsockname())
    with pytest.raises(ConnectionError, match="cannot connect: Connection refused"):
        quick.exists(f"{address}/file")
    with pytest.raises(ConnectionError, match="cannot connect: Connection refused"):
        quick.find(address)


def _changing(*contents: bytes) -> Handler:
    """Return the handler of a server whose file is another one after each slice."""
    lock, left = threading.Lock(), [*contents]

    def metadata(_peer: Peer, _words: list[str]) -> bytes:
        return b"0 OK\r\n%d\r\n" % len(left[0])

    def get(_peer: Peer, words: list[str]) -> bytes:
        with lock:
            content = left.pop(0) if len(left) > 1 else left[0]
        return slice_of(content, words)

    return one_file(b"", get_metadata=metadata, get_slice=get)


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    for fs in _closing(HftpFileSystem(dialect="2019", skip_instance_cache=True)):
        with serving(_changing(CONTENT, CONTENT, CONTENT + b"x")) as address:
            with fs.open(f"{address}/file", block_size=1000, cache_type="none") as file:
                assert file.read(1000) == CONTENT[:1000]
                with pytest.raises(OSError, match="had 10240 bytes and has 10241") as caught:
                    file.read(1000)
            assert caught.value.errno == errno.ESTALE
        with serving(_changing(CONTENT, b"short")) as address:
            with pytest.raises(OSError, match="had 10240 bytes and has 5") as caught:
                fs.cat_file(f"{address}/file")
            assert caught.value.errno == errno.ESTALE
        with serving(_changing(CONTENT, b"short")) as address:
            with pytest.raises(OSError, match="had 10240 bytes and has 5") as caught:
                fs.get_file(f"{address}/file", tmp_path / "copy")
            assert caught.value.errno == errno.ESTALE
        assert not [*tmp_path.iterdir()]


def test_a_server_that_vanishes_in_a_slice(quick: HftpFileSystem, tmp_path: Path) -> None:
    def part(peer: Peer, words: list[str]) -> bytes:
        peer.send(slice_of(CONTENT, words)[:5000])
        return b""

    with serving(one_file(CONTENT, get_slice=part)) as address:
        for fetch in (quick.cat_file, lambda path: quick.get_file(path, tmp_path / "copy")):
            with pytest.raises(ConnectionError, match="the server closed the connection in the reply to 'get_slice"):
                fetch(f"{address}/file")
    assert not (tmp_path / "copy").exists()


def test_a_local_file_that_cannot_be_written(root: str, fs: HftpFileSystem, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    with pytest.raises(IsADirectoryError, match="copy"):
        fs.get_file(f"{root}/text.txt", tmp_path / "copy")


def test_names_that_no_file_here_may_have_are_not_listed(fs: HftpFileSystem) -> None:
    names = [b"..", b"../up", b"a/../../up", b"/etc/passwd", b"a b", b"\x1b[2J", b"", b"\xff", b"a//b", b"right"]
    listing = b"".join(each + b"\r\n" for each in names if each)
    with serving(one_file(b"x", get_file_listing=lambda _peer, _words: b"0 OK\r\n" + listing + b"\r\n")) as address:
        assert fs.find(address) == [f"{address}/right"]


def test_listings_are_cached_only_on_request(tmp_path: Path) -> None:
    (tmp_path / "first").write_bytes(b"1")
    for is_cached in (False, True):
        for fs in _closing(HftpFileSystem(use_listings_cache=is_cached, skip_instance_cache=True)):
            with serving(tree(tmp_path)) as address:
                assert len(fs.ls(address)) == 1
                (tmp_path / "second").write_bytes(b"22")
                assert len(fs.ls(address)) == (1 if is_cached else 2)
                fs.invalidate_cache(address)
                assert [entry["size"] for entry in fs.ls(address)] == [1, 2]
                (tmp_path / "second").unlink()
