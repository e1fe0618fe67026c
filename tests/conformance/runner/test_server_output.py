"""What a server prints stands with the scenario that made it do so, and says whose doing it is."""

import pytest

from conformance.failures import Failure, Kind
from conformance.model.context import RunContext, ScenarioContext
from conformance.model.scenario import Scenario
from conformance.reports.text import in_full, printed_error
from conformance.runner.outcome import Outcome
from conformance.runner.play import play
from conformance.runner.results import PROVOKED, SHARED_OUTPUT, result_of
from conformance.target.remote_fixtures import RemoteFixtures
from tests.conformance.in_process import judge, judge_command
from tests.conformance.small_servers import MODULE, TOO_MUCH

SERVERS = "tests.broken_servers"
RESET = "Traceback (most recent call last):\n  File x\nConnectionResetError: [Errno 104]\n"


def fail(context: ScenarioContext) -> None:
    """Fail, as a scenario does whose server says nothing."""
    context.pause()
    raise Failure(Kind.CLOSED, "a reply", "the end of the stream")


def leave(context: ScenarioContext) -> None:
    """Fail after a client has left."""
    context.record.note(1, "reset")
    fail(context)


def played(scenario: Scenario, output: str, *, is_alone: bool = True) -> Outcome:
    """Return the outcome of a scenario while the server prints something."""
    known = RunContext(
        lambda *_: pytest.fail("no connection"),
        RemoteFixtures({}, knows_all=False),
        "2026",
        1.0,
        listen=lambda: lambda _seconds: output,
    )
    return play(scenario, known, is_alone=is_alone)


@pytest.mark.parametrize(
    ("act", "output", "is_alone", "note"),
    [
        (fail, "KeyError: 'x'\n", True, ""),
        (fail, "KeyError: 'x'\n", False, SHARED_OUTPUT),
        (fail, RESET, True, ""),
        (leave, RESET, True, PROVOKED),
        (leave, RESET, False, PROVOKED),
        (leave, "KeyError: 'x'\n", True, ""),
        (leave, "", False, ""),
    ],
)
def test_an_output_says_whose_doing_it_is(act: object, output: str, is_alone: bool, note: str) -> None:
    scenario = Scenario("mine.failing", "HFTP-3.6", act, "Fails")  # type: ignore[arg-type]
    result = result_of(played(scenario, output, is_alone=is_alone), "2026")
    assert (result.output, result.output_note) == (output, note)


def test_what_is_printed_meanwhile_belongs_to_no_scenario_that_passes() -> None:
    passed = played(Scenario("mine.passing", "HFTP-3.6", lambda _context: None, "Passes"), "connected\n")
    assert result_of(passed, "2026").output == ""
    assert result_of(passed.gone(), "2026").output == "connected\n"


@pytest.mark.once
def test_each_failure_has_its_own_traceback() -> None:
    found = judge("decode-kills-the-thread", "framing.high-bytes", "framing.utf-8", "framing.nul", dialect="2026")
    first, second = found.results["framing.high-bytes"], found.results["framing.utf-8"]
    assert printed_error(first).startswith("UnicodeDecodeError: 'ascii' codec can't decode byte 0xff")
    assert printed_error(second).startswith("UnicodeDecodeError: 'ascii' codec can't decode byte 0xc3")
    assert first.output.count("Traceback (most recent call last)") == 1
    assert "line.decode" in in_full(first)
    assert found.results["framing.nul"].output == ""


@pytest.mark.once
def test_the_last_words_of_a_server_stand_with_the_scenario_that_ended_it() -> None:
    select = ("framing.high-bytes", "framing.utf-8-survived")
    found = judge_command(f"{SERVERS} decode-kills-the-process", *select, dialect="2026")
    assert found.results["framing.high-bytes"].kind == "gone"
    assert "byte 0xff" in printed_error(found.results["framing.high-bytes"])
    assert "byte 0xc3" in printed_error(found.results["framing.utf-8-survived"])


@pytest.mark.once
def test_the_last_words_of_a_server_that_ends_later_are_found_with_the_scenario() -> None:
    found = judge_command(f"{MODULE} ends-in-the-next-batch", "framing.nul", "commands.unknown", dialect="2026")
    assert found.results["framing.nul"].kind == "gone"
    assert TOO_MUCH in found.results["framing.nul"].output
    assert found.results["commands.unknown"].output == ""


@pytest.mark.once
def test_an_error_that_the_suite_provokes_is_marked_so() -> None:
    found = judge_command(f"{SERVERS} reset-kills-the-process", "slices.reset-midway", dialect="2026")
    result = found.results["slices.reset-midway"]
    assert printed_error(result) == f"ConnectionResetError: [Errno 104] Connection reset by peer ({PROVOKED})"
