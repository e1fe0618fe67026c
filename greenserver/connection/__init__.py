"""One client: handshake, reading, writing, flow control, and the connection itself."""
