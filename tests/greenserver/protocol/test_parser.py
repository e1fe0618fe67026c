"""A line is parsed into a request; a bounded cache keeps the requests that clients repeat."""

import pytest

from greenserver.config.limits import KNOWN_COMMANDS, KNOWN_LINE_BYTES
from greenserver.protocol.commands import GET_METADATA
from greenserver.protocol.dialects import DIALECTS
from greenserver.protocol.parser import Dialect


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"get_metadata one", "get_metadata"),
        (b"get_metadata", "get_metadata"),
        (b"get_metadata a b", "get_metadata"),
        (b"get_slice one x 1", "get_slice"),
        (b"put one", ""),
        (b"", ""),
        (b"quit\n", ""),
        (b"quit \xe9", ""),
    ],
)
def test_a_request_names_its_command_only_if_the_dialect_has_it(line: bytes, command: str) -> None:
    request = DIALECTS["2026"].parse(line)
    assert (request.line, request.command) == (line, command)


def test_a_repeated_line_is_parsed_once() -> None:
    requests = DIALECTS["2026"].requests
    request = requests[b"get_slice text.txt 0 41"]
    assert requests[b"get_slice text.txt 0 41"] is request
    assert requests.with_end[b"get_slice text.txt 0 41\r\n"] is request
    assert b"get_slice text.txt 0 41" not in requests.with_end


def test_the_cache_is_bounded_and_holds_only_short_valid_lines() -> None:
    dialect = Dialect("test", [GET_METADATA], {})
    for number in range(3 * KNOWN_COMMANDS):
        assert dialect.requests[b"get_metadata file%d" % number].command == "get_metadata"
        assert 0 < len(dialect.requests) == len(dialect.requests.with_end) <= KNOWN_COMMANDS
    before = set(dialect.requests)
    for line in (b"get_metadata " + b"n" * KNOWN_LINE_BYTES, b"get_metadata a b", b"put", b"a\n", b""):
        assert dialect.requests[line].line == line
    assert set(dialect.requests) == before
    assert set(dialect.requests.with_end) == {line + b"\r\n" for line in before}
