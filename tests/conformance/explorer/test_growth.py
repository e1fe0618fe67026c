"""What grows for as long as a series lasts is told from what levels off, jumps, falls back or only fluctuates."""

import random

import pytest

from conformance.explorer.growth import growth

pytestmark = pytest.mark.once

RANDOM = random.Random(1)
STEADY = [float(number) for number in range(16)]


@pytest.mark.parametrize("slope", [0.5, 1.0, 300.0])
def test_a_steady_growth_is_found(slope: float) -> None:
    found = growth([7 + slope * number for number in range(16)])
    assert found is not None
    assert found.slope == slope
    assert found.last - found.first == 8 * slope


def test_outliers_and_noise_do_not_hide_it() -> None:
    noisy = [10.0 * number + RANDOM.uniform(-4, 4) for number in range(16)]
    noisy[9] = 500.0
    found = growth(noisy)
    assert found is not None
    assert 8 < found.slope < 12


def test_what_grows_ever_faster_is_found() -> None:
    assert growth([number * number for number in STEADY]) is not None


@pytest.mark.parametrize(
    "samples",
    [
        [5.0] * 16,
        [min(number, 6.0) for number in STEADY],  # levels off early
        [min(number, 10.0) for number in STEADY],  # and late
        [number // 8 * 100 for number in STEADY],  # a jump
        [0.0] * 13 + [50.0, 60.0, 70.0],
        [number % 5 * 10 for number in STEADY],  # given back again and again
        [30.0 - number for number in STEADY],
        STEADY[:9],  # too few
        [],
    ],
)
def test_anything_else_is_not(samples: list[float]) -> None:
    assert growth(samples) is None


def test_noise_alone_is_no_growth() -> None:
    found = [growth([RANDOM.gauss(100, 10) for _ in range(16)]) for _ in range(2000)]
    assert sum(row is not None for row in found) < 10  # of 2,000, and it has to show again on a fresh process
