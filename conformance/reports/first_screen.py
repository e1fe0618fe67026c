"""What a run comes to, on one screen: the verdict, the score, the causes, and what to do next.

What does not fit is counted, and left to -v.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from conformance.language import gettext
from conformance.model.events import DiagnosedCause, Result
from conformance.model.verdicts import MEANINGS, Exit, Verdict
from conformance.reports import wording
from conformance.reports.in_language import counted_verdict, verdict_name
from conformance.reports.requirements import judged_requirements, scores
from conformance.reports.styled import OUTCOMES, SEVERITIES, failure_in_full, height, styled
from conformance.reports.text import (
    GIVEN,
    Run,
    at_a_glance,
    explained,
    failures_of,
)

_PROBLEMS: Final = 3
"""How many problems of the run as a whole are shown."""
_REASONS: Final = 3
"""How many reasons are shown for each verdict of scenarios that did not run."""
_OUTPUT: Final = 5
"""How many lines of the server's output are shown, if no scenario's own explains anything."""
_LABEL: Final = 4
"""How wide the number of failures, or the verdict, is in front of a cause or a failure."""
NOT_RUN: Final = (Verdict.UNSUPPORTED, Verdict.INCOMPLETE, Verdict.BLOCKED)


def first_screen(run: Run, columns: int, rows: int) -> list[Text]:
    """Return the lines, which take at most so many rows unless the verdict and one cause alone take more."""
    return _Screen(run, columns, rows).lines()


class _Screen:
    """The lines so far, and how many rows are left."""

    def __init__(self, run: Run, columns: int, rows: int) -> None:
        self._run = run
        self._columns = columns
        self._head = [*_verdict(run), *_score(run), *_problems(run)]
        self._foot = list(_next_step(run))
        self._body: list[Text] = []
        blank = 2 * bool(self._foot)
        self._left = rows - height([*self._head, *self._foot], columns) - blank

    def lines(self) -> list[Text]:
        """Return all lines."""
        failures, causes = failures_of(self._run), self._run.causes
        explained_ones = {name for cause in causes for name in cause.scenarios}
        unexplained = [result for result in failures if result.scenario not in explained_ones]
        if causes:
            self._add_causes(causes, bool(unexplained))
        if self._run.start.selected == 1:
            self._add(*(line for result in failures for line in failure_in_full(result)))
        elif unexplained:
            self._add_failures(unexplained, causes)
        if not failures:
            for verdict in NOT_RUN:
                self._add_if_it_fits(list(reasons(self._run, verdict)))
            self._add_if_it_fits(list(output_end(self._run)))
        gap = [Text()] if self._body else []
        foot = [Text(), *self._foot] if self._foot else []
        return [*self._head, *gap, *self._body, *foot]

    def _add(self, *lines: Text) -> None:
        self._body += lines
        self._left -= height(lines, self._columns)

    def _fits(self, lines: Sequence[Text], reserved: int = 0) -> bool:
        return height(lines, self._columns) + reserved <= self._left

    def _add_if_it_fits(self, lines: Sequence[Text]) -> None:
        if self._fits(lines):
            self._add(*lines)

    def _add_causes(self, causes: Sequence[DiagnosedCause], has_others: bool) -> None:  # noqa: FBT001
        """Add the causes that fit, at least one, with a row for those that do not."""
        self._add(styled((explained(self._run.diagnosis), "bold")))
        for number, cause in enumerate(causes):
            lines = self._cause(cause)
            reserved = has_others + (number < len(causes) - 1)
            if number and not self._fits(lines, reserved):
                self._add(styled((gettext(wording.MORE_CAUSES, number=len(causes) - number), "dim")))
                return
            self._add(*lines)

    def _cause(self, cause: DiagnosedCause) -> list[Text]:
        """Return a cause in two lines: how many failures show it and what is wrong, then the best example."""
        style, severity = SEVERITIES.get(cause.severity, ""), gettext(cause.severity)
        title = styled((f"{len(cause.scenarios):>{_LABEL}} ", style), (cause.title, "bold"))
        result = next((row for row in self._run.results if row.scenario == cause.example), None)
        room = self._columns - _LABEL - 1
        if result is None:
            return [title, styled(" " * (_LABEL + 1), (severity, style))]
        example = at_a_glance(wording.EXAMPLE, result, room, severity=severity)
        before, _, after = example.partition(severity)
        return [title, styled(f"{'':<{_LABEL}} {before}", (severity, style), (after, "dim"))]

    def _add_failures(self, failures: Sequence[Result], causes: Sequence[DiagnosedCause]) -> None:
        """Add failures without a cause: in full if all of them fit, else in two lines, and a row that counts them."""
        number = len(failures)
        heading = (
            wording.counted(number, wording.ONE_UNEXPLAINED, wording.UNEXPLAINED)
            if causes
            else gettext(wording.FAILURES_AND_WARNINGS, number=number)
        )
        self._add(styled((heading, "bold")))
        whole = [line for result in failures for line in failure_in_full(result)]
        if self._fits(whole):
            self._add(*whole)
            return
        for done, result in enumerate(failures):
            lines = self._failure(result)
            if not self._fits(lines, reserved=done < number - 1):
                if done and self._left > 0:
                    self._add(styled((gettext(wording.MORE_FAILURES, number=number - done), "dim")))
                return
            self._add(*lines)

    def _failure(self, result: Result) -> list[Text]:
        room = self._columns - _LABEL - 1
        head = (f"{verdict_name(result.verdict).upper():<{_LABEL}} ", MEANINGS[result.verdict].style)
        what = at_a_glance(wording.FAILURE, result, room)
        return [styled(head, (result.title[:room], "bold")), styled(f"{'':<{_LABEL}} ", (what, "dim"))]


# --- The head, and what comes last -------------------------------------------------------------------


def _verdict(run: Run) -> Iterator[Text]:
    """Yield the verdict with the dialect and how it was inferred."""
    style = OUTCOMES.get(run.end.exit, "") if run.end else "bold yellow"
    outcome = run.outcome
    if run.end is not None and run.start.dialect_basis == GIVEN:
        outcome = gettext(wording.JUDGED_AS_GIVEN, outcome=run.verdict, dialect=run.start.dialect)
    named = gettext(wording.NAMED, name=run.name, outcome=outcome)
    before, _, after = named.partition(outcome)
    yield styled((before, "bold"), (outcome, style), after)


def _score(run: Run) -> Iterator[Text]:
    """Yield the requirements that are met, and the number of scenarios by verdict."""
    found = {row.level: row for row in scores(judged_requirements(run.results, run.start.dialect))}
    if len(found) > 1:
        must, should = found["MUST"], found["SHOULD"]
        yield styled(gettext(wording.MET, must=must.met, musts=must.judged, should=should.met, shoulds=should.judged))
    for row in found.values() if len(found) == 1 else ():
        yield styled(gettext(wording.MET_OF_LEVEL, met=row.met, judged=row.judged, level=row.level))
    if run.end is not None:
        counts = ", ".join(counted_verdict(name, count) for name, count in run.end.counts.items()) or gettext(
            wording.NOTHING_RAN
        )
        yield styled((gettext(wording.RAN, counts=counts, seconds=run.end.seconds, seed=run.start.seed), "dim"))


def _problems(run: Run) -> Iterator[Text]:
    """Yield the problems of the run as a whole."""
    problems = run.end.problems if run.end else []
    for problem in problems[:_PROBLEMS]:
        yield styled((problem, "yellow"))
    if left := len(problems[_PROBLEMS:]):
        yield styled((gettext(wording.MORE_PROBLEMS, number=left), "yellow"))


def _next_step(run: Run) -> Iterator[Text]:
    """Yield one command for the first cause, or else for the first failure; and how to see more."""
    failures = failures_of(run)
    if not failures:
        return
    if run.causes:
        command = f"conformance explain {run.causes[0].id}"
        yield styled((gettext(wording.NEXT, command=command), "bold"))
    elif failures[0].reproduce and run.start.selected > 1:
        yield styled((gettext(wording.NEXT, command=failures[0].reproduce[0]), "bold"))
    yield styled((gettext(wording.ON_DEMAND), "dim"))


# --- What did not run, and what the server printed last ----------------------------------------------


def reasons(run: Run, verdict: Verdict) -> Iterator[Text]:
    """Yield why scenarios did not run, grouped by reason."""
    found: dict[str, list[str]] = defaultdict(list)
    for result in run.results:
        if result.verdict == verdict:
            found[result.got].append(result.scenario)
    by_count = sorted(found.items(), key=lambda row: -len(row[1]))
    for reason, names in by_count[:_REASONS]:
        yield styled(
            wording.counted(
                len(names),
                wording.ONE_DID_NOT_RUN,
                wording.DID_NOT_RUN,
                verdict=verdict_name(verdict),
                scenario=names[0],
                reason=reason,
            )
        )
    if left := sum(len(names) for _, names in by_count[_REASONS:]):
        yield styled(gettext(wording.OTHERS_DID_NOT_RUN, verdict=verdict_name(verdict), number=left))


def output_end(run: Run) -> Iterator[Text]:
    """Yield the end of the server's output, where it may explain what no scenario's output does."""
    end = run.end
    if end is None or end.exit in {Exit.CONFORMANT, Exit.INCOMPLETE} or not end.output.strip():
        return
    if any(result.output for result in run.results):
        return
    yield styled((gettext(wording.OUTPUT_ENDS), "dim"))
    for line in end.output.strip().splitlines()[-_OUTPUT:]:
        yield styled((f"  {line.rstrip()}", "dim"))
