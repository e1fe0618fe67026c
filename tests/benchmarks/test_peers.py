"""Peers start, send right replies, are measured, and are ended."""

import os
from pathlib import Path

import pytest

from tests.benchmarks import loads, peers
from tests.benchmarks.files import Files
from tests.benchmarks.measure import pinned

pytestmark = pytest.mark.once

LARGE_BYTES = 100_001


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("files"), LARGE_BYTES)


@pytest.mark.parametrize("name", [peers.TEXTBOOK, peers.STREAMS, peers.SELECTORS, peers.HTTP_SERVER])
def test_a_peer_is_verified_measured_and_ended(name: str, files: Files, tmp_path: Path) -> None:
    with peers.started(peers.PEERS[name], files.directory, tmp_path / "peer") as running:
        protocol = running.peer.protocol
        for kind in (loads.BASE64, loads.RAW):
            assert loads.load_for(protocol, kind, files, running.port).reply_bytes > LARGE_BYTES
        batch = loads.load_for(protocol, loads.METADATA, files, running.port, depth=5)
        assert batch.commands == 5
        assert batch.requests.count(files.small[4].encode()) == 1
        assert running.cpu_seconds() > 0
        assert running.resident_bytes() > 1 << 20
        group = running.process.pid
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


def test_a_peer_that_cannot_start_is_missing_with_its_last_log_line(files: Files, tmp_path: Path) -> None:
    broken = peers.Peer("broken", "hftp", lambda *_: ["sh", "-c", "echo an error; exit 1"])
    with (
        pytest.raises(peers.Missing, match="did not start: an error"),
        peers.started(broken, files.directory, tmp_path / "x"),
    ):
        pass


def test_a_peer_with_an_unmet_requirement_is_missing(files: Files, tmp_path: Path) -> None:
    absent = peers.Peer("absent", "hftp", lambda *_: ["false"], lambda: "nothing is installed")
    with pytest.raises(peers.Missing, match="nothing is installed"):
        peers.start(absent, files.directory, tmp_path / "x")


def test_a_wrong_reply_is_not_measured(files: Files, tmp_path: Path) -> None:
    other = Files(tmp_path, LARGE_BYTES)
    other.raw.write_bytes(bytes(LARGE_BYTES))
    with (
        peers.started(peers.PEERS[peers.TEXTBOOK], other.directory, tmp_path / "peer") as running,
        pytest.raises(loads.WrongReplyError, match="a difference after byte 0"),
    ):
        loads.load_for("hftp", loads.BASE64, files, running.port)


def test_pinning_ends_with_its_block() -> None:
    before = os.sched_getaffinity(0)
    with pinned({max(before)}):
        assert os.sched_getaffinity(0) == {max(before)}
    assert os.sched_getaffinity(0) == before
