"""The read tests of fsspec itself pass: all of `get`, on a server that lists paths.

The others that fsspec.tests.abstract has write to the file system: those of copy, mv, open, pipe and put.
"""

import posixpath
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

from greenserver.client.filesystem import HftpFileSystem
from tests.greenserver.client.scripted import serving
from tests.greenserver.client.tree import tree

pytestmark = pytest.mark.once


class _Prepared(HftpFileSystem):
    """The file system, but what would write changes the served directory: fsspec's tests make their files so."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root
        self._local = LocalFileSystem(auto_mkdir=True)

    def _there(self, path: str) -> str:
        return str(self._root / self._strip_protocol(path).partition("/")[2])

    def mkdir(self, path: str, **_: object) -> None:
        self._local.makedirs(self._there(path), exist_ok=True)

    def makedirs(self, path: str, **_: object) -> None:
        self.mkdir(path)

    def touch(self, path: str, **_: object) -> None:
        self._local.touch(self._there(path))

    def pipe(self, path: str, value: bytes, **_: object) -> None:
        self._local.pipe(self._there(path), value)

    def rm(self, path: str, *, recursive: bool = False) -> None:
        self._local.rm(self._there(path), recursive=recursive)


class TestGet(AbstractFixtures, AbstractGetTests):  # type: ignore[misc]  # fsspec has no types
    """What fsspec expects of `get`, and so of `find`, `glob`, `info`, `isdir` and `ls`."""

    @pytest.fixture
    def served(self, tmp_path: Path) -> Path:
        """Return the directory that is served."""
        path = tmp_path / "served"
        path.mkdir()
        return path

    @pytest.fixture
    def fs_path(self, served: Path) -> Iterator[str]:
        """Return the path of a server."""
        with serving(tree(served)) as address:
            yield address

    @pytest.fixture
    def fs(self, served: Path) -> Iterator[HftpFileSystem]:
        """Return the file system."""
        fs = _Prepared(served, skip_instance_cache=True)  # type: ignore[call-arg]  # its metaclass takes it
        yield fs
        fs.close_connections()

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        """Return what joins paths."""
        return posixpath.join

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        """Tell fsspec's tests that a directory is there as long as a file is in it."""
        return False

    @pytest.fixture
    def local_fs(self) -> LocalFileSystem:
        """Return where to: that of older releases is a fixture of a kind that pytest warns of."""
        return LocalFileSystem(auto_mkdir=True)

    @pytest.fixture
    def local_path(self, tmp_path: Path) -> str:
        """Return a directory to fetch to."""
        return str(tmp_path)
