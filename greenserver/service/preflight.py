"""Read and check a configuration in a child process.

The check imports modules that workers may import only after patching, and it opens files and directories that may lie
on a file system that hangs.
"""

import contextlib
import dataclasses
import os
import pickle
import select
import signal
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Final, Generic, NamedTuple, NoReturn, TypeVar

from greenserver.config import limits
from greenserver.config.settings import Settings, kept_until_restart
from greenserver.service.deadline import TooLateError
from greenserver.service.inspection import Finding, inspect_as_user
from greenserver.service.reload import Reread
from greenserver.service.worker_watchdog import fork

_ANSWER_BYTES: Final = 1 << 16

Read = TypeVar("Read")


class Trial(Generic[Read]):
    """A call in a child process, whose result arrives on a pipe.

    The constructor raises OSError if the system cannot start another process.
    """

    def __init__(self, call: Callable[[], Read]) -> None:
        self.child, self._pipe = fork()
        if not self.child:
            _answer(call, self._pipe)
        os.set_blocking(self._pipe, False)
        self._received = b""
        self.has_ended = False
        """Whether all of the result has been received."""

    def fileno(self) -> int:
        """Return the descriptor on which the result arrives."""
        return self._pipe

    def receive(self) -> None:
        """Receive what has arrived."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._pipe, _ANSWER_BYTES):
                self._received += data
            self.has_ended = True

    def result(self) -> Read:
        """Return what the call returned.

        Raise OSError with a readable message: that of what it raised, or that the result has not arrived.
        """
        if not self.has_ended:
            raise TooLateError
        try:
            problem, result = pickle.loads(self._received)  # noqa: S301  (from our own child)
        except (EOFError, pickle.UnpicklingError):
            problem, result = "the process that checked the configuration was killed", None
        if problem:
            raise OSError(problem)
        return result  # type: ignore[no-any-return]  # what the call returned

    def close(self) -> bool:
        """Kill the child if it still runs, and return whether it did not.

        The caller must reap it; if its file system hangs, it may end much later.
        """
        self.receive()
        if not self.has_ended:  # otherwise its process id may be another's by now
            os.kill(self.child, signal.SIGKILL)
        os.close(self._pipe)
        return self.has_ended

    def wait(self) -> Read:
        """Wait for the result, close, and return or raise as `result` does."""
        deadline = monotonic() + limits.RELOAD_SECONDS
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        try:
            while not self.has_ended and (left := deadline - monotonic()) > 0:
                poll.poll(left * 1000)
                self.receive()
            return self.result()
        finally:
            self.close()
            os.waitpid(self.child, 0 if self.has_ended else os.WNOHANG)


def check(settings: Settings) -> None:
    """Check settings in a child process.

    Raise OSError with a readable message if they are wrong or the check takes too long, or if the system cannot start
    another process.
    """
    Trial(partial(check_here, settings)).wait()


def check_here(settings: Settings) -> None:
    """Check settings as `process.check` does. Call this only in a child process."""
    from greenserver.service import process  # noqa: PLC0415  (what it imports may be imported only after patching)

    process.check(settings)


class Checked(NamedTuple):
    """A configuration that was read again."""

    settings: Settings
    """Without the changes that need a restart."""
    kept: list[str]
    """The options of these changes."""
    findings: list[Finding]
    """What an operator should know of the directory."""


def read_and_check(old: Settings, reread: Reread) -> Checked:
    """Read the configuration again, and check it.

    Raise ConfigurationError or OSError if it is wrong. Call this only in a child process.
    """
    settings, kept = kept_until_restart(old, reread())
    if not settings.workers:
        settings, kept = dataclasses.replace(settings, workers=old.workers), [*kept, "workers"]
    check_here(settings)
    return Checked(settings, kept, inspect_as_user(settings))


def _answer(call: Callable[[], object], pipe: int) -> NoReturn:
    """Send the result of a call, or a description of what it raised, and exit; also if the parent is gone."""
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 2 * limits.RELOAD_SECONDS)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        answer: tuple[str, object]
        try:
            answer = "", call()
        except Exception as error:  # noqa: BLE001  (the parent must learn of any error)
            answer = str(error) or repr(error), None
        with os.fdopen(pipe, "wb") as file:
            pickle.dump(answer, file)
    finally:
        os._exit(0)
