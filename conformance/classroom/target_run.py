"""Judge one target in a process of its own, with a directory and a time of its own, and leave nothing of it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from conformance.classroom.recording_file import (
    Follower,
    end_recording,
    has_end,
    part_of,
    put_in_place,
    remove_unfinished,
    write_events,
)
from conformance.classroom.targets import Target
from conformance.classroom.worker import BOOT, NOT_PREPARED, ROOT, Job, NotPrepared
from conformance.client.address import parse_address
from conformance.config import PROGRAM, Options
from conformance.fixtures.findings import Findings
from conformance.language import ENGLISH, OPTION, Message, from_record
from conformance.model.verdicts import Exit
from conformance.option_table import RUN_OPTIONS
from conformance.runner.results import unstarted
from conformance.target.environment import private_directory
from conformance.target.remains import end_marked, new_mark
from conformance.target.sandbox.sandbox import AUTO, OFF
from conformance.target.sockets import is_loopback

_LOOK_SECONDS: Final = 0.2
_END_SECONDS: Final = 20.0
"""How long a run that is told to end may take for that."""
_BEFORE_SECONDS: Final = 120.0
"""How much longer than its limit a run may take: the search for the server's habits is not limited."""
_SAID_BYTES: Final = 1 << 17
_OWN_OPTIONS: Final = frozenset({"serve", "cwd", "fixtures", "dialect", "max-seconds"})
"""Options of a run that each target has for itself."""


@dataclass(frozen=True)
class Settings:
    """What all targets of a class have in common."""

    options: Options
    build_seconds: float = 120.0
    has_networks: bool = False
    """Whether each server with a wired-in port can have a network of its own."""

    def gives_network(self, target: Target) -> bool:
        """Return whether a target is judged in a network of its own."""
        return self.has_networks and target.wired_port > 0 and is_loopback(parse_address(target.address))

    def of(self, target: Target) -> Options:
        """Return the options of a target's run."""
        return replace(
            self.options,
            address=target.address,
            serve=target.command,
            dialect=target.dialect or self.options.dialect,
            fixtures=Path(target.directory) if target.directory else None,
            name=target.name,
            sandbox=self.options.sandbox if self._may_be_confined(target) else OFF,
            sandbox_read=self.options.sandbox_read if self._may_be_confined(target) else (),
        )

    def _may_be_confined(self, target: Target) -> bool:
        """Return whether a target is to be confined; `auto` leaves out those that no sandbox goes with."""
        if not target.command:
            return False
        return self.options.sandbox != AUTO or not target.address or is_loopback(parse_address(target.address))

    def words(self, target: Target, recording: Path) -> list[str]:
        """Return the arguments of `conformance` that judge a target."""
        options = self.of(target)
        words = ["run", *([options.address] if options.address else [])]
        if options.serve:
            words += ["--serve", options.serve]
        if options.fixtures:
            words += ["--fixtures", str(options.fixtures)]
        words += ["--dialect", options.dialect, "--max-seconds", str(options.max_seconds), "--ndjson", str(recording)]
        default = Options()
        for option in RUN_OPTIONS:
            value = getattr(options, option.field)
            if option.name in _OWN_OPTIONS or (value == getattr(default, option.field) and option.name != "seed"):
                continue
            for one in value if option.is_repeatable else [value]:
                words += [f"--{option.name}"] if option.is_flag else [f"--{option.name}", str(one)]
        return words


