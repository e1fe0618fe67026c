"""Listings are the same from any position, and a fatal status closes."""

import random

import pytest

from greenserver.config import limits
from greenserver.files.listing import Listings
from greenserver.protocol.responses import Body, Lines, Response
from greenserver.protocol.status import Status


def read_partially(body: Body, chance: random.Random, lengths: tuple[int, ...]) -> bytes:
    """Return a whole body, reading only a prefix of each part, as after a partial send."""
    got = b""
    while part := body.chunk(len(got)):
        got += part[: chance.choice(lengths)]
    return got


@pytest.mark.parametrize("count", [0, 1, 2, limits.TEXT_CHUNK_BYTES // 10 - 1, limits.TEXT_CHUNK_BYTES // 4])
@pytest.mark.parametrize("lengths", [(1 << 30,), (1, 2, 3000)], ids=str)
def test_a_listing_has_one_name_per_line_and_ends_with_an_empty_line(count: int, lengths: tuple[int, ...]) -> None:
    names = [f"file-{number}" for number in range(count)]
    expected = "".join(f"{name}\r\n" for name in [*names, ""]).encode()
    assert read_partially(Lines(Listings().make(names)), random.Random(count), lengths) == expected


@pytest.mark.parametrize("status", Status)
def test_a_fatal_status_closes(status: Status) -> None:
    assert Response(status).closes == status.is_fatal
    assert (Response(status).text, Response(status).body) == (b"", None)
    assert Response(status, closes=True).closes
