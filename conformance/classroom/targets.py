"""Read the targets of a class: a TOML or CSV file, or a folder with one submission in each folder."""

import csv
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from conformance.classroom.submissions import Start, lowered, owner_of, start_of, submissions_in
from conformance.client.address import AddressError, parse_address
from conformance.failures import UsageError
from conformance.grading.assessment import Person
from conformance.language import Message, joined
from conformance.spec.dialects import DIALECTS

_DIALECTS: Final = ("", "auto", *DIALECTS)


class TargetsError(UsageError, ValueError):
    """The targets cannot be read; the message is one line."""


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A server to judge: a row of the file, or a folder."""

    name: str = ""
    """What it is called; by default its folder, or its address."""
    serve: str = ""
    """The command that starts it; without one, and without an address, it is found by rule in the folder."""
    address: str = ""
    """Where it listens, if it runs already or its port is wired in."""
    folder: str = ""
    """The submission; relative to the file. A copy of it is built and started."""
    build: str = ""
    """The command that builds it, for a shell."""
    directory: str = ""
    """The directory that it serves, if that is wired in: in the folder, or an absolute path."""
    environment: dict[str, str] = {}
    dialect: str = ""
    points: str = ""
    """Its points map, if it has one of its own; relative to the file."""
    full_name: str = ""
    id: str = ""
    email: str = ""
    problem: str = ""
    """Why it cannot be judged; empty if it can."""

    @property
    def person(self) -> Person:
        """Whom it belongs to."""
        return Person(self.full_name, self.id, self.email)

    @property
    def command(self) -> str:
        """The command that starts it in its environment; empty if it runs already."""
        if not self.environment or not self.serve:
            return self.serve
        return f"env {shlex.join(f'{name}={value}' for name, value in self.environment.items())} {self.serve}"

    @property
    def wired_port(self) -> int:
        """The port that the command always uses; 0 if there is none."""
        address = parse_address(self.address) if self.serve and self.address else None
        return address.port if address is not None else 0

    @property
    def wired_directory(self) -> str:
        """The directory on this machine, and in no copy, that it always serves; empty if there is none."""
        return os.path.realpath(self.directory) if os.path.isabs(self.directory) else ""  # noqa: PTH117  (text)


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    target: list[dict[str, Any]] = []
    defaults: dict[str, Any] = {}


def read_targets(path: Path, rule: Start | None = None) -> list[Target]:
    """Return the targets at a path, in order, each with a name of its own; raise TargetsError.

    `rule` is how a submission is started that does not say so itself.
    """
    rule = rule or Start()
    if path.is_dir():
        found = [_of_folder(folder, rule) for folder in submissions_in(path)]
    else:
        found = [_started(row, rule, path) for row in _rows(path)]
    if not found:
        message = Message(
            "{path} has no targets: it needs a folder for each submission, or [[target]] tables, or rows", path=path
        )
        raise TargetsError(message)
    _check_names(path, found)
    return found


def _of_folder(folder: Path, rule: Start) -> Target:
    name, person = owner_of(folder.name)
    start = start_of(folder, rule)
    return Target(
        name=name,
        serve=start.serve,
        address=start.address,
        folder=str(start.folder or folder),
        build=start.build,
        directory=start.directory,
        problem=start.problem or _without_port(start.serve, start.address),
        full_name=person.full_name,
        id=person.identifier,
    )


def _rows(path: Path) -> Iterator[Target]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        message = Message("cannot read {path}: {strerror}", path=path, strerror=error.strerror)
        raise TargetsError(message) from error
    except UnicodeDecodeError as error:
        message = Message("{path}: not UTF-8; give a TOML or CSV file, or a folder", path=path)
        raise TargetsError(message) from error
    is_csv = path.suffix.lower() in {".csv", ".tsv"}
    for where, row in _of_csv(path, text) if is_csv else _of_toml(path, text):
        try:
            target = msgspec.convert(row, Target)
        except msgspec.ValidationError as error:
            message = Message("{path}, {where}: {error}", path=path, where=where, error=lowered(error))
            raise TargetsError(message) from error
        try:
            _check(target)
        except (TargetsError, AddressError) as error:
            message = Message("{path}, {where}: {error}", path=path, where=where, error=str(error))
            raise TargetsError(message) from error
        yield target


def _of_toml(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        document = msgspec.toml.decode(text, type=_Document)
    except (ValueError, msgspec.MsgspecError) as error:  # TOMLDecodeError is a ValueError
        message = joined(": ", [str(path), lowered(error)])
        raise TargetsError(message) from error
    for number, row in enumerate(document.target, 1):
        yield Message("target {number}", number=number), document.defaults | row


def _of_csv(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        dialect: type[csv.Dialect] = csv.Sniffer().sniff(text.partition("\n")[0], ",;\t")
    except csv.Error:
        dialect = csv.excel  # a single column
    rows = csv.DictReader(text.splitlines(), dialect=dialect)
    for row in rows:
        if None in row or None in row.values():
            message = Message(
                "{path}, line {number}: the header has {count} columns, not this row",
                path=path,
                number=rows.line_num,
                count=len(rows.fieldnames or ()),
            )
            raise TargetsError(message)
        found: dict[str, Any] = {name.strip(): value.strip() for name, value in row.items() if value.strip()}
        if "environment" in found:
            words = shlex.split(found["environment"])
            found["environment"] = {name: value for name, _, value in (word.partition("=") for word in words)}
        if found:
            yield Message("line {number}", number=rows.line_num), found


def _check(target: Target) -> None:
    if target.dialect not in _DIALECTS:
        message = Message("the dialect is one of {dialects}", dialects=", ".join(_DIALECTS[1:]))
        raise TargetsError(message)
    if target.address:
        parse_address(target.address)
    if not (target.serve or target.address or target.folder):
        message = Message("it needs serve, address or folder")
        raise TargetsError(message)


def _started(target: Target, rule: Start, path: Path) -> Target:
    """Return a target with its paths made absolute, its name, and the way in which its folder starts."""
    above = path.resolve().parent
    folder = above / target.folder if target.folder else None
    if target.problem:
        message = Message("{path}: {name}: a target has no field `problem`", path=path, name=target.name)
        raise TargetsError(message)
    changes: dict[str, str] = {"folder": str(folder) if folder else ""}
    if target.points:
        changes["points"] = str(above / target.points)
    if folder is not None and not folder.is_dir():
        message = Message(
            "{path}: {name}: no such directory: {folder}", path=path, name=target.name or folder, folder=folder
        )
        raise TargetsError(message)
    if folder is not None and not target.serve:
        start = start_of(folder, rule)
        changes |= {
            "folder": str(start.folder or folder),
            "serve": start.serve,
            "address": target.address or start.address,
            "build": target.build or start.build,
            "directory": target.directory or start.directory,
            "problem": start.problem,
        }
    command, address = changes.get("serve", target.serve), changes.get("address", target.address)
    changes["problem"] = changes.get("problem") or (_without_port(command, address) if command else "")
    changes["name"] = target.name or (folder.name if folder else target.address or target.serve)
    return msgspec.structs.replace(target, **changes)


def _without_port(serve: str, address: str) -> str:
    """Return why a command cannot be used; empty if it can."""
    if address or "{port}" in serve:
        return ""
    return Message("its command has no {port}, and no address is given: {command}", command=serve)


def _check_names(path: Path, targets: Iterable[Target]) -> None:
    seen: set[str] = set()
    for target in targets:
        if target.name in seen:
            message = Message(
                "{path}: two targets are called {name}; give each a name of its own", path=path, name=target.name
            )
            raise TargetsError(message)
        seen.add(target.name)


def by_file_name(targets: Iterable[Target]) -> Mapping[str, Target]:
    """Return the targets by the name of their file, without its suffix: readable, and different for each."""
    found: dict[str, Target] = {}
    for target in targets:
        stem = name = file_name(target.name)
        number = 1
        while name.lower() in {key.lower() for key in found}:  # some file systems ignore case
            number += 1
            name = f"{stem}-{number}"
        found[name] = target
    return found


def file_name(name: str) -> str:
    """Return a name with letters, digits, dots, hyphens and underscores only."""
    plain = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name)
    return plain.strip(".-")[:100] or "target"
