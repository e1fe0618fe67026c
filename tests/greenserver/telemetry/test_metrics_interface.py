"""The default metrics ignore every event."""

from greenserver.telemetry.metrics_interface import SILENT


def test_silent_metrics_ignore_every_event() -> None:
    SILENT.connected()
    SILENT.received(5)
    SILENT.command("quit", 0, 6, 0.1)
    SILENT.stalled("idle")
    SILENT.refused("full")
    SILENT.disconnected("closed", 1.5)
    SILENT.loop_lag(1.0)
    assert not hasattr(SILENT, "__dict__")
