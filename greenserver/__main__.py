"""The entry point: parse the engine and monkey-patch for gevent before any module imports sockets."""

from typing import NoReturn

from greenserver import cli
from greenserver.monkeypatch import patch_for


def main() -> NoReturn:
    """Run the command line."""
    cli.main(prepare=patch_for)


if __name__ == "__main__":
    main()
