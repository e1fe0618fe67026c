"""Run jobs on a Dask cluster (https://distributed.dask.org), whose scheduler gives a dead worker's jobs to another.

A job that has ended is kept by what it wrote: the scheduler runs it again if the worker dies before its result was
fetched, and the job has to notice that it is done.
"""

import contextlib
import logging
import pkgutil
import secrets
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from conformance import __version__
from conformance.classroom.pool import DASK, Item, LostError, PoolError, Result
from conformance.language import Message

if TYPE_CHECKING:
    from typing_extensions import Self

DEFAULT_PORT: Final = 8786
_VERSION: Final = "conformance:__version__"
_CONNECT_SECONDS: Final = 10
_WORKERS_SECONDS: Final = 30.0
"""How long to wait for the first worker."""
_END_SECONDS: Final = 40.0
"""How long jobs that are told to end may take for that."""
_LOOK_SECONDS: Final = 0.2


class DaskPool:
    """The workers of a scheduler; a context manager. Entering it raises PoolError."""

    is_here: Final = False

    def __init__(self, address: str, owner: str) -> None:
        self.address = _scheduler_address(address)
        self._owner = owner
        self._client: Any = None

    def __enter__(self) -> "Self":
        with _quiet():
            self._client = _connect(self.address)
        try:
            self._check_package({"": self._version_of_scheduler()})
            self._await_workers()
            self._check_package(self._client.run(pkgutil.resolve_name, _VERSION, on_error="return"))
            self._end_jobs("")
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._close()

    def _close(self) -> None:
        with _quiet(), contextlib.suppress(Exception):  # whatever it says, nothing of it is needed any more
            self._client.close(timeout=_CONNECT_SECONDS)

    @property
    def about(self) -> Message:
        """Which cluster it is, and how many jobs run there at a time."""
        threads: dict[str, int] = self._client.nthreads()
        return Message(
            "{jobs} at a time on {address} (workers: {workers})",
            jobs=sum(threads.values()),
            address=self.address,
            workers=len(threads),
        )

    def everywhere(self, function: Callable[..., Result], *arguments: object) -> Mapping[str, Result]:
        """Return what a function returns on each worker; it delays the worker's heartbeat, so it is short."""
        found: dict[str, Result | Exception] = self._client.run(function, *arguments, on_error="return")
        results: dict[str, Result] = {}
        for worker, result in found.items():
            if isinstance(result, PoolError):
                raise result
            if isinstance(result, Exception):
                message = Message("the Dask worker {worker} fails: {error}", worker=worker, error=_line(result))
                raise PoolError(message) from result
            results[worker] = result
        return results

    def run(
        self,
        function: Callable[[Item, threading.Event], Result],
        chains: Sequence[Sequence[Item]],
        stop: threading.Event,
    ) -> Generator[tuple[Item, Result | LostError], None, None]:
        """Run a function with each item; see `Pool`."""
        session = secrets.token_hex(8)
        done: SimpleQueue[Any] = SimpleQueue()
        running: dict[str, tuple[Any, Item, deque[Item]]] = {}

        def begin(chain: deque[Item]) -> None:
            item = chain.popleft()
            future = self._client.submit(_work, function, item, self._owner, session, pure=False)
            running[future.key] = future, item, chain
            future.add_done_callback(done.put)

        try:
            for chain in chains:
                begin(deque(chain))
            while running and not stop.is_set():
                try:
                    future = done.get(timeout=_LOOK_SECONDS)
                except Empty:
                    continue
                _, item, chain_left = running.pop(future.key)
                result: Result | LostError = self._result(future)
                future.release()  # or else the scheduler would run the job again if this worker dies
                if chain_left:
                    begin(chain_left)
                yield item, result
        finally:
            if running:
                self._end(session, [future for future, *_ in running.values()])

    def _result(self, future: Any) -> Any:  # noqa: ANN401  (of Dask, or of the job)
        """Return the result of a job that is done; raise its exception, or PoolError."""
        from distributed import CancelledError, KilledWorker  # noqa: PLC0415  (an extra)

        if future.status in {"cancelled", "lost"}:
            raise PoolError(self._gone())
        try:
            return future.result(timeout=_CONNECT_SECONDS)
        except KilledWorker:
            return LostError(Message("each of the workers that ran it has died, as the server may have caused"))
        except CancelledError as error:
            raise PoolError(self._gone()) from error
        except ImportError as error:
            message = Message("a Dask worker of {address} fails: {error}", address=self.address, error=_line(error))
            raise PoolError(message) from error

    def _gone(self) -> Message:
        return Message(
            "the Dask scheduler at {address} is gone, or has dropped the jobs; the same command judges what is left",
            address=self.address,
        )

    def _end(self, session: str, futures: Sequence[Any]) -> None:
        with _quiet(), contextlib.suppress(Exception):  # the scheduler may be gone, which is said elsewhere
            self._client.cancel(futures, force=True)
            self._end_jobs(session)

    def _end_jobs(self, session: str) -> None:
        """End all jobs of the owner, and wait until they have ended; those of a session never begin any more."""
        deadline = time.monotonic() + _END_SECONDS
        while any(self._client.run(end_jobs, self._owner, session, on_error="ignore").values()):
            if time.monotonic() > deadline:
                message = Message("jobs at {address} do not end", address=self.address)
                raise PoolError(message)
            time.sleep(_LOOK_SECONDS)

    def _await_workers(self) -> None:
        deadline = time.monotonic() + _WORKERS_SECONDS
        while not self._client.nthreads():
            if time.monotonic() > deadline:
                message = Message(
                    "the Dask scheduler at {address} has no workers: start one with `dask worker {address}`",
                    address=self.address,
                )
                raise PoolError(message)
            time.sleep(_LOOK_SECONDS)

    def _version_of_scheduler(self) -> object:
        """Return the version of the suite that the scheduler has, or why it has none."""
        try:
            return self._client.run_on_scheduler(pkgutil.resolve_name, _VERSION)
        except Exception as error:  # noqa: BLE001  (of whatever kind: it cannot be imported)
            return error

    def _check_package(self, found: Mapping[str, object]) -> None:
        """Raise PoolError unless workers, or the scheduler, which has no name, have this version of the suite."""
        for worker, version in found.items():
            if version == __version__:
                continue
            who = (
                Message("the Dask worker {worker}", worker=worker)
                if worker
                else Message("the Dask scheduler at {address}", address=self.address)
            )
            what = (
                Message("cannot import conformance ({error})", error=_line(version))
                if isinstance(version, Exception)
                else Message("has conformance {version}", version=str(version))
            )
            message = Message(
                "{who} {what}: install greenserver[cluster] {version} there, as here",
                who=who,
                what=what,
                version=__version__,
            )
            raise PoolError(message)


