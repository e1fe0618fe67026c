"""The state directory: metrics and readiness of all processes of a server, as files that the admin process reads."""

import contextlib
import fcntl
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from typing_extensions import Self

_PREFIX: Final = "greenserver-"
_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client reads it on import
_IN_USE: Final = "in-use"
_READING: Final = "reading"
_SERVING: Final = "serving"
_DRAINING: Final = "draining"
_THE_DEAD: Final = "dead"  # instead of a process id
_SUMMED: Final = ("counter", "histogram")


class StateDirectory:
    """A directory in $RUNTIME_DIRECTORY or the temporary directory, removed on exit by the process that entered it.

    All files in it are small. None is left behind: the metrics of exited processes are merged, and the directories of
    killed servers are removed by the next one that starts.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self._parent = Path(os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] or tempfile.gettempdir())
        self.directory = Path(directory or os.devnull)

    def __enter__(self) -> "Self":
        _remove_abandoned(self._parent)
        self.directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._parent))
        self._owner = os.getpid()
        self._in_use = os.open(self.directory / _IN_USE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._in_use, fcntl.LOCK_EX)
        (self.directory / _READING).touch()
        os.environ[_VARIABLE] = str(self.directory)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() == self._owner:  # not in a forked child
            os.close(self._in_use)
            shutil.rmtree(self.directory, ignore_errors=True)
            os.environ.pop(_VARIABLE, None)

    def give_to(self, user: int, group: int) -> None:
        """Let processes of a user write to the directory."""
        for path in (self.directory, self.directory / _READING):
            os.chown(path, user, group)

    def set_serving(self) -> None:
        """Record that clients are served."""
        (self.directory / _SERVING).touch()

    def set_draining(self) -> None:
        """Record, for good, that no more clients are accepted."""
        with contextlib.suppress(OSError):
            (self.directory / _DRAINING).touch()

    @property
    def is_ready(self) -> bool:
        """Whether the server is serving, and not draining."""
        return (self.directory / _SERVING).exists() and not (self.directory / _DRAINING).exists()

    @contextlib.contextmanager
    def reading(self, *, alone: bool = False) -> Iterator[None]:
        """Hold the lock that keeps `bury` from merging metrics while they are read; `alone` takes it exclusively."""
        with (self.directory / _READING).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield

    def bury(self, process: int) -> None:
        """Merge the metrics of an exited process into those of all that exited before it.

        Otherwise their files would stay for good, and each reload would add some.
        """
        # A process that was killed during a write may leave an unreadable file.
        with contextlib.suppress(OSError, RuntimeError, ValueError, struct.error), self.reading(alone=True):
            for path in self.directory.glob(f"gauge_live*_{process}.db"):
                path.unlink()
            for kind in _SUMMED:
                mortal = self.directory / f"{kind}_{process}.db"
                if mortal.exists():
                    try:
                        _add(mortal, self.directory / f"{kind}_{_THE_DEAD}.db")
                    finally:
                        mortal.unlink()


def _add(source: Path, target: Path) -> None:
    """Add the values of one prometheus_client file to another."""
    from prometheus_client.mmap_dict import MmapedDict  # noqa: PLC0415  (only used with metrics)

    values: Any = MmapedDict.read_all_values_from_file(str(source))  # type: ignore[no-untyped-call]  # prometheus_client has no types
    counted = [(key, value, stamp) for key, value, stamp, _ in values if json.loads(key)]  # parse all before writing
    sums: Any = MmapedDict(str(target))  # type: ignore[no-untyped-call]  # the same
    try:
        for key, value, stamp in counted:
            sums.write_value(key, sums.read_value(key)[0] + value, stamp)
    finally:
        sums.close()


def _remove_abandoned(parent: Path) -> None:
    """Remove the directories of killed servers: those whose lock is free."""
    for directory in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), (directory / _IN_USE).open("rb") as lock:
            if os.fstat(lock.fileno()).st_uid != os.geteuid():
                continue  # of another user
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
