"""Everything that the suite says is translated, and a run says nothing in English to a reader of another language."""

import ast
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from babel.messages.catalog import Catalog
from rich.console import Console

from conformance import language
from conformance.diagnosis.causes_reader import root_causes
from conformance.language import ENGLISH, LANGUAGES, Message
from conformance.model.events import Event, Result, read_events
from conformance.reports.html import html
from conformance.reports.in_language import in_language
from conformance.reports.junit import junit
from conformance.reports.ndjson import line
from conformance.reports.pytest_summary import SessionSummary, with_heading
from conformance.reports.terminal import TerminalReport
from conformance.scenarios import catalogue
from conformance.spec.glossary import glossary
from conformance.spec.reader import specification
from conformance.tools.explain import explained
from tests import pictures
from tests.conformance import translations
from tests.conformance.marked_language import marked, unmarked
from tests.conformance.wrong_servers import SERVERS

__all__ = ["marked"]

pytestmark = pytest.mark.once

ROOT = translations.ROOT
OTHERS = [name for name in LANGUAGES if name != ENGLISH]
CHAPTERS = ("paths.p*", "commands.[hq]*", "slices.past*", "replies.c*", "metadata.d*")
CALLS = {"Message", "gettext", "ngettext"}
PLACEHOLDER = re.compile(r"\{\w+(?:!r)?\}")


@pytest.fixture
def spanish() -> Iterator[None]:
    language.use("es")
    yield
    language.use(ENGLISH)


@pytest.fixture(params=OTHERS, scope="module")
def catalog(request: pytest.FixtureRequest) -> Catalog:
    return translations.read(request.param)


# --- The catalogues ----------------------------------------------------------------------------------


def test_a_catalogue_has_exactly_what_the_suite_says(catalog: Catalog) -> None:
    said = {(text.singular, text.plural) for text in translations.texts() if text.singular.strip()}
    plurals = {singular: plural for singular, plural in sorted(said)}  # noqa: C416  (a plural wins over none)
    kept = {(message.id if isinstance(message.id, str) else message.id[0]) for message in catalog if message.id}
    assert kept == set(plurals), "run `make translations`, translate what is empty, and run it again"


