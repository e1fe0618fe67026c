"""What a machine has to have, and what it allows, to judge targets of a class: asked of each that does."""

import contextlib
import os
import secrets
import socket
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from conformance.classroom.pool import Pool, PoolError
from conformance.classroom.target_run import TargetRun
from conformance.language import Message
from conformance.target.sandbox import own_network
from conformance.target.sandbox.limits import limits_for
from conformance.target.sandbox.sandbox import AUTO, SandboxError, choose, why_python_cannot_run

_MARK: Final = ".shared-"


@cache
def why_unconfined(clients: int, readable: tuple[str, ...]) -> str:
    """Return why servers are not confined, if this machine allows no sandbox; empty if it does."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            return why_python_cannot_run(choose(AUTO, folder, "", limits_for(clients), readable))
    except SandboxError as error:
        return str(error)


def without_sandbox(pool: Pool, clients: int, readable: tuple[str, ...]) -> str:
    """Return that servers are not confined, and why, if a machine allows no sandbox; empty if all do."""
    reason = next(filter(None, pool.everywhere(why_unconfined, clients, readable).values()), "")
    return Message("the servers run without a sandbox: {reason}", reason=reason) if reason else ""


def without_networks(pool: Pool) -> str:
    """Return why servers cannot have networks of their own, if a machine allows none; empty if all do."""
    return next(filter(None, pool.everywhere(own_network.why_not).values()), "")


@dataclass(frozen=True)
class SharedFolder:
    """The folder of the results, which all machines have to see, with those of the submissions, at the same paths."""

    mark: Path
    """A file in it that is there while the class is judged."""

    def why_missing(self, needed: Iterable[str]) -> str:
        """Return what this machine lacks; empty if it lacks nothing."""
        if not self.mark.exists():
            return _lacks(self.mark.parent)
        if (lacking := next((path for path in needed if not Path(path).exists()), None)) is not None:
            return _lacks(lacking)
        own = self.mark.with_name(f"{self.mark.name}.{secrets.token_hex(4)}")
        try:
            own.touch()
            own.unlink()
        except OSError as error:
            return Message(
                "{host} cannot write to {path} ({error}): the workers need to write there, as user {user} here does",
                host=socket.gethostname(),
                path=self.mark.parent,
                error=str(error.strerror),
                user=os.geteuid(),
            )
        return ""

    def check(self, pool: Pool, needed: Sequence[str]) -> None:
        """Raise PoolError if a machine lacks something."""
        reason = next(filter(None, pool.everywhere(self.why_missing, needed).values()), "")
        if reason:
            raise PoolError(reason)


def _lacks(path: object) -> Message:
    return Message(
        "{host} does not have {path}: the workers need the folders of the submissions and of the results, at the same"
        " paths as here; share them, and name the one for the results with -o",
        host=socket.gethostname(),
        path=str(path),
    )


@contextlib.contextmanager
def shared(folder: Path) -> Iterator[SharedFolder]:
    """Mark a folder while it is shared with other machines."""
    mark = folder / f"{_MARK}{secrets.token_hex(8)}"
    mark.touch()
    try:
        yield SharedFolder(mark)
    finally:
        for path in folder.glob(f"{mark.name}*"):
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class RemoteJudge:
    """Judges a target on a machine that has been looked at; one may have joined its cluster a moment ago."""

    folder: SharedFolder
    needs_sandbox: bool

    def __call__(self, run: TargetRun, stop: threading.Event) -> bool:
        """Judge a target as `TargetRun.judge` does; raise PoolError if this machine is not fit for it."""
        reason = self.folder.why_missing(needed_by(run))
        options = run.settings.options
        if not reason and self.needs_sandbox and (why := why_unconfined(options.clients, options.sandbox_read)):
            reason = Message(
                "{host} has no sandbox ({reason}), but the other workers have: stop it, or pass --sandbox off",
                host=socket.gethostname(),
                reason=why,
            )
        if reason:
            raise PoolError(reason)
        return run.judge(stop)


def needed_by(run: TargetRun) -> list[str]:
    """Return the paths without which a target cannot be judged."""
    options = run.settings.options
    return [*([run.target.folder] if run.target.folder else []), *options.scenarios, *options.sandbox_read]
