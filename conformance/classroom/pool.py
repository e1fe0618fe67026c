"""Run the targets of a class side by side; those that share a wired-in port, one after another."""

import threading
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from queue import SimpleQueue

from conformance.classroom.target_run import TargetRun

Judge = Callable[[TargetRun, threading.Event], bool]
"""Judges a target; returns False if it was stopped. What runs on another engine is another such function."""


def in_groups(runs: Iterable[TargetRun]) -> list[list[TargetRun]]:
    """Return the runs in groups whose members cannot run at the same time; the longest group first."""
    groups: dict[object, list[TargetRun]] = defaultdict(list)
    for run in runs:
        groups[run.target.wired_port or id(run)].append(run)
    return sorted(groups.values(), key=len, reverse=True)


def judge_all(
    groups: Sequence[Sequence[TargetRun]],
    jobs: int,
    stop: threading.Event,
    judge: Judge = TargetRun.judge,
) -> Generator[TargetRun, None, None]:
    """Judge so many targets at a time, and yield each that is done; end early if `stop` is set.

    An exception of one run is raised when all that are running have ended.
    """
    done: SimpleQueue[TargetRun] = SimpleQueue()

    def judge_group(group: Sequence[TargetRun]) -> None:
        for run in group:
            if stop.is_set():
                return
            if judge(run, stop):
                done.put(run)

    with ThreadPoolExecutor(jobs, thread_name_prefix="target") as pool:
        running: set[Future[None]] = {pool.submit(judge_group, group) for group in groups}
        try:
            while running:
                over, running = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                while not done.empty():
                    yield done.get()
                for future in over:
                    future.result()
        except BaseException:
            stop.set()
            raise
    while not done.empty():
        yield done.get()
