"""Runs one hostile server: `python -m tests.broken_servers.hostile NAME -p PORT -d DIRECTORY`; `--list` names them."""

import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.broken_servers import running
from tests.broken_servers.commands import Commands, Parts
from tests.broken_servers.hostile.cheats import CHEATS
from tests.broken_servers.hostile.directories import SWAPPING, Attack, Attacker
from tests.broken_servers.hostile.handlers import HOSTILE, serve
from tests.broken_servers.hostile.intruders import INTRUDERS
from tests.broken_servers.hostile.processes import MISUSES
from tests.broken_servers.style_threads import Threads


class Slow(Commands):
    """Answer rightly, a tenth of a second after each command."""

    def reply(self, raw: bytes) -> tuple[Parts, bool]:
        time.sleep(0.1)
        return super().reply(raw)


class Intruder(Attacker):
    """Answer no listing while it attacks."""

    def __init__(self, directory: Path, dialect: str, attack: Attack, moment: str) -> None:
        super().__init__(directory, dialect, attack, moment)
        self._lock = threading.Lock()

    def get_file_listing(self, arguments: list[bytes]) -> Parts:
        with self._lock:
            return super().get_file_listing(arguments)


INTRUDING = {f"{name}-at-listing": (function, "at-listing") for name, function in INTRUDERS.items()}
MISUSING = {f"{name}-at-listing": (function, "at-listing") for name, function in MISUSES.items()}
ATTACKING = SWAPPING | MISUSING | INTRUDING
NAMES = {name: play.__doc__ or "" for name, play in HOSTILE.items()} | {
    name: f"{attack.__doc__} ({moment})" for name, (attack, moment) in ATTACKING.items()
}
ALTERED = {"slow": Slow} | CHEATS
NAMES |= {name: commands.__doc__ or "" for name, commands in ALTERED.items()}


def prepare(name: str, directory: Path, dialect: str) -> tuple[Callable[[str, int], socket.socket], running.Serve]:
    """Return how a hostile server listens and serves."""
    if name in HOSTILE:
        return running.listen, lambda listener: serve(HOSTILE[name], listener)
    if name in ALTERED:
        altered = Threads(ALTERED[name](directory, dialect))
        return altered.listen, altered.serve
    attacker = (Intruder if name in INTRUDING else Attacker)(directory, dialect, *ATTACKING[name])
    server = Threads(attacker)

    def listen(host: str, port: int) -> socket.socket:
        attacker.begin()
        return server.listen(host, port)

    return listen, server.serve


if __name__ == "__main__":
    sys.exit(running.run(sys.argv[1:], NAMES, prepare))
