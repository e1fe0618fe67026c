"""One serving process: make a server from settings, serve, and handle signals."""

import contextlib
import signal
import socket
from types import FrameType
from typing import TYPE_CHECKING, Final

from greenserver.config.settings import Settings
from greenserver.files.store import FileStore
from greenserver.io import allocator
from greenserver.server import Server
from greenserver.service import privileges, rlimits, systemd
from greenserver.service.heartbeat import start_heartbeat
from greenserver.service.reload import (
    Announce,
    Reload,
    Reread,
    configure_log,
    serving_options,
)
from greenserver.service.signals import end_on
from greenserver.telemetry.metrics_interface import SILENT, Metrics
from greenserver.telemetry.uncaught import log_uncaught

if TYPE_CHECKING:
    from greenserver.admin.process import Admin

_STOPPING: Final = (signal.SIGINT, signal.SIGTERM)


def check(settings: Settings) -> None:
    """Check everything that can be checked without listening.

    Raise OSError with a readable message for a missing directory, user or group, or an unusable certificate.
    """
    try:
        FileStore(settings.directory, hidden=settings.hidden).close()
    except OSError as error:
        message = f"cannot serve {settings.directory}: {error.strerror}"
        raise OSError(message) from error
    serving_options(settings)
    privileges.find(settings)


def run(settings: Settings, announce: Announce, reread: Reread) -> None:
    """Serve in this process until a signal stops it.

    Raise OSError with a readable message if that is impossible.
    """
    configure_log(settings)
    log_uncaught()
    rlimits.raise_limit()
    with contextlib.ExitStack() as stack:
        admin, metrics = _watched(stack, settings)
        listener = systemd.inherited_listener(settings.address)
        server = stack.enter_context(make_server(settings, listener, metrics))
        _obey(server, settings, reread, admin)
        announce(server.host, server.port)
        if admin is not None and (identity := privileges.find(settings)) is not None:
            admin.give_to(identity.user, identity.group)
        privileges.drop(settings)
        if admin is not None:
            admin.watch()
            admin.memory.set_serving()
            start_heartbeat(metrics.loop_lag, admin.watch)
        systemd.notify("READY=1")
        try:
            server.serve()
        finally:
            signal.set_wakeup_fd(-1)


def _watched(stack: contextlib.ExitStack, settings: Settings) -> "tuple[Admin | None, Metrics]":
    """Return the admin endpoint and its metrics; if the settings have none, None and silent metrics."""
    if settings.admin is None:
        return None, SILENT
    from greenserver.admin.process import Admin  # noqa: PLC0415  (rarely used, and the start must be fast)

    admin = stack.enter_context(Admin(settings.admin, settings.log_format))
    admin.prepare()
    return admin, admin.metrics()


def make_server(settings: Settings, listener: socket.socket | None, metrics: Metrics) -> Server:
    """Return a server for the settings, which opens its own listener unless it is given one.

    Also set how this process allocates memory.

    Raise OSError with a readable message if a certificate or a key is unusable.
    """
    allocator.configure()
    return Server(
        settings.directory,
        address=settings.address,
        port=settings.port,
        engine=settings.engine,
        metrics=metrics,
        listener=listener,
        **serving_options(settings),
    )


def _obey(server: Server, settings: Settings, reread: Reread, admin: "Admin | None") -> None:
    """Reload on SIGHUP, and stop on the first SIGINT or SIGTERM; a second one ends the process at once."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in _STOPPING:
            end_on(number)
        if admin is not None:
            admin.memory.set_draining()
        systemd.notify("STOPPING=1")
        server.stop()

    # Otherwise a signal that arrives just before a wait, or in another thread, would not interrupt the wait.
    signal.set_wakeup_fd(server.wakeup_fileno(), warn_on_full_buffer=False)
    reload = Reload(server, settings, reread)
    signal.signal(signal.SIGHUP, lambda _number, _frame: reload.ask())
    for number in _STOPPING:
        signal.signal(number, stop)
