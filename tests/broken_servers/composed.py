"""Servers that are put together from planted bugs: one bug in another style, or several bugs in one server.

`number-by-int@loop` is a bug in the style `loop`, `number-by-int+path-joined` a server with both, and
`number-by-int+path-joined@forks` the same in another style.
"""

from collections.abc import Iterable, Sequence

from tests.broken_servers.all_bugs import BUGS, STYLES
from tests.broken_servers.bug import Bug
from tests.broken_servers.commands import DIALECTS, Commands


class ComposedError(ValueError):
    """Bugs do not go together, or a name is unknown; the message says which."""


def style_of(bug: Bug) -> str:
    """Return the name of the style that a bug is served in, or that its own style derives from; empty if of none."""
    return next((name for name, style in STYLES.items() if issubclass(bug.style, style)), "")


def has_free_style(bug: Bug) -> bool:
    """Tell whether a bug is in the commands, so that any style can serve it."""
    return bug.commands is not Commands


def composed(name: str) -> Bug:
    """Return the server of a name; raise ComposedError."""
    names, _, style = name.partition("@")
    bugs = []
    for each in names.split("+"):
        if each not in BUGS:
            message = f"no such bug: {each}"
            raise ComposedError(message)
        bugs.append(BUGS[each])
    if len(bugs) == 1 and not style:
        return bugs[0]
    fixed = [bug for bug in bugs if not has_free_style(bug)]
    if style and (fixed or style not in STYLES):
        message = f"{name}: no such style, or a bug that is a style of its own"
        raise ComposedError(message)
    if len(fixed) > 1:
        message = f"{name}: two styles"
        raise ComposedError(message)
    dialects = tuple(dialect for dialect in DIALECTS if all(dialect in bug.dialects for bug in bugs))
    if not dialects:
        message = f"{name}: no dialect that all have"
        raise ComposedError(message)
    served = STYLES[style] if style else fixed[0].style if fixed else bugs[0].style
    sentence = " ".join(bug.sentence for bug in bugs)
    return Bug(name, sentence, served, _commands(name, bugs), dialects, bugs[0].requirement)


def _commands(name: str, bugs: Iterable[Bug]) -> type[Commands]:
    """Return commands with the mistakes of several bugs."""
    bases = [bug.commands for bug in bugs if has_free_style(bug)]
    if len(bases) < 2:
        return bases[0] if bases else Commands
    clashes = [
        method
        for number, base in enumerate(bases)
        for other in bases[number + 1 :]
        for method in _methods(base) & _methods(other)
    ]
    if clashes:
        message = f"{name}: the bugs replace the same method, {clashes[0]}"
        raise ComposedError(message)
    return type("Composed", tuple(bases), {})


def _methods(commands: type[Commands]) -> set[str]:
    """Return what a class and its bases replace of the correct commands."""
    bases: Sequence[type] = commands.__mro__[: commands.__mro__.index(Commands)]
    return {name for base in bases for name in vars(base) if not name.startswith("__") or name == "__init__"}
