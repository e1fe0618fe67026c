"""Whoever takes, advances and gives back parts, in whatever order: no byte is forgotten, and none is taken twice."""

import doctest
import random

import hypothesis
import pytest
from hypothesis import strategies as st

from greenserver.client import plan
from greenserver.client.plan import LARGEST_PART_BYTES, SMALLEST_PART_BYTES, Part, Plan, part_bytes
from tests.greenserver.conftest import PURE


def test_the_examples_in_the_documentation_run() -> None:
    assert doctest.testmod(plan).failed == 0


@hypothesis.given(
    size=st.integers(0, 50), bytes_=st.integers(1, 20), seed=st.integers(0, 1000), there=st.sets(st.integers(0, 49))
)
@PURE
def test_each_byte_is_fetched_exactly_once(size: int, bytes_: int, seed: int, there: set[int]) -> None:
    choose = random.Random(seed)
    done = [(number, number + 1) for number in sorted(there) if number < size]
    work = Plan(size, done, bytes_)
    fetched = [number for number, _ in done]
    active: list[Part] = []
    while not work.is_whole:
        part = work.take()
        if part is not None:
            active.append(part)
            assert part.end - part.position <= bytes_
        chosen = choose.choice(active)
        count = choose.randint(0, chosen.end - chosen.position)
        fetched += range(chosen.position, chosen.position + count)
        work.advance(chosen, count)
        assert work.done_bytes == len(fetched)
        if choose.random() < 0.5:
            work.give_back(chosen)
            active.remove(chosen)
    assert sorted(fetched) == list(range(size))
    assert work.done == ([(0, size)] if size else [])


def test_after_a_failure_nothing_is_taken_and_nobody_waits() -> None:
    work = Plan(10, part_bytes=5)
    work.take()
    error = ValueError("first")
    work.fail(error)
    work.fail(ValueError("second"))
    assert work.failure is error
    assert work.take() is None
    work.wait(1000)


def test_there_are_as_many_parts_as_are_left() -> None:
    work = Plan(11, [(0, 1)], part_bytes=5)
    assert work.parts == 2
    work.take()
    assert work.parts == 1


@pytest.mark.parametrize(
    ("size", "expected"), [(0, SMALLEST_PART_BYTES), (1 << 40, LARGEST_PART_BYTES), (64 << 20, 4 << 20)]
)
def test_parts_are_several_for_each_connection(size: int, expected: int) -> None:
    assert part_bytes(size, 4) == expected
