"""Causes that several scenarios of lines and replies share."""

from typing import Final

from conformance.diagnosis import controls
from conformance.diagnosis.controls import PROBE
from conformance.failures import Failure, Kind
from conformance.model.causes import Cause, Told

SECOND_STATUS: Final = r"^(0|10[01]|20[0-3])( |\\r\\n)"
BARE_LF: Final = r"bare LF"

# --- Where a line ends -------------------------------------------------------------------------------

EXECUTED: Final[dict[Kind, Told]] = {
    Kind.EXTRA: Cause(
        "what stands behind the bad line end is still processed; after 100 nothing is",
        got=SECOND_STATUS,
        seen="another status line comes",
    )
}
NOT_AT_ONCE: Final[dict[Kind, Told]] = {
    Kind.TIMEOUT: Cause(
        "the server looks for CR LF alone, and does not notice a LF without CR until a CR LF follows",
        control=f"""
        C| {PROBE}\\nx\\r\\n
        S: *
        """,
    )
}
LF_TAKEN: Final[dict[Kind, Told]] = {
    Kind.STATUS: [
        Cause(
            "a LF alone is taken for the end of a line, as readline() and a split at LF do",
            control=f"""
            C| {PROBE}\\n{PROBE}\\n
            S: 200 *
            S: 200 *
            """,
        ),
        Cause(
            "a LF is removed from the line before it is looked at, as strip() and split() do at its ends",
            control="""
            C| \\nget_metadata {text}\\r\\n
            S: 0 *
            """,
        ),
    ],
    Kind.OPEN: "the connection stays open after 100; it has to be closed after every status from 100 to 199",
}
SEARCHED_FIRST: Final = Cause(
    "all that has arrived is searched for a bad line end before the commands in front of it are answered", codes=(100,)
)

_RECV: Final = "each recv() is taken for one command: gather what arrives up to CR LF, and keep what follows it"
IN_PIECES: Final[dict[Kind, Told]] = {
    kind: [
        Cause(_RECV, control=controls.takes_each_recv_for_a_command),
        Cause("a CR that ends a packet and the LF that begins the next one are not put together", codes=(100,)),
    ]
    for kind in (Kind.STATUS, Kind.TIMEOUT, Kind.MALFORMED)
}
TOGETHER: Final[dict[Kind, Told]] = {Kind.TIMEOUT: Cause(_RECV, control=controls.loses_the_second_of_two)}
"""Of commands that are sent together not all are answered."""
SKIPPED: Final = Cause(
    "an empty line is skipped, and the next line answered",
    control=f"""
    C:
    C: {PROBE}
    S: 200 *
    """,
)
CR_ENDS: Final = Cause(
    "a lone CR is taken for the end of a line, as splitlines() does, so that one line gets two replies",
    control=f"""
    C| {PROBE}\\r{PROBE}\\r\\n
    S: 200 *
    S: 200 *
    """,
    is_about_next=True,
)


def is_unanswered(failure: Failure) -> bool:
    """Tell whether it is the reply to this line that is missing, not the one to the next command."""
    return not failure.expected.startswith("200 NO SUCH COMMAND or 201")


def unanswered(text: str) -> dict[Kind, Told]:
    """Return a cause that is told if the connection ends, or is reset, where the reply to a line belongs."""
    return dict.fromkeys((Kind.CLOSED, Kind.RESET), Cause(text, when=is_unanswered))


UNANSWERED: Final[dict[Kind, Told]] = unanswered(
    "this line ends the connection without a status line; answer it (101) before the close"
) | {Kind.GONE: "this line ends the server's process, or stops it"}
_UNSERVED: Final = Cause(
    "the server accepts clients afterwards, and does not serve them: it is busy with it, or hangs",
    expected="^200",
    seen="a new client is accepted and gets no reply",
)
UNSURVIVED: Final[dict[Kind, Told]] = {
    Kind.GONE: "this line ends the server's process, or stops it",
    Kind.REFUSED: "nothing accepts connections afterwards: this line ends the server's process",
    Kind.TIMEOUT: _UNSERVED,
}
LF_STAYS_OPEN: Final = "the connection stays open after the client's end of the stream, where recv() returns no bytes"

# --- Long lines --------------------------------------------------------------------------------------

