"""Servers that know the suite, and behave because of it: what they know are the words and files of one seed."""

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


CHEATS: Final[dict[str, Callable[[Path, str], Commands]]] = {
    "without-reading": WithoutReading,
    "only-for-the-suite": OnlyForTheSuite,
}
