"""The configuration file: read it, and check each value by the table of options."""

import errno
import os
import stat
import sys
from collections.abc import Callable
from select import POLLIN, poll  # as it is before patching: a reload waits in a native thread
from typing import Any, Final

import click

from greenserver.config import limits
from greenserver.config.settings import OPTIONS, ConfigurationError, closest

_BY_KEY: Final = {option.key: option for option in OPTIONS}
_PART_BYTES: Final = 1 << 16


def read_file(path: str) -> dict[str, Any]:
    """Return the checked values of a file, by the names of the table.

    Raise ConfigurationError, with the file, the key and the allowed values, if anything is wrong.
    """
    try:
        values = _toml_loads()(_read(path).decode("utf-8-sig"))  # some editors begin a file with a BOM
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise ConfigurationError(message) from error
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError
        message = f"{path} is not TOML: {error}"
        raise ConfigurationError(message) from error
    return {key.replace("-", "_"): _check(path, key, value) for key, value in values.items()}


def _read(path: str) -> bytes:
    """Return the content of a file, or of a FIFO as far as it comes in time: a reload must not wait for ever.

    Raise OSError if it cannot be read.
    """
    parts: list[bytes] = []
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
        if not stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
            return file.read()  # not every event loop waits for a file, which is always readable
        waiting = poll()
        waiting.register(file.fileno(), POLLIN)
        while waiting.poll(limits.CONFIG_SECONDS * 1000):
            part = file.read(_PART_BYTES)
            if not part:
                return b"".join(parts)
            parts.append(part)
    reason = "the writer of this FIFO does not end" if parts else "nothing comes from this FIFO (again?); use a file"
    raise OSError(errno.ETIMEDOUT, reason)


def _check(path: str, key: str, value: object) -> object:
    if isinstance(value, dict):
        message = f"{path}: a file has no sections; write the keys of [{key}] as they are, such as port = 19500"
        raise ConfigurationError(message)
    option = _BY_KEY.get(key)
    if option is None:
        message = f"{path}: unknown key {key!r}{_suggest(key)}"
        raise ConfigurationError(message)
    kind = option.kind
    items = value if kind.is_many and isinstance(value, list) else [value]
    is_right_form = isinstance(value, list) == kind.is_many
    # `True` is an int in Python, but not a valid port.
    if not is_right_form or not all(type(item) in kind.in_file for item in items):
        message = f"{path}: {key} must be {kind.description}, not {value!r}"
        raise ConfigurationError(message)
    try:
        converted = [kind.converter.convert(item, None, None) for item in items]
    except click.BadParameter as error:
        message = f"{path}: {key}: {error.message}"
        raise ConfigurationError(message) from error
    return converted if kind.is_many else converted[0]


def _suggest(key: str) -> str:
    close = closest(key.replace("_", "-"), _BY_KEY, 0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; the keys are {', '.join(_BY_KEY)}"


def _toml_loads() -> Callable[[str], dict[str, Any]]:
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415  (only needed with a file)
    else:
        import tomli as tomllib  # noqa: PLC0415  (the same, before Python 3.11)
    return tomllib.loads
