"""Hand a call that needs the disk to another thread, and answer it with what was found there."""

from typing import cast

from greenserver.files.file_slice import FileSlice
from greenserver.files.listing import Listing
from greenserver.io.wait import FOREVER, Job


class NeedsDiskError(Exception):
    """The answer is not in memory, or that is unknown. `job` finds it, in a thread that may block."""

    def __init__(self, job: Job[object]) -> None:
        super().__init__()
        self.job = job


class FoundFiles:
    """Answers one call with the result of the job that it needed, or raises what the job raised."""

    def __init__(self, job: Job[object]) -> None:
        self._job = job
        self.stale_at = FOREVER

    def refresh(self, _now: float) -> None:
        """Do nothing, for `Files`."""

    def listing(self) -> Listing:
        """Return or raise the result of `FileStore.listing`."""
        return cast("Job[Listing]", self._job).result()

    def size(self, _name: str) -> int:
        """Return or raise the result of `FileStore.size`."""
        return cast("Job[int]", self._job).result()

    def read(self, _name: str, _offset: int, _size: int) -> bytearray:
        """Return or raise the result of `FileStore.read`."""
        return cast("Job[bytearray]", self._job).result()

    def slice(self, _name: str, _offset: int, _size: int) -> FileSlice:
        """Return or raise the result of `FileStore.slice`."""
        return cast("Job[FileSlice]", self._job).result()
