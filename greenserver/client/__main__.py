"""The entry point of `hftp`."""

from greenserver.io.import_path import forget_current_directory

forget_current_directory()  # before any other import

from typing import NoReturn  # noqa: E402

from greenserver.client import cli  # noqa: E402
from greenserver.io.standard_streams import open_closed  # noqa: E402


def main() -> NoReturn:
    """Run the command line."""
    open_closed()
    cli.main()


if __name__ == "__main__":
    main()
