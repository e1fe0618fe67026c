"""Serves the folder that it lies in: -d is accepted, and ignored. `server.py -p PORT -d DIRECTORY`."""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[3]))

from tests.broken_servers import running  # noqa: E402  (found by the line before)
from tests.broken_servers.commands import DIALECTS, Commands  # noqa: E402
from tests.broken_servers.style_threads import Threads  # noqa: E402


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("-a", "--address", default="127.0.0.1", help="where to listen")
    parser.add_argument("-p", "--port", type=int, default=19500, help="where to listen")
    parser.add_argument("-d", "--directory", help="ignored")
    parser.add_argument("--dialect", choices=DIALECTS, default=DIALECTS[0], help="what to speak")
    options = parser.parse_args()
    Threads(Commands(HERE, options.dialect)).serve(running.listen(options.address, options.port))


if __name__ == "__main__":
    main()
