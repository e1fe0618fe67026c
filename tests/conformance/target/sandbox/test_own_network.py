"""Processes with a network of their own listen on the same port, side by side, as root and as another user."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conformance.target.sandbox import kernel, own_network
from conformance.target.sandbox.namespaces import NOBODY
from conformance.target.sockets import free_port

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[4]
LISTENS = """
import os, socket, sys
from conformance.target.sandbox import own_network
before = os.getresuid(), os.getresgid()
own_network.enter()
assert (os.getresuid(), os.getresgid()) == before
servers = socket.create_server(("127.0.0.1", int(sys.argv[1]))), socket.create_server(("::1", 0), family=10)
with servers[0], servers[1]:
    for each in servers:
        socket.create_connection(each.getsockname()[:2]).close()
    print("listens", flush=True)
    sys.stdin.read()
"""


def other_user() -> tuple[str, dict[str, Any]]:
    """Return an interpreter that a user without privileges can run, and how to run it so; skip if there is none."""
    user: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    for python in (sys.executable, "/usr/bin/python3"):
        words = [python, "-c", "import conformance.target.sandbox.own_network as found; print(found.why_not())"]
        try:
            found = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, **user)
        except OSError:
            continue
        if found.returncode == 0 and found.stdout == "\n":
            return python, user
    pytest.skip("no user without privileges can have another network")


def check(python: str, **user: Any) -> None:  # noqa: ANN401  (of Popen)
    port = str(free_port())
    both = [
        subprocess.Popen(
            [python, "-c", LISTENS, port],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **user,
        )
        for _ in range(2)
    ]
    try:
        assert [process.stdout.readline() for process in both if process.stdout is not None] == ["listens\n"] * 2
    finally:
        for process in both:
            process.communicate(timeout=60)
    assert [process.returncode for process in both] == [0, 0]


def test_two_listen_on_one_port() -> None:
    if reason := own_network.why_not():
        pytest.skip(reason)
    check(sys.executable)


def test_two_of_a_user_without_privileges_listen_on_one_port() -> None:
    python, user = other_user()
    check(python, **user)


def test_says_why_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refusing = tmp_path / "refuses.py"
    refusing.write_text("import sys; sys.exit('first\\nunshare: Operation not permitted')", encoding="ascii")
    monkeypatch.setattr(own_network, "__file__", str(refusing))
    assert own_network.why_not() == "unshare: Operation not permitted"
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    assert "/nonexistent" in own_network.why_not()


def test_refusal_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_flags: int) -> None:
        raise PermissionError(1, "unshare: Operation not permitted")

    monkeypatch.setattr(kernel, "unshare", refuse)
    with pytest.raises(PermissionError):
        own_network.enter()
