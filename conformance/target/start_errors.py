"""Explain what a server printed that did not start: a table of error messages, with what to do about each."""

import os
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from conformance.language import Message
from conformance.target.sockets import can_bind, resolve
from conformance.target.start_files import build_hint, interpreter_of, manifest_of, shebang_of

if TYPE_CHECKING:
    from conformance.target.failed_start import FailedStart

Explain = Callable[["FailedStart", "re.Match[str]"], Message]
"""Explains a failed start, given the match of a row's pattern."""


@dataclass(frozen=True, eq=False)
class StartError:
    """A row of the table: the explanation of a line of output."""

    pattern: re.Pattern[str]
    explain: Explain
    is_quoted: bool = True
    """Whether to quote the line: the server printed it, not the guard."""


def _missing_file(failed: "FailedStart", match: "re.Match[str]") -> Message:
    """Explain that a program or script does not exist: it has to be built, or the path is wrong."""
    file = match["file"].strip()
    path = failed.directory / file
    if path.is_file():
        if shebang := shebang_of(path):
            return Message(
                "cannot run {file}: its first line names an interpreter that does not exist: #!{shebang}",
                file=file,
                shebang=shebang,
            )
        return Message("cannot run {file}: it was built for another system: build it on this one", file=file)
    is_program = "/" not in file and not path.suffix
    hint = "" if is_program else build_hint(file, failed.words, failed.command, failed.directory)
    if hint:
        return Message("{file} does not exist, and {hint}", file=file, hint=hint)
    if is_program:
        return Message(
            "cannot run {file}: there is no such program on PATH (one in --cwd is called ./{file})", file=file
        )
    if path.is_absolute() and file.startswith("/"):
        return Message("cannot run {file}: it does not exist: is the path right, and --cwd?", file=file)
    where = failed.directory.resolve()
    return Message(
        "cannot run {file}: it does not exist in {where}: is the path right, and --cwd?", file=file, where=where
    )


def _missing_class(failed: "FailedStart", match: "re.Match[str]") -> Message:
    name = match["file"]
    hint = build_hint(f"{name}.class", failed.words, failed.command, failed.directory)
    if hint:
        return Message("Java does not find the class {name}, and {hint}", name=name, hint=hint)
    return Message(
        "Java does not find the class {name}: are its name, the class path (-cp) and --cwd right?", name=name
    )


def _not_executable(failed: "FailedStart", match: "re.Match[str]") -> Message:
    file = match["file"].strip()
    if (failed.directory / file).is_dir():
        return Message("cannot run {file}: it is a directory", file=file)
    return Message(
        "cannot run {file}: it is not executable: chmod +x {file}, or name its interpreter in the command", file=file
    )


def _not_for_user(failed: "FailedStart", match: "re.Match[str]") -> Message:
    """Explain that the user of a sandbox, whom a suite of root takes, may not run what root may."""
    file = match["file"].strip()
    path = failed.directory / (shutil.which(file) or file)
    if path.is_dir() or not os.access(path, os.X_OK):  # nobody may
        return _not_executable(failed, match)
    return Message(
        "cannot run {file} as user {user}, whom the sandbox takes because the suite runs as root: let all users read"
        " and run it and the directories above it, give a program that they may run, or run the suite as another user",
        file=file,
        user=match["user"],
    )


def _no_format(failed: "FailedStart", match: "re.Match[str]") -> Message:
    del failed
    file = match["file"].strip()
    return Message(
        "cannot run {file}: it is neither a program for this system nor a script that begins with #!: "
        "build it here, or name its interpreter in the command",
        file=file,
    )


def _missing_module(failed: "FailedStart", match: "re.Match[str]") -> Message:
    """Explain that a module is not installed for the interpreter that the command starts."""
    module = match["module"].strip()
    language, path = interpreter_of(failed.words, failed.directory)
    manifest = manifest_of(language, failed.words, failed.directory)
    interpreter = path or Message("the interpreter that the command starts")
    message = Message(
        "the server needs the module {module}, which is not installed for {interpreter}: install it for that one",
        module=module,
        interpreter=interpreter,
    )
    if language == "python":
        wanted = f"-r {manifest}" if manifest is not None and manifest.name == "requirements.txt" else ""
        command = Message("{interpreter} -m pip install", interpreter=interpreter)
        wanted = wanted or module.partition(".")[0]
        message = Message("{message} ({command} {wanted})", message=message, command=command, wanted=wanted)
    elif language == "node" and manifest is not None:
        message = Message("{message} (npm install, in {directory})", message=message, directory=manifest.parent)
    if manifest is not None and manifest.name not in message:
        message = Message("{message}; {manifest} names what it needs", message=message, manifest=manifest)
    return message


def _missing_own_class(failed: "FailedStart", match: "re.Match[str]") -> Message:
    _, path = interpreter_of(failed.words, failed.directory)
    name = match["module"].replace("/", ".")
    return Message(
        "the server needs the class {name}, which {java} does not find: put its jar on the class path (-cp)",
        name=name,
        java=path or "java",
    )


def _missing_library(failed: "FailedStart", match: "re.Match[str]") -> Message:
    del failed
    return Message(
        "the server needs the shared library {library}, which is not installed on this system: install it, or "
        "build the server here",
        library=match["module"],
    )


def _in_use(failed: "FailedStart", match: "re.Match[str]") -> Message:
    """Explain that the address is in use, by a process or by sockets in TIME_WAIT, or that a different port is."""
    del match
    if failed.holder:
        return Message(
            "{address} is in use by {holder}: stop it, or choose another port",
            address=failed.address,
            holder=failed.holder,
        )
    if not failed.address.path and can_bind(failed.address.port, resolve(failed.address)):
        return Message(
            "the server's port is taken, but {address} is free: does it ignore {port}?", address=failed.address
        )
    return Message(
        "{address} is taken, although nothing listens there: connections of a server that ended less than a "
        "minute ago keep a port, unless the next server sets SO_REUSEADDR before bind",
        address=failed.address,
    )


def _foreign_address(failed: "FailedStart", match: "re.Match[str]") -> Message:
    del match
    return Message(
        "the server binds an address that this machine does not have: does it listen on {address}?",
        address=failed.address,
    )


def _refused_command_line(failed: "FailedStart", match: "re.Match[str]") -> Message:
    del match
    return Message("the server refused its command line: {words}", words=shlex.join(failed.words))


def _fixed(text: Message) -> Explain:
    return lambda _failed, _match: text


def _row(
    pattern: str,
    explain: Explain,
    *,
    is_quoted: bool = True,
    flags: int = 0,
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
    _row(r"^\S+:\d+(?::\d+)?: (?:fatal )?error: ", _fixed(Message("the server cannot be compiled"))),
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
    _row(
        r"could not find `Cargo.toml`|go.mod file not found", _fixed(Message("--cwd names no directory of a project"))
    ),
    # A program or script cannot be executed.
    _row(r"^cannot run (?P<file>.+) as user (?P<user>\d+): Permission denied$", _not_for_user, is_quoted=False),
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
            Message(
                "the server was compiled for a newer Java than the one that the command starts: compile it with that"
                " one"
            )
        ),
    ),
    # The server cannot use the address or the command line.
    _row(r"(?:Cannot|Can't) assign requested address|EADDRNOTAVAIL|Errno 99\b", _foreign_address, flags=re.IGNORECASE),
    COMMAND_LINE_REFUSED,
)
"""The known error messages; the first matching row wins."""
