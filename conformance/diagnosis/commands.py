"""Causes that several scenarios of commands share."""

from typing import Final

from conformance.diagnosis import controls
from conformance.diagnosis.lines import BARE_LF, SECOND_STATUS, unanswered
from conformance.failures import Kind
from conformance.model.causes import Cause, Told


def similar(text: str) -> dict[Kind, Told]:
    """Return causes for a line that is taken for a command, although it only looks like one."""
    return {Kind.STATUS: Cause(text, control=controls.UNKNOWN_IS_200)}


BY_METHOD: Final = Cause(
    "commands are looked up by name among all methods or variables (getattr(self, name), globals()), not in a table",
    control=controls.UNKNOWN_IS_200,
)
ANY_CASE: Final[dict[Kind, Told]] = {
    Kind.STATUS: Cause(
        "commands are compared without regard to case: they are lower case", control=controls.UNKNOWN_IS_200
    )
}
TOO_FEW: Final[dict[Kind, Told]] = {
    **unanswered("a missing argument ends the connection without a reply: count the arguments before they are used"),
    Kind.GONE: "a missing argument ends the server's process: count the arguments before they are used",
    Kind.STATUS: [
        Cause(
            "without all its arguments the command is not known: compare its name alone",
            codes=(200,),
            control=controls.NUMBERS_ARE_CHECKED,
        ),
        Cause("a missing argument is replaced by something: count the arguments", codes=(0,)),
    ],
}
TOO_MANY: Final[dict[Kind, Told]] = {
    Kind.STATUS: [
        Cause("arguments after the last one that is needed are ignored: count them", codes=(0,)),
        Cause(
            "with an argument too many the command is not known: compare its name alone, not the whole line",
            codes=(200,),
            control=controls.NUMBERS_ARE_CHECKED,
        ),
        Cause(
            "all that follows the command is taken for the name, spaces included, or arguments after it are ignored",
            codes=(202,),
            control=controls.MISSING_IS_202,
        ),
    ],
    **unanswered("an argument too many ends the connection without a reply: count the arguments before they are used"),
    Kind.GONE: "an argument too many ends the server's process: count the arguments before they are used",
}
NOT_FOUND: Final[dict[Kind, Told]] = {
    Kind.STATUS: [
        Cause("a missing file is taken for a failure of the server (199); it has a code of its own, 202", codes=(199,)),
        Cause("a missing file is taken for a wrong argument (201); it has a code of its own, 202", codes=(201,)),
        Cause("a missing file is taken for an empty one", codes=(203,)),
    ],
    **unanswered("a missing file ends the connection without a reply: catch the error of opening it, and answer 202"),
    Kind.GONE: "a missing file ends the server's process: catch the error of opening it, and answer 202",
}
NEARLY_FOUND: Final[dict[Kind, Told]] = NOT_FOUND | {
    Kind.STATUS: Cause("a name is taken for that of a file if a part of it is", codes=(0,))
}


def order(said: str, code: int) -> dict[Kind, Told]:
    """Return causes for a line with several mistakes, of which this code tells; `said` is the line."""
    alone = said.replace(controls.MISSING, "{text}").replace("{text.size+1}", "0").replace("1000000", "0")
    control = f"""
    C: {alone}
    S: {code} *
    """
    if code == 202:  # noqa: PLR2004  (a code of the protocol)
        text = "the range is checked before the file is looked for, or a missing file is taken for an empty one"
        return {Kind.STATUS: Cause(text, codes=(203,))}
    return {
        Kind.STATUS: [
            Cause("the file is looked for before the form of all arguments is checked", codes=(202,), control=control),
            Cause("the range is checked before the form of all arguments", codes=(203,), control=control),
            Cause("the arguments are checked before the command is known", codes=(201,)),
        ]
    }


CANNOT_READ: Final[dict[Kind, Told]] = {
    Kind.STATUS: [
        Cause("a file that cannot be opened is taken for a missing one; that is a failure of the server", codes=(202,)),
        Cause(
            "the size of a file is told of which no bytes can be had: stat() needs no permission to read it",
            codes=(0,),
        ),
    ],
    **unanswered("a file that cannot be opened ends the connection without a reply: catch the error, and answer 199"),
    Kind.GONE: "a file that cannot be opened ends the server's process: catch the error, and answer 199",
}
HELP: Final[dict[Kind, Told]] = {
    Kind.STATUS: Cause("help is not known", codes=(200,)),
    Kind.TIMEOUT: Cause(
        "the names are not followed by an empty line",
        control="""
        C: help
        S: 0 *
        S: *
        """,
    ),
    Kind.MALFORMED: Cause(
        "the names end in LF alone; every line ends in CR LF", got=BARE_LF, seen="a line ends in LF alone"
    ),
}
HELP_ARGUMENTS: Final[dict[Kind, Told]] = {Kind.STATUS: Cause("the arguments of help are ignored", codes=(0,))}

# --- quit --------------------------------------------------------------------------------------------

_QUIT_LINE: Final = Cause("an empty line follows the reply to quit", got=r"^\\r\\n$", seen="an empty line comes")
_QUIT_TWICE: Final = Cause("quit gets more than one reply", got=SECOND_STATUS, seen="another status line comes")
_QUIT_EXECUTES: Final = Cause(
    "what follows quit in the same packet is executed",
    got=SECOND_STATUS,
    seen="another status line comes",
    control="""
    C: quit
    S: 0 *
    <close>
    """,
)
QUIT: Final[dict[Kind, Told]] = {
    Kind.OPEN: "quit is answered, and the connection stays open: the server has to close it",
    Kind.EXTRA: [_QUIT_LINE, _QUIT_TWICE],
}
QUIT_ALONE: Final[dict[Kind, Told]] = QUIT | {
    Kind.CLOSED: "quit closes the connection without a reply",
    Kind.RESET: "quit closes the connection without a reply",
}
QUIT_FIRST: Final[dict[Kind, Told]] = QUIT_ALONE | {Kind.EXTRA: [_QUIT_LINE, _QUIT_EXECUTES, _QUIT_TWICE]}
QUIT_ARGUMENT: Final[dict[Kind, Told]] = QUIT | {
    Kind.STATUS: [
        Cause(
            "the arguments of quit are ignored",
            codes=(0,),
            expected="^201",
            seen="it is answered although it has an argument",
        ),
        Cause(
            "quit is compared with the whole line: compare the command alone",
            codes=(200,),
            expected="^201",
            seen="it is answered although it has an argument",
        ),
    ]
}
