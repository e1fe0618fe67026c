"""Causes shared by several scenarios about lines and replies."""

from typing import Final

from conformance.diagnosis import controls
from conformance.diagnosis.controls import PROBE
from conformance.failures import Failure, Kind
from conformance.model.likely_causes import Cause, CauseSpec

SECOND_STATUS: Final = r"^(0|10[01]|20[0-3])( |\\r\\n)"
BARE_LF: Final = r"bare LF"

# --- Where a line ends -------------------------------------------------------------------------------

EXECUTED: Final[dict[Kind, CauseSpec]] = {
    Kind.EXTRA: Cause(
        "commands after the bad line end are still executed; after 100 nothing must be",
        got=SECOND_STATUS,
        seen="another status line was received",
    )
}
NOT_AT_ONCE: Final[dict[Kind, CauseSpec]] = {
    Kind.TIMEOUT: Cause(
        "the server searches only for CR LF and does not notice a bare LF until a CR LF follows",
        control=f"""
        C| {PROBE}\\nx\\r\\n
        S: *
        """,
    )
}
LF_TAKEN: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: [
        Cause(
            "a bare LF ends a line, as with readline() or split('\\n')",
            control=f"""
            C| {PROBE}\\n{PROBE}\\n
            S: 200 *
            S: 200 *
            """,
        ),
        Cause(
            "strip() or split() removes a LF at the ends of the line before the line is checked",
            control="""
            C| \\nget_metadata {text}\\r\\n
            S: 0 *
            """,
        ),
    ],
    Kind.OPEN: "the connection stays open after 100; close it after every status from 100 to 199",
}
SEARCHED_FIRST: Final = Cause(
    "the whole buffer is searched for a bad line end before the complete commands in it are answered", codes=(100,)
)

_RECV: Final = "each recv() is treated as one command: buffer the input up to CR LF, and keep the rest"
IN_PIECES: Final[dict[Kind, CauseSpec]] = {
    kind: [
        Cause(_RECV, control=controls.takes_each_recv_for_a_command),
        Cause("a CR LF split over two packets is not recognized: buffer the input", codes=(100,)),
    ]
    for kind in (Kind.STATUS, Kind.TIMEOUT, Kind.MALFORMED)
}
TOGETHER: Final[dict[Kind, CauseSpec]] = {Kind.TIMEOUT: Cause(_RECV, control=controls.loses_the_second_of_two)}
"""Not all pipelined commands are answered."""
SKIPPED: Final = Cause(
    "empty lines are skipped, and the next line is answered",
    control=f"""
    C:
    C: {PROBE}
    S: 200 *
    """,
)
CR_ENDS: Final = Cause(
    "a lone CR ends a line, as with splitlines(), so one line gets two replies",
    control=f"""
    C| {PROBE}\\r{PROBE}\\r\\n
    S: 200 *
    S: 200 *
    """,
    is_about_next=True,
)


def is_unanswered(failure: Failure) -> bool:
    """Tell whether the missing reply is the one to this line, not to the next command."""
    return not failure.expected.startswith("200 NO SUCH COMMAND or 201")


def unanswered(text: str) -> dict[Kind, CauseSpec]:
    """Return a cause that applies if the connection is closed or reset instead of a reply to the line."""
    return dict.fromkeys((Kind.CLOSED, Kind.RESET), Cause(text, when=is_unanswered))


UNANSWERED: Final[dict[Kind, CauseSpec]] = unanswered(
    "this line closes the connection without a status line: answer 101 before closing"
) | {Kind.GONE: "this line crashes or hangs the server"}
_UNSERVED: Final = Cause(
    "the server still accepts clients afterwards, but does not serve them: it is busy or hangs",
    expected="^200",
    seen="a new client was accepted, but got no reply",
)
UNSURVIVED: Final[dict[Kind, CauseSpec]] = {
    Kind.GONE: "this line crashes or hangs the server",
    Kind.REFUSED: "connections are refused afterwards: this line crashes the server",
    Kind.TIMEOUT: _UNSERVED,
}
LF_STAYS_OPEN: Final = (
    "the connection stays open after the client half-closes it: close it when recv() returns no bytes"
)

# --- Long lines --------------------------------------------------------------------------------------

