"""Targets run side by side, those that share a port one after another, and a stop ends all of them."""

import threading
import time
from pathlib import Path

import pytest

from conformance.classroom.pool import in_groups, judge_all
from conformance.classroom.target_run import Settings, TargetRun
from conformance.classroom.targets import Target
from conformance.config import Options


def runs(*addresses: str) -> list[TargetRun]:
    settings = Settings(Options())
    return [
        TargetRun(Target(f"t{i}", "x", address), Path("run.ndjson"), settings) for i, address in enumerate(addresses)
    ]


def test_those_with_one_port_are_a_group() -> None:
    found = in_groups(runs("", "127.0.0.1:7", "127.0.0.1:8", "localhost:7", ""))
    assert [[run.target.name for run in group] for group in found] == [["t1", "t3"], ["t0"], ["t2"], ["t4"]]


def test_groups_run_side_by_side_and_their_members_in_turn() -> None:
    together, lock, most, ports = threading.Barrier(2), threading.Lock(), [0], set[str]()

    def judge(run: TargetRun, _stop: threading.Event) -> bool:
        if not run.target.address:
            together.wait(30)  # both of them run at the same time, or this breaks
            return True
        with lock:
            assert run.target.address not in ports
            ports.add(run.target.address)
            most[0] += 1
        time.sleep(0.02)
        with lock:
            ports.discard(run.target.address)
        return True

    chosen = runs("", "", *["127.0.0.1:7"] * 3)
    done = list(judge_all(in_groups(chosen), 3, threading.Event(), judge))
    assert {run.target.name for run in done} == {run.target.name for run in chosen}
    assert most == [3]


def test_stop_ends_those_that_run_and_begins_no_others() -> None:
    stop, begun = threading.Event(), list[str]()

    def judge(run: TargetRun, stop: threading.Event) -> bool:
        begun.append(run.target.name)
        return run.target.name == "t0" or not stop.wait(30)

    judged = judge_all(in_groups(runs(*[""] * 5)), 1, stop, judge)
    assert next(judged).target.name == "t0"
    judged.close()
    assert stop.is_set()
    assert len(begun) <= 2


def test_exception_of_a_run_is_raised_when_the_others_have_ended() -> None:
    def judge(run: TargetRun, _stop: threading.Event) -> bool:
        if run.target.name == "t0":
            message = "no space"
            raise OSError(message)
        return True

    with pytest.raises(OSError, match="no space"):
        list(judge_all(in_groups(runs("", "", "")), 2, threading.Event(), judge))
