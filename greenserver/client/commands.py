"""What each command of `hftp` does, with a client and an output."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from greenserver.client.client import Client
from greenserver.client.errors import (
    ChangedError,
    DifferentError,
    Exit,
    HftpError,
    LocalError,
    RemoteProtocolError,
    exit_status,
)
from greenserver.client.output import Output, explaining_output, shown
from greenserver.client.partial_file import is_safe
from greenserver.client.progress import TransferProgress

Answer = TypeVar("Answer")

_MEMORY_BYTES: Final = 1 << 20
"""How much of a listing is held in memory while it is worked on."""
_ENDING: Final = frozenset({Exit.UNREACHABLE, Exit.LOCAL, Exit.USAGE})
"""After these, the other files would fail, too."""


class Job(NamedTuple):
    """What all commands work with."""

    client: Client
    output: Output
    names: tuple[str, ...]


class Wanted(NamedTuple):
    """What is fetched, where to, and what it must be."""

    folder: Path
    file: Path | None = None
    """Instead of the folder and the name of the file."""
    is_hashed: bool = False
    digest: str = ""
    """The SHA-256 of the only file."""
    digests: Mapping[str, str] | None = None
    """Of those that are listed in a file."""

    def path(self, name: str) -> Path:
        """Return where a file goes. Raise RemoteProtocolError for a name that is not one of a file."""
        if self.file is not None:
            return self.file
        if not is_safe(name):
            message = "not a safe name for a file; `hftp get --output FILE` gives it another one"
            raise RemoteProtocolError(message)
        return self.folder / name

    def sha256(self, name: str) -> str | None:
        """Return what the digest must be: "" if anything, None if nobody wants to know. Raise DifferentError."""
        if self.digests is not None and name not in self.digests:
            message = "not in the list of SHA-256 digests"
            raise DifferentError(message)
        known = (self.digests or {}).get(name, self.digest)
        return known or ("" if self.is_hashed else None)


def ls(job: Job, *, is_long: bool) -> None:
    """Print the names of the files, in the order of the server, or those that are given."""
    if job.names or is_long:
        for name in job.names or _spooled(job.client):
            _each(job, name, lambda name: _print_size(job, name, is_long=is_long))
        return
    for batch in job.client.name_batches():
        job.output.names([name.decode("utf-8", "surrogateescape") for name in batch])


def _print_size(job: Job, name: str, *, is_long: bool) -> None:
    size = _ask(job.client.size, name)
    job.output.result(f"{size:>12}  {name}" if is_long else name, name=name, size=size)


def stat(job: Job) -> None:
    """Print the size of files; without names, what is known of the server."""
    if job.names:
        for name in job.names:
            _each(job, name, lambda name: _print_size(job, name, is_long=True))
        return
    dialect = job.client.dialect() or "2019 or older"
    job.output.result(f"{job.client.address}: dialect {dialect}", address=str(job.client.address), dialect=dialect)


def cat(job: Job, offset: int, size: int | None) -> None:
    """Write files, or a part of each, to standard output."""
    for name in job.names:
        whole = _ask(job.client.size, name)
        end = whole if size is None else offset + size
        for data in job.client.views(name, offset, end, whole):
            with explaining_output():
                sys.stdout.buffer.write(data)
        if job.client.size(name) != whole:
            message = f"{name} changed while it was fetched; what was written may be a mixture"
            raise ChangedError(message)


def get(job: Job, wanted: Wanted) -> None:
    """Fetch files."""
    with TransferProgress(is_wanted=not (job.output.is_quiet or job.output.is_json)) as progress:
        for name in job.names:
            _each(job, name, lambda name: _download(job, name, wanted, progress))


def mirror(job: Job, wanted: Wanted, *, is_forced: bool) -> None:
    """Fetch all files of the listing whose size is another one here, or those that are given."""
    try:
        wanted.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot make {wanted.folder}: {error.strerror}"
        raise LocalError(message) from error

    def fetch(name: str) -> None:
        path = wanted.path(name)
        if not is_forced and _local_size(path) == job.client.size(name):
            job.output.note(f"{name}: there already", name=name, path=str(path), skipped=True)
            return
        _download(job, name, wanted, progress)

    with TransferProgress(is_wanted=not (job.output.is_quiet or job.output.is_json)) as progress:
        for name in job.names or _spooled(job.client):
            _each(job, name, fetch)


def verify(job: Job, wanted: Wanted) -> None:
    """Compare what the server sends with the files here, or with a list of digests."""
    for name in job.names or wanted.digests or _spooled(job.client):
        _each(job, name, lambda name: _verify(job, name, wanted))


def _download(job: Job, name: str, wanted: Wanted, progress: TransferProgress) -> None:
    path, sha256 = wanted.path(name), wanted.sha256(name)
    got = _ask(lambda name: job.client.download(name, path, sha256=sha256, on_progress=progress.of(shown(name))), name)
    fields = got._asdict() | {"path": str(got.path)}
    if wanted.is_hashed:
        job.output.result(f"{got.sha256}  {name}", **fields)
    else:
        resumed = f", of which {got.size - got.fetched_bytes} were there" if got.fetched_bytes < got.size else ""
        job.output.note(f"{path}: {got.size} bytes in {got.seconds:.2f} s{resumed}", **fields)


def _verify(job: Job, name: str, wanted: Wanted) -> None:
    size = _ask(job.client.size, name)
    views = job.client.views(name, 0, size, size)
    if wanted.digests is not None:
        import hashlib  # noqa: PLC0415  (not needed by most)

        expected, digest = wanted.sha256(name), hashlib.sha256()
        for data in views:
            digest.update(data)
        if digest.hexdigest() != expected:
            message = f"the SHA-256 is {digest.hexdigest()} instead of {expected}"
            raise DifferentError(message)
    else:
        _compare(wanted.path(name), size, views)
    job.output.note(f"{name}: the same", name=name, size=size, same=True)


def _compare(path: Path, size: int, views: Iterable[bytes | memoryview]) -> None:
    """Raise DifferentError unless a local file has this content."""
    there = _local_size(path)
    if there != size:
        message = "not here" if there is None else f"it has {there} bytes here, and {size} on the server"
        raise DifferentError(message)
    position = 0
    try:
        with path.open("rb", buffering=0) as file:
            for data in views:
                local = os.pread(file.fileno(), len(data), position)
                if local != data:
                    pairs = enumerate(zip(local, data, strict=False))
                    first = next((index for index, (ours, theirs) in pairs if ours != theirs), len(local))
                    message = f"it differs from byte {position + first} on"
                    raise DifferentError(message)
                position += len(data)
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise LocalError(message) from error


def _local_size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _each(job: Job, name: str, work: Callable[[str], None]) -> None:
    """Do something with a file; report what goes wrong, and go on with others if that is of use."""
    try:
        work(name)
    except HftpError as error:
        job.output.error(error, name)
        if exit_status(error) in _ENDING:
            raise EndedError from error


def _ask(function: Callable[[str], Answer], name: str) -> Answer:
    """Call a function with a name; raise RemoteProtocolError for one that no request can contain."""
    try:
        return function(name)
    except ValueError as error:
        if isinstance(error, HftpError):
            raise
        message = "no request can contain this name"
        raise RemoteProtocolError(message) from error


class EndedError(Exception):
    """The error was reported, and the command cannot go on."""


def _spooled(client: Client) -> Iterator[str]:
    """Yield names once the whole listing is there, of which only the first part is in memory."""
    with tempfile.SpooledTemporaryFile(_MEMORY_BYTES, mode="w+b") as spool:
        try:
            for batch in client.name_batches():
                spool.write(b"\n".join(batch) + b"\n")
            spool.seek(0)
            while line := spool.readline():
                yield line[:-1].decode("utf-8", "surrogateescape")
        except OSError as error:
            message = f"cannot keep the listing in {tempfile.gettempdir()}: {error.strerror}"
            raise LocalError(message) from error
