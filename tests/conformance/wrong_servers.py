"""Servers that are wrong in different ways, for reports with much to say: `wrong_servers.py NAME PORT DIRECTORY`."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path


def recv(data: bytes, directory: Path) -> bytes:
    """Answer what was received as one command, and look for files anywhere."""
    words = data.decode("latin-1").split()
    if words[:1] == ["get_file_listing"]:
        return b"0 OK\r\n" + b"".join(f"{path.name}\r\n".encode() for path in directory.iterdir())
    if words[:1] == ["get_metadata"]:
        path = directory / words[1]
        return b"0 OK\r\n%d\r\n" % path.stat().st_size if path.exists() else b"202 FILE NOT FOUND\r\n"
    return b"0 OK\r\n" if words[:1] == ["quit"] else b"200 NO SUCH COMMAND\r\n"


def silent(data: bytes, directory: Path) -> bytes:
    """Answer quit and what is unknown only."""
    del directory
    return b"" if b"get_" in data else b"200 NO SUCH COMMAND\r\n"


def endless(data: bytes, directory: Path) -> bytes:
    """End lines in LF, and say too much."""
    return b"".join(b"%s\n\n" % line.replace(b"\r\n", b"") for line in recv(data, directory).splitlines(keepends=True))


SERVERS: dict[str, Callable[[bytes, Path], bytes]] = {"recv": recv, "silent": silent, "endless": endless}


def main(name: str, port: int, directory: Path) -> None:
    """Serve one client after the other, until killed."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            sock, _ = listener.accept()
            with sock:
                try:
                    while data := sock.recv(1 << 16):
                        sock.sendall(SERVERS[name](data, directory))
                        if data.endswith(b"quit\r\n"):
                            break
                except (OSError, ValueError, IndexError):
                    continue


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
