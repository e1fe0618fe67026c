"""The page of a class is one well-formed file, whatever is in it, and says no name if it is not to."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from conformance.classroom.overview import choices, overview, shared_causes
from conformance.classroom.page import page
from conformance.grading.assessment import Assessment, Person
from conformance.model.verdicts import Exit, Verdict
from tests.conformance.browser import AUDIT, axe, run_in_page
from tests.conformance.grading import SOME, assessment, result, run
from tests.conformance.marked_language import marked, unmarked

__all__ = ["marked"]

pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]

HOSTILE = "</script><script>alert(1)</script><!--{{ 7 * 191 }}\u202e\x1b[31m\"'&"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHOICE = result("framing.j", "HFTP-1.9", Verdict.INFO, got="200")


def course() -> list[Assessment]:
    """Return five servers: two that are equal, one that chooses otherwise, one that does not start, a hostile one."""
    person = Person("Ana Pérez", "Participant 77", "ana@example.org")
    return [
        assessment("Ana Pérez", run(*SOME, cause="lf-ends-a-line"), person=person),
        assessment("Bruno", run(*SOME, cause="lf-ends-a-line")),
        assessment("Carla", run(SOME[0], CHOICE, status=Exit.CONFORMANT)),
        assessment("Dario", run(status=Exit.USAGE, problems=("--serve: /home/dario/x ends",))),
        assessment(HOSTILE, run(result("framing.b", "HFTP-1.2", Verdict.FAIL, got=HOSTILE, title=HOSTILE))),
    ]


class Elements(HTMLParser):
    """Checks that elements nest, and gathers them with their texts."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, dict[str, str]]] = []
        self.found: list[tuple[str, dict[str, str], str]] = []
        self.feed(document)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "input"}:
            self.open.append((tag, {name: value or "" for name, value in attrs}))
            self.found.append((*self.open[-1], ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            tag, attributes, text = self.found[-1]
            self.found[-1] = (tag, attributes, text + data)

    def data(self, name: str) -> Any:  # noqa: ANN401  (JSON)
        """Return the data of a script."""
        return next(json.loads(text) for _, attributes, text in self.found if attributes.get("id") == name)


def test_page_is_one_well_formed_file() -> None:
    document = page(course(), title="a course")
    tags = [tag for tag, _, _ in Elements(document).found]
    assert tags.count("script") == 1 + len(course()) + 1
    assert not {"link", "img", "iframe", "object", "form"} & set(tags)
    assert not re.search(r"url\(|@import|https?://|innerHTML", document)


def test_data_say_what_the_servers_did() -> None:
    found = Elements(page(course(), title="a course"))
    data = found.data("class")
    assert [row["name"] for row in data["servers"]][:4] == ["Ana Pérez", "Bruno", "Carla", "Dario"]
    ana, _, carla, dario, _ = data["servers"]
    rules = [rule["id"] for rule in data["rules"]]
    assert [ana["cells"][rules.index(f"HFTP-1.{number}")] for number in (1, 2, 3, 4, 5)] == list("mnpsx")
    assert set(dario["cells"]) == {"s"}
    assert [row["print"] for row in data["servers"]] == ["A", "A", "B", "-", "-"]
    assert (carla["grade"], dario["grade"]) == (100, 0)
    assert [(row["id"], row["servers"]) for row in data["causes"]] == [("lf-ends-a-line", [0, 1])]
    assert data["choices"] == [{"scenario": "framing.j", "ways": [["101", ["Ana Pérez", "Bruno"]], ["200", ["Carla"]]]}]
    details = found.data("server-0")
    assert details["lines"][0][:4] == ["HFTP-1.2", "n", "0", "3"]
    assert [data["scenarios"][row[0]][0] for row in details["failures"]] == [
        "framing.b",
        "framing.c",
        "framing.e",
        "framing.i",
    ]
    assert found.data("server-3")["problems"] == ["--serve: /home/dario/x ends"]


def test_text_of_a_server_does_nothing() -> None:
    usual, hostile = page(course()[:4], title="x"), page(course(), title=HOSTILE)
    assert {tag for tag, _, _ in Elements(hostile).found} == {tag for tag, _, _ in Elements(usual).found}
    data = [text for _, attributes, text in Elements(hostile).found if attributes.get("type") == "application/json"]
    assert not [text for text in data if "<" in text]
    assert "alert(1)</script>" not in hostile
    assert "1337" not in hostile
    assert "\u202e" not in hostile
    assert Elements(hostile).data("class")["servers"][4]["name"].startswith("</script><script>alert(1)</script><!--")


def test_anonymous_page_has_no_name_and_no_way_to_one() -> None:
    found = [assessment(row.name, row.run, person=row.person) for row in course()]
    document = page(found, title="HFTP conformance", is_anonymous=True)
    for words in ("Ana", "Bruno", "Carla", "Dario", "dario", "Participant", "example.org", "conformance try", "/home"):
        assert words not in document
    data = Elements(document).data("class")
    assert [row["name"] for row in data["servers"]] == [f"Server {count}" for count in range(1, 6)]
    assert [row["outcome"] for row in data["servers"]] != [row.outcome for row in found]  # another order
    assert document == page(found, title="HFTP conformance", is_anonymous=True)


def test_overview_counts_what_servers_share() -> None:
    assert [one.names for one in shared_causes(course())] == [["Ana Pérez", "Bruno"]]
    assert list(choices(course())) == ["framing.j"]
    assert list(overview(course())) == [
        "3 not conformant, 1 conformant, 1 does not start",
        "  2 of 5: A title (wrong answer)",
    ]


@pytest.fixture(scope="module")
def library(pytestconfig: pytest.Config) -> str:
    assert pytestconfig.cache is not None
    return axe(pytestconfig.cache.mkdir("axe-core"))


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("where", ["", "#server:0", "#rule:HFTP-1.2"])
def test_axe_finds_nothing(where: str, tmp_path: Path, library: str, *, is_dark: bool) -> None:
    script = AUDIT.replace("return ", "const audit = ") + "return [audit, document.documentElement.scrollWidth];"
    seen = run_in_page(
        page(course(), title="a course"), script, tmp_path, width=390, is_dark=is_dark, library=library, fragment=where
    )
    assert seen == [[], 390]


@pytest.mark.usefixtures("marked")
def test_browser_shows_nothing_that_cannot_be_translated(tmp_path: Path) -> None:
    script = """
      const texts = () => document.body.innerText.split("\\n");
      const seen = texts();
      for (const where of ["#server:0", "#server:3", "#rule:HFTP-1.2", "#rule:HFTP-1.4", "#rule:HFTP-1.1"]) {
        location.hash = where;
        await new Promise((resolve) => addEventListener("hashchange", resolve, { once: true }));
        for (const folded of document.querySelectorAll("details")) folded.open = true;
        seen.push(...texts());
      }
      return seen;
    """
    found = "\n".join(run_in_page(page(course()[:4], title="x"), script, tmp_path))
    assert "\u27e6Where points were lost\u27e7" in found
    assert "\u27e6No server fails it.\u27e7" in found
    allowed = ("--serve: ", "a title", "framing.", "Why.", "Fix.")  # what the runs of this test say
    assert [row for row in unmarked(found) if not row.startswith(allowed)] == []


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is missing: apt-get install chromium")
@pytest.mark.parametrize(
    ("where", "words"),
    [
        (
            "#server:0",
            [
                "Ana Pérez",
                "5 servers",
                "2 of 5",
                "A title",
                "Where points were lost",
                "HFTP-1.4",
                "framing.b did not pass",
                "0/3",
            ],
        ),
        ("#rule:HFTP-1.2", ["Who differs, and how", "framing.b: expected 100 BAD EOL, got 0 OK", "By scenario"]),
    ],
)
def test_browser_shows_it(where: str, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "class.html"
    path.write_text(page(course(), title="a course"), encoding="utf-8")
    assert CHROMIUM is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile", "--dump-dom"]
    done = subprocess.run(
        [CHROMIUM, *options, f"{path.as_uri()}{where}"],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    shown = re.sub(r"<script.*?</script>", "", done.stdout, flags=re.DOTALL)
    assert shown.count("data-place=") == 5
    text = re.sub(r"<[^>]+>", "", shown)
    assert [word for word in words if word not in text] == []
