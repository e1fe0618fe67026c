"""Fill in templates: `{text}` and `{text.size}` of a fixture, and `{unknown}`, a word of the run."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from conformance.fixtures.base import Fixtures
from conformance.fixtures.words import Words

REFERENCE: Final = re.compile(r"\{([a-z][a-z-]*)(?:\.(size)(?:(\+|-|//)(\d+))?)?\}")
_COMPUTE: Final[Mapping[str, Callable[[int, int], int]]] = {
    "+": int.__add__,
    "-": int.__sub__,
    "//": int.__floordiv__,
}
WORDS: Final[Mapping[str, Callable[[Words], bytes]]] = {
    "unknown": lambda words: words.unknown,
    "unknown-word": lambda words: words.unknown_word,
    "missing": lambda words: words.missing,
}


class References(dict[str, str]):
    """What references such as `text.size+1` stand for in a run, each computed when it is first asked for.

    One character stands for each byte of a name. Asking raises Incomplete for a file that the server does not hold.
    """

    def __init__(self, fixtures: Fixtures, words: Words) -> None:
        super().__init__()
        self._fixtures = fixtures
        self._words = words

    def __missing__(self, reference: str) -> str:
        """Compute a value, and keep it."""
        found = REFERENCE.fullmatch(f"{{{reference}}}")
        if found is None:
            raise KeyError(reference)
        key, what, operator, number = found.groups()
        if key in WORDS and not what:
            value = WORDS[key](self._words).decode()
        elif what:
            size = self._fixtures.get(key).size
            value = str(_COMPUTE[operator](size, int(number)) if operator else size)
        else:
            value = self._fixtures.get(key).name.decode("latin-1")
        self[reference] = value
        return value

    def filled(self, text: str) -> str:
        """Return a text with values instead of its references, which are in braces."""
        return REFERENCE.sub(lambda found: self[found[0][1:-1]], text) if "{" in text else text
