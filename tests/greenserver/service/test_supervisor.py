"""The supervisor replaces workers that crash, hang or fail to start; reloads leave no gap, and stops are orderly."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.cycles.__main__ import state_of
from tests.greenserver.conftest import Start
from tests.greenserver.service.supervised import LARGE_BYTES, Supervised, closing
from tests.greenserver.service.test_workers import wait_for_workers
from tests.greenserver.serving import TIMEOUT_SECONDS, environment_without_coverage, run_script, wait_until

pytestmark = [pytest.mark.once, pytest.mark.measured]

Supervise = Callable[..., Supervised]

SOON = "supervisor.FIRST_PAUSE_SECONDS=0.1", "supervisor.LONGEST_PAUSE_SECONDS=0.2"
LATE = "supervisor.FIRST_PAUSE_SECONDS=300", "supervisor.LONGEST_PAUSE_SECONDS=300"
QUICK_MARGIN = "supervisor.MARGIN_SECONDS=0.3", "worker_watchdog.MARGIN_SECONDS=0.3"
QUICK_TRIAL = ("limits.RELOAD_SECONDS=1",)
STUCK_SOON = ("worker_watchdog.STUCK_SECONDS=1",)


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Supervise]:
    """Return what starts a supervisor with workers of a behaviour, and ends it after the test."""
    with contextlib.ExitStack() as stack:

        def start(behaviour: str, *times: str, count: int = 2, **more: dict[str, str]) -> Supervised:
            supervised = Supervised(tmp_path / "supervised", behaviour, *times, count=count, **more)
            return stack.enter_context(closing(supervised))

        yield start


def busy_share(supervised: Supervised, seconds: float = 1.0) -> float:
    """Return which part of some seconds the supervisor computes; one that is in a busy loop does nothing else."""
    before = supervised.cpu_seconds()
    time.sleep(seconds)
    return (supervised.cpu_seconds() - before) / seconds


# --- Their number --------------------------------------------------------------------------------


def test_starts_the_requested_number_of_workers(supervise: Supervise) -> None:
    supervised = supervise("serve", count=3)
    ready = supervised.wait_for("ready", 3)
    assert sorted(ready) == sorted(supervised.children())
    assert busy_share(supervised) < 0.3
    assert sorted(ready) == sorted(supervised.children())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_replaces_a_ready_worker_that_exits_at_once(supervise: Supervise, number: int) -> None:
    supervised = supervise("serve", *LATE)
    for replaced in range(3):
        victim = supervised.wait_for("ready", 2 + replaced)[replaced]
        os.kill(victim, number)
    ready = supervised.wait_for("ready", 5)
    wait_until(lambda: sorted(supervised.children()) == sorted(ready[3:]), "two are left, and no zombie")


def test_logs_how_a_worker_exited(supervise: Supervise) -> None:
    supervised = supervise("serve", count=1)
    for turn, (number, message) in enumerate(
        (
            (signal.SIGKILL, "ERROR   worker killed, perhaps out of memory process={} signal=SIGKILL"),
            (signal.SIGSEGV, "WARNING worker ended by a signal process={} signal=SIGSEGV"),
        )
    ):
        worker = supervised.wait_for("ready", turn + 1)[turn]
        os.kill(worker, number)
        supervised.wait_for_log(message.format(worker))


def test_sigttin_adds_and_sigttou_removes_workers_down_to_one(supervise: Supervise) -> None:
    supervised = supervise("serve")
    supervised.wait_for("ready", 2)
    supervised.send(signal.SIGTTIN)
    supervised.wait_for("ready", 3)
    oldest, _, latest = supervised.children()
    supervised.send(signal.SIGTTOU)
    assert supervised.wait_for("term", 1) == [oldest]
    for _ in range(3):
        supervised.send(signal.SIGTTOU)
        time.sleep(0.1)
    wait_until(lambda: len(supervised.children()) == 1, "one stays")
    for ignored in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH):
        supervised.send(ignored)
        supervised.wait_for_log(f"signal received signal={signal.Signals(ignored).name}")
    assert supervised.children() == [latest]
    assert supervised.end() == 0


def test_sigttou_removes_a_starting_worker_first(supervise: Supervise) -> None:
    supervised = supervise("serve")
    ready = supervised.wait_for("ready", 2)
    supervised.workers_behave("silent")
    supervised.send(signal.SIGTTIN)
    silent = supervised.wait_for("start", 3)[-1]
    supervised.send(signal.SIGTTOU)
    assert supervised.wait_for("term", 1) == [silent]
    wait_until(lambda: sorted(supervised.children()) == sorted(ready), "those that serve stay")


# --- Starts in vain ------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", ["exit 1", "exit 7", f"signal {signal.SIGSEGV}"])
def test_failed_starts_are_retried_with_backoff(supervise: Supervise, behaviour: str) -> None:
    supervised = supervise(behaviour, *SOON)
    supervised.wait_for("start", 2 * 10)
    assert busy_share(supervised) < 0.5
    moments = [entry.moment for entry in supervised.journal("start")][::2]
    pauses = [later - sooner for sooner, later in pairwise(moments)]
    assert all(pause > least for pause, least in zip(pauses, [0.1, *[0.2] * 8], strict=False)), pauses
    assert moments[9] - moments[0] < TIMEOUT_SECONDS, "without a bound: 51 seconds"


def test_successful_start_resets_the_backoff(supervise: Supervise) -> None:
    supervised = supervise(
        "exit 1", "supervisor.FIRST_PAUSE_SECONDS=0.02", "supervisor.LONGEST_PAUSE_SECONDS=300", count=1
    )
    supervised.wait_for("start", 6)
    supervised.workers_behave("serve")
    (ready,) = supervised.wait_for("ready", 1)
    supervised.workers_behave("exit 1")
    os.kill(ready, signal.SIGKILL)
    supervised.wait_for("start", 9)
    first, second = supervised.journal("start")[7:9]
    assert second.moment - first.moment < 1.2, "not twice as long as the last one"


def test_simultaneous_failures_count_once(supervise: Supervise) -> None:
    supervised = supervise("exit 1", "supervisor.FIRST_PAUSE_SECONDS=0.5", count=6)
    supervised.wait_for("start", 12)
    moments = [entry.moment for entry in supervised.journal("start")]
    assert 0.5 < moments[6] - moments[0] < 5


def test_reload_ends_the_backoff(supervise: Supervise) -> None:
    supervised = supervise("exit 1", *LATE)
    supervised.wait_for_log(" code=1", 2)
    assert busy_share(supervised) < 0.3
    assert len(supervised.journal("start")) == 2
    supervised.workers_behave("serve")
    supervised.send(signal.SIGHUP)
    supervised.wait_for("ready", 2)


def test_worker_drained_before_it_is_ready_has_not_failed(supervise: Supervise) -> None:
    supervised = supervise("silent", *LATE)
    first = supervised.wait_for("start", 2)[0]
    supervised.workers_behave("serve")
    os.kill(first, signal.SIGTERM)
    supervised.wait_for("ready", 1)


def test_failing_exit_status_counts_even_after_ready(supervise: Supervise) -> None:
    supervised = supervise("last 1", *LATE, count=1)
    supervised.wait_for_log(" code=1")
    time.sleep(0.5)
    assert len(supervised.journal("start")) == 1


def test_exits_if_the_first_start_fails(supervise: Supervise) -> None:
    supervised = supervise("exit 3", *LATE)
    assert supervised.process.wait(TIMEOUT_SECONDS) == 3
    assert "ERROR   worker failed to boot" in supervised.log()
    assert "ERROR   supervisor exiting" in supervised.log()


def test_retries_if_a_later_start_fails(supervise: Supervise) -> None:
    supervised = supervise("serve", *SOON)
    ready = supervised.wait_for("ready", 2)
    supervised.workers_behave("exit 3")
    os.kill(ready[0], signal.SIGKILL)
    supervised.wait_for_log(" code=3", 3)
    supervised.workers_behave("serve")
    supervised.wait_for("ready", 3)
    assert supervised.end() == 0


def test_retries_a_failed_fork(supervise: Supervise) -> None:
    supervised = supervise("serve", *SOON, count=1)
    ready = supervised.wait_for("ready", 1)
    supervised.fail("fork")
    os.kill(ready[0], signal.SIGKILL)
    supervised.wait_for_log("worker failed to start reason=", 3)
    before = len(os.listdir(f"/proc/{supervised.process.pid}/fd"))
    supervised.send(signal.SIGHUP)
    supervised.wait_for_log("reload failed to start; retrying reason=", 2)
    supervised.wait_for_log("worker failed to start reason=", 6)
    wait_until(lambda: len(os.listdir(f"/proc/{supervised.process.pid}/fd")) <= before, "no descriptor is left over")
    supervised.fail("fork", fails=False)
    supervised.wait_for_log("configuration reloaded")
    wait_until(lambda: supervised.children() == supervised.wait_for("ready", 1)[-1:], "it is replaced")


# --- Reloads -------------------------------------------------------------------------------------


def test_old_workers_drain_only_once_new_ones_are_ready(supervise: Supervise) -> None:
    supervised = supervise("serve", count=3)
    old = supervised.wait_for("ready", 3)
    supervised.workers_behave("slow 0.3")
    supervised.send(signal.SIGHUP)
    wait_until(lambda: not set(old) & set(supervised.children()), "the old ones go")
    assert len(supervised.children()) == 3
    serving = 0
    for number, entry in enumerate(supervised.journal()):
        serving += {"serves": 1, "term": -1}.get(entry.event, 0)
        assert serving >= 3 or number < 9, supervised.journal()
    assert len(supervised.journal("start")) == 6
    assert sorted(supervised.wait_for("term", 3)) == sorted(old)


def test_old_workers_serve_while_new_ones_fail(supervise: Supervise) -> None:
    supervised = supervise("serve", *SOON)
    old = supervised.wait_for("ready", 2)
    supervised.workers_behave("exit 1")
    supervised.send(signal.SIGHUP)
    supervised.wait_for_log(" code=1", 6)
    assert sorted(supervised.children()[:2]) == sorted(old)
    assert not supervised.journal("term")
    supervised.workers_behave("serve")
    wait_until(lambda: not set(old) & set(supervised.children()), "they go")
    assert len(supervised.wait_for("ready", 4)) == 4


def test_reload_during_a_reload_keeps_serving_workers(supervise: Supervise) -> None:
    supervised = supervise("serve")
    serving = supervised.wait_for("ready", 2)
    supervised.workers_behave("silent")
    supervised.send(signal.SIGHUP)
    silent = supervised.wait_for("start", 4)[2:]
    supervised.send(signal.SIGHUP)
    latest = supervised.wait_for("start", 6)[4:]
    assert sorted(supervised.wait_for("term", 2)) == sorted(silent)
    wait_until(lambda: sorted(supervised.children()) == sorted([*serving, *latest]), "those that serve stay")


def test_rejects_a_configuration_that_takes_too_long_to_read(supervise: Supervise) -> None:
    supervised = supervise("serve", *QUICK_TRIAL)
    ready = supervised.wait_for("ready", 2)
    supervised.configuration_hangs()
    supervised.send(signal.SIGHUP)
    wait_until(lambda: len(supervised.children()) == 3, "it is read")
    supervised.send(signal.SIGTTIN)
    supervised.wait_for("ready", 3)
    supervised.wait_for_log(
        'reload failed; keeping the old configuration reason="checking the configuration took longer than 1 s'
    )
    wait_until(lambda: len(supervised.children()) == 3, "what read it is gone")
    assert set(ready) < set(supervised.children())
    assert not supervised.journal("term")


def test_rereads_a_configuration_that_changes_while_it_is_read(supervise: Supervise) -> None:
    supervised = supervise("serve", count=1)
    supervised.wait_for("ready", 1)
    supervised.configuration_hangs()
    supervised.send(signal.SIGHUP)
    wait_until(lambda: len(supervised.children()) == 2, "it is read")
    supervised.workers_count(3)
    supervised.send(signal.SIGHUP)
    supervised.wait_for_log("configuration reloaded")
    wait_until(lambda: len(supervised.children()) == 3, "one reload")
    assert "reload failed" not in supervised.log()


def test_killed_check_keeps_the_old_configuration(supervise: Supervise) -> None:
    supervised = supervise("serve", count=1)
    supervised.wait_for("ready", 1)
    supervised.configuration_hangs()
    supervised.send(signal.SIGHUP)
    wait_until(lambda: len(supervised.children()) == 2, "it is read")
    os.kill(supervised.children()[-1], signal.SIGKILL)
    supervised.wait_for_log('reason="the process that checked the configuration was killed"')
    assert len(supervised.journal("start")) == 1


def test_stop_does_not_wait_for_a_configuration(supervise: Supervise) -> None:
    supervised = supervise("serve", count=1)
    supervised.wait_for("ready", 1)
    supervised.configuration_hangs()
    supervised.send(signal.SIGHUP)
    wait_until(lambda: len(supervised.children()) == 2, "it is read")
    reading = supervised.children()[-1]
    assert supervised.end() == 0
    assert state_of(reading) == "X"


def test_reload_starts_the_configured_number_of_workers(supervise: Supervise) -> None:
    supervised = supervise("serve")
    supervised.wait_for("ready", 2)
    for count in (4, 1):
        supervised.workers_count(count)
        before = len(supervised.journal("ready"))
        supervised.send(signal.SIGHUP)
        ready = supervised.wait_for("ready", before + count)[before:]
        wait_until(lambda ready=ready: sorted(supervised.children()) == sorted(ready), "so many")  # type: ignore[misc]


# --- Those that do not do as they should ---------------------------------------------------------


def test_aborts_and_replaces_a_hanging_worker(supervise: Supervise) -> None:
    supervised = supervise("hang", *STUCK_SOON, count=1)
    (hung,) = supervised.wait_for("ready", 1)
    supervised.workers_behave("serve")
    (_, new) = supervised.wait_for("ready", 2)
    log = supervised.log()
    aborted, ended = f"ERROR   worker timed out; aborting it process={hung}", f"process={hung} signal=SIGABRT"
    assert log.index(aborted) < log.index(ended)
    time.sleep(2)
    assert supervised.children() == [new], "one that beats stays"
    assert supervised.log().count("worker timed out") == 1


def test_replaces_only_the_worker_whose_loop_hangs(supervise: Supervise, engine: str) -> None:
    supervised = supervise(f"real {engine}", "worker_watchdog.STUCK_SECONDS=2.5", count=1)
    with supervised.connect() as client:
        client.send(b"get_slice large 0 %d raw\r\n" % LARGE_BYTES)
        until = time.monotonic() + 4
        while time.monotonic() < until:
            assert client.skip(1 << 24)
    (serving,) = supervised.children()
    assert "worker timed out" not in supervised.log()
    supervised.fail("hang")
    with supervised.connect():
        supervised.wait_for_log(f"worker timed out; aborting it process={serving}")
    supervised.fail("hang", fails=False)
    with supervised.connect() as client:
        client.send(b"get_metadata count\r\n")
        assert client.exactly(9) == b"0 OK\r\n1\r\n"
    assert serving not in supervised.children()


def test_aborts_a_worker_that_never_starts_and_backs_off(supervise: Supervise) -> None:
    supervised = supervise("silent", *STUCK_SOON, *LATE, count=1)
    supervised.wait_for_log("signal=SIGABRT")
    time.sleep(0.3)
    assert len(supervised.journal("start")) == 1


def test_kills_and_replaces_a_worker_that_ignores_sigabrt(supervise: Supervise) -> None:
    supervised = supervise("serve", *STUCK_SOON, count=1)
    (stopped,) = supervised.wait_for("ready", 1)
    os.kill(stopped, signal.SIGSTOP)
    supervised.wait_for("ready", 2)
    assert f"worker did not exit in time; killing it process={stopped}" in supervised.log()
    assert state_of(stopped) == "X"


def test_keeps_workers_that_were_stopped_with_the_supervisor(supervise: Supervise) -> None:
    supervised = supervise("serve", "worker_watchdog.STUCK_SECONDS=2", count=4)
    ready = supervised.wait_for("ready", 4)
    for _ in range(2):
        os.killpg(supervised.process.pid, signal.SIGSTOP)
        time.sleep(2.5)
        supervised.send(signal.SIGCONT)
        time.sleep(0.2)  # the supervisor is the first to look
        os.killpg(supervised.process.pid, signal.SIGCONT)
        time.sleep(0.1)
    time.sleep(0.5)
    assert sorted(supervised.children()) == sorted(ready)
    assert "worker timed out" not in supervised.log()


def test_kills_a_draining_worker_after_its_grace_period(supervise: Supervise) -> None:
    supervised = supervise("deaf", *QUICK_MARGIN)
    old = supervised.wait_for("ready", 2)
    supervised.workers_behave("serve")
    supervised.send(signal.SIGHUP)
    for each in old:
        supervised.wait_for_log(f"ERROR   worker did not exit in time; killing it process={each}")
    wait_until(lambda: not set(old) & set(supervised.children()), "they are gone")
    assert len(supervised.journal("term")) == 2
    assert supervised.log().count("worker did not exit in time; killing it") == 2
    assert "out of memory" not in supervised.log()
    assert supervised.end() == 0


def test_reaps_orphans_of_a_container(supervise: Supervise) -> None:
    supervised = supervise("parent 1", count=1)
    worker = supervised.wait_for("ready", 1)[0]
    (orphan,) = supervised.wait_for("orphan", 1)
    supervised.workers_behave("serve")
    os.kill(worker, signal.SIGKILL)
    new = supervised.wait_for("ready", 2)[1]
    wait_until(lambda: supervised.children() == [orphan, new], "the orphan is its child")
    wait_until(lambda: supervised.children() == [new], "the orphan is reaped")


# --- The end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_drains_each_worker_once_and_rejects_new_clients(supervise: Supervise, number: int) -> None:
    supervised = supervise("serve", count=3)
    ready = supervised.wait_for("ready", 3)
    assert supervised.end(number) == 0
    assert sorted(supervised.wait_for("term", 3)) == sorted(ready)
    assert len(supervised.journal("term")) == 3
    assert len(supervised.journal("start")) == 3
    assert all(state_of(each) == "X" for each in ready)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", supervised.port))
    assert "ERROR" not in supervised.log()


def test_stop_kills_draining_workers_after_their_grace_period(supervise: Supervise) -> None:
    supervised = supervise("deaf", *QUICK_MARGIN)
    ready = supervised.wait_for("ready", 2)
    assert supervised.end() == 0
    assert supervised.log().count("worker did not exit in time; killing it") == 2
    assert len(supervised.journal("term")) == 2
    assert all(state_of(each) == "X" for each in ready)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_second_sigterm_ends_the_supervisor_at_once(supervise: Supervise, number: int) -> None:
    supervised = supervise("deaf", "worker_watchdog.MARGIN_SECONDS=300")
    ready = supervised.wait_for("ready", 2)
    supervised.send(signal.SIGTERM)
    supervised.wait_for("term", 2)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", supervised.port), TIMEOUT_SECONDS)
    assert busy_share(supervised) < 0.3
    assert supervised.process.poll() is None
    assert supervised.end(number) == -number
    assert all(state_of(each) == "X" for each in ready)


def test_sigquit_ends_all_processes_at_once(supervise: Supervise) -> None:
    supervised = supervise("deaf", "worker_watchdog.MARGIN_SECONDS=300")
    ready = supervised.wait_for("ready", 2)
    with socket.create_connection(("127.0.0.1", supervised.port), TIMEOUT_SECONDS) as client:  # nobody accepts it
        assert supervised.end(signal.SIGQUIT) == 0
        with pytest.raises(ConnectionResetError):  # to part with it otherwise takes time
            client.recv(1)
    assert not supervised.journal("term")
    assert all(state_of(each) == "X" for each in ready)
    assert "out of memory" not in supervised.log()


def test_unaccepted_clients_get_eof(supervise: Supervise) -> None:
    supervised = supervise("serve")
    supervised.wait_for("ready", 2)
    with socket.create_connection(("127.0.0.1", supervised.port), TIMEOUT_SECONDS) as client:
        supervised.send(signal.SIGTERM)
        assert client.recv(1) == b""
    assert supervised.process.wait(TIMEOUT_SECONDS) == 0


def test_workers_survive_an_exception_in_the_supervisor(supervise: Supervise) -> None:
    supervised = supervise("serve", *SOON)
    ready = supervised.wait_for("ready", 2)
    supervised.fail("add")
    supervised.send(signal.SIGTTIN)
    supervised.wait_for_log("supervisor failed; retrying")
    assert "Resource temporarily unavailable" in supervised.log()
    assert sorted(supervised.children()) == sorted(ready)
    supervised.fail("add", fails=False)
    supervised.send(signal.SIGTTIN)
    supervised.wait_for("ready", 3)
    assert supervised.end() == 0
    assert len(supervised.journal("term")) == 3


def test_failing_supervisor_neither_spins_nor_ends_workers(supervise: Supervise) -> None:
    supervised = supervise("serve", *SOON)
    ready = supervised.wait_for("ready", 2)
    supervised.fail("balance")
    supervised.wait_for_log("supervisor failed; retrying", 3)
    assert busy_share(supervised) < 0.5
    assert sorted(supervised.children()) == sorted(ready)
    supervised.fail("balance", fails=False)
    assert supervised.end() == 0


def test_notifies_systemd_of_start_and_stop(supervise: Supervise, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.settimeout(TIMEOUT_SECONDS)
        ear.bind(str(tmp_path / "ear"))
        supervised = supervise("serve", environment={"NOTIFY_SOCKET": str(tmp_path / "ear")})
        assert ear.recv(100) == b"READY=1"
        supervised.wait_for("ready", 2)
        assert supervised.end() == 0
        assert ear.recv(100) == b"STOPPING=1"


def test_sleeps_until_the_next_deadline() -> None:
    script = (
        "import time; from greenserver.config.settings import Settings; from greenserver.service import supervisor; "
        "watching = supervisor.Supervisor(Settings(), Settings, None, None, is_own=False); watching.catch_signals(); "
        "watching._wait(-2); began = time.monotonic(); watching._wait(watching._clock.now + 0.5); "
        "print(time.monotonic() - began >= 0.5)"
    )
    assert run_script(script).stdout == "True\n"


# --- What it holds -------------------------------------------------------------------------------


def test_imports_nothing_that_workers_must_find_unpatched() -> None:
    unwanted = "{'ssl', 'gevent', 'greenserver.server'}"
    script = f"import sys, greenserver.service.workers; print({unwanted} & set(sys.modules))"
    done = run_script(script, environment=environment_without_coverage())
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_only_workers_load_gevent_and_inherit_no_other_pipe(start: Start, directory: Path) -> None:
    server = start(directory, "--workers", "2", prepare=os.setsid)
    old = wait_for_workers(server, 2)
    server.process.send_signal(signal.SIGHUP)
    workers = wait_for_workers(server, 2, other_than=old)

    def pipes(pid: int) -> set[str]:
        held = set()
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                held.add(str(Path(f"/proc/{pid}/fd/{descriptor}").readlink()))
        return {each for each in held if each.startswith("pipe:")}

    assert "gevent" not in Path(f"/proc/{server.process.pid}/maps").read_text(encoding="utf-8")
    for worker in workers:
        assert "gevent" in Path(f"/proc/{worker}/maps").read_text(encoding="utf-8")
        assert len(pipes(worker) & pipes(server.process.pid)) == 1, "the one that its beats go through"
    first, second = workers
    assert not pipes(first) & pipes(second)
