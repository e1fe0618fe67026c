"""The server under test: start, watch, probe and restart it."""