_LIMIT: Final = "a limit on the length of lines or names refuses this one"
LONG: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: [
        Cause(_LIMIT, codes=(101, 201)),
        Cause(
            "a name too long for the file system (ENAMETOOLONG) is reported as a server error (199);"
            " no file has such a name: answer 202",
            codes=(199,),
            control=controls.MISSING_IS_202,
        ),
        Cause(_RECV, control=controls.takes_each_recv_for_a_command),
    ],
    Kind.TIMEOUT: Cause(_RECV, control=controls.takes_each_recv_for_a_command),
    Kind.EXTRA: Cause(_RECV, control=controls.takes_each_recv_for_a_command),
    **unanswered("a line of this length closes the connection without a status line"),
    Kind.GONE: "a line of this length crashes or hangs the server",
}
LONG_MIXED: Final[dict[Kind, CauseSpec]] = LONG | {
    Kind.STATUS: [Cause(_LIMIT, codes=(101,)), Cause(_RECV, control=controls.takes_each_recv_for_a_command)]
}
"""The same for long lines among other invalid commands."""
LONGEST_NAME: Final[dict[Kind, CauseSpec]] = LONG | {
    Kind.STATUS: Cause(
        "a limit on the length of names or lines refuses a name of 255 bytes, which file systems allow",
        codes=(101, 199, 201),
        control=controls.METADATA_WORKS,
    )
}
FLOODED: Final[dict[Kind, CauseSpec]] = {
    Kind.REFUSED: "connections are refused afterwards: the input crashed the server",
    Kind.GONE: "the input crashed the server, or keeps it too busy to serve other clients",
    Kind.TIMEOUT: _UNSERVED,
}

# --- Replies -----------------------------------------------------------------------------------------

OTHERS_WAIT: Final = Cause(
    "other clients are not served while one client's line is incomplete",
    expected="^200",
    seen="the other client got no reply",
)
NO_SPACE: Final = Cause(
    "the space between the code and the text is missing", got=r"^\d+[A-Za-z]", seen="a letter follows the code"
)
STATUS_FORMS: Final = (
    Cause("the status line ends in a bare LF; every line ends in CR LF", got=BARE_LF, seen="a line ends in a bare LF"),
    Cause("the code is padded with zeros", got=r"^0\d", seen="a 0 is followed by a digit"),
    NO_SPACE,
    Cause("the status line does not start with the code", got=r"^[^\d]", seen="the line does not start with a digit"),
)
STATUS_FORM: Final[dict[Kind, CauseSpec]] = {Kind.MALFORMED: STATUS_FORMS}
UNKNOWN_CODE: Final = "the code is not in the protocol, which has only 0, 100, 101, 199, 200, 201, 202 and 203"
GREETED: Final = Cause(
    "the server sends a greeting, as in FTP and SMTP; clients read it as the first reply",
    control=controls.greets,
)


def alone(line: str, codes: str) -> dict[Kind, CauseSpec]:
    """Return causes for an error reply that is more than a status line."""
    first = f"""
    C: {line}
    S: {codes} *
    """
    return {
        Kind.MALFORMED: [
            Cause(
                "the status line of an error is followed by an empty line",
                got="^$",
                seen="an empty line was received",
                control=first,
            ),
            Cause("the status line of an error is followed by more data", control=first),
        ],
        Kind.STATUS: Cause(
            "the status line of an error is followed by a second one", control=first, is_about_next=True
        ),
        Kind.EXTRA: Cause("the status line of an error is followed by more data", control=first),
        Kind.CLOSED: Cause("the connection is closed after a status of 200 or above; keep it open", control=first),
        Kind.RESET: Cause("the connection is closed after a status of 200 or above; keep it open", control=first),
    }


ALONE_FATAL: Final[dict[Kind, CauseSpec]] = {
    Kind.EXTRA: [
        Cause(
            "the status line of an error is followed by an empty line",
            got=r"^\\r\\n$",
            seen="an empty line was received",
        ),
        "the status line of an error is followed by more data",
    ],
    Kind.OPEN: LF_TAKEN[Kind.OPEN],
}
STAYS_OPEN: Final[dict[Kind, CauseSpec]] = {
    Kind.OPEN: "the connection stays open after a fatal error; close it after every status from 100 to 199",
    Kind.EXTRA: Cause(
        "commands after a fatal error are still executed", got=SECOND_STATUS, seen="another status line was received"
    ),
}
_CLOSES: Final = [
    Cause(
        "the connection is closed after every reply; keep it open until quit or a status from 100 to 199",
        control="""
        C: get_metadata {text}
        S: 0 *
        S: {text.size}
        <close>
        """,
    ),
    Cause(
        "the connection is closed after every error; keep it open after a status of 200 or above",
        control=f"""
        C: get_metadata {{text}}
        S: 0 *
        S: {{text.size}}
        C: get_metadata {{text}}
        S: 0 *
        S: {{text.size}}
        <reconnect>
        C: {PROBE}
        S: 200 *
        <close>
        """,
    ),
]
CLOSES: Final[dict[Kind, CauseSpec]] = {Kind.CLOSED: _CLOSES, Kind.RESET: _CLOSES}


def lost(first: str, code: int) -> dict[Kind, CauseSpec]:
    """Return causes for the loss of the last reply, to the command `first`, because of input that follows it."""
    control = f"""
    C| {first}
    S: {code} *
    <close>
    """
    return {
        Kind.RESET: Cause(
            "the server closes with unread input, so the kernel sends RST, which can destroy the reply:"
            " shutdown() the sending side, then read until the client closes",
            control=control,
        ),
        Kind.EXTRA: Cause(
            "commands after the last command are executed", got=SECOND_STATUS, seen="another status line was received"
        ),
    }
