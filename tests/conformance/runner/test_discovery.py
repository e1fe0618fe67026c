"""Discovery survives any server: each run starts, ends, and has a result for each scenario."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conformance.config import Options
from conformance.target.environment import Environment
from conformance.target.managed_server import ServerStartError, launch
from conformance.target.run_delay import RunDelay
from tests.broken_servers import forking
from tests.broken_servers.commands import DIALECTS, Commands
from tests.broken_servers.odd_servers import ODD
from tests.broken_servers.style_threads import Threads
from tests.conformance.in_process import LARGE_BYTES, discover, judge, judge_command, make_options, make_runner, run
from tests.conformance.small_servers import MODULE

pytestmark = pytest.mark.once

FEW = ("framing.lf-only", "framing.pipelining", "replies.closes-100", "commands.quit", "commands.unknown")
FEW_MORE = (*FEW, "metadata.form", "slices.whole-text", "listings.form", "clients.two-at-once")
SLOW = ("slow-replies", "slow-replies-streams")
QUIET = ("fail", "warn", "flaky", "blocked", "incomplete", "error")


# --- Servers that wear out ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["capped-clients", "capped-clients-silent", "capped-clients-loop", "deaf-to-the-end"])
def test_discovery_does_not_exhaust_a_fragile_server(name: str) -> None:
    found = judge(name, *FEW_MORE)
    found.assert_complete()
    # A fatal end frees no slot of the capped ones either, so a crowd may meet one that is taken.
    assert set(found.with_verdict(*QUIET)) <= {"clients.two-at-once"}
    assert found.start.dialect == "2026"
    assert found.end.exit == 0


@pytest.mark.parametrize("name", ["capped-clients", "capped-clients-silent", "capped-clients-loop", "deaf-to-the-end"])
def test_restarts_a_server_exhausted_by_vanished_clients(name: str) -> None:
    select = (*FEW, "clients.leave-at-once", "clients.leave-mid-line", "clients.leave-unread", "clients.reset-at-once")
    found = judge(name, *select)
    found.assert_complete()
    assert found.with_verdict("blocked", "incomplete", "error") == []
    assert set(FEW) <= set(found.with_verdict("pass"))
    assert all(name.startswith("clients.") for name in found.with_verdict("fail", "warn"))


@pytest.mark.parametrize("is_busy", [True, False])
def test_waits_longer_for_a_second_client_on_a_busy_machine(is_busy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunDelay, "look", lambda _delay: float(is_busy))
    found = judge_command(f"{MODULE} late-second-client", "framing.one-command", dialect="2026")
    assert found.start.is_concurrent == is_busy


@pytest.mark.parametrize("most", [1, 5, 12])
def test_finds_the_number_of_concurrent_clients(most: int) -> None:
    found = judge_command(f"{MODULE} capped-at-{most}", *FEW_MORE)
    found.assert_complete()
    assert found.start.is_concurrent == (most > 1)
    assert found.with_verdict(*QUIET) == []
    assert found.with_verdict("unsupported") == ([] if most > 1 else ["clients.two-at-once"])


# --- Servers that are hardly servers ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["reset-at-once", "reset-at-command", "silent", "close-at-once", "leaves-after-three"])
def test_unusable_server_fails_the_first_scenario_and_blocks_the_rest(name: str) -> None:
    found = judge_command(f"tests.broken_servers.hostile {name}", *FEW, timeout_scale=0.2)
    found.assert_complete()
    assert found.verdicts().pop("framing.one-command")[0] == "fail"
    assert set(found.with_verdict("blocked")) == {*FEW}
    assert found.end.exit == 1


def test_survives_a_server_that_exits_at_its_second_client() -> None:
    found = judge_command(f"{MODULE} ends-at-second-connection", *FEW)
    found.assert_complete()
    assert found.end.exit == 1


def test_a_server_that_ends_at_one_client_more_has_no_limit_of_clients() -> None:
    found = judge_command(f"{MODULE} ends-at-third-client", "clients.two-at-once", "clients.lines-by-turns")
    assert found.verdicts() == {"clients.two-at-once": ("pass", ""), "clients.lines-by-turns": ("fail", "gone")}


def test_judges_a_server_that_never_answers_help() -> None:
    found = judge_command(f"{MODULE} never-helps", *FEW, "slices.whole-text", "metadata.form")
    found.assert_complete()
    assert found.start.dialect == "2019"
    assert found.with_verdict(*QUIET) == []


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "name",
    [
        *("endless-line", "flood", "http", "drip"),
        *(pytest.param(name, marks=pytest.mark.long) for name in ("endless-listing", "endless-replies")),
        *(pytest.param(name, marks=pytest.mark.long) for name in ("boastful-size", "echo")),
    ],
)
def test_survives_a_server_that_sends_endlessly(name: str) -> None:
    found = judge_command(f"tests.broken_servers.hostile {name}", *FEW, timeout_scale=0.2)
    found.assert_complete()
    assert found.end.exit == 1


def test_reports_a_server_that_is_not_running(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    options = Options(address=f"127.0.0.1:{port}", fixtures=tmp_path / "served", select=FEW, large_bytes=LARGE_BYTES)
    with pytest.raises(ServerStartError, match=f"cannot connect to 127.0.0.1:{port}: Connection refused; start"):
        run(options, launch=launch)


# --- Dialects ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        *((name, row.dialects[0]) for name, row in ODD.items() if name not in {"help-before-2026", *SLOW}),
        *((f"correct-{style}", dialect) for style in ("threads", "loop", "sequential") for dialect in DIALECTS),
        ("one-recv-one-command-2016", "2016"),
        ("one-recv-one-command-2016-sequential", "2016"),
        ("one-recv-one-command-2018", "2018"),
        ("one-recv-one-command-2018-loop", "2018"),
        ("slice-extra-line-2018", "2018"),
        ("slice-extra-line-2019", "2019"),
    ],
)
def test_infers_the_dialect(name: str, dialect: str) -> None:
    words = name if name.startswith("no-help") else f"{name} --dialect {dialect}"
    start = discover(words)
    assert start.dialect == dialect
    assert start.deviations == [] or name not in ODD
    is_known = "it knows help" if dialect == "2026" else f"it does not know help, and its slices are those of {dialect}"
    assert start.dialect_basis.startswith(is_known)


@pytest.mark.parametrize("name", ["status-three-digits", "reply-lf-only", "echo", "greeting", "prompt"])
def test_infers_the_dialect_from_malformed_lines(name: str) -> None:
    assert discover(name).dialect == "2026"


def test_does_not_infer_a_given_dialect() -> None:
    start = discover("correct-threads --dialect 2018", dialect="2018")
    assert (start.dialect, start.dialect_basis) == ("2018", "--dialect")


def test_help_is_no_deviation_in_a_given_earlier_dialect() -> None:
    start = discover("help-before-2026 --dialect 2018", dialect="2018")
    assert (start.dialect, start.deviations) == ("2018", [])


# --- Manners ----------------------------------------------------------------------------------------


class Spy(Threads):
    """A server that keeps the lines of each connection."""

    def __init__(self, commands: Commands) -> None:
        super().__init__(commands)
        self.lines: dict[int, list[bytes]] = {}

    def serve_client(self, sock: socket.socket) -> None:
        """Begin to listen."""
        self.lines[id(sock)] = []
        self.kept = [*getattr(self, "kept", []), sock]  # so that no id is there twice
        super().serve_client(sock)

    def answer(self, sock: socket.socket, raw: bytes) -> bool:
        """Keep a line."""
        self.lines[id(sock)].append(raw)
        return super().answer(sock, raw)


@contextmanager
def spying(directory: Path, dialect: str) -> Iterator[tuple[Spy, int]]:
    """Provide a server that records what it was sent, and its port."""
    spy = Spy(Commands(directory, dialect))
    listener = spy.listen("127.0.0.1", 0)
    thread = threading.Thread(target=serve_until_closed, args=(spy, listener), daemon=True)
    thread.start()
    try:
        yield spy, listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def serve_until_closed(spy: Spy, listener: socket.socket) -> None:
    """Serve, and return when the listener is gone."""
    try:
        spy.serve(listener)
    except OSError:
        return


@pytest.mark.parametrize("dialect", DIALECTS)
def test_ends_each_connection_with_quit(dialect: str, tmp_path: Path) -> None:
    directory = tmp_path / "served"
    with spying(directory, dialect) as (spy, port):
        options = Options(address=f"127.0.0.1:{port}", fixtures=directory, large_bytes=LARGE_BYTES)
        with Environment(options) as environment, make_runner(options, environment, lambda _event: None):
            pass
    connections = list(spy.lines.values())
    assert len(connections) > 10
    assert all(lines for lines in connections)
    # Nothing can follow what is fatal: a bare LF, and an empty line.
    is_fatal = [not lines[-1].endswith(b"\r\n") or lines[-1] == b"\r\n" for lines in connections]
    last = {lines[-1] for lines, fatal in zip(connections, is_fatal, strict=True) if not fatal}
    assert last == {b"quit\r\n"}
    assert is_fatal.count(True) <= 4


def test_reports_a_server_of_another_directory_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_bytes(b"Own.")
    options = make_options("correct-threads", *FEW, serve=f"correct-threads -p {{port}} -d {tmp_path}", cwd="")
    with (
        Environment(options, forking.launch) as environment,
        pytest.raises(ServerStartError, match=r"does not serve .*own\.txt") as caught,
        make_runner(options, environment, lambda _event: None),
    ):
        pass
    assert "\n" not in str(caught.value)
