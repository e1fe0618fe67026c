"""Plays scenarios against broken servers, and keeps which of them find which bug, and why.

`python -m tests.conformance.kill_matrix` shows the matrix. With `--write` it is made anew, by playing the whole
catalogue against every bug. The tests check it: each bug is played again, by the scenarios that are to find it.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from conformance.engine import Session
from conformance.events import Event, Result
from conformance.options import Options
from conformance.scenario import Catalogue, Scenario
from conformance.scenarios import catalogue
from tests.broken_servers.all_bugs import BUGS
from tests.broken_servers.bug import Bug

ROOT = Path(__file__).parents[2]
MATRIX = Path(__file__).with_name("kill_matrix.json")
FINDERS = 4
"""How many scenarios are kept for a bug, beside those that are needed because they find nothing else."""
GATE = "framing.one-command"

Finds = dict[str, str]
"""Scenario to reason, of one bug."""


def options(words: Iterable[str], dialect: str, select: Iterable[str] = ()) -> Options:
    """Return the options with which a server of these tests is judged: smaller and less patient than by default."""
    return Options(
        serve=shlex.join([sys.executable, "-m", *words, "-p", "{port}", "-d", "{dir}", "--dialect", dialect]),
        cwd=str(ROOT),
        dialect=dialect,
        select=tuple(select),
        large_bytes=16 << 20,
        clients=120,
        timeout_scale=0.5,
    )


def judge(asked: Options) -> list[Result]:
    """Return the results of a run."""
    events: list[Event] = []
    with Session(asked, catalogue(), events.append) as session:
        session.run()
    return [event for event in events if isinstance(event, Result)]


def judge_bug(bug: Bug, select: Iterable[str] = ()) -> list[Result]:
    """Return the results of a bug's server."""
    return judge(options(["tests.broken_servers", bug.name], bug.dialects[0], select))


def reason(result: Result) -> str:
    """Return why a scenario failed: the kind of failure, and what the protocol wants."""
    return f"{result.kind}: {result.expected}"


def is_found(result: Result) -> bool:
    """Tell whether a result says that something is wrong with the server; of a choice, too, if nothing legal came."""
    return result.verdict in {"fail", "warn"} or (result.verdict == "info" and bool(result.kind))


def finds(results: Iterable[Result]) -> Finds:
    """Return which scenarios found something, and what."""
    return {result.scenario: reason(result) for result in results if is_found(result)}


def is_about(scenario: Scenario, bug: Bug) -> bool:
    """Tell whether a scenario judges the requirement that a bug breaks; the first of all is about everything."""
    return scenario.requirement == bug.requirement or scenario.id == GATE


def kept(every: Mapping[str, Finds], scenarios: Catalogue) -> dict[str, Finds]:
    """Return a matrix that is small enough to be played often, and names every scenario that finds anything.

    For each bug the scenarios of its own requirement come first, then the ones that find the fewest bugs.
    """
    rarity = {row.id: sum(row.id in found for found in every.values()) for row in scenarios}

    def rank(name: str, scenario: str) -> tuple[bool, int, str]:
        return not is_about(scenarios[scenario], BUGS[name]), rarity[scenario], scenario

    matrix = {name: sorted(found, key=lambda scenario: rank(name, scenario))[:FINDERS] for name, found in every.items()}
    for row in scenarios:
        if rarity[row.id] and not any(row.id in chosen for chosen in matrix.values()):
            name = min((name for name, found in every.items() if row.id in found), key=lambda name: rank(name, row.id))
            matrix[name].append(row.id)
    return {name: {scenario: every[name][scenario] for scenario in sorted(chosen)} for name, chosen in matrix.items()}


def read() -> dict[str, Finds]:
    """Return the matrix: of each bug, the scenarios that have to find it, and their reasons."""
    matrix: dict[str, Finds] = json.loads(MATRIX.read_text(encoding="utf-8"))
    return matrix


def show(matrix: Mapping[str, Finds], scenarios: Catalogue) -> Iterator[str]:
    """Yield the lines in which the matrix is shown: by bug, then by scenario, then the totals."""
    for name, found in matrix.items():
        yield f"{name}: {BUGS[name].sentence}"
        yield from (f"    {scenario:44} {why}" for scenario, why in found.items())
    killers = {row.id: [name for name, found in matrix.items() if row.id in found] for row in scenarios}
    yield ""
    yield from (f"{scenario:46} {len(names):3}  {' '.join(names[:4])}" for scenario, names in killers.items())
    alive = [name for name, found in matrix.items() if not any(is_about(scenarios[row], BUGS[name]) for row in found)]
    idle = [scenario for scenario, names in killers.items() if not names]
    yield ""
    yield f"{len(matrix)} bugs, {len(matrix) - len(alive)} found for their own requirement; {len(alive)} not: {alive}"
    yield f"{len(killers)} scenarios, {len(killers) - len(idle)} of which find a bug; {len(idle)} do not: {idle}"


def main() -> int:
    """Show the matrix, or make it anew."""
    parser = argparse.ArgumentParser(description="Which scenarios find which bugs.", allow_abbrev=False)
    parser.add_argument(
        "--write", action="store_true", help="play everything against every bug, and keep what is found"
    )
    parser.add_argument("-j", "--jobs", type=int, default=2, help="how many servers are judged at once")
    asked = parser.parse_args()
    scenarios = catalogue()
    if asked.write:
        with ThreadPoolExecutor(asked.jobs) as pool:
            every = dict(zip(BUGS, map(finds, pool.map(judge_bug, BUGS.values())), strict=True))
        MATRIX.write_text(json.dumps(kept(every, scenarios), indent=1) + "\n", encoding="utf-8")
    sys.stdout.writelines(f"{line}\n" for line in show(read(), scenarios))
    return 0


if __name__ == "__main__":
    sys.exit(main())
