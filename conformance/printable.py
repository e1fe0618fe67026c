"""Make text harmless to show: whatever a server or a recording contains, it does nothing to a terminal or a page."""


def printable(text: str, keep: str = "") -> str:
    r"""Return text with every character that is not printable escaped, as \x1b or \u202e, except those of `keep`.

    Not printable are control characters (C0, DEL, C1), format characters (bidirectional overrides and isolates among
    them), separators other than the space, lone surrogates, and unassigned characters: all that `str.isprintable` says.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """Return text of several lines: as `printable`, but line feeds and tabs are kept."""
    return printable(text, keep="\n\t")
