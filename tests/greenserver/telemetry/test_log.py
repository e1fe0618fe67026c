"""Log lines are complete, parseable and safe to display, whatever clients send, on every engine."""

import json
import logging
import os
import re
import select
import threading
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserver.config import limits
from greenserver.telemetry.log import FORMATTERS, JsonFormatter, LineHandler, TextFormatter, configure, report, shown
from tests.greenserver.conftest import PURE, Start
from tests.greenserver.serving import wait_until

HOSTILE = b'get_metadata \x1b[2J\0\xff\x85\rfake=1 "quoted" \\'
TEXT_LINE = re.compile(
    r"""\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 [A-Z]+ +[a-z,:; ]+?( [a-z]+=([^ "=\\]+|"([^"\\]|\\.)*"))*"""
)


def record_of(event: str, *, error: BaseException | None = None, **facts: object) -> logging.LogRecord:
    """Return what an event becomes before it is formatted."""
    record = logging.LogRecord("greenserver", logging.INFO, "", 0, event, (), None)
    record.facts = facts
    if error is not None:
        record.exc_info = (type(error), error, error.__traceback__)
    return record


@PURE
@given(st.text(max_size=50), st.text(max_size=50))
def test_formats_any_values_as_one_parseable_ascii_line(first: str, second: str) -> None:
    text = TextFormatter().format(record_of("it happened", a=first, b=second))
    assert text.isascii()
    assert text.isprintable()
    assert TEXT_LINE.fullmatch(text), text
    assert json.loads(JsonFormatter().format(record_of("it happened", a=first, b=second)))["b"] == second


def test_quotes_values_only_if_needed() -> None:
    line = TextFormatter().format(record_of("done", a="x", b="x y", c="", d=5, e='"', f="k=v"))
    assert line.endswith(r'INFO    done a=x b="x y" c="" d=5 e="\"" f="k=v"')


def test_event_without_fields_has_no_trailing_space() -> None:
    assert TextFormatter().format(record_of("done")).endswith("INFO    done")


def test_json_line_has_time_level_event_and_fields() -> None:
    parsed = json.loads(JsonFormatter().format(record_of("done", status=0, client="a")))
    assert {key: parsed[key] for key in ("level", "event", "status", "client")} == {
        "level": "info",
        "event": "done",
        "status": 0,
        "client": "a",
    }
    assert parsed["time"].endswith("+00:00")


@pytest.mark.parametrize("form", FORMATTERS)
def test_traceback_is_on_the_same_line(form: str) -> None:
    try:
        raise ZeroDivisionError  # noqa: TRY301  (for its traceback)
    except ZeroDivisionError as error:
        line = FORMATTERS[form]().format(record_of("failed", error=error))
    assert "ZeroDivisionError" in line
    assert "\n" not in line


@pytest.mark.parametrize("form", FORMATTERS)
def test_long_traceback_fits_one_atomic_pipe_write(form: str) -> None:
    def fall(depth: int) -> None:
        if depth:
            fall(depth - 1)
        message = "at the bottom " + '"\\n' * 100
        raise ValueError(message)

    handler = LineHandler(2)
    handler.setFormatter(FORMATTERS[form]())
    try:
        fall(100)
    except ValueError as error:
        line = handler._line(record_of("failed", error=error))  # noqa: SLF001  (as it is written)
    handler.close()
    assert b"at the bottom" in line
    assert len(line) <= select.PIPE_BUF


@PURE
@given(st.binary(max_size=400))
def test_escapes_and_abridges_any_command(line: bytes) -> None:
    text = shown(line)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= 4 * limits.LOGGED_COMMAND_CHARACTERS + len("...")


def test_marks_a_long_command_as_abridged() -> None:
    limit = limits.LOGGED_COMMAND_CHARACTERS
    assert shown(b"a" * limit) == "a" * limit
    assert shown(b"a" * (limit + 1)) == "a" * limit + "..."


def test_ignores_events_below_the_level(log: logging.Logger, capfd: pytest.CaptureFixture[str]) -> None:
    configure("json", logging.WARNING)
    report(log, logging.INFO, "quiet")
    report(logging.getLogger("greenserver.part"), logging.WARNING, "loud", a=1)
    (line,) = capfd.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "loud"


def test_unwritable_stream_does_not_block(capfd: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    handler = LineHandler(writer)
    try:
        handler.emit(record_of("lost"))
    finally:
        handler.close()
        os.close(writer)
    assert capfd.readouterr().err == "", "and the logging module reports no error"


def test_completes_a_line_after_a_partial_write(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def write_half(_descriptor: int, data: bytes) -> int:
        written.append(data[:7])
        return len(data[:7])

    monkeypatch.setattr(os, "write", write_half)
    handler = LineHandler(2)
    handler.emit(record_of("a" * 20))
    monkeypatch.undo()
    assert b"".join(written).endswith(b"a" * 20 + b"\n")


def log_of_clients(start: Start, directory: Path, engine: str, form: str) -> list[str]:
    """Serve many concurrent clients, and return the lines of the log."""
    server = start(directory, "--engine", engine, "--log-format", form)

    def send_commands() -> None:
        server.ask(b"get_metadata one\r\nget_slice text.txt 0 41\r\nput\r\n" * 5 + HOSTILE + b"\r\n")

    threads = [threading.Thread(target=send_commands) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: server.log().count("disconnected") == 12, "all connections are logged")
    return server.log().splitlines()


def test_logs_connections_and_commands_as_json(start: Start, directory: Path, engine: str) -> None:
    events = defaultdict(list)
    for line in log_of_clients(start, directory, engine, "json"):
        event = json.loads(line)
        events[event.get("client")].append(event)
    clients = {client: list_ for client, list_ in events.items() if client}
    assert len(clients) == 12
    for of_client in clients.values():
        assert [event["event"] for event in of_client] == ["connected", *["command"] * 16, "disconnected"]
        assert [event["status"] for event in of_client[1:-1]] == [0, 0, 200] * 5 + [101]
        assert [event["bytes"] for event in of_client[1:4]] == [9, 6 + 58, 21]
        assert all(event["milliseconds"] >= 0 for event in of_client[1:-1])
        assert of_client[-2]["command"] == HOSTILE.decode("latin-1").encode("unicode_escape").decode()
        assert of_client[-1]["commands"] == 16
        assert of_client[-1]["seconds"] >= 0


def test_logs_complete_printable_text_lines(start: Start, directory: Path, engine: str) -> None:
    lines = log_of_clients(start, directory, engine, "text")
    for line in lines:
        assert TEXT_LINE.fullmatch(line), line
    assert sum(" command " in line for line in lines) == 12 * 16
