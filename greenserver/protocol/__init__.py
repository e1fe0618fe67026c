"""HFTP without sockets (sans-I/O): framing, commands, dialects, responses and status codes."""
