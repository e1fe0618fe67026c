"""The limits of the server, each with its unit and reason. Imports nothing of the package."""

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# --- Listening -----------------------------------------------------------------------------------

DEFAULT_PORT: Final = 19500
"""The default port of HFTP."""

BACKLOG: Final = 1024
"""Length of the accept queue (listen(2)): enough for a class of students who all start at once."""

ACCEPT_PAUSE_SECONDS: Final = 0.1
"""Pause before the next accept when the system is out of descriptors or memory (accept(2): EMFILE, ENOMEM)."""

PORT_FILE_SECONDS: Final = 10.0
"""How long a FIFO that is to get the port may have no reader."""

CONFIG_SECONDS: Final = 5.0
"""How long a FIFO that is to give the configuration may have nothing to read."""

RELOAD_SECONDS: Final = 10.0
"""How long a reload may take to read and check the configuration, and to open the directory."""

SURVEYED_ENTRIES: Final = 10_000
"""Entries of the directory that are looked at when the server starts, and at a reload, for warnings: some 50 ms."""

# --- Command lines -------------------------------------------------------------------------------

TURN_BYTES: Final = KIB
"""Maximum bytes per `recv()` while several clients are active, for fairness: some dozens of pipelined commands.
Reading everything that has arrived saves a pipelining client a tenth of its time, but makes the others wait half as
long again."""

LONG_TURN_BYTES: Final = 4 * KIB
"""The same for the client that was also the last one read: no other is waiting."""

RECEIVE_BYTES: Final = 64 * KIB
"""Maximum bytes per read of anything but plain commands: TLS records, or input that is discarded."""

WHOLE_LINE_BYTES: Final = 4 * KIB
"""Command lines up to this length are kept whole. The longest valid one has about 400 bytes."""

LINE_BYTES: Final = 8 * MIB
"""Maximum length of a command line. The official tests send 5 MiB and require a reply."""

ELEMENT_BYTES: Final = KIB
"""Bytes kept of each element of a longer line: four times the longest file name."""

ELEMENTS: Final = 8
"""Number of elements of a longer line that are kept apart. No command has more than five."""

NAME_BYTES: Final = 255
"""Longest file name of Linux (NAME_MAX, pathconf(3)) and of the protocol's tests."""

NAME_CHARACTERS: Final = "A-Za-z0-9._-"
"""Characters that the protocol allows in file names, as a character class of a regular expression."""

NUMBER_DIGITS: Final = 18
"""Numbers of up to this many significant digits fit in 63 bits; longer ones are past the end of any file."""

# --- Replies -------------------------------------------------------------------------------------

CHUNK_BYTES: Final = 180 * KIB
"""Bytes that a slice reads of its file at a time: a multiple of 3, so that base64 pieces concatenate, and of a page.

Its base64 just fits into four of the largest TCP segments, 65,483 bytes on loopback. With 192 KiB, 212 bytes were
left for a fifth segment, which cost an eighth of the throughput."""

SHARED_CHUNK_BYTES: Final = 84 * KIB
"""The same while several clients receive slices in turn. Beside eight of them a small reply arrives four times as
soon, and they lose a fifth of their throughput. A single client would lose as much."""

UNSENT_BYTES: Final = 256 * KIB
"""A socket is writable once the kernel holds fewer unsent bytes than this (TCP_NOTSENT_LOWAT, see tcp_notsent_lowat in
https://docs.kernel.org/networking/ip-sysctl.html). Without it the kernel buffers up to 4 MiB for a client that has
stopped reading; half of it slows down clients with small receive buffers."""

KNOWN_COMMANDS: Final = 512
"""Size of the cache of parsed commands, so that repeated ones are not parsed again."""

KNOWN_LINE_BYTES: Final = 320
"""Longest command line in that cache. The longest valid one without leading zeros has 309 bytes."""