_LIMIT: Final = "a line or a name of this length is refused, so there is a limit below it"
LONG: Final[dict[Kind, Told]] = {
    Kind.STATUS: [
        Cause(_LIMIT, codes=(101, 201)),
        Cause(
            "a name that is too long for the file system (ENAMETOOLONG) is taken for a failure of the server;"
            " no file has such a name: 202",
            codes=(199,),
            control=controls.MISSING_IS_202,
        ),
        Cause(_RECV, control=controls.takes_each_recv_for_a_command),
    ],
    Kind.TIMEOUT: Cause(_RECV, control=controls.takes_each_recv_for_a_command),
    Kind.EXTRA: Cause(_RECV, control=controls.takes_each_recv_for_a_command),
    **unanswered("a line of this length ends the connection without a status line"),
    Kind.GONE: "a line of this length ends the server's process, or stops it",
}
LONG_MIXED: Final[dict[Kind, Told]] = LONG | {
    Kind.STATUS: [Cause(_LIMIT, codes=(101,)), Cause(_RECV, control=controls.takes_each_recv_for_a_command)]
}
"""The same where other commands that are wrong stand beside the long lines."""
LONGEST_NAME: Final[dict[Kind, Told]] = LONG | {
    Kind.STATUS: Cause(
        "a name of 255 bytes is refused, so there is a limit on names or lines below what file systems allow",
        codes=(101, 199, 201),
        control=controls.METADATA_WORKS,
    )
}
FLOODED: Final[dict[Kind, Told]] = {
    Kind.REFUSED: "nothing accepts connections afterwards: it ended the server's process",
    Kind.GONE: "it ended the server's process, or keeps it so busy that nobody else is served",
    Kind.TIMEOUT: _UNSERVED,
}

# --- Replies -----------------------------------------------------------------------------------------

OTHERS_WAIT: Final = Cause(
    "while the line of one client is not at its end, others are not served",
    expected="^200",
    seen="the other client gets no reply",
)
NO_SPACE: Final = Cause(
    "there is no space between the code and the text", got=r"^\d+[A-Za-z]", seen="a letter follows the code"
)
STATUS_FORMS: Final = (
    Cause("the status line ends in LF alone; every line ends in CR LF", got=BARE_LF, seen="a line ends in LF alone"),
    Cause("the code is padded with zeros", got=r"^0\d", seen="a 0 is followed by a digit"),
    NO_SPACE,
    Cause("the line does not begin with the code", got=r"^[^\d]", seen="the line does not begin with a digit"),
)
STATUS_FORM: Final[dict[Kind, Told]] = {Kind.MALFORMED: STATUS_FORMS}
UNKNOWN_CODE: Final = "the protocol has the codes 0, 100, 101, 199, 200, 201, 202 and 203, and no other"
GREETED: Final = Cause(
    "the server greets its clients, as FTP and SMTP do; they take the greeting for the first reply",
    control=controls.greets,
)


def alone(said: str, codes: str) -> dict[Kind, Told]:
    """Return causes for an error reply that has to be its status line alone."""
    first = f"""
    C: {said}
    S: {codes} *
    """
    return {
        Kind.MALFORMED: [
            Cause(
                "an empty line follows the status line of the error",
                got="^$",
                seen="an empty line comes",
                control=first,
            ),
            Cause("something follows the status line of the error", control=first),
        ],
        Kind.STATUS: Cause(
            "the status line of the error is followed by a second one", control=first, is_about_next=True
        ),
        Kind.EXTRA: Cause("something follows the status line of the error", control=first),
        Kind.CLOSED: Cause("the connection is closed after an error from 200 on; it has to go on", control=first),
        Kind.RESET: Cause("the connection is closed after an error from 200 on; it has to go on", control=first),
    }


ALONE_FATAL: Final[dict[Kind, Told]] = {
    Kind.EXTRA: [
        Cause("an empty line follows the status line of the error", got=r"^\\r\\n$", seen="an empty line comes"),
        "something follows the status line of the error",
    ],
    Kind.OPEN: LF_TAKEN[Kind.OPEN],
}
STAYS_OPEN: Final[dict[Kind, Told]] = {
    Kind.OPEN: "the connection stays open after a fatal error; it has to be closed after every status from 100 to 199",
    Kind.EXTRA: Cause(
        "what follows is still processed after a fatal error", got=SECOND_STATUS, seen="another status line comes"
    ),
}
_CLOSES: Final = [
    Cause(
        "the connection is closed after every reply; it has to go on until quit or a status from 100 to 199",
        control="""
        C: get_metadata {text}
        S: 0 *
        S: {text.size}
        <close>
        """,
    ),
    Cause(
        "the connection is closed after every error; from 200 on it has to go on",
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
CLOSES: Final[dict[Kind, Told]] = {Kind.CLOSED: _CLOSES, Kind.RESET: _CLOSES}


def lost(first: str, code: int) -> dict[Kind, Told]:
    """Return causes for a last reply that does not arrive because of what follows its command; `first` is that."""
    control = f"""
    C| {first}
    S: {code} *
    <close>
    """
    return {
        Kind.RESET: Cause(
            "the server closes with input unread, so the kernel sends RST, which destroys the reply:"
            " shut down the sending half, then read the rest until the client closes",
            control=control,
        ),
        Kind.EXTRA: Cause(
            "what stands behind the last command is executed", got=SECOND_STATUS, seen="another status line comes"
        ),
    }
