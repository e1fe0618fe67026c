"""Where jobs run: on this machine by default, or on a cluster; both have one interface."""

import contextlib
import os
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from conformance.failures import UsageError
from conformance.language import Message

LOCAL: Final = "local"
DASK: Final = "dask://"
Item = TypeVar("Item")
Result = TypeVar("Result")


class PoolError(UsageError):
    """The jobs cannot run there; the message is one line."""


class LostError(Exception):
    """A job has ended each process that ran it; the message is one line."""


class Pool(Protocol):
    """Runs jobs. A job is a function and its item; what a cluster gets has to be importable, or picklable, there."""

    @property
    def is_here(self) -> bool:
        """Whether all jobs run on this machine, as this user."""

    @property
    def about(self) -> Message:
        """Where the jobs run, and how many at a time, for display."""

    def everywhere(self, function: Callable[..., Result], *arguments: object) -> Mapping[str, Result]:
        """Return what a function returns on each machine, by the name of the worker; raise PoolError."""

    def run(
        self,
        function: Callable[[Item, threading.Event], Result],
        chains: Sequence[Sequence[Item]],
        stop: threading.Event,
    ) -> Generator[tuple[Item, Result | LostError], None, None]:
        """Run a function with each item, and yield what it returns, as soon as it does.

        The items of a chain run one after another. The function gets an event besides: it returns early if that is set,
        as it is when `stop` is, when the generator is closed, or when an item raises an exception. This is then raised
        when all that are running have ended. Raises PoolError if the cluster is gone.
        """


@contextlib.contextmanager
def open_pool(where: str, jobs: int, owner: str = "") -> Iterator[Pool]:
    """Open the pool that `--on` names; raise PoolError.

    `jobs` is how many run on this machine at a time; 0 is one for each processor. What an earlier pool of the same
    owner has left running on a cluster is ended first.
    """
    if where == LOCAL:
        from conformance.classroom.local_pool import LocalPool  # noqa: PLC0415  (one of the two)

        yield LocalPool(jobs or len(os.sched_getaffinity(0)))
        return
    if not where.startswith(DASK):
        message = Message("--on {where}: it is {local}, or {dask}HOST:PORT", where=where, local=LOCAL, dask=DASK)
        raise PoolError(message)
    if jobs:
        message = Message("-j is for this machine: a cluster runs as many jobs as its workers have threads")
        raise PoolError(message)
    from conformance.classroom.dask_pool import DaskPool  # noqa: PLC0415  (one of the two)

    with DaskPool(where.removeprefix(DASK), owner) as pool:
        yield pool


def alone(items: Sequence[Item]) -> list[list[Item]]:
    """Return items as chains of one: all may run at the same time."""
    return [[item] for item in items]
