"""Gives up what is only needed to begin: the user, the groups and the permissions of whoever started it."""

import grp
import os
import pwd
from typing import NamedTuple

from greenserver.config.settings import Settings


class Identity(NamedTuple):
    """Whom to become."""

    user: int
    group: int
    name: str | None
    """The user's name, whose further groups come along; None if the user is a number without one."""


def find(settings: Settings) -> Identity | None:
    """Return whom settings name, by name or number; None if nobody.

    Raises OSError with a message for people if there is no such user or group.
    """
    if settings.user is None and settings.group is None:
        return None
    user, group, name = os.geteuid(), os.getegid(), None
    if settings.user is not None:
        try:
            entry = pwd.getpwuid(int(settings.user)) if settings.user.isdigit() else pwd.getpwnam(settings.user)
        except KeyError:
            message = f"there is no user {settings.user!r}; make it with useradd --system, or name another with --user"
            raise OSError(message) from None
        user, group, name = entry.pw_uid, entry.pw_gid, entry.pw_name
    if settings.group is not None:
        try:
            group = (
                grp.getgrgid(int(settings.group)) if settings.group.isdigit() else grp.getgrnam(settings.group)
            ).gr_gid
        except KeyError:
            message = f"there is no group {settings.group!r}; name another with --group"
            raise OSError(message) from None
    return Identity(user, group, name)


def drop(settings: Settings) -> None:
    """Become whom settings name, for good, with the umask they set.

    Raises OSError with a message for people if that is not allowed.
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
        message = f"cannot become user {identity.user}, group {identity.group}: {error.strerror}; only root can"
        raise OSError(message) from error
