"""The JUnit XML report: one test suite per run, one test case per scenario.

A warning is a passed test case with a note in its output, unless the run has --fail-on should.
"""

from collections.abc import Iterable, Iterator
from typing import Final
from xml.etree import ElementTree as ET

from conformance.language import gettext, translated
from conformance.model.events import Event, Result, RunEnd
from conformance.model.verdicts import MEANINGS, Exit, Verdict
from conformance.printable import printable_lines
from conformance.reports.in_language import verdict_name
from conformance.reports.text import PRINTED, Run, explained, gathered, in_full, printed

SUITE: Final = "hftp-conformance"


def junit(events: Iterable[Event]) -> str:
    """Return the XML document of an event stream."""
    root = ET.Element("testsuites", name=SUITE)
    totals = {"tests": 0, "failures": 0, "errors": 0}
    seconds = 0.0
    for run in gathered(events):
        suite = _suite(run)
        root.append(suite)
        seconds += run.end.seconds if run.end else sum(result.seconds for result in run.results)
        for name in totals:
            totals[name] += int(suite.attrib[name])
    root.attrib.update({name: str(count) for name, count in totals.items()}, time=f"{seconds:.3f}")
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(run: Run) -> ET.Element:
    suite = ET.Element("testsuite", name=SUITE)
    properties = ET.SubElement(suite, "properties")
    for name, value in (*run.facts.items(), ("outcome", run.outcome), *_diagnosis(run)):
        ET.SubElement(properties, "property", name=name, value=printable_lines(value))
    counts = {"failure": 0, "error": 0, "skipped": 0}
    for result in run.results:
        case, kind = _case(result, fails_on_warning=run.start.fail_on == "should")
        suite.append(case)
        if kind:
            counts[kind] += 1
    if run.end is not None and run.end.exit is Exit.USAGE:
        suite.append(_unstarted(run.end))
        counts["error"] += 1
    seconds = run.end.seconds if run.end else sum(result.seconds for result in run.results)
    suite.attrib.update(
        tests=str(len(suite.findall("testcase"))),
        failures=str(counts["failure"]),
        errors=str(counts["error"]),
        skipped=str(counts["skipped"]),
        time=f"{seconds:.3f}",
        timestamp=printable_lines(run.start.started[:19]),
        hostname=printable_lines(run.start.target),
    )
    if run.end is not None and run.end.output:
        _say(suite, "system-out", run.end.output)
    if run.end is None or run.end.problems:
        _say(suite, "system-err", "\n".join(run.end.problems if run.end else [run.outcome]))
    return suite


def _diagnosis(run: Run) -> Iterator[tuple[str, str]]:
    """Yield how much is explained, and each cause, as properties."""
    if run.diagnosis is not None and run.diagnosis.causes:
        yield "diagnosis", explained(run.diagnosis)
        for cause in run.diagnosis.causes:
            yield f"cause {cause.id}", f"{gettext(cause.severity)}: {cause.title} ({', '.join(cause.scenarios)})"


def _unstarted(end: RunEnd) -> ET.Element:
    """Return a test case for a server that did not start: without one, a reader would see nothing wrong."""
    case = ET.Element("testcase", name="start", classname=SUITE, time=f"{end.seconds:.3f}")
    ET.SubElement(case, "error", type="start", message=printable_lines("; ".join(end.problems)))
    return case


def _case(result: Result, *, fails_on_warning: bool) -> tuple[ET.Element, str]:
    """Return a test case, and how it counts: failure, error, skipped, or empty if it passed."""
    case = ET.Element(
        "testcase",
        name=printable_lines(result.scenario),
        classname=printable_lines(f"{SUITE}.{result.chapter}"),
        time=f"{result.seconds:.3f}",
    )
    verdict = Verdict(result.verdict)
    kind = _kind(result, verdict, fails_on_warning=fails_on_warning)
    if kind == "skipped":
        ET.SubElement(case, kind, message=printable_lines(f"{verdict_name(verdict)}: {result.known or result.got}"))
    elif kind:
        expected = result.got
        if result.expected:
            expected = gettext("expected {expected}, got {got}", expected=result.expected, got=result.got)
        found = ET.SubElement(
            case,
            kind,
            type=printable_lines(result.kind or verdict.value),
            message=printable_lines(f"{result.title}: {expected}"),
        )
        found.text = printable_lines(in_full(result, with_output=False))
        if printed(result):
            _say(case, "system-out", "\n".join([translated(PRINTED), *printed(result)]))
    elif verdict is not Verdict.PASS or result.got:
        _say(
            case, "system-out", f"{verdict_name(verdict)}: {translated(MEANINGS[verdict].sentence)}\n{in_full(result)}"
        )
    return case, kind


def _kind(result: Result, verdict: Verdict, *, fails_on_warning: bool) -> str:
    if result.known or not MEANINGS[verdict].has_run:
        return "skipped"
    if verdict is Verdict.ERROR:
        return "error"
    return "failure" if verdict is Verdict.FAIL or (verdict is Verdict.WARN and fails_on_warning) else ""


def _say(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = printable_lines(text)
