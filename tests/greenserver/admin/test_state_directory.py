"""A board lasts as long as its server, and keeps what its processes counted when they have ended."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenserver.admin import http
from greenserver.admin.state_directory import StateDirectory
from tests.greenserver.serving import run_script

_COUNT = """
import os
from greenserver.admin.process import load_metrics
meter = load_metrics()
meter.connected()
meter.command("quit", 0, 10, 0.001)
print(os.getpid())
"""


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StateDirectory]:
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path}:/elsewhere")
    with StateDirectory() as board:
        yield board


def count_in_a_process() -> int:
    done = run_script(_COUNT)
    done.check_returncode()
    return int(done.stdout)


def test_what_the_dead_counted_is_added_up_and_what_they_held_is_forgotten(board: StateDirectory) -> None:
    processes = [count_in_a_process() for _ in range(3)]
    before = http.metrics(board)[2].decode()
    assert "greenserver_sent_bytes_total 30.0" in before
    assert "greenserver_open_connections 3.0" in before
    for process in processes:
        board.bury(process)
        board.bury(process)
    after = http.metrics(board)[2].decode()
    assert "greenserver_sent_bytes_total 30.0" in after
    assert 'greenserver_command_seconds_bucket{le="0.001"} 3.0' in after
    assert "greenserver_open_connections" not in after
    assert sorted(path.name for path in board.directory.glob("*.db")) == ["counter_dead.db", "histogram_dead.db"]


def test_a_file_that_a_killed_process_left_broken_is_dropped(board: StateDirectory) -> None:
    (board.directory / "counter_1.db").write_bytes(b"\xff\x00\x00\x00" + bytes(60))
    board.bury(1)
    assert not (board.directory / "counter_1.db").exists()
    assert http.metrics(board)[0] == 200


def test_a_board_goes_with_its_server_and_not_with_a_process_that_it_forked(board: StateDirectory) -> None:
    child = os.fork()
    if not child:
        board.__exit__(None, None, None)
        os._exit(0)
    os.waitpid(child, 0)
    assert board.directory.is_dir()


def test_a_board_that_is_in_use_is_left_alone_and_an_abandoned_one_is_removed(
    board: StateDirectory, tmp_path: Path
) -> None:
    abandoned = tmp_path / "greenserver-abandoned"
    abandoned.mkdir()
    (abandoned / "in-use").touch()
    (tmp_path / "greenserver-foreign").mkdir()
    with StateDirectory() as second:
        assert not abandoned.exists()
        assert (tmp_path / "greenserver-foreign").exists()
        assert board.directory.exists()
        assert second.directory != board.directory
    assert not second.directory.exists()


def test_a_board_can_be_given_to_another_user(board: StateDirectory) -> None:
    board.give_to(os.geteuid(), os.getegid())
    assert board.directory.stat().st_mode & 0o777 == 0o700
