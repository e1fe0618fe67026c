"""The folder of a class: one recording for each target, and what was judged how, so that an interrupted run resumes."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click
import msgspec

from conformance import __version__
from conformance.classroom.recording_file import has_verdict, remove_parts
from conformance.classroom.submissions import MARK
from conformance.classroom.target_run import Settings
from conformance.classroom.targets import Target
from conformance.grading.assessment import Person
from conformance.language import Message
from conformance.tools.recordings import SUFFIX

_SCHEMA: Final = "hftp-class/1"


class Judged(msgspec.Struct, frozen=True):
    """A target that has been judged."""

    name: str
    digest: str = ""
    """Of the target, the options and the files of the submission: if it differs, the target is judged again."""
    person: Person = Person()


class ClassFile(msgspec.Struct):
    """`class.json`; unknown fields are ignored."""

    schema: str = _SCHEMA
    seed: int = 0
    targets: dict[str, Judged] = {}
    """By the name of the recording, without its suffix."""


class ResultsFolder:
    """The folder; it is made if it is not there. Raises ClickException if that, or reading it, is not possible."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path / MARK
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = Message("cannot make {path}: {error}", path=path, error=error.strerror)
            raise click.ClickException(message) from error
        self._known = read_class_file(path)

    @property
    def seed(self) -> int | None:
        """The seed of what was judged before; None if nothing was."""
        return self._known.seed if self._known.targets else None

    def begin(self, targets: Mapping[str, Target], settings: Settings, *, afresh: bool) -> dict[str, Target]:
        """Forget what is no longer meant, and return the targets that are left to judge, by the name of the file."""
        self._known.seed = settings.options.seed
        self._digests = {name: _digest(target, settings) for name, target in targets.items()}
        known = {} if afresh else self._known.targets
        done = {
            name: msgspec.structs.replace(known[name], person=target.person)
            for name, target in targets.items()
            if name in known and known[name].digest == self._digests[name] and has_verdict(self.recording(name))
        }
        for name in (self._known.targets.keys() | targets.keys()) - done.keys():
            self.recording(name).unlink(missing_ok=True)
        remove_parts(self.path)
        self._known.targets = done
        self._write()
        return {name: target for name, target in targets.items() if name not in done}

    def add(self, name: str, target: Target) -> None:
        """Record that a target was judged."""
        self._known.targets[name] = Judged(target.name, self._digests[name], target.person)
        self._write()

    def recording(self, name: str) -> Path:
        """Return the path of the recording of a target."""
        return self.path / f"{name}{SUFFIX}"

    def _write(self) -> None:
        unfinished = self._file.with_name(f".{MARK}.unfinished")
        unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(self._known)) + b"\n")
        unfinished.replace(self._file)


def read_class_file(path: Path) -> ClassFile:
    """Return what the folder of a class says of its recordings; nothing if it is no such folder.

    Raises ClickException if it cannot be read.
    """
    try:
        found = msgspec.json.decode((path / MARK).read_bytes(), type=ClassFile)
    except FileNotFoundError:
        return ClassFile()
    except (OSError, msgspec.MsgspecError) as error:
        message = Message(
            "cannot read {path}: {error}; remove it to judge all targets again", path=path / MARK, error=error
        )
        raise click.ClickException(message) from error
    if found.schema != _SCHEMA:
        message = Message(
            "{path} has the schema {schema}, not {known}: name another folder",
            path=path / MARK,
            schema=repr(found.schema),
            known=repr(_SCHEMA),
        )
        raise click.ClickException(message)
    return found


def _digest(target: Target, settings: Settings) -> str:
    """Return a digest of all that a verdict depends on: the suite, the options, and the files of the submission."""
    plain = msgspec.structs.replace(target, name="", full_name="", id="", email="", points="")
    found = hashlib.sha256(__version__.encode())
    found.update(repr((plain, settings.words(plain, Path()))).encode())
    for above, directories, names in os.walk(target.folder) if target.folder else ():
        directories[:] = sorted(name for name in directories if name not in {".git", "__pycache__"})
        for name in sorted(names):
            facts = os.lstat(os.path.join(above, name))  # noqa: PTH118  (thousands of files)
            found.update(repr((above, name, facts.st_size, facts.st_mtime_ns)).encode())
    return found.hexdigest()
