"""Drop privileges: switch to another user and group."""

import grp
import os
import pwd
from collections.abc import Callable
from typing import Final, NamedTuple

from greenserver.config.settings import Settings

_HIGHEST_ID: Final = 2**32 - 2  # the next one means "no change" to setresuid(2)


class Identity(NamedTuple):
    """The user and group to switch to."""

    user: int
    group: int
    name: str | None
    """The name whose supplementary groups are taken too; None if no user was set."""


def find(settings: Settings) -> Identity | None:
    """Return the user and group of the settings, given by name or number; None if they set neither.

    A number needs no entry in the user database; without one, the user's group has the same number.

    Raise OSError with a readable message if the user or group does not exist.
    """
    if settings.user is None and settings.group is None:
        return None
    user, group, name = os.geteuid(), os.getegid(), None
    if settings.user is not None:
        number = _number(settings.user)
        try:
            entry = pwd.getpwnam(settings.user) if number is None else pwd.getpwuid(number)
        except KeyError:
            if number is None:
                hint = "create it with useradd --system, or choose another with --user"
                message = f"no such user: {settings.user!r}; {hint}"
                raise OSError(message) from None
            user, group = number, number
        else:
            user, group, name = entry.pw_uid, entry.pw_gid, entry.pw_name
    if settings.group is not None:
        number = _number(settings.group)
        try:
            group = grp.getgrnam(settings.group).gr_gid if number is None else number
        except KeyError:
            message = f"no such group: {settings.group!r}; choose another with --group"
            raise OSError(message) from None
    return Identity(user, group, name)


def rehearse(settings: Settings, look: Callable[[], bytes]) -> bytes:
    """Return what a function returns after `drop`, called in a child process unless there is nothing to drop.

    Raise OSError with a readable message if privileges cannot be dropped so.
    """
    if find(settings) is None:
        return look()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        answer = b"-"
        try:
            drop(settings)
            answer = b"+" + look()
        except BaseException as error:  # noqa: BLE001  (the parent reports it, and the child must not go on)
            answer += str(error).encode(errors="surrogateescape")
        finally:
            os.write(writer, answer)
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        kind, answer = pipe.read(1), pipe.read()
    os.waitpid(child, 0)
    if kind != b"+":
        raise OSError(answer.decode(errors="surrogateescape"))
    return answer


def _number(text: str) -> int | None:
    """Return a user or group that is given as a number, or None.

    Raise OSError with a readable message if the number is too high.
    """
    if not (text.isascii() and text.isdigit()):
        return None
    if int(text) > _HIGHEST_ID:
        message = f"no such user or group: {text!r}; the highest is {_HIGHEST_ID}"
        raise OSError(message)
    return int(text)


def drop(settings: Settings) -> None:
    """Switch to the user and group of the settings for good.

    Raise OSError with a readable message if that is not permitted.
    """
    identity = find(settings)
    if identity is None or (identity.user, identity.group) == (os.geteuid(), os.getegid()) != (0, 0):
        return
    from greenserver.net import socket_file  # noqa: PLC0415  (imports sockets, which must be patched first)

    socket_file.keep_removable()
    try:
        if identity.name is None:
            os.setgroups([identity.group])
        else:
            os.initgroups(identity.name, identity.group)
        os.setresgid(identity.group, identity.group, identity.group)
        os.setresuid(identity.user, identity.user, identity.user)
    except OSError as error:
        message = f"cannot switch to user {identity.user}, group {identity.group}: {error.strerror}; only root can"
        raise OSError(message) from error
