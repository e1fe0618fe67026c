"""Statuses are codes with the words that the protocol gives them."""

import pytest

from greenserver.protocol.status import Status
from tests.greenserver import oracle

LINES = {
    0: oracle.OK,
    100: oracle.BAD_EOL,
    101: oracle.BAD_REQUEST,
    199: oracle.FAILED,
    200: oracle.NO_COMMAND,
    201: oracle.BAD_ARGUMENTS,
    202: oracle.NO_FILE,
    203: oracle.PAST_END,
}


def test_there_are_exactly_the_protocols_codes() -> None:
    assert {int(status): status.line for status in Status} == LINES


@pytest.mark.parametrize("status", Status)
def test_codes_from_100_to_199_are_fatal_and_no_others(status: Status) -> None:
    assert status.is_fatal == (int(status) in {100, 101, 199})
