"""Run scenarios against broken servers, and record which of them find which bug, and why.

`python -m tests.conformance.kill_matrix` shows the matrix. With `--write` it is generated again, by running the
whole catalogue against every bug; `--bug` and `-t` run some of it and keep the rest. The tests check it: each bug is
judged again, by those scenarios that are needed to prove that every bug is found, and that every scenario finds one.
"""

import argparse
import json
import re
import shlex
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from conformance.classroom.pool import LostError, Pool, alone
from conformance.config import Options
from conformance.model.events import Event, Result
from conformance.model.scenario import Catalogue, Scenario
from conformance.runner.runner import Runner
from conformance.scenarios import catalogue
from conformance.target.environment import Environment
from tests.broken_servers import forking
from tests.broken_servers.all_bugs import BUGS
from tests.broken_servers.bug import Bug
from tests.conformance.pools import pool_of, pool_options

SCENARIOS = catalogue()
SECRET = re.compile(r"\S*-[0-9a-f]{8}\.txt\S*|/\S*/tmp[0-9a-f]{8}/\S+")
MATRIX = Path(__file__).with_name("kill_matrix.json")
FINDERS = 4
"""How many scenarios are kept for a bug, beside those that are needed because they find nothing else."""
SMOKE_TEST = "framing.one-command"
LARGE_BYTES = 16 << 20
SMALL_BYTES = 1 << 16
"""Of the large file, where no scenario asks for it."""
CLIENTS = 120
USUAL_SCALE = 0.5
QUICK_SCALE = 0.2
"""The scale of timeouts, where all that a server does is to let the suite wait."""
MOST_ROUNDS = 20
"""How often scenarios that others block are run again."""
REPEATED = "repeated"
"""The reason of a scenario whose finding another one reports."""
Finds = dict[str, str]
"""Scenario to reason, of one bug."""


def make_options(name: str, dialect: str, select: Iterable[str] = (), *, is_quick: bool = False) -> Options:
    """Return the options for a broken server: with smaller files and shorter timeouts than by default."""
    select = tuple(select)
    needs_large = not select or any("large" in SCENARIOS[row].needs for row in select)
    return Options(
        serve=shlex.join([name, "-p", "{port}", "-d", "{dir}", "--dialect", dialect]),
        dialect=dialect,
        select=select,
        large_bytes=LARGE_BYTES if needs_large else SMALL_BYTES,
        clients=CLIENTS,
        timeout_scale=QUICK_SCALE if is_quick else USUAL_SCALE,
    )


def judge(options: Options) -> list[Result]:
    """Return the results of a run."""
    events: list[Event] = []
    with (
        Environment(options, forking.launch) as environment,
        Runner(options, SCENARIOS, events.append, environment) as runner,
    ):
        runner.run()
    return [event for event in events if isinstance(event, Result)]


def judge_bug(bug: Bug, select: Iterable[str] = (), *, is_quick: bool = False) -> list[Result]:
    """Return the results of a bug's server."""
    return judge(make_options(bug.name, bug.dialects[0], select, is_quick=is_quick))


def reason(result: Result) -> str:
    """Return why a scenario failed: the kind of failure, and what the protocol wants, without names of one run."""
    return f"{result.kind}: {SECRET.sub('SECRET', result.expected)}"


def is_found(result: Result) -> bool:
    """Return whether a result shows a fault of the server; for a choice, too, if no valid reply came."""
    return result.verdict in {"fail", "warn"} or (result.verdict == "info" and bool(result.kind))


def is_repeated(result: Result) -> bool:
    """Return whether a scenario met a constant deviation that another one of its requirement reports."""
    return result.verdict == "blocked" and " reports it: " in result.got


def finds(results: Iterable[Result]) -> Finds:
    """Return which scenarios found something, and what; one that another one reports is `REPEATED`."""
    results = list(results)
    found = {result.scenario: reason(result) for result in results if is_found(result)}
    return found | {result.scenario: REPEATED for result in results if is_repeated(result)}


