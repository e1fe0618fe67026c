"""The trials of `tests.soak`, small: each says its figures, and fails if a promise is broken."""

from pathlib import Path

import pytest

from tests.greenserver.launching import CONCURRENT, SHARING
from tests.soak.__main__ import make_certificate
from tests.soak.trials import SHARED_THREAD_ONLY, TRIALS

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("trial", "engine"),
    [(trial, engine) for trial in TRIALS for engine in (SHARING if trial in SHARED_THREAD_ONLY else CONCURRENT)],
)
def test_a_small_trial(tmp_path: Path, trial: str, engine: str) -> None:
    figures = TRIALS[trial](
        tmp_path,
        engine,
        seconds=3.0,
        count=60,
        megabytes=64,
        limit_seconds=2.0,
        certificate=make_certificate(tmp_path),
    )
    assert figures
