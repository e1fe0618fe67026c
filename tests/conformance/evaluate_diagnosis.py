"""Measures how often the diagnosis names the right causes, all of them, and no others.

`python -m tests.conformance.evaluate_diagnosis` prints a table. By itself it works on the signatures: single bugs, with
what is known of their own style left out, and random pairs and triples whose failures are put together; and on what
`recorded.json` has of real servers with two, three and five bugs. `--live 20` also judges so many random pairs and
triples that are real servers, the servers with five bugs, and the correct and odd ones, in a quarter of an hour;
`--sweep FILE` takes what a sweep has recorded of such servers, and `--record` makes `recorded.json` from these runs.
`--seed` draws other pairs and triples.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from conformance.diagnosis.diagnose import diagnose
from conformance.diagnosis.signatures import Signature, signatures
from conformance.diagnosis.signatures import read as read_signatures
from conformance.model.events import Diagnosis, Result
from conformance.model.verdicts import Verdict
from conformance.scenarios import catalogue
from conformance.spec.dialects import DIALECTS
from tests.broken_servers.__main__ import NAMES
from tests.broken_servers.all_bugs import BUGS
from tests.broken_servers.composed import ComposedError, composed, style_of
from tests.conformance.diagnosis.planted import causes_by_bug, planted
from tests.conformance.signatures import read, results, signature, text
from tests.conformance.sweep import Judged, judge, share_memory

SCENARIOS: Final = catalogue()
SEED: Final = 2008
TOGETHER: Final = 300
"""How many random pairs, and how many triples, are put together."""
RECORDED: Final = Path(__file__).parent / "diagnosis/recorded.json"
"""What real servers with several bugs have shown, as signatures without a cause."""
_BLIND: Final = 0.3
"""A server of which more than this share of the scenarios shows nothing is not put together with others."""


@dataclass
class Score:
    """What the diagnosis made of several servers."""

    what: str
    servers: int = 0
    right_first: int = 0
    exact: int = 0
    wanted: int = 0
    named: int = 0
    right: int = 0
    misses: list[str] = field(default_factory=list)

    def add(self, name: str, wanted: set[str], found: Diagnosis) -> None:
        """Count one server."""
        named = [cause.id for cause in found.causes]
        self.servers += 1
        self.right_first += bool(named) and named[0] in wanted
        self.exact += set(named) == wanted
        self.wanted += len(wanted)
        self.named += len(named)
        self.right += len(wanted & set(named))
        if set(named) != wanted:
            self.misses.append(
                f"{name}: {', '.join(sorted(wanted)) or 'nothing'}; named: {', '.join(named) or 'nothing'}"
            )

    def row(self) -> str:
        """Return it as a row of the table."""
        shares = (
            (self.right_first, self.servers),
            (self.exact, self.servers),
            (self.right, self.wanted),
            (self.right, self.named),
        )
        return f"{self.what:46} {self.servers:7} {' '.join(_share(part, whole) for part, whole in shares)}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:8.1f} %" if whole else f"{'-':>10}"


HEAD: Final = f"{'':46} {'servers':>7} {'first':>10} {'exact':>10} {'recall':>10} {'precision':>10}"


# --- From signatures to runs ------------------------------------------------------------------------


def as_results(rows: Sequence[Signature]) -> list[Result]:
    """Return the results of a server that has all of some bugs, if each shows as it does alone.

    A failure counts more than a scenario that showed nothing, and that more than a pass.
    """
    found = []
    for scenario in SCENARIOS:
        name = scenario.id
        if any(name in row.inapplicable for row in rows):
            continue
        symptom, verdict = "", Verdict.PASS
        for row in rows:
            if name in row.failed and verdict is not Verdict.FAIL:
                symptom, verdict = row.failed[name], Verdict.FAIL
            elif verdict is Verdict.PASS and name in row.noticed:
                symptom, verdict = row.noticed[name], Verdict.INFO
            elif verdict is not Verdict.FAIL and name in row.unknown:
                symptom, verdict = "", Verdict.BLOCKED
        kind, _, code = symptom.partition(" ")
        found.append(Result(name, scenario.requirement, "", verdict, kind=kind, got=code))
    return found


def is_clear(row: Signature) -> bool:
    """Tell whether a signature shows failures, and enough of the rest."""
    return bool(row.failed) and len(row.unknown) < _BLIND * len(SCENARIOS)


def is_whole(row: Signature) -> bool:
    """Tell whether a signature comes from a run of the whole catalogue: the style is that in which a bug is planted."""
    return row.style == style_of(BUGS[row.server])


# --- What is measured --------------------------------------------------------------------------------


def single_bugs(known: Sequence[Signature]) -> Score:
    """Diagnose each server with what is known of its cause in other styles."""
    score = Score("single bugs, own style left out")
    for row in known:
        if not is_whole(row) or not row.failed:
            continue
        others = [other for other in known if other.cause != row.cause or other.style != row.style]
        if any(_is_twin(other, row) for other in others):
            score.add(f"{row.server}@{row.style}", {row.cause}, diagnose(as_results([row]), row.deviations, others))
    return score


def unknown_bugs(known: Sequence[Signature]) -> Score:
    """Diagnose each server without anything known of its cause: best nothing is named."""
    score = Score("single bugs, own cause left out")
    for row in known:
        if is_whole(row) and row.failed:
            others = [other for other in known if other.cause != row.cause]
            score.add(f"{row.server}@{row.style}", set(), diagnose(as_results([row]), row.deviations, others))
    return score


def several_bugs(known: Sequence[Signature], count: int, times: int = TOGETHER, seed: int = SEED) -> Score:
    """Diagnose random servers with several bugs of one dialect, whose failures are put together."""
    score = Score(f"{count} bugs, failures put together, own style out")
    chance = random.Random(seed)
    rows = [row for row in known if is_whole(row) and is_clear(row)]
    rows = [row for row in rows if any(_is_twin(other, row) for other in known)]
    rows = [row for row in rows if composed(row.server).dialects[0] == DIALECTS[0]]
    while score.servers < times:
        chosen = chance.sample(rows, count)
        if len({row.cause for row in chosen}) < count:
            continue
        others = [
            other for other in known if not any(other.cause == row.cause and other.style == row.style for row in chosen)
        ]
        name = "+".join(row.server for row in chosen)
        deviations = {text for row in chosen for text in row.deviations}
        score.add(name, {row.cause for row in chosen}, diagnose(as_results(chosen), deviations, others))
    return score


def _is_twin(other: Signature, row: Signature) -> bool:
    """Tell whether a signature is of the same mistake in another style, where it shows."""
    is_same = BUGS[other.server].sentence == BUGS[row.server].sentence
    return is_same and other.style != row.style and bool(other.failed)


# --- Real servers ------------------------------------------------------------------------------------


def random_servers(known: Sequence[Signature], count: int, times: int, seed: int = SEED) -> Iterator[str]:
    """Yield the names of random servers with several bugs that go together."""
    chance = random.Random(f"{seed} {count}")
    names = sorted({row.server for row in known if is_whole(row) and is_clear(row)})
    while times:
        chosen = chance.sample(names, count)
        try:
            composed("+".join(chosen))
        except ComposedError:
            continue
        if len({causes_by_bug()[name] for name in chosen}) == count:
            times -= 1
            yield "+".join(chosen)


def wanted_of(name: str) -> set[str]:
    """Return the causes that a server has."""
    if name in planted().several:
        return set(planted().several[name])
    if name not in BUGS and name in NAMES:
        return set()  # a correct one
    return {causes_by_bug()[bug] for bug in name.partition("@")[0].split("+")}


class Run(NamedTuple):
    """What a real server has shown."""

    name: str
    results: list[Result]
    deviations: set[str]


def on_file() -> Iterator[Run]:
    """Yield what `recorded.json` has of real servers."""
    for row in read_signatures(RECORDED.read_bytes()):
        yield Run(row.server, as_results([row]), set(row.deviations))


def swept(runs: Iterable[tuple[str, list[Judged]]]) -> Iterator[Run]:
    """Yield what the runs of servers show that have several bugs or none."""
    for name, judged in runs:
        if name not in planted().unnamed and (name not in BUGS or name in planted().several):
            yield Run(name, results(judged), {text for run in judged for text in run.deviations})


def real_servers(runs: Iterable[Run], known: Sequence[Signature]) -> list[Score]:
    """Diagnose real servers: those with several bugs, and correct ones."""
    scores = {
        2: Score("2 bugs in one server, both styles known"),
        3: Score("3 bugs in one server, all styles known"),
        5: Score("servers with 5 bugs, as a student writes them"),
        0: Score("correct and odd servers"),
    }
    for name, rows, deviations in runs:
        wanted = wanted_of(name)
        if len(wanted) in scores:
            scores[len(wanted)].add(name, wanted, diagnose(rows, deviations, known))
    return [score for score in scores.values() if score.servers]


def live(known: Sequence[Signature], times: int, jobs: int, seed: int) -> Iterator[tuple[str, list[Judged]]]:
    """Judge random servers with several bugs, and the correct ones."""
    share_memory()
    names = [name for count in (2, 3) for name in random_servers(known, count, times, seed)]
    names += planted().several
    names += [name for name in NAMES if name not in BUGS and not name.startswith("slow-")]
    with ThreadPoolExecutor(jobs) as pool:
        for name, judged in zip(names, pool.map(judge, names), strict=True):
            yield name, [judged]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="How good the diagnosis is.", allow_abbrev=False)
    parser.add_argument("--sweep", action="append", default=[], type=Path, help="recorded runs of further servers")
    parser.add_argument("--live", type=int, default=0, help="how many pairs and triples to judge as real servers")
    parser.add_argument("--seed", type=int, default=SEED, help="which pairs and triples are drawn")
    parser.add_argument("--json", type=Path, help="where to append what real servers have shown")
    parser.add_argument("--record", action="store_true", help="keep these runs of servers with bugs for the tests")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="how many servers are judged at a time")
    parser.add_argument("-v", "--verbose", action="store_true", help="show each server of which something is wrong")
    asked = parser.parse_args()
    known = signatures()
    scores = [single_bugs(known), *(several_bugs(known, count, seed=asked.seed) for count in (2, 3))]
    scores.append(unknown_bugs(known))
    runs = list(read(asked.sweep).items())
    for name, judged in live(known, asked.live, asked.jobs, asked.seed) if asked.live else ():
        runs.append((name, judged))
        if asked.json:
            with asked.json.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"name": name, "run": 1, **judged[0]._asdict()}) + "\n")
    if asked.record:
        RECORDED.write_text(text(signature(*run) for run in runs if wanted_of(run[0])), encoding="utf-8")
    newest = {run.name: run for run in (*on_file(), *swept(runs))}
    scores += real_servers(newest.values(), known)
    sys.stdout.write("\n".join([HEAD, *(score.row() for score in scores)]) + "\n")
    if asked.verbose:
        sys.stdout.writelines(f"\n{score.what}\n" + "".join(f"  {line}\n" for line in score.misses) for score in scores)
    return 0


if __name__ == "__main__":
    sys.exit(main())
