"""Drop privileges: switch to another user and group, and set the umask."""

import grp
import os
import pwd
from typing import NamedTuple

from greenserver.config.settings import Settings


class Identity(NamedTuple):
    """The user and group to switch to."""

    user: int
    group: int
    name: str | None
    """The name whose supplementary groups are taken too; None if no user was set."""


def find(settings: Settings) -> Identity | None:
    """Return the user and group of the settings, given by name or number; None if they set neither.

    Raise OSError with a readable message if the user or group does not exist.
    """
    if settings.user is None and settings.group is None:
        return None
    user, group, name = os.geteuid(), os.getegid(), None
    if settings.user is not None:
        try:
            entry = pwd.getpwuid(int(settings.user)) if settings.user.isdigit() else pwd.getpwnam(settings.user)
        except KeyError:
            message = f"no such user: {settings.user!r}; create it with useradd --system, or choose another with --user"
            raise OSError(message) from None
        user, group, name = entry.pw_uid, entry.pw_gid, entry.pw_name
    if settings.group is not None:
        try:
            group = (
                grp.getgrgid(int(settings.group)) if settings.group.isdigit() else grp.getgrnam(settings.group)
            ).gr_gid
        except KeyError:
            message = f"no such group: {settings.group!r}; choose another with --group"
            raise OSError(message) from None
    return Identity(user, group, name)


def drop(settings: Settings) -> None:
    """Switch to the user and group of the settings for good, and set their umask.

    Raise OSError with a readable message if that is not permitted.
    """
    if settings.umask is not None:
        os.umask(settings.umask)
    identity = find(settings)
    if identity is None or (identity.user, identity.group) == (os.geteuid(), os.getegid()) != (0, 0):
        return
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
