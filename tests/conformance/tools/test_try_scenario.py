"""One scenario is shown as it happens; the server and its files then stay until Ctrl-C, and the printed line works."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.cli import main
from conformance.client.recording import Recording
from conformance.runner.runner import SMOKE_TEST
from conformance.scenarios import catalogue
from conformance.target.environment import Environment
from conformance.tools.live_view import HEAD_LINES, TAIL_LINES, LiveView
from conformance.tools.try_scenario import try_scenario
from tests import INTERPRETER
from tests.broken_servers import forking
from tests.conformance.in_process import ROOT, make_options
from tests.conformance.nc import run_line

DIRECTORY = re.compile(r"^directory  (/.*)$", re.MULTILINE)


def try_forked(server: str, identifier: str, at_the_end: Callable[[str], None] = lambda _told: None) -> tuple[int, str]:
    """Try a scenario against a forked server until it is left running; return the exit status, and what was told."""
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        if line.startswith("Ctrl-C"):
            at_the_end("\n".join(told))
            raise KeyboardInterrupt

    asked, known = make_options(server), catalogue()
    environment = Environment(asked, forking.launch)
    status = try_scenario(asked, environment, known[identifier], known[SMOKE_TEST], LiveView(tell, 0.0))
    return status, "\n".join(told)


# --- What is shown ---------------------------------------------------------------------------------


def view(seconds: float = 0.0) -> tuple[LiveView, list[str]]:
    told: list[str] = []
    return LiveView(lambda line: told.append(line[8:]), seconds), told


def test_what_the_server_prints_stands_between_what_is_sent_and_received() -> None:
    live, told = view()
    record = live.recording()
    record.note(1, "connected")
    record.payload(1, "sent", b"quit\n", is_apart=True)
    live.show_printed(b"line 1\r\nli\xc3")
    live.show_printed(b"\xa1ne 2")
    record.payload(1, "received", b"0 OK\r\none\r\n")
    record.payload(1, "received", b"\r\n")
    record.note(1, "end")
    live.show_printed(b"bye\n")
    assert told == [
        "1 - connected",
        r"1 C quit\n",
        "  | line 1",
        "  | liáne 2",
        r"1 S 0 OK\r\n",
        r"1 S one\r\n",
        r"1 S \r\n",
        "1 - the server closes",
        "  | bye",
    ]


def test_of_much_head_and_tail_are_shown() -> None:
    live, told = view()
    record = live.recording()
    for number in range(500):
        record.payload(1, "sent", b"%d" % number, is_apart=True)
    live.end()
    assert told[:HEAD_LINES] == [f"1 C {number}" for number in range(HEAD_LINES)]
    assert told[HEAD_LINES] == f"... {500 - HEAD_LINES - TAIL_LINES} lines more"
    assert told[HEAD_LINES + 1 :] == [f"1 C {number}" for number in range(500 - TAIL_LINES, 500)]
    live.begin()
    record.payload(1, "received", b"x\n" * 100)
    assert told[-2:] == [r"1 S x\n", "1 S ... (184 bytes more)"]
    record.payload(1, "sent", b"y" * 1000, is_apart=True)
    assert told[-1] == f"1 C {'y' * 120}... (1000 bytes)"


def test_pieces_are_sent_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("conformance.tools.live_view.sleep", waits.append)
    live, _ = view(2.0)
    record = live.recording()
    assert record.before_sending is not None
    for _ in range(4):
        record.before_sending()
    assert waits == [2.0, 2.0, 1.0, 0.0]
    assert Recording().before_sending is None


# --- What is left running --------------------------------------------------------------------------


@pytest.mark.once
def test_a_failure_is_told_with_what_led_to_it() -> None:
    status, told = try_forked("lf-ends-a-line", "framing.lf-only")
    assert status == 1
    assert re.search(r"1 C quit\\n\n +[\d.]+ 1 S 0 OK\\r\\n\n", told)
    assert "\nFAIL: the server did not do what it must\n  sent      quit\\n\n  expected  100 BAD EOL\n" in told
    assert re.search(r"\nagain      printf 'quit\\n' \| nc 127\.0\.0\.1 \d+\nCtrl-C ends the server", told)


@pytest.mark.once
@pytest.mark.parametrize(
    ("server", "identifier", "status", "parts"),
    [
        ("correct-threads", "framing.lf-only", 0, ["PASS: ", "talk       nc -C 127.0.0.1 "]),
        ("recv-is-a-command", "framing.byte-by-byte", 1, ["1 C e\n", "FAIL: ", "talk       nc -C 127.0.0.1 "]),
        ("status-lf-only", "framing.lf-only", 1, ["Once more, strictly:", "FAIL: ", "again      printf 'quit"]),
        ("decode-kills-the-process", "framing.high-bytes", 1, ["serves no client", "It was started again."]),
        ("correct-sequential", "clients.two-at-once", 3, ["UNSUPPORTED: ", "the server serves one client at a time"]),
        ("flush-forgotten", "slices.whole-text", 1, ["The server fails framing.one-command", "FAIL: "]),
    ],
)
def test_each_way_to_end_is_told(server: str, identifier: str, status: int, parts: list[str]) -> None:
    ended, told = try_forked(server, identifier)
    assert ended == status, told
    for part in parts:
        assert part in told


@pytest.mark.once
def test_the_files_stay_while_the_server_runs_and_no_longer() -> None:
    found: list[Path] = []

    def look(told: str) -> None:
        found.append(Path(DIRECTORY.findall(told)[0]))
        assert (found[0] / "bukelurukoki.md").exists()  # the name that the fixed seed gives

    try_forked("number-by-base-0", "arguments.hexadecimal-offset", look)
    assert not found[0].exists()
    assert not found[0].parent.exists()


@pytest.mark.once
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_printed_line_works_until_ctrl_c(number: int, tmp_path: Path) -> None:
    serve = f"{INTERPRETER} -m tests.broken_servers number-by-base-0 -p {{port}} -d {{dir}}"
    words = ["try", "arguments.hexadecimal-offset", "--serve", serve, "--seed", "2008", "--size", "64K", "--pause", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "conformance", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            told = ""
            while not told.endswith("removes the files.\n"):
                line = running.stdout.readline()
                assert line, told
                told += line
            again = re.findall(r"^again      (printf .*)$", told, re.MULTILINE)[0]
            port = int(again.split()[-1])
            printed, _ = run_line(again, tmp_path, 0)
            assert printed == b"0 OK\r\nYQ==\r\n"
            running.send_signal(number)
            assert running.wait(60) == 1
        finally:
            running.kill()
    assert not Path(DIRECTORY.findall(told)[0]).exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.once
def test_a_server_that_exits_while_it_is_left_running_ends_it() -> None:
    asked, known, told = make_options("tab-crashes"), catalogue(), [""]

    def tell(line: str) -> None:
        told.append(line)
        if line.startswith("Ctrl-C"):
            with socket.create_connection(("127.0.0.1", environment.server.address.port)) as sock:
                sock.sendall(b"\t\r\n")

    environment = Environment(asked, forking.launch)
    status = try_scenario(asked, environment, known["framing.lf-only"], known[SMOKE_TEST], LiveView(tell, 0.0))
    assert (status, told[-1]) == (0, "The server has exited.")


# --- What is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["framing.lf-onyl"], "there is no scenario 'framing.lf-onyl'; similar: framing.lf-only"),
        (["HFTP-1.3"], "HFTP-1.3 is a requirement; its scenarios are framing.lf-only"),
        (["framing.lf-only", "--serve", "x"], "needs {port}"),
        (["framing.lf-only", "--serve", "/no/such {port}"], "cannot run /no/such"),
        (["framing.lf-only", "127.0.0.1:1"], "cannot connect to 127.0.0.1:1"),
        (["framing.lf-only", "127.0.0.1:1", "-t", "x"], "No such option"),
    ],
)
def test_what_cannot_be_tried_is_told_in_one_line(
    words: list[str], complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    given = words if len(words) > 1 else [*words, "127.0.0.1:1"]
    with pytest.raises(SystemExit) as ended:
        main(["try", *given])
    assert ended.value.code == 2
    told = capfd.readouterr().err
    assert complaint in told
    assert told.count("\n") == 1


def test_a_scenario_of_another_dialect_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    serve = f"{INTERPRETER} -m tests.conformance.correct_server -p {{port}} -d {{dir}}"
    with pytest.raises(SystemExit) as ended:
        main(["try", "commands.help", "--serve", serve, "--cwd", str(ROOT), "--size", "64K", "--dialect", "2016"])
    assert ended.value.code == 2
    assert "commands.help is not a scenario of dialect 2016" in capfd.readouterr().err
