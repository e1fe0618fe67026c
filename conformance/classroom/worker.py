"""The process of one target: copy and build its submission, and then become `conformance run`.

A submission that attacks what started it ends this process, not the class.
"""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from conformance.language import Message, Recorded, plain
from conformance.model.verdicts import Exit
from conformance.printable import printable
from conformance.target.guard import set_parent_death_signal
from conformance.target.launcher import launch
from conformance.target.output import ServerOutput
from conformance.target.sandbox import own_network

BOOT: Final = "import sys; sys.path[0] = {path!r}; from {module} import main; main()"
"""Starts a module of the suite, and imports nothing from the current directory: that is the submission's."""
ROOT: Final = str(Path(__file__).parents[2])
NOT_PREPARED: Final = 64
"""The exit status if the submission was not built: a `NotPrepared` in JSON is printed."""
COPIED_BYTES: Final = 1 << 30
COPIED_FILES: Final = 100_000
_LINES: Final = 20
"""How many lines of a failed build are shown."""
_COLUMNS: Final = 400


class Job(msgspec.Struct, frozen=True):
    """What the process has to do."""

    words: list[str]
    """The arguments of `conformance run`."""
    copy: str
    """Where the submission is copied to; where the suite is started."""
    folder: str = ""
    """The submission; empty if there is none."""
    build: list[str] = []
    build_seconds: float = 120.0
    emptied: str = ""
    """A directory in the copy, whose files are removed."""
    has_own_network: bool = False
    """Whether the suite and the server, but not the build, have a network of their own."""
    parent: int = 0
    """The process that judges the class: this one ends with it."""


class NotPrepared(msgspec.Struct, frozen=True):
    """Why the submission was not built."""

    text: str
    said: Recorded
    """The text as a message, to be said in another language."""
    output: list[str] = []


class NotPreparedError(Exception):
    """The submission cannot be copied or built; the message is one line."""

    def __init__(self, message: Message, output: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.output = output
        """What the build printed last."""


def main() -> None:
    """Do the job in the file that is named, and become `conformance run`, or exit with NOT_PREPARED."""
    job = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Job)
    end_with_parent(job.parent)
    try:
        if job.folder:
            copy_submission(Path(job.folder), Path(job.copy))
        if job.emptied:
            _empty(Path(job.copy), job.emptied)
        if job.build:
            build(job)
    except NotPreparedError as error:
        message: Message = error.args[0]
        reason = NotPrepared(plain(message), message.recorded(), list(error.output))
        sys.stderr.buffer.write(msgspec.json.encode(reason) + b"\n")
        sys.exit(NOT_PREPARED)
    if job.has_own_network:
        try:
            own_network.enter()
        except OSError as error:
            sys.exit(f"no network of its own: {error.strerror or error}")
    os.chdir(job.copy)
    boot = BOOT.format(path=ROOT, module="conformance.cli")
    os.execv(sys.executable, [sys.executable, "-c", boot, *job.words])  # noqa: S606  (this program)


def end_with_parent(parent: int) -> None:
    """Be told to end (SIGTERM) when the parent dies, as `conformance run`, too; end now if it has died."""
    set_parent_death_signal(signal.SIGTERM)
    if parent not in {0, os.getppid()}:
        sys.exit(Exit.INCOMPLETE)


def copy_submission(source: Path, copy: Path) -> None:
    """Copy files, directories and links, and nothing else; raise NotPreparedError."""
    left = [COPIED_BYTES, COPIED_FILES]

    def leave_out(directory: str, names: list[str]) -> set[str]:
        found = {".git"}
        for name in names:
            facts = os.lstat(os.path.join(directory, name))  # noqa: PTH118  (thousands of files)
            left[0] -= facts.st_size
            left[1] -= 1
            if min(left) < 0:
                message = Message(
                    "the submission is larger than {size} MiB or {files} files",
                    size=COPIED_BYTES >> 20,
                    files=COPIED_FILES,
                )
                raise NotPreparedError(message)
            if not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode) or stat.S_ISLNK(facts.st_mode)):
                found.add(name)
        return found

    try:
        shutil.copytree(source, copy, symlinks=True, ignore=leave_out, dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        message = Message("the submission cannot be copied: {error}", error=" ".join(str(error).split())[:300])
        raise NotPreparedError(message) from error


def _empty(copy: Path, name: str) -> None:
    """Remove what is in the directory that the server always serves: the suite puts its own files there."""
    path = copy / name
    if copy.resolve() not in path.resolve().parents:
        message = Message("the served directory {name} is not in the submission", name=name)
        raise NotPreparedError(message)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


def build(job: Job) -> None:
    """Build the submission, under the guard that servers have; raise NotPreparedError."""
    output = ServerOutput()
    guards_end, own_end = os.pipe()
    try:
        output.mark_start()
        process = launch(job.build, job.copy, guards_end, output.fileno())
        os.close(guards_end)
        try:
            status = process.wait(job.build_seconds)
        except subprocess.TimeoutExpired:
            message = Message(
                "build: {command} was not done after {seconds} s", command=_shown(job), seconds=round(job.build_seconds)
            )
            raise NotPreparedError(message) from None
        if status:
            lines = [printable(line)[:_COLUMNS] for line in output.of_this_start().rstrip().splitlines()[-_LINES:]]
            message = Message("build: {command} exited with {status}", command=_shown(job), status=status)
            raise NotPreparedError(message, lines)
    finally:
        os.close(own_end)  # which ends all that it has left
        with contextlib.suppress(subprocess.TimeoutExpired, UnboundLocalError):
            process.wait(10)
        output.close()


def _shown(job: Job) -> str:
    return job.build[-1]
