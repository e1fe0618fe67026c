"""The files that a server must hold: what is refused, what is removed, and that slices are computed right."""

from pathlib import Path

import pytest

from conformance.content import Known, Seeded
from conformance.fixtures import MARKER, plan
from conformance.fixtures_local import FixturesError, LocalFixtures, write_for_others


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_what_was_written_is_removed_and_nothing_else(tmp_path: Path) -> None:
    directory = tmp_path / "served"
    directory.mkdir()
    fixtures = LocalFixtures(directory, 1, 1000)
    fixtures.write()
    assert {"text.txt", "large.bin", MARKER} < names(directory)
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


def test_the_directory_can_be_empty_or_fuller_for_a_while(tmp_path: Path) -> None:
    directory = tmp_path / "served"
    fixtures = LocalFixtures(directory, 1, 1000)
    fixtures.write()
    before = names(directory)
    with fixtures.emptied():
        assert names(directory) == {MARKER}
    with fixtures.added({b"new": b"x", b"text.txt": b"other"}):
        assert names(directory) == before | {"new"}
        assert (directory / "text.txt").read_bytes() == b"other"
    assert names(directory) == before
    assert (directory / "text.txt").stat().st_size == plan(1)["text"].size
    fixtures.remove()


def test_files_for_others_have_no_traps_outside(tmp_path: Path) -> None:
    written = write_for_others(tmp_path / "served", 1, 1000)
    assert set(written) <= names(tmp_path / "served")
    assert names(tmp_path) == {"served"}


@pytest.mark.parametrize(
    ("offset", "size"), [(0, 10), (65_520, 3), (65_521, 1), (131_000, 70_000), (199_999, 5), (200_000, 1)]
)
def test_any_slice_of_seeded_contents_is_a_slice_of_the_whole(offset: int, size: int) -> None:
    content = Seeded(200_000, 7)
    whole = b"".join(content.pieces())
    assert len(whole) == 200_000
    assert content.read(offset, size) == whole[offset : offset + size]
    assert content.digest() == Known(whole).digest()
