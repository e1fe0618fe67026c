"""The heart goes on beating, and notices how late it is."""

import pytest

from tests.greenserver.serving import run_script

pytestmark = [pytest.mark.once, pytest.mark.measured]

_SCRIPT = """
import sys, time
from greenserver.monkeypatch import patch_for
patch_for(sys.argv[1])
from greenserver.service import heartbeat
heartbeat.BEAT_SECONDS = 0.05
lags = []
def fail(lag):
    raise RuntimeError("a beat that fails")
heartbeat.start_heartbeat(fail, lags.append)
deadline = time.monotonic() + 30
while len(lags) < 3 and time.monotonic() < deadline:
    time.sleep(0.01)
before = len(lags)
until = time.monotonic() + 0.6
while time.monotonic() < until:  # holds a loop, and shares with threads
    pass
while len(lags) <= before and time.monotonic() < deadline:
    time.sleep(0.01)
print(len(lags) >= 4, min(lags) >= 0, max(lags) > 0.4 if sys.argv[1] == "gevent" else True)
"""


def test_a_loop_that_is_held_is_noticed_and_a_beat_that_fails_stops_nothing() -> None:
    assert run_script(_SCRIPT, "gevent").stdout == "True True True\n"


def test_a_thread_beats_too() -> None:
    assert run_script(_SCRIPT, "threads").stdout == "True True True\n"
