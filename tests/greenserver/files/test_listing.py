"""Listings of a directory that changes share what they have in common, and are bounded in all."""

import pytest

from greenserver.files import listing
from greenserver.files.listing import Listing, ListingExpiredError, Listings

NAMES = [f"file-{number}" for number in range(20_000)]


def text_of(names: list[str]) -> bytes:
    return "".join(f"{name}\r\n" for name in names).encode()


def read_all(made: Listing) -> bytes:
    read = b""
    while more := made.read(len(read), 10_000):
        read += more
    return read


@pytest.mark.parametrize("count", [0, 1, 600, len(NAMES)])
def test_a_listing_is_its_names(count: int) -> None:
    made = Listings().make(NAMES[:count])
    assert made.whole() == read_all(made) == text_of(NAMES[:count])
    assert made.size == len(made.whole())
    assert made.read(made.size // 2, 5) == made.whole()[made.size // 2 :][: len(made.read(made.size // 2, 5))]


def test_equal_listings_are_one() -> None:
    listings = Listings()
    assert listings.make(iter(NAMES)) is listings.make(iter(NAMES))


def test_listings_share_what_they_have_in_common() -> None:
    """A new file between each of a hundred listings costs a block each, and not a hundred listings."""
    listings = Listings()
    made = [listings.make([*NAMES[:place], "new", *NAMES[place:]]) for place in range(0, len(NAMES), 200)]
    for number, each in enumerate(made):
        assert each.whole() == text_of([*NAMES[: 200 * number], "new", *NAMES[200 * number :]])
    distinct = {id(block): len(block) for each in made for block in each.blocks or ()}
    # Where blocks end hangs on the hashes of names, which each process draws anew: about a fourteenth is expected.
    assert sum(distinct.values()) < len(made) * made[0].size / 4


def test_the_oldest_listings_expire_if_they_take_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    first = [f"old-{name}" for name in NAMES]
    size = len(text_of(first))
    monkeypatch.setattr(listing, "LISTINGS_BYTES", 2 * size + 1)
    listings = Listings()
    made = [listings.make(f"{number}-{name}" for name in NAMES) for number in range(6)]
    for expired in made[:-3]:
        with pytest.raises(ListingExpiredError):
            expired.read(0, 1)
        with pytest.raises(ListingExpiredError):
            expired.whole()
    for number, living in enumerate(made[-3:], start=3):
        assert living.whole() == text_of([f"{number}-{name}" for name in NAMES])


def test_listings_that_are_read_expire_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "LISTINGS_BYTES", 0)
    listings = Listings()
    for number in range(3):
        assert listings.make(f"{number}-{name}" for name in NAMES).whole()