def finds_of_all(bug: Bug, select: Iterable[str]) -> Finds:
    """Return what all of some scenarios find: those that others block are run again without these."""
    found: Finds = {}
    left = list(select)
    for _ in range(MOST_ROUNDS):
        results = judge_bug(bug, left)
        found |= {row: why for row, why in finds(results).items() if why != REPEATED}
        blocked = [result.scenario for result in results if result.verdict == "blocked"]
        if not blocked or len(blocked) == len(left):
            break
        left = blocked
    return found


def is_about(scenario: Scenario, bug: Bug) -> bool:
    """Return whether a scenario judges the requirement that a bug breaks; the first of all is about everything."""
    return scenario.requirement == bug.requirement or scenario.id == SMOKE_TEST


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


def needs_timeout(why: str) -> bool:
    """Return whether a reason is that nothing arrives, which takes a timeout to find out."""
    return why.startswith(("timeout", "open", "gone"))


def may_be_quick(why: str) -> bool:
    """Return whether short timeouts are enough; not for connections: the kernel tries again after a second."""
    return needs_timeout(why) and not why.endswith("a connection")


def proof(matrix: Mapping[str, Finds], scenarios: Catalogue) -> dict[str, Finds]:
    """Return the part of a matrix that proves as much as the whole of it, at the least cost.

    Of each bug there is a scenario of its own requirement, and each scenario is there with one bug.
    """
    chosen: dict[str, Finds] = {name: {} for name in matrix}
    for name, found in matrix.items():
        about = [row for row in found if is_about(scenarios[row], BUGS[name])]
        if about:
            cheapest = min(about, key=lambda row: (needs_timeout(found[row]), row))
            chosen[name][cheapest] = found[cheapest]
    for row in scenarios:
        killers = [name for name, found in matrix.items() if row.id in found]
        if killers and not any(row.id in found for found in chosen.values()):
            ranks = {name: (needs_timeout(matrix[name][row.id]), not is_about(row, BUGS[name])) for name in killers}
            killer = min(killers, key=lambda name: ranks[name])
            chosen[killer][row.id] = matrix[killer][row.id]
    return chosen


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
    """Show the matrix, or generate it."""
    parser = argparse.ArgumentParser(description="Which scenarios find which bugs.", allow_abbrev=False)
    parser.add_argument(
        "--write", action="store_true", help="run everything against every bug, and record what is found"
    )
    parser.add_argument("--bug", action="append", choices=BUGS, metavar="NAME", help="run against this one only")
    parser.add_argument("-t", action="append", default=[], metavar="ID", help="run this scenario only")
    pool_options(parser, 2)
    arguments = parser.parse_args()
    if arguments.write:
        with pool_of(arguments) as pool:
            write(arguments.bug or list(BUGS), arguments.t, pool, SCENARIOS)
    sys.stdout.writelines(f"{line}\n" for line in show(read(), SCENARIOS))
    return 0


def finds_of_row(row: tuple[str, list[str]], _stop: threading.Event) -> Finds:
    """Return what scenarios find in the server of a bug, as a job of a pool."""
    name, select = row
    return finds_of_all(BUGS[name], select) if select else {}


def write(names: Iterable[str], select: Iterable[str], pool: Pool, scenarios: Catalogue) -> None:
    """Run scenarios, or all of them, against bugs, and replace what they found."""
    select = set(select) or {row.id for row in scenarios}
    rows = [
        (name, [row.id for row in scenarios if row.id in select and row.applies_to(BUGS[name].dialects[0])])
        for name in names
    ]
    before = read()
    every = {
        name: {row: why for row, why in before.get(name, {}).items() if row in {known.id for known in scenarios}}
        for name in BUGS
    }
    for (name, _), found in pool.run(finds_of_row, alone(rows), threading.Event()):
        if isinstance(found, LostError):
            raise found
        every[name] = {row: why for row, why in every[name].items() if row not in select} | found
    MATRIX.write_text(json.dumps(kept(every, scenarios), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    from tests.conformance import kill_matrix  # noqa: PLW0406  (as which workers know it)

    sys.exit(kill_matrix.main())
