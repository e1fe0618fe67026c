"""Failing system calls, and files that change while they are sent: no wrong reply looks complete."""

import base64
import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from greenserver.files.file_slice import FileChangedError
from greenserver.files.store import FileStore
from greenserver.protocol.responses import Data
from greenserver.protocol.slice_encodings import Base64Slice, FragmentedSlice, MeasuredSlice, PlainSlice
from tests.greenserver.launching import Launch
from tests.greenserver.serving import ENGINES, wait_until

pytestmark = pytest.mark.once

CONTENT = b"".join(number.to_bytes(4, "big") for number in range(3_000_000))
"""12 MB: more than the kernel buffers for a client that does not read."""

IN_ONE_THREAD = tuple(engine for engine in ENGINES if engine != "threads")
"""Engines on which faults, which strace counts for each thread, occur in the order of the clients."""

ACCEPT_FAULTS = [
    *((engine, error) for engine in ENGINES for error in ("EMFILE", "ECONNABORTED")),
    ("gevent", "ENFILE"),
    ("threads", "ENOMEM"),
    ("selectors", "ENOBUFS"),
    ("sequential", "EINTR"),
    ("gevent", "EINTR"),
    ("selectors", "ENFILE"),
]

FILE_FAULTS = [
    *((engine, "openat", "EMFILE") for engine in IN_ONE_THREAD),
    ("gevent", "openat", "ENFILE"),
    ("selectors", "openat", "ENOMEM"),
    ("threads", "openat", "EINTR"),
    ("gevent", "openat2", "ENOMEM"),
    ("selectors", "openat2", "ENOSYS"),
    ("gevent", "preadv2", "EOPNOTSUPP"),
    ("selectors", "preadv2", "EAGAIN"),
    ("gevent", "preadv2", "ENOMEM"),
]

each_engine = pytest.mark.parametrize("engine", ENGINES)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    files = tmp_path / "files"
    files.mkdir()
    (files / "file.bin").write_bytes(CONTENT)
    return files


@pytest.fixture
def launch(launch: Launch, files: Path) -> Launch:
    """Return a function that starts servers of files that the test may change."""
    return partial(launch, directory=files)


def inject(call: str, error: str, when: str, path: Path | None = None) -> list[str]:
    """Return strace options that make calls fail, counted for each thread; calls on one path, if one is given."""
    return [f"--trace={call}", f"--inject={call}:error={error}:when={when}", *(["-P", str(path)] if path else [])]


# --- Failing system calls ------------------------------------------------------------------------


@pytest.mark.parametrize(("engine", "error"), ACCEPT_FAULTS)
def test_accept_is_retried_after_an_error(launch: Launch, engine: str, error: str) -> None:
    server = launch(engine, strace=inject("accept4", error, "2..4"))
    for _ in range(6):
        assert server.ask(b"get_metadata file.bin\r\n") == b"0 OK\r\n%d\r\n" % len(CONTENT)
    warnings = server.events_named("accept failed; retrying")
    assert len(warnings) == (error not in {"ECONNABORTED", "EINTR"}), "one warning for each series of errors"


@pytest.mark.parametrize(("engine", "call", "error"), FILE_FAULTS)
def test_an_error_of_the_file_system_fails_one_reply_only(
    launch: Launch, files: Path, engine: str, call: str, error: str
) -> None:
    path = files / "file.bin" if call == "preadv2" else files
    server = launch(engine, strace=inject(call, error, "3..6", path))
    whole = b"0 OK\r\nContent-Length: 100000\r\n\r\n" + CONTENT[:100_000]
    replies = [server.ask(b"get_slice file.bin 0 100000 raw\r\n") for _ in range(12)]
    assert all(reply == whole or reply.startswith(b"199 ") or len(reply) < len(whole) for reply in replies)
    assert all(whole.startswith(reply) or reply == b"199 INTERNAL SERVER ERROR\r\n" for reply in replies)
    assert replies[-1] == whole
    if error in {"EINTR", "ENOSYS", "EOPNOTSUPP", "EAGAIN"} or call == "openat2":
        assert replies.count(whole) == len(replies), "none of these errors affects a reply"
    else:
        assert replies.count(whole) < len(replies), "the error was injected"


@each_engine
def test_a_read_error_in_the_middle_aborts_the_reply(launch: Launch, files: Path, engine: str) -> None:
    server = launch(engine, strace=inject("preadv2", "EIO", "4+", files / "file.bin"))
    reply = server.ask(b"get_slice file.bin 0 %d raw\r\nget_metadata file.bin\r\n" % len(CONTENT))
    head = b"0 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT)
    assert reply.startswith(head)
    assert len(head) <= len(reply) < len(CONTENT)
    assert CONTENT.startswith(reply[len(head) :])
    wait_until(lambda: bool(server.events_named("reply aborted")), "the aborted reply is logged")
    assert "Input/output error" in server.events_named("reply aborted")[0]["traceback"]
    assert server.ask(b"get_metadata file.bin\r\n") == b"0 OK\r\n%d\r\n" % len(CONTENT)


@pytest.mark.parametrize(
    ("engine", "error"), [*((engine, "ENOBUFS") for engine in IN_ONE_THREAD), ("gevent", "ENOMEM")]
)
def test_a_send_error_ends_one_connection_only(launch: Launch, engine: str, error: str) -> None:
    server = launch(engine, strace=inject("sendto", error, "3..4"))
    replies = [server.ask(b"get_metadata file.bin\r\n") for _ in range(10)]
    right = b"0 OK\r\n%d\r\n" % len(CONTENT)
    assert set(replies) == {right, b""}
    assert replies[-1] == right


