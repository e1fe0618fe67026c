"""Verdicts do not change under load; `python -m tests.conformance.repetitions` repeats this more often."""

import os

import pytest

from tests.conformance.repetitions import CORRECT, repeat

TIMES = int(os.environ.get("CONFORMANCE_REPETITIONS", "1"))
PROCESSES = 2
pytestmark = [pytest.mark.once, pytest.mark.long, pytest.mark.timeout(120 + 120 * TIMES)]
BROKEN = (*CORRECT[:2], "tests.broken_servers", "lf-ends-a-line", *CORRECT[3:])


def test_correct_server_keeps_its_verdicts_under_load() -> None:
    assert list(repeat(CORRECT, TIMES, PROCESSES)) == [[]] * TIMES


def test_broken_server_keeps_its_verdicts_under_load() -> None:
    chosen = ("framing", "replies", "commands")
    assert list(repeat(BROKEN, TIMES, PROCESSES, chosen)) == [[]] * TIMES