def _scheduler_address(text: str) -> str:
    """Return the address of a scheduler as Dask writes it; raise PoolError."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", parts.port or DEFAULT_PORT
    except ValueError:
        host, port = "", 0
    if not host or any(character in text for character in "/@?#"):
        message = Message("--on {dask}{text}: it looks like {dask}HOST:{port}", dask=DASK, text=text, port=DEFAULT_PORT)
        raise PoolError(message)
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def _connect(address: str) -> Any:  # noqa: ANN401  (of a package that may be missing)
    try:
        import distributed  # noqa: PLC0415  (an extra)
    except ImportError as error:
        message = Message("--on {dask}... needs Dask: pip install 'greenserver[cluster]'", dask=DASK)
        raise PoolError(message) from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what is wrong is said in one line
    try:
        return distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as error:
        message = Message("no Dask scheduler answers at {address}: {error}", address=address, error=_line(error))
        raise PoolError(message) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings of Dask to itself: versions that matter are checked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


# --- On the worker -----------------------------------------------------------------------------------


class _Jobs:
    """The jobs that run in the process of a worker."""

    lock: Final = threading.Lock()
    running: Final[dict[str, set[threading.Event]]] = {}
    """The events that end them, by owner."""
    ended: Final[set[str]] = set()
    """Sessions of which no job begins any more."""


def _work(function: Callable[[Item, threading.Event], Result], item: Item, owner: str, session: str) -> Result:
    """Run a job; it is told to end at once if its session has ended."""
    stop = threading.Event()
    with _Jobs.lock:
        if session in _Jobs.ended:
            stop.set()
        _Jobs.running.setdefault(owner, set()).add(stop)
    try:
        return function(item, stop)
    finally:
        with _Jobs.lock:
            _Jobs.running[owner].discard(stop)


def end_jobs(owner: str, session: str) -> int:
    """Tell all jobs of an owner to end, and return how many there are; those of a session end as they begin."""
    with _Jobs.lock:
        _Jobs.ended.add(session)
        running = _Jobs.running.get(owner, set())
        for stop in running:
            stop.set()
        return len(running)
