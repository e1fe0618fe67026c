"""The server raises its descriptor limit, and accepts no more clients than descriptors allow."""

import contextlib
import re
import resource
from pathlib import Path

import pytest

from greenserver.config import limits
from greenserver.service import rlimits
from tests.greenserver.conftest import Start
from tests.greenserver.serving import Client

HARD = 200


def hold_back() -> None:
    """Set a low limit, and a higher one that it may be raised to."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, HARD))


def limits_of(process: int) -> tuple[str, ...]:
    """Return the soft and the hard limit of descriptors of a process."""
    text = Path(f"/proc/{process}/limits").read_text(encoding="ascii")
    found = re.search(r"^Max open files +(\S+) +(\S+)", text, re.MULTILINE)
    assert found is not None
    return found.groups()


@pytest.mark.parametrize("options", [("--engine", "selectors"), ("--engine", "gevent"), ("--workers", "1")])
def test_raises_the_limit_and_rejects_clients_over_it(start: Start, directory: Path, options: tuple[str, ...]) -> None:
    server = start(directory, *options, prepare=hold_back)
    assert server.ask(b"get_metadata one\r\n") == b"0 OK\r\n1\r\n"
    children = (
        Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text(encoding="ascii").split()
    )
    assert bool(children) == ("--workers" in options)
    for process in (server.process.pid, *map(int, children)):
        assert limits_of(process) == (str(HARD), str(HARD))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(HARD // 2)]
        replies = [answer(client) for client in clients]
    assert set(replies) == {b"0 OK\r\n", b"199 INTERNAL SERVER ERROR\r\n"}
    served = replies.count(b"0 OK\r\n")
    assert 64 // 2 < served <= (HARD - limits.RESERVED_DESCRIPTORS) // 2, "more than the low limit would have allowed"
    assert "max_connections=" in server.log()


def answer(client: Client) -> bytes:
    """Ask something small, and return the status line."""
    client.send(b"get_metadata one\r\n")
    return client.line()


def test_keeps_a_limit_that_cannot_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr(resource, "setrlimit", refuse)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    rlimits.raise_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
