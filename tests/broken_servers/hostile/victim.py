"""What is dear to somebody: a directory with files of the same names as the suite's, of which nothing may change."""

import os
from collections.abc import Mapping
from pathlib import Path

from conformance.config import FIXED_SEED
from conformance.fixtures.base import extras, plan
from tests.broken_servers.hostile.directories import PLANTED


class Victim:
    """A directory with files of the same names as the suite's, held open, so that it is found wherever it is moved."""

    def __init__(self, path: Path) -> None:
        self.path = path
        others = extras(FIXED_SEED)
        (path / os.fsdecode(others["subdirectory"])).mkdir(parents=True)
        inner = others["inner"].rpartition(b"/")[2]
        names = {*(row.name for row in plan(FIXED_SEED).values()), *others.values(), *PLANTED, b".profile", inner}
        for name in names - {others["subdirectory"]}:
            (path / os.fsdecode(name)).write_bytes(b"dear: " + name)
        self._descriptor = os.open(path, os.O_RDONLY)
        self._before = self._contents()

    def _contents(self) -> Mapping[str, bytes]:
        there = Path("/proc/self/fd", str(self._descriptor))
        return {os.fspath(path.relative_to(there)): path.read_bytes() for path in there.rglob("*") if path.is_file()}

    def changes(self) -> list[str]:
        """Return the names of what was changed, added or removed, and let go of it."""
        changed = sorted(name for name, _ in self._before.items() ^ self._contents().items())
        os.close(self._descriptor)
        return changed
