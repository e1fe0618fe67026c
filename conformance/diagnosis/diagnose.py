"""From the results of a run to the smallest set of causes that explains its failures.

A weighted set cover: each signature (one server that had a certain bug) gains for every failure that it predicted, more
if the kind of failure is right, too, and pays for every scenario that it predicted to fail and that passed. Each cause
costs something, so that one that explains nothing new is left out. What did not run counts neither way. The best set is
found greedily and then improved one cause at a time; where few signatures come into question, all sets are tried.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Final

from conformance.diagnosis.causes_reader import SEVERITIES, RootCause, root_causes
from conformance.diagnosis.examples import best_example
from conformance.diagnosis.fit import COST, Fit, Observations, fit_of
from conformance.diagnosis.signatures import Signature, signatures
from conformance.failures import Kind
from conformance.model.events import DiagnosedCause, Diagnosis, Event, Result, RunEnd, RunStart
from conformance.model.verdicts import Verdict

FAILED: Final = frozenset({Verdict.FAIL, Verdict.WARN})
"""The verdicts that are to be explained."""

# --- Weights, chosen by `python -m tests.conformance.evaluate_diagnosis` ------------------------------

COMMON: Final = 1.0
"""How much less a common one costs: more than MARGIN, so that it wins if all else is equal."""
MOST: Final = 0.4
"""If a greater part of a run fails, only what explains most of the failures is named."""
OWN_SHARE: Final = 0.35
"""The least part of the failures that a cause predicted which it has to explain better than the other causes."""
MARGIN: Final = 0.75
"""By how much a cause has to do better than any other in its place."""
FEW: Final = 9
"""Up to so many signatures all sets are tried."""

_CODE: Final = re.compile(r"\d{1,3}(?!\d)")


def diagnose(
    results: Iterable[Result],
    deviations: Iterable[str] = (),
    known: Sequence[Signature] | None = None,
    causes: Mapping[str, RootCause] | None = None,
) -> Diagnosis:
    """Return the causes of the failures in a run, the most serious first.

    `deviations` are those of `RunStart`; `known` and `causes` replace the suite's own signatures and causes. What
    exploring has found is unexplained, and decides nothing about the others: no signature knows it.
    """
    judged = [result for result in results if not result.known]
    rows = [result for result in judged if not result.is_explored]
    explored = [result.scenario for result in judged if result.is_explored and result.verdict in FAILED]
    seen = observed(rows, deviations)
    causes = root_causes() if causes is None else causes
    common = frozenset(cause.id for cause in causes.values() if cause.common)
    chosen = explained(seen, signatures() if known is None else known, common)
    found = [_described(causes[fit.signature.cause], names, rows) for fit, names in _shared(chosen)]
    found.sort(key=lambda cause: (SEVERITIES.index(cause.severity), -len(cause.scenarios), cause.id))
    covered = {name for cause in found for name in cause.scenarios}
    unexplained = [name for name in (*seen.failed, *explored) if name not in covered]
    return Diagnosis(found, len(seen.failed) + len(explored), len(covered), unexplained)


def with_diagnosis(events: Iterable[Event]) -> Iterator[Event]:
    """Yield events, and before the end of each run its diagnosis, unless it is there: earlier suites recorded none."""
    start: RunStart | None = None
    results: list[Result] = []
    is_open = False
    for event in events:
        if is_open and results and isinstance(event, RunStart | RunEnd):
            yield diagnose(results, start.deviations if start else ())
        if isinstance(event, RunStart):
            start, results, is_open = event, [], True
        elif isinstance(event, Diagnosis | RunEnd):
            is_open = False
        elif isinstance(event, Result):
            results.append(event)
        yield event
    if is_open and results:
        yield diagnose(results, start.deviations if start else ())


def observed(results: Iterable[Result], deviations: Iterable[str] = ()) -> Observations:
    """Return what results show: what failed and what passed; whatever did not run shows nothing, nor what is flaky."""
    failed: dict[str, str] = {}
    noticed: dict[str, str] = {}
    passed: set[str] = set()
    requirements: dict[str, str] = {}
    for result in results:
        if result.verdict in FAILED:
            failed[result.scenario] = symptom(result)
            requirements[result.scenario] = result.requirement
        elif result.verdict is Verdict.INFO and result.kind:
            noticed[result.scenario] = symptom(result)
        elif result.verdict in {Verdict.PASS, Verdict.INFO}:
            passed.add(result.scenario)
    return Observations(failed, noticed, frozenset(passed), requirements, frozenset(deviations))


def symptom(result: Result) -> str:
    """Return how a scenario failed: the kind of failure, and the code where that is a wrong one, as in `status 201`."""
    code = _CODE.match(result.got) if result.kind == Kind.STATUS.value else None
    return f"{result.kind} {code[0]}" if code else result.kind


def explained(seen: Observations, known: Iterable[Signature], common: frozenset[str] = frozenset()) -> list[Fit]:
    """Return the smallest set of signatures that explains the failures best, at most one of each cause.

    The causes that are `common` have an advantage.
    """
    found = [fit for signature in known if (fit := fit_of(signature, seen)) is not None]
    if len(seen.failed) > MOST * (len(seen.failed) + len(seen.passed)):  # what any cause predicts fails, by chance
        found = [fit for fit in found if len(fit.certain) > len(seen.failed) / 2]
    fits = [replace(fit, cost=COST - COMMON) if fit.signature.cause in common else fit for fit in found]
    fits.sort(key=lambda fit: (-fit.score, fit.signature.cause, fit.signature.server, fit.signature.style))
    chosen = _every_set(fits) if len(fits) <= FEW else _improved(_greedy(fits), fits)
    clear = [fit for number, fit in enumerate(chosen) if _is_clear(number, chosen, fits)]
    return [fit for fit, names in _shared(clear) if len(names) >= OWN_SHARE * len(fit.certain)]


# --- Sets of signatures ------------------------------------------------------------------------------


def _score(fits: Iterable[Fit]) -> float:
    """Return how well a set explains the failures: each by the signature that explains it best."""
    best: dict[str, float] = {}
    total = 0.0
    for fit in fits:
        total -= fit.missed + fit.cost
        for name, gain in fit.gains.items():
            if gain > best.get(name, 0.0):
                best[name] = gain
    return total + sum(best.values())


def _is_one_of_each(fits: Sequence[Fit]) -> bool:
    return len({fit.signature.cause for fit in fits}) == len(fits)


def _every_set(fits: Sequence[Fit]) -> list[Fit]:
    """Return the best of all sets."""
    sets = (list(chosen) for size in range(len(fits) + 1) for chosen in combinations(fits, size))
    return max((chosen for chosen in sets if _is_one_of_each(chosen)), key=_score)


def _greedy(fits: Sequence[Fit]) -> list[Fit]:
    """Return a set to which the best signature was added as long as one improves it."""
    chosen: list[Fit] = []
    best: dict[str, float] = {}
    while True:
        causes = {fit.signature.cause for fit in chosen}
        found, most = None, 0.0
        for fit in fits:
            if fit.signature.cause not in causes:
                more = sum(gain - best.get(name, 0.0) for name, gain in fit.gains.items() if gain > best.get(name, 0.0))
                if (value := more - fit.missed - fit.cost) > most:
                    found, most = fit, value
        if found is None:
            return chosen
        chosen.append(found)
        for name, gain in found.gains.items():
            best[name] = max(gain, best.get(name, 0.0))


def _improved(chosen: list[Fit], fits: Sequence[Fit]) -> list[Fit]:
    """Return a set of which no signature can be left out or replaced by another one to any advantage."""
    score = _score(chosen)
    is_changed = True
    while is_changed:
        is_changed = False
        for number in range(len(chosen)):
            others = chosen[:number] + chosen[number + 1 :]
            for rest in (others, *([*others, fit] for fit in fits)):
                if _is_one_of_each(rest) and (value := _score(rest)) > score + 1e-9:
                    chosen, score, is_changed = rest, value, True
                    break
            if is_changed:
                break
    return chosen


def _is_clear(number: int, chosen: Sequence[Fit], fits: Iterable[Fit]) -> bool:
    """Tell whether no other cause would do as well in the place of one: no cause is better than a wrong one."""
    rest = [*chosen[:number], *chosen[number + 1 :]]
    others = (fit for fit in fits if fit.signature.cause not in {row.signature.cause for row in chosen})
    return all(_score([*rest, fit]) < _score(chosen) - MARGIN for fit in others)


# --- What is said of them ----------------------------------------------------------------------------


def _shared(chosen: Sequence[Fit]) -> Iterator[tuple[Fit, list[str]]]:
    """Yield each signature with the failures that it explains better than the others do."""
    for number, fit in enumerate(chosen):
        yield (
            fit,
            [
                name
                for name in fit.certain
                if number == max(range(len(chosen)), key=lambda other: (chosen[other].gains.get(name, 0.0), -other))
            ],
        )


def _described(cause: RootCause, names: Sequence[str], rows: Iterable[Result]) -> DiagnosedCause:
    """Return a cause as it is reported."""
    shown_by = [row for row in rows if row.scenario in names]
    return DiagnosedCause(
        id=cause.id,
        title=cause.title,
        severity=cause.severity,
        why=cause.why,
        fix=cause.fix,
        code=cause.code,
        scenarios=[row.scenario for row in shown_by],
        example=best_example(shown_by),
    )
