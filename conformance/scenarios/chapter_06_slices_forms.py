"""get_slice in each form: base64, raw, plain bytes, fragments."""

from typing import Final

from conformance.client.client import fetch
from conformance.diagnosis import slices as causes
from conformance.language import Message
from conformance.model.likely_causes import CauseSpec
from conformance.model.scenario import EXCLUSIVE, Chapter, Kind, ScenarioContext
from conformance.scenarios.chapter_06_slices import check_parts

chapter = Chapter()

# --- Forms: base64 -----------------------------------------------------------------------------------


@chapter.play(
    "slices.padding",
    "HFTP-6.1",
    "Slices of every length modulo 3 have the right base64 padding",
    needs=["text"],
    causes=causes.BASE64,
)
def padding(context: ScenarioContext) -> None:
    """Request the first 1 to 12 bytes, or fewer if the file is shorter."""
    file = context.fixture("text")
    check_parts(context.connect(), file, *((0, size) for size in range(1, min(file.size, 12) + 1)))


@chapter.play(
    "slices.alphabet",
    "HFTP-6.1",
    "Base64 uses the standard alphabet, with + and /",
    needs=["bytes"],
    causes=causes.BASE64,
)
def alphabet(context: ScenarioContext) -> None:
    """Request all 256 bytes from three offsets, so that each three adjacent bytes are encoded together once."""
    file = context.fixture("bytes")
    check_parts(context.connect(), file, *((offset, file.size - offset) for offset in range(3)))


@chapter.play(
    "slices.no-padding-inside",
    "HFTP-6.1",
    "A long slice has base64 padding only at the end of a line",
    needs=["medium"],
    causes=causes.BASE64,
)
def no_padding_inside(context: ScenarioContext) -> None:
    """Request slices whose sizes are not multiples of common chunk sizes."""
    file = context.fixture("medium")
    check_parts(context.connect(), file, (0, file.size), (1, file.size - 2), (2, 100_000), (3, 65_537))


chapter.transcript(
    "slices.base64-ends",
    "HFTP-6.1",
    "A base64 slice ends in exactly one CR LF",
    """
    C: get_slice {text} 0 1
    S: 0 *
    S: <slice text 0 1>
    C: get_slice {text} 0 {text.size}
    S: 0 *
    S: <slice text 0 {text.size}>
    C: quit
    S: 0 *
    <close>
    """,
    causes=causes.BASE64,
)


@chapter.play("slices.wrapping", "HFTP-6.6", "Whether a base64 slice is sent on one line", needs=["medium"])
def wrapping(context: ScenarioContext) -> None:
    """Request a whole file, and count the lines."""
    file = context.fixture("medium")
    lines = fetch(context.connect(), file.name, 0, file.size, file.content).lines
    if lines == 1:
        context.observe(Message("{size} bytes are sent on 1 line", size=file.size))
    else:
        context.observe(Message("{size} bytes are sent on {lines} lines", size=file.size, lines=lines))


for _key, _what in (("bytes", "longer than 76 characters"), ("medium", "of any length")):
    chapter.transcript(
        f"slices.one-line-{_key}",
        "HFTP-6.7",
        f"A base64 slice {_what} is sent on one line",
        f"""
        C: get_slice {{{_key}}} 0 {{{_key}.size}}
        S: 0 *
        S: <slice {_key} 0 {{{_key}.size}}>
        <in step>
        """,
        causes=causes.ONE_LINE,
    )

# --- Forms: raw, plain, fragments --------------------------------------------------------------------

_WHOLE: Final = (
    ("text", "0 {text.size}", "a whole text file"),
    ("text", "1 1", "one byte"),
    ("text", "0 0", "an empty slice"),
    ("empty", "0 0", "an empty file"),
    ("binary", "0 {binary.size}", "CR, LF and NUL"),
    ("bytes", "0 {bytes.size}", "all 256 bytes"),
    ("medium", "0 {medium.size}", "some 300,000 bytes"),
)


def _add_form(slug: str, requirement: str, name: str, fourth: str, likely: dict[Kind, CauseSpec]) -> None:
    """Add a scenario for each kind of slice; `fourth` is the fourth argument with a leading space."""
    for key, range_, what in _WHOLE:
        suffix = {"1 1": "-one-byte", "0 0": "-empty-slice" if key != "empty" else ""}.get(range_, "")
        chapter.transcript(
            f"slices.{slug}-{key}{suffix}",
            requirement,
            f"{name}: {what}, followed directly by the next reply",
            f"""
            C: get_slice {{{key}}} {range_}{fourth}
            S: 0 *
            S: <slice {key} {range_}{fourth}>
            <in step>
            """,
            causes=likely,
        )
    chapter.transcript(
        f"slices.{slug}-pipelined",
        requirement,
        f"{name}: pipelined slices with an error among them",
        f"""
        C: get_slice {{text}} 0 {{text.size}}{fourth}
        C: get_slice {{text}} {{text.size}} 1{fourth}
        C: get_slice {{text}} 0 0{fourth}
        C: get_slice {{text}} 1 1{fourth}
        S: 0 *
        S: <slice text 0 {{text.size}}{fourth}>
        S: 203 *
        S: 0 *
        S: <slice text 0 0{fourth}>
        S: 0 *
        S: <slice text 1 1{fourth}>
        <in step>
        """,
        causes=likely,
    )


_add_form("raw", "HFTP-6.8", "A raw slice", " raw", causes.RAW)
_add_form("plain", "HFTP-6.10", "A slice as plain bytes", "", causes.PLAIN)
_add_form("fragments", "HFTP-6.11", "A slice in fragments", "", causes.FRAGMENTS)

for _slug, _line, _code in (
    ("missing", "{missing} 0 1", "202"),
    ("past-end", "{text} {text.size} 1", "203"),
    ("number", "{text} 0 x", "201"),
):
    chapter.transcript(
        f"slices.raw-{_slug}",
        "HFTP-6.8",
        f"A raw slice that fails is answered with {_code}, without Content-Length",
        f"""
        C: get_slice {_line} raw
        S: {_code} *
        <in step>
        """,
        causes=causes.RAW,
    )

for _slug, _fourth in (
    ("capitals", "RAW"),
    ("capital", "Raw"),
    ("longer", "raws"),
    ("shorter", "ra"),
    ("base64", "base64"),
    ("number", "1"),
    ("zero", "0"),
    ("quotation-marks", '"raw"'),
    ("raw-and-more", "raw 1"),
    ("raw-twice", "raw raw"),
    ("more-and-raw", "1 raw"),
):
    chapter.transcript(
        f"slices.fourth-{_slug}",
        "HFTP-6.9",
        f"get_slice with {_fourth} after SIZE is answered with 201",
        f"""
        C: get_slice {{text}} 0 1 {_fourth}
        S: 201 *
        <in step>
        """,
        causes=causes.FOURTH,
    )


@chapter.play(
    "slices.raw-large",
    "HFTP-6.8",
    "A raw slice of a large file arrives complete",
    needs=["large"],
    isolation=EXCLUSIVE,
    timeouts=60.0,
    causes=causes.LARGE | causes.RAW,
)
def raw_large(context: ScenarioContext) -> None:
    """Fetch the whole file in one raw slice."""
    file = context.fixture("large")
    client = context.connect()
    client.send_line(b"get_slice %b 0 %d raw" % (file.name, file.size))
    client.status(0)
    client.slice(file.content, 0, file.size, form="raw")
    client.finish()
