"""A worker that cannot begin says why, and another one tries; it begins patched."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.greenserver.conftest import Start
from tests.greenserver.service.test_workers import wait_for_workers, workers_of
from tests.greenserver.serving import wait_until

pytestmark = [pytest.mark.once, pytest.mark.measured]


def test_a_worker_that_cannot_begin_says_why_and_others_try_again(start: Start, tmp_path: Path) -> None:
    directory = tmp_path / "served"
    directory.mkdir()
    (directory / "one").write_bytes(b"1")
    server = start(directory, "--workers", "1")
    old = wait_for_workers(server, 1)
    directory.rename(tmp_path / "away")
    os.kill(old[0], signal.SIGKILL)
    wait_until(lambda: server.log().count("worker cannot serve") >= 2, "it is tried again")
    assert re.search(r"worker cannot serve reason=.cannot serve .*No such file", server.log())
    (tmp_path / "away").rename(directory)
    wait_for_workers(server, 1, other_than=old)
    assert server.ask(b"get_metadata one\r\n") == b"0 OK\r\n1\r\n"
    assert "Traceback" not in server.log()
    assert workers_of(server)
