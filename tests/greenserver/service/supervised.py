"""A supervisor with scripted workers and short timeouts, so that each test takes about a second.

``python -m tests.greenserver.service.supervised DIRECTORY [MODULE.NAME=SECONDS...]`` is the program. `DIRECTORY`
holds `behaviour`, which a worker reads when it starts, `count`, how many there are to be, and `journal`, to which each
worker adds a line for what happens to it: its process id, the event, the moment. If `behaviour` is `real` and an
engine, the workers are those of the server.
"""

import contextlib
import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple, NoReturn

from greenserver.config.limits import Limits
from greenserver.config.settings import ENGINES, Settings
from greenserver.net import listening
from greenserver.service import supervisor, workers
from tests.cycles.__main__ import state_of
from tests.greenserver.serving import ROOT, TIMEOUT_SECONDS, Client, wait_until

BEAT_SECONDS: Final = 0.05
LARGE_BYTES: Final = 1 << 38
"""The size of the file `large`, which takes no room, and longer to send than any test lasts."""

_real_sleep: Final = time.sleep  # before anything patches it
_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h


class Entry(NamedTuple):
    """A line of the journal."""

    pid: int
    event: str
    moment: float


class Supervised:
    """A supervisor in a process of its own, with scripted workers."""

    def __init__(
        self, directory: Path, behaviour: str, *times: str, count: int = 2, environment: dict[str, str] | None = None
    ) -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        self.workers_behave(behaviour)
        self.workers_count(count)
        (directory / "journal").touch()
        with (directory / "large").open("wb") as file:
            file.truncate(LARGE_BYTES)
        with (directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(directory), *times],
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        with self.process.stdout:
            line = self.process.stdout.readline()
        assert line, self.log()
        self.port = int(line)

    def workers_behave(self, behaviour: str) -> None:
        """Say what the workers do that start from now on."""
        draft = self._directory / "draft"
        draft.write_text(behaviour)
        draft.replace(self._directory / "behaviour")

    def workers_count(self, count: int) -> None:
        """Say how many workers a reload finds in the configuration."""
        draft = self._directory / "draft"
        draft.write_text(str(count))
        draft.replace(self._directory / "count")

    def configuration_hangs(self) -> None:
        """Let the configuration hang who reads it, like a file system that has gone away."""
        (self._directory / "count").unlink()
        os.mkfifo(self._directory / "count")

    def connect(self) -> Client:
        """Return a client of the real workers."""
        return Client(socket.create_connection(("127.0.0.1", self.port), TIMEOUT_SECONDS))

    def fail(self, what: str, *, fails: bool = True) -> None:
        """Let forks, the handler of SIGTTIN, or each turn, fail in the supervisor from now on, or no longer.

        Or let real workers hang when they accept a client.
        """
        path = self._directory / what
        if fails:
            path.touch()
        else:
            path.unlink()

    def journal(self, event: str = "") -> list[Entry]:
        """Return what has happened to workers, in its order; of one kind, if one is named."""
        lines = (self._directory / "journal").read_text().splitlines()
        entries = [Entry(int(pid), what, float(moment)) for pid, what, moment in map(str.split, lines)]
        return [entry for entry in entries if event in {"", entry.event}]

    def wait_for(self, event: str, count: int) -> list[int]:
        """Wait until an event has happened so often; return the processes, in order."""
        wait_until(lambda: len(self.journal(event)) >= count, f"{count} times {event}: {self.log()[-2000:]}")
        return [entry.pid for entry in self.journal(event)]

    def log(self) -> str:
        """Return what the supervisor and the workers have logged."""
        return (self._directory / "log").read_text()

    def wait_for_log(self, text: str, count: int = 1) -> None:
        """Wait until the log contains a text several times."""
        wait_until(lambda: self.log().count(text) >= count, f"{count} times {text!r} in {self.log()[-2000:]}")

    def children(self) -> list[int]:
        """Return the children of the supervisor, in the order of their starts, zombies included."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(child) for child in path.read_text(encoding="ascii").split()]

    def cpu_seconds(self) -> float:
        """Return how long the supervisor has computed."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def send(self, number: int) -> None:
        """Send a signal to the supervisor."""
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal to the supervisor, and return how it ends."""
        self.send(number)
        return self.process.wait(TIMEOUT_SECONDS)

    def close(self) -> None:
        """Kill it and its workers."""
        started = {entry.pid for entry in self.journal("start")}
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        wait_until(lambda: all(state_of(pid) in "XZ" for pid in started), "no worker is left")


@contextlib.contextmanager
def closing(supervised: Supervised) -> Iterator[Supervised]:
    """Close it at the end of a block."""
    try:
        yield supervised
    finally:
        supervised.close()


# --- The program ---------------------------------------------------------------------------------


class ScriptedWorker:
    """In the place of `Worker`: beats and obeys, or not."""

    directory = Path()

    def __init__(
        self, settings: Settings, listener: socket.socket, admin: None, *, supervisor: int, beats: int
    ) -> None:
        self._beats = beats
        self._ends = False
        self._is_deaf = False
        os.close(listener.detach())  # it accepts no client
        del settings, admin, supervisor

    def run(self) -> NoReturn:
        """Execute the script in the file."""
        signal.signal(signal.SIGTERM, self._stop)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        words = (self.directory / "behaviour").read_text().split()
        self._note("start")
        self._do(words[0], *map(float, words[1:]))
        sys.exit(0)

    def _do(self, what: str, value: float = 0.0) -> None:
        """Execute a step of the script, with a value.

        `serve`; `exit` with a status; die by a `signal`; be ready after so many seconds (`slow`) or never (`silent`);
        be ready and fall silent (`hang`), ignore SIGTERM (`deaf`), exit soon (`last`), or have a child (`parent`).
        """
        if what == "exit":
            os._exit(int(value))
        if what == "signal":
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.kill(os.getpid(), int(value))
        self._is_deaf = what == "deaf"
        if what == "slow":
            self._sleep(value)
        if what != "silent":
            self._note("serves")
            os.write(self._beats, b".")
            self._note("ready")  # and the supervisor can know it
        if what == "last":
            self._sleep(0.3)
            os._exit(int(value))
        if what == "parent" and not os.fork():
            self._note("orphan")
            time.sleep(value)
            os._exit(0)
        while not self._ends:
            self._sleep(BEAT_SECONDS)
            if what not in {"silent", "hang"}:
                with contextlib.suppress(OSError):
                    os.write(self._beats, b".")

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._ends and time.monotonic() < until:
            time.sleep(0.01)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._note("term")
        self._ends = not self._is_deaf

    def _note(self, event: str) -> None:
        with (self.directory / "journal").open("a") as journal:
            journal.write(f"{os.getpid()} {event} {time.monotonic()}\n")


def _failing(call: Callable[..., Any], path: Path) -> Callable[..., Any]:
    def fail(*arguments: object) -> Any:  # noqa: ANN401  (as what it stands for)
        if path.exists():
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return call(*arguments)

    return fail


def _hanging(call: Callable[..., Any], path: Path) -> Callable[..., Any]:
    """Return a call that holds its thread while a file exists, whatever that is patched with."""

    def hang(*arguments: object) -> Any:  # noqa: ANN401  (as what it stands for)
        until = time.monotonic() + 2 * TIMEOUT_SECONDS
        while path.exists() and time.monotonic() < until:
            _real_sleep(0.01)
        return call(*arguments)

    return hang


def main(directory: str, *times: str) -> None:
    """Supervise until a signal."""
    root = ScriptedWorker.directory = Path(directory)
    for each in times:
        name, _, seconds = each.partition("=")
        where, _, constant = name.partition(".")
        module = import_module(f"greenserver.{'config' if where == 'limits' else 'service'}.{where}")
        assert hasattr(module, constant)
        setattr(module, constant, float(seconds))
    behaviour, engine, *_ = (*(root / "behaviour").read_text().split(), ENGINES[0])
    if behaviour == "real":
        listening.describe_peer = _hanging(listening.describe_peer, root / "hang")
    else:
        vars(supervisor)["Worker"] = ScriptedWorker
    os.fork = _failing(os.fork, root / "fork")
    for name in ("add", "balance"):
        setattr(supervisor.Supervisor, f"_{name}", _failing(getattr(supervisor.Supervisor, f"_{name}"), root / name))
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans come to it, as to the first of a container

    def read() -> Settings:
        return Settings(
            directory=directory,
            port=0,
            engine=engine if behaviour == "real" else ENGINES[0],
            workers=int((root / "count").read_text()),
            verbose=1,
            limits=Limits(grace_seconds=0.2),
        )

    def announce(_host: str, port: int) -> None:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()

    workers.run(read(), announce, read)


if __name__ == "__main__":
    main(*sys.argv[1:])
