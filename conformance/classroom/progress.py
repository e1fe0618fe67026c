"""Follow targets that are judged elsewhere, by what appears in the folder of the results."""

from collections.abc import Iterable
from pathlib import Path
from time import monotonic
from typing import Final

from conformance.classroom.recording_file import PART, recording_of
from conformance.classroom.target_run import TargetRun

_PAUSE_SECONDS: Final = 1.0


class Progress:
    """Looks at the files that runs are writing; not more often than once a second, as the folder may be far away."""

    def __init__(self, folder: Path, runs: Iterable[TargetRun]) -> None:
        self._folder = folder
        self._runs = {run.recording: run for run in runs}
        self._next_look = 0.0

    def look(self) -> None:
        """Tell each run what has been written."""
        if monotonic() < self._next_look:
            return
        for part in self._folder.glob(f".*{PART}"):
            run = self._runs.get(recording_of(part))
            if run is not None and not run.ended:
                run.follow(part)
        self._next_look = monotonic() + _PAUSE_SECONDS
