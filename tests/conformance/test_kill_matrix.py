"""The kill matrix holds: every bug is found by the scenarios that are to find it, for the reason that they gave."""

import pytest

from conformance.scenarios import catalogue
from tests.broken_servers.all_bugs import BUGS
from tests.conformance.kill_matrix import finds, is_about, judge_bug, read

pytestmark = pytest.mark.once

MATRIX = read()


def test_the_matrix_has_every_bug() -> None:
    assert sorted(MATRIX) == sorted(BUGS)
    assert len(BUGS) >= 60


@pytest.mark.parametrize("name", MATRIX)
def test_a_bug_is_found_by_a_scenario_of_the_requirement_that_it_breaks(name: str) -> None:
    scenarios = catalogue()
    assert any(is_about(scenarios[scenario], BUGS[name]) for scenario in MATRIX[name]), MATRIX[name]


def kinds(found: dict[str, str]) -> dict[str, str]:
    """Return the kind of each failure; whether an end comes as a reset is the kernel's business."""
    return {scenario: why.partition(":")[0].replace("reset", "closed") for scenario, why in found.items()}


@pytest.mark.parametrize("name", MATRIX)
def test_a_bug_is_found_again_and_for_the_same_reason(name: str) -> None:
    found = finds(judge_bug(BUGS[name], MATRIX[name]))
    assert kinds({scenario: found.get(scenario, "nothing") for scenario in MATRIX[name]}) == kinds(MATRIX[name])


def test_every_scenario_finds_a_bug() -> None:
    finding = {scenario for found in MATRIX.values() for scenario in found}
    assert [row.id for row in catalogue() if row.id not in finding] == []
