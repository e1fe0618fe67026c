"""The HTML report is self-contained, well-formed, and explains failures first."""

import re
from html.parser import HTMLParser

import pytest
from jinja2 import UndefinedError
from msgspec.structs import asdict, replace

from conformance.model.events import Event, Result, RunEnd, RunStart
from conformance.reports.html import ENVIRONMENT, html
from tests.conformance.golden import events

VOID = {"meta", "br"}


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
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
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
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in {"src", "style"}]
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    assert not re.search(r"url\(|@import", document)


@pytest.mark.parametrize("stream", [events(), [*events(), *events()]], ids=["one run", "two runs"])
def test_every_link_has_a_target(stream: list[Event]) -> None:
    page = Page(html(stream))
    names = [value for name, value in page.attributes if name == "id"]
    assert len(names) == len(set(names))
    targets = {f"#{value}" for name, value in page.attributes if name == "id"}
    links = {value for name, value in page.attributes if name == "href"}
    assert links
    assert links == targets


def test_failures_come_first_with_explanations() -> None:
    text = Page(html(events())).text
    wrong, left, everything = (text.index(head) for head in ("What went wrong", "What did not run", "All results"))
    assert wrong < left < everything
    explained = text[wrong:left]
    for words in (
        "framing.hostile",
        "HFTP-1.2",
        "MUST: What is required.",
        "100 BAD EOL",
        "no HFTP server",
        "| nc ::1",
    ):
        assert words in explained
    assert explained.index("framing.hostile") < explained.index("your-own.scenario") < explained.index("lengths.huge")
    assert "slices.past-end" not in explained  # the baseline knows it


def test_page_has_every_scenario_with_its_traffic() -> None:
    text = Page(html(events())).text
    for event in events():
        if hasattr(event, "scenario"):
            assert text.count(event.scenario) >= 1
    assert text.count("get_slice text.txt 41 1\\r\\nquit\\r\\n") >= 4
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
    assert 0 < text.index(words) < text.index("What went wrong")


def test_escapes_what_a_server_sends() -> None:
    document = html(events())
    assert "<script" not in document
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
    assert set(page.tags) == set(usual.tags)
    assert {name for name, _ in page.attributes} == {name for name, _ in usual.attributes}
    assert page.text.count(text) > 50
    assert "1337" not in page.text


def test_deviations_come_before_the_counts() -> None:
    text = Page(html(events())).text
    assert 0 < text.index("an empty line follows the reply to quit") < text.index("chapter")


def test_undefined_template_variable_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        ENVIRONMENT.from_string("{{ missing }}").render()
