"""Strategies for conversations: each is about one kind of trouble, and the last one mixes them all."""

from typing import Final

from hypothesis import strategies as st

from conformance.explorer.conversation import (
    SPARSE_NAME,
    AddFiles,
    AddSparse,
    Conversation,
    Leave,
    Open,
    RemoveFiles,
    Send,
    Silence,
    Step,
)
from conformance.explorer.grammar import Ground, harmless, lines, medium, metadata, sizes, slices

Strategy = st.SearchStrategy[tuple[Step, ...]]

_BUFFERS: Final = tuple(1 << power for power in range(9, 18))
_MOST_TIMES: Final = 3000
_SOME_TIMES: Final = 100
_MOST_FILES: Final = 1000
_MOST_SIZE: Final = 4096
_LONGEST_NAME: Final = 255
_CROWD: Final = 40
_LARGE_BYTES: Final = 1 << 20
_SPARSE: Final = tuple(
    (1 << power) + more for power in (31, 32, 33, 40) for more in (0, 12345) if (power, more) != (40, 12345)
)
_ONE: Final = st.integers(0, 2)


def conversations(ground: Ground) -> st.SearchStrategy[Conversation]:
    """Return conversations of all kinds that the server and its directory allow."""
    kinds = [mixed, buffers, pipelines, sweeps, large_slices]
    kinds += [crowds, vanishing] if ground.clients > 1 else []
    kinds += [added_files, sparse_files] if ground.changes_files else []
    return st.one_of([kind(ground) for kind in kinds]).map(Conversation)


def opening(ground: Ground, *, may_wait: bool) -> list[Conversation]:
    """Return the conversations that an exploration begins with: what is worth to be tried once."""
    listing, size = Send(("get_file_listing",)), Send(("get_metadata {text}",))
    key, largest = ground.largest
    some = tuple(f"get_slice {{{key}}} {offset} 10" for offset in range(1, max(2, largest - 10), _LARGE_BYTES))
    rows: list[tuple[Step, ...]] = [
        *((Send(("get_metadata {text}",), whole_bytes=size),) for size in _BUFFERS),
        (Send(some),),
        *((Send((f"get_slice {{{key}}} {offset} {min(largest - 2, 3 * _LARGE_BYTES)}",)),) for offset in (1, 2)),
        (Send(("get_metadata {text}",), times=_MOST_TIMES),),
        (Send(("get_metadata {text}", "get_metadata {empty}"), times=_SOME_TIMES),),
    ]
    if ground.clients >= _CROWD:
        rows += [(Open(count), listing, size) for count in (17, _CROWD)]
    if ground.changes_files:
        rows += [
            (AddSparse(_SPARSE[3]), Send((f"get_metadata {SPARSE_NAME}",))),
            (AddFiles("name", 1, _LONGEST_NAME), listing, RemoveFiles(), listing),
            (AddFiles("size", 1, _MOST_FILES), Send(("get_metadata s{#}",), first=1, times=_MOST_FILES)),
        ]
    if may_wait:
        rows.append((size, Silence(4.0), size))
    return [Conversation(row) for row in rows]


# --- One client ----------------------------------------------------------------------------------


def buffers(ground: Ground) -> Strategy:
    """Return pieces that end exactly where a buffer does, or one byte before or after."""
    around = st.builds(int.__add__, st.sampled_from(_BUFFERS), st.sampled_from((0, 0, -1, 1)))
    sent = st.builds(lambda line, size: Send((line,), whole_bytes=size), harmless(ground), around)
    return st.lists(sent, min_size=1, max_size=3).map(tuple)


