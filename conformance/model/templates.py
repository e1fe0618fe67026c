"""Fill in templates: `{text}` and `{text.size}` of a fixture, and `{unknown}`, a word of the run."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from conformance.fixtures.base import Fixture
from conformance.fixtures.words import Words

REFERENCE: Final = re.compile(r"\{([a-z][a-z-]*)(?:\.(size)(?:(\+|-|//)(\d+))?)?\}")
COMPUTE: Final[Mapping[str, Callable[[int, int], int]]] = {
    "+": int.__add__,
    "-": int.__sub__,
    "//": int.__floordiv__,
}
WORDS: Final[Mapping[str, Callable[[Words], bytes]]] = {
    "unknown": lambda words: words.unknown,
    "unknown-word": lambda words: words.unknown_word,
    "missing": lambda words: words.missing,
}


def filled(text: str, fixture: Callable[[str], Fixture], words: Words) -> str:
    """Return a text with names, sizes and words instead of templates; raise what `fixture` raises."""
    if "{" not in text:
        return text

    def value(found: re.Match[str]) -> str:
        key, what, operator, number = found.groups()
        if key in WORDS and not what:
            return WORDS[key](words).decode()
        if not what:
            return fixture(key).name.decode("latin-1")
        size = fixture(key).size
        return str(COMPUTE[operator](size, int(number)) if operator else size)

    return REFERENCE.sub(value, text)
