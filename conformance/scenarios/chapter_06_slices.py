"""get_slice: the right bytes, empty slices, and slices past the end, in the form of the dialect."""

from conformance.client.client import Client, fetch
from conformance.diagnosis import slices as causes
from conformance.diagnosis.numbers import FAR_PAST_END, LAST, PAST_END
from conformance.fixtures.base import Fixture
from conformance.fixtures.content import InMemory
from conformance.model.scenario import Chapter, Kind, ScenarioContext

chapter = Chapter()


# --- Whole files -------------------------------------------------------------------------------------

for _key, _what, _told in (
    ("text", "A text file that ends in CR LF", causes.BYTES),
    ("one", "A file of one byte", causes.BYTES),
    ("binary", "A file full of CR, LF and NUL", causes.BINARY),
    ("bytes", "A file with all 256 bytes", causes.BINARY),
    ("long-name", "A file with a name of 255 bytes", causes.BYTES),
    ("names", "A file with every kind of character in its name", causes.BYTES),
    ("no-extension", "A file without an extension", causes.BYTES),
    ("medium", "A file of some 300,000 bytes", causes.BYTES),
):
    chapter.transcript(
        f"slices.whole-{_key}",
        "HFTP-6.2",
        f"{_what} is sent completely in one slice",
        f"""
        C: get_slice {{{_key}}} 0 {{{_key}.size}}
        S: 0 *
        S: <slice {_key} 0 {{{_key}.size}}>
        <in step>
        """,
        causes=_told,
    )

# --- Parts -------------------------------------------------------------------------------------------


def check_parts(client: Client, file: Fixture, *parts: tuple[int, int]) -> None:
    """Request parts (OFFSET, SIZE) one after the other, and quit."""
    for offset, size in parts:
        fetch(client, file.name, offset, size, file.content)
    client.finish()


@chapter.play("slices.first-bytes", "HFTP-6.2", "Slices of the first 0, 1, 2 ... bytes are correct", needs=["text"])
def first_bytes(context: ScenarioContext) -> None:
    """Request the first 0, 1, 2 ... bytes."""
    file = context.fixture("text")
    check_parts(context.connect(), file, *((0, size) for size in range(min(file.size, 24) + 1)))


@chapter.play("slices.each-byte", "HFTP-6.2", "A file can be fetched byte by byte", needs=["text"], causes=causes.BYTES)
def each_byte(context: ScenarioContext) -> None:
    """Request each byte separately."""
    file = context.fixture("text")
    check_parts(context.connect(), file, *((offset, 1) for offset in range(min(file.size, 50))))


@chapter.play(
    "slices.backwards",
    "HFTP-6.2",
    "A file can be fetched from the end to the start",
    needs=["text"],
    causes=causes.BYTES,
)
def backwards(context: ScenarioContext) -> None:
    """Request the last byte first: a slice must not depend on where the previous one ended."""
    file = context.fixture("text")
    check_parts(context.connect(), file, *((offset, 1) for offset in reversed(range(min(file.size, 20)))))


@chapter.play(
    "slices.random",
    "HFTP-6.2",
    "Random slices of a file of some 300,000 bytes are correct",
    needs=["medium"],
    causes=causes.BYTES,
)
def random_slices(context: ScenarioContext) -> None:
    """Request 24 slices of random offset and size."""
    file = context.fixture("medium")
    parts = []
    for _ in range(24):
        offset = context.random.randrange(file.size)
        parts.append((offset, context.random.randrange(min(20_000, file.size - offset) + 1)))
    check_parts(context.connect(), file, *parts)


@chapter.play("slices.overlapping", "HFTP-6.2", "Overlapping slices are correct", needs=["medium"], causes=causes.BYTES)
def overlapping(context: ScenarioContext) -> None:
    """Request slices that share half of their bytes, and one of them twice more."""
    file = context.fixture("medium")
    parts = [(offset, 10_000) for offset in range(0, 75_000, 5_000)]
    check_parts(context.connect(), file, *parts, parts[0], parts[0])


@chapter.play(
    "slices.adjacent", "HFTP-6.2", "Adjacent slices make up the whole file", needs=["medium"], causes=causes.BYTES
)
def adjacent(context: ScenarioContext) -> None:
    """Fetch a file in pieces of 15,013 bytes, a prime number; the last one is shorter."""
    file = context.fixture("medium")
    check_parts(context.connect(), file, *((at, min(15_013, file.size - at)) for at in range(0, file.size, 15_013)))


@chapter.play(
    "slices.two-files",
    "HFTP-6.2",
    "Alternating slices of two files do not mix",
    needs=["text", "binary"],
    causes=causes.BYTES,
)
def two_files(context: ScenarioContext) -> None:
    """Request parts of two files alternately on one connection."""
    client = context.connect()
    for offset in range(10):
        for key in ("text", "binary"):
            file = context.fixture(key)
            fetch(client, file.name, offset, 3, file.content)
    client.finish()


@chapter.play(
    "slices.line-ends", "HFTP-6.2", "CR, LF and NUL are sent unchanged", needs=["binary"], causes=causes.BINARY
)
def line_ends(context: ScenarioContext) -> None:
    """Request the first bytes one, two and three at a time."""
    file = context.fixture("binary")
    check_parts(context.connect(), file, *((offset, size) for size in (1, 2, 3) for offset in range(10)))


