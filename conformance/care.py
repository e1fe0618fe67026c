"""Looks after the server between scenarios: whether it still serves, and if not, starts it again or gives it up."""

import contextlib
from collections.abc import Iterator
from time import monotonic
from typing import Final

from conformance import enquiry
from conformance.patience import ALONE, Patience
from conformance.stage import Circumstances, Stage
from conformance.target import Target, TargetError

RESTARTS: Final = 60
"""How often a server is started again."""


class Care:
    """The care for one server; `circumstances` are the run's, as far as they are known."""

    def __init__(self, target: Target, circumstances: Circumstances, patience: Patience) -> None:
        self.circumstances = circumstances
        self.dead = ""
        """Why the server is not asked any more; empty as long as it is."""
        self._target = target
        self._patience = patience

    @property
    def is_running(self) -> bool:
        """Whether the server's process is alive, as far as that is known."""
        return self._target.is_running

    @property
    def starts(self) -> int:
        """How often it was started."""
        return self._target.starts

    def has_given_up(self) -> bool:
        """Tell whether the server is not asked any more."""
        return bool(self.dead)

    @contextlib.contextmanager
    def enquiring(self) -> Iterator[enquiry.Connect]:
        """Give a way to connect that belongs to no scenario, with more patience than scenarios have."""
        stage = Stage(self.circumstances, is_crowded=True, duration_factor=ALONE)
        try:
            yield stage.connect
        finally:
            stage.close()

    def heal(self) -> bool:
        """Return whether the server is well; if not, start it again, or never ask it again."""
        if self._target.is_running:
            started = monotonic()
            with self.enquiring() as connect:
                if enquiry.is_healthy(connect):
                    return True
            self._patience.waste(monotonic() - started)
        if not self._target.can_restart or self._target.starts > RESTARTS:
            self.dead = "the server serves nobody any more"
            return False
        try:
            self._target.restart()
        except TargetError as error:
            self.dead = f"the server does not start again: {error}"
        return False
