"""Frozen catalogues keep their scenarios, with the requirement and the levels that they had."""

import pytest

from conformance.scenarios import catalogue
from conformance.spec import catalogues
from conformance.spec.catalogues import FROZEN, frozen
from tests.conformance.freeze import lines

pytestmark = pytest.mark.once


@pytest.mark.parametrize("name", FROZEN)
def test_scenario_of_a_frozen_catalogue_is_as_it_was(name: str) -> None:
    today = {row.split(" ")[0]: tuple(row.split(" ")[1:]) for row in lines()}
    assert frozen(name)
    assert {row: today.get(row) for row in frozen(name)} == frozen(name)


def test_frozen_catalogue_leaves_out_what_was_added(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = catalogue()
    assert catalogue((), FROZEN[-1]).digest() == catalogue((), FROZEN[-1]).digest()
    some = {row.id: () for row in list(whole)[:10]}
    monkeypatch.setattr("conformance.scenarios.frozen", lambda _name: some)
    kept = catalogue((), FROZEN[-1])
    assert [row.id for row in kept] == list(some)
    assert kept.digest() != whole.digest()
    assert catalogues.NEWEST not in FROZEN
