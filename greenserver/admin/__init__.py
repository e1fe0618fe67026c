"""The admin endpoint: a separate process for /metrics, /healthz and /readyz, and the metrics behind it."""
