"""A partial file is outside nothing, replaces only what it should, and trusts only a record that it can trust."""

import doctest
import json
import os
import threading
from pathlib import Path

import pytest

from greenserver.client import partial_file
from greenserver.client.errors import LocalError
from greenserver.client.partial_file import PartialFile, is_safe


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def leave_half(folder: Path, *, is_final: bool = True) -> None:
    """Leave 5 of 10 bytes."""
    with PartialFile(folder / "file", 10) as file:
        file.write(b"hello", 0)
        file.save([(0, 5)], is_final=is_final)


def record_in(folder: Path) -> Path:
    return next(folder.glob(".hftp-*.json"))


def test_the_examples_in_the_documentation_run() -> None:
    assert doctest.testmod(partial_file).failed == 0


@pytest.mark.parametrize("name", ["a", "a.b_c-D9", ".hidden", "-rf", "n" * 255, "~", "$HOME", "a+b", ".hftp"])
def test_a_name_of_a_file_is_safe(name: str) -> None:
    assert is_safe(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "/etc/passwd", "a/b", "../a", "a b", "\n", "\x1b", "\0", "\xf1", "\udcff", "n" * 256]
)
def test_what_is_no_name_of_a_file_is_not_safe(name: str) -> None:
    assert not is_safe(name)
    assert not is_safe(".hftp-0123456789abcdef.part")


def test_a_file_has_its_name_only_when_it_is_finished(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with PartialFile(tmp_path / "file", 5) as file:
        file.write(b"hello", 0)
        assert (tmp_path / "file").read_text() == "old"
        assert file.sha256() == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        file.finish()
    assert (tmp_path / "file").read_text() == "hello"
    assert names(tmp_path) == ["file"]


def test_a_file_that_is_discarded_is_removed(tmp_path: Path) -> None:
    with PartialFile(tmp_path / "file", 5) as file:
        file.save([(0, 5)])
        file.discard()
    assert names(tmp_path) == []


def test_what_is_there_is_known_at_the_next_attempt(tmp_path: Path) -> None:
    leave_half(tmp_path)
    with PartialFile(tmp_path / "file", 10) as file:
        assert file.done == [(0, 5)]
        assert file.read(0, 5) == b"hello"
        file.forget()
        assert file.done == []


def test_what_is_there_of_a_file_of_another_size_is_forgotten(tmp_path: Path) -> None:
    leave_half(tmp_path)
    with PartialFile(tmp_path / "file", 11) as file:
        assert file.done == []
        assert file.read(0, 5) == b""


def test_what_was_not_written_back_is_trusted_until_the_next_start_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_half(tmp_path, is_final=False)
    with PartialFile(tmp_path / "file", 10) as file:
        assert file.done == [(0, 5)]
    boot = tmp_path / "boot"
    boot.write_text("another")
    monkeypatch.setattr(partial_file, "_BOOT_ID", boot)
    with PartialFile(tmp_path / "file", 10) as file:
        assert file.done == []
    leave_half(tmp_path)
    monkeypatch.setattr(partial_file, "_BOOT_ID", tmp_path / "nowhere")
    with PartialFile(tmp_path / "file", 10) as file:
        assert file.done == [(0, 5)]


@pytest.mark.parametrize(
    "record",
    [
        *("", "{", "[]", "{}", '{"size": 10, "done": 5, "boot": null}', '{"size": 10, "done": [[0]], "boot": null}'),
        *('{"size": 10, "done": [[0, 11]], "boot": null}', '{"size": 10, "done": [[-1, 5]], "boot": null}'),
        *('{"size": 10, "done": [[5, 5]], "boot": null}', '{"size": 10, "done": [[0, 6]], "boot": null}'),
        '{"size": 10, "done": [["a", "b"]], "boot": null}',
    ],
)
def test_a_record_that_cannot_be_right_is_not_trusted(tmp_path: Path, record: str) -> None:
    leave_half(tmp_path)
    record_in(tmp_path).write_text(record)
    with PartialFile(tmp_path / "file", 10) as file:
        assert file.done == []


def test_a_record_has_what_a_resume_needs(tmp_path: Path) -> None:
    leave_half(tmp_path)
    assert json.loads(record_in(tmp_path).read_text()) == {"size": 10, "done": [[0, 5]], "boot": None}


def test_only_one_process_fetches_a_file(tmp_path: Path) -> None:
    with (
        PartialFile(tmp_path / "file", 5),
        pytest.raises(LocalError, match="another process"),
        PartialFile(tmp_path / "file", 5),
    ):
        pass


def test_no_link_is_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    leave_half(tmp_path)
    (part,), record = tmp_path.glob(".hftp-*.part"), record_in(tmp_path)
    record.unlink()
    record.symlink_to(target)
    with PartialFile(tmp_path / "file", 10) as file, pytest.raises(LocalError, match="symbolic links"):
        file.save([])
    part.unlink()
    part.symlink_to(target)
    with pytest.raises(LocalError, match="symbolic links"), PartialFile(tmp_path / "file", 10):
        pass
    part.unlink()
    os.mkfifo(part)
    with pytest.raises(LocalError, match="is no regular file"), PartialFile(tmp_path / "file", 10):
        pass
    assert target.read_text() == "precious"


def test_a_link_of_the_name_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "file").symlink_to(target)
    with PartialFile(tmp_path / "file", 2) as file:
        file.write(b"ok", 0)
        file.finish()
    assert target.read_text() == "precious"
    assert (tmp_path / "file").read_text() == "ok"
    assert not (tmp_path / "file").is_symlink()


def test_a_directory_of_the_name_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with PartialFile(tmp_path / "file", 0) as file, pytest.raises(LocalError, match="Is a directory"):
        file.finish()


def test_a_file_that_something_else_has_written_to_is_not_finished(tmp_path: Path) -> None:
    with PartialFile(tmp_path / "file", 5) as file:
        file.write(b"hello!", 0)
        with pytest.raises(LocalError, match="6 bytes instead of 5"):
            file.finish()
    assert names(tmp_path) == []


def test_a_file_for_which_there_is_no_room_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"no room for file: \d+ bytes are missing, and \d+ are free"):
        PartialFile(tmp_path / "file", 1 << 60)
    assert names(tmp_path) == []


def test_threads_may_write_at_once(tmp_path: Path) -> None:
    with PartialFile(tmp_path / "file", 800) as file:
        threads = [
            threading.Thread(target=file.write, args=(b"%d" % number * 100, number * 100)) for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        file.finish()
    assert (tmp_path / "file").read_bytes() == b"".join(b"%d" % number * 100 for number in range(8))
