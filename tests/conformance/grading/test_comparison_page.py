"""The page of a comparison is one file that shows what differs, does nothing with a server's text, and is legible."""

import re
from pathlib import Path
from typing import Final

import pytest

from conformance.grading.comparison import compare
from conformance.grading.comparison_page import comparison_page
from conformance.model.verdicts import Exit, Verdict
from tests.conformance.browser import AUDIT, axe, run_in_page
from tests.conformance.grading import assessment, result, run

pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]

HOSTILE: Final = "</style><script>alert(1)</script>{{ 7 * 191 }}\u202e"
SEVERAL: Final = [
    result("framing.a", "HFTP-1.1", Verdict.PASS),
    result("framing.b", "HFTP-1.2", Verdict.FAIL, reproduce=["conformance try framing.b"]),
    result("framing.c", "HFTP-1.2", Verdict.FLAKY),
]


def course(name: str = "Bruno") -> str:
    """Return the page of a class of three: one is worse, one better, one as before; a fourth was added."""
    right = run(*(result(row.scenario, row.requirement, Verdict.PASS) for row in SEVERAL), status=Exit.CONFORMANT)
    wrong = run(*SEVERAL, cause="lf-ends-a-line", dialect="2019")
    pairs = [
        compare(who, assessment(who, first), assessment(who, second))
        for who, first, second in (("Ana", right, wrong), (name, wrong, right), ("Carla", right, right))
    ]
    return comparison_page("week 1", "week 2", pairs, {"week 1": [], "week 2": ["Dario"]})


def test_page_shows_what_differs() -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", course().partition("</style>")[2]))
    for words in (
        "3 servers: 1 with something better, 1 with something worse",
        "only in week 2: Dario",
        "the dialect differs: 2026, 2019",
        "cause new A title",
        "cause gone A title",
        "pass → then fail Title of framing.b framing.b sent quit\\n expected 100 BAD EOL got 0 OK",
        "fail → then pass Title of framing.b framing.b",
        "pass → then flaky Title of framing.c",
        "Nothing is better, worse or flaky.",
    ):
        assert words in text
    assert text.index("Worse: 1") < text.index("Flaky: 1")


def test_text_of_a_server_does_nothing() -> None:
    document = course(HOSTILE)
    assert document.count("<script") == 0
    assert "1337" not in document
    assert "\u202e" not in document
    assert not re.search(r"url\(|@import|https?://", document)


def test_a_single_server_is_open_and_a_class_is_not() -> None:
    single = [compare("x", assessment("x", run(*SEVERAL)), assessment("x", run(*SEVERAL[:1])))]
    assert comparison_page("a", "b", single, {}).count("<details") == 1
    assert len(re.findall(r"<details[^>]* open", comparison_page("a", "b", single, {}))) == 1
    assert re.findall(r"<details[^>]* open", course()) == []


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_and_the_page_is_never_wider_than_the_window(
    pytestconfig: pytest.Config, tmp_path: Path, *, is_dark: bool
) -> None:
    assert pytestconfig.cache is not None
    library = axe(pytestconfig.cache.mkdir("axe-core"))
    script = AUDIT.replace("return ", "const audit = ") + "return [audit, document.documentElement.scrollWidth];"
    assert run_in_page(course(), script, tmp_path, width=390, is_dark=is_dark, library=library) == [[], 390]
