"""Ways to wait: for sockets, events and shutdown; and memory for large writes."""