def pipelines(ground: Ground) -> Strategy:
    """Return hundreds or thousands of commands at once."""
    some = st.lists(harmless(ground), min_size=1, max_size=3).map(tuple)
    return st.builds(
        lambda lines, times: (Send(lines, times=times),), some, sizes(_MOST_TIMES // 3).map(lambda n: n + 1)
    )


def sweeps(ground: Ground) -> Strategy:
    """Return slices at each of many neighbouring offsets, or of many neighbouring sizes."""
    key, size = ground.largest

    @st.composite
    def sweep(draw: st.DrawFn) -> tuple[Step, ...]:
        times = draw(st.integers(1, min(_MOST_FILES, max(1, size // 4))))
        length = draw(st.integers(0, min(99, size // 4)))
        first = draw(sizes(max(0, size - times - length)))
        if draw(st.booleans()):
            return (Send((f"get_slice {{{key}}} {{#}} {length}",), times=times, first=first),)
        start = draw(sizes(max(0, size - times)))
        return (Send((f"get_slice {{{key}}} {start} {{#}}",), times=min(times, size - start or 1)),)

    return sweep()


def large_slices(ground: Ground) -> Strategy:
    """Return large slices, some of whose requests come in pieces."""
    sent = st.builds(
        lambda line, cuts: Send((line,), cuts=tuple(cuts)), slices(ground), st.lists(st.integers(0, 40), max_size=2)
    )
    return st.lists(sent, min_size=1, max_size=2).map(tuple)


# --- Several clients -----------------------------------------------------------------------------


def crowds(ground: Ground) -> Strategy:
    """Return many clients that are connected at once."""
    count = st.integers(2, min(_CROWD, ground.clients))
    sent = st.builds(Send, st.tuples(lines(ground, _MOST_SIZE)), client=_ONE)
    return st.builds(lambda count, sent: (Open(count), *sent), count, st.lists(sent, min_size=1, max_size=4))


def vanishing(ground: Ground) -> Strategy:
    """Return clients that leave while a reply is under way, and others that stay."""

    @st.composite
    def leaving(draw: st.DrawFn) -> tuple[Step, ...]:
        steps: list[Step] = []
        for _ in range(draw(st.integers(1, 3))):
            client = draw(st.integers(0, 1))
            steps.append(Send((draw(slices(ground)),), client=client, waits=False))
            steps.append(Leave(draw(st.sampled_from(("close", "reset", "half-close"))), client=client))
            steps.append(Send((draw(lines(ground, _MOST_SIZE)),), client=1 - client))
        return tuple(steps)

    return leaving()


# --- Files that change ---------------------------------------------------------------------------


def added_files(ground: Ground) -> Strategy:
    """Return files of many sizes, or with names of many lengths, that come and go."""
    del ground

    @st.composite
    def adding(draw: st.DrawFn) -> tuple[Step, ...]:
        by = draw(st.sampled_from(("name", "size")))
        most = _LONGEST_NAME if by == "name" else _MOST_SIZE
        first = draw(st.integers(1, most))
        count = draw(st.integers(1, min(_MOST_FILES, most - first + 1)))
        listing = Send(("get_file_listing",))
        if by == "name":
            return (AddFiles(by, first, count), listing, Send((f"get_metadata {'n' * first}",)), RemoveFiles(), listing)
        asked = draw(st.sampled_from(("get_metadata s{#}", "get_slice s{#} 0 {#}")))
        return (AddFiles(by, first, count), Send((asked,), times=count, first=first), RemoveFiles(), listing)

    return adding()


def sparse_files(ground: Ground) -> Strategy:
    """Return a file that is larger than what 32 bits count."""
    forms = ("", " raw") if ground.dialect == "2026" else ("",)

    @st.composite
    def asking(draw: st.DrawFn) -> tuple[Step, ...]:
        size = draw(st.sampled_from(_SPARSE))
        length = draw(st.integers(0, 99))
        offset = draw(st.sampled_from((size - length, size - 99, (1 << 31) - 50, 1 << 20)))
        slice_ = f"get_slice {SPARSE_NAME} {offset} {length}{draw(st.sampled_from(forms))}"
        return (AddSparse(size), Send((f"get_metadata {SPARSE_NAME}",)), Send((slice_,)))

    return asking()


# --- All of it -----------------------------------------------------------------------------------


def mixed(ground: Ground) -> Strategy:
    """Return a few steps of all kinds."""
    clients = st.integers(0, min(3, ground.clients) - 1)
    sent = st.builds(
        Send,
        st.lists(lines(ground, _LARGE_BYTES), min_size=1, max_size=4).map(tuple),
        client=clients,
        cuts=st.lists(st.integers(0, 200), max_size=3).map(tuple),
        ending=st.sampled_from(("\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\nx\r\n")),
    )
    repeated = st.builds(
        Send, st.tuples(st.one_of(metadata(ground), medium(ground))), client=clients, times=st.integers(1, 200)
    )
    half_closing = st.builds(Leave, st.just("half-close"), client=clients)
    return st.lists(st.one_of(sent, sent, repeated, half_closing), min_size=1, max_size=8).map(tuple)
