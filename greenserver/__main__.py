"""Starts the program; nothing is imported here that must wait for gevent to patch it."""

from typing import NoReturn

from greenserver import cli


def main() -> NoReturn:
    """Run the command line."""
    cli.main()


if __name__ == "__main__":
    main()