KNOWN_NAME_SECONDS: Final = 1.0
"""How long a name that was in memory is assumed to stay there. To check costs four times the look-up itself."""

KNOWN_NAMES: Final = 10_000
"""Maximum number of such names."""

KEPT_BLOCK_BYTES: Final = 1024 * KIB
"""Allocations up to this size stay with the process when freed (M_MMAP_THRESHOLD, mallopt(3)): four encoded chunks."""

KEPT_BYTES: Final = 4096 * KIB
"""Maximum free memory that a process keeps so (M_TRIM_THRESHOLD, mallopt(3)). Mapping new pages for each chunk takes
a seventh of the time of a base64 slice."""

THREAD_STACK_BYTES: Final = 512 * KIB
"""Address space of a thread's stack. The default is 8 MiB (RLIMIT_STACK); a TLS handshake and tracebacks in the log
take 20 KiB."""

HEADROOM_BYTES: Final = 2 * MIB
"""Address space that must be left, where it is limited, for another client to be accepted. The interpreter takes it in
steps of 1 MiB, and some of its own allocations end the process when they fail."""

POOLED_BUFFERS: Final = 8
"""Buffers of `CHUNK_BYTES` that are kept for reuse. One is in use at a time, more only if several threads read."""

FRAGMENT_BYTES: Final = 48 * KIB
"""Length of a fragment, in the dialect that sends slices in fragments."""

COALESCE_BYTES: Final = 64 * KIB
"""Replies to pipelined commands are buffered up to this size before they are sent."""

SMALL_SLICE_BYTES: Final = 46 * KIB
"""Slices and listings up to this size are buffered whole, with other replies. Larger ones are read only once the socket
is writable."""

READ_ATTEMPTS: Final = 5
"""How often a small slice is read while its file is written to, before that is an error."""

SETTLED_NANOSECONDS: Final = 20_000_000
"""A file that was changed within this time may be in the middle of a write, or change again unnoticed: the clock of a
file system ticks every 10 ms at most (CONFIG_HZ)."""

WRITE_NANOSECONDS: Final = 1_000_000_000
"""The same for a thread that cannot wait until no write is under way: a single write may take so long, if the machine
is busy or much is written at once."""

LISTINGS_BYTES: Final = 32 * MIB
"""Memory of the listings that slow clients are still sent, beside the last one, while the directory changes: eight of
100,000 files, if they have no names in common, and any number if some files came and went."""

TEXT_CHUNK_BYTES: Final = 32 * KIB
"""Bytes of a listing that are sent at a time."""

# --- Timeouts ------------------------------------------------------------------------------------

IDLE_SECONDS: Final = 300.0
"""Idle timeout: how long a client may send nothing."""

STALL_SECONDS: Final = 60.0
"""Write timeout: how long a client may receive nothing of a reply. Each byte that it receives restarts the timer."""

LINGER_SECONDS: Final = 10.0
"""How long input is read and discarded after the last reply. Closing with unread input resets the connection, which
can destroy that reply: https://www.rfc-editor.org/rfc/rfc9112#section-9.6 describes the same for HTTP."""

LINGER_QUIET_SECONDS: Final = 1.0
"""The same while no input arrives, which could cause a reset."""

SWEEP_SECONDS: Final = 0.5
"""How often the engines that serve many clients in one thread check for expired timeouts."""

WARNING_SERIES_SECONDS: Final = 10.0
"""A throttled warning is over after this long without an event; the next event is logged again."""

MAX_REJECTED: Final = 64
"""Rejected clients that get time to read the reason. Further ones are sent the reason and closed at once."""

ACCEPT_BURST: Final = 8
"""Connections accepted in one go, before the first of them is served."""

ENDING_BURST: Final = 32
"""Waiting connections that are ended in one go, at a reload, a stop or a timeout, before others are served."""

ENDING_PAUSE_SECONDS: Final = 0.001
"""Pause between two of these bursts."""

