"""Finds out which files a server holds: the suite's own, written by somebody else, or whatever can play their parts."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Final

from conformance.client.client import Client, Slice, fetch
from conformance.failures import Failure, Incomplete
from conformance.fixtures.base import LARGE_BYTES, SERVABLE, Fixture, Fixtures, plan
from conformance.fixtures.content import Content, Generated, InMemory

LEARNT_BYTES: Final = 1 << 16
"""A found file up to this size is fetched once, whole, to know what its slices must be."""


class RemoteFixtures(Fixtures):
    """Files that the server lists: the suite's own, known by name and content, or whatever else there is."""

    def __init__(self, files: Mapping[str, Fixture], *, knows_all: bool) -> None:
        self._files = files
        self.knows_all = knows_all
        self.kind = "found" if knows_all else "discovered"

    def get(self, key: str) -> Fixture:
        """Return a file; raise Incomplete if there is none such."""
        if key not in self._files:
            message = f"the server holds no file that could be {key!r} (conformance fixtures write DIR makes them)"
            raise Incomplete(message)
        return self._files[key]


def find(connect: Callable[[], Client], seed: int, large_bytes: int = LARGE_BYTES) -> RemoteFixtures:
    """Ask a server what it holds, and choose from that.

    Files that `conformance fixtures write` made are known by their names, sizes and a look into one of them; from
    other files the ones that can play a part are chosen, and judged by whether what the server says of them agrees.
    """
    sizes = _sizes(connect)
    written = {key: row for key, row in plan(seed, large_bytes).items() if sizes.get(row.name) == row.size}
    if {"text", "one", "binary"} <= set(written) and _holds(connect, written["binary"]):
        if (large := plan(seed)["large"]).name in sizes and "large" not in written:
            size = sizes[large.name]
            written["large"] = Fixture("large", large.name, size, Generated(size, seed + 1))
        return RemoteFixtures(written, knows_all=True)
    return RemoteFixtures(_chosen(connect, sizes), knows_all=False)


_LOOKED_AT: Final = 64
"""How many names of a foreign listing are asked for their size."""


def _sizes(connect: Callable[[], Client]) -> dict[bytes, int]:
    """Return the sizes of what is listed; nothing if the server does not answer as it should."""
    sizes: dict[bytes, int] = {}
    with contextlib.suppress(Failure), contextlib.closing(connect()) as client:
        client.send_line("get_file_listing")
        client.status(0)
        names = [name for name in client.listing() if SERVABLE.fullmatch(name)]
        ours = {row.name for row in plan(0).values()}
        for name in sorted(names, key=lambda name: (name not in ours, name))[:_LOOKED_AT]:
            client.send_line(b"get_metadata " + name)
            if client.status().code == 0:
                sizes[name] = client.size()
    return sizes


def _holds(connect: Callable[[], Client], fixture: Fixture) -> bool:
    with contextlib.suppress(Failure), contextlib.closing(connect()) as client:
        fetch(client, fixture.name, 0, fixture.size, fixture.content)
        return True
    return False


def _chosen(connect: Callable[[], Client], sizes: Mapping[bytes, int]) -> dict[str, Fixture]:
    """Return files for the parts that foreign files can play."""
    filled = sorted((name for name, size in sizes.items() if size > 1), key=lambda name: sizes[name])
    parts: dict[str, bytes] = {}
    for key, names in (
        ("text", filled[:1]),
        ("one", [name for name, size in sizes.items() if size == 1]),
        ("empty", [name for name, size in sizes.items() if size == 0]),
        ("large", [name for name in filled[-1:] if sizes[name] >= 1 << 20]),
    ):
        if names:
            parts[key] = names[0]
    found = {}
    for key, name in parts.items():
        content: Content | None = None
        if sizes[name] <= LEARNT_BYTES:
            with contextlib.suppress(Failure), contextlib.closing(connect()) as client:
                learnt: Slice = fetch(client, name, 0, sizes[name])
                content = InMemory(learnt.data)
        found[key] = Fixture(key, name, sizes[name], content)
    return found
