"""A lock with two ways in: together with others who do not mind, or alone."""

import contextlib
import threading
from collections.abc import Iterator


class Door:
    """Lets many in together, or one alone."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self._is_alone = False
        self._waiting_alone = 0

    @contextlib.contextmanager
    def opened(self, *, alone: bool) -> Iterator[None]:
        """Be inside, alone or together with others who do not mind."""
        with self._condition:
            self._waiting_alone += alone
            if alone:
                self._condition.wait_for(lambda: not self._inside)
                self._waiting_alone -= 1
            else:
                self._condition.wait_for(lambda: not self._is_alone and not self._waiting_alone)
            self._inside += 1
            self._is_alone = alone
        try:
            yield
        finally:
            with self._condition:
                self._inside -= 1
                self._is_alone = False
                self._condition.notify_all()
