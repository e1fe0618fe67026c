"""Set up what a run needs, the directory with its files and the server, and tear it down."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.client.address import Address, check_names, check_proxy, parse_address
from conformance.config import Options
from conformance.fixtures.local import LocalFixtures
from conformance.target.managed_server import Launch, ManagedServer, Start, launch

if TYPE_CHECKING:
    from typing_extensions import Self


class Environment:
    """Owns the `server` and, if there is one, the local directory that it serves; `launch` starts the process.

    A context manager. Entering it starts the server; entering `server` waits until it is ready.
    Raises on entering: AddressError, FixturesError, ServerStartError.
    """

    server: ManagedServer
    fixtures: LocalFixtures | None = None

    def __init__(self, options: Options, launch: Launch = launch) -> None:
        self._options = options
        self._launch = launch
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Self":
        try:
            self._make()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def _make(self) -> None:
        options = self._options
        address = parse_address(options.address) if options.address else None
        proxy = check_proxy(options.proxy) if options.proxy else ""
        check_names(address or Address("127.0.0.1"), proxy)
        directory = options.fixtures
        if directory is None and options.serve and ("{dir}" in options.serve or address is None):
            fresh = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="hftp-conformance-"))
            directory = Path(fresh).resolve() / "served"
        if directory is not None:
            reads_everything = os.geteuid() == 0 and not options.serve
            self.fixtures = LocalFixtures(
                directory.absolute(), options.seed, options.large_bytes, reads_everything=reads_everything
            )
            self._stack.callback(self.fixtures.remove)
            self.fixtures.write()
        start = Start(options.serve, options.cwd, options.timeout_scale, self._launch) if options.serve else None
        self.server = ManagedServer(address, start, directory=(directory or Path()).absolute(), proxy=proxy)
        self._stack.callback(self.server.close)
        self.server.begin()
