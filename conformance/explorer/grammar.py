"""Strategies for command lines: the grammar of the protocol, near misses, and numbers at the boundaries of buffers."""

from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

_SMALL_BYTES: Final = 64
_MEDIUM_BYTES: Final = 4096
_MOST_SLICE_BYTES: Final = 4 << 20
_LONGEST_NAME: Final = 300
_HUGE: Final = ("4294967296", "18446744073709551616", "9" * 40)
_INVALID: Final = ("-1", "+5", "1_0", "-0", "1.0", "0x1", "1e3", "x", "007")
_MISSES: Final = (
    "get_file_listing x",
    "get_metadata",
    "get_metadata {text} {text}",
    "get_metadata  {text}",
    "get_metadata {text} ",
    " get_metadata {text}",
    "get_metadata {missing}",
    "get_metadata ../{text}",
    "get_metadata /etc/passwd",
    "get_metadata {text}\t",
    "get_metadata {text}\r",
    "get_metadata {text}\xe9",
    "get_slice {text}",
    "get_slice {text} 0",
    "get_slice {text} 0 1 1",
    "get_slice {missing} 0 1",
    "get_slice  {text} 0 1",
    "GET_METADATA {text}",
    "get-metadata {text}",
    "help x",
    "quit x",
    "x",
    "{unknown}",
    "",
    " ",
)
_POWERS: Final = tuple(1 << power for power in range(26))


@dataclass(frozen=True)
class Ground:
    """What conversations can be about."""

    dialect: str
    sizes: tuple[tuple[str, int], ...]
    """The files by key, with their sizes."""
    clients: int
    """How many clients the server serves at once, at most."""
    changes_files: bool
    """Whether the directory can be changed."""

    @property
    def largest(self) -> tuple[str, int]:
        """Return the largest file and its size."""
        return max(self.sizes, key=lambda row: row[1])


def sizes(most: int) -> st.SearchStrategy[int]:
    """Return numbers from 0 to `most`, most of them near 0, `most`, a power of two, or a multiple of 3 near one."""
    powers = [power for power in _POWERS if power <= most]
    near = st.builds(int.__add__, st.sampled_from(powers or [0]), st.integers(-3, 3))
    chosen = st.one_of(
        st.integers(0, min(most, _SMALL_BYTES)), near, st.integers(0, most), st.integers(-3, 3).map(most.__add__)
    )
    return chosen.map(lambda number: max(0, min(most, number)))


@st.composite
def slices(draw: st.DrawFn, ground: Ground, most: int = _MOST_SLICE_BYTES) -> str:
    """Draw a request for a slice of at most so many bytes, a few of them past the end."""
    key, size = draw(st.sampled_from(ground.sizes))
    offset = draw(sizes(size))
    length = draw(sizes(min(most, size - offset)))
    beyond = draw(st.sampled_from((0, 0, 0, 0, 0, 0, 0, 1)))
    form = draw(st.sampled_from(("", " raw") if ground.dialect == "2026" else ("",)))
    length = size - offset + 1 if beyond else length
    return f"get_slice {{{key}}} {offset} {length}{form}"


def metadata(ground: Ground) -> st.SearchStrategy[str]:
    """Return requests for sizes, some of names that are missing."""
    known = st.sampled_from([f"get_metadata {{{key}}}" for key, _ in ground.sizes])
    missing = st.integers(1, _LONGEST_NAME).map(lambda length: f"get_metadata {'q' * length}")
    return st.one_of(known, known, missing)


def odd_numbers() -> st.SearchStrategy[str]:
    """Return requests for slices by numbers that are none, or huge."""
    odd = st.sampled_from(_INVALID + _HUGE)
    pairs = st.one_of(st.tuples(st.just("0"), odd), st.tuples(odd, st.just("1")))
    return pairs.map(lambda pair: f"get_slice {{text}} {pair[0]} {pair[1]}")


def lines(ground: Ground, most: int = _MOST_SLICE_BYTES) -> st.SearchStrategy[str]:
    """Return command lines of all kinds."""
    plain = ("get_file_listing", *(["help"] if ground.dialect == "2026" else []))
    return st.one_of(
        metadata(ground),
        slices(ground, _SMALL_BYTES),
        slices(ground, most),
        st.sampled_from(plain),
        odd_numbers(),
        st.sampled_from(_MISSES),
    )


def harmless(ground: Ground) -> st.SearchStrategy[str]:
    """Return command lines with short replies, after which the connection goes on."""
    others = st.sampled_from(("x", "get_metadata", "get_slice {text} 0 -1", "get_metadata {missing}"))
    return st.one_of(metadata(ground), slices(ground, _SMALL_BYTES), others)


def medium(ground: Ground) -> st.SearchStrategy[str]:
    """Return requests for slices that several replies of fit into a buffer."""
    return slices(ground, _MEDIUM_BYTES)
