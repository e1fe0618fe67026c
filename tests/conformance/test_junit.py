"""The JUnit report is valid and complete, and its counts match the verdicts."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from msgspec.structs import replace

from conformance.model.events import Event, Result, RunEnd, RunStart
from conformance.reports.junit import junit
from tests.conformance.golden import HOSTILE, events

pytestmark = pytest.mark.once

SCHEMA = xmlschema.XMLSchema10(str(Path(__file__).with_name("junit.xsd")))


def case(document: str, name: str) -> ET.Element:
    found = ET.fromstring(document).find(f".//testcase[@name='{name}']")
    assert found is not None
    return found


def outcome(element: ET.Element) -> str:
    return next((child.tag for child in element if child.tag in {"failure", "error", "skipped"}), "passed")


@pytest.mark.parametrize(
    "stream",
    [events(), events()[:-1], events()[:1], [], [*events(), *events()]],
    ids=["whole", "without an end", "nothing played", "nothing", "two runs"],
)
def test_report_is_valid(stream: list[Event]) -> None:
    SCHEMA.validate(junit(stream))


def test_schema_rejects_an_invalid_report() -> None:
    wrong = junit(events()).replace("<failure", "<failed").replace("</failure", "</failed")
    assert not SCHEMA.is_valid(wrong)
    assert not SCHEMA.is_valid(junit(events()).replace('failures="1"', 'failures="one"'))


def test_report_has_one_test_case_per_scenario() -> None:
    names = [element.get("name") for element in ET.fromstring(junit(events())).iter("testcase")]
    assert names == [event.scenario for event in events() if isinstance(event, Result)]


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        ("framing.one-command", "passed"),
        ("framing.hostile", "failure"),
        ("slices.past-end", "skipped"),  # it failed, and the baseline knows it
        ("lengths.huge-name", "passed"),
        ("framing.tab-answer", "passed"),
        ("clients.two-at-once", "skipped"),
        ("clients.many", "skipped"),
        ("paths.parent", "skipped"),
        ("your-own.scenario", "error"),
        ("slices.random", "passed"),
    ],
)
def test_maps_each_verdict_to_an_outcome(scenario: str, expected: str) -> None:
    assert outcome(case(junit(events()), scenario)) == expected


def test_warning_is_in_the_output() -> None:
    output = case(junit(events()), "lengths.huge-name").findtext("system-out")
    assert output is not None
    assert "did not do what it should" in output


def test_warning_is_a_failure_with_fail_on_should() -> None:
    start = events()[0]
    assert isinstance(start, RunStart)
    document = junit([replace(start, fail_on="should"), *events()[1:]])
    assert outcome(case(document, "lengths.huge-name")) == "failure"
    assert ET.fromstring(document).get("failures") == "2"


def test_counts_match_the_test_cases() -> None:
    suite = ET.fromstring(junit(events())).find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "10",
        "failures": "1",
        "errors": "1",
        "skipped": "4",
    }


def test_report_identifies_the_run() -> None:
    found = {row.get("name"): row.get("value") for row in ET.fromstring(junit(events())).iter("property")}
    assert found["suite"] == "1.2.3"
    assert found["catalogue"] == "c0ffee" * 10 + "1234"
    assert found["seed"] == "2008"
    assert found["dialect"] == "2026"
    assert found["deselected"] == "slices.large slices.huge"


def test_report_says_that_a_run_was_cut_short() -> None:
    output = ET.fromstring(junit(events()[:-1])).findtext(".//testsuite/system-err")
    assert output is not None
    assert output.startswith("cut short")


def test_reports_problems_of_the_whole_run() -> None:
    end = events()[-1]
    assert isinstance(end, RunEnd)
    assert ET.fromstring(junit(events())).findtext(".//testsuite/system-err") == end.problems[0]


def test_escapes_hostile_bytes() -> None:
    assert "\x1b" in HOSTILE
    document = junit(events())
    assert "\x1b" not in document
    failure = case(document, "framing.hostile").find("failure")
    assert failure is not None
    for text in (failure.text or "", failure.get("message", "")):
        assert "\\x1b" in text
        assert "]]>&<script>" in text
        assert "\xff" in text
        assert "\\ufffe\\ud800" in text
