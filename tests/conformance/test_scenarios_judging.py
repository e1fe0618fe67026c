"""Scenarios that were once stricter than the protocol, against servers that use its freedom, and worse ones.

Each right server here has failed once, and each wrong one beside it has to go on failing.
"""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.failures import Failure, Incomplete
from conformance.fixtures.base import Fixture, Fixtures
from conformance.fixtures.content import InMemory
from conformance.fixtures.local_fixtures import LocalFixtures
from conformance.model.context import ScenarioContext
from conformance.scenarios import catalogue
from conformance.spec.dialects import DIALECTS
from conformance.tools.explain import explained
from tests.conformance.test_scenarios_basic import (
    CONTENTS,
    FILES,
    INVALID,
    MALFORMED,
    MISSING,
    OK,
    PAST,
    Answer,
    answer,
    but,
    context_with,
    serve,
)

pytestmark = pytest.mark.once

ALL = catalogue()
FATAL = b"199 INTERNAL SERVER ERROR\r\n"
SECRET = b"hftp-secret-0.txt"
EXTRAS = {"unreadable": b"unreadable", "subdirectory": b"subdirectory"}


class Files(Fixtures):
    """Files that are known, and names that are no files; none of them can be changed."""

    knows_all = True
    secret = Fixture("secret", SECRET, 7, InMemory(b"secret\n"))

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def directory(self) -> Path:
        """Where the files would be."""
        return self._directory

    def get(self, key: str) -> Fixture:
        """Return a file."""
        if key in EXTRAS:
            return Fixture(key, EXTRAS[key], 0)
        name, data = FILES[key]
        return Fixture(key, name, len(data), InMemory(data))


def context_of(
    reply_to: Answer, fixtures: Fixtures, dialect: str = "2026", timeout_seconds: float = 0.4
) -> contextlib.AbstractContextManager[ScenarioContext]:
    """Provide the context of a scenario, with a scripted server."""
    return context_with(
        lambda listener: serve(listener, reply_to), fixtures, dialect=dialect, timeout_seconds=timeout_seconds
    )


def play(scenario_id: str, reply_to: Answer, dialect: str = "2026", fixtures: Fixtures | None = None) -> str:
    """Return the kind of failure of a scenario, `incomplete`, or nothing."""
    with context_of(reply_to, fixtures or Files(Path("/srv/hftp/served")), dialect) as context:
        try:
            ALL[scenario_id].play(context)
        except Failure as failure:
            return failure.kind.value
        except Incomplete:
            return "incomplete"
    return ""


def listing_too(reply: bytes, sizes: bytes = OK + b"4096\r\n") -> Answer:
    """Also list unreadable files, with sizes, and reject slices of them."""
    return but(
        get_file_listing=OK + b"".join(name + b"\r\n" for name in (*CONTENTS, *EXTRAS.values())) + b"\r\n",
        **{f"get_metadata {name.decode()}": sizes for name in EXTRAS.values()},
        **{f"get_slice {name.decode()}": reply for name in EXTRAS.values()},
    )


@pytest.mark.parametrize("reply", [FATAL, INVALID, MISSING], ids=["199", "201", "202"])
@pytest.mark.parametrize("dialect", ["2026", "2019"])
def test_unreadable_file_may_be_listed_with_any_size(reply: bytes, dialect: str) -> None:
    assert play("metadata.agrees-with-slices", listing_too(reply), dialect) == ""


@pytest.mark.parametrize("wrong", [b"15", b"17", b"0"])
def test_finds_a_size_that_disagrees_with_slices(wrong: bytes) -> None:
    wrongly = but(**{"get_metadata text.txt": OK + wrong + b"\r\n"})
    assert play("metadata.agrees-with-slices", wrongly) == "status"


def test_close_after_199_has_the_level_of_the_199() -> None:
    levels = [ALL["replies.closes-199"].levels[dialect] for dialect in DIALECTS]
    assert levels == ["MUST", "SHOULD", "SHOULD", "SHOULD"]
    assert "MUST, SHOULD in 2019, SHOULD in 2018, SHOULD in 2016" in explained("replies.closes-199", ALL)


def to_spaces(reply: bytes) -> Answer:
    return lambda line: reply if line.isspace() else answer(line)


