"""On a file system that finds files by several names, a file is served by the name that is listed, and no other."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenserver.files import exact_names
from greenserver.files.exact_names import ExactNames
from greenserver.files.needs_disk import NeedsDiskError
from greenserver.files.store import FileStore
from tests.greenserver.launching import find_program


@pytest.fixture
def exfat(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of exFAT. Skip the test where that cannot be done, and say why."""
    mount, make, losetup = (find_program(name) for name in ("mount.exfat-fuse", "mkfs.exfat", "losetup"))
    image, place = tmp_path / "image", tmp_path / "mounted"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    with contextlib.ExitStack() as stack:
        try:
            run(make, image)
            device = run(losetup, "--find", "--show", image)
            stack.callback(run, losetup, "--detach", device)
            run(mount, device, place)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"exFAT cannot be mounted here: {error.stderr.strip() or error}")
        stack.callback(run, "umount", place)
        yield place


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()


@pytest.mark.once
@pytest.mark.parametrize("is_empty_at_first", [False, True])
def test_exfat_serves_what_is_listed(exfat: Path, *, is_empty_at_first: bool) -> None:
    (exfat / "12").write_bytes(b"no letters")
    if not is_empty_at_first:
        (exfat / "Readme.txt").write_bytes(b"text")
    with FileStore(exfat) as store:
        (exfat / "Readme.txt").write_bytes(b"text")
        for name in ("README.TXT", "readme.txt", "Readme.txt.", "12."):
            with pytest.raises(FileNotFoundError):
                store.size(name)
            with pytest.raises(FileNotFoundError):
                store.slice(name, 0, 1)
        assert sorted(store.names()) == ["12", "Readme.txt"]
        assert (store.size("Readme.txt"), store.size("12")) == (4, 10)
        assert store.read("Readme.txt", 0, 4) == b"text"
        with pytest.raises(NeedsDiskError):
            store.in_memory.size("Readme.txt")
        (exfat / "Readme.txt").rename(exfat / "README.TXT")
        assert store.size("README.TXT") == 4, "a new name is there at once"


def open_directory(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


@pytest.mark.parametrize("names", [["one"], ["one", "ONE"], ["12", "a"]])
def test_a_usual_file_system_is_asked_once(tmp_path: Path, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in names:
        (tmp_path / name).touch()
    directory = open_directory(tmp_path)
    found = ExactNames(directory)
    assert not found.must_check
    monkeypatch.setattr(exact_names, "_names", lambda _: pytest.fail("it is read again"))
    assert all(found.has(directory, name) for name in names)
    os.close(directory)


def test_it_is_tried_with_the_first_name_that_has_letters(tmp_path: Path) -> None:
    directory = open_directory(tmp_path)
    (tmp_path / "12").touch()
    found = ExactNames(directory)
    verdicts = [found.must_check]
    assert found.has(directory, "12")
    verdicts.append(found.must_check)
    (tmp_path / "one").touch()
    assert found.has(directory, "one")
    assert [*verdicts, found.must_check] == [True, True, False]
    os.close(directory)


def test_a_directory_that_cannot_be_read_hides_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_directory: int) -> list[str]:
        raise PermissionError

    (tmp_path / "one").touch()
    directory = open_directory(tmp_path)
    monkeypatch.setattr(exact_names, "_names", refuse)
    found = ExactNames(directory)
    assert found.must_check
    assert found.has(directory, "one")
    os.close(directory)


def test_the_names_are_read_again_for_a_name_that_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a file system without upper and lower case, for systems where none can be mounted."""
    real = os.lstat

    def lstat(name: str, *, dir_fd: int) -> os.stat_result:
        (found,) = (each for each in os.listdir(tmp_path) if each.lower() == name.lower())
        return real(found, dir_fd=dir_fd)

    (tmp_path / "One").touch()
    monkeypatch.setattr(os, "lstat", lstat)
    directory = open_directory(tmp_path)
    found = ExactNames(directory)
    assert found.must_check
    assert found.has(directory, "One")
    assert not found.has(directory, "oNE")
    (tmp_path / "two").touch()
    assert found.has(directory, "two")
    os.close(directory)
