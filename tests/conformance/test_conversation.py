"""A conversation is a ladder of steps, with what deviates on a line of its own."""

from conformance.client.recording import WireEntry
from conformance.model.events import Result
from conformance.model.verdicts import Verdict
from conformance.reports.conversation import (
    AFTERWARDS,
    CLIENT,
    EVENT,
    EXCERPT,
    SERVER,
    STEPS,
    Step,
    conversation,
    excerpt,
)


def of(*entries: WireEntry) -> Result:
    """Return a result with this traffic."""
    return Result("a.b", "HFTP-1.1", "MUST", Verdict.FAIL, transcript=list(entries))


def received(data: str, deviates: tuple[int, int] | None = None, peer: int = 1) -> WireEntry:
    """Return an entry of what the server sent."""
    return WireEntry(0.5, peer, "received", len(data), data, deviates=deviates)


def test_lines_and_acts_are_steps_of_the_side_that_makes_them() -> None:
    result = of(
        WireEntry(0.0, 1, "connected"),
        WireEntry(0.1, 1, "sent", 20, "get_metadata a\r\nquit\r\n"),
        received("0 OK\r\n5\r\n"),
        WireEntry(0.6, 0, "note", note="answered 0 OK"),
        WireEntry(0.7, 1, "end"),
    )
    assert conversation(result) == [
        Step(0.0, CLIENT, "connects", is_act=True),
        Step(0.1, CLIENT, r"get_metadata a\r\n"),
        Step(0.1, CLIENT, r"quit\r\n"),
        Step(0.5, SERVER, r"0 OK\r\n"),
        Step(0.5, SERVER, r"5\r\n"),
        Step(0.6, EVENT, "answered 0 OK"),
        Step(0.7, SERVER, "closes the connection", is_act=True),
    ]


def test_several_clients_are_numbered() -> None:
    assert [step.peer for step in conversation(of(received("a\n"), received("b\n", peer=2)))] == [1, 2]


def test_pieces_that_follow_each_other_are_one_step() -> None:
    pieces = [WireEntry(0.1 * number, 1, "sent", 1, letter) for number, letter in enumerate("qui\r\n")]
    assert [step.text for step in conversation(of(*pieces, received("0 OK\r\n")))] == [
        r"q | u | i | \r | \n",
        r"0 OK\r\n",
    ]


def test_what_deviates_stands_alone_and_is_never_left_out() -> None:
    lines = "".join(f"line {number}\r\n" for number in range(50))
    start = lines.index("line 40")
    steps = conversation(of(received(lines, (start, start + 9))))
    marked = [step.text for step in steps if step.deviates]
    assert marked == [r"line 40\r\n"]
    assert len(steps) < 20
    assert [step.text for step in conversation(of(received("0 OKxyz", (4, 7))))] == ["0 OK", "xyz"]
    assert [step.deviates for step in conversation(of(WireEntry(1.0, 1, "silence", deviates=(0, 0))))] == [True]


def test_an_excerpt_ends_soon_after_the_deviation_and_counts_what_is_left_out() -> None:
    before = [received(f"{number}\n") for number in range(30)]
    steps = excerpt(of(*before, received("bad\n", (0, 4)), *before))
    assert [step.text for step in steps[1:-1]] == [*(f"{number}\\n" for number in range(22, 30)), r"bad\n", r"0\n"]
    assert (steps[0].text, steps[-1].text) == (
        "steps that are left out here: 22",
        "steps that are left out here: 29",
    )
    assert len(steps) == EXCERPT + 2
    assert steps.index(next(step for step in steps if step.deviates)) == len(steps) - 2 - AFTERWARDS


def test_a_long_conversation_is_cut() -> None:
    steps = conversation(of(*[received("x\n")] * (2 * STEPS)))
    assert len(steps) == STEPS + 1
    assert steps[-1].text == "truncated; the event stream has the rest"
