"""Show how far a transfer is, on a terminal."""

import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from typing_extensions import Self

Callback = Callable[[int, int], None]


class TransferProgress:
    """A line of progress for the file that is being fetched; nothing if standard error is no terminal."""

    def __init__(self, *, is_wanted: bool) -> None:
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        if is_wanted and sys.stderr.isatty():
            from rich import progress  # noqa: PLC0415  (it takes longer to import than all else)
            from rich.console import Console  # noqa: PLC0415

            self._progress = progress.Progress(
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(),
                progress.DownloadColumn(binary_units=True),
                progress.TransferSpeedColumn(),
                progress.TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )

    def __enter__(self) -> "Self":
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def of(self, name: str) -> Callback | None:
        """Begin with a file; return what to call with the bytes that are there, and the size."""
        display = self._progress
        if display is None:
            return None
        if self._task is not None:
            display.remove_task(self._task)
        task = self._task = display.add_task(name, total=None)

        def update(done: int, size: int) -> None:
            display.update(task, completed=done, total=size)

        return update
