"""A conversation: what clients send, in which pieces, and what else happens meanwhile. Data, which is saved as JSON."""

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Final

import msgspec

from conformance.failures import UsageError
from conformance.language import Message

MOST_LINES: Final = 5000
MOST_FILES: Final = 1100
MOST_CLIENTS: Final = 64
MOST_SECONDS: Final = 10.0
_PAD_BYTES: Final = 200
"""The longest line that fills up a piece."""
_LINE_END: Final = b"\r\n"
_NUMBER: Final = "{#}"

_Client = Annotated[int, msgspec.Meta(ge=0, lt=MOST_CLIENTS)]
_Count = Annotated[int, msgspec.Meta(ge=0)]


class Send(msgspec.Struct, frozen=True, tag="send", omit_defaults=True):
    """A client sends lines: all of them, so many times over, in as few pieces as `cuts` say."""

    lines: tuple[str, ...]
    r"""Without line ends, one character for a byte. `{text}` and the like stand for files, and `{#}` for a number."""
    client: _Client = 0
    times: Annotated[int, msgspec.Meta(ge=1, le=MOST_LINES)] = 1
    first: _Count = 0
    """The number that `{#}` stands for the first time; then it is one more each time."""
    whole_bytes: Annotated[int, msgspec.Meta(ge=0, le=1 << 20)] = 0
    """Fill up with unknown commands to so many bytes; 0 does not."""
    cuts: tuple[_Count, ...] = ()
    """Where the bytes are cut into pieces, each of which the server receives by itself."""
    ending: str = "\r\n"
    """What ends the last line: something else leaves it unfinished, or ends it badly."""
    waits: bool = True
    """Whether the client waits for all replies before anything else happens."""


class Open(msgspec.Struct, frozen=True, tag="open"):
    """So many clients are connected at least."""

    clients: Annotated[int, msgspec.Meta(ge=1, le=MOST_CLIENTS)]


class Leave(msgspec.Struct, frozen=True, tag="leave", omit_defaults=True):
    """A client shuts down its sending half, closes or resets."""

    how: str
    """half-close, close or reset."""
    client: _Client = 0


class Silence(msgspec.Struct, frozen=True, tag="silence"):
    """Nothing happens for a while."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=MOST_SECONDS)]


class AddFiles(msgspec.Struct, frozen=True, tag="add-files"):
    """Files are added to the directory, which differ in one thing; `added_name` says how they are called."""

    by: str
    """size: of `first` bytes, and one more each; name: with names of `first` bytes, and one more each."""
    first: _Count
    count: Annotated[int, msgspec.Meta(ge=1, le=MOST_FILES)]


class AddSparse(msgspec.Struct, frozen=True, tag="add-sparse"):
    """A file is added that takes no room on the disk: zeros, and its last bytes are `end of file`."""

    size: Annotated[int, msgspec.Meta(ge=64, le=1 << 40)]


class RemoveFiles(msgspec.Struct, frozen=True, tag="remove-files"):
    """All files that were added are removed."""


Step = Send | Open | Leave | Silence | AddFiles | AddSparse | RemoveFiles
SPARSE_NAME: Final = "sparse.bin"


class ConversationError(UsageError, ValueError):
    """What is saved is no conversation; the message is one line."""


class Conversation(msgspec.Struct, frozen=True):
    """Steps, one after the other; in the end each client that is left says quit, and a new one is served."""

    steps: tuple[Step, ...]

    @property
    def clients(self) -> int:
        """Return how many clients are connected at most."""
        numbers = [step.client + 1 for step in self.steps if isinstance(step, Send | Leave)]
        return max([1, *numbers, *[step.clients for step in self.steps if isinstance(step, Open)]])

    @property
    def changes_files(self) -> bool:
        """Return whether files are added."""
        return any(isinstance(step, AddFiles | AddSparse) for step in self.steps)

    @property
    def cost(self) -> tuple[int, int, int]:
        """Return how much there is to read: the smaller, the better it explains what it shows."""
        sent = [step for step in self.steps if isinstance(step, Send)]
        lines = sum(len(step.lines) * step.times for step in sent)
        letters = sum(len(line) for step in sent for line in step.lines) + sum(step.whole_bytes for step in sent)
        return len(self.steps) + self.clients, lines, letters

    def dumps(self) -> str:
        """Return it as JSON."""
        return msgspec.json.encode(self).decode()


def loads(text: str) -> Conversation:
    """Return a conversation that was saved; raise ConversationError."""
    try:
        return msgspec.json.decode(text.encode(), type=Conversation)
    except msgspec.MsgspecError as error:
        message = Message("no conversation: {error}", error=str(error))
        raise ConversationError(message) from error


def added_name(by: str, number: int) -> str:
    """Return the name of a file that was added."""
    return f"s{number}" if by == "size" else "n" * number


def rendered(step: Send, filled: Callable[[str], str]) -> bytes:
    """Return the bytes of a step; `filled` fills in the names of files."""
    lines = [filled(line) for line in step.lines]
    numbers = range(step.first, step.first + step.times)
    every = [line.replace(_NUMBER, str(number)) for number, line in itertools.product(numbers, lines)]
    data = b"".join(line.encode("latin-1") + _LINE_END for line in every)
    data += b"".join(_padding(step.whole_bytes - len(data)))
    return data.removesuffix(_LINE_END) + step.ending.encode("latin-1")


def _padding(size: int) -> Iterator[bytes]:
    """Yield lines of so many bytes in all; none if that is too little for a line."""
    shortest = len(_LINE_END) + 1
    while size >= shortest:
        length = size if size <= _PAD_BYTES else min(_PAD_BYTES, size - shortest)
        yield b"z" * (length - len(_LINE_END)) + _LINE_END
        size -= length


def pieces(data: bytes, cuts: tuple[int, ...]) -> Iterator[bytes]:
    """Yield the pieces into which data is cut."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    yield from (data[start:end] for start, end in itertools.pairwise(places))


_PLACEHOLDER: Final = re.compile(r"\{([a-z-]+)[^}]*\}")


def fixtures_of(conversation: Conversation) -> frozenset[str]:
    """Return the keys of the files that a conversation is about."""
    lines = [line for step in conversation.steps if isinstance(step, Send) for line in step.lines]
    return frozenset(key for line in lines for key in _PLACEHOLDER.findall(line))
