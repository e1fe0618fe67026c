"""Uncaught exceptions are logged as events, so that a program can parse the log."""

import json
from pathlib import Path

import pytest

from tests.greenserver.serving import run_script

START = """
import logging, sys, threading, warnings
from greenserver.telemetry import log
from greenserver.telemetry.uncaught import log_uncaught
log.configure(sys.argv[1], logging.INFO)
log_uncaught()
"""

THREAD = """
def fail():
    raise ValueError("in a thread")
thread = threading.Thread(target=fail, name="file reader")
thread.start()
thread.join()
"""

FINALIZER = """
class Failing:
    def __del__(self):
        raise ValueError("in a finalizer")
Failing()
"""

SLOW_FORMAT = """
class Failing:
    def __str__(self):
        raise ValueError("in a field")
log.report(logging.getLogger("greenserver.x"), logging.INFO, "one", field=Failing())
log.report(logging.getLogger("greenserver.x"), logging.INFO, "two")
"""


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(
    ("script", "event", "text"),
    [
        ("raise ValueError('at the end')", "uncaught error", "ValueError: at the end"),
        (THREAD, "uncaught error in a thread", "ValueError: in a thread"),
        (FINALIZER, "error ignored", "ValueError: in a finalizer"),
        ("warnings.warn('old\\nway')", "warning of the interpreter", "UserWarning"),
        ("logging.getLogger('other').error('many\\nlines')", "many", "lines"),
        (SLOW_FORMAT, "log lines dropped", "1"),
    ],
)
def test_logs_an_uncaught_exception_on_one_line(form: str, script: str, event: str, text: str) -> None:
    events = run_script(START + script, form).stderr.splitlines()
    (line,) = [each for each in events if event in each]
    assert text in line
    if form == "json":
        for each in events:
            assert json.loads(each)["level"] in {"info", "warning", "error"}
    else:
        assert all(each.startswith("20") for each in events)


def test_does_not_log_ctrl_c() -> None:
    assert run_script(START + "raise KeyboardInterrupt", "text").stderr == ""


GREENLETS = """
from greenserver.monkeypatch import patch_for
patch_for("gevent")
import gevent, logging, socket, sys
from greenserver import Server
from greenserver.telemetry import log
log.configure("json", logging.INFO)
with Server(sys.argv[1], port=0, engine="gevent") as server:
    serving = gevent.spawn(server.serve)
    gevent.sleep(0.1)
    gevent.spawn(lambda: 1 / 0).join()
    hub = gevent.get_hub()
    hub.loop.run_callback(lambda: 1 / 0)
    gevent.sleep(0.1)
    server.stop()
    serving.join(20)
"""


def test_logs_an_exception_in_a_greenlet(directory: Path) -> None:
    events = [json.loads(line) for line in run_script(GREENLETS, str(directory)).stderr.splitlines()]
    failed = [each for each in events if each["event"] == "uncaught error in a greenlet"]
    assert ["division by zero" in each["traceback"] for each in failed] == [True, True]
    assert events[-1]["event"] == "stopped"
