"""A connection only makes legal state transitions: forwards, and between idle and busy."""

import itertools

import pytest

from greenserver.connection.state import TRANSITIONS, IllegalTransitionError, State, transition

LEGAL = {
    *((State.HANDSHAKE, State.BUSY), (State.HANDSHAKE, State.CLOSING), (State.HANDSHAKE, State.CLOSED)),
    *((State.IDLE, State.BUSY), (State.IDLE, State.CLOSING), (State.IDLE, State.CLOSED)),
    *((State.BUSY, State.IDLE), (State.BUSY, State.CLOSING), (State.BUSY, State.CLOSED)),
    (State.CLOSING, State.CLOSED),
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(State, State)))
def test_only_the_legal_transitions_are_made(before: State, after: State) -> None:
    if (before, after) in LEGAL:
        assert transition(before, after) is after
    else:
        with pytest.raises(IllegalTransitionError, match=f"{before.value} -> {after.value}"):
            transition(before, after)


def test_every_state_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(State)
