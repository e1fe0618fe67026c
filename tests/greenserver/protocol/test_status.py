"""Status codes have the texts of the protocol."""

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


def test_the_status_lines_are_those_of_the_protocol() -> None:
    assert {int(status): status.line for status in Status} == LINES


@pytest.mark.parametrize("status", Status)
def test_only_codes_from_100_to_199_are_fatal(status: Status) -> None:
    assert status.is_fatal == (int(status) in {100, 101, 199})
