"""The command line of `hftp`, which tells its peak memory at the end."""

import sys
from pathlib import Path
from typing import Final

_PROGRAM: Final = r"""
import atexit, re, sys
from pathlib import Path
told = Path(sys.argv.pop(1))
peak = re.compile(r"VmHWM:\s+(\d+)")
atexit.register(lambda: told.write_text(peak.search(Path("/proc/self/status").read_text())[1]))
from greenserver.client.__main__ import main
main()
"""


def measured(told: Path, *words: str) -> list[str]:
    """Return the command that runs `hftp` and writes its peak resident memory in KiB to a file.

    What wait4(2) says may be the memory of whoever started the process: exec(3) does not reset it.
    """
    return [sys.executable, "-c", _PROGRAM, str(told), *words]
