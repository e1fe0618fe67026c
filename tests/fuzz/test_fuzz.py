"""Every input that fuzzing found worth keeping, and conversations made up anew, keep the promises of each target."""

import random
from pathlib import Path

import pytest

from tests.fuzz.__main__ import CORPUS, FOUND, NAMES, read_corpus
from tests.fuzz.targets import TARGETS, grounded
from tests.greenserver.conversations import make_up

pytestmark = pytest.mark.once

MADE_UP = 300


def test_every_target_has_its_corpus() -> None:
    assert tuple(TARGETS) == NAMES
    assert all(read_corpus(CORPUS, name) for name in NAMES)


@pytest.mark.parametrize("target", NAMES)
def test_what_was_found_keeps_the_promises(target: str) -> None:
    once_broken = [path.read_bytes() for path in sorted(Path(FOUND, target).glob("*"))]
    with grounded() as ground:
        for data in (*once_broken, *read_corpus(CORPUS, target)):
            TARGETS[target](ground, data)


@pytest.mark.parametrize("target", NAMES)
def test_conversations_that_are_made_up_keep_the_promises(target: str) -> None:
    dice = random.Random(target)
    with grounded() as ground:
        for seed in range(MADE_UP):
            TARGETS[target](ground, dice.randbytes(6) + make_up(seed)[:994])
