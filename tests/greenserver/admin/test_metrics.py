"""The meter of a watched server counts what it is told, in a process that keeps its numbers in files."""

from greenserver.admin.state_directory import StateDirectory
from tests.greenserver.serving import run_script

_SCRIPT = """
from greenserver.admin.process import load_metrics
meter = load_metrics()
for _ in range(2):
    meter.connected()
meter.disconnected("closed", 0.2)
meter.refused("full")
meter.stalled("write")
meter.command("help", 0, 5, 0.01)
meter.command("help", 0, 5, 0.01)
meter.command("", 200, 7, 0.0)
meter.received(11)
for lag in (0.5, 0.25):
    meter.beat(lag)
from prometheus_client import generate_latest
import greenserver.admin.http as answers
from greenserver.admin.state_directory import StateDirectory
import os
print(answers.metrics(StateDirectory(os.environ["PROMETHEUS_MULTIPROC_DIR"]))[2].decode())
"""


def test_the_meter_counts_what_it_is_told() -> None:
    with StateDirectory() as board:
        done = run_script(_SCRIPT)
    assert not board.directory.exists()
    assert done.stderr == ""
    lines = set(done.stdout.splitlines())
    assert lines >= {
        "greenserver_open_connections 1.0",
        'greenserver_connections_total{outcome="closed"} 1.0',
        "greenserver_connection_seconds_sum 0.2",
        'greenserver_refusals_total{reason="full"} 1.0',
        'greenserver_stalls_total{what="write"} 1.0',
        'greenserver_commands_total{command="help",status="0"} 2.0',
        'greenserver_commands_total{command="unknown",status="200"} 1.0',
        "greenserver_sent_bytes_total 17.0",
        "greenserver_received_bytes_total 11.0",
        "greenserver_command_seconds_count 3.0",
        "greenserver_loop_lag_seconds 0.25",
        "greenserver_serving_processes 1.0",
    }
