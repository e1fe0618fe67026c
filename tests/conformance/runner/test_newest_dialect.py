"""What the newest dialect would say of a server whose dialect was inferred, and is an older one."""

from xml.etree import ElementTree as ET

import pytest

from conformance.model.events import Event, RunEnd, RunStart
from conformance.model.verdicts import Exit
from conformance.reports.html import html
from conformance.reports.junit import junit
from conformance.reports.text import judged_as
from tests.conformance.in_process import Run, judge

pytestmark = pytest.mark.once

SELECTED = ("framing.empty-line*", "commands.h*", "slices.f*", "slices.r*")
START = RunStart("1", "", 1, "2019", ":1", 1, dialect_basis="it does not know help")
WOULD_FAIL = RunEnd({}, Exit.CONFORMANT, would_fail={"2026": ["commands.help", "slices.raw-text"]})
NOTE = ", judged as 2019: it does not know help; as 2026 at least 2 more scenarios would fail: --dialect 2026"


def of_2019(**more: object) -> Run:
    """Judge a server that is right as one of 2019."""
    return judge("correct-threads --dialect 2019", *SELECTED, **more)


def test_what_the_newest_dialect_would_say_is_what_it_says() -> None:
    inferred, given = of_2019(dialect="auto"), of_2019(dialect="2026")
    assert inferred.end.exit == Exit.CONFORMANT
    assert inferred.start.dialect == "2019"
    assert inferred.end.would_fail == {
        "2026": sorted(given.with_verdict("fail"), key=[*inferred.end.would_fail["2026"]].index)
    }
    assert given.end.would_fail == {}


def test_a_server_of_the_newest_dialect_and_a_given_dialect_need_no_other_opinion() -> None:
    assert judge("correct-threads --dialect 2026", *SELECTED, dialect="auto").end.would_fail == {}
    assert of_2019(dialect="2019").end.would_fail == {}


def test_only_what_was_selected_is_told() -> None:
    assert judge("correct-threads --dialect 2019", "commands.quit", dialect="auto").end.would_fail == {}


def test_a_note_names_the_dialect_and_what_another_one_would_say() -> None:
    assert judged_as(START, WOULD_FAIL) == NOTE


def test_every_report_has_the_note() -> None:
    events: list[Event] = [START, WOULD_FAIL]
    page = html(events)
    assert "<p>Judged as 2019: it does not know help.</p>" in page
    assert "<p>As 2026 at least 2 more scenarios would fail: --dialect 2026.</p>" in page
    other = "as 2026 at least 2 more scenarios would fail: --dialect 2026"
    properties = ET.fromstring(junit(events)).iter("property")
    assert other in {row.get("value") for row in properties}
