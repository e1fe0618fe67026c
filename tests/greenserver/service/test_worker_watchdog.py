"""A worker's state follows one table; a hanging worker is ended; a fork loses no signal."""

import contextlib
import errno
import logging
import os
import signal
from collections.abc import Iterator

import pytest

from greenserver.service import worker_watchdog
from greenserver.service.heartbeat import BEAT_SECONDS
from greenserver.service.worker_watchdog import TRANSITIONS, Event, State, WorkerProcess, fork
from tests.greenserver.serving import run_script

STUCK_SECONDS = worker_watchdog.STUCK_SECONDS
GRACE_SECONDS = 10.0
BEGIN = 1000.0
PID = 1234567


SIGNAL_AFTER_FORK = """
import os, select, signal
from greenserver.service.worker_watchdog import fork

woken, wakes = os.pipe()
os.set_blocking(wakes, False)
signal.signal(signal.SIGTERM, lambda number, frame: None)
signal.set_wakeup_fd(wakes)
mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
child, pipe = fork()
if not child:
    os.kill(os.getpid(), signal.SIGTERM)
    output = b"held" if signal.SIGTERM in signal.sigpending() else b"lost"
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    os.write(pipe, output)
    os._exit(7)
output = os.fdopen(pipe).read()
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
is_same = signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
poll = select.poll()
poll.register(woken, select.POLLIN)
print(f"{output}, exit {code}, same mask: {is_same}, signals of the parent: {poll.poll(100)}")
"""


class Watched(WorkerProcess):
    """A worker without a process, which records its signals."""

    def __init__(self) -> None:
        reader, self.writer = os.pipe()
        super().__init__(PID, reader, generation=0, grace_seconds=GRACE_SECONDS, now=BEGIN)
        self.signals: list[int] = []

    def keep(self, pid: int, number: int) -> None:
        assert pid == PID
        self.signals.append(number)

    def beat(self, now: float) -> bool:
        os.write(self.writer, b".")
        return self.receive_beat(now)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """Return a worker that has just been forked."""
    watched = Watched()
    monkeypatch.setattr(os, "kill", watched.keep)
    yield watched
    for descriptor in (watched.writer, watched.fileno()):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def test_every_state_but_the_last_handles_every_event() -> None:
    assert set(TRANSITIONS) == {(state, event) for state in State if state is not State.ENDED for event in Event}
    assert {state for (_, event), state in TRANSITIONS.items() if event is Event.EXIT} == {State.ENDED}
    assert not [pair for pair, after in TRANSITIONS.items() if pair[0] is State.DRAINING and after is State.READY]


def test_first_heartbeat_makes_it_ready_and_each_extends_the_deadline(worker: Watched) -> None:
    assert (worker.state, worker.is_serving, worker.deadline) == (State.STARTING, True, BEGIN + STUCK_SECONDS)
    assert worker.beat(BEGIN + 1)
    assert not worker.beat(BEGIN + 2)
    assert (worker.state, worker.is_serving, worker.deadline) == (State.READY, True, BEGIN + 2 + STUCK_SECONDS)
    worker.enforce(worker.deadline - 0.1)
    assert worker.signals == []


def test_drains_once_and_is_not_ready_again(worker: Watched) -> None:
    worker.drain(BEGIN)
    worker.drain(BEGIN + 1)
    assert not worker.beat(BEGIN + 2)
    assert (worker.state, worker.is_serving, worker.signals) == (State.DRAINING, False, [signal.SIGTERM])
    assert worker.deadline == BEGIN + GRACE_SECONDS + worker_watchdog.MARGIN_SECONDS


def test_is_killed_once_after_its_grace_period(worker: Watched, caplog: pytest.LogCaptureFixture) -> None:
    worker.beat(BEGIN)
    worker.drain(BEGIN)
    end = worker.deadline
    worker.enforce(end - 0.1)
    assert worker.signals == [signal.SIGTERM]
    worker.enforce(end)
    assert worker.is_killed
    worker.enforce(end + 1000)
    assert worker.signals == [signal.SIGTERM, signal.SIGKILL]
    assert worker.deadline == float("inf")
    assert caplog.messages == ["worker did not exit in time; killing it"]


