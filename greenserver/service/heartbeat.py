"""The heartbeat: measure once a second how late the event loop is, which is how long no client was served."""

import logging
from _thread import start_new_thread
from collections.abc import Callable
from time import monotonic, sleep
from typing import Final

from greenserver.telemetry.log import report

_log = logging.getLogger(__name__)

BEAT_SECONDS: Final = 1.0


def start_heartbeat(*callbacks: Callable[[float], object]) -> None:
    """Call functions about once a second, with the delay of the call in seconds.

    Under gevent this is the lag of the event loop; otherwise, of one thread among the others.
    """
    start_new_thread(_beat, (callbacks,))


def _beat(callbacks: tuple[Callable[[float], object], ...]) -> None:
    while True:
        asleep = monotonic()
        sleep(BEAT_SECONDS)
        lag_seconds = max(0.0, monotonic() - asleep - BEAT_SECONDS)
        for callback in callbacks:
            _try(callback, lag_seconds)


def _try(callback: Callable[[float], object], lag_seconds: float) -> None:
    try:
        callback(lag_seconds)
    except Exception as error:  # noqa: BLE001  (the heartbeat must go on)
        report(_log, logging.ERROR, "heartbeat failed", error=error)
