"""HFTP as a file system of fsspec: `hftp://HOST:PORT/NAME` wherever such URLs are understood.

A path is `HOST:PORT/NAME`: servers are the directories at the top, so one file system serves for all of them.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar, Final

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem
from fsspec.utils import isfilelike, stringify_path

from greenserver.client.address import Address, parse_address
from greenserver.client.client import Client
from greenserver.client.errors import AddressError, ChangedError, RefusedError
from greenserver.client.listing import Entry, directory_entry, entries_below, file_entry
from greenserver.client.options import Options
from greenserver.client.os_errors import as_os_errors, is_a_directory, missing, read_only
from greenserver.client.pool import ConnectionPool, pool_of

_OPTIONS: Final = frozenset(field.name for field in dataclasses.fields(Options))
_OF_FILES: Final = frozenset({"block_size", "cache_options", "cache_type"})
_OF_FSSPEC: Final = frozenset({"asynchronous", "listings_expiry_time", "loop", "max_paths", "use_listings_cache"})


class HftpFileSystem(AbstractFileSystem):
    """The files of HFTP servers, for reading.

    Storage options are the fields of `greenserver.client.Options`, and block_size, cache_type and cache_options for
    files that are opened without. Any number of threads may use it. What goes wrong is an OSError: FileNotFoundError,
    PermissionError for all that would write, ConnectionError, TimeoutError; OSError with ESTALE for a file that changed
    while it was read.
    """

    protocol = "hftp"
    is_tls: ClassVar = False

    def __init__(self, **storage_options: Any) -> None:  # noqa: ANN401  (one value per option)
        if unknown := sorted(storage_options.keys() - _OPTIONS - _OF_FILES - _OF_FSSPEC):
            known = ", ".join(sorted(_OPTIONS | _OF_FILES))
            message = f"unknown storage options: {', '.join(unknown)}; there are {known}"
            raise TypeError(message)
        self._of_files = {name: storage_options[name] for name in _OF_FILES & storage_options.keys()}
        self.options = Options(**{name: storage_options[name] for name in _OPTIONS & storage_options.keys()})
        of_fsspec = {name: storage_options[name] for name in _OF_FSSPEC & storage_options.keys()}
        super().__init__(**{"use_listings_cache": False} | of_fsspec)
        self._pools: dict[Address, ConnectionPool] = {}
        self._flat: set[Address] = set()  # servers with no directories, as those that follow the protocol have none

    # --- Paths ---------------------------------------------------------------------------------------

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:  # noqa: ANN401  (a path, or a list of them)
        """Return `HOST:PORT/NAME` for a URL, without the brackets of IPv6, which are a pattern; raise ValueError."""
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        text = stringify_path(path).removeprefix(f"{cls.protocol}::").removeprefix(f"{cls.protocol}://").rstrip("/")
        if not text:
            return ""
        server, slash, name = text.partition("/")
        address = _address(server, is_tls=cls.is_tls)
        return f"{address.host}:{address.port}{slash}{name}"

    def unstrip_protocol(self, name: str) -> str:
        """Return the URL of a path."""
        server, slash, rest = self._strip_protocol(name).partition("/")
        return f"{self.protocol}://{str(_address(server)) if server else ''}{slash}{rest}"

    def _split(self, path: str) -> tuple[Address, str]:
        """Return the server and the name on it, which is empty for the server itself."""
        server, _, name = self._strip_protocol(path).partition("/")
        if not server:
            message = f"name a server: {self.protocol}://HOST:PORT"
            raise ValueError(message)
        return _address(server, is_tls=self.is_tls), name

    @contextlib.contextmanager
    def _client(self, address: Address, path: str) -> Iterator[Client]:
        """Lend a client, and turn what it raises into OSError."""
        pool = self._pools.get(address) or self._pools.setdefault(address, pool_of(address, self.options))
        with as_os_errors(path), pool.client() as client:
            yield client

    def close_connections(self) -> None:
        """Close the connections that are idle now, rather than in a few seconds. They are made again when needed."""
        for pool in list(self._pools.values()):
            pool.close()

    # --- Listings ------------------------------------------------------------------------------------

    def info(self, path: str, **_: Any) -> Entry:  # noqa: ANN401  (of fsspec)
        """Return name, size and type of a file, or of a directory, which a server is."""
        path = self._strip_protocol(path)
        address, name = self._split(path)
        if not name:
            return directory_entry(path)
        try:
            with self._client(address, path) as client:
                return file_entry(path, client.size(name))
        except FileNotFoundError:
            if self._is_directory(address, name, path):
                return directory_entry(path)
            raise

    def _is_directory(self, address: Address, name: str, path: str) -> bool:
        """Return whether the server lists names that begin with this one and a slash."""
        if address in self._flat:
            return False
        is_flat = True
        with self._client(address, path) as client:
            for each in client.names():
                if each.startswith(f"{name}/"):
                    return True
                is_flat = is_flat and "/" not in each
        if is_flat:
            self._flat.add(address)
        return False

    def ls(
        self,
        path: str,
        detail: bool = True,  # noqa: FBT001, FBT002  (of fsspec)
        *,
        refresh: bool = False,
        sizes: bool = True,
        **_: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401  (entries, or their names)
        """List a directory. HFTP lists only names: each size is asked for, unless `sizes` is false and it is None."""
        path = self._strip_protocol(path)
        found: list[Entry] | None = None if refresh else self.dircache.get(path)
        if found is None or (detail and sizes and any(entry["size"] is None for entry in found)):
            found = self._list(path, with_sizes=detail and sizes)
            self.dircache[path] = found
        return found if detail else sorted(entry["name"] for entry in found)

    def _list(self, path: str, *, with_sizes: bool) -> list[Entry]:
        address, name = self._split(path)
        with self._client(address, path) as client:
            if name and (size := _size_if_any(client, name)) is not None:
                return [file_entry(path, size)]
            directories, files = entries_below(client.names(), name)
            if name and not directories and not files:
                raise missing(path)
            found = [directory_entry(f"{path}/{each}") for each in directories]
            for each in files:
                size = _size_if_any(client, f"{name}/{each}" if name else each) if with_sizes else None
                if size is not None or not with_sizes:  # else it is gone, or cannot be read
                    found.append(file_entry(f"{path}/{each}", size))
        return found

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget listings."""
        if path is None:
            self.dircache.clear()
        else:
            self.dircache.pop(self._strip_protocol(path), None)
        self._flat.clear()
        super().invalidate_cache(path)

    def walk(
        self,
        path: str,
        maxdepth: int | None = None,
        topdown: bool = True,  # noqa: FBT001, FBT002  (of fsspec)
        on_error: Any = None,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> Iterator[Any]:
        """Walk a tree. Unless told otherwise, raise if a server cannot be asked: that is not an empty directory."""
        kwargs.setdefault("sizes", kwargs.get("detail", False))
        return super().walk(path, maxdepth, topdown, on_error=on_error or _omit_missing, **kwargs)  # type: ignore[no-any-return]

    def find(self, path: str, maxdepth: int | None = None, withdirs: bool = False, **kwargs: Any) -> Any:  # noqa: ANN401, FBT001, FBT002
        """Find all files below a path; sizes are asked for with `detail` only."""
        kwargs.setdefault("sizes", kwargs.get("detail", False))
        return super().find(path, maxdepth, withdirs, **kwargs)

    def glob(self, path: str, maxdepth: int | None = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Find files by a pattern; sizes are asked for with `detail` only."""
        kwargs.setdefault("sizes", kwargs.get("detail", False))
        return super().glob(path, maxdepth, **kwargs)

    def modified(self, path: str) -> datetime:
        """Return the present time: HFTP tells none, and what was read before may be another file by now."""
        self.info(path)
        return datetime.now(tz=timezone.utc)

    def exists(self, path: str, **_: Any) -> bool:  # noqa: ANN401
        """Return whether there is such a file. Raise OSError if the server cannot be asked."""
        return self._type(path) is not None

    def isfile(self, path: str) -> bool:
        """Return whether this is a file. Raise OSError if the server cannot be asked."""
        return self._type(path) == "file"

    def isdir(self, path: str) -> bool:
        """Return whether this is a directory. Raise OSError if the server cannot be asked."""
        return self._type(path) == "directory"

    def _type(self, path: str) -> str | None:
        try:
            return str(self.info(path)["type"])
        except FileNotFoundError:
            return None

    # --- Content -------------------------------------------------------------------------------------

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **kwargs: Any) -> "HftpFile":  # noqa: ANN401
        if mode != "rb":
            raise read_only(path)
        given = {"block_size": block_size} | kwargs
        of_files = {
            name: self._of_files[name]
            for name in self._of_files
            if name != "cache_options" or not kwargs.get("cache_type")
        }
        chosen = of_files | {name: value for name, value in given.items() if value is not None}
        file = HftpFile(self, path, mode, **chosen)
        if kwargs.get("size") is None and file.details["type"] == "directory":
            raise is_a_directory(path)
        return file

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:  # noqa: ANN401
        """Return a file, or a part of it."""
        return self.read_part(path, start, end)

    def read_part(self, path: str, start: int | None, end: int | None, size: int | None = None) -> bytes:
        """Return a part of a file. Raise OSError if the file does not have `size` bytes, or another size afterwards."""
        path = self._strip_protocol(path)
        address, name = self._split(path)
        if not name:
            raise is_a_directory(path)
        with self._client(address, path) as client:
            whole = client.size(name) if size is None else size
            first, last, _ = slice(start, end).indices(whole)
            data = b"".join(map(bytes, client.views(name, first, max(first, last), whole)))
            if (now := client.size(name)) != whole:
                message = f"the file changed while it was read: it had {whole} bytes and has {now}"
                raise ChangedError(message)
            return data

    def get_file(
        self,
        rpath: str,
        lpath: Any = None,  # noqa: ANN401  (a path, or a file that is open)
        callback: Any = DEFAULT_CALLBACK,  # noqa: ANN401
        outfile: Any = None,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Fetch a file as `hftp get` does: in parts over several connections, and under its name once it is whole."""
        if outfile is not None or isfilelike(lpath):
            super().get_file(rpath, "", callback=callback, outfile=lpath if outfile is None else outfile, **kwargs)
            return
        info = self.info(rpath)
        local = Path(stringify_path(lpath))
        if info["type"] == "directory":
            local.mkdir(parents=True, exist_ok=True)
            return
        local.parent.mkdir(parents=True, exist_ok=True)
        callback.set_size(info["size"])
        lock = threading.Lock()

        def update(done: int, _size: int) -> None:
            with lock:
                callback.absolute_update(max(done, callback.value))

        address, name = self._split(rpath)
        with self._client(address, info["name"]) as client:
            client.download(name, local, on_progress=update)

    # --- What would write ----------------------------------------------------------------------------

    def _refuse(self, path: Any, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Raise PermissionError: HFTP only reads."""
        raise read_only(path)

    mkdir = makedirs = rmdir = touch = cp_file = rm_file = _rm = _refuse


class HftpsFileSystem(HftpFileSystem):
    """The same through TLS."""

    protocol = "hftps"
    is_tls = True


class HftpFile(AbstractBufferedFile):
    """A file that is open for reading, with a cache of blocks. The file has its size after each of them."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self.fs.read_part(self.path, start, end, self.size)  # type: ignore[no-any-return]


def _address(server: str, *, is_tls: bool = False) -> Address:
    """Parse HOST, HOST:PORT, [V6]:PORT or, as in our own paths, V6:PORT."""
    host, _, port = server.rpartition(":")
    if ":" in host and not server.startswith("["):
        server = f"[{host}]:{port}"
    address = parse_address(server)
    if not address.host:
        message = f"{server!r} has no host"
        raise AddressError(message)
    return dataclasses.replace(address, is_tls=is_tls)


def _size_if_any(client: Client, name: str) -> int | None:
    """Return the size of a file, None if there is no such file or it cannot be read."""
    try:
        return client.size(name)
    except RefusedError:
        return None


def _omit_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
