"""The command line of all servers here: one name, where to listen and what to serve."""

import argparse
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.broken_servers.commands import DIALECTS

Serve = Callable[[socket.socket], None]


def listen(host: str, port: int, backlog: int = 1024) -> socket.socket:
    """Return a listening socket."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=backlog)


def run(
    arguments: list[str],
    names: Mapping[str, str],
    prepare: Callable[[str, Path, str], tuple[Callable[[str, int], socket.socket], Serve]],
    first_dialect: Callable[[str], str] = lambda _: DIALECTS[0],
) -> int:
    """Serve by the command line; return the exit status.

    `names` says what each server does; `prepare(name, directory, dialect)` returns how it listens and how it serves.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("name", nargs="?", metavar="NAME", choices=sorted(names), help="which server")
    parser.add_argument("--list", action="store_true", help="name the servers and what each does wrong")
    parser.add_argument("-a", "--address", default="127.0.0.1", help="where to listen")
    parser.add_argument("-p", "--port", type=int, default=19500, help="0 takes a free one")
    parser.add_argument("--port-file", type=Path, help="where to write the port")
    parser.add_argument("-d", "--directory", type=Path, default=Path(), help="what to serve")
    parser.add_argument("--dialect", choices=DIALECTS, help="what to speak")
    options = parser.parse_args(arguments)
    if options.list:
        width = max(map(len, names))
        sys.stdout.writelines(f"{name:{width}}  {sentence}\n" for name, sentence in names.items())
        return 0
    if options.name is None:
        parser.error("a NAME is needed; --list shows them")
    listen, serve = prepare(options.name, options.directory.resolve(), options.dialect or first_dialect(options.name))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        listener = listen(options.address, options.port)
    except OSError as error:
        parser.exit(1, f"cannot listen on {options.address}:{options.port}: {error.strerror}\n")
    if options.port_file:
        write_atomically(options.port_file, f"{listener.getsockname()[1]}\n")
    with contextlib.suppress(KeyboardInterrupt):
        serve(listener)
    return 0


def write_atomically(path: Path, text: str) -> None:
    """Write a file that appears whole."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(text, encoding="ascii")
    unfinished.replace(path)