def to_cr(reply: bytes) -> Answer:
    return lambda line: reply if b"\r" in line else answer(line)


def test_lone_cr_or_spaces_may_be_status_100() -> None:
    for code in (b"100", b"101", b"200", b"201"):
        reply = code + b" TEXT\r\n"
        for slug in ("lone-cr", "two-crs"):
            assert play(f"framing.{slug}", to_cr(reply)) == play(f"framing.{slug}-answer", to_cr(reply)) == ""
        assert (
            play("framing.only-spaces", to_spaces(reply)) == play("framing.only-spaces-answer", to_spaces(reply)) == ""
        )
        assert play("framing.odd-lines-no-199", to_cr(reply)) == ""


def test_status_199_for_spaces_fails_a_should() -> None:
    assert play("framing.only-spaces", to_spaces(FATAL)) == ""
    assert play("framing.odd-lines-no-199", to_spaces(FATAL)) == "status"
    assert play("framing.odd-lines-no-199", to_cr(FATAL)) == "status"
    assert {ALL["framing.odd-lines-no-199"].levels[dialect] for dialect in DIALECTS} == {"SHOULD"}


def test_finds_two_replies_to_a_line_with_a_cr() -> None:
    assert play("framing.lone-cr", to_cr(INVALID + INVALID)) == "status"
    assert play("framing.lone-cr", to_cr(b"100 BAD EOL\r\n200 MORE\r\n")) == "extra"


FOREIGN = (
    *("hyphens", "status-as-command", "other-protocol", "upper-case-quit", "title-case-quit", "upper-case-listing"),
    *("upper-case-metadata", "mixed-case-slice", "help-in-case"),
)


@pytest.mark.parametrize("slug", FOREIGN)
def test_command_with_invalid_characters_may_be_status_101(slug: str) -> None:
    def strict(line: bytes) -> bytes:
        command = line.partition(b" ")[0]
        return MALFORMED if not command.replace(b"_", b"").isalpha() or not command.islower() else answer(line)

    assert play(f"commands.{slug}", strict) == ""
    assert play(f"commands.{slug}", lambda line: INVALID if strict(line) == MALFORMED else answer(line)) == "status"


def malformed_below_dots(line: bytes) -> bytes:
    return b"Bad name!\r\n" if b".." in line else answer(line)


def doubled_errors(line: bytes) -> bytes:
    reply = answer(line)
    return reply if reply.startswith(b"0") else reply + OK


def echo(line: bytes) -> bytes:
    return line + b"\r\n"


ESCAPES = (
    *("parent", "parents", "down-and-up", "dotted", "absolute", "removed-once", "encoded", "backslash", "trailing"),
    *("expanded", "proc", "size-outside", "nul", "spaces", "known-files"),
)


@pytest.mark.parametrize("slug", ESCAPES)
def test_malformed_reply_is_no_path_escape(slug: str) -> None:
    assert play(f"paths.{slug}", answer) == ""
    assert play(f"paths.{slug}", malformed_below_dots) in {"", "incomplete"}
    assert play(f"paths.{slug}", doubled_errors) == ""
    assert play(f"paths.{slug}", echo) in {"", "incomplete"}


@pytest.mark.parametrize("slug", ["parent", "nul"])
def test_missing_reply_is_no_path_escape(slug: str) -> None:
    def silent(line: bytes) -> bytes:
        return b"" if b".." in line else answer(line)

    assert play(f"paths.{slug}", silent) == ("incomplete" if slug == "parent" else "")


@pytest.mark.parametrize("slug", ESCAPES)
def test_finds_a_path_escape_after_malformed_replies(slug: str) -> None:
    def leaks(line: bytes) -> bytes:
        if line.startswith(b"get_metadata") and (b"hftp-secret" in line or b" /etc/passwd" in line):
            return OK + b"7\r\n"
        return malformed_below_dots(line)

    assert play(f"paths.{slug}", leaks) == "status"


def test_status_0_for_every_name_is_no_path_escape() -> None:
    assert play("paths.parent", but(get_=OK)) == "incomplete"


