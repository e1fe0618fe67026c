"""All engines send the replies of an independent oracle, byte for byte, to random input."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.greenserver.conftest import LIVE, SERVED, ServerFor
from tests.greenserver.oracle import Oracle
from tests.greenserver.random_input import COMMANDS, NAMES, NOISE, NUMBERS, random_input
from tests.greenserver.serving import DIALECTS, ENGINES

pytestmark = pytest.mark.once

INPUTS = 1000
PARTS = 8


def oracle_for(dialect: str, directory: Path) -> Oracle:
    """Return an oracle that lists files in the order of the directory."""
    return Oracle(dialect, {name: SERVED[name] for name in os.listdir(directory) if name in SERVED})


@pytest.mark.parametrize("part", range(PARTS))
def test_random_input_gets_the_same_replies_on_gevent_and_the_other_engines(
    server_for: ServerFor, dialect: str, directory: Path, part: int
) -> None:
    oracle = oracle_for(dialect, directory)
    servers = [server_for(engine, dialect) for engine in ENGINES]
    for seed in range(part, INPUTS, PARTS):
        if DIALECTS[seed // PARTS % len(DIALECTS)] != dialect:
            continue
        sent = random_input(seed)
        cuts = random.Random(seed).choices((1, 2, 7, 40), k=3)
        replies = {server.ask(sent, pieces=cuts) for server in servers}
        assert replies == {oracle.replies(sent)}, (seed, sent)


WORDS = st.sampled_from([word.encode() for word in (*COMMANDS, *NAMES, *NUMBERS)] + list(NOISE)) | st.binary(max_size=8)
LINES = st.builds(
    lambda words, end: b" ".join(words) + end,
    st.lists(WORDS, max_size=5),
    st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b""]),
)
COMMAND_BYTES = st.lists(LINES, max_size=5).map(b"".join) | st.binary(max_size=60)
PIECES = st.lists(st.integers(1, 30), max_size=6)


@pytest.mark.parametrize("engine", ENGINES)
def test_any_bytes_in_any_pieces_get_the_same_replies(server_for: ServerFor, directory: Path, engine: str) -> None:
    servers = {dialect: server_for(engine, dialect) for dialect in ("2026", "2016")}

    @LIVE
    @given(COMMAND_BYTES, PIECES, st.sampled_from(sorted(servers)))
    @example(b"get_metadata one\r\nqui\nt\n\r\n", [16, 1, 1], "2026")
    @example(b"get_metadata one\r\nget_metadata one\r\nqui\nt\n\r\n", [18, 16], "2026")  # cached, without its end
    @example(b"get_slice binary.dat 0 773\r\nquit\r\nhelp\r\n", [1] * 28, "2016")
    def replies_are_right(sent: bytes, pieces: list[int], dialect: str) -> None:
        expected = oracle_for(dialect, directory).replies(sent)
        assert servers[dialect].ask(sent) == expected
        assert servers[dialect].ask(sent, pieces=pieces) == expected

    replies_are_right()
