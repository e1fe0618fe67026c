"""Every number of the server, with its unit and its reason; imports nothing."""

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# --- Listening -----------------------------------------------------------------------------------

DEFAULT_PORT: Final = 19500
"""The protocol's port."""

BACKLOG: Final = 1024
"""Clients that the kernel holds until they are accepted: a class of students that starts at once."""

ACCEPT_PAUSE_SECONDS: Final = 0.1
"""How long to leave the listener alone when the system has no descriptor or memory for a client."""

# --- Command lines -------------------------------------------------------------------------------

TURN_BYTES: Final = KIB
"""The most that a client is heard of before others have their turn: some dozens of pipelined commands. Reading all
that has come saves a tenth of a pipelining client's time, and lets the others wait for half as long again."""

LONG_TURN_BYTES: Final = 4 * KIB
"""The same for a client who was the last to be heard, too: nobody else is waiting."""

RECEIVE_BYTES: Final = 64 * KIB
"""The most that one read takes of what is not commands: of TLS, or of what is dropped."""

WHOLE_LINE_BYTES: Final = 4 * KIB
"""A command line up to here is kept whole; the longest that means anything has about 400 bytes."""

LINE_BYTES: Final = 8 * MIB
"""A longer command line is refused. The official tests send 5 MiB and insist on an answer to it."""

ELEMENT_BYTES: Final = KIB
"""What is kept of each element of a longer line: four times the longest file name."""

ELEMENTS: Final = 8
"""How many elements of a longer line are told apart: no command has more than five."""

NAME_BYTES: Final = 255
"""The longest file name that Linux and the protocol's tests know (NAME_MAX)."""

NAME_CHARACTERS: Final = "A-Za-z0-9._-"
"""The characters of file names that the protocol can say, as a regular expression has them between brackets."""

NUMBER_DIGITS: Final = 18
"""Numbers of up to so many significant digits fit in 63 bits; larger ones are past any file's end."""

# --- Replies -------------------------------------------------------------------------------------

CHUNK_BYTES: Final = 180 * KIB
"""What a slice reads of its file at a time: a multiple of 3, so that base64 pieces concatenate, and of a page.

Its base64 just fits four of the largest TCP segments, 65,483 bytes on loopback: 192 KiB left 212 bytes for a fifth,
which cost an eighth of the speed."""

SHARED_CHUNK_BYTES: Final = 84 * KIB
"""The same while several clients are sent slices in turn: beside eight of them a small reply comes four times as soon,
which costs them a fifth of their speed. One alone would lose as much."""

UNSENT_BYTES: Final = 256 * KIB
"""A socket is ready for more once the kernel holds less than this unsent. Without it the kernel holds up to
4 MiB for a client that has stopped reading; with half of it a client with small buffers is slower."""

KNOWN_COMMANDS: Final = 512
"""Commands whose meaning is kept, lest those that are said again and again be taken apart each time."""

KNOWN_NAME_SECONDS: Final = 1.0
"""For so long a name that was in memory is taken to be there still: to ask costs four times the look-up itself."""

KNOWN_NAMES: Final = 10_000
"""How many such names are kept at most."""

KEPT_BLOCK_BYTES: Final = 1024 * KIB
"""What is allocated at once up to here stays with the process when it is freed: four encoded chunks."""

KEPT_BYTES: Final = 4096 * KIB
"""The most that a process keeps so. Taking pages anew for each chunk costs a seventh of a base64 slice."""

SPARE_ROOMS: Final = 8
"""Rooms for `CHUNK_BYTES` of a file that are kept: one is in use at a time, more only where several threads read."""

FRAGMENT_BYTES: Final = 48 * KIB
"""The length of a fragment in the dialect that sends slices so."""

COALESCE_BYTES: Final = 64 * KIB
"""Replies to pipelined commands are gathered up to here before they are sent."""

SMALL_SLICE_BYTES: Final = 46 * KIB
"""A slice up to here is gathered with other replies; a larger one is read only once its client is ready for it."""

TEXT_PART_BYTES: Final = 32 * KIB
"""What a listing gives at a time."""

# --- Patience ------------------------------------------------------------------------------------

IDLE_SECONDS: Final = 300.0
"""How long a client may say nothing."""

STALL_SECONDS: Final = 60.0
"""How long a client may take nothing of a reply; each byte that it takes starts the time anew."""

LINGER_SECONDS: Final = 10.0
"""How long input is read and dropped after the last reply, lest a reset destroy that reply."""

LINGER_QUIET_SECONDS: Final = 1.0
"""The same while nothing arrives: then nothing is in the way of the last reply."""

SWEEP_SECONDS: Final = 0.5
"""How often the engines that serve many clients in one thread look for those whose time is up."""

EPISODE_SECONDS: Final = 10.0
"""After so long without a trouble the next one is news again."""

REFUSALS: Final = 64
"""Clients past the limits that are given time to read why; further ones are told, and closed at once."""

ACCEPT_BURST: Final = 8
"""Clients that are accepted before the first of them is looked at."""

FEW_REFUSALS: Final = 8
"""The same as `REFUSALS` where descriptors are scarce."""

RESERVED_DESCRIPTORS: Final = 8 + ACCEPT_BURST + FEW_REFUSALS
"""Left free for listings, a log and the like, for clients that have just come, and for those that are refused."""

RECORD_BYTES: Final = 16 * KIB
"""What TLS puts into one record, and what a client that stalls may therefore cost."""

HEADER_BYTES: Final = 4 * KIB
"""The longest PROXY protocol header, with whatever a proxy adds to the addresses."""

RATE_BURSTS: Final = 8
"""How many pieces a second a limited rate is cut into."""

# --- Logs ----------------------------------------------------------------------------------------

LOG_BACKLOG_LINES: Final = 1000
"""Lines that are kept while nobody reads the log; further ones are counted and dropped."""

LOG_FLUSH_SECONDS: Final = 1.0
"""How long the end of the process waits for whoever reads the log."""

LOGGED_COMMAND_CHARACTERS: Final = 200
"""How much of a command a log line shows, so that a line fits one atomic write to a pipe."""

# --- What an operator may set --------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """What a server grants its clients: the part of these numbers that an operator may set.

    A 0 switches off what has "or 0" in its description.
    """

    max_connections: int = 20_000
    """Clients at once, or as many as the descriptors of the process allow if that is less."""

    max_connections_per_client: int = 0
    """The same for one address (IPv6: one /64 network), or 0."""

    line_bytes: int = LINE_BYTES
    """The longest command line."""

    idle_seconds: float = IDLE_SECONDS
    """How long a client may say nothing between two commands."""

    line_seconds: float = 30.0
    """How long one whole command line may take to arrive, and as long again for each `line_seconds *
    line_floor` bytes of it."""

    line_floor: int = 16 * KIB
    """Bytes per second that a long command line must keep up, once `line_seconds` have passed."""

    stall_seconds: float = STALL_SECONDS
    """How long a client may take nothing of a reply."""

    write_floor: int = KIB
    """Bytes per second that a client must take of a reply, measured over `stall_seconds`, or 0."""

    handshake_seconds: float = 10.0
    """How long a TLS handshake, or a PROXY protocol header, may take."""

    linger_seconds: float = LINGER_SECONDS
    """How long input is read and dropped after the last reply."""

    grace_seconds: float = 30.0
    """How long the replies under way may take once the server is told to stop."""

    rate: int = 0
    """Bytes per second that one connection is sent at most, or 0."""

    file_threads: int = 8
    """Threads that read what is not in memory, for the engines that serve many clients in one thread."""


DEFAULTS: Final = Limits()
