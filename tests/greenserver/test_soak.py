"""Small versions of the trials of `tests.soak`: each returns its figures, and fails if a requirement is not met."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.greenserver.launching import CONCURRENT, EVENT_LOOP_ENGINES
from tests.soak.__main__ import make_certificate
from tests.soak.trials import EVENT_LOOP_ONLY, TRIALS, Figures

pytestmark = pytest.mark.once

CHURN_SECONDS = 20.0
CHURN_PER_SECOND = 100.0
"""New connections to each engine: enough to show a leak, and few enough to leave CPU time to other tests."""


@pytest.mark.parametrize(
    ("trial", "engine"),
    [
        (trial, engine)
        for trial in TRIALS
        if trial != "churn"
        for engine in (EVENT_LOOP_ENGINES if trial in EVENT_LOOP_ONLY else CONCURRENT)
    ],
)
def test_trial(tmp_path: Path, trial: str, engine: str) -> None:
    figures = TRIALS[trial](
        tmp_path,
        engine,
        seconds=1.0,
        count=60,
        megabytes=64,
        limit_seconds=2.0,
        certificate=make_certificate(tmp_path),
    )
    assert figures


def test_churn_leaks_nothing_on_any_engine(tmp_path: Path) -> None:
    def churn(engine: str) -> Figures:
        scratch = tmp_path / engine
        scratch.mkdir()
        return TRIALS["churn"](scratch, engine, seconds=CHURN_SECONDS, per_second=CHURN_PER_SECOND)

    with ThreadPoolExecutor(len(CONCURRENT)) as pool:
        all_figures = dict(zip(CONCURRENT, pool.map(churn, CONCURRENT), strict=True))
    for engine, figures in all_figures.items():
        assert figures["connections"] >= 0.1 * CHURN_SECONDS * CHURN_PER_SECOND, (engine, figures)
