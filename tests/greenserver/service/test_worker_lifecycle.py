"""What a worker does changes its state by one table; one that does not end is ended; a fork loses no signal."""

import contextlib
import errno
import logging
import os
import signal
from collections.abc import Iterator

import pytest

from greenserver.service import worker_lifecycle
from greenserver.service.heartbeat import BEAT_SECONDS
from greenserver.service.worker_lifecycle import TRANSITIONS, Event, State, WorkerProcess, fork
from tests.greenserver.serving import run_script

STUCK_SECONDS = worker_lifecycle.STUCK_SECONDS
GRACE_SECONDS = 10.0
BEGIN = 1000.0
PID = 1234567


SIGNAL_AFTER_FORK = """
import os, select, signal
from greenserver.service.worker_lifecycle import fork

woken, wakes = os.pipe()
os.set_blocking(wakes, False)
signal.signal(signal.SIGTERM, lambda number, frame: None)
signal.set_wakeup_fd(wakes)
mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
child, pipe = fork()
if not child:
    os.kill(os.getpid(), signal.SIGTERM)
    says = b"held" if signal.SIGTERM in signal.sigpending() else b"lost"
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    os.write(pipe, says)
    os._exit(7)
says = os.fdopen(pipe).read()
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
is_same = signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
poll = select.poll()
poll.register(woken, select.POLLIN)
print(f"{says}, exit {code}, same mask: {is_same}, told the parent: {poll.poll(100)}")
"""


class Watched(WorkerProcess):
    """A worker that is no process: its signals are kept."""

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


def test_every_state_answers_to_every_event_but_the_last_to_none() -> None:
    assert set(TRANSITIONS) == {(state, event) for state in State if state is not State.ENDED for event in Event}
    assert {state for (_, event), state in TRANSITIONS.items() if event is Event.EXIT} == {State.ENDED}
    assert not [pair for pair, after in TRANSITIONS.items() if pair[0] is State.DRAINING and after is State.READY]


def test_the_first_beat_makes_it_ready_and_each_puts_off_its_end(worker: Watched) -> None:
    assert (worker.state, worker.is_serving, worker.deadline) == (State.STARTING, True, BEGIN + STUCK_SECONDS)
    assert worker.beat(BEGIN + 1)
    assert not worker.beat(BEGIN + 2)
    assert (worker.state, worker.is_serving, worker.deadline) == (State.READY, True, BEGIN + 2 + STUCK_SECONDS)
    worker.enforce(worker.deadline - 0.1)
    assert worker.signals == []


def test_it_is_told_to_drain_once_and_is_not_ready_again(worker: Watched) -> None:
    worker.drain(BEGIN)
    worker.drain(BEGIN + 1)
    assert not worker.beat(BEGIN + 2)
    assert (worker.state, worker.is_serving, worker.signals) == (State.DRAINING, False, [signal.SIGTERM])
    assert worker.deadline == BEGIN + GRACE_SECONDS + worker_lifecycle.MARGIN_SECONDS


def test_past_its_grace_it_is_killed_once(worker: Watched, caplog: pytest.LogCaptureFixture) -> None:
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


def test_a_silent_one_is_aborted_and_then_killed_whatever_it_says(
    worker: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    worker.beat(BEGIN)
    worker.enforce(BEGIN + STUCK_SECONDS)
    assert worker.signals == [signal.SIGABRT]
    worker.beat(BEGIN + STUCK_SECONDS + 0.1)
    worker.drain(BEGIN + STUCK_SECONDS + 0.2)
    assert worker.deadline == BEGIN + STUCK_SECONDS + 1
    worker.enforce(worker.deadline)
    assert worker.signals == [signal.SIGABRT, signal.SIGTERM, signal.SIGKILL]
    assert caplog.messages == ["worker timed out; aborting it", "worker did not exit in time; killing it"]


def test_one_that_drains_has_its_grace_however_long_that_is(worker: Watched) -> None:
    worker.beat(BEGIN)
    worker.drain(BEGIN + STUCK_SECONDS - 1)
    assert worker.deadline == BEGIN + STUCK_SECONDS - 1 + GRACE_SECONDS + worker_lifecycle.MARGIN_SECONDS
    worker.enforce(BEGIN + STUCK_SECONDS)
    assert worker.signals == [signal.SIGTERM]


def test_the_heartbeat_timeout_leaves_time_for_many_beats() -> None:
    assert STUCK_SECONDS > 10 * BEAT_SECONDS


def test_one_that_may_not_be_signalled_is_told_of(
    worker: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_pid: int, _number: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    worker.drain(BEGIN)
    assert worker.state is State.DRAINING
    assert [record.facts["signal"] for record in caplog.records] == ["SIGTERM"]  # type: ignore[attr-defined]


def test_the_end_of_its_beats_is_no_beat(worker: Watched) -> None:
    os.close(worker.writer)
    assert not worker.receive_beat(BEGIN + 1)
    assert (worker.state, worker.fileno()) == (State.STARTING, -1)
    assert worker.exited(0) == 0
    assert worker.state is State.ENDED
    with pytest.raises(KeyError):
        worker.drain(BEGIN)


@pytest.mark.parametrize(
    ("status", "is_killed", "code", "told"),
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
def test_how_it_has_ended_is_told_and_its_pipe_is_closed(  # noqa: PLR0913  (a row of the table)
    worker: Watched,
    caplog: pytest.LogCaptureFixture,
    *,
    status: int,
    is_killed: bool,
    code: int,
    told: tuple[str, ...],
) -> None:
    if is_killed:
        worker.kill()
    with caplog.at_level(logging.DEBUG, "greenserver"):
        assert worker.exited(status) == code
    records = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert records == [*([told] if told else []), ("DEBUG", "worker exited")]
    assert worker.fileno() == -1


def test_a_signal_right_after_the_fork_waits_and_is_not_taken_for_the_parents() -> None:
    done = run_script(SIGNAL_AFTER_FORK)
    assert done.stdout == "held, exit 7, same mask: True, told the parent: []\n", done.stderr


def test_a_fork_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise BlockingIOError

    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(os, "fork", fail)
    with pytest.raises(BlockingIOError):
        fork()
    assert os.listdir("/proc/self/fd") == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
