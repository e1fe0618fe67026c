"""The kill matrix holds: every bug is found by the scenarios that are to find it, for the reason that they gave."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.broken_servers.all_bugs import BUGS
from tests.conformance.kill_matrix import SCENARIOS, Finds, finds, is_about, is_in_vain, judge_bug, proof, read

pytestmark = pytest.mark.once

MATRIX = read()
PROOF = proof(MATRIX, SCENARIOS)
CHAPTERS = sorted({bug.module for bug in BUGS.values()})
AT_ONCE = 6
"""How many servers are judged at a time: most of what they do is to let the suite wait."""

SECOND_LOOKS = 2
"""How often what was not found is looked for again, alone and with patience: on a busy machine packets meet."""


def test_the_matrix_has_every_bug() -> None:
    assert sorted(MATRIX) == sorted(BUGS)
    assert len(BUGS) >= 60


@pytest.mark.parametrize("name", MATRIX)
def test_a_bug_is_found_by_a_scenario_of_the_requirement_that_it_breaks(name: str) -> None:
    assert any(is_about(SCENARIOS[scenario], BUGS[name]) for scenario in PROOF[name]), MATRIX[name]


def test_every_scenario_finds_a_bug() -> None:
    finding = {scenario for found in PROOF.values() for scenario in found}
    assert [row.id for row in SCENARIOS if row.id not in finding] == []


def kinds(found: Finds) -> Finds:
    """Return the kind of each failure; whether an end comes as a reset is the kernel's business."""
    return {scenario: why.partition(":")[0].replace("reset", "closed") for scenario, why in found.items()}


def play(name: str, *, is_hasty: bool) -> Finds:
    """Return what the scenarios that are to find a bug have found of it."""
    found = finds(judge_bug(BUGS[name], PROOF[name], is_hasty=is_hasty))
    return kinds({scenario: found.get(scenario, "nothing") for scenario in PROOF[name]})


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_bugs_are_found_again_and_for_the_same_reasons(chapter: str) -> None:
    names = [name for name in PROOF if BUGS[name].module == chapter]
    wanted = {name: kinds(PROOF[name]) for name in names}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        played = pool.map(lambda name: play(name, is_hasty=all(map(is_in_vain, PROOF[name].values()))), names)
        found = dict(zip(names, played, strict=True))
    for _ in range(SECOND_LOOKS):
        for name in [name for name in names if found[name] != wanted[name]]:
            found[name] = play(name, is_hasty=False)
    assert found == wanted
