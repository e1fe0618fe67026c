"""Read the names that a server lists as paths: HFTP has no directories, but some servers list what is in theirs."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from greenserver.client.partial_file import is_safe

Entry: TypeAlias = dict[str, Any]
"""What fsspec wants to know of a file or directory: its name, size and type."""


def file_entry(path: str, size: int | None) -> Entry:
    """Return the entry of a file; its size may not be known."""
    return {"name": path, "size": size, "type": "file"}


def directory_entry(path: str) -> Entry:
    """Return the entry of a directory."""
    return {"name": path, "size": 0, "type": "directory"}


def entries_below(names: Iterable[str], directory: str = "") -> tuple[list[str], list[str]]:
    """Return the names of the directories and of the files in a directory, without those that no file here may have.

    >>> entries_below(["a.csv", "2025/b.csv", "2025/c/d.csv", "../e", "f g", ""])
    (['2025'], ['a.csv'])
    >>> entries_below(["a.csv", "2025/b.csv", "2025/c/d.csv"], "2025")
    (['c'], ['b.csv'])
    """
    directories: dict[str, None] = {}
    files: dict[str, None] = {}
    prefix = f"{directory}/" if directory else ""
    for name in names:
        if not name.startswith(prefix):
            continue
        first, slash, rest = name.removeprefix(prefix).partition("/")
        if is_safe(first) and all(map(is_safe, rest.split("/") if slash else ())):
            (directories if slash else files)[first] = None
    return [*directories], [name for name in files if name not in directories]
