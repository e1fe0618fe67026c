"""Each report says of a fixed run, to the byte, what its golden file says."""

import pytest

from conformance.model.events import read_events
from tests.conformance.golden import REPORTS, events, golden, rendered


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_as_it_was(name: str) -> None:
    assert rendered(name) == golden(name), "python -m tests.conformance.golden writes it anew"


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_of_what_was_written_is_the_same(name: str) -> None:
    again = list(read_events(golden("run.ndjson").encode().splitlines()))
    assert again == events()
    assert REPORTS[name](again) == REPORTS[name](events())


@pytest.mark.parametrize("name", sorted(set(REPORTS) - {"run.ndjson"}))
def test_no_control_character_gets_through(name: str) -> None:
    assert not {character for character in golden(name) if character < " " or "\x7f" <= character < "\xa0"} - {
        "\n",
        "\t",
    }
