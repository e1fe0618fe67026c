"""The heartbeat measures the lag of the event loop, and survives failing callbacks."""

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


def test_measures_a_blocked_loop_and_survives_a_failing_callback() -> None:
    assert run_script(_SCRIPT, "gevent").stdout == "True True True\n"


def test_runs_in_a_thread() -> None:
    assert run_script(_SCRIPT, "threads").stdout == "True True True\n"
