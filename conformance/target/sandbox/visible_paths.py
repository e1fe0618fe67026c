"""Which paths a server in a sandbox sees: those that its programs need to run, and no others."""

import os
import shutil
import site
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import Final

_SYSTEM: Final = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/gnu/store"),
    "/sys/devices/system/cpu",  # the number of processors
)
_ETC: Final = (
    *("passwd", "group", "nsswitch.conf", "hosts", "host.conf", "protocols", "services", "localtime", "timezone"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "os-release", "mime.types", "locale.alias"),
    *("ssl/certs", "ssl/openssl.cnf", "pki", "crypto-policies", "java*", "jvm*", "python*", "perl*", "mono", "php*"),
)
DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")
_BINARIES: Final = frozenset({"bin", "sbin", "shims"})
_LIBRARIES: Final = ("bin", "lib", "lib64", "libexec", "include")
_INTERPRETER_BYTES: Final = 256
_MOST_LINKS: Final = 40
_MOST_INTERPRETERS: Final = 4


@dataclass(frozen=True)
class VisiblePaths:
    """Real directories and files, and the symbolic links by which they are reached."""

    real: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    """What each link says, by its path; links in what is visible are not among them."""


def visible_paths(paths: Iterable[str]) -> VisiblePaths:
    """Return what has to be visible for some paths to be reached, without what does not exist."""
    found = VisiblePaths()
    for path in sorted({os.path.abspath(path) for path in paths}):
        _add(path, found)
    kept: list[str] = []
    for path in sorted(found.real):
        if not any(is_below(path, above) for above in kept):
            kept.append(path)
    return VisiblePaths(kept, {link: text for link, text in found.links.items() if not is_below_any(link, kept)})


def _add(path: str, found: VisiblePaths) -> None:
    """Add a path that exists: its real name, and the links on the way there."""
    for _ in range(_MOST_LINKS):
        link = next((place for place in _places(path) if os.path.islink(place)), None)
        if link is None:
            if os.path.exists(path):
                found.real.append(path)
            return
        text = os.readlink(link)
        found.links[link] = text
        path = os.path.normpath(os.path.join(os.path.dirname(link), text) + path[len(link) :])


def _places(path: str) -> Iterator[str]:
    """Yield the directories on the way to a path, and the path."""
    parts = Path(path).parts
    for number in range(2, len(parts) + 1):
        yield str(Path(*parts[:number]))


def is_below(path: str, above: str) -> bool:
    """Return whether a path is another one, or below it, by their names."""
    return path == above or path.startswith(above.rstrip("/") + "/")


def is_below_any(path: str, places: Iterable[str]) -> bool:
    """Return whether a path is one of some, or below one of them."""
    return any(is_below(path, place) for place in places)


def needed_paths(words: Sequence[str], folder: str, home: str) -> set[str]:
    """Return the paths that a command needs to run in its folder, which is not among them.

    They are those of the system, the installation of each program that the command names, packages that the user
    has installed for Python, and files that the command names. The home itself is never among them.
    """
    found = {*_SYSTEM, *(path for name in _ETC for path in glob(f"/etc/{name}")), sys.prefix, sys.base_prefix}
    found |= {*glob(f"{site.getuserbase()}/lib/python*/site-packages")}
    for word in words:
        program = shutil.which(word, path=os.environ.get("PATH"))
        if program is not None and not os.path.isdir(program):
            found |= _installation(os.path.join(folder, program), home)
        path = os.path.join(folder, word)
        if "/" in word and os.path.isfile(path):
            found.add(_unless_home(str(Path(path).parent), home) or path)
        elif "/" in word and os.path.isdir(path):
            found.add(_unless_home(path, home))
    return {path for path in found if path and not is_below(home, str(Path(path).resolve()))}


def _unless_home(path: str, home: str) -> str:
    """Return a path, unless the home is it or below it."""
    return "" if is_below(home, os.path.realpath(path)) else path


def _installation(program: str, home: str, level: int = 0) -> set[str]:
    """Return the directories in which a program is installed, and those of its interpreter."""
    found = {program}
    path = program
    for _ in range(_MOST_LINKS):
        found |= _prefix(path, home)
        if not os.path.islink(path):
            break
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    for interpreter in _interpreters(path) if level < _MOST_INTERPRETERS else ():
        found |= _installation(interpreter, home, level + 1)
    return found


def _prefix(program: str, home: str) -> set[str]:
    """Return the directories that belong to a program in PREFIX/bin, or in a directory of its own."""
    directory = Path(program).parent
    prefix = directory.parent
    if directory.name not in _BINARIES:
        return {_unless_home(str(directory), home) or program}
    if prefix in {Path(home), Path(home, ".local")} or not _unless_home(str(prefix), home):
        return {str(prefix / name) for name in _LIBRARIES} - {str(prefix)}
    return {str(prefix), *_prefix_of_environment(prefix)}


def _prefix_of_environment(prefix: Path) -> Iterator[str]:
    """Yield the prefix of the Python on which a virtual environment is based, if there is one."""
    try:
        lines = (prefix / "pyvenv.cfg").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        name, _, value = line.partition("=")
        if name.strip() == "home" and value.strip():
            yield str(Path(os.path.realpath(value.strip())).parent)


def _interpreters(program: str) -> list[str]:
    """Return the interpreter that the first line of a script names, and the program that env(1) is to find."""
    try:
        with open(program, "rb") as file:
            line = file.readline(_INTERPRETER_BYTES)
    except OSError:
        return []
    words = os.fsdecode(line[2:]).split() if line.startswith(b"#!") else []
    found = [shutil.which(word) for word in words if not word.startswith("-")]
    return [path for path in found if path is not None]
