"""Whatever goes wrong where nothing catches it, the log stays one that a program can read."""

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
    ("script", "event", "says"),
    [
        ("raise ValueError('at the end')", "uncaught error", "ValueError: at the end"),
        (THREAD, "uncaught error in a thread", "ValueError: in a thread"),
        (FINALIZER, "error ignored", "ValueError: in a finalizer"),
        ("warnings.warn('old\\nway')", "warning of the interpreter", "UserWarning"),
        ("logging.getLogger('other').error('many\\nlines')", "many", "lines"),
        (SLOW_FORMAT, "log lines dropped", "1"),
    ],
)
def test_it_is_an_event_on_one_line(form: str, script: str, event: str, says: str) -> None:
    told = run_script(START + script, form).stderr.splitlines()
    (line,) = [each for each in told if event in each]
    assert says in line
    if form == "json":
        for each in told:
            assert json.loads(each)["level"] in {"info", "warning", "error"}
    else:
        assert all(each.startswith("20") for each in told)


def test_ctrl_c_is_no_error() -> None:
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


def test_a_greenlet_that_fails_by_itself_is_an_event_too(directory: Path) -> None:
    told = [json.loads(line) for line in run_script(GREENLETS, str(directory)).stderr.splitlines()]
    failed = [each for each in told if each["event"] == "uncaught error in a greenlet"]
    assert ["division by zero" in each["traceback"] for each in failed] == [True, True]
    assert told[-1]["event"] == "stopped"
