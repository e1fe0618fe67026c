"""Make up conversations with Hypothesis until one breaks a requirement, or the time is over."""

from collections.abc import Callable
from typing import Final

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded

from conformance.explorer.conversation import Conversation
from conformance.explorer.grammar import Ground
from conformance.explorer.strategies import conversations

_MOST_EXAMPLES: Final = 100_000
"""How many conversations are made up at most in one go."""


class _EndError(BaseException):
    """Ends the generation at once; Hypothesis would take any other exception for a failure, and shrink it."""

    def __init__(self, conversation: Conversation | None) -> None:
        super().__init__()
        self.conversation = conversation


def search(
    ground: Ground, fails: Callable[[Conversation], bool], is_over: Callable[[], bool], seed: int
) -> Conversation | None:
    """Return the first conversation that `fails`; None if the time `is_over` before."""

    @seeded(seed)
    @settings(
        max_examples=_MOST_EXAMPLES,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(conversations(ground))
    def hold(conversation: Conversation) -> None:
        if is_over():
            raise _EndError(None)
        if fails(conversation):
            raise _EndError(conversation)

    try:
        hold()
    except _EndError as end:
        return end.conversation
    return None
