"""The health monitor measures a server in the time that was available to it."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from conformance.model.context import RunContext
from conformance.target.health import HealthMonitor
from conformance.target.remote_fixtures import RemoteFixtures

pytestmark = pytest.mark.once

if TYPE_CHECKING:
    from conformance.target.managed_server import ManagedServer


class Clock:
    """Runs only while a test sleeps by it."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        self.now += seconds


@pytest.mark.parametrize(("share", "expected"), [(0.3, True), (0.05, False)])
def test_processor_share_is_of_the_available_time(share: float, expected: bool) -> None:
    clock = Clock()
    server = SimpleNamespace(clock=clock, is_listening=True, cpu_seconds=lambda: share * clock.now)
    facts = RunContext(lambda *_: pytest.fail("no connection"), RemoteFixtures({}, knows_all=False), "2026", 1.0)
    assert HealthMonitor(cast("ManagedServer", server), facts).await_idle() == expected
