"""The run delay of threads, from a /proc that the tests write."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from conformance.target import run_delay
from conformance.target.run_delay import RunDelay

pytestmark = pytest.mark.once

MILLISECOND = 1_000_000
PULSE_SECONDS = 0.02


class Machine:
    """Looks at threads whose figures the test says, one pulse after the other."""

    def __init__(self, proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._proc = proc
        self._now = 0.0
        self._seen: list[str] = []
        monkeypatch.setattr(run_delay, "monotonic", lambda: self._now)
        monkeypatch.setattr("os.cpu_count", lambda: 2)
        self._delay = RunDelay(lambda: sorted({int(thread.split("/")[0]) for thread in self._seen}), str(proc))

    def look(self, threads: Mapping[str, tuple[int, int, str]]) -> float:
        """Return the delay in milliseconds, if PROCESS/THREAD has used and waited for so many ms, in such a state."""
        for thread in self._seen:
            process, number = thread.split("/")
            directory = self._proc / process / "task" / number
            for name in ("schedstat", "stat"):
                (directory / name).unlink(missing_ok=True)
            directory.rmdir()
        self._seen = list(threads)
        for thread, (used, delayed, state) in threads.items():
            process, number = thread.split("/")
            directory = self._proc / process / "task" / number
            directory.mkdir(parents=True)
            (directory / "schedstat").write_text(f"{used * MILLISECOND} {delayed * MILLISECOND} 7\n")
            (directory / "stat").write_text(f"{number} (a name) R) {state} 1 2 3\n")
        self._now += PULSE_SECONDS
        return round(self._delay.look() * 1000, 3)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_first_look_is_the_baseline(machine: Machine) -> None:
    assert machine.look({"1/1": (10, 5000, "S")}) == 0
    assert machine.look({"1/1": (10, 5000, "S")}) == 0
    assert machine.look({"1/1": (11, 5012, "S")}) == 12


def test_counts_new_and_ended_threads(machine: Machine) -> None:
    machine.look({"1/1": (10, 50, "S")})
    assert machine.look({"1/1": (10, 51, "S"), "1/2": (1, 4, "S"), "3/3": (0, 6, "S")}) == 11
    assert machine.look({"1/1": (10, 51, "S"), "3/3": (0, 9, "S")}) == 3  # what the ended one had counts already
    assert machine.look({"1/1": (10, 51, "S"), "1/2": (0, 2, "S")}) == 2  # another thread, with the id of an ended one
    assert machine.look({}) == 0


def test_detects_a_reused_thread_id(machine: Machine) -> None:
    machine.look({"1/1": (10, 50, "S"), "1/2": (10, 90, "S")})
    assert machine.look({"1/1": (10, 50, "S"), "1/2": (1, 5, "S")}) == 5


def test_counts_the_delay_of_a_thread_that_still_waits(machine: Machine) -> None:
    machine.look({"1/1": (10, 50, "S")})
    assert machine.look({"1/1": (10, 50, "R")}) == 0  # it may have been woken just now
    assert [machine.look({"1/1": (10, 50, "R")}) for _ in range(3)] == [20, 20, 20]
    assert machine.look({"1/1": (10, 150, "S")}) == 40  # of 100 ms, 60 are counted
    assert machine.look({"1/1": (10, 150, "S")}) == 0


def test_running_and_sleeping_threads_are_not_delayed(machine: Machine) -> None:
    machine.look({"1/1": (10, 50, "R"), "1/2": (10, 50, "S")})
    assert machine.look({"1/1": (30, 50, "R"), "1/2": (10, 50, "S")}) == 0
    assert machine.look({"1/1": (50, 50, "R"), "1/2": (10, 50, "D")}) == 0


def test_ignores_what_threads_take_from_each_other(machine: Machine) -> None:
    machine.look({f"1/{number}": (0, 0, "R") for number in range(4)})
    assert machine.look({f"1/{number}": (9, 11, "R") for number in range(4)}) == 4  # of two processors, for 20 ms


def test_is_zero_where_it_is_unknown(machine: Machine, tmp_path: Path) -> None:
    machine.look({})
    assert RunDelay(lambda: [4_000_000], str(tmp_path)).look() == 0
