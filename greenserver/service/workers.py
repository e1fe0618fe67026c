"""Serve with several worker processes: open what they share, then run the supervisor."""

import contextlib
import os
import socket
import sys

from greenserver.admin.process import Admin
from greenserver.config.addresses import UNIX_PREFIX
from greenserver.config.settings import Settings
from greenserver.net.listening import close_listener, open_listener
from greenserver.service import preflight, privileges, rlimits, systemd
from greenserver.service.reload import Announce, Reread, configure_log
from greenserver.service.signals import end_by
from greenserver.service.supervisor import Supervisor
from greenserver.telemetry.uncaught import log_uncaught


def run(settings: Settings, announce: Announce, reread: Reread) -> None:
    """Serve with several processes until a signal stops them.

    Raise OSError with a readable message if that is impossible.
    """
    configure_log(settings)
    log_uncaught()
    preflight.check(settings)
    rlimits.raise_limit()
    with contextlib.ExitStack() as stack:
        listener = systemd.inherited_listener(settings.address)
        is_own = listener is None
        if listener is None:
            listener = open_listener(settings.address, settings.port)
        owner = os.getpid()
        stack.callback(_close_if_still, owner, listener)
        admin = None
        if settings.admin is not None:
            admin = stack.enter_context(Admin(settings.admin, settings.log_format))
            if (identity := privileges.find(settings)) is not None:
                admin.give_to(identity.user, identity.group)
        supervisor = Supervisor(settings, reread, admin, listener, is_own=is_own)
        supervisor.catch_signals()  # the reader of the announcement may send one
        name = listener.getsockname()
        announce(*((str(name[0]), int(name[1])) if isinstance(name, tuple) else (UNIX_PREFIX + str(name), 0)))
        status = supervisor.run()
    if status < 0:
        end_by(-status)
    if status:
        sys.exit(status)


def _close_if_still(owner: int, listener: socket.socket) -> None:
    """Close a listener in the process that opened it, not in its forked children."""
    if os.getpid() == owner:
        close_listener(listener)
