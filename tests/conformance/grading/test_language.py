"""Grades, classes and comparisons say nothing that cannot be translated; what programs read stays English."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console

from conformance import language
from conformance.classroom.live_table import LiveTable, result_line
from conformance.classroom.overview import overview
from conformance.classroom.page import page
from conformance.classroom.target_run import Settings, TargetRun
from conformance.classroom.targets import Target, TargetsError, read_targets
from conformance.cli import main
from conformance.config import Options
from conformance.deployment import TEMPLATES, Deployment
from conformance.grading.assessment import Assessment
from conformance.grading.comparison import compare, differences, in_short
from conformance.grading.comparison_page import comparison_page
from conformance.grading.explanation import explain_grade
from conformance.grading.gradescope import gradescope
from conformance.grading.markdown import annotations, markdown
from conformance.grading.points import PointsError, PointsMap, read_points
from conformance.grading.spreadsheet import csv_of, moodle
from conformance.language import Message, translated
from conformance.model.events import DiagnosedCause, Diagnosis, Event, Result, RunEnd
from conformance.model.scenario import Catalogue
from conformance.model.verdicts import Exit, Verdict
from conformance.reports.ndjson import Chain, line
from conformance.scenarios import catalogue
from conformance.tools.verify import MEANING, verify
from conformance.tools.watch import Watch
from tests.conformance.grading import assessment, result, run
from tests.conformance.marked_language import marked, unmarked

__all__ = ["marked"]

pytestmark = pytest.mark.once

SEEN = Message("nothing within {seconds} s", seconds=2.0)
NAMES = ("a", "b", "c", "d", "e")


@cache
def scenarios() -> Catalogue:
    return catalogue()


def real(scenario: str, verdict: Verdict, **fields: object) -> Result:
    """Return a result of a scenario of the catalogue."""
    row = scenarios()[scenario]
    usual: dict[str, object] = {"title": row.title}
    if verdict in {Verdict.FAIL, Verdict.WARN, Verdict.BLOCKED, Verdict.INCOMPLETE, Verdict.INFO}:
        usual |= {"got": SEEN, "expected": Message("an empty line"), "reproduce": [f"conformance try {row.id}"]}
    return result(row.id, row.requirement, verdict, **(usual | fields))


def course() -> list[Assessment]:
    """Return servers with results of all verdicts, one that does not build, one that was cut short."""
    by_rule: dict[str, list[str]] = {}
    for row in scenarios():
        by_rule.setdefault(row.requirement, []).append(row.id)
    rules = [names for names in by_rule.values() if len(names) > 1]
    verdicts = [*Verdict, Verdict.FAIL, Verdict.PASS]
    some = [real(names[0], verdict) for names, verdict in zip(rules, verdicts, strict=False)]
    some += [real(rules[0][1], Verdict.FAIL), real(rules[1][1], Verdict.FAIL), real(rules[2][1], Verdict.BLOCKED)]
    other = [real(row.scenario, row.verdict, got=Message("an empty line")) for row in some]
    causes = [
        DiagnosedCause("lf-ends-a-line", "A bare LF ends a command as well as CR LF does", "style", "", "", {}, ["a.a"])
    ]
    first, second = run(*some), run(*other, dialect="2019")
    first.diagnosis = second.diagnosis = Diagnosis(causes * 2, 2, 2)
    unbuilt = run(status=Exit.USAGE)
    unbuilt.end = RunEnd({}, Exit.USAGE, 0.0, [Message("build: {command} exited with {status}", command="x", status=1)])
    cut = run(*some)
    cut.end = None
    points = PointsMap(causes={"lf-ends-a-line": 3})
    runs = (first, second, unbuilt, cut, run(status=Exit.SUITE_FAULT))
    return [assessment(name, found, points) for name, found in zip(NAMES, runs, strict=True)]


def compared(found: Sequence[Assessment]) -> str:
    better = assessment("x", run(*(real(row.scenario, Verdict.PASS) for row in found[0].run.results[:5])))
    pairs = [compare("x", *pair) for pair in ((found[0], found[1]), (found[0], better), (better, found[0]))]
    return "\n".join([*(text for pair in pairs for text in differences(pair)), in_short(pairs)])


def of_comparison(found: Sequence[Assessment]) -> str:
    better = assessment("x", run(*(real(row.scenario, Verdict.PASS) for row in found[0].run.results[:5])))
    pairs = [compare("x", *pair) for pair in ((found[0], found[1]), (found[0], better), (better, found[0]))]
    pages = [comparison_page("a", "b", pairs, {"c": ["d"]}), comparison_page("a", "b", [], {})]
    return "\n".join(re.sub(r"<[^>]*>", "\n", page.partition("</style>")[2]) for page in pages)


def on_terminal(found: Sequence[Assessment]) -> str:
    console = Console(file=io.StringIO(), width=300)
    runs = [TargetRun(Target("x"), Path("x"), Settings(Options())) for _ in range(2)]
    runs[0].began = 1.0
    console.print(LiveTable(console, runs))
    runs[0].follower.selected, runs[0].follower.failed = 9, 2
    console.print(LiveTable(console, runs))
    for number, row in enumerate(found):
        console.print(result_line(row, f"{number}/9", 9))
    shown = console.file
    assert isinstance(shown, io.StringIO)
    return "\n".join([shown.getvalue(), *overview(found)])


def of_page(found: Sequence[Assessment]) -> str:
    """Return the data of the page; `test_page` looks at the page itself."""
    document = page(found, title="x", is_anonymous=True)
    pieces = document.split('<script type="application/json"')[1:]
    texts = [json.loads(piece.partition(">")[2].partition("</script>")[0]) for piece in pieces]
    for text in texts[:1]:
        text["words"] = list(text["words"].values())
    markup = document.partition("</style>")[2].partition("<script")[0]
    attributes = re.findall(r'(?:aria-label|placeholder|title)="([^"]*)"', markup)
    return "\n".join([re.sub(r"<[^>]*>", "\n", markup), *attributes, *_leaves(texts)])


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from _leaves(list(value.values()))
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one)
    else:
        yield str(value)


def for_gradescope(found: Sequence[Assessment]) -> str:
    document = json.loads(gradescope(found[0]))
    del document["extra_data"]
    for test in document["tests"]:
        del test["status"]
    return re.sub(r"<[^>]*>", "\n", "\n".join(_leaves(document)))


def of_moodle(found: Sequence[Assessment]) -> str:
    return "\n".join(row["Feedback comments"] for row in csv.DictReader(io.StringIO(moodle(found))))


SHOWN: dict[str, Callable[[Sequence[Assessment]], str]] = {
    "terminal": on_terminal,
    "grades": lambda found: "\n".join(text for row in found for text in explain_grade(row, everything=True)),
    "markdown": lambda found: "\n".join([markdown(found), *(markdown([row]) for row in found)]),
    "annotations": lambda found: annotations(found).replace("error title=", "").replace("warning title=", ""),
    "gradescope": for_gradescope,
    "moodle": of_moodle,
    "page": of_page,
    "compare": compared,
    "comparison": of_comparison,
}


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.usefixtures("marked")
def test_what_a_class_shows_can_be_translated(name: str) -> None:
    text = SHOWN[name](course())
    assert "\u27e6" in text
    assert [row for row in unmarked(text) if not row.startswith(("lf-ends-a-line", "xmlns"))] == []


@pytest.mark.parametrize("name", [name for name in SHOWN if name != "page"])
def test_what_a_class_shows_in_spanish_is_not_what_it_shows_in_english(name: str) -> None:
    english = SHOWN[name](course())
    language.use("es")
    try:
        spanish = SHOWN[name](course())
    finally:
        language.use(language.ENGLISH)
    for words in ("not met", "passed", "failed", "better", "nothing within", "outcome", "causes"):
        assert words not in spanish
    assert english != spanish


def test_tables_for_programs_are_english_in_every_language() -> None:
    found = course()
    written = csv_of(found), json.loads(gradescope(found[0]))["extra_data"], moodle(found).partition("\r\n")[0]
    language.use("es")
    try:
        assert csv_of(found) == written[0]
        assert json.loads(gradescope(found[0]))["extra_data"] == written[1]
        assert moodle(found).partition("\r\n")[0] == written[2]
    finally:
        language.use(language.ENGLISH)
    assert "does not build" in written[0]


def chained(path: Path, events: Sequence[Event]) -> list[bytes]:
    chain = Chain()
    path.write_text("".join(f"{chain.link(line(event))}\n" for event in events), encoding="ascii")
    return path.read_bytes().splitlines(keepends=True)


@pytest.mark.usefixtures("marked")
def test_verification_can_be_translated(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    found = run(result("framing.a", "HFTP-1.1", Verdict.PASS))
    assert found.end is not None
    whole = chained(path, [found.start, *found.results, found.end])
    said = [verify(path).sentence, MEANING]
    for text in (whole[:-1], whole[1:], [*whole[:-1], whole[-1][:-1]], [b"{}\n"], [b'{"type": "x"}\n'], [b"x\n"]):
        path.write_bytes(b"".join(text))
        said.append(verify(path).sentence)
    assert unmarked("\n".join(map(translated, said)).replace("\u27e7\n", "\u27e7 ")) == []


@pytest.mark.usefixtures("marked")
def test_watching_can_be_translated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    cause = DiagnosedCause("x", "A bare LF ends a command as well as CR LF does", "style", scenarios=["a.a"])
    end = RunEnd({"fail": 3, "pass": 1}, Exit.INCOMPLETE, 1.5, [SEEN])
    plays = iter([(["a.a", "b.b"], {"x": cause}, end), ([], {}, end), (["c.c"] * 20, {"y": cause}, end)])
    watch = Watch(Options(), tmp_path, scenarios(), said.append, sleep=lambda _: None)
    monkeypatch.setattr(Watch, "_play", lambda *_: next(plays))
    looks = iter([["x.py"] * 12])

    def changes(_watch: Watch) -> list[str]:
        if (found := next(looks, None)) is None:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(Watch, "_changes", changes)
    with pytest.raises(KeyboardInterrupt):
        watch.run()
    assert len(said) == 13
    assert unmarked("\n".join(said)) == []


@pytest.mark.usefixtures("marked")
def test_errors_of_targets_and_points_can_be_translated(tmp_path: Path) -> None:
    path = tmp_path / "class.toml"
    said = []
    for text in ("", "[[target]]\n", '[[target]]\nserve="x"\ndialect="1"', '[[target]]\nserve="a"\nproblem="x"\n'):
        path.write_text(text, encoding="ascii")
        with pytest.raises(TargetsError) as targets:
            read_targets(path)
        said.append(targets.value.args[0])
    for text in ('whole=["x"]', "chapters={x=1}", "levels={x=1}", "causes={x=1}"):
        path.write_text(text, encoding="ascii")
        with pytest.raises(PointsError) as points:
            read_points(path)
        said.append(points.value.args[0])
    assert [text for text in said if not isinstance(text, Message)] == []
    assert unmarked("\n".join(map(translated, said))) == []


CALLS = {"github-action.yml": 2, "gitlab-ci.yml": 2, "pre-commit.yml": 1, "setup.sh": 0, "run_autograder": 2}


@pytest.mark.parametrize("name", [name for names in TEMPLATES.values() for name in names])
def test_deployed_files_speak_the_language_of_who_made_them(name: str) -> None:
    deployment = Deployment("run {port}", "", "2026", "greenserver")
    english = deployment.render(name)
    language.use("es")
    try:
        spanish = deployment.render(name)
    finally:
        language.use(language.ENGLISH)
    assert (english.count("--lang"), spanish.count(" --lang es ")) == (0, CALLS[name])
    assert "@LANG@" not in english + spanish
    comments = [[row for row in text.splitlines() if row.startswith("# ")] for text in (english, spanish)]
    assert len(comments[0]) == len(comments[1])
    assert not set(comments[0]) & set(comments[1])


def test_defaults_are_said_in_the_language_of_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words, wanted in ((("--lang", "es"), "uno por procesador"), ((), "one a processor")):
        with pytest.raises(SystemExit):
            main(["class", *words, "--help"])
        shown = " ".join(capsys.readouterr().out.split())
        assert wanted in shown
        assert '""' not in shown
    language.use(language.ENGLISH)
