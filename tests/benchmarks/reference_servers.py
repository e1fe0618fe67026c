"""Reference servers, simple or tuned, to compare with: each is one function and one table row.

Used as ``python -m tests.benchmarks.reference_servers NAME DIRECTORY PORT``.
"""

import asyncio
import base64
import importlib
import os
import socketserver
import sys
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
BACKLOG = 1024


def answer(directory: Path, line: str) -> bytes:
    """Return the whole reply to a command, as a simple server does."""
    name, *arguments = line.split(" ")
    if name == "get_file_listing":
        return b"0 OK\r\n" + "".join(f"{entry.name}\r\n" for entry in directory.iterdir()).encode() + b"\r\n"
    path = directory / arguments[0]
    if name == "get_metadata":
        return b"0 OK\r\n%d\r\n" % path.stat().st_size
    offset, size = int(arguments[1]), int(arguments[2])
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(size)
    if arguments[3:] == ["raw"]:
        return b"0 OK\r\nContent-Length: %d\r\n\r\n" % size + data
    return b"0 OK\r\n" + base64.b64encode(data) + b"\r\n"


def serve_threads(directory: Path, port: int) -> None:
    """Serve HFTP with a thread for each client: whole slice, base64, sendall."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                self.request.sendall(answer(directory, line.decode().rstrip("\r\n")))

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        request_queue_size = BACKLOG

        def handle_error(self, *_: Any) -> None:  # noqa: ANN401  (ignored: clients disconnect at any time)
            pass

    Server((HOST, port), Handler).serve_forever()


def serve_streams(directory: Path, port: int) -> None:
    """Serve HFTP on asyncio's streams."""

    async def handle_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(answer(directory, line.decode().rstrip("\r\n")))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(handle_client, HOST, port, backlog=BACKLOG)
        await server.serve_forever()

    asyncio.run(serve())


def serve_streams_on_uvloop(directory: Path, port: int) -> None:
    """Serve HFTP on asyncio's streams and uvloop's event loop."""
    importlib.import_module("uvloop").install()
    serve_streams(directory, port)


def serve_protocol(directory: Path, port: int) -> None:
    """Serve get_metadata on uvloop as fast as Python can: all commands of a buffer at once, each with a fresh stat."""
    uvloop = importlib.import_module("uvloop")
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)

    class Handler(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:  # noqa: ANN401  (uvloop's own class)
            self.transport = transport
            self.rest = b""

        def data_received(self, data: bytes) -> None:
            *lines, self.rest = (self.rest + data).split(b"\r\n")
            self.transport.write(
                b"".join(
                    [
                        b"0 OK\r\n%d\r\n"
                        % os.stat(line[len(b"get_metadata ") :], dir_fd=descriptor, follow_symlinks=False).st_size
                        for line in lines
                    ]
                )
            )

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Handler, HOST, port, backlog=BACKLOG)
        await server.serve_forever()

    uvloop.run(serve())


def serve_http(directory: Path, port: int) -> None:
    """Serve HTTP by the standard library, with connections kept alive and no log."""

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # send a reply in one write, without the delay of Nagle's algorithm

        def __init__(self, *arguments: Any) -> None:  # noqa: ANN401  (the arguments of socketserver)
            super().__init__(*arguments, directory=os.fspath(directory))

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = BACKLOG

        def handle_error(self, *_: Any) -> None:  # noqa: ANN401  (ignored: clients disconnect at any time)
            pass

    Server((HOST, port), Handler).serve_forever()


def serve_ftp(directory: Path, port: int) -> None:
    """Serve FTP by pyftpdlib, anonymously and without a log."""
    logging = importlib.import_module("logging")
    logging.disable(logging.CRITICAL)
    authorizers, handlers, servers = (
        importlib.import_module(f"pyftpdlib.{part}") for part in ("authorizers", "handlers", "servers")
    )
    handlers.FTPHandler.authorizer = authorizers.DummyAuthorizer()
    handlers.FTPHandler.authorizer.add_anonymous(os.fspath(directory))
    handlers.FTPHandler.tcp_no_delay = True
    servers.FTPServer.max_cons = 0
    server = servers.FTPServer((HOST, port), handlers.FTPHandler, backlog=BACKLOG)
    server.serve_forever(handle_exit=False)


SERVERS: dict[str, Callable[[Path, int], None]] = {
    "threads": serve_threads,
    "asyncio": serve_streams,
    "uvloop": serve_streams_on_uvloop,
    "protocol": serve_protocol,
    "http": serve_http,
    "ftp": serve_ftp,
}

if __name__ == "__main__":
    SERVERS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
