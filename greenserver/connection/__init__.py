"""One connection to one client: handshake, reader, writer, flow control and fast path."""
