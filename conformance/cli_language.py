"""Let click say its help and its errors in the reader's language, and give every command the option --lang."""

import contextlib
import gettext
import inspect
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from conformance import language
from conformance.language import DIRECTORY, DOMAIN, LANGUAGES

_VARIABLE: Final = "LANGUAGE"
"""Where click, by way of gettext, finds the language."""
CLICK: Final[tuple[str | tuple[str, str], ...]] = (
    ("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)"),
    ("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})"),
    ("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments."),
    ("{value!r} is not {choice}.", "{value!r} is not one of {choices}."),
    "Commands",
    "Invalid value for {param_hint}: {message}",
    "Invalid value: {message}",
    "Missing argument",
    "Missing command.",
    "Missing option",
    "No such command {name!r}.",
    "No such option {name!r}.",
    "No such option: {name}",
    "Option {name!r} does not take a value.",
    "Options",
    "Positional arguments",
    "Show this message and exit.",
    "Show the version and exit.",
    "Usage:",
    "default: {default}",
    "file",
    "{name} {filename!r} does not exist.",
    "{name} {filename!r} is a directory.",
    "{name} {filename!r} is not readable.",
    "{value!r} is not a valid {number_type}.",
    "{value} is not in the range {range}.",
)
"""The texts of click, of all its versions, that the command line may show; pairs are a singular and a plural."""


class _Environment:
    """The variable as the user has set it, while click has its own; None if it was not set."""

    before: str | None = None


def _set(value: str | None) -> None:
    if value is None:
        os.environ.pop(_VARIABLE, None)
    else:
        os.environ[_VARIABLE] = value


@contextlib.contextmanager
def spoken(commands: click.Command, arguments: Sequence[str]) -> Iterator[None]:
    """Say everything in the language that a command line and the environment ask for, while the context lasts."""
    language.use(language.chosen(arguments, os.environ))
    gettext.bindtextdomain(DOMAIN, str(DIRECTORY))
    gettext.textdomain(DOMAIN)
    translate(commands)
    _Environment.before = os.environ.get(_VARIABLE)
    _set(language.language())
    try:
        yield
    finally:
        _set(_Environment.before)


def translate(command: click.Command) -> None:
    """Say the help of a command, and of those in it, in the reader's language."""
    for owner in (command, *command.params):
        english = _ENGLISH.setdefault(id(owner), {name: getattr(owner, name, None) for name in _SAID})
        for name, text in english.items():
            if isinstance(text, str) and text:
                setattr(owner, name, "\n\n".join(map(language.gettext, paragraphs(text))))
    for child in getattr(command, "commands", {}).values():
        translate(child)


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a help text, each in one line."""
    return [" ".join(lines.split()) for lines in re.split(r"\n\s*\n", inspect.cleandoc(text))]


PLACEHOLDERS: Final = ("metavar", "options_metavar", "subcommand_metavar")
_SAID: Final = ("help", *PLACEHOLDERS, "show_default")
"""The texts of commands and options, by attribute."""
_ENGLISH: Final[dict[int, Mapping[str, object]]] = {}
"""The texts of commands and options before they were translated, by identity."""


class _Speaking(click.Command):
    """A command with --lang."""

    def __init__(self, *arguments: Any, **more: Any) -> None:  # noqa: ANN401  (as in click)
        option = click.Option(
            [language.OPTION],
            type=click.Choice(LANGUAGES),
            expose_value=False,
            help="Speak this language; by default, that of the locale.",
        )
        more["params"] = [*(more.get("params") or []), option]
        super().__init__(*arguments, **more)


class Command(_Speaking):
    """A command without commands of its own."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  (as in click)
        """Run the command in the environment that the user has set, which is that of the server that it starts."""
        ours = os.environ.get(_VARIABLE)
        _set(_Environment.before)
        try:
            return super().invoke(ctx)
        finally:
            _set(ours)


class Group(_Speaking, click.Group):
    """A command with commands of its own."""

    command_class = Command
    group_class = type  # those in it are of the same class
