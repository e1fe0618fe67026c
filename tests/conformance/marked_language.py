"""A language in which each text is the English one in brackets: what has none cannot be translated."""

import gettext as catalogues
import re

import pytest

from conformance import language

LITERAL = re.compile(
    r"(conformance|printf) .*"  # a command
    r"|(?<![\w])[0-9]+ [CS] .*"  # what was sent and received
    r"|\*\s+(quit|help) .*"  # the same, after the name of the row
    r"|\b[a-z]+ [a-z]+\.[a-z]{2,4}\b"  # a file whose name has a space
    r"|\b(wrong_servers|spanish)\b"
)


def unmarked(text: str) -> list[str]:
    """Return the English sentences in a text that are not in brackets."""
    while (shorter := re.sub("\u27e6[^\u27e6\u27e7]*\u27e7", "*", text)) != text:
        text = shorter
    return [
        row for row in map(str.strip, text.splitlines()) if re.search(r"\b[a-z]{2,} [a-z]{2,}\b", LITERAL.sub("", row))
    ]


class Marked(catalogues.NullTranslations):
    """A catalogue of a language in which each text is the English one in brackets."""

    def gettext(self, message: str) -> str:
        return f"\u27e6{message}\u27e7"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language._Reader, "language", "marked")  # noqa: SLF001  (no language that one can choose)
    monkeypatch.setattr(language._Reader, "catalogue", Marked())  # noqa: SLF001
