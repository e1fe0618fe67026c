"""Set up the environment of a run (the directory, its files, the server), and tear it down."""

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
    """A server at an address, and the local directory that it serves, if there is one; `launch` starts the process.

    A context manager. Entering it starts the server; entering `target` waits until it is ready.
    Raises on entering: AddressError, FixturesError, ServerStartError.
    """

    target: ManagedServer
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
        self.target = ManagedServer(address, start, directory=(directory or Path()).absolute(), proxy=proxy)
        self._stack.callback(self.target.close)
        self.target.begin()
