"""Tests of greenserver.telemetry."""
