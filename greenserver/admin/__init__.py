"""The admin endpoint, in a process of its own: /metrics, /healthz, /readyz, and the metrics behind them."""
