"""The reports of a fixed run are identical to the golden files."""

import pytest

from conformance.model.events import read_events
from tests.conformance.golden import REPORTS, events, golden, rendered


@pytest.mark.parametrize("name", REPORTS)
def test_report_equals_its_golden_file(name: str) -> None:
    assert rendered(name) == golden(name), "python -m tests.conformance.golden writes it"


@pytest.mark.parametrize("name", REPORTS)
def test_report_of_a_written_recording_is_the_same(name: str) -> None:
    again = list(read_events(golden("run.ndjson").encode().splitlines()))
    assert again == events()
    assert REPORTS[name](again) == REPORTS[name](events())


@pytest.mark.parametrize("name", sorted(set(REPORTS) - {"run.ndjson"}))
def test_reports_contain_no_control_characters(name: str) -> None:
    assert not {character for character in golden(name) if character < " " or "\x7f" <= character < "\xa0"} - {
        "\n",
        "\t",
    }
