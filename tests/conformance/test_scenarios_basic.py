"""Scenarios about replies, commands, listings, metadata, slices and arguments, against scripted servers.

What a server may choose is no failure, and each scenario fails on the mistake that it is about. The servers here
answer from a table, so that each case differs from a good server in one reply.
"""

import base64
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conformance.failures import Failure, Kind
from conformance.fixtures.base import Fixture, Fixtures
from conformance.fixtures.content import InMemory
from conformance.fixtures.local_fixtures import LocalFixtures
from conformance.fixtures.words import Words
from conformance.model.context import RunContext, ScenarioContext
from conformance.scenarios import catalogue
from conformance.scenarios.chapter_04_listings import _many_files
from conformance.spec.reader import specification
from conformance.target.remote_fixtures import RemoteFixtures

TEXT = b"Hello,\r\nstudents"
FILES = {"text": (b"text.txt", TEXT), "one": (b"one", b"!"), "empty": (b"empty", b""), "binary": (b"b", b"\r\n\0" * 20)}
CONTENTS = dict(FILES.values())
ALL = catalogue()
WORDS = Words()
"""Of the seed that a context has by default."""
CHAPTERS = ("replies", "commands", "listings", "metadata", "slices", "arguments")
TIMEOUT_SECONDS = 1.0
OK, MALFORMED, UNKNOWN, INVALID, MISSING, PAST = (b"%d TEXT\r\n" % code for code in (0, 101, 200, 201, 202, 203))

Answer = Callable[[bytes], bytes]
"""Gives the reply to a line without its end."""


def answer(line: bytes) -> bytes:  # noqa: PLR0911  (a return for each command)
    """Answer as a good server does, in the dialect of 2026."""
    match line.split(b" "):
        case [b"get_file_listing"]:
            return OK + b"".join(name + b"\r\n" for name in CONTENTS) + b"\r\n"
        case [b"get_metadata", name]:
            return OK + b"%d\r\n" % len(CONTENTS[name]) if name in CONTENTS else MISSING
        case [b"get_slice", name, offset, size, *form] if form in ([], [b"raw"]):
            return answer_slice(name, offset, size, is_raw=bool(form))
        case [b"help"]:
            return OK + b"get_file_listing\r\nget_metadata\r\nget_slice\r\nhelp\r\nquit\r\n\r\n"
        case [b"quit"]:
            return OK
        case [b""]:
            return MALFORMED
        case [b"get_file_listing" | b"get_metadata" | b"get_slice" | b"help" | b"quit", *_]:
            return INVALID
    return UNKNOWN


def answer_slice(name: bytes, offset: bytes, size: bytes, *, is_raw: bool = False) -> bytes:
    """Answer get_slice."""
    if not (offset.isdigit() and size.isdigit()):
        return INVALID
    if name not in CONTENTS:
        return MISSING
    if len(offset) > 4000 or len(size) > 4000:
        return PAST
    start, end = int(offset), int(offset) + int(size)
    if end > len(CONTENTS[name]):
        return PAST
    data = CONTENTS[name][start:end]
    return OK + (b"Content-Length: %d\r\n\r\n%b" % (len(data), data) if is_raw else base64.b64encode(data) + b"\r\n")


def but(**changes: bytes | Answer) -> Answer:
    """Answer as a good server does, except for lines that contain something."""

    def changed(line: bytes) -> bytes:
        for part, reply in changes.items():
            if part.encode() in line:
                return reply if isinstance(reply, bytes) else reply(line)
        return answer(line)

    return changed


def serve(listener: socket.socket, reply_to: Answer) -> None:
    """Serve one client at a time, until the listener is closed."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client, contextlib.suppress(OSError):  # a client may leave before its reply is out
            client.settimeout(10.0)
            serve_client(client, reply_to)


def serve_client(client: socket.socket, reply_to: Answer) -> None:
    """Answer one client up to quit, a fatal status or its end."""
    with client.makefile("rb") as lines:
        while line := lines.readline():
            reply = reply_to(line[:-2]) if line.endswith(b"\r\n") else b"100 BAD EOL\r\n"
            client.sendall(reply)
            if reply.startswith(b"1") or line == b"quit\r\n":
                client.shutdown(socket.SHUT_WR)
                while client.recv(1 << 16):
                    pass
                return


@contextlib.contextmanager
def context_with(
    serve: Callable[[socket.socket], None],
    fixtures: Fixtures,
    *,
    dialect: str = "2026",
    timeout_seconds: float = TIMEOUT_SECONDS,
    scenario_id: str = "",
) -> Iterator[ScenarioContext]:
    """Provide the context of a scenario, with a server: a function that serves on a listener until that is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        run_context = RunContext(
            dial=lambda seconds, _buffer: socket.create_connection(address, seconds),
            fixtures=fixtures,
            dialect=dialect,
            timeout_seconds=timeout_seconds,
        )
        context = ScenarioContext(run_context, is_crowded=False, scenario_id=scenario_id)
        try:
            yield context
        finally:
            context.close()
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(10.0)


