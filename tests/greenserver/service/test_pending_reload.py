"""A supervisor tries one configuration at a time, and what hangs holds nothing that a server needs."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenserver.config import limits
from greenserver.config.settings import Settings
from greenserver.service import pending_reload
from greenserver.service.clock import RunningClock
from greenserver.service.pending_reload import MOST_HANGING, RETRY_SECONDS, PendingReload
from greenserver.service.preflight import Checked, Trial
from tests.cycles.__main__ import state_of
from tests.greenserver.conftest import Start
from tests.greenserver.serving import TIMEOUT_SECONDS, wait_until

pytestmark = [pytest.mark.once, pytest.mark.measured]

CHECKED = Checked(Settings(workers=1), [], [])


class Unkillable:
    """In the place of `Trial`: its process hangs in the kernel, and outlives SIGKILL."""

    def __init__(self, _call: Callable[[], Checked]) -> None:
        self.child = next(self.children)
        self.has_ended = False

    children: Iterator[int]

    def receive(self) -> None:
        """Receive nothing."""

    def close(self) -> bool:
        """Return that it has not ended."""
        return False


@pytest.fixture
def began(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let trials be unkillable, and return the processes of those that have begun."""
    children: list[int] = []

    def next_children() -> Iterator[int]:
        while True:
            children.append(1000 + len(children))
            yield children[-1]

    monkeypatch.setattr(Unkillable, "children", next_children(), raising=False)
    monkeypatch.setattr(pending_reload, "Trial", Unkillable)
    return children


def hanging() -> Checked:
    """Check for longer than any test lasts."""
    time.sleep(2 * TIMEOUT_SECONDS)
    return CHECKED


def begin(pending: PendingReload) -> Trial[Checked]:
    """Ask for a reload, and return its trial."""
    pending.ask()
    pending.begin_if_due()
    trial = pending._trial  # noqa: SLF001  (its process is not told to anybody else)
    assert trial is not None
    return trial


def test_a_further_request_kills_the_trial_before_the_next_one_begins() -> None:
    pending = PendingReload(RunningClock(), hanging)
    first = begin(pending)
    pending.begin_if_due()
    assert pending.filenos() == (first.fileno(),), "one at a time"
    second = begin(pending)
    assert os.waitstatus_to_exitcode(os.waitpid(first.child, 0)[1]) == -signal.SIGKILL
    pending.drop()
    assert os.waitstatus_to_exitcode(os.waitpid(second.child, 0)[1]) == -signal.SIGKILL
    assert (pending.filenos(), pending.at) == ((), float("inf"))


def test_a_result_is_returned_once() -> None:
    pending = PendingReload(RunningClock(), lambda: CHECKED)
    assert pending.receive() is None
    trial = begin(pending)
    os.waitpid(trial.child, 0)
    assert pending.receive() is trial
    assert trial.result() == CHECKED
    assert pending.receive() is None


def test_a_trial_past_its_deadline_is_killed_and_has_no_result() -> None:
    clock = RunningClock()
    pending = PendingReload(clock, hanging)
    trial = begin(pending)
    clock.now += limits.RELOAD_SECONDS - 0.01
    assert pending.receive() is None
    clock.now += 0.01
    assert pending.receive() is trial
    with pytest.raises(OSError, match="took longer than"):
        trial.result()
    assert os.waitstatus_to_exitcode(os.waitpid(trial.child, 0)[1]) == -signal.SIGKILL


def test_trials_that_cannot_be_killed_do_not_pile_up(began: list[int], caplog: pytest.LogCaptureFixture) -> None:
    clock = RunningClock()
    pending = PendingReload(clock, hanging)
    for _ in range(MOST_HANGING + 3):
        pending.ask()
        pending.begin_if_due()
    assert len(began) == MOST_HANGING
    clock.now += limits.RELOAD_SECONDS - RETRY_SECONDS
    pending.begin_if_due()
    assert not caplog.messages
    clock.now += RETRY_SECONDS
    pending.begin_if_due()
    assert caplog.messages == ["reload failed; keeping the old configuration"]
    assert pending.at == float("inf"), "it is not tried again by itself"
    pending.reaped(began[0])
    pending.ask()
    pending.begin_if_due()
    assert len(began) == MOST_HANGING + 1


def test_a_reload_waits_for_killed_trials_to_end(began: list[int]) -> None:
    clock = RunningClock()
    pending = PendingReload(clock, hanging)
    for _ in range(MOST_HANGING + 1):
        pending.ask()
        pending.begin_if_due()
    pending.reaped(began[-1])
    pending.begin_if_due()
    assert len(began) == MOST_HANGING, "not in a busy loop"
    clock.now += RETRY_SECONDS
    pending.begin_if_due()
    assert len(began) == MOST_HANGING + 1


def children_of(process: int) -> set[int]:
    """Return the child processes of a process."""
    return set(map(int, Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()))


def ports_of(process: int) -> set[str]:
    """Return the listening TCP sockets that a process has open."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()]
    listening = {f"socket:[{line[9]}]" for line in lines if line[3] == "0A"}  # TCP_LISTEN of linux/tcp_states.h
    found = set()
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.add(str(descriptor.readlink()))
    return found & listening


def test_a_trial_that_hangs_holds_no_port(start: Start, directory: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'directory = "{directory}"\nworkers = 1\nadmin = "127.0.0.1:0"\n')
    server = start(directory, "-c", str(config), is_directory_option=False)
    wait_until(lambda: len(children_of(server.process.pid)) == 2, "the worker and the admin process")
    before = children_of(server.process.pid)
    config.unlink()
    os.mkfifo(config)
    silent_writer = os.open(config, os.O_RDWR)
    try:
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: bool(children_of(server.process.pid) - before), "the trial")
        (trial,) = children_of(server.process.pid) - before
        wait_until(lambda: not ports_of(trial), "it has closed the ports")
        assert (state_of(trial), len(ports_of(server.process.pid))) == ("S", 2)
    finally:
        os.close(silent_writer)
