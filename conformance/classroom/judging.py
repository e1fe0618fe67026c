"""Judge the targets of a class where jobs run; those that would meet at a wired-in port or directory, in turn."""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path

from conformance.classroom.machine import RemoteJudge, needed_by, shared
from conformance.classroom.pool import LostError, Pool
from conformance.classroom.target_run import TargetRun
from conformance.language import Message, gettext
from conformance.target.sandbox.sandbox import OFF

Judge = Callable[[TargetRun, threading.Event], bool]
"""Judges a target; returns False if it was stopped."""


def in_chains(runs: Iterable[TargetRun]) -> list[list[TargetRun]]:
    """Return the runs in chains, of which one member after another runs; the longest chain first.

    Those are in one chain that would meet at a port or in a directory.
    """
    chains: list[tuple[set[object], list[TargetRun]]] = []
    for run in runs:
        keys, members = _places(run), [run]
        for chain in [chain for chain in chains if keys & chain[0]]:
            chains.remove(chain)
            keys, members = keys | chain[0], [*chain[1], *members]
        chains.append((keys, members))
    return sorted((members for _, members in chains), key=len, reverse=True)


def _places(run: TargetRun) -> set[object]:
    """Return the ports and directories of this machine that only one run at a time can have."""
    target = run.target
    port = 0 if run.settings.gives_network(target) else target.wired_port
    return {place for place in (port, target.wired_directory) if place}


def in_turn(runs: Sequence[TargetRun], reason: str) -> Iterator[str]:
    """Yield what several servers have wired in, and how they run therefore, in lines; `reason`: why in turn."""
    ports = Counter((run.target.wired_port, run.settings.gives_network(run.target)) for run in runs)
    for (port, has_own), count in ports.items():
        if not port or count < 2:  # noqa: PLR2004  (several)
            continue
        if has_own:
            yield gettext("{count} servers use port {port}: each in a network of its own", count=count, port=port)
        else:
            why = reason or Message("their address is not 127.0.0.1 or ::1")
            yield gettext(
                "{count} servers use port {port}: one after another ({reason})", count=count, port=port, reason=why
            )
    for directory, count in Counter(run.target.wired_directory for run in runs).items():
        if directory and count > 1:
            yield gettext("{count} servers use {directory}: one after another", count=count, directory=directory)


def judge_all(pool: Pool, folder: Path, runs: Sequence[TargetRun]) -> Generator[TargetRun, None, None]:
    """Judge targets, and yield each that is done; close the generator to stop. Raises PoolError and OSError."""
    with contextlib.ExitStack() as stack:
        judge: Judge = TargetRun.judge
        if not pool.is_here and runs:
            place = stack.enter_context(shared(folder))
            place.check(pool, sorted({path for run in runs for path in needed_by(run)}))
            judge = RemoteJudge(place, needs_sandbox=runs[0].settings.options.sandbox != OFF)
        judged = stack.enter_context(contextlib.closing(pool.run(judge, in_chains(runs), threading.Event())))
        for run, result in judged:
            run.end()
            if isinstance(result, LostError):
                run.give_up(str(result))
                yield run
            elif result:
                yield run
