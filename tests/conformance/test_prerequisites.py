"""Prerequisites are existing scenarios without cycles, and apply wherever their dependents do."""

from fnmatch import fnmatchcase

import pytest

from conformance.model.scenario import Scenario
from conformance.scenarios import catalogue
from conformance.scenarios.prerequisites import PREREQUISITES
from conformance.spec.dialects import DIALECTS

pytestmark = pytest.mark.once

SCENARIOS = catalogue()
NEEDING = [scenario for scenario in SCENARIOS if scenario.depends]


def test_every_pattern_matches_a_scenario() -> None:
    for patterns, _ in PREREQUISITES:
        for pattern in patterns:
            assert any(fnmatchcase(scenario.id, pattern) for scenario in SCENARIOS), pattern


@pytest.mark.parametrize("scenario", NEEDING, ids=lambda row: row.id)
def test_prerequisites_exist_and_have_no_cycles(scenario: Scenario) -> None:
    seen, left = set(), list(scenario.depends)
    while left:
        name = left.pop()
        assert name in SCENARIOS
        assert name != scenario.id
        if name not in seen:
            seen.add(name)
            left += SCENARIOS[name].depends


@pytest.mark.parametrize("dialect", DIALECTS)
def test_prerequisite_applies_in_the_dialects_of_its_dependents(dialect: str) -> None:
    for scenario in NEEDING:
        if scenario.applies_to(dialect):
            assert all(SCENARIOS[name].applies_to(dialect) for name in scenario.depends), scenario.id
