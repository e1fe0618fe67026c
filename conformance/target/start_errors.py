"""Explain why a server did not start: a table of error messages, with what to do about each."""

import re
import shlex
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from conformance.client.address import Address
from conformance.model.tracebacks import decisive_line, excerpt
from conformance.target.output import one_line, quote
from conformance.target.sockets import Listener, can_bind, resolve
from conformance.target.start_files import build_hint, interpreter_of, manifest_of, shebang_of

_LAST_LINES: Final = 200
"""How many lines of the output are searched for an error outside the decisive line."""
_SHOWN_LINES: Final = 16
_SHOWN_CHARACTERS: Final = 300
_SIGNAL_STATUS: Final = 256
"""A guard exits with 256 - SIGNAL for a server that a signal has killed."""
_EXCEPTION: Final = re.compile(r"Exception in thread |Caused by: |[\w.]+(Error|Exception)\b")
_SIGNALS: Final = frozenset(int(number) for number in signal.Signals)


class ServerStartError(Exception):
    """The server cannot be started; the message says why, in one line.

    `output` has lines that the server printed, if these say more.
    """

    def __init__(self, message: str, output: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.output = tuple(output)


class AddressInUseError(ServerStartError):
    """The server could not bind its address: it is in use."""


@dataclass(frozen=True)
class FailedStart:
    """A server that was started, but does not listen."""

    command: str
    """As the user wrote it."""
    words: list[str]
    """The command's arguments, with {port}, {dir} and {host} filled in."""
    directory: Path
    """Where it was started."""
    address: Address
    output: str
    """Its output since this start."""
    status: int | None = None
    """Its exit status; None while it runs."""
    holder: str = ""
    """The process that listens at the address."""

    @property
    def is_address_in_use(self) -> bool:
        """Whether the server exited because its address was in use."""
        return self._found is not None and self._found[0] is ADDRESS_IN_USE

    def explain(self) -> str:
        """Explain in one line why the server exited, and what to do."""
        if self._found is not None:
            row, match, line = self._found
            return one_line(row.explain(self, match) + (f" (it printed: {quote(line)})" if row.is_quoted else ""))
        line = decisive_line(self.output)
        what = quote(line) if line else f"it printed nothing and {self._exit()}"
        return f"the server ended before it accepted a connection: {what}"

    def explain_silence(self, other: Listener | None, *, takes_port: bool) -> str:
        """Explain in one line that the server runs without listening on its address, but perhaps on `other`."""
        if other is not None:
            why = self._why_elsewhere(other, takes_port=takes_port)
            return f"the server does not listen on {self.address}; it listens on {other} instead: {why}"
        message = f"the server does not listen on {self.address}"
        if self.holder:
            message += f", where {self.holder} listens"
        if self._found is not None:
            return f"{message}: {self.explain()}"
        line = decisive_line(self.output)
        return message + (f"; it printed: {quote(line)}" if line else "; it printed nothing")

    def excerpt(self) -> list[str]:
        """Return the lines of its output that show why, where they say more than the explanation."""
        lines = [] if self._found is not None else excerpt(self.output, _SHOWN_LINES)
        return [line[:_SHOWN_CHARACTERS] for line in lines] if len(lines) > 1 else []

    def _why_elsewhere(self, other: Listener, *, takes_port: bool) -> str:
        if other.port == self.address.port:
            return f"give {other} as the address, or let it listen on {self.address.host}"
        return "does it ignore {port}?" if takes_port else f"give {other} as the address, or {{port}} to the command"

    def _exit(self) -> str:
        if self.status is None:
            return "runs"
        if self.status == 0:
            return "exited with status 0 (a server has to stay in the foreground)"
        if _SIGNAL_STATUS - self.status in _SIGNALS:
            return f"was ended by {signal.Signals(_SIGNAL_STATUS - self.status).name}"
        return f"exited with status {self.status}"

    @cached_property
    def _found(self) -> "tuple[StartError, re.Match[str], str] | None":
        """The first row that matches the decisive line, or else the last line that any row matches.

        A usage text before an exception is not the reason why the server exited.
        """
        decisive = decisive_line(self.output)
        lines = [line for line in self.output.splitlines() if line.strip()][-_LAST_LINES:]
        for line in [decisive, *reversed(lines)]:
            for row in START_ERRORS:
                if row is COMMAND_LINE_REFUSED and line != decisive and _EXCEPTION.match(decisive):
                    continue
                if match := row.pattern.search(line):
                    return row, match, line
        return None


@dataclass(frozen=True, eq=False)
class StartError:
    """A row of the table: the explanation of a line of output."""

    pattern: re.Pattern[str]
    explain: Callable[[FailedStart, "re.Match[str]"], str]
    is_quoted: bool = True
    """Whether to quote the line: the server printed it, not the guard."""


def _missing_file(failed: FailedStart, match: "re.Match[str]") -> str:
    """Explain that a program or script does not exist: it has to be built, or the path is wrong."""
    file = match["file"].strip()
    path = failed.directory / file
    if path.is_file():
        if shebang := shebang_of(path):
            return f"cannot run {file}: its first line names an interpreter that does not exist: #!{shebang}"
        return f"cannot run {file}: it was built for another system: build it on this one"
    is_program = "/" not in file and not path.suffix
    hint = "" if is_program else build_hint(file, failed.words, failed.command, failed.directory)
    if hint:
        return f"{file} does not exist, and {hint}"
    if is_program:
        return f"cannot run {file}: there is no such program on PATH (one in --cwd is called ./{file})"
    where = "" if path.is_absolute() and file.startswith("/") else f" in {failed.directory.resolve()}"
    return f"cannot run {file}: it does not exist{where}: is the path right, and --cwd?"


def _missing_class(failed: FailedStart, match: "re.Match[str]") -> str:
    name = match["file"]
    hint = build_hint(f"{name}.class", failed.words, failed.command, failed.directory)
    if hint:
        return f"Java does not find the class {name}, and {hint}"
    return f"Java does not find the class {name}: are its name, the class path (-cp) and --cwd right?"


def _not_executable(failed: FailedStart, match: "re.Match[str]") -> str:
    file = match["file"].strip()
    if (failed.directory / file).is_dir():
        return f"cannot run {file}: it is a directory"
    return f"cannot run {file}: it is not executable: chmod +x {file}, or name its interpreter in the command"


def _no_format(failed: FailedStart, match: "re.Match[str]") -> str:
    del failed
    file = match["file"].strip()
    return (
        f"cannot run {file}: it is neither a program for this system nor a script that begins with #!: "
        "build it here, or name its interpreter in the command"
    )


def _missing_module(failed: FailedStart, match: "re.Match[str]") -> str:
    """Explain that a module is not installed for the interpreter that the command starts."""
    module = match["module"].strip()
    language, path = interpreter_of(failed.words, failed.directory)
    manifest = manifest_of(language, failed.words, failed.directory)
    interpreter = path or "the interpreter that the command starts"
    message = f"the server needs the module {module}, which is not installed for {interpreter}: install it for that one"
    if language == "python":
        wanted = f"-r {manifest}" if manifest is not None and manifest.name == "requirements.txt" else ""
        message += f" ({interpreter} -m pip install {wanted or module.partition('.')[0]})"
    elif language == "node" and manifest is not None:
        message += f" (npm install, in {manifest.parent})"
    if manifest is not None and manifest.name not in message:
        message += f"; {manifest} names what it needs"
    return message


def _missing_own_class(failed: FailedStart, match: "re.Match[str]") -> str:
    _, path = interpreter_of(failed.words, failed.directory)
    name = match["module"].replace("/", ".")
    return (
        f"the server needs the class {name}, which {path or 'java'} does not find: put its jar on the class path (-cp)"
    )


def _missing_library(failed: FailedStart, match: "re.Match[str]") -> str:
    del failed
    return (
        f"the server needs the shared library {match['module']}, which is not installed on this system: install it, or "
        "build the server here"
    )


def _in_use(failed: FailedStart, match: "re.Match[str]") -> str:
    """Explain that the address is in use, by a process or by sockets in TIME_WAIT, or that a different port is."""
    del match
    if failed.holder:
        return f"{failed.address} is in use by {failed.holder}: stop it, or choose another port"
    if not failed.address.path and can_bind(failed.address.port, resolve(failed.address)):
        return f"the server's port is taken, but {failed.address} is free: does it ignore {{port}}?"
    return (
        f"{failed.address} is taken, although nothing listens there: connections of a server that ended less than a "
        "minute ago keep a port, unless the next server sets SO_REUSEADDR before bind"
    )


def _foreign_address(failed: FailedStart, match: "re.Match[str]") -> str:
    del match
    return f"the server binds an address that this machine does not have: does it listen on {failed.address}?"


def _refused_command_line(failed: FailedStart, match: "re.Match[str]") -> str:
    del match
    return f"the server refused its command line: {shlex.join(failed.words)}"


def _fixed(text: str) -> Callable[[FailedStart, "re.Match[str]"], str]:
    return lambda _failed, _match: text


def _row(
    pattern: str, explain: Callable[[FailedStart, "re.Match[str]"], str], *, is_quoted: bool = True, flags: int = 0
) -> StartError:
    return StartError(re.compile(pattern, flags), explain, is_quoted)


_SH: Final = r"^\S*sh: (?:line )?(?:\d+: )?(?:exec: )?"
_QUOTED: Final = r"[\u2018'\"`]?(?P<file>[^\u2018\u2019'\"`]+?)[\u2019'\"`]?"
_NOT_FOUND: Final = (
    r"(?:not found|command not found|[Nn]o such file or directory|cannot execute: required file not found)"
)

ADDRESS_IN_USE: Final = _row(
    r"address (is )?already in use|EADDRINUSE|address in use|Errno 98\b", _in_use, flags=re.IGNORECASE
)

COMMAND_LINE_REFUSED: Final = _row(
    r"unrecognized (?:arguments?|options?)|unexpected argument|flag provided but not defined|error: argument "
    r"|(?:unknown|invalid|illegal|bad|no such) (?:option|flag|argument|switch)|invalid (?:choice|value)"
    r"|arguments? (?:is|are) required|requires an? (?:argument|value)|wrong number of arguments"
    r"|(?:not enough|too few|too many|missing) arguments?|^\W*usage\b",
    _refused_command_line,
    flags=re.IGNORECASE,
)

START_ERRORS: Final = (
    _row(r"^\S+:\d+(?::\d+)?: (?:fatal )?error: ", _fixed("the server cannot be compiled")),
    ADDRESS_IN_USE,
    # A program, script or class does not exist.
    _row(r"^cannot run (?P<file>.+): No such file or directory$", _missing_file, is_quoted=False),
    _row(rf"{_SH}(?P<file>[^:]+): {_NOT_FOUND}$", _missing_file),
    _row(r"^zsh:\d+: (?:command not found|no such file or directory): (?P<file>.+)$", _missing_file),
    _row(rf"failed to (?:run|execute)(?: command)? {_QUOTED}: No such file", _missing_file),
    _row(rf"^\S*(?:env|nice|nohup|setsid): {_QUOTED}: No such file or directory$", _missing_file),
    _row(rf"can't open file {_QUOTED}: \[Errno 2\]", _missing_file),
    _row(rf"Can't open perl script {_QUOTED}: No such file", _missing_file),
    _row(r"No such file or directory -- (?P<file>\S+) \(LoadError\)", _missing_file),
    _row(r"Unable to access jarfile (?P<file>.+)", _missing_file),
    _row(r"Could not find or load main class (?P<file>\S+)", _missing_class),
    _row(r"Cannot find module '(?P<file>[./][^']*)'", _missing_file),
    _row(r"could not find `Cargo.toml`|go.mod file not found", _fixed("--cwd names no directory of a project")),
    # A program or script cannot be executed.
    _row(r"^cannot run (?P<file>.+): Permission denied$", _not_executable, is_quoted=False),
    _row(rf"{_SH}(?P<file>[^:]+): Permission denied$", _not_executable),
    _row(rf"failed to (?:run|execute)(?: command)? {_QUOTED}: Permission denied", _not_executable),
    _row(r"^cannot run (?P<file>.+): Exec format error$", _no_format, is_quoted=False),
    _row(rf"{_SH}(?P<file>[^:]+): (?:cannot execute binary file: )?Exec format error$", _no_format),
    # A module, class or library is not installed.
    _row(r"(?:^|: )No module named '?(?P<module>[^\s';]+)", _missing_module),
    _row(r"Cannot find (?:module|package) '(?P<module>[^./'][^']*)'", _missing_module),
    _row(r"Can't locate (?P<module>\S+)(?: in @INC|\.pm)", _missing_module),
    _row(r"cannot load such file -- (?P<module>\S+)", _missing_module),
    _row(r"(?:NoClassDefFoundError|ClassNotFoundException): (?P<module>[\w/.$]+)", _missing_own_class),
    _row(r"error while loading shared libraries: (?P<module>[^:]+):", _missing_library),
    _row(r"version `(?P<module>[^']+)' not found", _missing_library),
    _row(
        r"UnsupportedClassVersionError",
        _fixed(
            "the server was compiled for a newer Java than the one that the command starts: compile it with that one"
        ),
    ),
    # The server cannot use the address or the command line.
    _row(r"(?:Cannot|Can't) assign requested address|EADDRNOTAVAIL|Errno 99\b", _foreign_address, flags=re.IGNORECASE),
    COMMAND_LINE_REFUSED,
)
"""The known error messages; the first matching row wins."""
