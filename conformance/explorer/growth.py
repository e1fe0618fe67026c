"""Whether a series of samples grows for as long as it lasts: what levels off, jumps once or only fluctuates does not.

The slope is that of Theil and Sen, the median of the slopes between pairs of samples: outliers do not count. See
https://en.wikipedia.org/wiki/Theil-Sen_estimator.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

_WARM_UP: Final = 0.25
"""The part of a series that is left out: caches fill, pools of threads grow."""
_FEWEST: Final = 9
"""The fewest samples, after the warm-up, that say something."""
_GROWING_PAIRS: Final = 0.9
"""The least part of all pairs of samples of which the later one is larger."""
_EVEN: Final = 0.3
"""The least part of the growth that each step from one third of the series to the next has; half if it is even."""


@dataclass(frozen=True)
class Growth:
    """How much a series has grown."""

    first: float
    """The median of the first third, after the warm-up."""
    last: float
    """The median of the last third."""
    slope: float
    """How much more each sample is than the one before it."""


def growth(samples: Sequence[float]) -> Growth | None:
    """Return how a series grows; None if it is too short, or does not grow all along."""
    used = samples[round(len(samples) * _WARM_UP) :]
    if len(used) < _FEWEST:
        return None
    slopes = [(later - one) / distance for one, later, distance in _pairs(used)]
    third = len(used) // 3
    first, middle, last = median(used[:third]), median(used[third:-third]), median(used[-third:])
    is_growing = sum(slope > 0 for slope in slopes) >= _GROWING_PAIRS * len(slopes)
    if not is_growing or min(middle - first, last - middle) < _EVEN * (last - first):
        return None
    return Growth(first, last, median(slopes))


def _pairs(samples: Sequence[float]) -> list[tuple[float, float, int]]:
    """Return all pairs of samples that are far enough apart to differ, and how far."""
    least = len(samples) // 3
    pairs = itertools.combinations(enumerate(samples), 2)
    return [(one, later, end - start) for (start, one), (end, later) in pairs if end - start >= least]
