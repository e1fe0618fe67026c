"""The reports: pure functions from the results to JSON, Markdown and a plot."""

import importlib
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.benchmarks import peers
from tests.benchmarks.goals import NGINX, Verdict, best_of
from tests.benchmarks.measure import Result, quartiles
from tests.benchmarks.workloads import ONE_CORE, WORKLOADS

Results = Mapping[tuple[str, str], Result]

NEUTRAL: Final = "#808890"
"""Readable on white and on black."""

COLOURS: Final = {
    peers.GEVENT: "#2da44e",
    peers.NGINX_COPY: "#8a94a0",
    peers.PROTOCOL: "#bf8700",
    peers.STREAMS: "#4c8dff",
    peers.TEXTBOOK: "#d1495b",
}
PLOTTED: Final = {
    "base64": "GB/s",
    "raw": "GB/s",
    "metadata": "commands/s",
    "metadata-50": "commands/s",
    "metadata-500": "commands/s",
    "pipelined": "commands/s",
}


def as_json(machine: Mapping[str, str], results: Results, verdicts: Iterable[Verdict]) -> str:
    """Return all measurements of all rounds as JSON."""
    return json.dumps(
        {
            "machine": dict(machine),
            "results": [vars(result) for result in results.values()],
            "goals": [
                {
                    "workload": each.goal.workload,
                    "placement": each.goal.placement,
                    "goal": each.goal.description,
                    "value": each.value,
                    "quartiles": each.spread,
                    "verdict": each.label,
                    "reason": each.reason,
                }
                for each in verdicts
            ],
        },
        indent=1,
    )


def as_markdown(machine: Mapping[str, str], results: Results, verdicts: Sequence[Verdict]) -> str:
    """Return the goals, and a table for each workload."""
    parts = ["\n".join(f"- {name}: {value}" for name, value in machine.items()), goals_table(verdicts)]
    parts += [workload_table(result) for result in results.values()]
    return "\n\n".join(parts) + "\n"


def goals_table(verdicts: Iterable[Verdict]) -> str:
    """Return a table with a row for each goal: medians of the ratios of all rounds, with quartiles in brackets."""
    rows = [
        (WORKLOADS[each.goal.workload].title, each.goal.placement, each.goal.description, _reached(each), each.label)
        for each in verdicts
    ]
    return _table(("workload", "where", "goal", "greenserver, gevent", ""), rows)


def workload_table(result: Result) -> str:
    """Return a table with a row for each peer, or why it is missing."""
    workload = WORKLOADS[result.workload]
    first, *others = workload.shown
    is_rate = first.endswith("/s")
    best = best_of(result, NGINX, first, ">=" if is_rate else "<=")
    rows = []
    for peer in workload.peers:
        values = result.values(peer, first)
        if not values:
            rows.append((peer, f"missing: {result.missing.get(peer, 'not measured')}", *[""] * (len(others) + 1)))
            continue
        low, middle, high = quartiles(values)
        ratio = f"{middle / statistics.median(result.values(best, first)):.2f}" if best else ""
        rest = [
            _number(statistics.median(measured)) if (measured := result.values(peer, figure)) else ""
            for figure in others
        ]
        rows.append((peer, f"{_number(middle)} ({_number(low)} to {_number(high)})", ratio, *rest))
    return f"**{workload.title}** ({result.workload}), {result.placement}\n\n" + _table(
        ("", first, "x nginx", *others), rows
    )


def as_svg(results: Results, path: Path) -> None:
    """Plot the rates on one core relative to nginx, for light and dark pages.

    Raises ImportError if matplotlib is not installed.
    """
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    shown = [results[workload, ONE_CORE] for workload in PLOTTED if (workload, ONE_CORE) in results]
    style = {"text.color": NEUTRAL, "axes.edgecolor": NEUTRAL, "axes.labelcolor": NEUTRAL, "svg.hashsalt": "benchmark"}
    ticks = {"xtick.color": NEUTRAL, "ytick.color": NEUTRAL}
    with pyplot.rc_context({**style, **ticks}):
        figure, axes = pyplot.subplots(figsize=(8, 0.9 + 0.9 * max(1, len(shown))))
        height = 0.8 / len(COLOURS)
        for row, (peer, colour) in enumerate(COLOURS.items()):
            bars = [(place, share) for place, result in enumerate(shown) if (share := _share(result, peer)) is not None]
            places = [place + (row - (len(COLOURS) - 1) / 2) * height for place, _ in bars]
            drawn = axes.barh(places, [share for _, share in bars], height, color=colour, label=peer)
            axes.bar_label(drawn, fmt="%.2f", padding=3, fontsize=7, color=NEUTRAL)
        axes.set_yticks(range(len(shown)), [WORKLOADS[result.workload].title for result in shown], fontsize=8)
        axes.invert_yaxis()
        axes.axvline(1.0, color=NEUTRAL, linewidth=0.8, linestyle=":")
        axes.set_xlabel("times nginx's better mode, server and client on one core; more is better")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
        figure.savefig(path, transparent=True, bbox_inches="tight", metadata={"Date": None})
        pyplot.close(figure)


def _share(result: Result, peer: str) -> float | None:
    figure = PLOTTED[result.workload]
    best = best_of(result, NGINX, figure, ">=")
    values = result.values(peer, figure)
    if best is None or not values:
        return None
    return statistics.median(values) / statistics.median(result.values(best, figure))


def _reached(verdict: Verdict) -> str:
    if verdict.value is None or verdict.spread is None:
        return verdict.reason
    low, high = verdict.spread
    unit = " x" if verdict.goal.against else ""
    return f"{_number(verdict.value)}{unit} ({_number(low)} to {_number(high)})"


def _number(value: float) -> str:
    """Return three significant digits, or whole thousands with commas."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
