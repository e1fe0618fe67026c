"""Nothing from a server or a recording can act on a terminal or a page: it is escaped."""

import io
import subprocess
import sys
import unicodedata
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from conformance.client.recording import WireEntry
from conformance.model.events import Event, Result, RunEnd, RunStart, ScenarioStart
from conformance.model.verdicts import Exit, Verdict
from conformance.printable import printable, printable_lines
from conformance.reports.html import html
from conformance.reports.junit import junit
from conformance.reports.ndjson import line
from conformance.reports.terminal import TerminalReport
from tests import INTERPRETER
from tests.broken_servers.hostile.handlers import ACTING, ESCAPES
from tests.conformance.test_cli import ROOT, conformance
from tests.conformance.test_pytest_plugin import pytest_

pytestmark = pytest.mark.once

NASTY = f"before{ESCAPES}\udc9b\x00after"
SERVER = f"{INTERPRETER} -m tests.broken_servers.hostile escapes -p {{port}} -d {{dir}}"
QUICK = ("--cwd", str(ROOT), "--timeout-scale", "0.1", "--size", "64K", "--clients", "4")


def acting(text: str) -> set[str]:
    """Return the characters that act, other than line ends and tabs."""
    return {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}} - {"\n", "\t"}


def events() -> list[Event]:
    """Return a run in which every text is nasty, also where only a crafted recording has such."""
    transcript = [
        WireEntry(0.1, 1, what, size=9, data=NASTY.encode("utf-8", "replace").decode("latin-1"), note=NASTY)
        for what in ("connected", "sent", "received", "note", NASTY)
    ]
    texts = {
        field.name: NASTY
        for field in msgspec.structs.fields(Result)
        if field.type is str and field.name not in {"scenario", "known"}
    }
    results = [
        Result(**texts | {"scenario": f"{number}{NASTY}", "verdict": verdict}, known=known, transcript=transcript)  # type: ignore[arg-type]
        for number, verdict in enumerate(Verdict)
        for known in ("", NASTY)
    ]
    start = RunStart(
        *(NASTY, NASTY, 1, NASTY, NASTY, 1),
        deselected=[NASTY],
        deviations=[NASTY],
        fixtures=NASTY,
        started=NASTY,
        command=NASTY,
        dialect_basis=NASTY,
    )
    end = RunEnd({NASTY: 1}, Exit.NOT_CONFORMANT, problems=[NASTY], output=f"{NASTY}\n{NASTY}")
    return [start, ScenarioStart(NASTY), *results, end]


def test_escapes_all_active_characters() -> None:
    assert acting(NASTY) > set(ACTING) - {"\n", "\t"}
    assert acting(printable(NASTY)) == acting(printable_lines(NASTY)) == set()
    assert printable("\x1b\x9b\u202e\udc9b\x00\n\\") == r"\x1b\x9b\u202e\udc9b\x00\n" + "\\"
    assert printable_lines("two\nlines\tas they are: ü") == "two\nlines\tas they are: ü"


@pytest.mark.parametrize("is_verbose", [False, True])
def test_terminal_report_is_escaped(*, is_verbose: bool) -> None:
    shown = io.StringIO()
    report = TerminalReport(Console(file=shown, highlight=False, width=200), is_verbose=is_verbose)
    for event in events():
        report(event)
    assert r"before\x00\x01" in shown.getvalue()
    assert acting(shown.getvalue()) == set()


def test_progress_is_escaped_but_for_its_own_colours() -> None:
    shown = io.StringIO()
    report = TerminalReport(Console(file=shown, highlight=False, width=200, force_terminal=True))
    for event in events():
        report(event)
    assert acting(shown.getvalue()) <= {"\x1b", "\r"}
    assert "\x1b]" not in shown.getvalue()
    assert "\x1b[2J" not in shown.getvalue()


def test_pages_and_recordings_are_escaped() -> None:
    page, xml = html(events()), junit(events())
    ET.fromstring(xml)
    for text in (page, xml, *map(line, events())):
        assert "before" in text
        assert acting(text) == set()


def test_command_line_output_is_escaped(tmp_path: Path) -> None:
    recording = tmp_path / "run.ndjson"
    select = ("-t", "framing.one-command", "-t", "listings.*", "-t", "framing.lf-only", "--ndjson", str(recording))
    done = conformance("run", "--serve", SERVER, *QUICK, *select, "-v")
    assert done.returncode == 1, done.stderr
    again = conformance("report", str(recording), "-v")
    replayed = conformance("replay", str(recording), "framing.one-command", "127.0.0.1:1")
    shown = [done.stdout, done.stderr, again.stdout, replayed.stdout, replayed.stderr, recording.read_text("utf-8")]
    assert r"\x9b31m" in done.stdout
    assert acting("".join(shown)) == set()


def test_output_of_a_failed_start_is_escaped() -> None:
    script = f"import sys; sys.stdout.buffer.write({ESCAPES.encode()!r} + b'fatal error: ' + {ESCAPES.encode()!r})"
    serve = f'{INTERPRETER} -c "{script}; {{port}}"'.replace("{{port}}", "'{port}'")
    done = subprocess.run(
        [sys.executable, "-m", "conformance", "run", "--serve", serve], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert acting((done.stdout + done.stderr).decode()) == set()


def test_pytest_output_is_escaped(tmp_path: Path) -> None:
    serve = ("--hftp-serve", SERVER, f"--hftp-cwd={ROOT}", "--hftp-timeout-scale=0.1", "--hftp-size=64K")
    select = [f"--hftp-test={name}" for name in ("framing.one-command", "listings.*", "framing.lf-only")]
    done = pytest_(tmp_path, "--pyargs", "conformance", *serve, *select, "-v", "-rA")
    assert done.returncode == 1, done.stdout + done.stderr
    assert r"\x9b31m" in done.stdout
    assert acting(done.stdout + done.stderr + (tmp_path / "out.xml").read_text("utf-8")) == set()