def test_a_file_error_in_one_thread_does_not_affect_another(launch: Launch, files: Path) -> None:
    server = launch("threads", strace=inject("openat", "EMFILE", "3+", files))  # at start, one thread opens it twice
    command, reply = b"get_slice file.bin 0 9\r\n", b"0 OK\r\n" + base64.b64encode(CONTENT[:9]) + b"\r\n"
    for _ in range(3):
        assert server.ask(command * 3) == reply * 2 + b"199 INTERNAL SERVER ERROR\r\n"
        assert server.ask(command) == reply


def test_a_send_error_in_one_thread_does_not_affect_another(launch: Launch) -> None:
    server = launch("threads", strace=inject("sendto", "ENOBUFS", "2+"))
    for _ in range(3):
        with server.connect() as client:
            for expected in (b"200 NO SUCH COMMAND\r\n", b""):
                client.send(b"say_it\r\n")
                assert client.line() == expected


# The first thread is the counter of the tests; one more of `selectors` reads files; gevent stops without a thread.
@pytest.mark.parametrize(("engine", "refused"), [("threads", "2+"), ("selectors", "3+"), ("sequential", "2+")])
def test_the_server_stops_if_no_thread_can_be_started(launch: Launch, engine: str, refused: str) -> None:
    server = launch(engine, limits={"file_threads": 1}, strace=inject("clone,clone3", "EAGAIN", refused))
    server.connect().socket.close()
    assert server.stop() == 0
    assert server.events_named("stopped")
    assert "Traceback" not in server.log()


# --- Files that change while they are sent -------------------------------------------------------


def truncate(path: Path) -> None:
    os.truncate(path, 1000)


def shorten_by_a_byte(path: Path) -> None:
    os.truncate(path, len(CONTENT) - 1)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(len(CONTENT)))


def overwrite_and_put_its_time_back(path: Path) -> None:
    times = path.stat()
    overwrite(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def rewrite_the_end(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-10, os.SEEK_END)
        file.write(b"0123456789")


def truncate_and_restore_its_length(path: Path) -> None:
    os.truncate(path, 0)
    os.truncate(path, len(CONTENT))


def replace(path: Path) -> None:
    draft = path.with_name("draft")
    draft.write_bytes(bytes(len(CONTENT)))
    draft.replace(path)


def delete(path: Path) -> None:
    path.unlink()


CORRUPTING = (
    truncate,
    shorten_by_a_byte,
    overwrite,
    overwrite_and_put_its_time_back,
    rewrite_the_end,
    truncate_and_restore_its_length,
)
HARMLESS = (replace, delete)

FORMS = {
    ("2026", " raw"): b"Content-Length: %d\r\n\r\n" % len(CONTENT) + CONTENT,
    ("2026", ""): base64.b64encode(CONTENT) + b"\r\n",
    ("2018", ""): CONTENT,
}


@each_engine
@pytest.mark.parametrize("change", [*CORRUPTING, *HARMLESS], ids=lambda change: change.__name__)
def test_a_file_that_changes_while_it_is_sent_never_gives_a_complete_wrong_reply(
    launch: Launch, files: Path, engine: str, change: Callable[[Path], None]
) -> None:
    server = launch(engine)
    whole = b"0 OK\r\n" + FORMS["2026", " raw"]
    with server.connect() as client:
        client.send(b"get_slice file.bin 0 %d raw\r\n" % len(CONTENT))
        begun = client.exactly(100_000)
        time.sleep(0.2)  # the server fills the kernel buffers, and waits
        change(files / "file.bin")
        client.end()
        reply = begun + client.rest()
    if change in HARMLESS:
        assert reply == whole, "the opened file is sent"
    else:
        assert len(reply) < len(whole), "aborted"
        assert server.events_named("reply aborted")


@pytest.mark.parametrize("body", [Base64Slice, PlainSlice, MeasuredSlice, FragmentedSlice])
@pytest.mark.parametrize("change", CORRUPTING, ids=lambda change: change.__name__)
@pytest.mark.parametrize("stop_before", [1, 100, 200_000])
def test_a_partly_sent_last_part_is_not_completed_from_a_changed_file(
    files: Path, body: type[PlainSlice], change: Callable[[Path], None], stop_before: int
) -> None:
    with FileStore(files) as store:
        reply = body(store.slice("file.bin", 0, len(CONTENT)))
        length = sum(len(part) for part in parts(body(store.slice("file.bin", 0, len(CONTENT)))))
        with contextlib.closing(reply):
            position = 0
            while position < length - stop_before:
                position = min(position + len(reply.chunk(position)), length - stop_before)
            change(files / "file.bin")
            rest = b""
            with contextlib.suppress(FileChangedError):
                while part := reply.chunk(position + len(rest)):
                    rest += part
            assert len(rest) < stop_before or re.fullmatch(rb"\r?\n", rest[-2:]), (
                "aborted, or the whole file was sent before"
            )
            if stop_before > 10:
                assert len(rest) < stop_before


def parts(body: PlainSlice) -> Iterator[Data]:
    position = 0
    with contextlib.closing(body):
        while part := body.chunk(position):
            yield part
            position += len(part)


def test_a_small_slice_is_read_from_a_growing_file(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_preadv = os.preadv

    def grow_then_read(*arguments: Any) -> int:  # noqa: ANN401  (the arguments of preadv)
        with (files / "file.bin").open("ab") as file:
            file.write(b"more")
        return real_preadv(*arguments)

    with FileStore(files) as store:
        monkeypatch.setattr(os, "preadv", grow_then_read)
        assert store.read("file.bin", 5, 1000) == CONTENT[5:1005]
