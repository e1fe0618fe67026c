"""End by a signal, also as process 1 of a container, for which the kernel ignores the default action of signals."""

import os
import signal
from types import FrameType
from typing import Final, NoReturn

_FIRST_PROCESS: Final = 1  # see pid_namespaces(7)
_SIGNALLED: Final = 128  # the exit status of a shell for a program that a signal ended, less the signal's number


def end_by(number: int) -> NoReturn:
    """End this process at once by a signal; process 1 exits with the status that a shell gives for it."""
    signal.signal(number, signal.SIG_DFL)
    if os.getpid() != _FIRST_PROCESS:
        os.kill(os.getpid(), number)
    os._exit(_SIGNALLED + number)


def end_on(number: int) -> None:
    """Let a signal end this process at once from now on."""
    if os.getpid() == _FIRST_PROCESS:
        signal.signal(number, _end)
    else:
        signal.signal(number, signal.SIG_DFL)  # needs no interpreter that still takes turns


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    end_by(number)
