"""Standard streams that are closed, full or of any encoding do not disturb a server."""

import contextlib
import os
import sys
from typing import TextIO

import click

from greenserver.io.descriptors import is_open


def open_closed() -> None:
    """Open /dev/null for each standard stream that is closed, so that no socket gets its descriptor.

    What is written to standard error would go to a client otherwise. Call this before anything else opens a file.

    Raise OSError if /dev/null cannot be opened.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if not is_open(number):
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is this one
            os.set_inheritable(descriptor, True)  # noqa: FBT003  (the standard library takes it by position)
            setattr(sys, name, os.fdopen(descriptor, "w" if number else "r", closefd=False))


def print_line(line: str, *, to_errors: bool = False) -> None:
    """Print a line, escaping what cannot be printed, such as the bytes of a path that are not text.

    Raise OSError if it cannot be written.
    """
    stream: TextIO = sys.stderr if to_errors else sys.stdout
    shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in line)
    encoding = getattr(stream, "encoding", None) or "ascii"
    click.echo(shown.encode(encoding, "backslashreplace").decode(encoding), file=stream)


def give_up_output() -> None:
    """Let standard output lead nowhere, after a write to it failed: the interpreter writes the rest on exit."""
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(descriptor, sys.stdout.fileno())
        os.close(descriptor)