FEW_REJECTED: Final = 8
"""The same as `MAX_REJECTED` where descriptors are scarce."""

RESERVED_DESCRIPTORS: Final = 8 + ACCEPT_BURST + FEW_REJECTED
"""Descriptors kept free for listings, the log and the like, for just accepted clients, and for rejected ones."""

RECORD_BYTES: Final = 16 * KIB
"""Maximum plaintext of a TLS record (https://www.rfc-editor.org/rfc/rfc8446#section-5.1), and so the memory that a
stalled client costs."""

BARREN_BYTES: Final = 64 * KIB
"""Bytes of TLS records without data after which a client is cut. A whole record has 16 KiB and some bytes; no client
updates its keys two thousand times between two commands."""

HEADER_BYTES: Final = 4 * KIB
"""Maximum length of a PROXY protocol header, including what a proxy adds to the addresses
(https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt)."""

RATE_BURSTS: Final = 8
"""Number of pieces per second that a rate limit is divided into."""

# --- Logs ----------------------------------------------------------------------------------------

LOG_BACKLOG_LINES: Final = 1000
"""Lines buffered while the log is not read. Further ones are dropped and counted."""

LOG_FLUSH_SECONDS: Final = 1.0
"""How long the process waits on exit for the buffered lines to be read."""

LOG_BURST_SECONDS: Final = 10
"""A client that was silent may cause as many lines at once as its rate allows in this time."""

LOG_SUMMARY_SECONDS: Final = 1.0
"""How often the number of lines that were left out is logged."""

LOGGED_CLIENTS: Final = 1024
"""Clients whose lines are counted, in some 300 bytes each. Beyond that those silent for longest are forgotten."""

LOGGED_COMMAND_CHARACTERS: Final = 200
"""Characters of a command that a log line shows, so that a line fits into one atomic write to a pipe (PIPE_BUF,
pipe(7))."""

LOGGED_TRACEBACK_CHARACTERS: Final = 2500
"""The last characters of a traceback that a log line shows, for the same reason."""

# --- The client ------------------------------------------------------------------------------------

CLIENT_BUFFER_BYTES: Final = 256 * KIB
"""What a client receives at once from each connection: more does not make it faster."""

# --- Limits that an operator can set -------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """The limits on clients that an operator can set.

    0 switches off a limit whose description says "or 0".
    """

    max_connections: int = 20_000
    """Maximum concurrent connections, lowered to what the descriptors of the process allow."""

    max_connections_per_client: int = 0
    """The same per client address (IPv6: per /64 network), or 0."""

    line_bytes: int = LINE_BYTES
    """Maximum length of a command line."""

    idle_seconds: float = IDLE_SECONDS
    """Idle timeout: how long a client may send nothing between two commands."""

    line_seconds: float = 30.0
    """Timeout for receiving a whole command line, extended by as much for each `line_seconds * line_floor` bytes of
    it."""

    line_floor: int = 16 * KIB
    """Minimum rate of a long command line, in bytes per second, once `line_seconds` have passed."""

    stall_seconds: float = STALL_SECONDS
    """Write timeout: how long a client may receive nothing of a reply."""

    write_floor: int = KIB
    """Minimum rate of receiving a reply, in bytes per second, measured over `stall_seconds`, or 0."""

    handshake_seconds: float = 10.0
    """Timeout for a TLS handshake, or for a PROXY protocol header."""

    linger_seconds: float = LINGER_SECONDS
    """How long input is read and discarded after the last reply."""

    grace_seconds: float = 30.0
    """How long replies in progress may take after the server is asked to stop."""

    rate: int = 0
    """Maximum rate of sending to one connection, in bytes per second, or 0."""

    log_rate: int = 100
    """Maximum lines of the access log per second and client address (IPv6: per /64 network), or 0."""

    file_threads: int = 8
    """Threads that read data that is not in memory, for engines that serve many clients in one thread."""


DEFAULTS: Final = Limits()
