"""What the run says: pure functions of the results, to JSON, to Markdown, to a plot."""

import importlib
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.benchmarks import peers
from tests.benchmarks.goals import NGINX, Judgement, best_of
from tests.benchmarks.measure import Result, quartiles
from tests.benchmarks.works import ONE_CORE, WORKS

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


def as_json(machine: Mapping[str, str], results: Results, judgements: Iterable[Judgement]) -> str:
    """Return all that was measured, each round of it."""
    return json.dumps(
        {
            "machine": dict(machine),
            "results": [vars(result) for result in results.values()],
            "goals": [
                {
                    "work": each.goal.work,
                    "placement": each.goal.placement,
                    "goal": each.goal.wish,
                    "value": each.value,
                    "quartiles": each.spread,
                    "verdict": each.word,
                    "gap": each.gap,
                }
                for each in judgements
            ],
        },
        indent=1,
    )


def as_markdown(machine: Mapping[str, str], results: Results, judgements: Sequence[Judgement]) -> str:
    """Return the goals, and a table for each work."""
    parts = ["\n".join(f"- {name}: {value}" for name, value in machine.items()), goals_table(judgements)]
    parts += [work_table(result) for result in results.values()]
    return "\n\n".join(parts) + "\n"


def goals_table(judgements: Iterable[Judgement]) -> str:
    """Return a row for each goal: ratios are medians of the rounds' ratios, quartiles in brackets."""
    rows = [
        (WORKS[each.goal.work].title, each.goal.placement, each.goal.wish, _reached(each), each.word)
        for each in judgements
    ]
    return _table(("work", "where", "goal", "greenserver, gevent", ""), rows)


def work_table(result: Result) -> str:
    """Return a row for each peer, the gaps at the end."""
    work = WORKS[result.work]
    first, *others = work.shown
    is_rate = first.endswith("/s")
    best = best_of(result, NGINX, first, ">=" if is_rate else "<=")
    rows = []
    for peer in work.peers:
        values = result.values(peer, first)
        if not values:
            rows.append((peer, f"missing: {result.gaps.get(peer, 'not measured')}", *[""] * (len(others) + 1)))
            continue
        low, middle, high = quartiles(values)
        ratio = f"{middle / statistics.median(result.values(best, first)):.2f}" if best else ""
        rest = [_number(statistics.median(seen)) if (seen := result.values(peer, figure)) else "" for figure in others]
        rows.append((peer, f"{_number(middle)} ({_number(low)} to {_number(high)})", ratio, *rest))
    return f"**{work.title}** ({result.work}), {result.placement}\n\n" + _table(("", first, "x nginx", *others), rows)


def as_svg(results: Results, path: Path) -> None:
    """Plot the rates on one core beside nginx's, for light and dark pages.

    Raises ImportError if matplotlib is not installed.
    """
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    shown = [results[work, ONE_CORE] for work in PLOTTED if (work, ONE_CORE) in results]
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
        axes.set_yticks(range(len(shown)), [WORKS[result.work].title for result in shown], fontsize=8)
        axes.invert_yaxis()
        axes.axvline(1.0, color=NEUTRAL, linewidth=0.8, linestyle=":")
        axes.set_xlabel("times nginx's better mode, server and client on one core; more is better")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
        figure.savefig(path, transparent=True, bbox_inches="tight", metadata={"Date": None})
        pyplot.close(figure)


def _share(result: Result, peer: str) -> float | None:
    figure = PLOTTED[result.work]
    best = best_of(result, NGINX, figure, ">=")
    values = result.values(peer, figure)
    if best is None or not values:
        return None
    return statistics.median(values) / statistics.median(result.values(best, figure))


def _reached(judgement: Judgement) -> str:
    if judgement.value is None or judgement.spread is None:
        return judgement.gap
    low, high = judgement.spread
    unit = " x" if judgement.goal.against else ""
    return f"{_number(judgement.value)}{unit} ({_number(low)} to {_number(high)})"


def _number(value: float) -> str:
    """Return three significant digits, or whole thousands with commas."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
