"""Log, access log, throttled warnings and the metrics interface."""
