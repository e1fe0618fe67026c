"""Every bug is found by the scenarios of the kill matrix, for the recorded reasons."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.broken_servers.all_bugs import BUGS
from tests.conformance.kill_matrix import (
    REPEATED,
    SCENARIOS,
    Finds,
    finds,
    is_about,
    judge_bug,
    may_be_quick,
    needs_timeout,
    proof,
    read,
)

pytestmark = pytest.mark.once

MATRIX = read()
PROOF = proof(MATRIX, SCENARIOS)
CHAPTERS = sorted({bug.module for bug in BUGS.values()})
AT_ONCE = 6
"""How many servers are judged at a time: most of what they do is to let the suite wait."""

CONSTANT = {"bugs_statuses", "bugs_forms", "bugs_line_ends", "bugs_listings"}
"""Modules of bugs that show in every reply: a scenario about something else only finds one that nobody has reported."""

SECOND_LOOKS = 2
"""How often what was not found is looked for again, alone and with full timeouts: on a busy machine packets merge."""


class Part(NamedTuple):
    """Scenarios that are played against a bug in one run."""

    name: str
    scenarios: tuple[str, ...]


def test_matrix_has_every_bug() -> None:
    assert sorted(MATRIX) == sorted(BUGS)


@pytest.mark.parametrize("name", MATRIX)
def test_bug_is_found_by_a_scenario_of_its_requirement(name: str) -> None:
    assert any(is_about(SCENARIOS[scenario], BUGS[name]) for scenario in PROOF[name]), MATRIX[name]


def test_every_scenario_finds_a_bug() -> None:
    finding = {scenario for found in PROOF.values() for scenario in found}
    assert [row.id for row in SCENARIOS if row.id not in finding] == []


def kinds(found: Finds) -> Finds:
    """Return the kind of each failure; whether an end comes as a reset is the kernel's business."""
    return {scenario: why.partition(":")[0].replace("reset", "closed") for scenario, why in found.items()}


def parts(name: str) -> Iterator[Part]:
    """Yield what is run of a bug at a time: a run has time for one timeout, or a few."""
    found = PROOF[name]
    immediate = [scenario for scenario, why in found.items() if not needs_timeout(why)]
    is_constant = BUGS[name].module in CONSTANT
    needing = [
        scenario
        for scenario in immediate
        if set(SCENARIOS[scenario].depends) & set(immediate)
        or (is_constant and not is_about(SCENARIOS[scenario], BUGS[name]))
    ]
    if free := [scenario for scenario in immediate if scenario not in needing]:
        yield Part(name, tuple(free))
    yield from (Part(name, (scenario,)) for scenario in needing)
    yield from (Part(name, (scenario,)) for scenario, why in found.items() if needs_timeout(why))


def play(part: Part, *, is_quick: bool) -> Finds:
    """Return what the scenarios that are to find a bug have found of it."""
    found = finds(judge_bug(BUGS[part.name], part.scenarios, is_quick=is_quick))
    wanted = PROOF[part.name]
    same = {scenario: wanted[scenario] for scenario, why in found.items() if why == REPEATED}
    return kinds({scenario: (found | same).get(scenario, "nothing") for scenario in part.scenarios})


def play_quickly(part: Part) -> Finds:
    """Play it with timeouts as short as possible."""
    return play(part, is_quick=all(may_be_quick(PROOF[part.name][scenario]) for scenario in part.scenarios))


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_finds_the_bugs_of_a_chapter_for_the_same_reasons(chapter: str) -> None:
    every = [part for name in PROOF if BUGS[name].module == chapter for part in parts(name)]
    wanted = {part: kinds({scenario: PROOF[part.name][scenario] for scenario in part.scenarios}) for part in every}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = dict(zip(every, pool.map(play_quickly, every), strict=True))
    for _ in range(SECOND_LOOKS):
        for part in [part for part in every if found[part] != wanted[part]]:
            found[part] = play(part, is_quick=False)
    assert found == wanted
