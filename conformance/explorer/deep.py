"""Explore a server at the end of a run: what that finds are results of the run, but no grade counts them."""

from collections.abc import Iterator
from dataclasses import replace

from conformance.config import Options
from conformance.explorer.exploration import Exploration
from conformance.explorer.explore import account_of
from conformance.runner.outcome import Outcome
from conformance.runner.timeouts import Timeouts
from conformance.target.health import HealthMonitor

MOST_FINDINGS = 3
"""A run has its scenarios for more."""


class DeepRun:
    """Explores the server of a run for as long as the options say, once."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.account = ""
        """What was explored, in a line, once it is over; empty if nothing was."""

    def __call__(self, health: HealthMonitor, timeouts: Timeouts, warned: frozenset[str]) -> Iterator[Outcome]:
        """Yield what breaks a requirement, other than those of which the run has `warned` already."""
        exploration = Exploration(
            self._options, health, timeouts, self._options.deep, reported=warned, most_findings=MOST_FINDINGS
        )
        for finding in exploration.findings():
            yield replace(finding.outcome, is_explored=True)
        if exploration.fault is not None:
            yield exploration.fault
        self.account = account_of(exploration)
