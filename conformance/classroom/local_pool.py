"""Run jobs on this machine, so many at a time, in threads."""

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from typing import Final

from conformance.classroom.pool import Item, LostError, Result
from conformance.language import Message

_LOOK_SECONDS: Final = 0.2


class LocalPool:
    """Some threads of this process."""

    is_here: Final = True

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    @property
    def about(self) -> Message:
        """How many jobs run at a time."""
        return Message("{jobs} at a time", jobs=self._jobs)

    def everywhere(self, function: Callable[..., Result], *arguments: object) -> Mapping[str, Result]:
        """Return what a function returns here."""
        return {"": function(*arguments)}

    def run(
        self,
        function: Callable[[Item, threading.Event], Result],
        chains: Sequence[Sequence[Item]],
        stop: threading.Event,
    ) -> Generator[tuple[Item, Result | LostError], None, None]:
        """Run a function with each item; see `Pool`."""
        done: SimpleQueue[tuple[Item, Result | LostError]] = SimpleQueue()

        def run_chain(chain: Sequence[Item]) -> None:
            for item in chain:
                if stop.is_set():
                    return
                done.put((item, function(item, stop)))

        with ThreadPoolExecutor(self._jobs, thread_name_prefix="job") as pool:
            running: set[Future[None]] = {pool.submit(run_chain, chain) for chain in chains}
            try:
                while running:
                    over, running = wait(running, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
                    while not done.empty():
                        yield done.get()
                    for future in over:
                        future.result()
            except BaseException:
                stop.set()
                raise
        while not done.empty():
            yield done.get()
