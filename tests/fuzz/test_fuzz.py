"""The corpus of fuzzing, and more random input, pass each target."""

import random
from pathlib import Path

import pytest

from tests.fuzz.__main__ import CORPUS, FOUND, NAMES, read_corpus
from tests.fuzz.targets import TARGETS, make_environment
from tests.greenserver.random_input import random_input

pytestmark = pytest.mark.once

RANDOM_INPUTS = 300


def test_every_target_has_a_corpus() -> None:
    assert tuple(TARGETS) == NAMES
    assert all(read_corpus(CORPUS, name) for name in NAMES)


@pytest.mark.parametrize("target", NAMES)
def test_the_corpus_passes(target: str) -> None:
    once_failed = [path.read_bytes() for path in sorted(Path(FOUND, target).glob("*"))]
    with make_environment() as environment:
        for data in (*once_failed, *read_corpus(CORPUS, target)):
            TARGETS[target](environment, data)


@pytest.mark.parametrize("target", NAMES)
def test_random_input_passes(target: str) -> None:
    rng = random.Random(target)
    with make_environment() as environment:
        for seed in range(RANDOM_INPUTS):
            TARGETS[target](environment, rng.randbytes(6) + random_input(seed)[:994])
