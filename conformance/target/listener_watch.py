"""Watch the listening sockets of a server from outside, without a connection.

A check that connects and closes would block a sequential server that does not notice EOF, for all later clients.
"""

import socket
from functools import cached_property
from time import monotonic, sleep
from typing import Final

from conformance.client.address import Address
from conformance.client.network_namespace import OpenSocket
from conformance.language import Message
from conformance.target.process_tree import OwnedListener, ProcessTree, is_supported, owner_of, process_of
from conformance.target.sockets import Listener, can_bind, is_local, is_open, listeners, resolve

UNSEEN_SECONDS: Final = 1.0
"""How long only the server's own processes are watched before another process's socket may count as the server's."""
_BIND_SECONDS: Final = 0.25


class ListenerWatch:
    """The listening sockets of a server at an address.

    Call `note_earlier` before the server starts: sockets that listen at the address by then are not the server's.
    `follow` sets the root of the server's process tree; without it, the server runs already, and any socket at a
    local address is the server's. `is_direct` is False if connections go through a proxy.
    """

    def __init__(self, address: Address, *, is_direct: bool = True) -> None:
        self.is_unknown = False
        """Whether the listening socket is invisible, for example on another machine or in a container."""
        self.tree: ProcessTree | None = None
        self._address = address
        self._is_direct = is_direct
        self._earlier: frozenset[int] = frozenset()
        self._root: int | None = None
        self._open_socket: OpenSocket = socket.socket
        self._found: list[OwnedListener] = []
        self._found_process: int | None = None

    @cached_property
    def is_local(self) -> bool:
        """Whether the address belongs to this machine, and is reached without a proxy."""
        return self._is_direct and is_local(self._address)

    def note_earlier(self) -> bool:
        """Record what listens at the address before the server starts; return whether something does.

        Leave it out for a server that gets a network of its own.
        """
        self._earlier = frozenset(listener.inode for listener in self._at_address())
        return bool(self._earlier)

    def follow(self, root: int, open_socket: OpenSocket = socket.socket) -> None:
        """Watch the descendants of the process `root`; `open_socket` opens sockets in their network namespace."""
        self._open_socket = open_socket
        self._root = None if open_socket is socket.socket else root
        self.tree = ProcessTree(root, open_socket) if is_supported() else None
        self.is_unknown = False

    def find(self) -> bool:
        """Look for the server's listening sockets; return whether there is one."""
        if not self._is_direct:
            return False
        if self.tree is not None:
            self._found = self.tree.listeners(self._address, self._earlier)
        elif self.is_local:
            self._found = [OwnedListener(listener) for listener in listeners(self._address)]
        return bool(self._found)

    @property
    def is_listening(self) -> bool:
        """Whether the server listens; True where that is unknown."""
        if self.is_unknown:
            return True
        for owned in self._found:
            if is_open(owned.listener, self._open_socket) if self.tree is None else owned.is_open:
                return True
        was_seen = bool(self._found)
        if self.find():
            return True
        return self.tree is None and not was_seen

    def current(self) -> list[Listener]:
        """Return the server's listening sockets as they are now; empty where they cannot be observed."""
        if self.is_unknown:
            return []
        if self.tree is None or not self.is_listening:
            self.find()  # a server that runs already may have opened more
        inodes = {owned.listener.inode for owned in self._found}
        return [listener for listener in self._at_address() if listener.inode in inodes]

    @property
    def backlog(self) -> int | None:
        """The smallest backlog of the server's listening sockets; None where unknown."""
        return min((listener.backlog for listener in self.current() if listener.backlog is not None), default=None)

    def queue_length(self) -> int | None:
        """Return the length of the accept queue; None where unknown."""
        lengths = [listener.queue_length for listener in self.current() if listener.queue_length is not None]
        return sum(lengths) if lengths else None

    def cannot_see(self) -> bool:
        """Return whether the server may listen on a socket that its process tree does not show.

        That is so on another machine, and for a container, whose port belongs to a process outside the tree.
        """
        return self.tree is None or not self.is_local or bool(self._newcomers())

    def elsewhere(self) -> Listener | None:
        """Return a listening socket of the server at another address of the same kind (TCP or Unix), or None."""
        found = self.tree.other_listeners(self._address) if self.tree is not None and self._is_direct else []
        return next((listener for listener in found if bool(listener.path) == bool(self._address.path)), None)

    def holder(self) -> str:
        """Return the process that listens at the address, for display; empty if there is none."""
        found = self._at_address()
        return (owner_of(found[0]) or Message("another process")) if found else ""

    def processes(self) -> list[int]:
        """Return the server's processes; for one that ran before, what listens at the address, and its descendants."""
        if self.tree is not None:
            return self.tree.processes()
        if self._found_process is None:
            found = self._at_address() if self.is_local else []
            self._found_process = process_of(found[0]) if found else 0
        root = self._found_process
        return [root, *ProcessTree(root).processes()] if root else []

    def _newcomers(self) -> list[Listener]:
        """Return what listens at the address since the start, unless its process is older than the server."""
        found = [listener for listener in self._at_address() if listener.inode not in self._earlier]
        return [listener for listener in found if self.tree is None or not self.tree.is_older(listener)]

    def _at_address(self) -> list[Listener]:
        """Return what listens at the address; empty behind a proxy, which resolves names itself."""
        return listeners(self._address, self._root, self._open_socket) if self._is_direct else []


def await_free(address: Address, deadline: float) -> None:
    """Wait until a program can bind an address, or until a time of `monotonic`."""
    hosts = resolve(address)
    sleep(_BIND_SECONDS)
    while not can_bind(address.port, hosts) and monotonic() < deadline:
        sleep(_BIND_SECONDS)
