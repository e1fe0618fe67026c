"""Tell which entries of a directory are served: by the characters of their names, and by permission."""

import os
import re
from typing import Final

from greenserver.config import limits

_NAME: Final = re.compile(f"[{limits.NAME_CHARACTERS}]+", re.ASCII)

# Check access with the effective user and group ids, as open() does, where the platform supports it.
_EFFECTIVE: Final = os.access in os.supports_effective_ids


def is_expressible(name: str) -> bool:
    """Return whether the protocol can express a name."""
    return _NAME.fullmatch(name) is not None


def is_readable(path: str, directory: int | None = None) -> bool:
    """Return whether this process may read a file; with the descriptor of a directory, of a name in it."""
    return os.access(path, os.R_OK, dir_fd=directory, effective_ids=_EFFECTIVE)
