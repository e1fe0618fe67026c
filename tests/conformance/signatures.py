"""Makes the signatures of causes (`conformance/diagnosis/signatures.json`) from runs of the servers with planted bugs.

`python -m tests.conformance.signatures SWEEP.json ...` takes what `python -m tests.conformance.sweep --json SWEEP.json`
has written. `--styles loop,forks --json MORE.json` first judges the bugs that any style can serve in these styles too,
by the scenarios that failed and those of the same requirements, and takes that as well; `own` is the style in which a
bug is planted, `other` one that is chosen for each. A scenario that does not end alike in all runs of a server counts
as unknown.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from conformance.classroom.pool import Pool
from conformance.diagnosis.signatures import PATH, Signature, written
from conformance.model.events import Result
from conformance.model.verdicts import Verdict
from conformance.scenarios import catalogue
from conformance.spec.dialects import DIALECTS
from tests.broken_servers.all_bugs import STYLES
from tests.broken_servers.composed import ComposedError, composed, has_free_style, style_of
from tests.conformance.diagnosis.planted import causes_by_bug
from tests.conformance.pools import pool_of, pool_options
from tests.conformance.sweep import Judged, judge_each, share_memory

SCENARIOS: Final = catalogue()
OWN: Final = "own"
OTHER: Final = "other"
_SILENT: Final = frozenset({"blocked", "unsupported", "incomplete", "flaky", "error"})


def read(paths: Iterable[Path]) -> dict[str, list[Judged]]:
    """Return the runs of each server in the files of sweeps; the last line of a file may be unfinished."""
    found: dict[str, list[Judged]] = defaultdict(list)
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                row = json.loads(line)
                verdicts = {name: (verdict, kind) for name, (verdict, kind) in row["verdicts"].items()}
                run = Judged(
                    row["seconds"],
                    row["counts"],
                    verdicts,
                    row["exit"],
                    row.get("symptoms", {}),
                    row.get("deviations", []),
                )
                found[row["name"]].append(run)
    return found


def results(runs: Sequence[Judged]) -> list[Result]:
    """Return what several runs of a server have in common as results; what differs is flaky."""
    found = []
    for scenario in SCENARIOS:
        seen = {run.verdicts[scenario.id] for run in runs if scenario.id in run.verdicts}
        told = {verdict for verdict, _ in seen if verdict not in _SILENT}
        if len(told) > 1:
            seen = {("flaky", "")}
        elif told and len(seen) > 1:
            seen = {row for row in seen if row[0] in told}
        if not seen:
            continue
        symptoms = [run.symptoms[scenario.id] for run in runs if scenario.id in run.symptoms]
        verdict, kind = min(seen)
        code = next((text.partition(" ")[2] for text in symptoms if text.startswith(f"{kind} ")), "")
        found.append(
            Result(scenario.id, scenario.requirement, "", Verdict(verdict), kind=kind, got=code if kind else "")
        )
    return found


def signature(name: str, runs: Sequence[Judged]) -> Signature:
    """Return the signature of the cause of a bug, from the runs of one server that has it; several have no cause."""
    bug = composed(name)
    failed, noticed, unknown, seen = {}, {}, set(), set()
    for result in results(runs):
        symptom = f"{result.kind} {result.got}".strip()
        seen.add(result.scenario)
        if result.verdict in {Verdict.FAIL, Verdict.WARN}:
            failed[result.scenario] = symptom
        elif result.verdict is Verdict.INFO and result.kind:
            noticed[result.scenario] = symptom
        elif result.verdict.value in _SILENT:
            unknown.add(result.scenario)
    dialect = bug.dialects[0]
    applicable = {row.id for row in SCENARIOS if row.applies_to(dialect)}
    planted = name.partition("@")[0]
    return Signature(
        causes_by_bug().get(planted, ""),
        planted,
        name.partition("@")[2] or style_of(bug),
        failed,
        noticed,
        frozenset(unknown | (applicable - seen)),
        frozenset({row.id for row in SCENARIOS} - applicable),
        frozenset(text for run in runs for text in run.deviations),
    )


def signatures(sweeps: dict[str, list[Judged]]) -> list[Signature]:
    """Return the signatures of all servers with one bug, in the order of the causes."""
    order = list(causes_by_bug())
    names = [name for name in sweeps if name.partition("@")[0] in causes_by_bug()]
    names.sort(key=lambda name: (order.index(name.partition("@")[0]), name.partition("@")[2]))
    return [signature(name, sweeps[name]) for name in names]


def text(rows: Iterable[Signature]) -> str:
    """Return the file of some signatures."""
    dialects = {dialect: [row.id for row in SCENARIOS if row.applies_to(dialect)] for dialect in DIALECTS}
    with_dialects = [(row, composed(row.server).dialects[0]) for row in rows]
    return written(with_dialects, [row.id for row in SCENARIOS], dialects)


# --- Further styles ----------------------------------------------------------------------------------


def telling(runs: Sequence[Judged]) -> list[str]:
    """Return the scenarios that tell a bug from others: those that failed, and those of the same requirements."""
    rows = results(runs)
    shown = {result.requirement for result in rows if result.kind}
    return [result.scenario for result in rows if result.requirement in shown]


def in_styles(sweeps: dict[str, list[Judged]], styles: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the servers to judge in further styles, and by which scenarios."""
    for number, name in enumerate(name for name in sweeps if name in causes_by_bug()):
        bug = composed(name)
        others = [each for each in STYLES if each != style_of(bug)]
        for style in styles:
            chosen = others[number % len(others)] if style == OTHER else style
            if style == OWN:
                yield name, telling(sweeps[name])
            elif has_free_style(bug) and chosen in others:
                yield f"{name}@{chosen}", telling(sweeps[name])


def judge_all(rows: Iterable[tuple[str, list[str]]], pool: Pool, file: Path) -> None:
    """Judge servers, and append what is found to a file as a sweep does; those that are in it are left out."""
    done = set(read([file])) if file.exists() else set()
    left = [(name, select) for name, select in rows if name not in done and select]
    with file.open("a", encoding="utf-8") as out:
        for name, judged in judge_each(pool, left):
            out.write(json.dumps({"name": name, "run": 1, **judged._asdict()}) + "\n")
            out.flush()
            sys.stdout.write(f"{name:44} {judged.seconds:6.1f} s  {judged.counts}\n")
            sys.stdout.flush()


def main() -> int:
    """Renew the signatures."""
    parser = argparse.ArgumentParser(description="Renews the signatures of causes.", allow_abbrev=False)
    parser.add_argument("sweeps", nargs="+", type=Path, metavar="SWEEP.json", help="what sweeps have written")
    parser.add_argument("--styles", default="", help="judge the bugs in these styles, too; separated by commas")
    parser.add_argument("--json", type=Path, help="where to append what is found in these styles")
    pool_options(parser, 1)
    asked = parser.parse_args()
    paths = list(asked.sweeps)
    if asked.styles:
        if asked.json is None:
            parser.error("--styles needs --json FILE")
        share_memory()
        try:
            with pool_of(asked) as pool:
                judge_all(in_styles(read(paths), asked.styles.split(",")), pool, asked.json)
        except ComposedError as error:
            parser.error(str(error))
        paths.append(asked.json)
    rows = signatures(read(paths))
    PATH.write_text(text(rows), encoding="utf-8")
    sys.stdout.write(f"{len(rows)} servers, {len({row.cause for row in rows})} causes: {PATH}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