def context_for(reply_to: Answer, scenario_id: str) -> contextlib.AbstractContextManager[ScenarioContext]:
    """Provide the context of a scenario, with a scripted server."""
    files = {key: Fixture(key, name, len(data), InMemory(data)) for key, (name, data) in FILES.items()}
    fixtures = RemoteFixtures(files, knows_all=True)
    return context_with(lambda listener: serve(listener, reply_to), fixtures, scenario_id=scenario_id)


def play(scenario_id: str, reply_to: Answer) -> str:
    """Return the kind of failure of a scenario; empty if there is none."""
    with context_for(reply_to, scenario_id) as context:
        try:
            ALL[scenario_id].play(context)
        except Failure as failure:
            return failure.kind.value
    return ""


def ours() -> list[str]:
    """Return the ids of the scenarios that need nothing but the files above, in 2026."""
    return [
        row.id
        for row in ALL
        if row.chapter in CHAPTERS and row.needs <= FILES.keys() | {"own-files"} and row.applies_to("2026")
    ]


def test_correct_scripted_server_passes() -> None:
    failed = {scenario_id: kind for scenario_id in ours() if (kind := play(scenario_id, answer))}
    assert not failed
    assert len(ours()) > 200


@pytest.mark.parametrize(
    ("scenario_id", "reply_to"),
    [
        ("arguments.2-63-offset", but(get_slice=lambda line: INVALID if len(line) > 30 else answer(line))),
        ("arguments.5000-digits-size", but(get_slice=lambda line: INVALID if len(line) > 30 else answer(line))),
        ("arguments.leading-zeros-offset", but(get_slice=lambda line: INVALID if b" 0001" in line else answer(line))),
        ("arguments.zeros-5000-size", but(get_slice=lambda line: INVALID if len(line) > 30 else answer(line))),
        ("arguments.arabic-size", lambda line: answer(line) if line.isascii() else MALFORMED),
        ("replies.alone-203", but(get_slice=INVALID)),
        ("replies.has-text", but(quit=b"0  \r\n")),
    ],
)
def test_choices_pass(scenario_id: str, reply_to: Answer) -> None:
    assert play(scenario_id, reply_to) == ""


def doubled(line: bytes) -> bytes:
    return answer(line) + b"\r\n"


def unpadded(line: bytes) -> bytes:
    return answer(line).replace(b"=", b"")


def past_the_end(line: bytes) -> bytes:
    reply = answer(line)
    return OK + b"\r\n" if reply == PAST else reply


