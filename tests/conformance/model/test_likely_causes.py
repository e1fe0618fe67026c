"""Likely causes are reported only for the mistakes that they describe.

For each cause that was once reported wrongly there are two small servers here: one that it is not true of, and one that
it is.
"""

import base64
import contextlib
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import cast

import pytest

from conformance.client.client import OUT_OF_STEP
from conformance.failures import CAUSES, Failure, Incomplete, Kind
from conformance.fixtures.base import Fixtures, extras, plan
from conformance.fixtures.local_fixtures import LocalFixtures
from conformance.model.context import ScenarioContext
from conformance.model.likely_causes import Cause, Causes, likely
from conformance.model.scenario import Catalogue, Chapter, ScenarioError
from conformance.model.transcript import Transcript
from conformance.scenarios import catalogue
from conformance.tools.explain import explained
from tests.conformance.test_scenarios_basic import (
    CONTENTS,
    INVALID,
    MISSING,
    OK,
    PAST,
    UNKNOWN,
    WORDS,
    Answer,
    answer,
    but,
    context_with,
    serve_client,
)
from tests.conformance.test_scenarios_judging import Files

pytestmark = pytest.mark.once

ALL = catalogue()
TIMEOUT_SECONDS = 0.5
NO_FILE = WORDS.missing.decode()
Handler = Callable[[socket.socket], None]
"""Serves one client on its socket."""


def lines(reply_to: Answer) -> Handler:
    """Serve a client line by line, correctly."""

    def handle(client: socket.socket) -> None:
        serve_client(client, reply_to)

    return handle


def accept(listener: socket.socket, handle: Handler) -> None:
    """Serve each client in a thread of its own, until the listener is closed."""

    def serve(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(5.0)
            handle(client)

    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(client,), daemon=True).start()


def context_of(
    handle: Handler, fixtures: Fixtures | None = None, dialect: str = "2026"
) -> contextlib.AbstractContextManager[ScenarioContext]:
    """Provide the context of a scenario, with a server that handles clients so."""
    return context_with(
        lambda listener: accept(listener, handle),
        fixtures or Files(Path("/srv/hftp/served")),
        dialect=dialect,
        timeout_seconds=TIMEOUT_SECONDS,
    )


def likely_cause(scenario_id: str, handle: Handler | Answer, fixtures: Fixtures | None = None) -> str:
    """Return the likely cause of a failure; fail the test if there is no failure."""
    handler = handle if handle.__name__ == "handle" else lines(cast("Answer", handle))
    with context_of(cast("Handler", handler), fixtures) as context:
        with pytest.raises(Failure) as failed:
            ALL[scenario_id].play(context)
        before = len(context.record.events)
        context.close()
        closed = len(context.record.events)
        text = likely(ALL[scenario_id], failed.value, context)
        assert len(context.record.events) == closed >= before
        return text


# --- The range and the numbers -----------------------------------------------------------------------


