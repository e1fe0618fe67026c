"""A recorded run that was damaged or edited is found; one as the suite wrote it is not."""

from pathlib import Path

import pytest

from conformance.cli import main
from conformance.model.events import EventError, read_events
from conformance.model.verdicts import Exit
from conformance.reports.ndjson import Chain, line
from conformance.reports.sinks import reports
from conformance.tools.verify import verify
from tests.conformance.golden import events


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return a recording that the suite has written."""
    path = tmp_path / "run.ndjson"
    with reports(str(path), {}, is_verbose=False) as sink:
        for event in events():
            sink.write(event)
    return path


def test_recording_of_the_suite_is_whole_and_read_as_before(recording: Path) -> None:
    found = verify(recording)
    assert (found.status, len(found.chain)) == (Exit.CONFORMANT, 64)
    assert list(read_events(recording.read_bytes().splitlines(keepends=True))) == events()


def edited(lines: list[bytes], what: str) -> list[bytes]:
    return {
        "changed": [*lines[:3], lines[3].replace(b"framing", b"replies", 1), *lines[4:]],
        "removed": [*lines[:3], *lines[4:]],
        "added": [*lines[:3], lines[2], *lines[3:]],
        "moved": [*lines[:2], lines[3], lines[2], *lines[4:]],
        "first removed": lines[1:],
        "chain removed": [*lines[:3], lines[3].partition(b', "chain"')[0] + b"}\n", *lines[4:]],
        "no event": [*lines[:3], b"hello\n", *lines[4:]],
        "cut": [*lines[:-1], lines[-1][:-9]],
    }[what]


@pytest.mark.parametrize(
    "what", ["changed", "removed", "added", "moved", "first removed", "chain removed", "no event", "cut"]
)
def test_edit_is_found(what: str, recording: Path) -> None:
    lines = recording.read_bytes().splitlines(keepends=True)
    assert b"framing" in lines[3]
    recording.write_bytes(b"".join(edited(lines, what)))
    found = verify(recording)
    assert found.status is Exit.NOT_CONFORMANT
    assert found.sentence.startswith("line ")
    assert not found.chain


def test_missing_end_and_missing_chain_are_not_whole(recording: Path, tmp_path: Path) -> None:
    recording.write_bytes(b"".join(recording.read_bytes().splitlines(keepends=True)[:-1]))
    assert verify(recording).status is Exit.INCOMPLETE
    old = tmp_path / "old.ndjson"
    old.write_text("".join(f"{line(event)}\n" for event in events()), encoding="ascii")
    assert "no chain" in verify(old).sentence


def test_chain_has_no_secret(recording: Path) -> None:
    chain, changed = Chain(), [line(event).replace("fail", "pass") for event in events()]
    recording.write_text("".join(f"{chain.link(text)}\n" for text in changed), encoding="ascii")
    assert verify(recording).status is Exit.CONFORMANT  # as the help says


def test_command_says_what_that_proves(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(recording)])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert f"chain {verify(recording).chain}" in shown
    assert "judge the server yourself" in shown
    with pytest.raises(EventError, match="is empty"):
        verify(Path("/dev/null"))