def test_silent_worker_is_aborted_and_then_killed(worker: Watched, caplog: pytest.LogCaptureFixture) -> None:
    worker.beat(BEGIN)
    worker.enforce(BEGIN + STUCK_SECONDS)
    assert worker.signals == [signal.SIGABRT]
    worker.beat(BEGIN + STUCK_SECONDS + 0.1)
    worker.drain(BEGIN + STUCK_SECONDS + 0.2)
    assert worker.deadline == BEGIN + STUCK_SECONDS + 1
    worker.enforce(worker.deadline)
    assert worker.signals == [signal.SIGABRT, signal.SIGTERM, signal.SIGKILL]
    assert caplog.messages == ["worker timed out; aborting it", "worker did not exit in time; killing it"]


def test_draining_worker_has_its_whole_grace_period(worker: Watched) -> None:
    worker.beat(BEGIN)
    worker.drain(BEGIN + STUCK_SECONDS - 1)
    assert worker.deadline == BEGIN + STUCK_SECONDS - 1 + GRACE_SECONDS + worker_watchdog.MARGIN_SECONDS
    worker.enforce(BEGIN + STUCK_SECONDS)
    assert worker.signals == [signal.SIGTERM]


def test_heartbeat_timeout_covers_many_heartbeats() -> None:
    assert 10 * BEAT_SECONDS < STUCK_SECONDS <= 60, "the README promises a minute"


def test_logs_a_worker_that_cannot_be_signalled(
    worker: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_pid: int, _number: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    worker.drain(BEGIN)
    assert worker.state is State.DRAINING
    assert [record.facts["signal"] for record in caplog.records] == ["SIGTERM"]  # type: ignore[attr-defined]


def test_eof_of_the_heartbeat_pipe_is_not_a_heartbeat(worker: Watched) -> None:
    os.close(worker.writer)
    assert not worker.receive_beat(BEGIN + 1)
    assert (worker.state, worker.fileno()) == (State.STARTING, -1)
    assert worker.exited(0) == 0
    assert worker.state is State.ENDED
    with pytest.raises(KeyError):
        worker.drain(BEGIN)


@pytest.mark.parametrize(
    ("status", "is_killed", "code", "logged"),
    [
        (0, False, 0, ()),
        (1 << 8, False, 1, ("ERROR", "worker exited with an error")),
        (signal.SIGKILL, False, -9, ("ERROR", "worker killed, perhaps out of memory")),
        (signal.SIGKILL, True, -9, ("DEBUG", "worker ended by a signal")),
        (signal.SIGTERM, False, -15, ("DEBUG", "worker ended by a signal")),
        (signal.SIGABRT, False, -6, ("WARNING", "worker ended by a signal")),
        (signal.SIGRTMIN + 1, False, -35, ("WARNING", "worker ended by a signal")),
    ],
)
def test_logs_the_exit_and_closes_the_pipe(  # noqa: PLR0913  (a row of the table)
    worker: Watched,
    caplog: pytest.LogCaptureFixture,
    *,
    status: int,
    is_killed: bool,
    code: int,
    logged: tuple[str, ...],
) -> None:
    if is_killed:
        worker.kill()
    with caplog.at_level(logging.DEBUG, "greenserver"):
        assert worker.exited(status) == code
    records = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert records == [*([logged] if logged else []), ("DEBUG", "worker exited")]
    assert worker.fileno() == -1


def test_signal_right_after_the_fork_is_delivered_to_the_child() -> None:
    done = run_script(SIGNAL_AFTER_FORK)
    assert done.stdout == "held, exit 7, same mask: True, signals of the parent: []\n", done.stderr


def test_failed_fork_leaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise BlockingIOError

    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(os, "fork", fail)
    with pytest.raises(BlockingIOError):
        fork()
    assert os.listdir("/proc/self/fd") == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
