"""In a browser the page is short, accessible in both colour schemes, and links, filter and keys work."""

from pathlib import Path
from typing import Final

import pytest

from conformance.diagnosis.causes_reader import root_causes
from conformance.model.events import DiagnosedCause, Diagnosis, Event, Result, RunEnd, RunStart
from conformance.model.verdicts import Exit, Verdict
from conformance.reports.html import html
from conformance.scenarios import catalogue
from tests.conformance.browser import AUDIT, axe, run_in_page
from tests.conformance.golden import events

pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]

HIGHEST: Final = 6000
"""How many pixels a page is high before anything is opened."""


def everything_fails() -> list[Event]:
    """Return a run of the whole catalogue in which nothing passes, with twenty causes."""
    results = [
        Result(
            *(
                row.id,
                row.requirement,
                row.levels["2026"],
                Verdict.FAIL,
                row.title,
                row.chapter,
                row.row.text,
                "status",
            ),
            *("status", "203 OFFSET EXCEEDS FILE SIZE", "0 OK", r"get_slice bukelurukoki.md 46 1\r\n"),
            transcript=next(event for event in events() if isinstance(event, Result)).transcript,
        )
        for row in catalogue()
    ]
    names = [result.scenario for result in results]
    causes = [
        DiagnosedCause(
            *(row.id, row.title, row.severity, row.why, row.fix, row.code),
            scenarios=names[number::40],
            example=names[number],
        )
        for number, row in enumerate(list(root_causes().values())[:20])
    ]
    start = RunStart("1", "", 1, "2026", ":1", len(results), name="the worst")
    diagnosis = Diagnosis(causes, len(names), len(names) // 2, names[20::40])
    return [start, *results, diagnosis, RunEnd({"fail": len(results)}, Exit.NOT_CONFORMANT)]


@pytest.fixture(scope="session")
def library(pytestconfig: pytest.Config) -> str:
    assert pytestconfig.cache is not None
    return axe(pytestconfig.cache.mkdir("axe-core"))


@pytest.mark.parametrize(("width", "is_dark"), [(390, False), (1400, True)])
def test_axe_finds_nothing(tmp_path: Path, library: str, width: int, *, is_dark: bool) -> None:
    page = html(events())
    assert run_in_page(page, AUDIT, tmp_path, width=width, is_dark=is_dark, library=library) == []


def test_axe_would_find_something(tmp_path: Path, library: str) -> None:
    page = html(events()).replace("--quiet: #565f6b", "--quiet: #cccccc").replace('lang="en"', "")
    found = run_in_page(page, AUDIT, tmp_path, library=library)
    assert {"color-contrast", "html-has-lang"} <= {rule for rule, *_ in found}


def test_the_page_of_the_worst_server_is_short_and_never_wider_than_the_window(tmp_path: Path) -> None:
    page = html(everything_fails())
    measure = "const root = document.documentElement; return [root.scrollHeight, root.scrollWidth];"
    heights = {}
    for width in (390, 900, 1400):
        heights[width], found = run_in_page(page, measure, tmp_path, width=width)
        assert found == width
    assert heights[1400] <= HIGHEST
    assert heights[390] <= 2 * HIGHEST


def test_a_link_lands_on_an_open_row(tmp_path: Path) -> None:
    script = """
      await new Promise((resolve) => setTimeout(resolve, 100));
      const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
      const folded = [];
      for (let node = target; node; node = node.parentElement) if (node.matches("details")) folded.push(node.open);
      const own = target.matches("tr") ? target.querySelector("details").open : true;
      const { top, bottom } = target.getBoundingClientRect();
      return [folded.length > 0 && folded.every(Boolean) && own, bottom > 0 && top < innerHeight];
    """
    for name in ("HFTP-1.2", "framing.hostile"):
        assert run_in_page(html(events()), script, tmp_path, fragment=f"#{name}") == [True, True]


def test_the_filter_shows_what_has_the_words_and_the_result_and_forgets_it(tmp_path: Path) -> None:
    script = """
      const form = document.querySelector(".filter");
      const input = form.querySelector("input"), choice = form.querySelector("select");
      const scenarios = [...document.querySelectorAll(".scenario")];
      const names = () => scenarios.filter((row) => row.checkVisibility()).map((row) => row.id);
      const type = (text) => { input.value = text; input.dispatchEvent(new Event("input", { bubbles: true })); };
      const seen = [form.hidden, names()];
      type("hostile BAD");
      seen.push(names(), form.querySelector("output").value);
      type("");
      choice.selectedIndex = 2;
      choice.dispatchEvent(new Event("input", { bubbles: true }));
      seen.push(names());
      choice.selectedIndex = 0;
      choice.dispatchEvent(new Event("input", { bubbles: true }));
      seen.push(names(), form.querySelector("output").value);
      return seen;
    """
    assert run_in_page(html(events()), script, tmp_path) == [
        *(False, []),
        *(["framing.hostile"], "0 requirements, 1 scenarios"),
        ["lengths.huge-name"],
        *([], ""),
    ]


def test_keys_reach_the_filter_and_the_failures(tmp_path: Path) -> None:
    script = """
      const event = (key) => new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
      const press = (key) => document.activeElement.dispatchEvent(event(key));
      const input = document.querySelector(".filter input"), seen = [];
      press("/");
      seen.push(document.activeElement === input);
      input.value = "x";
      press("Escape");
      seen.push(input.value, document.activeElement === input);
      press("n");
      seen.push(document.activeElement.parentElement.id, document.activeElement.parentElement.open);
      return seen;
    """
    assert run_in_page(html(events()), script, tmp_path) == [True, "", False, "framing.hostile", True]


def test_the_script_runs_under_the_policy_of_the_page(tmp_path: Path) -> None:
    page = html(events()).replace("Content-Security-Policy", "x")  # else the test's own script would not run
    script = """
      const frame = document.createElement("iframe"), page = document.documentElement.outerHTML;
      const whole = page.replace('http-equiv="x"', 'http-equiv="Content-Security-Policy"');
      frame.srcdoc = whole.replace("</main>", '</main><script>document.title = "injected"<' + "/script>");
      document.body.append(frame);
      await new Promise((resolve) => frame.addEventListener("load", resolve));
      return [frame.contentDocument.querySelector(".filter").hidden, frame.contentDocument.title];
    """
    assert run_in_page(page, script, tmp_path) == [False, "[::1]:19500 - HFTP conformance"]
