"""Collect what the suite says, and renew its translations: `python -m tests.conformance.translations`.

Texts in the code are found by Babel; those in data (requirements, causes, titles, help) where the suite itself reads
them. A catalogue keeps its translations; what is new is left empty, and tests fail until it is translated.
"""

import argparse
import inspect
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import click
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from conformance.classroom.page_words import PLURALS
from conformance.cli import commands
from conformance.cli_language import CLICK, PLACEHOLDERS, paragraphs
from conformance.diagnosis.causes_reader import SEVERITIES, comments, root_causes
from conformance.language import DIRECTORY, DOMAIN, ENGLISH, LANGUAGES, plain
from conformance.option_table import RUN_OPTIONS
from conformance.reports.in_language import VERDICTS
from conformance.scenarios import catalogue
from conformance.spec.glossary import glossary
from conformance.spec.reader import specification

ROOT: Final = Path(__file__).parents[2]
_KEYWORDS: Final = {"Message": None, "gettext": None, "ngettext": (1, 2), "_": None}
_METHODS: Final = [("**.py", "python"), ("**.jinja", "jinja2.ext:babel_extract")]
_HEADER: Final = "# {} translation of the messages of conformance.\n# Renew it with `make translations`."
_NAMES: Final = {"es": "Spanish"}
_WIDTH: Final = 120
_PLURALS: Final = "nplurals=2; plural=(n != 1);"
"""Not as in CLDR, which has a form of its own for millions in Spanish."""


class Text(NamedTuple):
    """Something that the suite says."""

    where: str
    """The file that it comes from, and what it is there."""
    singular: str
    plural: str = ""


def texts() -> Iterator[Text]:
    """Yield all that the suite says; the same text may come more than once."""
    yield from _in_code()
    for chapter in specification().chapters:
        yield Text("spec/spec.toml: the title of a chapter", chapter.title)
    for row in specification():
        yield Text(f"spec/spec.toml: {row.id}", row.text)
        yield Text(f"spec/spec.toml: why {row.id} is not tested", row.untestable)
    for word in glossary():
        yield Text(f"spec/glossary.toml: {word.name}", word.name)
        yield Text(f"spec/glossary.toml: {word.name}", word.text)
    yield from _causes()
    for verdict in VERDICTS:
        number = f"{{count}} {plain(verdict)}"
        yield Text("reports/in_language.py: how many have a verdict", number, number)
    yield from _scenarios()
    yield from _help(commands)
    for option in RUN_OPTIONS:
        yield Text("option_table.py: help", option.help)
    for one, more in PLURALS:
        yield Text("classroom/page_words.py", one, more)
    for text in CLICK:
        yield Text("cli_language.py: what click says", *((text,) if isinstance(text, str) else text))


def _causes() -> Iterator[Text]:
    for severity in SEVERITIES:
        yield Text("diagnosis/root_causes.py: a severity", severity)
    for cause in root_causes().values():
        for name in ("title", "why", "fix"):
            yield Text(f"diagnosis/causes.toml: {cause.id}, {name}", getattr(cause, name))
        for code in cause.code.values():
            for comment in comments(code):
                yield Text(f"diagnosis/causes.toml: {cause.id}, a comment in code", comment)


def _in_code() -> Iterator[Text]:
    found = extract_from_dir(str(ROOT / "conformance"), _METHODS, keywords=_KEYWORDS)
    for file, _line, text, _comments, _context in sorted(found, key=lambda row: (row[0], row[1])):
        if isinstance(text, tuple):
            yield Text(file, text[0], text[1])
        else:
            yield Text(file, text)


def _scenarios() -> Iterator[Text]:
    for scenario in catalogue():
        yield Text(f"scenarios: {scenario.id}", scenario.title)
        if scenario.transcript is None:
            yield Text(f"scenarios: what {scenario.id} does", inspect.cleandoc(scenario.play.__doc__ or ""))
        for _kind, cause in scenario.causes.rows():
            yield Text(f"scenarios: a cause of {scenario.id}", cause.text)
            for condition in cause.conditions:
                yield Text(
                    f"scenarios: a condition of a cause of {scenario.id}", getattr(condition, "template", condition)
                )


def children_of(command: click.Command) -> Iterator[click.Command]:
    """Yield the commands of a command, also those that are imported on first use."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            if (child := command.get_command(context, name)) is not None:
                yield child


def _help(command: click.Command) -> Iterator[Text]:
    where = f"cli.py: help of {command.name}"
    yield from (Text(where, paragraph) for paragraph in paragraphs(command.help or ""))
    for parameter in command.params:
        yield Text(where, getattr(parameter, "help", None) or "")
        yield Text(f"{where}: a placeholder", parameter.metavar or "")
        default = getattr(parameter, "show_default", None)
        yield Text(f"{where}: a default", default if isinstance(default, str) else "")
    for name in PLACEHOLDERS:
        yield Text(f"{where}: a placeholder", getattr(command, name, None) or "")
    for child in children_of(command):
        yield from _help(child)


def path_of(language: str) -> Path:
    """Return the catalogue of a language."""
    return DIRECTORY / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def read(language: str) -> Catalog:
    """Return the catalogue of a language; an empty one, if there is none yet."""
    path = path_of(language)
    if not path.is_file():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def renewed(language: str) -> Catalog:
    """Return the catalogue of a language with all texts, and no others."""
    old = read(language)
    new = Catalog(
        locale=language,
        domain=DOMAIN,
        project=DOMAIN,
        header_comment=_HEADER.format(_NAMES[language]),
        creation_date=old.creation_date,
        revision_date=old.revision_date,
        fuzzy=False,
    )
    new.mime_headers = [("Plural-Forms", _PLURALS)]
    for where, singular, plural in texts():
        if not singular.strip() or singular in new:
            continue
        before = old.get(singular)
        new.add(
            (singular, plural) if plural else singular,
            _kept(before.string if before is not None else "", 2 if plural else 1),
            user_comments=[where],
            flags={"python-brace-format"} & set(before.flags if before is not None else ()),
        )
    return new


def _kept(string: object, forms: int) -> str | tuple[str, ...]:
    """Return the translation of a text as it was, in so many forms."""
    found = strings(string)[:forms]
    return found + ("",) * (forms - len(found)) if forms > 1 else found[0]


def main() -> None:
    """Renew all catalogues, compile them, and say what is left to translate."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    left = 0
    for language in LANGUAGES:
        if language == ENGLISH:
            continue
        path, found = path_of(language), renewed(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            write_po(file, found, width=_WIDTH, omit_header=False)
        compile_catalogue(language)
        empty = [str(message.id) for message in found if message.id and not all(strings(message.string))]
        left += len(empty)
        print(f"{path.relative_to(ROOT)}: {len(found)} texts, {len(empty)} to translate")  # noqa: T201
    sys.exit(bool(left))


def compile_catalogue(language: str) -> None:
    """Write the file that the suite reads, at once, for tests of several environments may run."""
    path = path_of(language)
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(compiled(language))
    unfinished.replace(path.with_suffix(".mo"))


def compiled(language: str) -> bytes:
    """Return what a catalogue is compiled to."""
    file = io.BytesIO()
    write_mo(file, read(language))
    return file.getvalue()


def strings(found: object) -> tuple[str, ...]:
    """Return the forms of a translation."""
    return tuple(map(str, found)) if isinstance(found, tuple | list) else (str(found),)


if __name__ == "__main__":
    main()