def test_every_text_in_the_code_is_collected() -> None:
    """Babel sees no call that stands in an f-string."""
    said = {text.singular for text in translations.texts()}
    calls = [
        (node.args[0].value, path.name)
        for path in sorted((ROOT / "conformance").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in CALLS
        if node.args and isinstance(node.args[0], ast.Constant)
    ]
    assert len(calls) > 500
    assert [call for call in calls if call[0] not in said and call[0]] == []


def test_every_text_is_translated(catalog: Catalog) -> None:
    for message in catalog:
        if message.id:
            assert all(translations.strings(message.string)), message.id
            assert not message.fuzzy, message.id


def test_a_translation_has_the_placeholders_of_its_text(catalog: Catalog) -> None:
    for message in catalog:
        if message.id:
            texts = [message.id] if isinstance(message.id, str) else message.id
            wanted = {tuple(sorted(PLACEHOLDER.findall(text))) for text in texts}
            for string in translations.strings(message.string):
                assert tuple(sorted(PLACEHOLDER.findall(string))) in wanted, message.id


def test_a_translation_has_no_line_end_or_space_that_its_text_has_not(catalog: Catalog) -> None:
    for message in catalog:
        if message.id and isinstance(message.id, str):
            string = str(message.string)
            assert string.count("\n\n") == message.id.count("\n\n"), message.id
            assert (
                string[: len(string) - len(string.lstrip())] == message.id[: len(message.id) - len(message.id.lstrip())]
            )
            assert string.endswith(" ") == message.id.endswith(" "), message.id


def test_ids_in_a_translation_are_those_of_its_text(catalog: Catalog) -> None:
    """What stands for itself is not translated: numbers of status codes, options, commands of HFTP."""
    literal = re.compile(r"--[a-z][a-z-]+|get_[a-z]+|HFTP-[\w.]+|\b[12][0-9][0-9]\b|\bRFC \d+")
    for message in catalog:
        if message.id and isinstance(message.id, str):
            assert set(literal.findall(str(message.string))) == set(literal.findall(message.id)), message.id


@pytest.mark.parametrize("name", OTHERS)
def test_the_compiled_catalogue_is_that_of_the_text(name: str) -> None:
    path = translations.path_of(name).with_suffix(".mo")
    assert path.is_file(), "run `make translations`"
    assert path.read_bytes() == translations.compiled(name), "run `make translations`"


# --- A run in another language ------------------------------------------------------------------------


def conformance(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "conformance", *arguments],
        cwd=ROOT,
        env={**os.environ, "LANGUAGE": "en", "COLUMNS": "120", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Record runs against servers that are wrong in different ways, in English."""
    directory = tmp_path_factory.mktemp("runs")
    for name in SERVERS:
        words = [sys.executable, str(Path(__file__).with_name("wrong_servers.py")), name, "{port}", "{dir}"]
        serve = shlex.join(words)
        patterns = [word for chapter in CHAPTERS for word in ("-t", chapter)]
        path = directory / f"{name}.ndjson"
        done = conformance(
            "run", "--serve", serve, *patterns, "--dialect", "2026", "--timeout-scale", "0.2", "--ndjson", str(path)
        )
        assert done.returncode == 1, done.stderr
    return {name: directory / f"{name}.ndjson" for name in SERVERS}


@pytest.fixture(params=SERVERS)
def events(request: pytest.FixtureRequest, recorded: dict[str, Path]) -> list[Event]:
    with recorded[request.param].open("rb") as file:
        return list(read_events(file))


def on_terminal(events: Sequence[Event]) -> str:
    output = io.StringIO()
    report = TerminalReport(Console(file=output, width=200, highlight=False), is_verbose=True, shows_all=True)
    for event in events:
        report(in_language(event))
    return output.getvalue()


def as_html(events: Sequence[Event]) -> str:
    page = html(map(in_language, events))
    page = re.sub(r"<(style|script|pre|code)\b.*?</\1>", " ", page, flags=re.DOTALL)
    attributes = re.findall(r'(?:aria-label|placeholder|title|data-text)="([^"]*)"', page)
    return re.sub(r"<[^>]*>", "\n", page) + "\n".join(attributes)


def as_junit(events: Sequence[Event]) -> str:
    root = ET.fromstring(junit(map(in_language, events)))
    texts = [element.text or "" for element in root.iter()]
    return "\n".join([*texts, *(element.get("message", "") for element in root.iter())])


def in_pytest(events: Sequence[Event]) -> str:
    summary = SessionSummary()
    for event in events:
        summary(event)
    return "\n".join([*summary.lines(), *(with_heading(row) for row in events if isinstance(row, Result))])


REPORTS: dict[str, Callable[[Sequence[Event]], str]] = {
    "terminal": on_terminal,
    "html": as_html,
    "junit": as_junit,
    "pytest": in_pytest,
}


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.usefixtures("marked")
def test_a_report_says_nothing_that_cannot_be_translated(report: str, events: list[Event]) -> None:
    assert unmarked(REPORTS[report](events)) == []


@pytest.mark.usefixtures("marked")
def test_explanations_say_nothing_that_cannot_be_translated() -> None:
    scenarios = catalogue()
    names = [*(row.id for row in scenarios), *(row.id for row in specification())]
    for name in [*names, *root_causes(), *(word.name for word in glossary())]:
        text = "\n".join(row for row in explained(name, scenarios).splitlines() if not row.startswith("    "))
        if name in scenarios and scenarios[name].transcript is not None:
            text = text.replace("\n".join(f"  {row}" for row in str(scenarios[name].transcript).splitlines()), "")
        assert unmarked(text) == [], name


@pytest.mark.usefixtures("spanish")
@pytest.mark.parametrize("report", REPORTS)
def test_a_report_in_spanish_shows_no_english_text_of_ours(report: str, events: list[Event]) -> None:
    """No text of several words that has another translation occurs; the reports have no other source of texts."""
    shown = " ".join(REPORTS[report](events).split())
    for message in translations.read("es"):
        if isinstance(message.id, str) and message.string != message.id:
            text = " ".join(message.id.split())
            assert text.count(" ") < 2 or "{" in text or text not in shown, text


def test_a_recorded_run_is_shown_in_the_language_of_its_reader(recorded: dict[str, Path]) -> None:
    path = recorded["recv"]
    assert not re.search(r"[\u00c0-\u024f]|\\u00[e-f]", path.read_text())  # it is recorded in English
    spanish = conformance("report", str(path), "--lang", "es", "-v").stdout
    assert "no conforme" in spanish
    assert "requisitos cumplidos: " in spanish
    assert conformance("report", str(path), "-v", LANGUAGE="es_AR:en").stdout == spanish
    english = conformance("report", str(path), "-v").stdout
    assert "not conformant" in english
    assert english != spanish


def test_what_is_recorded_does_not_hang_on_the_language(events: list[Event]) -> None:
    before = [line(event) for event in events]
    language.use("es")
    try:
        assert [line(event) for event in events] == before
    finally:
        language.use(ENGLISH)
    again = list(read_events([f"{row}\n".encode() for row in before]))
    assert [line(event) for event in again] == before


# --- Messages ----------------------------------------------------------------------------------------


def test_a_message_is_its_english_text_and_survives_a_recording() -> None:
    inner = Message("an empty line")
    message = Message("{how} after {received}", how=inner, received="{how}", seconds=2.0)
    assert message == "an empty line after {how}"
    assert isinstance(str(ValueError(message)), Message)
    recorded = json.loads(json.dumps(message.recorded()))
    found = language.from_record(language.plain(message), recorded)
    assert isinstance(found, Message)
    assert found.recorded() == message.recorded()


@pytest.mark.usefixtures("spanish")
def test_a_message_is_translated_with_the_messages_in_it_and_nothing_else() -> None:
    line_ = Message("an empty line")
    assert language.translated(line_) == "una l\u00ednea vac\u00eda"
    assert language.translated(Message("{how} after {received}", how=line_, received="an empty line")) == (
        "una l\u00ednea vac\u00eda despu\u00e9s de an empty line"
    )
    assert language.translated("an empty line") == "an empty line"  # a server may have sent that
    assert language.gettext("nothing within {seconds} s", seconds=1.25) == "nada en 1,2 s"
    assert language.gettext("") == ""


@pytest.mark.parametrize(
    "recorded",
    [None, [], ["other {x}", {"x": "y"}], ["text", 1], [1], [["text"]], ["text {x}", {"x": None}], {"text": "text"}],
)
def test_a_record_that_does_not_fit_its_text_is_left_out(recorded: object) -> None:
    found = language.from_record("text", recorded)
    assert found == "text"


def test_a_record_that_is_nested_too_deeply_is_left_out() -> None:
    recorded: list[object] = ["text"]
    for _ in range(100):
        recorded = ["{x}", {"x": recorded}]
    assert type(language.from_record("text", recorded)) is str


# --- Which language ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, "en"),
        ({"LANG": "es_AR.UTF-8"}, "es"),
        ({"LANG": "C"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "es_AR.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "es_ES"}, "es"),
        ({"LANGUAGE": "fr:es:en", "LANG": "en_US"}, "es"),
        ({"LANGUAGE": "", "LC_ALL": "", "LANG": "es@euro"}, "es"),
        ({"LANG": "esperanto"}, "en"),
    ],
)
def test_the_locale_chooses_the_language(environment: dict[str, str], wanted: str) -> None:
    assert language.chosen([], environment) == wanted


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["run", "--lang", "es"], "es"),
        (["--lang=es", "run"], "es"),
        (["run", "--lang", "fr"], "en"),
        (["run", "--", "--lang", "es"], "en"),
        (["run", "--lang"], "en"),
    ],
)
def test_the_command_line_chooses_the_language(arguments: list[str], wanted: str) -> None:
    assert language.chosen(arguments, {}) == wanted


def test_help_and_errors_are_in_the_language_that_is_chosen() -> None:
    assert conformance("run", "--lang", "es", "--help").stdout.startswith("Uso: conformance run [OPCIONES]")
    assert "Mostrar" in conformance("list", "--help", LC_ALL="es_AR.UTF-8", LANGUAGE="").stdout
    assert conformance("run", "--lang", "fr").stderr == (
        "conformance: Invalid value for '--lang': 'fr' is not one of 'en', 'es'. (see conformance --help)\n"
    )
    assert conformance("run", "--lang", "es").stderr == (
        "conformance: no se indic\u00f3 ning\u00fan servidor: HOST:PORT o --serve CMD (ver conformance --help)\n"
    )
    assert conformance("explain", "half-close", "--lang", "es").stdout.startswith("half-close: Un cliente cierra")


def test_the_server_gets_the_locale_of_the_user(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    serve = f"sh -c 'echo \"$LANGUAGE\" > {seen}; exit {{port}}'"
    conformance("run", "--lang", "es", "--serve", serve, LANGUAGE="de")
    assert seen.read_text() == "de\n"


# --- The words of the READMEs --------------------------------------------------------------------------


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_readmes_have_the_words_of_the_glossary(name: str) -> None:
    language.use(name)
    try:
        rows = [f"| {language.gettext(word.name)} | {language.gettext(word.text)} |" for word in glossary()]
    finally:
        language.use(ENGLISH)
    readme = ROOT / "conformance" / ("README.md" if name == ENGLISH else f"README.{name}.md")
    assert "\n".join(rows) in readme.read_text(encoding="utf-8")


def test_the_first_screen_in_the_readme_is_what_a_student_sees(tmp_path: Path) -> None:
    readme = (ROOT / "conformance" / "README.es.md").read_text(encoding="utf-8")
    expected = readme.partition("```text\n")[2].partition("```")[0].splitlines()
    serve = "'python3 server.py -p {port} -d {dir}'"
    command = f"conformance run --lang es --name tarea --serve {serve} --seed 2008 -t arguments.*"
    printed = pictures.run(command, tmp_path).rstrip().splitlines()
    numbers = re.compile(r"[0-9,]+")  # the example is of a whole run
    assert [numbers.sub("", row) for row in printed[1:3]] == [numbers.sub("", row) for row in expected[1:3]]
    assert [printed[0], *printed[3:]] == [expected[0], *expected[3:]]
