"""Targets are read from TOML, CSV and folders; each mistake in them has one line."""

from pathlib import Path

import pytest

from conformance.classroom.submissions import Start
from conformance.classroom.targets import TargetsError, by_file_name, file_name, read_targets


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_toml_with_defaults(tmp_path: Path) -> None:
    (tmp_path / "ana").mkdir()
    (tmp_path / "ana" / "server.py").write_text("sys.argv", encoding="ascii")
    text = (
        '[defaults]\ndialect = "2019"\nenvironment = { A = "1 2" }\n'
        '[[target]]\nfolder = "ana"\nid = "77"\n[[target]]\nname = "b"\nserve = "x {port}"\ndialect = "2016"\n'
        '[[target]]\naddress = "127.0.0.1:7"\n[[target]]\nserve = "y"\naddress = "127.0.0.1:8"\npoints = "p.toml"\n'
    )
    ana, other, running, wired = read_targets(write(tmp_path / "t.toml", text))
    assert (ana.name, ana.command, ana.folder) == (
        "ana",
        "env 'A=1 2' python3 server.py -p {port} -d {dir}",
        str(tmp_path / "ana"),
    )
    assert (ana.dialect, other.dialect, ana.person.identifier) == ("2019", "2016", "77")
    assert (running.name, running.wired_port, wired.wired_port) == ("127.0.0.1:7", 0, 8)
    assert wired.points == str(tmp_path / "p.toml")
    assert not any(target.problem for target in (ana, other, running, wired))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv(separator: str, tmp_path: Path) -> None:
    lines = [["name", "serve", "environment", "email"], ["Ana", "x {port}", "A=1 B=2", "a@b"], ["", "", "", ""]]
    path = write(tmp_path / "t.csv", "\ufeff" + "\n".join(separator.join(line) for line in lines) + "\n")
    (ana,) = read_targets(path)
    assert (ana.name, ana.command, ana.person.email) == ("Ana", "env A=1 B=2 x {port}", "a@b")


def test_folder_of_submissions(tmp_path: Path) -> None:
    for name in ("ana", "bruno"):
        (tmp_path / name).mkdir()
    (tmp_path / "ana" / "server.py").write_text("sys.argv", encoding="ascii")
    ana, bruno = read_targets(tmp_path)
    assert (ana.serve, ana.problem) == ("python3 server.py -p {port} -d {dir}", "")
    assert bruno.problem.startswith("no start command")
    assert read_targets(tmp_path, Start("./x"))[0].problem == "its command has no {port}, and no address is given: ./x"


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("t.toml", "[[target]]\n", "target 1: it needs serve, address or folder"),
        ("t.toml", '[[target]]\nserve = "x {port}"\ndialect = "2017"', "target 1: the dialect is one of auto, 2026"),
        ("t.toml", '[[target]]\nport = 1\nserve = "x"', "target 1: object contains unknown field `port`"),
        ("t.toml", "[[targets]]\n", "object contains unknown field `targets`"),
        ("t.toml", '[[target]]\naddress = "a:b"', "target 1: 'a:b': a port"),
        ("t.toml", '[[target]]\nfolder = "none"', "none: no such directory"),
        ("t.toml", '[[target]]\nserve = "x {port}"\nproblem = "y"', "no field `problem`"),
        ("t.toml", '[[target]]\nname = "a"\nserve = "x {port}"\n' * 2, "two targets are called a"),
        ("t.toml", "serve =", "invalid value"),
        ("t.toml", "", "has no targets"),
        ("t.csv", "name,serve\na,x,y\n", "line 2: the header has 2 columns, not this row"),
        ("t.csv", "name,serve\na\n", "line 2: the header has 2 columns, not this row"),
        ("t.csv", "nom,serve\na,x\n", "line 2: object contains unknown field `nom`"),
        ("t.bin", "\udcff", "not UTF-8"),
    ],
)
def test_mistake_has_one_line(name: str, text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(TargetsError) as caught:
        read_targets(path)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_each_target_has_a_file_of_its_own(tmp_path: Path) -> None:
    names = ["../a b", "a-b", "A-B", "Ünal", "..."]
    text = "".join(f'[[target]]\nname = "{name}"\nserve = "x {{port}}"\n' for name in names)
    found = by_file_name(read_targets(write(tmp_path / "t.toml", text)))
    assert list(found) == ["a-b", "a-b-2", "A-B-3", "Ünal", "target"]
    assert file_name("x" * 300) == "x" * 100
