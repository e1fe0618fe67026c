"""Runs one broken server, one with several bugs, or one that is odd but correct.

`python -m tests.broken_servers NAME --port 0 --port-file FILE -d DIRECTORY`; `--list` shows the names, and
`composed.py` says how they are put together.
"""

import socket
import sys
from collections.abc import Callable
from pathlib import Path

from tests.broken_servers import running
from tests.broken_servers.all_bugs import BUGS, STYLES
from tests.broken_servers.commands import DIALECTS, Commands
from tests.broken_servers.composed import composed
from tests.broken_servers.odd_servers import ODD
from tests.broken_servers.rare_bugs import RARE


def prepare(name: str, directory: Path, dialect: str) -> tuple[Callable[[str, int], socket.socket], running.Serve]:
    """Return how a server listens and serves."""
    if name in ODD:
        server = ODD[name].factory(directory, dialect)
    elif name in RARE:
        server = RARE[name].server(directory, dialect)
    elif name.startswith("correct-"):
        server = STYLES[name.removeprefix("correct-")](Commands(directory, dialect))
    else:
        server = composed(name).server(directory, dialect)
    return server.listen, server.serve


def first_dialect(name: str) -> str:
    """Return what a server speaks unless it is told otherwise."""
    if name in ODD:
        return ODD[name].dialects[0]
    return DIALECTS[0] if name.startswith("correct-") or name in RARE else composed(name).dialects[0]


NAMES = (
    {name: bug.sentence for name, bug in (BUGS | RARE).items()}
    | {name: f"Nothing, but it is odd: {odd.sentence}" for name, odd in ODD.items()}
    | {f"correct-{name}": "Nothing: this style has no bug." for name in STYLES}
)
assert len(NAMES) == len(BUGS) + len(RARE) + len(ODD) + len(STYLES), "a name is there twice"


def main(arguments: list[str]) -> int:
    """Serve by the command line; return the exit status."""
    name = next(iter(arguments), "")
    together = {name: composed(name).sentence} if {"+", "@"} & set(name) else {}
    return running.run(arguments, NAMES | together, prepare, first_dialect)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
