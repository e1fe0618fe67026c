"""A line with printf and nc is printed only where it shows the failure: each kind of it is run by a shell."""

import contextlib
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from conformance.client.address import Address
from conformance.client.recording import Recording
from conformance.config import Options
from conformance.failures import Failure, Kind
from conformance.model.events import Result
from conformance.model.scenario import EXCLUSIVE, Scenario
from conformance.model.verdicts import Verdict
from conformance.runner.outcome import Outcome
from conformance.runner.reproduce import PRINTF_BYTES, REPLY_BYTES, Reproduction, printf_text
from conformance.target.managed_server import ManagedServer, Start
from tests.broken_servers import forking
from tests.conformance.in_process import judge
from tests.conformance.nc import SECONDS, run_line
from tests.conformance.test_reaching import await_

KINDS = {
    "status": ("lf-ends-a-line", "framing.lf-only"),
    "malformed": ("status-lf-only", "framing.one-command"),
    "closed": ("decode-kills-the-thread", "framing.high-bytes"),
    "gone": ("decode-kills-the-process", "framing.high-bytes"),
    "open": ("quit-stays-open", "commands.quit"),
    "extra": ("executes-after-bad-eol", "framing.lf-*"),
    "timeout": ("lf-seen-at-crlf", "framing.lf-only"),
}
"""A server and a scenario for each kind of failure that can be shown without any file."""


def sends(record: Recording) -> None:
    record.note(1, "connected")
    record.payload(1, "sent", b"quit\n", is_apart=True)


def in_pieces(record: Recording) -> None:
    sends(record)
    record.payload(1, "sent", b"quit\n", is_apart=True)


def half_closes(record: Recording) -> None:
    sends(record)
    record.note(1, "half-closed")


def resets(record: Recording) -> None:
    sends(record)
    record.note(1, "reset")


def connects_again(record: Recording) -> None:
    sends(record)
    record.note(2, "connected")


def closes_first(record: Recording) -> None:
    sends(record)
    record.note(1, "closed")


def sends_much(record: Recording) -> None:
    record.payload(1, "sent", b"x" * (PRINTF_BYTES + 1), is_apart=True)


def receives_much(record: Recording) -> None:
    sends(record)
    record.payload(1, "received", b"x" * (REPLY_BYTES + 1))


def outcome(act: Callable[[Recording], None], **more: object) -> Outcome:
    """Return how a scenario failed."""
    scenario = Scenario("mine.failing", "HFTP-3.6", lambda _context: None, "Fails")
    record = Recording()
    act(record)
    moments = len(record.events)
    record.note(1, "closed")
    failed = Outcome(scenario, record, failure=Failure(Kind.STATUS, "this", "that"), moments=moments)
    return replace(failed, **more)  # type: ignore[arg-type]


def needing(*needs: str, **more: str) -> Scenario:
    return Scenario("mine.failing", "HFTP-3.6", lambda _context: None, "Fails", needs=frozenset(needs), **more)  # type: ignore[arg-type]


def lines(found: Outcome, *, keeps_files: bool = False, **more: str) -> list[str]:
    options = Options(**({"serve": "x {port}"} | more))  # type: ignore[arg-type]
    return Reproduction(options, Address("127.0.0.1", 9), keeps_files=keeps_files).command_lines(found)


def test_one_piece_on_one_connection_is_sent_alike_by_nc() -> None:
    assert lines(outcome(sends)) == [
        "conformance try mine.failing --serve 'x {port}' --seed 2008",
        r"printf 'quit\n' | nc 127.0.0.1 $PORT",
    ]
    assert lines(outcome(sends), serve="", address="127.0.0.1:9") == [
        "conformance try mine.failing 127.0.0.1:9 --seed 2008",
        r"printf 'quit\n' | nc 127.0.0.1 9",
    ]


@pytest.mark.parametrize(
    "found",
    [
        outcome(in_pieces),
        outcome(half_closes),
        outcome(resets),
        outcome(connects_again),
        outcome(closes_first, leaves_open=True),
        outcome(closes_first),
        outcome(sends_much),
        outcome(receives_much),
        outcome(lambda record: record.note(1, "connected")),
        outcome(sends, failure=None),
        outcome(sends, verdict=Verdict.FLAKY),
        outcome(sends, scenario=needing(isolation=EXCLUSIVE)),
        outcome(sends, scenario=needing("text")),
        outcome(sends, scenario=needing("outside")),
    ],
)
def test_what_nc_would_not_show_is_left_to_try(found: Outcome) -> None:
    assert lines(found) == ["conformance try mine.failing --serve 'x {port}' --seed 2008"]


def test_a_file_may_be_named_where_it_stays() -> None:
    assert len(lines(outcome(sends, scenario=needing("text")), keeps_files=True)) == 2
    assert len(lines(outcome(sends, scenario=needing("concurrency")))) == 2


def test_nc_knows_no_socks_proxy() -> None:
    assert len(lines(outcome(sends), address="a:9", proxy="socks5h://127.0.0.1:9")) == 1


@pytest.mark.parametrize("data", [bytes(range(256)), b"-n 100%\\r\r\n", b"", b"--", b"'\\''"])
def test_each_shell_prints_the_bytes(data: bytes) -> None:
    for shell in filter(shutil.which, ("sh", "bash")):
        command = f"printf '{printf_text(data)}'"
        assert subprocess.run([shell, "-c", command], capture_output=True, check=True).stdout == data


# --- By a shell ----------------------------------------------------------------------------------


def check(result: Result, printed: bytes, *, has_ended: bool) -> None:
    """Assert that what a line printed is what the scenario got."""
    received = "".join(entry.data or "" for entry in result.transcript if entry.what == "received").encode("latin-1")
    ends = any(entry.what in {"end", "reset by server"} for entry in result.transcript)
    assert printed == received if has_ended and ends else printed.startswith(received)
    assert has_ended or not ends


@pytest.mark.once
@pytest.mark.parametrize("kind", KINDS)
def test_the_printed_line_shows_the_failure(kind: str, tmp_path: Path) -> None:
    name, select = KINDS[kind]
    results = judge(name, select, dialect="2026").results.values()
    failed = next(result for result in results if result.kind == kind and len(result.reproduce) == 2)
    (tmp_path / "served").mkdir()
    start = Start(f"{name} -p {{port}} -d {{dir}}", launch=forking.launch)
    with ManagedServer(None, start, directory=tmp_path / "served") as server:
        printed, has_ended = run_line(failed.reproduce[-1], tmp_path / "bin", server.address.port)
        check(failed, printed, has_ended=has_ended)
        if kind == "gone":
            with contextlib.suppress(OSError):
                server.dial(SECONDS).close()
            await_(lambda: not server.is_running)
        if kind in {"open", "timeout"}:
            assert not has_ended