for _border in (256, 512, 1024, 1460, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072, 262_144):

    @chapter.play(
        f"slices.border-{_border}",
        "HFTP-6.2",
        f"Slices just below, at and above {_border:,} bytes are correct",
        needs=["medium"],
        causes=causes.OF_SIZE,
    )
    def border(context: ScenarioContext, border: int = _border) -> None:
        """Request sizes around a common buffer size, and bytes around that offset."""
        file = context.fixture("medium")
        sizes = [(0, border - 1), (0, border), (0, border + 1), (1, border)]
        check_parts(context.connect(), file, *sizes, (border - 1, 2), (border, 1), (border, border // 8))


@chapter.play(
    "slices.consistent",
    "HFTP-6.2",
    "Slices of a file agree with each other, whatever its content",
    needs=["large"],
    causes=causes.BYTES,
)
def consistent(context: ScenarioContext) -> None:
    """Fetch the beginning of a file in one slice, and compare smaller slices with it."""
    file = context.fixture("large")
    size = min(file.size, 50_000)
    client = context.connect()
    whole = InMemory(fetch(client, file.name, 0, size, file.content).data)
    for _ in range(20):
        offset = context.random.randrange(size)
        fetch(client, file.name, offset, context.random.randrange(size - offset + 1), whole)
    client.finish()


# --- Ends and empty slices ---------------------------------------------------------------------------

for _slug, _key, _offset, _what in (
    ("last-byte", "text", "{text.size-1} 1", "The last byte of a file"),
    ("last-two", "text", "{text.size-2} 2", "The last two bytes of a file"),
    ("all-but-first", "text", "1 {text.size-1}", "All but the first byte"),
    ("only-byte", "one", "0 1", "The only byte of a file"),
    ("last-of-medium", "medium", "{medium.size-1} 1", "The last byte of a file of some 300,000 bytes"),
    ("last-of-large", "large", "{large.size-1} 1", "The last byte of a large file"),
):
    chapter.transcript(
        f"slices.{_slug}",
        "HFTP-6.5",
        f"{_what} can be fetched",
        f"""
        C: get_slice {{{_key}}} {_offset}
        S: 0 *
        S: <slice {_key} {_offset}>
        <in step>
        """,
        causes=causes.BYTES | {Kind.STATUS: LAST},
    )

for _slug, _key, _offset, _what in (
    ("empty", "text", "0", "An empty slice at the beginning"),
    ("empty-inside", "text", "1", "An empty slice in the middle"),
    ("empty-at-end", "text", "{text.size}", "An empty slice at OFFSET = file size"),
    ("empty-of-one", "one", "1", "An empty slice after the only byte"),
    ("empty-file", "empty", "0", "The only slice of an empty file"),
):
    chapter.transcript(
        f"slices.{_slug}",
        "HFTP-6.3",
        f"{_what} is valid",
        f"""
        C: get_slice {{{_key}}} {_offset} 0
        S: 0 *
        S: <slice {_key} {_offset} 0>
        <in step>
        """,
        causes=causes.EMPTY,
    )

chapter.transcript(
    "slices.empty-pipelined",
    "HFTP-6.3",
    "Empty slices among other commands keep the replies in step",
    """
    C: get_slice {text} 0 0
    C: get_slice {text} 0 2
    C: get_slice {text} {text.size} 0
    C: get_metadata {text}
    S: 0 *
    S: <slice text 0 0>
    S: 0 *
    S: <slice text 0 2>
    S: 0 *
    S: <slice text {text.size} 0>
    S: 0 *
    S: {text.size}
    <in step>
    """,
    causes=causes.EMPTY,
)

for _slug, _line, _what in (
    ("past-end-by-offset", "{text} {text.size} 1", "One byte after the last"),
    ("past-end-by-size", "{text} 0 {text.size+1}", "One byte more than the file has"),
    ("past-end-by-one", "{text} 1 {text.size}", "A slice that ends one byte past the end"),
    ("past-end-by-two", "{text} {text.size-1} 2", "The last byte plus one more"),
    ("past-end-empty", "{text} {text.size+1} 0", "An empty slice one byte past the end"),
    ("past-end-far", "{text} 1000000000 1", "OFFSET far past the end"),
    ("past-end-far-empty", "{text} 1000000000 0", "An empty slice far past the end"),
    ("past-end-much", "{text} 0 1000000000", "SIZE far past the end"),
    ("past-end-both", "{text} 1000000000 1000000000", "A slice with OFFSET and SIZE far past the end"),
    ("past-end-of-medium", "{medium} {medium.size-1} 2", "One byte past the end of a file of some 300,000 bytes"),
    ("past-end-of-large", "{large} {large.size//2} {large.size}", "SIZE larger than the second half of a large file"),
    ("past-end-of-one", "{one} 1 1", "The second byte of a file of one byte"),
    ("past-end-of-empty", "{empty} 0 1", "A byte of an empty file"),
    ("past-end-of-empty-by-offset", "{empty} 1 0", "An empty slice past the end of an empty file"),
):
    chapter.transcript(
        f"slices.{_slug}",
        "HFTP-6.4",
        f"{_what} is answered with 203",
        f"""
        C: get_slice {_line}
        S: 203 *
        <in step>
        """,
        causes=FAR_PAST_END if "100000000" in _line else PAST_END,
    )