class TargetRun:
    """The run of one target; a live table may look at it from another thread meanwhile.

    What runs elsewhere is a copy. This one then `follows` what the copy writes, and is told when it has ended.
    """

    def __init__(self, target: Target, recording: Path, settings: Settings) -> None:
        self.target = target
        self.recording = recording
        self.began = 0.0
        """In seconds of `monotonic`; 0 before it begins."""
        self.ended = 0.0
        self.is_shown = False
        """Whether its result was shown."""
        self.follower = Follower(recording)
        self.settings = settings
        self._part = recording

    @property
    def is_running(self) -> bool:
        """Whether it has begun and not ended."""
        return self.began > 0.0 and not self.ended

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return (self.ended or monotonic()) - self.began if self.began else 0.0

    def judge(self, stop: threading.Event) -> bool:
        """Judge the target, and write its recording; return False if `stop` was set before it was done.

        One that has a recording is done: a cluster may run a job again that has ended. Two copies of a job, of which
        one was taken for dead, write different files, and the first that is done counts. Raises OSError if the
        recording cannot be written.
        """
        if self.recording.exists():
            return True
        self._part = part_of(self.recording)
        self.follower = Follower(self._part)
        self.began = monotonic()
        try:
            if self.target.problem:
                write_events(self.recording, unstarted(self.settings.of(self.target), self.target.problem))
                return True
            with private_directory(Findings()) as (private, _):
                status, said = self._run(private, stop)
            if stop.is_set():
                return False
            self._finish(status, said)
            put_in_place(self._part, self.recording)
        finally:
            self.ended = monotonic()
            remove_unfinished(self._part)
        return True

    def follow(self, part: Path) -> None:
        """Look at the recording that a copy of this run is writing."""
        self.began = self.began or monotonic()
        if self._part != part:
            self._part = part
            self.follower = Follower(part)
        self.follower.look()

    def end(self) -> None:
        """Note that a copy of this run has ended."""
        self.ended = self.ended or monotonic()

    def give_up(self, reason: str, output: Sequence[str] = ()) -> None:
        """Write a recording that says why there is no verdict; raise OSError."""
        self._write_unstarted(self.recording, reason, output)

    def _write_unstarted(self, path: Path, reason: str, output: Sequence[str]) -> None:
        start, end = unstarted(self.settings.of(self.target), reason, output)
        # A server that does not start has a recording of its own, so this is a fault of the suite.
        write_events(path, [start, msgspec.structs.replace(end, exit=Exit.SUITE_FAULT)])

    def _run(self, private: Path, stop: threading.Event) -> tuple[int, str]:
        """Run the process until it ends or has to; return its status, and what it said."""
        target, settings = self.target, self.settings
        job = Job(
            words=[*settings.words(target, self._part), OPTION, ENGLISH],  # what it says is recorded
            copy=str(private / "submission"),
            folder=target.folder,
            build=_build_words(target),
            build_seconds=settings.build_seconds,
            emptied="" if target.wired_directory else target.directory,
            has_own_network=settings.gives_network(target),
            parent=os.getpid(),
        )
        for name in ("submission", "tmp"):
            (private / name).mkdir()
        file, said = private / "job.json", private / "said"
        file.write_bytes(msgspec.json.encode(job))
        boot = BOOT.format(path=ROOT, module="conformance.classroom.worker")
        mark = new_mark()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        environment |= dict([mark.split("=")]) | {"TMPDIR": str(private / "tmp")}
        limit = monotonic() + settings.build_seconds + 2 * settings.options.max_seconds + _BEFORE_SECONDS
        with said.open("wb") as errors:
            process = subprocess.Popen(  # noqa: S603  (this program)
                [sys.executable, "-c", boot, str(file)],
                cwd=private,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        try:
            while process.poll() is None and not stop.wait(_LOOK_SECONDS) and monotonic() < limit:
                self.follower.look()
            is_over = process.poll() is not None
        finally:
            _end(process)
            end_marked(mark)
        self.follower.look()
        if not is_over:
            return Exit.SUITE_FAULT, Message("the run did not end in time, and was ended")
        return process.returncode, said.read_bytes()[-_SAID_BYTES:].decode("utf-8", "replace").strip()

    def _finish(self, status: int, said: str) -> None:
        """Make sure that there is a recording, and that it has an end."""
        if status == NOT_PREPARED:
            why = msgspec.json.decode(said, type=NotPrepared)
            reason = from_record(why.text, why.said)
            write_events(self._part, unstarted(self.settings.of(self.target), reason, why.output))
            return
        first, _, rest = said.partition("\n")
        first = said if isinstance(said, Message) else first.removeprefix(f"{PROGRAM}: ")
        if not self._part.exists():
            self._write_unstarted(self._part, first or _ended(status), rest.splitlines())
        elif not has_end(self._part):
            reason = first if status == Exit.SUITE_FAULT and first else _ended(status)
            end_recording(self._part, reason, Exit.SUITE_FAULT)


def _build_words(target: Target) -> list[str]:
    if not target.build:
        return []
    environment = [f"{name}={value}" for name, value in target.environment.items()]
    return [*(["env", *environment] if environment else []), "sh", "-c", target.build]


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ended(status: int) -> str:
    if status < 0:
        name = signal.Signals(-status).name
        return Message(
            "{signal} ended the suite's process, as the server may have done: nothing was judged after that",
            signal=name,
        )
    return Message("the suite's process ended with {status}, without a verdict", status=status)
