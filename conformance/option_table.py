"""Define the options of `conformance run` once. The command line and the pytest plugin are made from this table.

pytest imports this module on every start, so it must import quickly.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from conformance.cli_types import integer_between, jobs, scale, seconds, seed, size
from conformance.spec.catalogues import FROZEN, NEWEST
from conformance.spec.dialects import DIALECTS


class RunOption(NamedTuple):
    """`--NAME` of `conformance run`, and `--hftp-NAME` of pytest."""

    name: str
    metavar: str
    help: str
    field: str
    """The field of `Options` that holds the value and its default."""
    convert: Callable[[str], object] = str
    """Converts the argument; raises ValueError with a one-line message."""
    choices: tuple[str, ...] = ()
    short: str = ""
    shown_default: str = ""
    """The default as the help shows it, where that is not `str` of the value."""
    is_repeatable: bool = False
    is_flag: bool = False
    selects: bool = False
    """Whether it selects scenarios or affects the verdict, rather than how the server is started and reached."""
    in_pytest: bool = True


RUN_OPTIONS: Final = (
    RunOption("serve", "CMD", "Start the server with this command; {port}, {dir} and {host} are filled in.", "serve"),
    RunOption("cwd", "DIR", "Start the server in this directory.", "cwd"),
    RunOption(
        "sandbox",
        "MODE",
        "Confine the server of --serve: auto takes the best that this machine allows.",
        "sandbox",
        choices=("off", "auto", "namespaces", "landlock"),
    ),
    RunOption(
        "sandbox-read",
        "PATH",
        "Let a server in a sandbox read this, besides its folder and programs. Repeatable.",
        "sandbox_read",
        is_repeatable=True,
    ),
    RunOption("fixtures", "DIR", "The served directory, if it is local.", "fixtures", Path),
    RunOption("proxy", "URL", "Connect through a SOCKS proxy: socks5h://HOST:PORT.", "proxy"),
    RunOption(
        "dialect",
        "DIALECT",
        "The dialect to test; auto infers it from the server.",
        "dialect",
        choices=("auto", *DIALECTS),
    ),
    RunOption(
        "strict-dialect",
        "",
        "Refuse to infer the dialect: --dialect must be given.",
        "strict_dialect",
        is_flag=True,
        selects=True,
    ),
    RunOption(
        "test",
        "PATTERN",
        "Run only matching scenarios: an id, a chapter, HFTP-x.y or a level. Repeatable.",
        "select",
        short="t",
        is_repeatable=True,
        selects=True,
    ),
    RunOption("skip", "PATTERN", "Skip matching scenarios. Repeatable.", "skip", is_repeatable=True, selects=True),
    RunOption("baseline", "FILE", "Known failures (TOML).", "baseline", Path, selects=True, in_pytest=False),
    RunOption(
        "seed",
        "N",
        "Seed of the files, of unknown commands and of random choices; the same seed repeats a run.",
        "seed",
        seed,
        shown_default="random",
    ),
    RunOption("size", "SIZE", "Size of the large file, or up to 3 % less.", "large_bytes", size, shown_default="32M"),
    RunOption("clients", "N", "Number of clients in a crowd, 2 to 20000.", "clients", integer_between(2, 20000)),
    RunOption(
        "jobs",
        "N",
        "Scenarios to run at a time; auto: 4 if --serve starts a server that serves several clients, else 1.",
        "jobs",
        jobs,
        short="j",
        shown_default="auto",
        selects=True,
        in_pytest=False,  # pytest-xdist has -n for this
    ),
    RunOption(
        "timeout-scale", "X", "Multiply every timeout by X, for slow servers and networks.", "timeout_scale", scale
    ),
    RunOption(
        "max-seconds",
        "N",
        "End the run after N seconds, when the rest is blocked; auto: 60, and 4 for each scenario.",
        "max_seconds",
        seconds,
        shown_default="auto",
        selects=True,
    ),
    RunOption(
        "fail-on",
        "LEVEL",
        "The lowest level that fails the run: must, or should (then warnings fail, too).",
        "fail_on",
        choices=("must", "should"),
        selects=True,
    ),
    RunOption(
        "catalogue",
        "NAME",
        "Judge by the scenarios of a frozen catalogue only, whatever this version has added.",
        "catalogue",
        choices=(NEWEST, *FROZEN),
        selects=True,
    ),
    RunOption(
        "exitfirst",
        "",
        "Stop at the first cause: as soon as the failure of a MUST is explained, no further scenario starts.",
        "stops_at_first_cause",
        short="x",
        is_flag=True,
        selects=True,
        in_pytest=False,  # pytest has its own -x
    ),
    RunOption(
        "name",
        "NAME",
        "The name of the server in reports; by default that of its folder.",
        "name",
        selects=True,
        in_pytest=False,
    ),
    RunOption("scenarios", "FILE.py", "Add your own scenarios. Repeatable.", "scenarios", is_repeatable=True),
    RunOption(
        "deep",
        "SECONDS",
        "Then explore for so long, if no MUST fails; what that finds counts for the exit status, not for grades.",
        "deep",
        integer_between(0, 86_400),
        selects=True,
        in_pytest=False,
    ),
)
