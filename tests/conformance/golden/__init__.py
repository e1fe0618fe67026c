"""A fixed run, with every verdict and everything that is hard to format, and the report of it in each format.

`python -m tests.conformance.golden` writes the files; review what it changes.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from conformance.model.events import DiagnosedCause, Diagnosis, Event, Result, RunEnd, RunStart, ScenarioStart
from conformance.model.verdicts import Exit
from conformance.reports.html import html
from conformance.reports.junit import junit
from conformance.reports.ndjson import line
from conformance.reports.terminal import TerminalReport

DIRECTORY = Path(__file__).parent
HOSTILE = "".join(map(chr, range(256))) + "]]>&<script>alert(1)</script>\ufffe\ud800"
"""What a server may send, and a report has to show: each byte, and what ends or opens things in XML and HTML."""

_TALK: list[dict[str, object]] = [
    {"at": 0.0001, "peer": 1, "what": "connected"},
    {"at": 0.0002, "peer": 1, "what": "sent", "bytes": 30, "data": "get_slice text.txt 41 1\r\nquit\r\n"},
    {"at": 0.0011, "peer": 1, "what": "received", "bytes": 6, "data": "0 OK\r\n", "deviates": [0, 6]},
    {"at": 0.0012, "peer": 1, "what": "reset by server", "note": "Connection reset by peer"},
    {"at": 0.0013, "peer": 0, "what": "note", "note": "answered 0 OK"},
    {"at": 0.0014, "peer": 1, "what": "closed"},
]
_LONG: list[dict[str, object]] = [
    {"at": 0.5, "peer": 2, "what": "sent", "bytes": 5242895, "head": "n" * 512, "tail": "n" * 62, "sha256": "ab" * 32},
    *({"at": 0.6, "peer": 2, "what": "sent", "bytes": 1, "data": letter} for letter in "quit\r\n"),
    *({"at": 0.7, "peer": 3 + number, "what": "connected"} for number in range(120)),
]


def _result(scenario: str, requirement: str, level: str, verdict: str, **more: object) -> list[Event]:
    chapter = scenario.partition(".")[0]
    fields: dict[str, object] = {"title": f"The title of {scenario}", "text": "What is required.", "seconds": 0.25}
    fields |= {"scenario": scenario, "requirement": requirement, "level": level, "chapter": chapter}
    return [ScenarioStart(scenario), msgspec.convert(fields | {"verdict": verdict} | more, Result)]


def events() -> list[Event]:
    """Return the run."""
    return [
        RunStart(
            suite="1.2.3",
            catalogue="c0ffee" * 10 + "1234",
            seed=2008,
            dialect="2026",
            target="[::1]:19500",
            selected=10,
            deselected=["slices.large", "slices.huge"],
            round_trip_seconds=0.0001,
            patience_seconds=2.5,
            fixtures="local",
            started="2026-11-24T12:00:00+00:00",
            command="conformance run '[::1]:19500' --seed 2008",
            dialect_basis="it knows help",
            deviations=["an empty line follows the reply to quit", f"the status line is {HOSTILE}"],
        ),
        *_result("framing.one-command", "HFTP-2.1", "MUST", "pass", transcript=_TALK[:3]),
        *_result(
            *("framing.hostile", "HFTP-1.2", "MUST", "fail"),
            kind="malformed",
            expected="100 BAD EOL",
            got=HOSTILE,
            sent="qui\\nt\\r\\n",
            cause="what answers there is no HFTP server",
            reproduce=["conformance try framing.hostile '[::1]:19500'", "printf 'qui\\nt\\r\\n' | nc ::1 19500"],
            output=f"serving\nTraceback (most recent call last):\n  File x\nValueError: {HOSTILE}\nserving\n",
            output_note="printed while it ran, and others beside it",
            transcript=[*_TALK, {"at": 0.1, "peer": 1, "what": "received", "bytes": 256, "data": HOSTILE[:256]}],
        ),
        *_result(
            *("slices.past-end", "HFTP-6.4", "MUST", "fail"),
            kind="status",
            expected="203 OFFSET EXCEEDS FILE SIZE",
            got="0 OK",
            known="issue 12 of the server",
            transcript=_TALK,
        ),
        *_result(
            *("lengths.huge-name", "HFTP-9.3", "SHOULD", "warn"),
            kind="timeout",
            expected="202 FILE NOT FOUND",
            got="nothing within 2.5 s",
            sent="get_metadata nnnn... (5242895 bytes)",
            cause="what does not fit into a buffer is thrown away",
            transcript=_LONG,
        ),
        *_result("framing.tab-answer", "HFTP-1.11", "CHOICE", "info", got="answered 101 BAD REQUEST", transcript=_TALK),
        *_result("clients.two-at-once", "HFTP-10.1", "SHOULD", "unsupported", got="the server serves one at a time"),
        *_result("clients.many", "HFTP-10.4", "SHOULD", "blocked", got="clients.two-at-once did not pass"),
        *_result("paths.parent", "HFTP-8.1", "MUST", "incomplete", got="needs a file outside the served directory"),
        *_result("your-own.scenario", "HFTP-2.2", "MUST", "error", got="KeyError: 'x' at your_own.py:7"),
        *_result("slices.random", "HFTP-6.2", "MUST", "flaky", attempts=2, got="first: expected 0 OK, got nothing"),
        Diagnosis(
            causes=[
                DiagnosedCause(
                    id="lf-ends-a-line",
                    title="A bare LF ends a command",
                    severity="wrong answer",
                    why="A line ends in CR LF.",
                    fix=f"Look for {HOSTILE}",
                    code={"Python": "if line < 3:\n    return", "C": "return a && b;"},
                    scenarios=["framing.hostile"],
                    example="framing.hostile",
                )
            ],
            failures=2,
            explained=1,
            unexplained=["lengths.huge-name"],
        ),
        RunEnd(
            counts={"pass": 1, "fail": 1, "warn": 1, "info": 1, "unsupported": 1, "blocked": 1, "incomplete": 1}
            | {"error": 1, "flaky": 1, "known": 1},
            exit=Exit.SUITE_FAULT,
            seconds=3.25,
            problems=["metadata.* in the baseline matches no scenario that ran"],
            output="listening\nTraceback (most recent call last):\n\x1b[31mKeyError\x1b[0m\n",
        ),
    ]


def terminal(stream: Sequence[Event], *, shows_all: bool = True) -> str:
    """Return what the terminal report prints where there is no terminal, with all details."""
    console = Console(file=io.StringIO(), width=80, color_system=None, highlight=False)
    report = TerminalReport(console, shows_all=shows_all)
    for event in stream:
        report(event)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def screen(stream: Sequence[Event]) -> str:
    """Return the first screen."""
    return terminal(stream, shows_all=False)


def ndjson(stream: Sequence[Event]) -> str:
    """Return the lines of the stream."""
    return "".join(f"{line(event)}\n" for event in stream)


REPORTS: Mapping[str, Callable[[Sequence[Event]], str]] = {
    "run.ndjson": ndjson,
    "run.txt": terminal,
    "screen.txt": screen,
    "run.xml": junit,
    "run.html": html,
}


def golden(name: str) -> str:
    """Return a golden file."""
    with (DIRECTORY / name).open(encoding="utf-8", newline="") as file:
        return file.read()


def rendered(name: str) -> str:
    """Return what a report makes of the run now, as it would be in a file."""
    return REPORTS[name](events()).encode("utf-8", "backslashreplace").decode()
