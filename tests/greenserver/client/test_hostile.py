"""Whatever a server does: `hftp` ends with a status and one line, in bounded memory, and leaves nothing wrong."""

from pathlib import Path

import pytest

from tests.greenserver.client.hostile import CASES, CONTENT, LIMIT_KIB, LONG, run

pytestmark = pytest.mark.once


@pytest.mark.parametrize("name", [name for name in CASES if name not in LONG])
def test_a_server_does_no_harm(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    folder = tmp_path / "target"
    folder.mkdir()
    end = run(name, folder)
    assert end.status == case.status, end.errors
    lines = end.errors.splitlines()
    assert len(lines) == (0 if not case.line else 10 if name == "unsafe names" else 1)
    assert all(line.startswith("hftp: ") and line.isprintable() and len(line) < 300 for line in lines)
    assert case.line in end.errors
    assert set(end.left) == set(case.left)
    if name != "a size that is too small":
        assert all((folder / left).read_bytes() == CONTENT for left in end.left if left != "*")
    assert end.peak_kib < LIMIT_KIB
    if name == "a million names":
        assert end.output.count(b"\n") == 1_000_000
