"""Every input that fuzzing found worth keeping, and conversations made up anew, keep the promises of each target."""

import random
from pathlib import Path

import pytest

from tests.fuzz.__main__ import CORPUS, FOUND, NAMES
from tests.fuzz.targets import TARGETS, grounded
from tests.greenserver.conversations import make_up

MADE_UP = 300


def test_every_target_has_its_corpus() -> None:
    assert tuple(TARGETS) == NAMES
    assert all(any((CORPUS / name).iterdir()) for name in NAMES)


@pytest.mark.parametrize("target", NAMES)
def test_what_was_found_keeps_the_promises(target: str) -> None:
    inputs = sorted(path for kept in (CORPUS, FOUND) for path in Path(kept, target).glob("*"))
    with grounded() as ground:
        for path in inputs:
            TARGETS[target](ground, path.read_bytes())


@pytest.mark.parametrize("target", NAMES)
def test_conversations_that_are_made_up_keep_the_promises(target: str) -> None:
    dice = random.Random(target)
    with grounded() as ground:
        for seed in range(MADE_UP):
            TARGETS[target](ground, dice.randbytes(6) + make_up(seed)[:994])
