"""Conversations are data: they survive saving, and are sent to the byte as they say; shrinking keeps what matters."""

import pytest
from hypothesis import given, settings
from hypothesis import seed as seeded

from conformance.explorer.conversation import (
    MOST_LINES,
    AddFiles,
    Conversation,
    ConversationError,
    Open,
    RemoveFiles,
    Send,
    fixtures_of,
    loads,
    pieces,
    rendered,
)
from conformance.explorer.grammar import Ground
from conformance.explorer.search import search
from conformance.explorer.shrinking import shrunk
from conformance.explorer.strategies import conversations, opening

pytestmark = pytest.mark.once

GROUND = Ground("2026", (("text", 48), ("empty", 0), ("large", 32 << 20)), 40, changes_files=True)
SMALL = Ground("2016", (("empty", 0),), 1, changes_files=False)


def same(text: str) -> str:
    """Fill in nothing."""
    return text


@seeded(1)
@settings(max_examples=60, deadline=None, database=None)
@given(conversations(GROUND))
def test_what_is_made_up_survives_saving_and_can_be_sent(conversation: Conversation) -> None:
    assert loads(conversation.dumps()) == conversation
    for step in conversation.steps:
        if isinstance(step, Send):
            data = rendered(step, same)
            assert b"".join(pieces(data, step.cuts)) == data
            assert data.count(b"\n") <= MOST_LINES + step.whole_bytes
            assert (
                not step.whole_bytes
                or len(data) in {step.whole_bytes, step.whole_bytes - 1, step.whole_bytes - 2}
                or (len(data) > step.whole_bytes)
            )


def made(seed: int) -> list[Conversation]:
    """Return the first conversations that a search makes up."""
    rows: list[Conversation] = []

    def fails(row: Conversation) -> bool:
        rows.append(row)
        return False

    assert search(GROUND, fails, lambda: len(rows) >= 8, seed) is None
    return rows


def test_one_client_and_no_directory_are_enough() -> None:
    for conversation in opening(SMALL, may_wait=True):
        assert conversation.clients == 1
        assert not conversation.changes_files


@pytest.mark.parametrize("size", [100, 511, 4096, 65536])
def test_fills_up_to_the_byte(size: int) -> None:
    data = rendered(Send(("get_metadata x",), whole_bytes=size), same)
    assert len(data) == size
    assert data.endswith(b"\r\n")


def test_numbers_count_on() -> None:
    step = Send(("get_slice x {#} 1", "y"), times=2, first=9)
    assert rendered(step, same) == b"get_slice x 9 1\r\ny\r\nget_slice x 10 1\r\ny\r\n"


def test_knows_the_files_that_it_is_about() -> None:
    conversation = Conversation((Send(("get_metadata {text}", "get_slice {large} {large.size-1} {#}")),))
    assert fixtures_of(conversation) == {"text", "large"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"steps":[{"type":"send","lines":["x"],"times":1000000}]}',
        '{"steps":[{"type":"open","clients":-1}]}',
    ],
)
def test_refuses_what_is_no_conversation(text: str) -> None:
    with pytest.raises(ConversationError):
        loads(text)


def test_shrinks_to_the_smallest_that_fails() -> None:
    noise = Send(("x", "get_slice {large} 77 5"), client=2, cuts=(3,), ending="\n")
    large = Conversation(
        (Open(30), noise, AddFiles("size", 5, 700), noise, Send(("a", "b"), times=2900), RemoveFiles(), noise)
    )

    def fails(conversation: Conversation) -> bool:
        sent = [step for step in conversation.steps if isinstance(step, Send)]
        return any(len(step.lines) * step.times > 2000 for step in sent) and any(
            isinstance(step, Open) and step.clients >= 17 for step in conversation.steps
        )

    tried = 0

    def is_over() -> bool:
        nonlocal tried
        tried += 1
        return tried > 500

    assert shrunk(large, fails, is_over) == Conversation((Open(17), Send(("b",), times=2001)))


def test_stops_to_shrink_when_the_time_is_over() -> None:
    large = Conversation((Send(("x",), times=3000),))
    assert shrunk(large, lambda _: True, lambda: True) == large


def test_search_finds_what_fails_and_ends_when_the_time_is_over() -> None:
    found = search(GROUND, lambda row: row.clients > 10, lambda: False, 3)
    assert found is not None
    assert found.clients > 10
    assert len(made(3)) == 8


def test_the_same_seed_makes_up_the_same() -> None:
    assert made(4) == made(4)
    assert made(4) != made(5)
