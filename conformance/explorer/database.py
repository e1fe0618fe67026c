"""Keep the conversations that exploring has found, so that the next exploration of the same server begins with them.

A folder for each server below the user's cache directory, and a file of JSON for each conversation; see the XDG Base
Directory Specification, https://specifications.freedesktop.org/basedir-spec/latest/.
"""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from conformance.config import PROGRAM, Options
from conformance.explorer.conversation import Conversation, ConversationError, loads
from conformance.failures import UsageError
from conformance.language import Message

MOST_KEPT: Final = 20
"""How many conversations are kept of a server: the newest."""
_MOST_BYTES: Final = 1 << 20
_PRIVATE: Final = 0o700


class DatabaseError(UsageError):
    """The database cannot be written; the message is one line."""


class Database:
    """The conversations of one server, in a folder that may be missing; what cannot be kept is not kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def require(self) -> None:
        """Make the folder; raise DatabaseError."""
        try:
            self._folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        except OSError as error:
            message = Message("cannot write {path}: {strerror}", path=self._folder, strerror=error.strerror)
            raise DatabaseError(message) from error

    def conversations(self) -> list[Conversation]:
        """Return what is kept, the newest first; leave out what cannot be read."""
        found: list[Conversation] = []
        for path in self._files():
            with contextlib.suppress(OSError, ConversationError, UnicodeDecodeError):
                if path.stat().st_size <= _MOST_BYTES:
                    found.append(loads(path.read_text(encoding="utf-8")))
        return found

    def keep(self, conversation: Conversation) -> None:
        """Keep a conversation, or make it the newest, and remove the oldest ones beyond the limit."""
        text = conversation.dumps()
        path = self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
        unfinished = path.with_suffix(f".unfinished-{os.getpid()}")
        with contextlib.suppress(OSError, DatabaseError):
            self.require()
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(path)
            for old in self._files()[MOST_KEPT:]:
                old.unlink()

    def _files(self) -> list[Path]:
        """Return the files of conversations, the newest first."""
        found: list[tuple[int, Path]] = []
        with contextlib.suppress(OSError):
            for path in self._folder.glob("*.json"):
                with contextlib.suppress(OSError):  # another exploration removes it
                    found.append((path.stat().st_mtime_ns, path))
        return [path for _, path in sorted(found, reverse=True)]


def database_of(options: Options, folder: Path | None = None) -> Database:
    """Return the database of the server that the options name, below `folder` or the user's cache directory."""
    where = str(Path(options.cwd or ".").resolve()) if options.serve else ""
    server = f"{options.serve}\0{options.address}\0{where}"
    return Database((folder or default_folder()) / hashlib.sha256(server.encode()).hexdigest()[:16])


def default_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where conversations are kept unless --database names a folder."""
    cache = environment.get("XDG_CACHE_HOME", "")
    above = Path(cache) if Path(cache).is_absolute() else Path("~/.cache").expanduser()
    return above / PROGRAM / "explored"
