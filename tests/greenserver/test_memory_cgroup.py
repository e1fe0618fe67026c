"""Ordinary clients do not make a server exceed a small limit of memory of a container, on every engine."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.greenserver.conftest import Start
from tests.greenserver.launching import CONCURRENT
from tests.greenserver.service.test_workers import wait_for_workers, workers_of
from tests.greenserver.serving import ENGINES, Server, wait_until
from tests.greenserver.test_out_of_memory import ASK_ONE, CLIENTS, FEW, SIZE_OF_ONE, crowd

pytestmark = pytest.mark.once

LIMIT_BYTES = 64 << 20
"""A server of a few clients has 25 MiB resident; to this come the page cache and the buffers of its sockets."""


class Cgroup:
    """A control group of the memory controller, of version 1 or 2."""

    def __init__(self, path: Path) -> None:
        self.path = path
        is_first = (path / "memory.limit_in_bytes").exists()
        self._limit = path / ("memory.limit_in_bytes" if is_first else "memory.max")
        self._used = path / ("memory.usage_in_bytes" if is_first else "memory.current")
        self._events = path / ("memory.oom_control" if is_first else "memory.events")

    def limit(self, most_bytes: int) -> None:
        self._limit.write_text(str(most_bytes), encoding="ascii")

    def used(self) -> int:
        """Return how much memory the group uses, in bytes."""
        return int(self._used.read_text(encoding="ascii"))

    def kills(self) -> int:
        """Return how many processes the kernel has killed."""
        events = dict(line.split() for line in self._events.read_text(encoding="ascii").splitlines())
        return int(events["oom_kill"])

    def enter(self) -> None:
        """Move this process into the group."""
        (self.path / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")

    def is_empty(self) -> bool:
        return not (self.path / "cgroup.procs").read_text(encoding="ascii")


def parent_group() -> Path:
    """Return a directory in which groups of the memory controller can be made. Skip the test if there is none."""
    groups = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines())
    first = Path("/sys/fs/cgroup/memory" + groups.get("memory", ""))
    second = Path("/sys/fs/cgroup" + groups.get("", "")).parent
    for parent, sign in ((first, "memory.limit_in_bytes"), (second, "cgroup.subtree_control")):
        file = parent / sign
        if not (file.exists() and os.access(parent, os.W_OK)):
            continue
        if sign.startswith("memory") or "memory" in file.read_text(encoding="ascii"):
            return parent
    pytest.skip("no group of the memory controller can be made here")


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    path = parent_group() / f"greenserver-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError as error:
        pytest.skip(f"no group of the memory controller can be made here: {error}")
    group = Cgroup(path)
    yield group
    wait_until(group.is_empty, "its processes have ended")
    path.rmdir()


@pytest.fixture
def start_within(start: Start, directory: Path, cgroup: Cgroup) -> Iterator[Callable[..., Server]]:
    """Return a function that starts a server in the group, and end the servers before the group."""
    servers = []

    def start_server(*options: str) -> Server:
        servers.append(start(directory, "--quiet", "--linger-seconds", "1", *options, prepare=cgroup.enter))
        return servers[-1]

    yield start_server
    for server in servers:
        server.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_crowd_is_served_within_little_memory(
    start_within: Callable[..., Server], cgroup: Cgroup, engine: str
) -> None:
    cgroup.limit(LIMIT_BYTES)
    server = start_within("--engine", engine)
    count = 5 * CLIENTS if engine in CONCURRENT else FEW
    assert crowd(server, count) == {"whole": count}
    assert server.ask(ASK_ONE) == SIZE_OF_ONE
    assert cgroup.kills() == 0
    assert "memory" not in server.log()


def test_a_worker_that_the_kernel_kills_is_replaced(start_within: Callable[..., Server], cgroup: Cgroup) -> None:
    server = start_within("--engine", "threads", "--workers", "1")
    (worker,) = wait_for_workers(server, 1)
    Path(f"/proc/{worker}/oom_score_adj").write_text("1000", encoding="ascii")  # the first to be killed

    def lift() -> None:
        wait_until(lambda: cgroup.kills() > 0, "the kernel kills it")
        cgroup.limit(LIMIT_BYTES)  # before it kills another

    lifting = threading.Thread(target=lift)
    cgroup.limit(cgroup.used() + (1 << 20))
    lifting.start()
    for _ in range(20):
        crowd(server, CLIENTS)
        if not lifting.is_alive():
            break
    lifting.join()
    assert cgroup.kills()
    wait_until(lambda: worker not in workers_of(server), "it is gone")
    assert crowd(server, CLIENTS) == {"whole": CLIENTS}
    assert server.process.poll() is None
