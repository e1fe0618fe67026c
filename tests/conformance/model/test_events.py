"""A recorded run is read back unchanged; an invalid file is rejected in one line that names the line and the reason."""

import contextlib
import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.cli import main
from conformance.model.events import Event, EventError, Result, RunStart, read_events
from conformance.reports.junit import junit
from conformance.tools.replay import ReplayError, find_result, payload
from tests.conformance.golden import HOSTILE, REPORTS, golden

LINES = golden("run.ndjson").encode().splitlines()
START: dict[str, Any] = json.loads(LINES[0])
RESULT: dict[str, Any] = json.loads(LINES[2])
END: dict[str, Any] = json.loads(LINES[-1])
GIVE = "give a file that `conformance run --ndjson FILE` has written"
DELETE = "delete this line to read the others"


def lines(*rows: bytes | dict[str, Any]) -> list[bytes]:
    """Return the lines of a file, with their ends; those that are bytes are else as they are."""
    return [(row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows]


def without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


def read(*rows: bytes | dict[str, Any]) -> list[Event]:
    return list(read_events(lines(*rows)))


def with_entry(**more: object) -> dict[str, Any]:
    """Return a result with one entry on the wire."""
    return RESULT | {"transcript": [{"at": 0, "peer": 1, "what": "sent", "bytes": 6, "data": "quit\r\n"} | more]}


NO_RUNS: dict[str, tuple[list[bytes], int, str, str]] = {
    "empty": ([], 1, "the file is empty", GIVE),
    "blank": ([b"\n", b"  \n"], 1, "the file is empty", GIVE),
    "binary": ([b"\x89PNG\r\n", b"\x1a\n"], 1, "not UTF-8", GIVE),
    "UTF-16": ([LINES[0].decode().encode("utf-16")], 1, "not UTF-8", GIVE),
    "zeros": ([bytes(100)], 1, "not a whole JSON object", GIVE),
    "text": ([b"hello"], 1, "not a whole JSON object", GIVE),
    "an object over several lines": ([b"{\n", b'"a": 1}'], 1, "not a whole JSON object", GIVE),
    "an object of another kind": (lines({"a": 1}), 1, "missing required field `type`", GIVE),
    "an array": ([b"[1]"], 1, "expected `object`, got `array`", GIVE),
    "a number": ([b"3"], 1, "expected `object`, got `int`", GIVE),
    "null": ([b"null"], 1, "expected `object`, got `null`", GIVE),
    "a deep array": ([b"[" * 100_000], 1, "nested too deeply", GIVE),
    "another type of event": (lines({"type": "\x1b[31m"}), 1, r"invalid value '\x1b[31m' - at `$.type`", GIVE),
    "no beginning": (lines(RESULT), 1, "begins with `run-start`", GIVE),
    "cut off": (lines(START, RESULT, LINES[2][:100]), 3, "not a whole JSON object (Invalid control", DELETE),
    "cut off between fields": (lines(START, b'{"type": "result",'), 2, "not a whole JSON object (Expecting", DELETE),
    "cut off in the first line": (lines(LINES[0][:100]), 1, "not a whole JSON object", GIVE),
    "binary further on": (lines(START, RESULT, b"\xff"), 3, "not UTF-8", DELETE),
    "a blank line counts": (lines(START, b"", b"{"), 3, "not a whole JSON object", DELETE),
    "a newer schema": (lines({"type": "run-start", "schema": "hftp-conformance/2"}), 1, "/2'", "update this one"),
    "a newer schema further on": (lines(START, START | {"schema": "x/\x1b"}), 2, r"'x/\x1b'", "update this one"),
    "no schema": (lines(without(START, "schema")), 1, "the schema is None", "update this one"),
    "a missing field": (lines(START, without(RESULT, "verdict")), 2, "missing required field `verdict`", DELETE),
    "a missing field at the end": (lines(START, without(END, "exit")), 2, "missing required field `exit`", DELETE),
    "a wrong type": (lines(START | {"seed": "2008"}), 1, "expected `int`, got `str` - at `$.seed`", GIVE),
    "null for a text": (lines(START, RESULT | {"got": None}), 2, "expected `str`, got `null` - at `$.got`", DELETE),
    "a wrong type in a list": (lines(START | {"deselected": ["a", 1]}), 1, "- at `$.deselected[1]`", GIVE),
    "a wrong type in counts": (lines(START, END | {"counts": {"pass": "1"}}), 2, "expected `int`", DELETE),
    "an unknown verdict": (lines(START, RESULT | {"verdict": "good"}), 2, "invalid enum value 'good'", DELETE),
    "an unknown exit status": (lines(START, END | {"exit": 77}), 2, "invalid enum value 77", DELETE),
    "a missing field on the wire": (lines(START, RESULT | {"transcript": [{"at": 1}]}), 2, "`peer`", DELETE),
    "a wrong type on the wire": (lines(START, with_entry(peer="1")), 2, "`$.transcript[0].peer`", DELETE),
    "a negative size": (lines(START, with_entry(bytes=-1)), 2, "`$.transcript[0].bytes`", DELETE),
    "more than bytes on the wire": (lines(START, with_entry(data="\u1234")), 2, "`$.transcript[0].data`", DELETE),
    "a number out of range": (lines(START, RESULT | {"seconds": 10**400}), 2, "out of range", DELETE),
}


@pytest.mark.parametrize("name", NO_RUNS)
def test_error_names_line_reason_and_remedy(name: str) -> None:
    rows, number, reason, advice = NO_RUNS[name]
    with pytest.raises(EventError) as refused:
        list(read_events(rows))
    assert str(refused.value).startswith(f"line {number}: ")
    assert reason in str(refused.value)
    assert str(refused.value).endswith(advice)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("name", NO_RUNS)
@pytest.mark.parametrize("command", ["report", "replay"])
def test_command_line_reports_an_invalid_file_and_exits_with_2(
    name: str, command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.ndjson"
    path.write_bytes(b"".join(NO_RUNS[name][0]))
    with pytest.raises(SystemExit) as ended:
        main([command, str(path), *(["no.such"] if command == "replay" else [])])
    assert ended.value.code == 2
    output = capfd.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"conformance: {path}, line {NO_RUNS[name][1]}: ")
    assert output.err.count("\n") == 1


def test_reports_an_unreadable_file_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.ndjson"
    path.symlink_to("/proc/self/mem")  # reading it from the start fails, even for root
    with pytest.raises(SystemExit) as ended:
        main(["report", str(path)])
    assert ended.value.code == 2
    assert capfd.readouterr().err == f"conformance: cannot read {path}: Input/output error\n"


def test_reads_the_events_before_an_invalid_line() -> None:
    events = read_events(lines(START, RESULT, b"{"))
    assert isinstance(next(events), RunStart)
    assert isinstance(next(events), Result)
    with pytest.raises(EventError):
        next(events)


@pytest.mark.parametrize("size", [1, 100, 200])
def test_ignores_a_truncated_last_line(size: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = [*lines(START, RESULT), lines(RESULT | {"got": "\u00e9"})[0][:size]]
    assert [type(event) for event in read_events(rows)] == [RunStart, Result]
    path = tmp_path / "run.ndjson"
    path.write_bytes(b"".join(rows))
    with pytest.raises(SystemExit) as ended:
        main(["report", str(path), f"--junit={tmp_path}/run.xml", f"--html={tmp_path}/run.html"])
    assert ended.value.code == 3
    shown = capfd.readouterr()
    assert shown.err == ""
    assert "cut short" in shown.out
    assert "Cut short" in (tmp_path / "run.html").read_text("utf-8")
    assert len(list(ET.parse(tmp_path / "run.xml").iter("testcase"))) == 1


def test_does_not_read_a_huge_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.ndjson"
    with path.open("wb") as file:
        file.write(lines(START)[0])
        file.truncate(1 << 33)
    with pytest.raises(SystemExit) as ended:
        main(["report", str(path)])
    assert ended.value.code == 2
    assert "line 2: longer than 16777216 bytes" in capfd.readouterr().err


def test_ignores_unknown_fields() -> None:
    later: dict[str, Any] = {"more": {"a": [1]}}
    wire = [entry | later for entry in RESULT["transcript"]]
    assert read(START | later, RESULT | later | {"transcript": wire}, END | later) == read(START, RESULT, END)


def test_missing_fields_have_defaults() -> None:
    start, result = read(without(START, "deviations"), without(RESULT, "transcript"))
    assert isinstance(start, RunStart)
    assert isinstance(result, Result)
    assert start.deviations == []
    assert result.transcript == []


def test_accepts_integers_as_seconds() -> None:
    _, result = read(START, RESULT | {"seconds": 3})
    assert isinstance(result, Result)
    assert result.seconds == 3.0


# --- Whatever a file holds, it is reported, or refused in one line -----------------------------------

Location = tuple[str | int, ...]
"""Where something stands in nested values: the keys and indices that lead there."""

ROWS: list[Any] = [START, RESULT, json.loads(LINES[4]), END]
TEXTS = ["", HOSTILE, "[/]", "[bold", "\\"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", HOSTILE]), inner, max_size=2),
    max_leaves=5,
)


def places(value: object, path: Location = ()) -> Iterator[Location]:
    """Yield the place of everything in a value."""
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in rows:
        yield (*path, key)
        yield from places(inner, (*path, key))


PLACES = list(places(ROWS))
TEXT_PLACES = [place for place in PLACES if isinstance(place[-1], str) and len(place) == 2]


def changed(changes: list[tuple[Location, Any]]) -> list[bytes]:
    """Return the lines of a run with other values in some places."""
    rows: Any = deepcopy(ROWS)
    for (*path, key), value in changes:
        row = rows
        with contextlib.suppress(TypeError, KeyError, IndexError):  # another change has taken the place away
            for step in path:
                row = row[step]
            row[key] = value
    return lines(*rows)


def check_reported_or_refused(rows: list[bytes]) -> None:
    """Assert that nothing but the errors that are made for it is raised for the lines of a file."""
    with contextlib.suppress(EventError):
        events = list(read_events(rows))
        for report in REPORTS.values():
            report(events)
        ET.fromstring(junit(events))
        for event in events:
            if isinstance(event, Result):
                with contextlib.suppress(ReplayError):
                    _, result = find_result(iter(events), event.scenario)
                    _ = [payload(entry) for entry in result.transcript if entry.what == "sent"]


@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
def test_mutated_run_is_reported_or_rejected(changes: list[tuple[Location, Any]]) -> None:
    check_reported_or_refused(changed(changes))


@pytest.mark.once
@pytest.mark.parametrize("place", TEXT_PLACES, ids=lambda place: f"{place[0]}-{place[1]}")
def test_any_text_in_any_field_is_reported_or_rejected(place: Location) -> None:
    for text in TEXTS:
        check_reported_or_refused(changed([(place, text)]))