def slices(check: Callable[[int, int, int], bool], convert: Callable[[bytes], int] = int) -> Answer:
    """Answer get_slice by what a check of OFFSET, SIZE and the file's size says, and everything else rightly."""

    def reply(line: bytes) -> bytes:
        words = line.split(b" ")
        if words[0] != b"get_slice" or len(words) != 4 or words[1] not in CONTENTS:
            return answer(line)
        try:
            offset, size = convert(words[2]), convert(words[3])
        except ValueError:
            return INVALID
        data = CONTENTS[words[1]]
        if not check(offset, size, len(data)):
            return PAST
        offset, size = (min(max(0, number), len(data) // 2) for number in (offset, size))
        return answer(b"get_slice %b %d %d" % (words[1], offset, size))

    return reply


def whole(offset: int, size: int, length: int) -> bool:
    return offset + size <= length


def nothing(_offset: int, _size: int, _length: int) -> bool:
    return True


def digits(word: bytes) -> int:
    """Convert as the protocol wants it."""
    if not word.isdigit():
        raise ValueError
    return int(word)


@pytest.mark.parametrize("slug", ["2-64-offset", "2-32-and-1-size", "2-63-offset", "2-64-and-1-size"])
def test_missing_range_check_is_not_reported_as_wrapping(slug: str) -> None:
    assert "not checked: OFFSET + SIZE" in likely_cause(f"arguments.{slug}", slices(nothing))
    wrapping = slices(whole, lambda word: int(word) & 0xFFFF_FFFF)
    if "2-63" not in slug:
        assert "wraps" in likely_cause(f"arguments.{slug}", wrapping)


def test_overflow_is_reported_only_if_the_range_is_checked() -> None:
    overflowing = slices(lambda offset, size, length: (offset + size) % (1 << 32) <= length)
    assert "overflows" in likely_cause("arguments.sum-2-32-from-1", overflowing)
    assert "range is not checked" in likely_cause("arguments.sum-2-32-from-1", slices(nothing))


def test_distinguishes_wrong_range_checks() -> None:
    def off_by_one(offset: int, size: int, length: int) -> bool:
        return offset + size <= length + 1

    def offset_alone(offset: int, _size: int, length: int) -> bool:
        return offset <= length

    for slug in ("by-size", "by-offset", "by-one"):
        assert "off by one" in likely_cause(f"slices.past-end-{slug}", slices(off_by_one))
        assert "SIZE is not checked" in likely_cause(f"slices.past-end-{slug}", slices(nothing))
    assert "SIZE is not checked" in likely_cause("slices.past-end-by-size", slices(offset_alone))
    assert "SIZE is not checked" in likely_cause("slices.past-end-much", slices(offset_alone))
    assert "range is not checked" in likely_cause("slices.past-end-far", slices(nothing))
    assert likely_cause("slices.past-end-by-size", but(get_slice=INVALID)) == ""


def test_distinguishes_wrong_number_conversions() -> None:
    def atoi(word: bytes) -> int:
        found = re.match(rb"\d*", word)
        return int(found[0]) if found and found[0] else 0

    floating = slices(whole, lambda word: int(float(word)))
    assert "floating point" in likely_cause("arguments.fraction-offset", floating)
    assert "atoi" in likely_cause("arguments.fraction-offset", slices(whole, atoi))
    assert "underscores" in likely_cause("arguments.underscore-size", slices(whole, int))
    assert "atoi" in likely_cause("arguments.underscore-size", slices(whole, atoi))
    assert "hexadecimal" in likely_cause("arguments.hexadecimal-digit-size", slices(whole, lambda word: int(word, 16)))
    assert "returns 0" in likely_cause("arguments.hexadecimal-digit-size", slices(whole, atoi))
    assert likely_cause("arguments.fraction-offset", but(**{"1.0": MISSING})) == ""


def test_distinguishes_a_close_after_a_reply_from_no_reply() -> None:
    def closes(line: bytes) -> bytes:
        return b"1" + answer(line)[1:] if b"+" in line else answer(line)  # 101: the client is closed after it

    def handle(client: socket.socket) -> None:
        serve_client(client, lambda line: b"" if b"+" in line else answer(line))

    def drops(client: socket.socket) -> None:
        line = client.recv(4096)
        if b"+" not in line:
            client.sendall(answer(line[:-2]))

    drops.__name__ = "handle"
    assert "without a reply" in likely_cause("arguments.plus-offset", drops)
    assert likely_cause("arguments.plus-offset", closes) == ""
    assert likely_cause("arguments.plus-offset", handle) == ""


# --- Files that change -------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path) -> Iterator[LocalFixtures]:
    fixtures = LocalFixtures(tmp_path / "served", 1, 1000)
    fixtures.write()
    yield fixtures
    fixtures.remove()


class Directory:
    """Answers from a directory; what it keeps of it is as a test wants it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.names_once: list[str] | None = None
        self.sizes_once: dict[bytes, int] | None = None
        self.checks_range = True

    def names(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir() if path.is_file())

    def size(self, name: bytes) -> int | None:
        if self.names_once is not None and name.decode() not in self.names_once:
            return None
        path = self.directory / name.decode()
        size = path.stat().st_size if path.is_file() else None
        if self.sizes_once is not None and size is not None:
            return self.sizes_once.setdefault(name, size)
        return size

    def __call__(self, line: bytes) -> bytes:
        match line.split(b" "):
            case [b"get_file_listing"]:
                return OK + b"".join(name.encode() + b"\r\n" for name in self.listed()) + b"\r\n"
            case [b"get_metadata", name]:
                return MISSING if (size := self.size(name)) is None else OK + b"%d\r\n" % size
            case [b"get_slice", name, offset, size]:
                return self.slice(name, int(offset), int(size))
        return answer(line)

    def listed(self) -> list[str]:
        return self.names() if self.names_once is None else self.names_once

    def slice(self, name: bytes, offset: int, size: int) -> bytes:
        if (length := self.size(name)) is None:
            return MISSING
        if self.checks_range and offset + size > length:
            return PAST
        data = (self.directory / name.decode()).read_bytes()[offset : offset + size]
        return OK + base64.b64encode(data) + b"\r\n"

    __name__ = "directory"


def test_current_sizes_are_not_reported_as_cached(served: LocalFixtures) -> None:
    careless = Directory(served.directory)
    careless.checks_range = False
    assert likely_cause("metadata.grown", careless, served) == ""
    keeping = Directory(served.directory)
    keeping.sizes_once = {}
    assert "sizes are cached" in likely_cause("metadata.grown", keeping, served)
    blind = Directory(served.directory)
    blind.names_once = blind.names()
    assert "looked up only once, at startup" in likely_cause("metadata.grown", blind, served)


def test_distinguishes_a_stale_listing_from_an_incomplete_one(served: LocalFixtures) -> None:
    blind = Directory(served.directory)
    blind.names_once = blind.names()
    assert "once, at startup" in likely_cause("listings.fresh", blind, served)

    class Choosy(Directory):
        def names(self) -> list[str]:
            return [name for name in super().names() if name != os.fsdecode(WORDS.name("fresh"))]

    assert "once, at startup" not in likely_cause("listings.fresh", Choosy(served.directory), served)
    assert likely_cause("listings.files-1000", blind, served).endswith("new files are not listed")


def test_trailing_spaces_in_a_listing_are_not_reported_as_a_glob(served: LocalFixtures) -> None:
    class Spaced(Directory):
        def listed(self) -> list[str]:
            return [f"{name} " for name in self.names()]

    class Globbed(Directory):
        def listed(self) -> list[str]:
            return [path.name for path in self.directory.glob("*.*") if path.is_file()]

    assert "glob" not in likely_cause("listings.has-no-extension", Spaced(served.directory), served)
    assert "glob" in likely_cause("listings.has-no-extension", Globbed(served.directory), served)


# --- Lines and replies -------------------------------------------------------------------------------


def one_recv(client: socket.socket) -> None:
    """Take each recv() for one command."""
    while data := client.recv(4096):
        client.sendall(answer(data.partition(b"\r\n")[0]))
        if data.startswith(b"quit"):
            return


one_recv.__name__ = "handle"


@pytest.mark.parametrize("scenario_id", ["framing.byte-by-byte", "framing.pipelining"])
def test_reports_one_recv_per_command(scenario_id: str) -> None:
    assert "each recv()" in likely_cause(scenario_id, one_recv)
    assert likely_cause(scenario_id, lambda line: b"" if line.startswith(b"get") else answer(line)) == ""


def test_distinguishes_bare_lf_line_ends_from_stripped_lines() -> None:
    def handle(client: socket.socket) -> None:
        with client.makefile("rb") as stream:
            for line in stream:
                client.sendall(answer(line.strip()))

    def waits(client: socket.socket) -> None:
        data = b""
        while more := client.recv(4096):
            data += more
            while b"\r\n" in data:
                line, data = data.split(b"\r\n", 1)
                client.sendall(answer(line.strip()))

    def drops(client: socket.socket) -> None:
        while client.recv(4096):
            pass

    waits.__name__ = drops.__name__ = "handle"
    assert "a bare LF ends a line" in likely_cause("framing.lf-only", handle)
    assert "searches only for CR LF" in likely_cause("framing.lf-only", waits)
    assert "removes a LF" in likely_cause("framing.lf-first", waits)
    assert likely_cause("framing.lf-only", drops) == ""


def test_distinguishes_a_lone_cr_line_end_from_other_second_replies() -> None:
    assert "splitlines()" in likely_cause("framing.lone-cr", lambda line: b"".join(map(answer, line.split(b"\r"))))
    doubled = likely_cause("framing.lone-cr", lambda line: answer(line) + OK if b"\r" in line else answer(line))
    assert doubled == OUT_OF_STEP


def test_distinguishes_a_skipped_empty_line_from_a_hang() -> None:
    assert "skipped" in likely_cause("framing.empty-line", lambda line: b"" if not line else answer(line))
    hung = threading.Event()

    def hangs(line: bytes) -> bytes:
        if not line:
            hung.set()
        return b"" if hung.is_set() else answer(line)

    assert likely_cause("framing.empty-line", hangs) == ""


def closing(after: Callable[[bytes], bool]) -> Handler:
    """Close after some replies, rightly otherwise."""

    def handle(client: socket.socket) -> None:
        with client.makefile("rb") as stream:
            for line in stream:
                client.sendall(answer(line[:-2]))
                if after(answer(line[:-2])):
                    return

    return handle


def test_distinguishes_a_close_after_errors_from_one_after_every_reply() -> None:
    assert "after every error" in likely_cause("replies.goes-on-200", closing(lambda reply: not reply.startswith(b"0")))
    assert "after every reply" in likely_cause("replies.goes-on-200", closing(lambda _reply: True))


def test_reports_what_follows_an_error() -> None:
    assert "followed by an empty line" in likely_cause("replies.alone-202", but(**{NO_FILE: MISSING + b"\r\n"}))
    assert likely_cause("commands.missing-metadata", but(**{NO_FILE: MISSING + OK})) == OUT_OF_STEP
    assert "a second one" in likely_cause("replies.alone-202", but(**{NO_FILE: MISSING + OK}))
    assert likely_cause("replies.alone-202", but(**{NO_FILE: b"NO SUCH FILE\r\n"})) == ""


def test_distinguishes_prefix_matching_from_a_wrong_code() -> None:
    by_start = but(get_metadatax=OK + b"16\r\n")
    assert "startswith" in likely_cause("commands.suffix-of-metadata", by_start)
    wrong_code = lambda line: INVALID if answer(line) == UNKNOWN else answer(line)  # noqa: E731
    assert likely_cause("commands.suffix-of-metadata", wrong_code) == ""


def test_order_of_checks_is_reported_only_if_the_form_is_checked() -> None:
    file_first = but(**{f"get_slice {NO_FILE}": MISSING})
    assert "looked up before" in likely_cause("commands.offset-before-file", file_first)

    def lenient(line: bytes) -> bytes:
        return answer(re.sub(rb" x\b", b" 0", line))

    assert likely_cause("commands.offset-before-file", lenient) == ""


def test_distinguishes_a_path_escape_by_nul() -> None:
    def cut(line: bytes) -> bytes:
        return OK + b"7\r\n" if line.startswith(b"get_metadata") and b"\0" in line else answer(line)

    def joined(line: bytes) -> bytes:
        return OK + b"7\r\n" if line.startswith(b"get_metadata") and b".." in line else answer(line)

    assert "NUL" in likely_cause("paths.nul", cut)
    assert "joined" in likely_cause("paths.nul", joined)


def test_distinguishes_a_greeting_from_a_wrong_reply_to_quit() -> None:
    def handle(client: socket.socket) -> None:
        client.sendall(b"220 Hello\r\n")
        serve_client(client, answer)

    assert "greeting" in likely_cause("replies.client-first", handle)
    assert likely_cause("replies.client-first", but(quit=UNKNOWN)) == ""


def test_distinguishes_two_replies_to_quit_from_what_follows_it() -> None:
    assert "more than one reply" in likely_cause("commands.quit-pipelined", but(quit=OK + OK))

    def executes(client: socket.socket) -> None:
        data = client.recv(4096)
        client.sendall(b"".join(answer(line) for line in data.split(b"\r\n")[:-1]))

    executes.__name__ = "handle"
    assert "commands after quit" in likely_cause("commands.quit-pipelined", executes)
    assert "an empty line follows" in likely_cause("commands.quit", but(quit=OK + b"\r\n"))


def test_distinguishes_converted_line_ends_from_other_wrong_bytes() -> None:
    binary = but(**{"get_slice b 0": OK + b"CgAKAA==\r\n"})
    assert "line ends are converted" in likely_cause("slices.whole-binary", binary)
    assert likely_cause("slices.whole-binary", but(**{"get_slice b 0": OK + b"CQAJAA==\r\n"})) == ""


# --- No cause is better than a wrong one -------------------------------------------------------------


def echo(line: bytes) -> bytes:
    return line + b"\r\n"


SHARED_IDS = [
    row.id
    for row in ALL
    if row.isolation == "shared"
    and row.applies_to("2026")
    and not {"clients", "crowds"} & {row.chapter}
    and row.needs <= {"text", "one", "empty", "binary", "own-files"}
    and row.levels["2026"] in {"MUST", "SHOULD"}
]


def test_echo_server_has_no_other_likely_cause() -> None:
    found = {}
    for scenario_id in SHARED_IDS[::4]:
        with context_of(lines(echo)) as context:
            try:
                ALL[scenario_id].play(context)
            except Failure as failure:
                found[scenario_id] = likely(ALL[scenario_id], failure, context)
            except Incomplete:
                continue
    assert len(found) > 20
    assert {text for text in found.values() if text} <= {"the status line does not start with the code"}, found


# --- How causes are reported -----------------------------------------------------------------------------


def test_sends_at_most_two_control_requests_within_one_timeout() -> None:
    requests = []

    def silent(line: bytes) -> bytes:
        if line == b"get_metadata":
            requests.append(line)
        return b""

    chapter = Chapter()
    causes = [Cause(str(number), control=f"C: get_metadata\nS: {number} *") for number in range(5)]
    scenario = chapter.transcript("a.b", "HFTP-3.6", "x", "C: quit\nS: 0 *", causes={Kind.TIMEOUT: [*causes, "last"]})
    with context_of(lines(silent)) as context:
        began = monotonic()
        assert likely(scenario, Failure(Kind.TIMEOUT, "0 OK", "nothing"), context) == "last"
        assert monotonic() - began < 2.0 * TIMEOUT_SECONDS
    assert len(requests) == 2


def test_failing_control_request_does_not_raise() -> None:
    def wrong(_context: ScenarioContext) -> bool:
        """Tell whether it fails."""
        raise ZeroDivisionError

    chapter = Chapter()
    causes = {Kind.TIMEOUT: [Cause("a", control=wrong), Cause("b", control="C: get_metadata {nothing-such}\nS: 0 *")]}
    scenario = chapter.transcript("a.b", "HFTP-3.6", "x", "C: quit\nS: 0 *", causes=causes)
    with context_of(lines(answer)) as context:
        assert likely(scenario, Failure(Kind.TIMEOUT, "0 OK", "nothing"), context) == ""
    assert likely(scenario, Failure(Kind.TIMEOUT, "0 OK", "nothing"), context) == ""  # nothing listens any more


def test_returns_the_first_cause_that_fits_after_the_failures_own() -> None:
    chapter = Chapter()
    causes = {Kind.STATUS: [Cause("by code", codes=(20,)), Cause("by text", got="^200 [A-Z]"), "at last"]}
    scenario = chapter.transcript("a.b", "HFTP-3.6", "x", "C: quit\nS: 0 *", causes=causes)
    with context_of(lines(answer)) as context:
        assert likely(scenario, Failure(Kind.STATUS, "0 OK", "200 NO"), context) == "by text"
        assert likely(scenario, Failure(Kind.STATUS, "0 OK", "20 NO"), context) == "by code"
        assert likely(scenario, Failure(Kind.STATUS, "0 OK", "201 NO"), context) == "at last"
        assert likely(scenario, Failure(Kind.STATUS, "0 OK", "200 NO", "known"), context) == "known"
        assert likely(scenario, Failure(Kind.BODY, "a", "b"), context) == ""


def test_mapping_has_only_unconditional_causes() -> None:
    causes = Causes({Kind.STATUS: Cause("perhaps", codes=(0,)), Kind.OPEN: "certain", Kind.BODY: ["also", "never"]})
    assert dict(causes) == {Kind.OPEN: "certain", Kind.BODY: "also"}
    assert [cause.text for cause in causes.of(Kind.STATUS)] == ["perhaps"]


def test_rejects_a_key_that_is_not_a_kind() -> None:
    with pytest.raises(ScenarioError, match="causes map kinds"):
        Chapter().transcript("a.b", "HFTP-3.6", "x", "C: quit\nS: 0 *", causes={"nonsense": "x"})


def test_every_cause_is_well_formed_and_explained() -> None:
    keys = {*plan(1), *extras(1)}
    for row in ALL:
        for kind in Kind:
            causes = row.causes.of(kind)
            assert all(cause.condition for cause in causes[:-1]), f"{row.id}: causes after an unconditional one"
            for cause in causes:
                check(cause, keys, f"{row.id}: {cause.text}")


def check(cause: Cause, keys: set[str], where: str) -> None:
    """Require that a cause can be reported and explained."""
    assert cause.text.strip(), where
    assert not cause.text.endswith("."), where
    assert len(cause.text) < 200, where
    re.compile(cause.got)
    re.compile(cause.expected)
    assert bool(cause.seen) == bool(cause.got or cause.expected), where
    for function in (cause.when, cause.control):
        if function is not None and not isinstance(function, str):
            assert (function.__doc__ or "").startswith("Tell whether "), where
    if isinstance(cause.control, str):
        assert isinstance(cause.transcript, Transcript), where
        assert cause.transcript.fixtures <= keys, where


def test_explain_prints_all_causes_and_conditions() -> None:
    text = explained("arguments.2-64-size", ALL)
    assert "only if the answer is 0, and this goes as written: C: get_slice {text} 0 1000000000 / S: 0 *" in text
    assert "only if" in explained("slices.past-end-by-size", ALL)
    chapter = Chapter()
    chapter.transcript("a.b", "HFTP-3.6", "x", "C: quit\nS: 0 *", causes={Kind.STATUS: "y"})
    assert explained("a.b", Catalogue(chapter)).endswith("status: y")


def test_general_causes_cover_every_kind_without_guessing() -> None:
    assert set(CAUSES) == set(Kind)
    assert not CAUSES[Kind.STATUS] + CAUSES[Kind.TIMEOUT] + CAUSES[Kind.BODY] + CAUSES[Kind.MALFORMED]
