"""The entry point of `hftp`."""

from greenserver.io.import_path import forget_current_directory

forget_current_directory()  # before any other import

import signal  # noqa: E402
from types import FrameType  # noqa: E402
from typing import NoReturn  # noqa: E402

from greenserver.client import cli  # noqa: E402
from greenserver.io import allocator  # noqa: E402
from greenserver.io.standard_streams import open_closed  # noqa: E402


def main() -> NoReturn:
    """Run the command line."""
    open_closed()
    allocator.configure()
    signal.signal(signal.SIGTERM, _interrupt)
    cli.main()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
