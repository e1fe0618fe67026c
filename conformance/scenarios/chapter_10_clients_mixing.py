"""Commands, replies and file content of concurrent clients do not mix."""

import random
from collections.abc import Sequence
from functools import partial

from conformance.client.client import Client, fetch
from conformance.failures import Failure
from conformance.fixtures.base import Fixture
from conformance.language import Message
from conformance.model.scenario import EXCLUSIVE, Chapter, Kind, ScenarioContext
from conformance.scenarios.chapter_10_clients import MIXED, together

chapter = Chapter()


@chapter.play(
    "clients.lines-by-turns",
    "HFTP-10.3",
    "Lines that several clients send in alternating pieces do not mix",
    needs=["concurrency"],
    causes=MIXED,
)
def lines_by_turns(context: ScenarioContext) -> None:
    """Let eight clients send lines of the same length, alternately one byte each."""
    unknown, missing = context.words.unknown, context.words.missing
    lines = {200: (unknown * 2)[:20], 201: b"get_slice a bbb cccc", 202: b"get_metadata " + missing[:7]}
    codes = [context.random.choice(list(lines)) for _ in range(8)]
    clients = [context.connect() for _ in codes]
    whole = [lines[code] + b"\r\n" for code in codes]
    for at in range(len(whole[0])):
        for client, line in zip(clients, whole, strict=True):
            client.send(line[at : at + 1])
            client.await_read()
    for client, code in zip(clients, codes, strict=True):
        client.status(code)
        client.finish()


def _fetch_some(client: Client, files: Sequence[Fixture], seed: int, number: int) -> None:
    """Fetch random slices of the files, and compare their content."""
    draw = random.Random(seed)  # noqa: S311  (not cryptographic)
    for _ in range(number):
        file = draw.choice(files)
        size = draw.randrange(1, min(file.size, 100_000) + 1)
        fetch(client, file.name, offset := draw.randrange(file.size - size + 1), size, file.content)
        if draw.random() < 0.2:  # noqa: PLR2004  (one time in five)
            client.send_line(b"get_slice %b %d %d" % (file.name, offset, file.size))
            client.status(*((0,) if not offset else (203,)))
            if not offset:
                client.slice(file.content, 0, file.size)
    client.finish()


@chapter.play(
    "clients.busy-slices",
    "HFTP-10.3",
    "Slices that eight clients fetch concurrently do not mix",
    needs=["concurrency", "medium", "binary"],
    isolation=EXCLUSIVE,
    timeouts=20.0,
    causes=MIXED,
)
def busy_slices(context: ScenarioContext) -> None:
    """Let each fetch random slices of two files, and compare every byte."""
    files = [context.fixture("medium"), context.fixture("binary")]
    works = [partial(_fetch_some, context.connect(), files, context.random.getrandbits(32), 25) for _ in range(8)]
    together(works)


@chapter.play(
    "clients.same-file",
    "HFTP-10.3",
    "Slices at different offsets that eight clients fetch concurrently from one file do not mix",
    needs=["concurrency", "large"],
    isolation=EXCLUSIVE,
    timeouts=30.0,
    causes=MIXED,
)
def same_file(context: ScenarioContext) -> None:
    """Let each fetch 1 MiB, or an eighth of the file if that is less, and compare every byte."""
    large = context.fixture("large")
    size = min(1 << 20, large.size // 8)

    def work(client: Client, offset: int) -> None:
        fetch(client, large.name, offset, size, large.content)
        client.finish()

    together([partial(work, context.connect(), number * size) for number in range(8)])


@chapter.play(
    "clients.busy-commands",
    "HFTP-10.3",
    "Four concurrent clients that pipeline 500 commands each get their own replies",
    needs=["concurrency", "text"],
    isolation=EXCLUSIVE,
    timeouts=20.0,
    causes=MIXED,
)
def busy_commands(context: ScenarioContext) -> None:
    """Let each pipeline four kinds of commands in random order, and check the order of the replies."""
    text = context.fixture("text")
    lines = {
        200: context.words.unknown,
        201: b"get_metadata",
        202: b"get_metadata " + context.words.missing,
        0: b"get_metadata " + text.name,
    }

    def work(client: Client, order: Sequence[int]) -> None:
        client.send(b"".join(lines[code] + b"\r\n" for code in order))
        for code in order:
            client.status(code)
            if code == 0 and (size := client.size()) != text.size:
                raise Failure(Kind.BODY, Message("the size {size}", size=text.size), str(size))
        client.finish()

    orders = [context.random.choices(list(lines), k=500) for _ in range(4)]
    together([partial(work, context.connect(), order) for order in orders])
