"""The options of a run, in one frozen object, and the command line that repeats it."""

import contextlib
import shlex
from dataclasses import dataclass
from pathlib import Path

from conformance.fixtures.base import LARGE_BYTES
from conformance.language import Message
from conformance.option_table import RUN_OPTIONS
from conformance.spec.catalogues import NEWEST

PROGRAM = "conformance"
DIALECT_MISSING = Message(
    "the dialect is not given: pass --dialect (without --strict-dialect it is inferred from the server)"
)
"""What to say if `Options.is_dialect_missing`."""
NO_SERVE = Message("--hftp-sandbox is only used with --hftp-serve")
NO_PORT = Message("--hftp-serve needs {port}, or --hftp as well")
IS_SHARED = Message(
    "workers of pytest-xdist cannot share a directory or an address: --hftp-serve alone gives each its own"
)
"""What pytest's plugin says of options that do not go together."""
FIXED_SEED = 2008
"""The seed of programs that set none; the command line and pytest draw one for each run."""
DEFAULT_CLIENTS = 200


@dataclass(frozen=True)
class Options:
    """The options of `conformance run`; `address`, `serve` or both are set."""

    address: str = ""
    """HOST:PORT, [V6]:PORT or unix:PATH."""
    serve: str = ""
    """The command that starts the server."""
    cwd: str = ""
    sandbox: str = "off"
    """How to confine the server that `serve` starts: off, auto, namespaces or landlock."""
    sandbox_read: tuple[str, ...] = ()
    """What a server in a sandbox may read besides."""
    fixtures: Path | None = None
    proxy: str = ""
    dialect: str = "auto"
    strict_dialect: bool = False
    """Whether `dialect` has to be given."""
    select: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    baseline: Path | None = None
    seed: int = FIXED_SEED
    large_bytes: int = LARGE_BYTES
    clients: int = DEFAULT_CLIENTS
    jobs: int = 0
    """How many scenarios run at a time; 0 lets the suite choose."""
    timeout_scale: float = 1.0
    max_seconds: int = 0
    """The deadline of the run; 0 derives it from the number of scenarios."""
    fail_on: str = "must"
    catalogue: str = NEWEST
    """A frozen catalogue, or the newest one."""
    stops_at_first_cause: bool = False
    name: str = ""
    """The name of the server in reports, if one was given."""
    scenarios: tuple[str, ...] = ()
    deep: int = 0
    """How many seconds to explore the server after the scenarios; 0 does not."""

    @property
    def server_name(self) -> str:
        """Return the name of the server in reports: the one that was given, its folder's, or its address."""
        if self.name or not self.serve:
            return self.name or self.address
        folder = Path(self.cwd or ".")
        with contextlib.suppress(OSError, ValueError):  # a word is no name, or a quotation is open
            files = (folder / word for word in shlex.split(self.serve)[1:])
            folder = next((file.parent for file in files if file.is_file()), folder)
        return folder.resolve().name or self.serve

    @property
    def target(self) -> str:
        """Return the address or command of the server, for display."""
        return self.address or self.serve

    @property
    def is_sandboxed(self) -> bool:
        """Return whether the server that `serve` starts is to be confined."""
        return self.sandbox != "off"

    @property
    def is_dialect_missing(self) -> bool:
        """Return whether the dialect has to be given, and is not."""
        return self.strict_dialect and self.dialect == "auto"

    @property
    def run_command(self) -> str:
        """Return the command line that repeats the run with the same scenarios."""
        words = [word for pattern in self.select for word in ("-t", pattern)]
        words += [word for pattern in self.skip for word in ("--skip", pattern)]
        words += ["--catalogue", self.catalogue] if self.catalogue != NEWEST else []
        words += ["--deep", str(self.deep)] if self.deep else []
        return " ".join([self.command("run"), *([shlex.join(words)] if words else [])])

    def command(self, name: str, *first: str) -> str:
        """Return the command line of a command with these arguments against the same server, with the same options."""
        words = [PROGRAM, name, *first]
        words += [self.address] if self.address else []
        default = Options()
        for option in RUN_OPTIONS:
            value = getattr(self, option.field)
            if not option.selects and (value != getattr(default, option.field) or option.name == "seed"):
                for one in value if option.is_repeatable else [value]:
                    words += [f"--{option.name}", str(one)]
        return shlex.join(words)
