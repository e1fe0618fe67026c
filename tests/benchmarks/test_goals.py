"""The arithmetic of ratios, the judgement, the gate, and the tables made of them."""

import importlib.util
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.benchmarks import report
from tests.benchmarks.goals import AT_LEAST, AT_MOST, GOALS, Goal, best_of, judge, judge_all, limiter, ratios
from tests.benchmarks.measure import Result, quartiles
from tests.benchmarks.peers import GEVENT, NGINX_COPY, NGINX_SENDFILE, PEERS, TEXTBOOK
from tests.benchmarks.works import ONE_CORE, WORKS

pytestmark = pytest.mark.once

MACHINE = {"machine": "one core", "date": "today"}


def result(work: str = "base64", figure: str = "GB/s", **values: list[float]) -> Result:
    names = {"gevent": GEVENT, "sendfile": NGINX_SENDFILE, "copy": NGINX_COPY, "textbook": TEXTBOOK}
    return Result(work, ONE_CORE, {names[name]: {figure: each} for name, each in values.items()})


def goal(sense: str = AT_LEAST, bound: float = 1.0, against: tuple[str, ...] = (NGINX_SENDFILE, NGINX_COPY)) -> Goal:
    return Goal("base64", "GB/s", sense, bound, against)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3.0], (3.0, 3.0, 3.0)), ([1.0, 2.0, 3.0, 4.0, 5.0], (2.0, 3.0, 4.0)), ([1.0, 2.0], (1.25, 1.5, 1.75))],
)
def test_quartiles(values: list[float], expected: tuple[float, float, float]) -> None:
    assert quartiles(values) == expected


def test_ratios_pair_the_rounds() -> None:
    assert ratios([2.0, 6.0, 5.0], [1.0, 2.0, 0.0]) == [2.0, 3.0]


def test_the_better_peer_is_the_one_with_the_better_median() -> None:
    seen = result(sendfile=[9.0, 1.0, 1.0], copy=[2.0, 2.0, 2.0])
    assert best_of(seen, (NGINX_SENDFILE, NGINX_COPY), "GB/s", AT_LEAST) == NGINX_COPY
    assert best_of(seen, (NGINX_SENDFILE, NGINX_COPY), "GB/s", AT_MOST) == NGINX_SENDFILE
    assert best_of(seen, (TEXTBOOK,), "GB/s", AT_LEAST) is None


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    # A slow round slows both: the ratio does not see it, a ratio of medians could.
    seen = result(gevent=[4.0, 0.4, 4.4], copy=[2.0, 0.2, 2.0])
    judgement = judge(goal(bound=2.0), {("base64", ONE_CORE): seen})
    assert judgement.value == pytest.approx(2.0)
    assert judgement.word == "reached"


@pytest.mark.parametrize(
    ("sense", "bound", "word"),
    [(AT_LEAST, 2.0, "reached"), (AT_LEAST, 2.1, "MISSED"), (AT_MOST, 2.0, "reached"), (AT_MOST, 1.9, "MISSED")],
)
def test_a_bound_of_its_own_needs_nobody_else(sense: str, bound: float, word: str) -> None:
    judgement = judge(goal(sense, bound, ()), {("base64", ONE_CORE): result(gevent=[1.0, 2.0, 3.0])})
    assert (judgement.value, judgement.word) == (2.0, word)


def test_a_missing_peer_leaves_the_goal_open_and_the_gate_shut() -> None:
    seen = result(gevent=[1.0])
    seen.gaps[NGINX_COPY] = "nginx is not installed"
    judgement = judge(goal(), {("base64", ONE_CORE): seen})
    assert judgement.word == "open"
    assert "nginx is not installed" in judgement.gap
    assert len(limiter([judgement])) == 1


def test_what_was_not_measured_is_open() -> None:
    assert judge(goal(), {}).word == "open"


def test_the_gate_names_what_is_missed_and_nothing_else() -> None:
    seen = {("base64", ONE_CORE): result(gevent=[1.0], copy=[2.0], sendfile=[0.5])}
    lines = limiter([judge(goal(), seen), judge(goal(bound=0.5), seen)])
    assert lines == ["base64: GB/s >= 1 x nginx: 0.5"]


def test_every_goal_is_about_a_work_a_figure_and_peers_that_exist() -> None:
    for each in GOALS:
        work = WORKS[each.work]
        assert each.figure in work.shown
        assert each.placement in work.placements
        assert {each.subject, *each.against} <= set(work.peers)


def test_every_work_is_done_by_peers_that_exist() -> None:
    for work in WORKS.values():
        assert set(work.peers) <= set(PEERS)


def test_only_the_works_of_the_run_are_judged() -> None:
    assert {each.goal.work for each in judge_all({}, ["raw"])} == {"raw"}


def test_a_table_has_a_row_for_each_peer_and_names_the_gaps() -> None:
    seen = result(gevent=[1.0, 2.0, 3.0], copy=[1.0, 1.0, 1.0])
    seen.gaps[TEXTBOOK] = "did not start: no word"
    lines = report.work_table(seen).splitlines()
    rows = [line for line in lines if line.startswith("| ")][2:]
    assert len(rows) == len(WORKS["base64"].peers)
    assert any(GEVENT in row and "2 (1.5 to 2.5) | 2.00" in row for row in rows)
    assert any(TEXTBOOK in row and "missing: did not start: no word" in row for row in rows)
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_json_and_markdown_carry_the_machine_and_the_verdicts() -> None:
    results = {("base64", ONE_CORE): result(gevent=[1.0], copy=[2.0])}
    judgements = judge_all(results, ["base64"])
    told = json.loads(report.as_json(MACHINE, results, judgements))
    assert told["machine"] == MACHINE
    assert told["results"][0]["samples"][GEVENT]["GB/s"] == [1.0]
    assert told["goals"][0]["verdict"] == "MISSED"
    markdown = report.as_markdown(MACHINE, results, judgements)
    assert "- date: today" in markdown
    assert "0.5 x (0.5 to 0.5) | MISSED" in markdown


@pytest.mark.filterwarnings("ignore")
def test_the_plot_is_an_image_without_a_background_of_its_own(tmp_path: Path) -> None:
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
