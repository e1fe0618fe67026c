"""Whether a server listens, seen from outside: no connection is made, so that the caller's first one is the server's.

A check that connects and closes costs a sequential server that does not notice the end of a stream all later clients.
"""

from functools import cached_property
from typing import Final

from conformance.client.address import Address
from conformance.target.process_tree import OwnedListener, ProcessTree, is_supported, owner_of
from conformance.target.sockets import Listener, is_local, listeners

UNSEEN_SECONDS: Final = 1.0
"""How long a server's processes are watched before something else is taken for what listens in their place."""


class ListenerWatch:
    """The listening sockets of a server at an address.

    Create it before the server starts: what listens at the address by then is not the server's. `follow` names the
    process that the server's descend from; without it, the server runs already, and any socket at a local address is
    the server's. `is_direct` is False where connections go through a proxy.
    """

    def __init__(self, address: Address, *, is_direct: bool = True) -> None:
        self.is_unknown = False
        """Whether the listening socket cannot be seen: the server runs on another machine or in a container, say."""
        self.tree: ProcessTree | None = None
        self._address = address
        self._is_direct = is_direct
        self._earlier: frozenset[int] = frozenset()
        self._found: list[OwnedListener] = []

    @cached_property
    def is_local(self) -> bool:
        """Whether the address is one of this machine, reached without a proxy."""
        return self._is_direct and is_local(self._address)

    def note_earlier(self) -> None:
        """Note what listens at the address before the server starts."""
        self._earlier = frozenset(listener.inode for listener in self._at_address())

    def follow(self, root: int) -> None:
        """Watch the processes below `root`."""
        self.tree = ProcessTree(root) if is_supported() else None
        self.is_unknown = False

    def find(self) -> bool:
        """Look for the server's listening sockets; return whether there is one."""
        if not self._is_direct:
            return False
        if self.tree is not None:
            self._found = self.tree.listeners(self._address, self._earlier)
        elif self.is_local:
            self._found = [OwnedListener(listener) for listener in self._at_address()]
        return bool(self._found)

    @property
    def is_listening(self) -> bool:
        """Whether the server listens; True where that is unknown."""
        if self.is_unknown or any(owned.is_open for owned in self._found):
            return True
        was_seen = bool(self._found)
        if self.find():
            return True
        return self.tree is None and not was_seen

    def current(self) -> list[Listener]:
        """Return the server's listening sockets as they are now; none where they cannot be seen."""
        if self.is_unknown:
            return []
        if not any(owned.is_open for owned in self._found):
            self.find()
        inodes = {owned.listener.inode for owned in self._found}
        return [listener for listener in self._at_address() if listener.inode in inodes]

    @property
    def backlog(self) -> int | None:
        """The smallest backlog of the server's listening sockets; None where unknown."""
        return min((listener.backlog for listener in self.current() if listener.backlog is not None), default=None)

    def queue_length(self) -> int | None:
        """Return how many connections wait to be accepted; None where unknown."""
        lengths = [listener.queue_length for listener in self.current() if listener.queue_length is not None]
        return sum(lengths) if lengths else None

    def cannot_see(self) -> bool:
        """Return whether the server may listen where its processes do not show it.

        Of another machine nothing is seen, and a container's port is held by a process that is not the command's.
        """
        return self.tree is None or not self.is_local or bool(self._newcomers())

    def elsewhere(self) -> Listener | None:
        """Return a socket of the server that listens, but not at the address; Unix sockets only where one is wanted."""
        found = self.tree.other_listeners(self._address) if self.tree is not None and self._is_direct else []
        return next((listener for listener in found if bool(listener.path) == bool(self._address.path)), None)

    def holder(self) -> str:
        """Return what listens at the address, for people; empty where that is nothing."""
        found = self._at_address()
        return (owner_of(found[0]) or "another process") if found else ""

    def _newcomers(self) -> list[Listener]:
        return [listener for listener in self._at_address() if listener.inode not in self._earlier]

    def _at_address(self) -> list[Listener]:
        """Return what listens at the address; none behind a proxy, which resolves names in this machine's place."""
        return listeners(self._address) if self._is_direct else []
