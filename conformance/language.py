"""Say what the suite says in the language of its reader.

The suite thinks, compares and records in English. What it says is a `Message`: English text that knows the template and
the values that it was made from. Reports translate it with `translated`, at the last moment; texts of their own pass
`gettext` and `ngettext`. A language is a catalogue in `locale`, a file of GNU gettext.
"""

import gettext as catalogues
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

ENGLISH: Final = "en"
LANGUAGES: Final = (ENGLISH, "es")
DOMAIN: Final = "conformance"
DIRECTORY: Final = Path(__file__).with_name("locale")
OPTION: Final = "--lang"

_VARIABLES: Final = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
"""Where the locale stands, in the order of gettext; the first that is set decides."""
_VALUE: Final = re.compile(r"\{(\w+)\}")
_NESTED: Final = 8
"""How deeply the messages of a recorded run may be nested: as much as the suite does, twice."""

Recorded = list[object]
"""A message as JSON: the template, and the values by name; a value is text, a number, or a message."""


class Message(str):
    """English text that can be said in another language.

    `{name}` in the template stands for the value of that name: a text, which stays as it is (what a server sent, a
    name), a number, or another message. A float has one decimal.
    """

    __slots__ = ("template", "values")

    template: str
    values: Mapping[str, str | float]

    def __new__(cls, template: str, /, **values: object) -> "Message":  # noqa: PYI034  (typing has Self from 3.11 on)
        """Fill in the values."""
        known = {name: value if isinstance(value, str | int | float) else str(value) for name, value in values.items()}
        self = super().__new__(cls, _filled(template, {name: _english(value) for name, value in known.items()}))
        self.template = template
        self.values = known
        return self

    def __str__(self) -> "Message":
        """Return itself: `str` of an exception is then the message that it was raised with."""
        return self

    def recorded(self) -> Recorded:
        """Return it as JSON."""
        values = {
            name: value.recorded()
            if isinstance(value, Message)
            else value
            if isinstance(value, int | float)
            else plain(value)
            for name, value in self.values.items()
        }
        return [self.template, values] if values else [self.template]


def joined(separator: str, parts: Iterable[str]) -> str:
    """Join texts and messages; the separator may be a message, too."""
    values = {str(number): part for number, part in enumerate(parts)}
    if len(values) < 2:  # noqa: PLR2004  (two are joined)
        return values.get("0", "")
    between = {} if type(separator) is str else {"between": separator}
    template = ("{between}" if between else separator).join(f"{{{name}}}" for name in values)
    return Message(template, **values, **between)


def either(parts: Iterable[str]) -> str:
    """Join texts and messages of which one is meant."""
    return joined(Message(" or "), parts)


def both(parts: Sequence[str]) -> str:
    """Join texts and messages that are all meant."""
    if len(parts) < 2:  # noqa: PLR2004  (two are joined)
        return joined("", parts)
    return Message("{first} and {last}", first=joined(", ", parts[:-1]), last=parts[-1])


def cleaned(message: Message, clean: Callable[[str], str]) -> Message:
    """Return a message with its texts changed by a function."""
    values = {
        name: cleaned(value, clean) if isinstance(value, Message) else clean(value) if isinstance(value, str) else value
        for name, value in message.values.items()
    }
    return Message(message.template, **values)


def from_record(text: str, recorded: object) -> str:
    """Return the message that a recorded run has for a text, or the text, if that is not what the message says."""
    found = _message(recorded, 0)
    return found if found == text else text


def _message(recorded: object, depth: int) -> Message | None:
    """Return a message from JSON; None if it is not one."""
    if not (isinstance(recorded, list) and recorded and isinstance(recorded[0], str)) or depth > _NESTED:
        return None
    values: dict[str, object] = {}
    for name, value in recorded[1].items() if len(recorded) > 1 and isinstance(recorded[1], dict) else ():
        found = _message(value, depth + 1) if isinstance(value, list) else value
        if not isinstance(found, str | int | float):
            return None
        values[name] = found
    return Message(recorded[0], **values)


def plain(text: str) -> str:
    """Return a text as exactly `str`, without what a message knows."""
    return str.__str__(text)


def _filled(template: str, values: Mapping[str, str]) -> str:
    """Replace the names that have a value; others, such as {port} in a command, stay."""
    return _VALUE.sub(lambda found: values.get(found[1], found[0]), template)


def _english(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


# --- The reader's language ---------------------------------------------------------------------------


class _Reader:
    """The language of this process, and its catalogue."""

    language: str = ENGLISH
    catalogue: catalogues.NullTranslations = catalogues.NullTranslations()


def use(language: str) -> None:
    """Say everything in one of LANGUAGES from now on."""
    _Reader.language = language
    _Reader.catalogue = (
        catalogues.NullTranslations()
        if language == ENGLISH
        else catalogues.translation(DOMAIN, str(DIRECTORY), [language], fallback=True)  # a source tree has none yet
    )


def language() -> str:
    """Return the language in use."""
    return _Reader.language


def chosen(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the language that --lang names, or else that of the locale; English, if the suite does not speak it."""
    words = list(arguments)
    words = words[: words.index("--")] if "--" in words else words
    for word, following in pairwise([*words, ""]):
        name, equals, value = word.partition("=")
        if name == OPTION and (value if equals else following) in LANGUAGES:
            return value if equals else following
    return of_locale(environment)


def of_locale(environment: Mapping[str, str]) -> str:
    """Return the language of the locale, as gettext finds it; English, if the suite does not speak it."""
    wanted = next((value for name in _VARIABLES if (value := environment.get(name))), "")
    for name in wanted.split(":"):
        found = re.split(r"[_.@]", name, maxsplit=1)[0].lower()
        if found in LANGUAGES:
            return found
    return ENGLISH


def translated(text: str) -> str:
    """Return a message in the reader's language; other texts, such as what a server sent, stay as they are."""
    if not isinstance(text, Message):
        return text
    values = {name: _local(value) for name, value in text.values.items()}
    return _filled(_looked_up(text.template), values)


def gettext(template: str, /, **values: object) -> str:
    """Return a text in the reader's language, with the values filled in."""
    return translated(Message(template, **values))


def ngettext(singular: str, plural: str, count: int, /, **values: object) -> str:
    """Return a text in the reader's language, in the form for a number, which is the value `count`."""
    found = _Reader.catalogue.ngettext(singular, plural, count)
    return _filled(found, {name: _local(value) for name, value in {"count": count, **values}.items()})


def _looked_up(text: str) -> str:
    return _Reader.catalogue.gettext(text) if text else text  # the entry of the empty text is the catalogue's header


def _local(value: object) -> str:
    """Return a value as the reader writes it: a decimal comma in Spanish."""
    if isinstance(value, Message):
        return translated(value)
    if isinstance(value, float) and _Reader.language != ENGLISH:
        return _english(value).replace(".", ",")
    return _english(value)
