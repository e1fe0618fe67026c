"""Listening sockets: open, accept and drain; and the connection limiter."""
