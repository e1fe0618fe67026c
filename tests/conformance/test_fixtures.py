"""The files that a server must hold: what is refused, what is removed, and that slices are computed right."""

import os
import shutil
from pathlib import Path

import pytest

from conformance.content import Known, Seeded
from conformance.fixtures import EXTRAS, MARKER, plan
from conformance.fixtures_local import FixturesError, LocalFixtures, write_for_others

pytestmark = pytest.mark.once


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_what_was_written_is_removed_and_nothing_else(tmp_path: Path) -> None:
    directory = tmp_path / "served"
    directory.mkdir()
    fixtures = LocalFixtures(directory, 1, 1000)
    fixtures.write()
    assert {"text.txt", "large.bin"} < names(directory)
    assert MARKER not in names(directory)
    assert f"{MARKER}-served" in names(tmp_path)
    (directory / "mine").write_text("mine", encoding="ascii")
    fixtures.remove()
    assert names(directory) == {"mine"}
    assert names(tmp_path) == {"served"}


def test_a_directory_that_is_not_empty_and_not_marked_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("mine", encoding="ascii")
    with pytest.raises(FixturesError, match="nothing was touched"):
        LocalFixtures(tmp_path, 1, 1000).write()
    assert (tmp_path / "text.txt").read_text(encoding="ascii") == "mine"
    assert names(tmp_path) == {"text.txt"}


def test_what_a_killed_run_left_is_replaced_and_strangers_are_kept(tmp_path: Path) -> None:
    directory = tmp_path / "served"
    LocalFixtures(directory, 1, 1000).write()
    again = LocalFixtures(directory, 2, 2000)
    again.write()
    assert (directory / "large.bin").stat().st_size == 2000
    (directory / "mine").write_text("mine", encoding="ascii")
    with pytest.raises(FixturesError, match="holds mine"):
        LocalFixtures(directory, 3, 1000).write()
    assert "mine" in names(directory)


def test_a_marker_is_no_right_to_files_of_the_same_names(tmp_path: Path) -> None:
    directory = tmp_path / "served"
    LocalFixtures(directory, 1, 1000).write()
    shutil.rmtree(directory)
    directory.mkdir()
    (directory / "README").write_text("mine", encoding="ascii")
    with pytest.raises(FixturesError, match="holds README"):
        LocalFixtures(directory, 1, 1000).write()
    assert (directory / "README").read_text(encoding="ascii") == "mine"


def test_a_file_that_was_changed_since_is_kept(tmp_path: Path) -> None:
    directory = tmp_path / "served"
    LocalFixtures(directory, 1, 1000).write()
    (directory / "text.txt").write_text("mine", encoding="ascii")
    with pytest.raises(FixturesError, match=r"holds text\.txt"):
        LocalFixtures(directory, 1, 1000).write()
    assert (directory / "text.txt").read_text(encoding="ascii") == "mine"


def test_a_file_that_a_killed_run_left_unfinished_is_replaced(tmp_path: Path) -> None:
    directory = tmp_path / "served"
    fixtures = LocalFixtures(directory, 1, 1000)
    fixtures.write()
    marker = tmp_path / f"{MARKER}-served"
    lines = marker.read_text(encoding="utf-8").splitlines()
    marker.write_text("\n".join(line for line in lines if "large" not in line or line.count("\t") == 1), "utf-8")
    (directory / "large.bin").write_bytes(b"half")
    LocalFixtures(directory, 1, 1000).write()
    assert (directory / "large.bin").stat().st_size == 1000


def test_a_marker_of_earlier_versions_is_recognised_and_removed(tmp_path: Path) -> None:
    directory = tmp_path / "served"
    (directory / "subdirectory").mkdir(parents=True)
    files = [os.fsdecode(row.name) for row in plan(1).values()]
    for name in (*files, "subdirectory/inner.txt"):
        (directory / name).write_text("old", encoding="ascii")
    lines = [*(os.fsdecode(name) for name in EXTRAS.values()), *files, "../outside"]
    (directory / MARKER).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "outside").write_text("mine", encoding="ascii")
    fixtures = LocalFixtures(directory, 1, 1000)
    fixtures.write()
    assert MARKER not in names(directory)
    fixtures.remove()
    assert names(directory) == set()
    assert names(tmp_path) == {"served", "outside"}


def test_a_directory_whose_parent_cannot_be_written_is_marked_in_the_state_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, state = tmp_path / "parent" / "served", tmp_path / "state"
    directory.mkdir(parents=True)
    touch = Path.touch

    def refuse(path: Path) -> None:
        if path.parent == directory.parent:
            raise PermissionError(13, "Permission denied", str(path))
        touch(path)

    monkeypatch.setattr(Path, "touch", refuse)
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    LocalFixtures(directory, 1, 1000).write()
    assert len(names(state / "hftp-conformance")) == 1
    again = LocalFixtures(directory, 2, 2000)
    again.write()
    assert (directory / "large.bin").stat().st_size == 2000
    again.remove()
    assert names(directory) == names(state / "hftp-conformance") == set()


def test_the_directory_can_be_empty_or_fuller_for_a_while(tmp_path: Path) -> None:
    directory = tmp_path / "served"
    fixtures = LocalFixtures(directory, 1, 1000)
    fixtures.write()
    before = names(directory)
    with fixtures.emptied():
        assert names(directory) == set()
    with fixtures.added({b"new": b"x", b"text.txt": b"other"}):
        assert names(directory) == before | {"new"}
        assert (directory / "text.txt").read_bytes() == b"other"
    assert names(directory) == before
    assert (directory / "text.txt").stat().st_size == plan(1)["text"].size
    fixtures.remove()


def test_files_for_others_have_no_traps_outside(tmp_path: Path) -> None:
    written = write_for_others(tmp_path / "served", 1, 1000)
    assert set(written) <= names(tmp_path / "served")
    assert names(tmp_path) == {"served", f"{MARKER}-served"}


@pytest.mark.parametrize(
    ("offset", "size"), [(0, 10), (65_520, 3), (65_521, 1), (131_000, 70_000), (199_999, 5), (200_000, 1)]
)
def test_any_slice_of_seeded_contents_is_a_slice_of_the_whole(offset: int, size: int) -> None:
    content = Seeded(200_000, 7)
    whole = b"".join(content.pieces())
    assert len(whole) == 200_000
    assert content.read(offset, size) == whole[offset : offset + size]
    assert content.digest() == Known(whole).digest()
