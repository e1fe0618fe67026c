"""The example of a cause is the failure that is quickest to understand."""

import pytest

from conformance.diagnosis.examples import best_example
from conformance.model.events import Result
from conformance.model.verdicts import Verdict

EASY = Result("easy", "R", "MUST", Verdict.FAIL, kind="status", sent=r"get_metadata a\r\n", expected="202", got="0 OK")


@pytest.mark.parametrize(
    "harder",
    [
        {"verdict": Verdict.WARN},
        {"kind": "timeout"},
        {"sent": r"\n"},
        {"sent": r"get_metadata a\r\n (command 1 of 5)"},
        {"sent": "get_metadata " + "n" * 100},
        {"expected": "x" * 100},
        {"got": "x" * 100},
    ],
)
def test_it_is_preferred_to_a_harder_one(harder: dict[str, object]) -> None:
    fields = {"scenario": "harder", "requirement": "R", "level": "MUST", "verdict": Verdict.FAIL, "kind": "status"}
    fields |= {"sent": EASY.sent, "expected": "202", "got": "0 OK"}
    other = Result(**(fields | harder))  # type: ignore[arg-type]
    assert best_example([other, EASY]) == "easy"
    assert best_example([other]) == "harder"


def test_of_equal_ones_it_is_the_first_and_of_none_there_is_none() -> None:
    second = Result("second", "R", "MUST", Verdict.FAIL, kind="status", sent=EASY.sent, expected="202", got="0 OK")
    assert best_example([EASY, second]) == "easy"
    assert best_example([]) == ""
