"""The command of --serve: its arguments, with the port and directory filled in, how it is run, and what confines it."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from conformance.client.address import Address
from conformance.language import Message
from conformance.target.failed_start import ServerStartError
from conformance.target.launcher import Launch, launch
from conformance.target.sandbox.sandbox import Sandbox


@dataclass(frozen=True)
class Start:
    """How to start a server."""

    command: str
    """Split into words as by a shell; {port}, {dir} and {host} are filled in."""
    cwd: str = ""
    timeout_scale: float = 1.0
    launch: Launch = launch
    sandbox: Sandbox | None = None
    """Where there is one, it starts the server instead of `launch`."""

    @property
    def has_own_network(self) -> bool:
        """Whether the server has a network of its own, in which nothing listened before."""
        return self.sandbox is not None and self.sandbox.has_network

    def words(self, address: Address, directory: Path) -> list[str]:
        """Return the arguments of the command line; raise ServerStartError."""
        fields = {"{port}": str(address.port), "{dir}": str(directory), "{host}": address.host}
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            message = Message("--serve: {error}: {command}", error=error, command=self.command)
            raise ServerStartError(message) from error
        for name, value in fields.items():
            words = [word.replace(name, value) for word in words]
        if not words:
            message = Message("--serve: an empty command")
            raise ServerStartError(message)
        return words
