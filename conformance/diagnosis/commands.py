"""Causes shared by several scenarios about commands."""

from typing import Final

from conformance.diagnosis import controls
from conformance.diagnosis.lines import BARE_LF, SECOND_STATUS, unanswered
from conformance.failures import Kind
from conformance.model.likely_causes import Cause, CauseSpec


def similar(text: str) -> dict[Kind, CauseSpec]:
    """Return causes for a line that only looks like a command, but is executed as one."""
    return {Kind.STATUS: Cause(text, control=controls.UNKNOWN_IS_200)}


BY_METHOD: Final = Cause(
    "commands are looked up among all methods or variables (getattr(self, name), globals()): use a table of commands",
    control=controls.UNKNOWN_IS_200,
)
ANY_CASE: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: Cause(
        "commands are compared case-insensitively: commands are lower case", control=controls.UNKNOWN_IS_200
    )
}
TOO_FEW: Final[dict[Kind, CauseSpec]] = {
    **unanswered(
        "a missing argument closes the connection without a reply: check the number of arguments before using them"
    ),
    Kind.GONE: "a missing argument crashes the server: check the number of arguments before using them",
    Kind.STATUS: [
        Cause(
            "the command is recognized only with all its arguments: compare only its name",
            codes=(200,),
            control=controls.NUMBERS_ARE_CHECKED,
        ),
        Cause("a missing argument gets a default value: check the number of arguments", codes=(0,)),
    ],
}
TOO_MANY: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: [
        Cause("extra arguments are ignored: check the number of arguments", codes=(0,)),
        Cause(
            "with an extra argument the command is not recognized: compare only its name, not the whole line",
            codes=(200,),
            control=controls.NUMBERS_ARE_CHECKED,
        ),
        Cause(
            "the rest of the line, including spaces, is used as the file name, or extra arguments are ignored",
            codes=(202,),
            control=controls.MISSING_IS_202,
        ),
    ],
    **unanswered(
        "an extra argument closes the connection without a reply: check the number of arguments before using them"
    ),
    Kind.GONE: "an extra argument crashes the server: check the number of arguments before using them",
}
NOT_FOUND: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: [
        Cause("a missing file is reported as a server error (199) instead of 202", codes=(199,)),
        Cause("a missing file is reported as an invalid argument (201) instead of 202", codes=(201,)),
        Cause("a missing file is treated as an empty file", codes=(203,)),
    ],
    **unanswered("a missing file closes the connection without a reply: catch the error from open() and answer 202"),
    Kind.GONE: "a missing file crashes the server: catch the error from open() and answer 202",
}
NEARLY_FOUND: Final[dict[Kind, CauseSpec]] = NOT_FOUND | {
    Kind.STATUS: Cause("a name that only partly matches a file name is accepted: compare the whole name", codes=(0,))
}


def order(line: str, code: int) -> dict[Kind, CauseSpec]:
    """Return causes for a line with several errors, of which `code` has to be reported."""
    alone = line.replace(controls.MISSING, "{text}").replace("{text.size+1}", "0").replace("1000000", "0")
    control = f"""
    C: {alone}
    S: {code} *
    """
    if code == 202:  # noqa: PLR2004  (a code of the protocol)
        text = "the range is checked before the file exists, or a missing file is treated as an empty one"
        return {Kind.STATUS: Cause(text, codes=(203,))}
    return {
        Kind.STATUS: [
            Cause("the file is looked up before the form of the arguments is checked", codes=(202,), control=control),
            Cause("the range is checked before the form of the arguments", codes=(203,), control=control),
            Cause("the arguments are checked before the command", codes=(201,)),
        ]
    }


CANNOT_READ: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: [
        Cause("a file that cannot be opened is reported as missing; it is a server error (199)", codes=(202,)),
        Cause(
            "get_metadata succeeds for a file that cannot be read: stat() needs no read permission",
            codes=(0,),
        ),
    ],
    **unanswered("a file that cannot be opened closes the connection without a reply: catch the error and answer 199"),
    Kind.GONE: "a file that cannot be opened crashes the server: catch the error and answer 199",
}
HELP: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: Cause("help is not implemented", codes=(200,)),
    Kind.TIMEOUT: Cause(
        "the empty line after the names is missing",
        control="""
        C: help
        S: 0 *
        S: *
        """,
    ),
    Kind.MALFORMED: Cause(
        "the names end in a bare LF; every line ends in CR LF", got=BARE_LF, seen="a line ends in a bare LF"
    ),
}
HELP_ARGUMENTS: Final[dict[Kind, CauseSpec]] = {Kind.STATUS: Cause("the arguments of help are ignored", codes=(0,))}

# --- quit --------------------------------------------------------------------------------------------

_QUIT_LINE: Final = Cause("an empty line follows the reply to quit", got=r"^\\r\\n$", seen="an empty line was received")
_QUIT_TWICE: Final = Cause("quit gets more than one reply", got=SECOND_STATUS, seen="another status line was received")
_QUIT_EXECUTES: Final = Cause(
    "commands after quit in the same packet are executed",
    got=SECOND_STATUS,
    seen="another status line was received",
    control="""
    C: quit
    S: 0 *
    <close>
    """,
)
QUIT: Final[dict[Kind, CauseSpec]] = {
    Kind.OPEN: "the connection stays open after quit: the server has to close it",
    Kind.EXTRA: [_QUIT_LINE, _QUIT_TWICE],
}
QUIT_ALONE: Final[dict[Kind, CauseSpec]] = QUIT | {
    Kind.CLOSED: "quit closes the connection without a reply",
    Kind.RESET: "quit closes the connection without a reply",
}
QUIT_FIRST: Final[dict[Kind, CauseSpec]] = QUIT_ALONE | {Kind.EXTRA: [_QUIT_LINE, _QUIT_EXECUTES, _QUIT_TWICE]}
QUIT_ARGUMENT: Final[dict[Kind, CauseSpec]] = QUIT | {
    Kind.STATUS: [
        Cause(
            "the arguments of quit are ignored",
            codes=(0,),
            expected="^201",
            seen="quit with an argument was answered this way",
        ),
        Cause(
            "the whole line is compared with quit: compare only the command",
            codes=(200,),
            expected="^201",
            seen="quit with an argument was answered this way",
        ),
    ]
}
