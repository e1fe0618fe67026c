"""A worker reports that it is ready, and its exit status shows whether another start may help."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.greenserver.conftest import Start
from tests.greenserver.service.test_workers import wait_for_workers, workers_of
from tests.greenserver.serving import run_script, wait_until

pytestmark = [pytest.mark.once, pytest.mark.measured]

WORKER_EXIT = """
import os, signal, socket, sys
from greenserver.config.settings import Settings
from greenserver.service.worker_watchdog import fork
from greenserver.service.worker import Worker

with socket.create_server(("127.0.0.1", 0)) as listener:
    parent = os.getpid()
    child, pipe = fork()
    if not child:
        from greenserver.service import heartbeat, process
        from greenserver.server import Server

        def fail(*_):
            raise {"OSError": OSError, "KeyError": KeyError}[sys.argv[3]]("in vain")

        heartbeat.BEAT_SECONDS = 300
        if sys.argv[2] == "make":
            process.make_server = fail
        elif sys.argv[2] == "serve":
            Server.serve = fail
        settings = Settings(directory=sys.argv[1], engine="threads")
        Worker(settings, listener, None, supervisor=parent, beats=pipe).run()
    output = os.read(pipe, 10).decode()
    if sys.argv[2] == "well":
        os.kill(child, signal.SIGTERM)
    print(output, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize(
    ("where", "error", "output", "logged"),
    [
        ("well", "", ". 0", "INFO    stopped"),
        ("make", "OSError", " 1", 'ERROR   worker cannot serve reason="in vain"'),
        ("serve", "OSError", ". 1", 'ERROR   worker cannot serve reason="in vain"'),
        ("make", "KeyError", " 3", "ERROR   worker failed traceback="),
        ("serve", "KeyError", ". 255", "ERROR   worker failed traceback="),
    ],
)
def test_worker_reports_ready_once_and_exits_with_its_status(
    directory: Path, where: str, error: str, output: str, logged: str
) -> None:
    done = run_script(WORKER_EXIT, str(directory), where, error)
    assert done.stdout == f"{output}\n", done.stderr
    assert logged in done.stderr


def test_worker_that_cannot_start_logs_why_and_is_retried(start: Start, tmp_path: Path) -> None:
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
