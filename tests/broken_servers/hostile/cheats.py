"""Servers that know the suite, and behave because of it: they know the words and files of one seed, or its habits."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from conformance.fixtures.base import plan
from conformance.fixtures.words import Words
from tests.broken_servers.commands import Commands, Parts

KNOWN_SEED: Final = 1
_LARGE_BYTES: Final = 1 << 16


class WithoutReading(Commands):
    """Serve the contents that the suite's files have, from memory, without reading any file."""

    def __init__(self, directory: Path, dialect: str) -> None:
        super().__init__(directory, dialect)
        self._contents = {row.name: row.content for row in plan(KNOWN_SEED, _LARGE_BYTES).values()}
        self._name = b""

    def open(self, name: bytes) -> BinaryIO:
        self._name = name
        return super().open(name)

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        content = self._contents.get(self._name)
        file.close()
        yield (content.read(offset, size) if content is not None else b"").ljust(size, b"?")


class OnlyForTheSuite(Commands):
    """Answer rightly once the suite's unknown command has come; until then, every error is 200."""

    def __init__(self, directory: Path, dialect: str) -> None:
        super().__init__(directory, dialect)
        self._is_judged = False

    def run(self, name: bytes, arguments: list[bytes]) -> Parts:
        self._is_judged = self._is_judged or name == Words(KNOWN_SEED).unknown
        return super().run(name, arguments)

    def refuse(self, code: int) -> tuple[Parts, bool]:
        return super().refuse(code if self._is_judged else 200)


class ByConstants(Commands):
    """Answer rightly where a name, a size or a line shows that the suite asks; elsewhere, every error is 200."""

    SIZES = frozenset({256, 300_007, 1 << 16, 32 << 20})
    NAMES = re.compile(r"hftp-(conformance|aside)|HFTP_CONFORMANCE|-256_")
    LINE = re.compile(
        rb"[a-z]{4}_[a-z]{10}_[a-z]{6}|get_slice [^ ]+ 0 (256|300)|get_metadata [a-z]{4}-[a-z]{10}-[a-z]{6}"
    )

    def __init__(self, directory: Path, dialect: str) -> None:
        super().__init__(directory, dialect)
        self._is_judged = False

    def reply(self, raw: bytes) -> tuple[Parts, bool]:
        self._is_judged = self._is_judged or self.LINE.fullmatch(raw.strip()) is not None or self._is_recognised()
        return super().reply(raw)

    def refuse(self, code: int) -> tuple[Parts, bool]:
        return super().refuse(code if self._is_judged else 200)

    def _is_recognised(self) -> bool:
        """Return whether the directory, what is in it and beside it, or the environment is the suite's."""
        names = [str(self.directory.resolve()), *os.environ]
        names += [entry.name for place in (self.directory, self.directory.parent) for entry in os.scandir(place)]
        if any(self.NAMES.search(name) for name in names):
            return True
        return any(entry.stat().st_size in self.SIZES for entry in os.scandir(self.directory) if entry.is_file())


CHEATS: Final[dict[str, Callable[[Path, str], Commands]]] = {
    "without-reading": WithoutReading,
    "only-for-the-suite": OnlyForTheSuite,
    "by-constants": ByConstants,
}
