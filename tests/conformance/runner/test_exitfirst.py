"""With -x a run ends as soon as the failure of a MUST has a known cause."""

from conformance.model.events import Diagnosis
from conformance.model.verdicts import Exit
from tests.conformance.in_process import Run, judge

SELECTED = ("framing.*", "slices.*", "paths.*")


def diagnosis(run: Run) -> Diagnosis:
    """Return the diagnosis of a run."""
    return next(event for event in run.events if isinstance(event, Diagnosis))


def test_it_stops_at_the_first_cause() -> None:
    run = judge("lf-ends-a-line", *SELECTED, dialect="2026", stops_at_first_cause=True)
    left = run.start.selected - len(run.results)
    assert left > 0
    assert run.end.problems == [f"stopped at the first cause (-x): {left} scenarios did not run"]
    assert run.end.exit is Exit.NOT_CONFORMANT
    explained = {name for cause in diagnosis(run).causes for name in cause.scenarios}
    assert explained & set(run.with_verdict("fail"))


def test_it_does_not_stop_without_a_failure() -> None:
    run = judge("correct-threads", *SELECTED, dialect="2026", stops_at_first_cause=True)
    assert len(run.results) == run.start.selected
    assert run.end.problems == []
