"""Find the submissions in a folder, and by rule how each is built and started."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from conformance.client.address import parse_address
from conformance.grading.assessment import Person
from conformance.language import Message, joined

MANIFEST: Final = "conformance.toml"
MARK: Final = "class.json"
"""A folder with this file holds the results of a class, and is no submission."""
WIRED_ADDRESS: Final = "127.0.0.1:19500"
"""Where a server listens that takes no port: the protocol's default."""
NO_START: Final = Message(
    "no start command: it has neither {manifest} nor a Makefile with a target run or server, nor server.py; "
    "pass --serve CMD",
    manifest=MANIFEST,
)
_MAKEFILES: Final = ("GNUmakefile", "makefile", "Makefile")
_SERVERS: Final = ("run", "serve")
_BUILDS: Final = ("all", "build")
_OPTIONS: Final = re.compile(r"sys\.argv|argparse|optparse|getopt|\b(?:click|typer|docopt|fire)\b")
"""What a Python program has that takes options."""
_DEEPEST: Final = 3
_MOODLE: Final = re.compile(r"(.+)_(\d+)_assignsubmission_\w+")
"""The folders of Moodle's `Download all submissions`: the full name, and the number of the participant."""
_BYTES: Final = 1 << 20


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a submission may say of itself in `conformance.toml`."""

    serve: str
    build: str = ""
    address: str = ""
    directory: str = ""


@dataclass(frozen=True)
class Start:
    """How a submission is built and started."""

    serve: str = ""
    build: str = ""
    address: str = ""
    directory: str = ""
    folder: Path | None = None
    """Where it was found: the submission's folder, or one in it."""
    problem: str = ""
    """Why it cannot be started; empty if it can."""


def submissions_in(folder: Path) -> Iterator[Path]:
    """Yield the folders of the submissions, by name."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.name.startswith((".", "_")) and not (entry / MARK).exists():
            yield entry.resolve()


def owner_of(name: str) -> tuple[str, Person]:
    """Return what a submission is called, and whose it is, from the name of its folder."""
    if found := _MOODLE.fullmatch(name):
        return found[1], Person(found[1], f"Participant {found[2]}")
    return name, Person()


def start_of(folder: Path, rule: Start) -> Start:
    """Return how a submission starts.

    First what the command line says, then `conformance.toml`, a Makefile, and `server.py`. A folder with nothing but a
    folder in it, as an archive often has, is entered.
    """
    place = _entered(folder)
    if rule.serve:
        found = rule
    elif (place / MANIFEST).is_file():
        found = _of_manifest(place / MANIFEST)
    else:
        found = _of_makefile(place) or _of_python(place) or Start(problem=NO_START)
    return replace(
        found,
        build=rule.build or found.build,
        address=rule.address or found.address,
        directory=rule.directory or found.directory,
        folder=place,
    )


def _entered(folder: Path) -> Path:
    for _ in range(_DEEPEST):
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX"))]
        if len(entries) != 1 or not entries[0].is_dir() or entries[0].is_symlink():
            break
        folder = entries[0]
    return folder


def _of_manifest(path: Path) -> Start:
    try:
        found = msgspec.toml.decode(_text(path), type=Manifest)
        if found.address:
            parse_address(found.address)
    except (ValueError, msgspec.MsgspecError) as error:  # TOMLDecodeError and AddressError are ValueErrors
        return Start(problem=joined(": ", [MANIFEST, lowered(error)]))
    if Path(found.directory).is_absolute():  # which a file of the class may name, but no submission
        reason = Message("directory has to be in the submission, not {directory}", directory=found.directory)
        return Start(problem=joined(": ", [MANIFEST, reason]))
    return Start(found.serve, found.build, found.address, found.directory)


def lowered(error: Exception) -> str:
    """Return the message of an error as the end of a sentence; one of ours stays as it is."""
    text = str(error)
    return text if isinstance(text, Message) else text[:1].lower() + text[1:]


def _of_makefile(folder: Path) -> Start | None:
    path = next((folder / name for name in _MAKEFILES if (folder / name).is_file()), None)
    if path is None:
        return None
    text = _text(path)
    names = re.findall(r"^([\w.-]+)\s*:(?!=)", text, re.MULTILINE)
    serve = next((name for name in _SERVERS if name in names), "")
    if serve:
        build = next((f"make -s {name}" for name in _BUILDS if name in names), "")
        takes = {name: re.search(rf"\$[({{]{name}[)}}]", text) is not None for name in ("PORT", "DIR")}
        words = ["make -s", serve, *(f"{name}={{{name.lower()}}}" for name, is_taken in takes.items() if is_taken)]
        return Start(" ".join(words), build, "" if takes["PORT"] else WIRED_ADDRESS)
    if "server" in names:
        return Start("./server -p {port} -d {dir}", "make -s")
    return None


def _of_python(folder: Path) -> Start | None:
    path = folder / "server.py"
    if not path.is_file():
        return None
    if _OPTIONS.search(_text(path)):
        return Start("python3 server.py -p {port} -d {dir}")
    return Start("python3 server.py", address=WIRED_ADDRESS)


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_BYTES).decode("utf-8", "replace")
