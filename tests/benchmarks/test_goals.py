"""The ratios, the verdicts on goals, the gate, and the tables made of them."""

import importlib.util
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.benchmarks import report
from tests.benchmarks.goals import AT_LEAST, AT_MOST, GOALS, Goal, best_of, judge, judge_all, missed_goals, ratios
from tests.benchmarks.measure import Result, quartiles
from tests.benchmarks.peers import GEVENT, NGINX_COPY, NGINX_SENDFILE, PEERS, TEXTBOOK
from tests.benchmarks.workloads import ONE_CORE, WORKLOADS

pytestmark = pytest.mark.once

MACHINE = {"machine": "one core", "date": "today"}


def result(workload: str = "base64", figure: str = "GB/s", **values: list[float]) -> Result:
    names = {"gevent": GEVENT, "sendfile": NGINX_SENDFILE, "copy": NGINX_COPY, "textbook": TEXTBOOK}
    return Result(workload, ONE_CORE, {names[name]: {figure: each} for name, each in values.items()})


def goal(
    comparison: str = AT_LEAST, bound: float = 1.0, against: tuple[str, ...] = (NGINX_SENDFILE, NGINX_COPY)
) -> Goal:
    return Goal("base64", "GB/s", comparison, bound, against)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3.0], (3.0, 3.0, 3.0)), ([1.0, 2.0, 3.0, 4.0, 5.0], (2.0, 3.0, 4.0)), ([1.0, 2.0], (1.25, 1.5, 1.75))],
)
def test_quartiles(values: list[float], expected: tuple[float, float, float]) -> None:
    assert quartiles(values) == expected


def test_ratios_are_computed_per_round() -> None:
    assert ratios([2.0, 6.0, 5.0], [1.0, 2.0, 0.0]) == [2.0, 3.0]


def test_the_better_peer_is_the_one_with_the_better_median() -> None:
    measured = result(sendfile=[9.0, 1.0, 1.0], copy=[2.0, 2.0, 2.0])
    assert best_of(measured, (NGINX_SENDFILE, NGINX_COPY), "GB/s", AT_LEAST) == NGINX_COPY
    assert best_of(measured, (NGINX_SENDFILE, NGINX_COPY), "GB/s", AT_MOST) == NGINX_SENDFILE
    assert best_of(measured, (TEXTBOOK,), "GB/s", AT_LEAST) is None


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    # A slow round slows both: that does not affect the ratio, but could affect a ratio of medians.
    measured = result(gevent=[4.0, 0.4, 4.4], copy=[2.0, 0.2, 2.0])
    verdict = judge(goal(bound=2.0), {("base64", ONE_CORE): measured})
    assert verdict.value == pytest.approx(2.0)
    assert verdict.label == "reached"


@pytest.mark.parametrize(
    ("comparison", "bound", "label"),
    [(AT_LEAST, 2.0, "reached"), (AT_LEAST, 2.1, "MISSED"), (AT_MOST, 2.0, "reached"), (AT_MOST, 1.9, "MISSED")],
)
def test_an_absolute_bound_needs_no_peer(comparison: str, bound: float, label: str) -> None:
    verdict = judge(goal(comparison, bound, ()), {("base64", ONE_CORE): result(gevent=[1.0, 2.0, 3.0])})
    assert (verdict.value, verdict.label) == (2.0, label)


def test_a_missing_peer_leaves_the_goal_open_and_fails_the_gate() -> None:
    measured = result(gevent=[1.0])
    measured.missing[NGINX_COPY] = "nginx is not installed"
    verdict = judge(goal(), {("base64", ONE_CORE): measured})
    assert verdict.label == "open"
    assert "nginx is not installed" in verdict.reason
    assert len(missed_goals([verdict])) == 1


def test_a_goal_that_was_not_measured_is_open() -> None:
    assert judge(goal(), {}).label == "open"


def test_the_gate_names_the_missed_goals_only() -> None:
    measured = {("base64", ONE_CORE): result(gevent=[1.0], copy=[2.0], sendfile=[0.5])}
    lines = missed_goals([judge(goal(), measured), judge(goal(bound=0.5), measured)])
    assert lines == ["base64: GB/s >= 1 x nginx: 0.5"]


def test_every_goal_refers_to_an_existing_workload_figure_and_peers() -> None:
    for each in GOALS:
        workload = WORKLOADS[each.workload]
        assert each.figure in workload.shown
        assert each.placement in workload.placements
        assert {each.subject, *each.against} <= set(workload.peers)


def test_every_workload_refers_to_existing_peers() -> None:
    for workload in WORKLOADS.values():
        assert set(workload.peers) <= set(PEERS)


def test_only_the_workloads_of_the_run_are_judged() -> None:
    assert {each.goal.workload for each in judge_all({}, ["raw"])} == {"raw"}


def test_a_table_has_a_row_for_each_peer_and_says_why_one_is_missing() -> None:
    measured = result(gevent=[1.0, 2.0, 3.0], copy=[1.0, 1.0, 1.0])
    measured.missing[TEXTBOOK] = "did not start: no output"
    lines = report.workload_table(measured).splitlines()
    rows = [line for line in lines if line.startswith("| ")][2:]
    assert len(rows) == len(WORKLOADS["base64"].peers)
    assert any(GEVENT in row and "2 (1.5 to 2.5) | 2.00" in row for row in rows)
    assert any(TEXTBOOK in row and "missing: did not start: no output" in row for row in rows)
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_json_and_markdown_contain_the_machine_and_the_verdicts() -> None:
    results = {("base64", ONE_CORE): result(gevent=[1.0], copy=[2.0])}
    verdicts = judge_all(results, ["base64"])
    report_data = json.loads(report.as_json(MACHINE, results, verdicts))
    assert report_data["machine"] == MACHINE
    assert report_data["results"][0]["samples"][GEVENT]["GB/s"] == [1.0]
    assert report_data["goals"][0]["verdict"] == "MISSED"
    markdown = report.as_markdown(MACHINE, results, verdicts)
    assert "- date: today" in markdown
    assert "0.5 x (0.5 to 0.5) | MISSED" in markdown


@pytest.mark.filterwarnings("ignore")
def test_the_plot_is_an_svg_with_a_transparent_background(tmp_path: Path) -> None:
    path = tmp_path / "plot.svg"
    results = {("base64", ONE_CORE): result(gevent=[1.0], copy=[2.0], textbook=[0.1])}
    if importlib.util.find_spec("matplotlib") is None:
        with pytest.raises(ImportError):
            report.as_svg(results, path)
        return
    report.as_svg(results, path)
    text = path.read_text(encoding="utf-8")
    assert ET.fromstring(text).tag.endswith("svg")
    assert "#ffffff" not in text
    assert report.NEUTRAL in text
