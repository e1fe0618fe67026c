"""Judge one target in a process of its own, with a directory and a time of its own, and leave nothing of it."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from conformance.classroom.recording_file import Follower, end_recording, has_end, remove_unfinished, write_events
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
    """The run of one target; a live table may look at it from another thread meanwhile."""

    def __init__(self, target: Target, recording: Path, settings: Settings) -> None:
        self.target = target
        self.recording = recording
        self.began = 0.0
        """In seconds of `monotonic`; 0 before it begins."""
        self.ended = 0.0
        self.is_shown = False
        """Whether its result was shown."""
        self.follower = Follower(recording)
        self._settings = settings
        self._part = recording.with_name(f".{recording.name}.part")

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

        Raises OSError if the recording cannot be written.
        """
        remove_unfinished(self._part)
        self.follower = Follower(self._part)
        self.began = monotonic()
        try:
            if self.target.problem:
                write_events(self.recording, unstarted(self._settings.of(self.target), self.target.problem))
                return True
            with private_directory(Findings()) as (private, _):
                status, said = self._run(private, stop)
            if stop.is_set():
                return False
            self._finish(status, said)
            self._part.replace(self.recording)
        finally:
            self.ended = monotonic()
            remove_unfinished(self._part)
        return True

    def _run(self, private: Path, stop: threading.Event) -> tuple[int, str]:
        """Run the process until it ends or has to; return its status, and what it said."""
        target, settings = self.target, self._settings
        job = Job(
            words=[*settings.words(target, self._part), OPTION, ENGLISH],  # what it says is recorded
            copy=str(private / "submission"),
            folder=target.folder,
            build=_build_words(target),
            build_seconds=settings.build_seconds,
            emptied=target.directory,
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
            write_events(self._part, unstarted(self._settings.of(self.target), reason, why.output))
            return
        first, _, rest = said.partition("\n")
        first = said if isinstance(said, Message) else first.removeprefix(f"{PROGRAM}: ")
        if not self._part.exists():
            start, end = unstarted(self._settings.of(self.target), first or _ended(status), rest.splitlines())
            end = msgspec.structs.replace(end, exit=Exit.SUITE_FAULT)  # a server that does not start has a recording
            write_events(self._part, [start, end])
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
