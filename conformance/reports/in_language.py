"""Say the texts of events in the reader's language; every report but NDJSON is made of such events."""

from typing import Final, TypeVar

from msgspec.structs import replace

from conformance.diagnosis.causes_reader import with_comments
from conformance.language import ENGLISH, Message, gettext, language, ngettext, plain, translated
from conformance.model.events import DiagnosedCause, Diagnosis, Event, Result, RunEnd, RunStart

VERDICTS: Final = (
    Message("pass"),
    Message("fail"),
    Message("warn"),
    Message("info"),
    Message("unsupported"),
    Message("blocked"),
    Message("incomplete"),
    Message("error"),
    Message("flaky"),
    Message("known"),
)
"""The verdicts, which are looked up by their values."""


def verdict_name(verdict: str) -> str:
    """Return what a verdict, the standing of a requirement or a severity is called."""
    return gettext(verdict)


_Event = TypeVar("_Event", bound=Event)


def counted_verdict(verdict: str, count: int) -> str:
    """Return how many scenarios have a verdict."""
    text = f"{{count}} {plain(verdict)}"
    return ngettext(text, text, count)


def in_language(event: _Event) -> _Event:
    """Return an event with its texts in the reader's language, except what is an id or comes from the server."""
    if language() == ENGLISH:
        return event
    return replace(event, **_texts(event))


def _texts(event: Event) -> dict[str, object]:
    """Return the fields of an event that are said in the reader's language."""
    if isinstance(event, RunStart):
        return {
            "dialect_basis": translated(event.dialect_basis),
            "deviations": list(map(translated, event.deviations)),
        }
    if isinstance(event, Result):
        return {
            "title": gettext(event.title),
            "text": gettext(event.text),
            "expected": translated(event.expected),
            "got": translated(event.got),
            "sent": translated(event.sent),
            "cause": translated(event.cause) if isinstance(event.cause, Message) else gettext(event.cause),
            "transcript": [replace(entry, note=translated(entry.note)) for entry in event.transcript],
            "output_note": translated(event.output_note),
        }
    if isinstance(event, Diagnosis):
        return {"causes": list(map(_cause, event.causes))}
    return {"problems": list(map(translated, event.problems))} if isinstance(event, RunEnd) else {}


def _cause(cause: DiagnosedCause) -> DiagnosedCause:
    return replace(
        cause,
        title=gettext(cause.title),
        why=gettext(cause.why),
        fix=gettext(cause.fix),
        code={name: with_comments(code, gettext) for name, code in cause.code.items()},
    )
