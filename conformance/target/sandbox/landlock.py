"""Confine a process by Landlock: which paths it may use, which TCP ports, whom it may signal; see landlock(7).

Landlock needs no privilege and no namespace. It says nothing about UDP, about unix sockets with a path, or about which
processes can be seen.
"""

import ctypes
import os
import stat
import struct

from conformance.target.sandbox import kernel

_CREATE_RULESET = 444
_ADD_RULE = 445
_RESTRICT_SELF = 446
_VERSION = 1
"""LANDLOCK_CREATE_RULESET_VERSION."""
_PATH_BENEATH = 1
_NET_PORT = 2
EXECUTE = 1
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIRECTORY = 1 << 3
TRUNCATE = 1 << 14
IOCTL_DEVICE = 1 << 15
_FILE_RIGHTS = {1: 1 << 13, 2: 1 << 14, 3: 1 << 15, 5: 1 << 16}
"""From which version on all rights to files are those below which number: refer, truncate and ioctl came later."""
BIND_TCP = 1
CONNECT_TCP = 2
NETWORK_VERSION = 4
SCOPE_VERSION = 6
_SCOPES = 1 | 2
"""LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, LANDLOCK_SCOPE_SIGNAL."""
_RULESET = struct.Struct("=QQQ")
"""landlock_ruleset_attr: handled rights to files, to the network, and scopes."""
_PATH_RULE = struct.Struct("=Qi")
"""landlock_path_beneath_attr, which is packed."""
_PORT_RULE = struct.Struct("=QQ")
READ = EXECUTE | READ_FILE | READ_DIRECTORY
DEVICE = READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEVICE
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE
"""The rights that make sense for what is no directory; others are rejected."""


def version() -> int:
    """Return which version of Landlock's interface the kernel has; 0 if none, or if it is switched off."""
    if not kernel.is_linux():
        return 0
    return max(0, kernel.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION))


def confine(readable: list[str], devices: list[str], port: int) -> None:
    """Confine this process: it may read and execute below some paths, use devices, and listen on one TCP port.

    Raises OSError.
    """
    known = version()
    files = max(rights for since, rights in _FILE_RIGHTS.items() if since <= max(1, known)) - 1
    network = BIND_TCP | CONNECT_TCP if known >= NETWORK_VERSION else 0
    scopes = _SCOPES if known >= SCOPE_VERSION else 0
    size = 24 if known >= SCOPE_VERSION else 16 if known >= NETWORK_VERSION else 8
    attributes = _RULESET.pack(files, network, scopes)[:size]
    ruleset = kernel.checked(kernel.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0), "landlock")
    for paths, rights in ((readable, READ), (devices, DEVICE)):
        for path in paths:
            _allow(ruleset, path, rights & files)
    if network:
        _add(ruleset, _NET_PORT, _PORT_RULE.pack(BIND_TCP, port))
    kernel.forbid_new_privileges()
    kernel.checked(kernel.syscall(_RESTRICT_SELF, ruleset, 0), "landlock")
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
    try:
        _add(ruleset, _PATH_BENEATH, _PATH_RULE.pack(rights if is_directory else rights & _OF_FILES, descriptor))
    finally:
        os.close(descriptor)


def _add(ruleset: int, kind: int, rule: bytes) -> None:
    kernel.checked(kernel.syscall(_ADD_RULE, ruleset, kind, rule, 0), "landlock")
