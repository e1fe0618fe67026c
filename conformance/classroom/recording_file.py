"""The recorded run of one target: followed while it is written, and given an end if its process did not write one."""

import contextlib
import json
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from conformance.model.events import Event, RunEnd
from conformance.model.verdicts import Exit
from conformance.reports.ndjson import Chain, line

_RESULT: Final = re.compile(rb'"type": "result".*?"verdict": "(\w+)"')
_SELECTED: Final = re.compile(rb'"type": "run-start".*?"selected": (\d+)')
_READ_BYTES: Final = 1 << 22
PART: Final = ".part"
"""The suffix of the file of an attempt."""
_TAIL_BYTES: Final = 1 << 21


class Follower:
    """Reads what is appended to a recording: how many scenarios there are, how many have run, and how many failed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self.selected = self.done = self.failed = 0

    def look(self) -> None:
        """Count the lines that are new."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read(_READ_BYTES)
        except OSError:  # it is not there yet
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        for text in whole.splitlines():
            if found := _RESULT.search(text):
                self.done += 1
                self.failed += found[1] == b"fail"
            elif found := _SELECTED.search(text):
                self.selected = int(found[1])


def has_end(path: Path) -> bool:
    """Return whether a recording has its end, and was not interrupted."""
    end = _end_of(path)
    return end is not None and not any(str(row).startswith("interrupted") for row in end.get("problems", []))


def has_verdict(path: Path) -> bool:
    """Return whether a recording has its end, and the suite did not fail."""
    end = _end_of(path)
    return has_end(path) and end is not None and end.get("exit") != Exit.SUITE_FAULT


def _end_of(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            found = json.loads(file.read().rstrip().rpartition(b"\n")[2])
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("type") == "run-end" else None


def write_events(path: Path, events: Iterable[Event]) -> None:
    """Write a recording; raise OSError."""
    chain = Chain()
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text("".join(f"{chain.link(line(event))}\n" for event in events), encoding="ascii")
    unfinished.replace(path)


def end_recording(path: Path, problem: str, status: Exit) -> None:
    """Append the end to a recording without one, after its last whole line; raise OSError."""
    chain = Chain()
    size = 0
    with path.open("r+b") as file:
        for text in file:
            if not text.endswith(b"\n"):
                break
            chain.follows(text.rstrip(b"\n"))
            size += len(text)
        file.truncate(size)
        file.seek(size)
        file.write(f"{chain.link(line(RunEnd({}, status, problems=[problem])))}\n".encode("ascii"))


def part_of(recording: Path) -> Path:
    """Return a new name for what becomes a recording: each attempt has a file of its own."""
    return recording.with_name(f".{recording.name}.{secrets.token_hex(4)}{PART}")


def recording_of(part: Path) -> Path:
    """Return the recording that the file of an attempt becomes."""
    return part.with_name(part.name[1:].rsplit(".", 2)[0])


def put_in_place(part: Path, recording: Path) -> None:
    """Let the file of an attempt be the recording, unless there is one; raise OSError."""
    try:
        os.link(part, recording)  # which never replaces one, over NFS neither
    except FileExistsError:
        return
    except OSError:  # a file system without links
        part.replace(recording)


def remove_parts(folder: Path) -> None:
    """Remove what attempts that were killed have left in the folder of a class."""
    for pattern in (f".*{PART}", f"..*{PART}.unfinished*"):
        for left in folder.glob(pattern):
            with contextlib.suppress(OSError):
                left.unlink()


def remove_unfinished(path: Path) -> None:
    """Remove a recording, and what its process may have left beside it."""
    for left in [path, *path.parent.glob(f".{path.name}.unfinished*")]:
        with contextlib.suppress(OSError):
            left.unlink()
