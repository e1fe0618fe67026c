"""Telemetry: log, access log, throttled warnings and the metrics interface."""
