"""The tests of both packages."""

import shlex
import sys
from typing import Final

INTERPRETER: Final = shlex.quote(sys.executable)
"""A word of a command line that starts this interpreter, wherever it lies."""
