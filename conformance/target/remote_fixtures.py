"""Discover the files of a server: those of `conformance fixtures write`, or others that can replace them."""

import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import Final

from conformance.client.client import Client, Slice, fetch
from conformance.failures import Failure, Incomplete
from conformance.fixtures.base import LARGE_BYTES, SERVABLE, Fixture, Fixtures, plan
from conformance.fixtures.content import Content, Generated, InMemory
from conformance.language import Message

LEARNT_BYTES: Final = 1 << 16
"""An unknown file up to this size is fetched once, whole, to compare its slices with."""


class RemoteFixtures(Fixtures):
    """Files that the server lists: the suite's own, recognised by name and content, or others."""

    def __init__(self, files: Mapping[str, Fixture], *, knows_all: bool) -> None:
        self._files = files
        self.knows_all = knows_all
        self.kind = "found" if knows_all else "discovered"

    def get(self, key: str) -> Fixture:
        """Return a file; raise Incomplete if there is none for the key."""
        if key not in self._files:
            message = Message(
                "the server has no file for {key} (conformance fixtures write DIR creates the files, and names the"
                " --seed of the run)",
                key=repr(key),
            )
            raise Incomplete(message)
        return self._files[key]


def find(connect: Callable[[], Client], seed: int, large_bytes: int = LARGE_BYTES) -> RemoteFixtures:
    """List the files of a server, and choose fixtures among them.

    Files of `conformance fixtures write` are recognised by their names and sizes, and by the content of one of them.
    Among other files, suitable ones are chosen, and the server's replies about them are checked for consistency.
    """
    sizes = _sizes(connect, {row.name for row in plan(seed).values()})
    written = {key: row for key, row in plan(seed, large_bytes).items() if sizes.get(row.name) == row.size}
    if {"text", "one", "binary"} <= set(written) and _holds(connect, written["binary"]):
        if (large := plan(seed)["large"]).name in sizes and "large" not in written:
            size = sizes[large.name]
            written["large"] = Fixture("large", large.name, size, Generated(size, seed + 1))
        return RemoteFixtures(written, knows_all=True)
    return RemoteFixtures(_chosen(connect, sizes), knows_all=False)


_LOOKED_AT: Final = 64
"""For how many names of an unknown listing the size is requested."""


def _sizes(connect: Callable[[], Client], ours: Collection[bytes]) -> dict[bytes, int]:
    """Return the sizes of listed files, `ours` first; those up to the first failure, if there is one."""
    sizes: dict[bytes, int] = {}
    with contextlib.suppress(Failure), contextlib.closing(connect()) as client:
        client.send_line("get_file_listing")
        client.status(0)
        names = [name for name in client.listing() if SERVABLE.fullmatch(name)]
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
    """Choose unknown files for the fixture keys that they fit."""
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
