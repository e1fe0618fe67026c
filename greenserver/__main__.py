"""Starts the program: the engine is known, and gevent has patched, before anything imports a socket."""

from typing import NoReturn

from greenserver import cli
from greenserver.monkeypatch import patch_for


def main() -> NoReturn:
    """Run the command line."""
    cli.main(prepare=patch_for)


if __name__ == "__main__":
    main()
