"""How the tests start their own servers: quickly, for there are hundreds of them."""

import atexit
import shutil
import sys
import tempfile
from typing import Final

_BYTECODE: Final = tempfile.mkdtemp(prefix="hftp-bytecode-")
atexit.register(shutil.rmtree, _BYTECODE, ignore_errors=True)
PYTHON: Final = ("env", "PYTHONDONTWRITEBYTECODE=", sys.executable, "-S", "-X", f"pycache_prefix={_BYTECODE}")
"""Words that start Python for a server: to compile it takes longer than all that it does, so that is done once."""
