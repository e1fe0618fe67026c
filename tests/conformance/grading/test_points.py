"""The points map: the most specific table counts, and each mistake in it has one line."""

from pathlib import Path

import pytest

from conformance.grading.points import PointsError, PointsMap, read_points
from conformance.spec.reader import specification


def test_levels_are_the_default() -> None:
    found = PointsMap().of_dialect("2026")
    assert (found["HFTP-1.1"], found["HFTP-1.12"], found["HFTP-8.1"]) == (3.0, 1.0, 10.0)
    assert "HFTP-1.9" not in found  # a choice
    assert "HFTP-1.8" not in found  # of other dialects


def test_requirement_counts_before_its_chapter_and_that_before_the_level() -> None:
    found = PointsMap(requirements={"HFTP-1.1": 7}, chapters={"framing": 20}, levels={"MUST": 2}).of_dialect("2026")
    chapters = {row.id: row.chapter for row in specification()}
    assert found["HFTP-1.1"] == 7
    assert sum(points for name, points in found.items() if chapters[name] == "framing") == pytest.approx(27)
    assert found["HFTP-1.2"] == 2 * found["HFTP-1.12"]
    assert found["HFTP-2.1"] == 2


@pytest.mark.parametrize("chapter", ["lengths", "clients", "framing"])
def test_points_of_a_chapter_are_shared_among_what_is_tested(chapter: str) -> None:
    found = PointsMap(chapters={chapter: 20}).of_dialect("2026")
    tested = [row.id for row in specification() if row.chapter == chapter and not row.untestable and row.id in found]
    assert sum(found[name] for name in tested) == pytest.approx(20)


def test_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "points.toml"
    path.write_text('scale = 10\npartial = 0.25\nwhole = ["HFTP-1.1"]\n[causes]\npath-joined = 2\n', encoding="ascii")
    found = read_points(path)
    assert (found.scale, found.share_of_a_part("HFTP-1.2"), found.share_of_a_part("HFTP-1.1")) == (10, 0.25, 0)
    assert found.causes == {"path-joined": 2}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[requirements]\n"HFTP-1.99" = 1', "there is no requirement 'HFTP-1.99'; similar: HFTP-1.9"),
        ("[chapters]\nframeing = 1", "there is no chapter 'frameing'; similar: framing"),
        ("[levels]\nMAY = 1", "there is no level 'MAY'"),
        ("[causes]\npath-joint = 1", "there is no cause 'path-joint'; similar: path-joined"),
        ('whole = ["x"]', "there is no requirement 'x'"),
        ("scale = 0", "`float` > 0"),
        ("[levels]\nMUST = -1", "`float` >= 0"),
        ("points = 3", "unknown field `points`"),
        ("scale = ", "invalid value"),
    ],
)
def test_mistake_has_one_line(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "points.toml"
    path.write_text(text, encoding="ascii")
    with pytest.raises(PointsError) as caught:
        read_points(path)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PointsError, match="No such file"):
        read_points(tmp_path / "none.toml")
