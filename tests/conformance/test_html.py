"""The HTML report is self-contained, well-formed, and shows score and causes first."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from msgspec.structs import asdict, replace

from conformance.model.events import Event, Result, RunEnd, RunStart
from conformance.model.verdicts import Verdict
from conformance.reports import html as reports_html
from conformance.reports.html import ENVIRONMENT, LISTED, SCRIPTS, STYLES, html
from tests.conformance.golden import HOSTILE, events

VOID = {"meta", "br", "input", "rect"}
PAGE = Path(reports_html.__file__).with_name("page")
LONGEST_FILE = 320


class Page(HTMLParser):
    """Checks that elements nest, and gathers their names, attributes and the text."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(document)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.text += data


@pytest.mark.parametrize(
    "stream",
    [events(), events()[:-1], events()[:1], [], [*events(), *events()]],
    ids=["whole", "without an end", "nothing played", "nothing", "two runs"],
)
def test_page_is_well_formed(stream: list[Event]) -> None:
    assert Page(html(stream)).tags[:2] == ["html", "head"]


def test_page_is_self_contained() -> None:
    document = html(events())
    page = Page(document)
    assert page.tags.count("script") == 1
    assert not {"link", "img", "iframe", "object"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in {"src", "style", "action"}]
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|https?://", document.replace(HOSTILE, ""))


def test_only_the_own_style_and_script_may_run() -> None:
    document = html(events())
    policy = next(value for name, value in Page(document).attributes if value.startswith("default-src"))
    for name in ("style", "script"):
        text = re.search(rf"<{name}>(.*?)</{name}>", document, re.DOTALL)
        assert text is not None
        digest = base64.b64encode(hashlib.sha256(text[1].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")


def test_each_file_of_the_page_has_one_job_and_is_used() -> None:
    files = {path.name: path.read_text(encoding="utf-8") for path in PAGE.iterdir()}
    together = "".join(files.values())
    for name, text in files.items():
        assert len(text.splitlines()) <= LONGEST_FILE
        assert name in {*STYLES, *SCRIPTS, "page.jinja"} or f'"{name}"' in together
        assert text.startswith(("{#", "/*", "//"))  # what it is for


@pytest.mark.parametrize("stream", [events(), [*events(), *events()]], ids=["one run", "two runs"])
def test_every_link_has_a_target(stream: list[Event]) -> None:
    page = Page(html(stream))
    names = [value for name, value in page.attributes if name == "id"]
    assert len(names) == len(set(names))
    links = {value for name, value in page.attributes if name == "href"}
    assert links
    assert links <= {f"#{name}" for name in names}


def test_the_name_is_the_title() -> None:
    stream = [replace(event, name="Ana") if isinstance(event, RunStart) else event for event in events()]
    assert "<title>Ana - HFTP conformance</title>" in html(stream)
    assert "<h1>Ana</h1>" in html(stream)
    assert "<h1>[::1]:19500</h1>" in html(events())  # earlier suites recorded no name


def test_score_causes_failures_requirements_and_scenarios_follow_each_other() -> None:
    text = Page(html(events())).text
    heads = ("requirements met", "1 cause explains 1 of 2", "Without a known cause: 3", "What did not run")
    places = [text.index(head) for head in (*heads, "What it says", "All scenarios", "The run\n")]
    assert places == sorted(places)
    unexplained = text[places[2] : places[3]]
    for title in ("your-own.scenario", "lengths.huge-name", "slices.random"):
        assert f"The title of {title}" in unexplained
    assert "slices.past-end" not in unexplained  # the baseline knows it
    assert "framing.hostile" not in unexplained


def test_a_cause_is_a_card_with_its_explanation_and_a_conversation_whose_deviating_line_is_marked() -> None:
    document = html(events())
    card = document[document.index('<details class="card') : document.index('<aside class="legend"')]
    for words in (
        "wrong answer",
        "A bare LF ends a command",
        "A line ends in CR LF.",
        "return a &amp;&amp; b;",
        "1 failure<",
    ):
        assert words in card
    assert "conformance try framing.hostile" in card
    deviating = re.findall(r'<li class="server deviates">(.*?)</li>', card, re.DOTALL)
    assert len(deviating) == 1
    assert "<code>0 OK\\r\\n</code>" in deviating[0]
    assert "<b>Expected:</b> 100 BAD EOL" in deviating[0]


def test_only_some_of_many_failures_are_listed_before_a_click() -> None:
    start, *_, end = events()
    many = [
        Result(f"framing.case-{number}", "HFTP-1.1", "MUST", Verdict.FAIL, title=f"Case {number}.")
        for number in range(30)
    ]
    text = html([start, *many, end])
    listed, _, rest = text[text.index("Failures and warnings: 30") :].partition("<details>")
    assert listed.count("<li>") == LISTED
    assert f"<summary>{30 - LISTED} more</summary>" in rest


def test_page_has_every_scenario_with_its_traffic() -> None:
    text = Page(html(events())).text
    for event in events():
        if hasattr(event, "scenario"):
            assert text.count(event.scenario) >= 1
    assert text.count("get_slice text.txt 41 1\\r\\n") >= 4
    assert "truncated; the event stream has the rest" in text


def test_page_identifies_the_run() -> None:
    text = Page(html(events())).text
    for words in ("1.2.3", "c0ffeec0ffee", "2008", "2026", "[::1]:19500", "slices.large, slices.huge"):
        assert words in text


@pytest.mark.parametrize(
    ("stream", "words"),
    [(events(), "No verdict: the suite itself failed"), (events()[:-1], "Cut short")],
    ids=["whole", "without an end"],
)
def test_result_is_at_the_top(stream: list[Event], words: str) -> None:
    text = Page(html(stream)).text
    assert 0 < text.index(words) < text.index("requirements met")


def test_escapes_what_a_server_sends() -> None:
    document = html(events())
    assert document.count("<script") == 1
    assert "&lt;script&gt;alert(1)" in document
    assert "\\x1b[31mKeyError" in document


@pytest.mark.parametrize(
    "text", ["<b onclick=x>", "\"'><b onclick=x>", "</style></pre></title><b>", "{{ 7 * 191 }}<!--"]
)
def test_escapes_any_text_of_a_run(text: str) -> None:
    stream: list[Event] = []
    for event in events():
        if isinstance(event, RunStart | Result | RunEnd):
            texts = {name: text for name, value in asdict(event).items() if type(value) is str and value}
            stream.append(replace(event, **texts))
        else:
            stream.append(event)
    usual, page = Page(html(events())), Page(html(stream))
    assert set(page.tags) <= set(usual.tags)
    assert {name for name, _ in page.attributes} <= {name for name, _ in usual.attributes}
    assert page.text.count(text) > 50
    assert "1337" not in page.text


def test_deviations_come_before_the_counts() -> None:
    text = Page(html(events())).text
    assert 0 < text.index("an empty line follows the reply to quit") < text.index("cause explains")


def test_undefined_template_variable_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        ENVIRONMENT.from_string("{{ missing }}").render()
