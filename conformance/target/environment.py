"""Set up what a run needs, the directory with its files and the server, and tear it down."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.client.address import Address, check_names, check_proxy, parse_address
from conformance.config import Options
from conformance.fixtures.claim import FixturesError
from conformance.fixtures.findings import Findings
from conformance.fixtures.interrupts import uninterrupted
from conformance.fixtures.leftovers import remove_younger
from conformance.fixtures.local_fixtures import LocalFixtures
from conformance.fixtures.safe_directory import PREFIX, Directory
from conformance.fixtures.words import word
from conformance.language import Message
from conformance.model.activity import Activity
from conformance.target.managed_server import Launch, ManagedServer, Start, launch
from conformance.target.sandbox.limits import limits_for
from conformance.target.sandbox.sandbox import Sandbox, SandboxError, choose
from conformance.target.sockets import is_loopback

if TYPE_CHECKING:
    from typing_extensions import Self


class Environment:
    """Owns the `server` and, if there is one, the local directory that it serves; `launch` starts the process.

    A context manager. Entering it starts the server; entering `server` waits until it is ready.
    Raises on entering: AddressError, FixturesError, ServerStartError.
    """

    server: ManagedServer
    fixtures: LocalFixtures | None = None
    sandbox: Sandbox | None = None

    def __init__(self, options: Options, launch: Launch = launch, activity: Activity | None = None) -> None:
        self.activity = activity or Activity()
        self._options = options
        self._launch = launch
        self._stack = contextlib.ExitStack()
        self.findings = Findings()
        """What was found in its directory so far."""

    def __enter__(self) -> "Self":
        try:
            self._make()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.end()

    def end(self) -> Findings:
        """End the server, remove the files, and return what stood in the way of that; a second call does nothing."""
        with uninterrupted():
            self._stack.close()
        return self.findings

    def _close(self, server: ManagedServer) -> None:
        server.close()
        self.findings.left += server.notes

    def _make_sandbox(self, address: Address | None, served: str) -> Sandbox | None:
        """Return the sandbox of the server, if there is to be one; raise SandboxError."""
        options = self._options
        if not options.is_sandboxed:
            return None
        if options.proxy or (address is not None and not is_loopback(address)):
            message = Message(
                "--sandbox needs a server at 127.0.0.1 or [::1], without --proxy: it has a network of its own"
            )
            raise SandboxError(message)
        limits = limits_for(options.clients)
        return choose(options.sandbox, str(Path(options.cwd).absolute()), served, limits, options.sandbox_read)

    def _make(self) -> None:
        options = self._options
        address = parse_address(options.address) if options.address else None
        proxy = check_proxy(options.proxy) if options.proxy else ""
        check_names(address or Address("127.0.0.1"), proxy)
        directory = options.fixtures
        since = None
        if directory is None and options.serve and ("{dir}" in options.serve or address is None):
            private, since = self._stack.enter_context(private_directory(self.findings))
            directory = private / word(options.seed, "directory")
        if directory is not None:
            reads_everything = os.geteuid() == 0 and not options.serve
            self.fixtures = LocalFixtures(
                directory,
                options.seed,
                options.large_bytes,
                reads_everything=reads_everything,
                findings=self.findings,
                private_since=since,
            )
            self._stack.callback(self.fixtures.remove)
            self.fixtures.write()
        served = (directory or Path()).absolute()
        start = None
        if options.serve:
            self.sandbox = self._make_sandbox(address, str(served) if directory is not None else "")
            start = Start(options.serve, options.cwd, options.timeout_scale, self._launch, self.sandbox)
        self.server = ManagedServer(address, start, directory=served, proxy=proxy)
        self.server.activity = self.activity
        self._stack.callback(self._close, self.server)
        self.server.begin()


@contextlib.contextmanager
def private_directory(findings: Findings) -> Iterator[tuple[Path, float]]:
    """Yield a new directory that only the user may enter, and when it was made, by the clock of the file system.

    Its name does not tell that a server in it is judged. Remove it at the end, with what was made in it.
    """
    above = Directory.at(Path(tempfile.gettempdir()).resolve(), findings)
    try:
        try:
            private = above.make_private(PREFIX)
        except OSError as error:
            message = Message("cannot make a directory in {path}: {strerror}", path=above.path, strerror=error.strerror)
            raise FixturesError(message) from error
        since = os.fstat(private.fileno()).st_mtime
        try:
            yield private.path, since
        finally:
            remove_younger(private.fileno(), since)
            above.remove(os.fsencode(private.path.name))
    finally:
        above.close()
