"""The model allows whatever correct servers say in the scenarios, and sees most planted bugs there.

`python -m tests.conformance.oracle.share` tells the share of all planted bugs.
"""

import pytest

from conformance.model.scenario import SHARED
from conformance.scenarios import catalogue
from conformance.spec.dialects import DIALECTS
from tests.broken_servers.__main__ import first_dialect
from tests.broken_servers.all_bugs import BUGS, STYLES
from tests.broken_servers.odd_servers import ODD
from tests.conformance.in_process import make_options
from tests.conformance.oracle.judged_runs import judge
from tests.conformance.oracle.share import PROOF, sees

pytestmark = pytest.mark.once

SCENARIOS = catalogue()
ABOUT_LINES = ("framing", "replies", "commands", "slices", "arguments", "paths")
UNSEEN = {"bugs_leavers", "bugs_vanished", "bugs_waits", "bugs_exits", "student_one_file"}
"""Modules of bugs that show in what happens to others, or in time: the model judges each connection by itself."""


def is_judged(scenario: str) -> bool:
    """Return whether the model knows the directory in a scenario."""
    return SCENARIOS[scenario].isolation == SHARED


ONE_OF_EACH = {
    BUGS[name].module: name
    for name, found in PROOF.items()
    if any(map(is_judged, found)) and BUGS[name].module not in UNSEEN
}
SOME = [*ONE_OF_EACH.values()][::4]


def violations(name: str, dialect: str, *select: str) -> dict[str, list[object]]:
    """Return what the model does not allow of what a server says, by scenario."""
    options = make_options(f"{name} --dialect {dialect}", *select, dialect=dialect, seed=7)
    results, judgement = judge(options, SCENARIOS)
    assert len(results) > 50
    assert not judgement.choices.others
    return {scenario: list(rows) for scenario, rows in judgement.violations.items()}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_allows_what_a_correct_server_says(dialect: str) -> None:
    assert violations("correct-threads", dialect, *ABOUT_LINES) == {}


@pytest.mark.parametrize("name", ["spaces-tolerated", "strict-characters"])
def test_allows_what_an_odd_server_says(name: str) -> None:
    assert violations(name, ODD[name].dialects[0], "framing", "commands") == {}


@pytest.mark.long
@pytest.mark.parametrize("name", [*ODD, *(f"correct-{style}" for style in STYLES)])
def test_allows_what_each_server_says_that_is_right(name: str) -> None:
    assert violations(name, first_dialect(name)) == {}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] * (name not in SOME)) for name in ONE_OF_EACH.values()]
)
def test_sees_a_bug(name: str) -> None:
    assert sees(name)
