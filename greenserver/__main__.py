"""Starts the program: picks the engine, monkey-patches if it is gevent, and only then imports the rest."""

import os
import sys
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import NoReturn

_OPTION = "--engine"


def engine_asked_for(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the engine that a command line and an environment name, as the command line will read them."""
    engine = environment.get("GREENSERVER_ENGINE") or "gevent"
    for argument, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        if argument == _OPTION:
            engine = following
        elif argument.startswith(f"{_OPTION}="):
            engine = argument.removeprefix(f"{_OPTION}=")
    return engine


def main() -> NoReturn:
    """Run the command line."""
    if engine_asked_for(sys.argv[1:], os.environ) == "gevent":
        from gevent import monkey  # noqa: PLC0415  (the other engines do not pay for gevent)

        monkey.patch_all()
    from greenserver import cli  # noqa: PLC0415  (what it imports must find the sockets patched)

    cli.main()


if __name__ == "__main__":
    main()
