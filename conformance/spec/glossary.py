"""Read the words of `glossary.toml` that a student may not know yet, and find one by its name in any language."""

import sys
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from conformance.language import gettext

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PATH: Final = Path(__file__).with_name("glossary.toml")


class Word(NamedTuple):
    """A word, and what it means, in English."""

    name: str
    text: str

    def __str__(self) -> str:
        """Return the word and what it means, in the reader's language."""
        return f"{gettext(self.name)}: {gettext(self.text)}"


@cache
def glossary() -> tuple[Word, ...]:
    """Return the words, in the order of the file."""
    return tuple(Word(**row) for row in tomllib.loads(_PATH.read_text(encoding="utf-8"))["word"])


def find_word(name: str) -> Word | None:
    """Return a word by its name in English or in the reader's language."""
    wanted = name.casefold()
    return next((word for word in glossary() if wanted in {word.name.casefold(), gettext(word.name).casefold()}), None)