WRONG = (
    ("replies.status-line", but(quit=b"000 OK\r\n"), "malformed"),
    ("replies.status-line", but(quit=b"OK\r\n"), "malformed"),
    ("replies.status-line", but(quit=b"0 OK\n"), "malformed"),
    ("replies.known-codes", but(get_metadata=b"404 NOT FOUND\r\n"), "status"),
    ("replies.has-text", but(quit=b"0\r\n"), "malformed"),
    ("replies.has-text", but(quit=b"0 \r\n"), "malformed"),
    ("replies.alone-202", but(get_metadata=MISSING + b"\r\n"), "malformed"),
    ("replies.alone-raw", but(get_slice=MISSING + b"Content-Length: 1\r\n"), "malformed"),
    ("replies.goes-on-200", but(**{WORDS.unknown.decode(): MALFORMED}), "status"),
    ("commands.unknown", but(**{WORDS.unknown_word.decode(): INVALID}), "status"),
    ("commands.names-of-methods", but(close=OK), "status"),
    ("commands.upper-case-quit", but(QUIT=OK), "status"),
    ("commands.slice-4", but(get_slice=lambda line: answer(b" ".join(line.split(b" ")[:4]))), "status"),
    ("commands.offset-before-file", but(get_slice=MISSING), "status"),
    ("commands.file-before-size", but(get_slice=PAST), "status"),
    ("commands.help-complete", but(help=OK + b"get_file_listing\r\nquit\r\n\r\n"), "body"),
    ("commands.help-usable", but(help=OK + b"get_directory\r\n\r\n"), "status"),
    ("listings.form", but(get_file_listing=OK + b"text.txt one\r\n\r\n"), "body"),
    ("listings.form", but(get_file_listing=OK + b"text.txt\n\r\n"), "malformed"),
    ("listings.form", but(get_file_listing=OK + b"text.txt\r\n"), "timeout"),
    ("listings.no-doubles", but(get_file_listing=OK + b"a\r\na\r\n\r\n"), "body"),
    ("listings.all-fetchable", but(get_file_listing=OK + b"directory\r\n\r\n"), "status"),
    ("listings.all-fetchable", but(get_file_listing=OK + b"with space\r\n\r\n"), "body"),
    ("metadata.form", but(get_metadata=OK + b"0016\r\n"), "malformed"),
    ("metadata.form", but(get_metadata=OK + b"16 bytes\r\n"), "malformed"),
    ("metadata.form", but(get_metadata=doubled), "malformed"),
    ("metadata.size-of-text", but(get_metadata=OK + b"15\r\n"), "body"),
    ("metadata.agrees-with-slices", but(get_metadata=OK + b"1\r\n"), "status"),
    ("slices.whole-text", but(get_slice=OK + base64.b64encode(TEXT.replace(b"\r", b"")) + b"\r\n"), "body"),
    ("slices.padding", but(get_slice=unpadded), "malformed"),
    ("slices.base64-ends", but(get_slice=doubled), "malformed"),
    ("slices.past-end-by-size", but(get_slice=past_the_end), "status"),
    ("slices.empty", but(get_slice=OK), "timeout"),
    ("slices.raw-text", but(get_slice=doubled), "malformed"),
    ("slices.fourth-capitals", but(RAW=lambda line: answer(line.lower())), "status"),
    ("arguments.plus-size", but(get_slice=lambda line: answer(line.replace(b"+", b""))), "status"),
    ("arguments.fraction-offset", but(get_slice=lambda line: answer(line.replace(b"1.0", b"1"))), "status"),
    ("arguments.minus-one-size", but(get_slice=lambda line: answer(line.replace(b"-1", b"16"))), "status"),
    ("arguments.2-64-and-1-offset", but(get_slice=OK + b"\r\n"), "status"),
)


@pytest.mark.parametrize(
    ("scenario_id", "reply_to", "kind"), WRONG, ids=[f"{row[0]}-{i}" for i, row in enumerate(WRONG)]
)
def test_finds_a_mistake(scenario_id: str, reply_to: Answer, kind: str) -> None:
    assert play(scenario_id, reply_to) == kind


def test_every_requirement_of_these_chapters_has_a_scenario() -> None:
    judged = {row.requirement for row in ALL}
    wanted = {row.id for row in specification() if not row.untestable and "2" <= row.id[5] <= "7"}
    assert wanted <= judged


def test_titles_and_causes_are_well_formed() -> None:
    rows = [row for row in ALL if row.chapter in CHAPTERS]
    titles = [row.title for row in rows]
    assert len({(row.title, *sorted(row.dialects)) for row in rows}) == len(titles)
    for row in rows:
        assert not row.title.endswith("."), row.id
        assert len(row.title) < 120, row.id
        assert set(row.causes) <= set(Kind), row.id
        assert all(cause.strip() for cause in row.causes.values()), row.id


def test_adds_and_removes_many_files(tmp_path: Path) -> None:
    fixtures = LocalFixtures(tmp_path / "served", 1, 1000)
    fixtures.write()
    before = sorted(fixtures.directory.iterdir())
    names = [b"many-%d" % number for number in range(50)]
    with context_for(answer, "x") as context:
        context.fixtures = fixtures
        with _many_files(context, names):
            assert {path.name for path in fixtures.directory.glob("many-*")} == {name.decode() for name in names}
    assert sorted(fixtures.directory.iterdir()) == before
    fixtures.remove()