@pytest.mark.parametrize(
    "scenario_id", ["framing.nul-survived", "lengths.nuls", "lengths.http", "lengths.left-in-line"]
)
def test_malformed_reply_shows_that_the_server_lives(scenario_id: str) -> None:
    assert play(scenario_id, lambda _line: b"Hello\r\n") == ""


def test_malformed_reply_to_a_nul_is_a_reply() -> None:
    assert play("framing.nul", lambda line: b"Hello\r\n" if b"\0" in line else answer(line)) == "incomplete"


@pytest.mark.parametrize("place", ["offset", "size"])
def test_rejected_size_0_does_not_pass_as_strict(place: str) -> None:
    def careless(line: bytes) -> bytes:
        words = line.split(b" ")
        if words[0] != b"get_slice" or len(words) != 4:
            return answer(line)
        if words[3] == b"0":
            return INVALID
        return answer(b" ".join([*words[:2], *(word.replace(b"+", b"") for word in words[2:])]))

    assert play(f"arguments.plus-{place}", careless) == "status"


UNREADABLE = ("commands.unreadable-slice", "commands.unreadable-metadata")
DIRECTORY = (
    *("metadata.directory", "metadata.directory-slice", "metadata.directory-empty-slice"),
    *("paths.directory", "paths.directory-slice"),
)


def of_names(reply: bytes) -> Answer:
    return but(unreadable=reply, subdirectory=reply)


@pytest.mark.parametrize("scenario_id", [*UNREADABLE, *DIRECTORY])
def test_before_2026_any_status_passes_for_an_unreadable_file(scenario_id: str) -> None:
    for dialect in ("2019", "2018", "2016"):
        for reply in (FATAL, MALFORMED, INVALID, MISSING, PAST, OK + b"4096\r\n"):
            assert play(scenario_id, of_names(reply), dialect) == ""
        assert ALL[scenario_id].levels[dialect] == "SHOULD"
    assert play(scenario_id, of_names(b""), "2019") == "timeout"
    assert play(scenario_id, of_names(OK + b"4096\r\n")) == "status"


@pytest.mark.parametrize("scenario_id", UNREADABLE)
def test_in_2026_an_unreadable_file_must_be_199(scenario_id: str) -> None:
    assert play(scenario_id, of_names(FATAL)) == ""
    assert play(scenario_id, of_names(MISSING)) == "status"


@pytest.mark.parametrize("scenario_id", ["commands.unreadable-survived", "metadata.directory-survived"])
def test_serving_others_afterwards_is_a_must(scenario_id: str) -> None:
    assert {ALL[scenario_id].levels[dialect] for dialect in DIALECTS} == {"MUST"}
    for reply in (b"", FATAL, OK):
        assert play(scenario_id, of_names(reply), "2019") == ""
    dead = threading.Event()

    def dies(line: bytes) -> bytes:
        dead.set() if b"unreadable" in line or b"subdirectory" in line else None
        return b"" if dead.is_set() else answer(line)

    assert play(scenario_id, dies, "2019") == "timeout"


class Emptied(Files):
    """A directory that is empty while its path is read."""

    @contextlib.contextmanager
    def emptied(self) -> Iterator[None]:
        """Do nothing: the server's table has no files."""
        yield


@pytest.mark.parametrize(
    ("reply", "kind"),
    [(b"\r\n", ""), (b"\r\n\r\n", "extra"), (b"", "timeout"), (b"a\r\n\r\n", "body"), (b"\n", "malformed")],
)
def test_listing_of_an_empty_directory_is_one_empty_line(reply: bytes, kind: str) -> None:
    fixtures = Emptied(Path("/srv/hftp/served"))
    assert play("listings.empty-directory", but(get_file_listing=OK + reply), fixtures=fixtures) == kind


def test_emptied_directory_has_no_marker(tmp_path: Path) -> None:
    fixtures = LocalFixtures(tmp_path / "served", 1, 1000)
    fixtures.write()
    with fixtures.emptied():
        assert list(fixtures.directory.iterdir()) == []
    fixtures.remove()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_listed_unreadable_file_fails_only_in_2026(dialect: str) -> None:
    found = play("listings.only-fetchable-unreadable", listing_too(FATAL), dialect)
    assert found == ("status" if dialect == "2026" else "")
    assert play("listings.only-fetchable-subdirectory", listing_too(MISSING), dialect) == "status"
