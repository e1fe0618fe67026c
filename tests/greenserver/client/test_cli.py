"""The command `hftp`: what each command prints, leaves and exits with, in this process."""

import hashlib
import io
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from greenserver.client import cli
from greenserver.client.errors import Exit
from greenserver.client.operations import Pause
from tests.greenserver.client.scripted import Peer, one_file, serving, slice_of
from tests.greenserver.conftest import SERVED, TEXT, ServerFor
from tests.greenserver.launching import strace_command
from tests.greenserver.serving import ROOT, TIMEOUT_SECONDS, environment_without_coverage, wait_until

TEXT_SHA256 = hashlib.sha256(TEXT).hexdigest()


class Ran(NamedTuple):
    """How a command has ended, and what it printed."""

    status: int
    output: str
    errors: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command line."""

    def run_one(*words: object) -> Ran:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(word) for word in words])
        printed = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, printed.out, printed.err)

    return run_one


@pytest.fixture
def address(server_for: ServerFor) -> str:
    """Return the address of a server."""
    return f"127.0.0.1:{server_for('gevent').port}"


def start(*words: object, under: tuple[str, ...] = (), **options: object) -> "subprocess.Popen[bytes]":
    """Run a command line in a process of its own."""
    command = [*strace_command(under), sys.executable, "-m", "greenserver.client", *map(str, words)]
    environment = environment_without_coverage() if under else os.environ  # it writes to files, too
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(command, env={**environment, "PYTHONPATH": str(ROOT)}, **streams)  # type: ignore[call-overload, no-any-return]


def finish(process: "subprocess.Popen[bytes]") -> tuple[int, str]:
    """Return the exit status of a process, and what it wrote to standard error."""
    with process:
        _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    return process.returncode, (errors or b"").decode()


# --- What the commands print -------------------------------------------------------------------------


def test_ls_prints_the_names(run: Run, address: str) -> None:
    ran = run("ls", address)
    assert (ran.status, sorted(ran.output.splitlines()), ran.errors) == (0, sorted(SERVED), "")
    assert sorted(json.loads(line)["name"] for line in run("ls", "--json", address).output.splitlines()) == sorted(
        SERVED
    )
    assert f"{len(TEXT):>12}  text.txt\n" in run("ls", "-l", address).output


def test_ls_prints_those_that_are_named(run: Run, address: str) -> None:
    assert run("ls", address, "text.txt") == (0, "text.txt\n", "")
    ran = run("ls", f"hftp://{address}/text.txt", "nowhere", "one")
    assert ran == (1, "text.txt\none\n", "hftp: nowhere: the server replied 202 FILE NOT FOUND\n")


def test_ls_shows_no_control_character(run: Run) -> None:
    listing = one_file(b"", get_file_listing=lambda *_: b"0 OK\r\na\x1b[2Jb\r\nc\xffd\r\n\r\n")
    with serving(listing) as address:
        assert run("ls", address).output == "a\\x1b[2Jb\nc\\udcffd\n"
        assert [json.loads(line)["name"] for line in run("ls", "--json", address).output.splitlines()] == [
            "a\x1b[2Jb",
            "c\udcffd",
        ]


def test_stat_prints_sizes_or_the_dialect(run: Run, address: str) -> None:
    assert run("stat", address) == (0, f"{address}: dialect 2026\n", "")
    assert run("stat", address, "--dialect", "2018").output == f"{address}: dialect 2018\n"
    assert json.loads(run("stat", "--json", address, "one").output) == {"name": "one", "size": 1}
    with serving(one_file(b"")) as old:
        assert "2019 or older" in run("stat", old).output


def test_cat_writes_files_or_parts_of_them(run: Run, address: str) -> None:
    assert run("cat", address, "text.txt", "one") == (0, TEXT.decode() + "1", "")
    assert run("cat", address, "text.txt", "--offset", 7, "--size", 4).output == "HFTP"
    assert run("cat", address, "text.txt", "--offset", 41).output == ""
    assert run("cat", address, "text.txt", "--offset", 41, "--size", 1).status == Exit.REFUSED


def test_cat_tells_of_a_file_that_changed(run: Run) -> None:
    sizes = iter([5, 6])
    changing = one_file(b"hello", get_metadata=lambda *_: b"0 OK\r\n%d\r\n" % next(sizes, 6))
    with serving(changing) as address:
        ran = run("cat", address, "file", "--dialect", "2019")
    assert (ran.status, ran.output) == (Exit.DIFFERENT, "hello")
    assert "changed while it was fetched" in ran.errors


def test_get_fetches_files_into_a_directory(run: Run, address: str, tmp_path: Path) -> None:
    ran = run("get", address, "text.txt", "one", "-d", tmp_path)
    assert (ran.status, ran.errors) == (0, "")
    assert ran.output.startswith(f"{tmp_path}/text.txt: {len(TEXT)} bytes in ")
    assert (tmp_path / "text.txt").read_bytes() == TEXT
    assert run("get", "-q", address, "one", "-d", tmp_path) == (0, "", "")


def test_get_fetches_one_file_to_another_name(run: Run, address: str, tmp_path: Path) -> None:
    assert run("get", f"hftp://{address}/text.txt", "-o", tmp_path / "mine").status == 0
    assert (tmp_path / "mine").read_bytes() == TEXT
    assert run("get", address, "a", "b", "-o", tmp_path / "mine").status == Exit.USAGE


def test_get_prints_and_checks_digests(run: Run, address: str, tmp_path: Path) -> None:
    assert run("get", address, "text.txt", "-d", tmp_path, "--sha256").output == f"{TEXT_SHA256}  text.txt\n"
    assert run("get", "-q", address, "text.txt", "-d", tmp_path, "--expect", TEXT_SHA256.upper()).status == 0
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{TEXT_SHA256}  text.txt\n{'0' * 64} *one\n")
    ran = run("get", "-q", address, "text.txt", "one", "empty", "-d", tmp_path / "..", "-d", tmp_path, "--sums", sums)
    assert ran.status == Exit.DIFFERENT
    assert "hftp: one: the SHA-256 is " in ran.errors
    assert "hftp: empty: not in the list of SHA-256 digests\n" in ran.errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["SHA256SUMS", "text.txt"]


def test_get_tells_in_json_what_it_fetched(run: Run, address: str, tmp_path: Path) -> None:
    ran = run("get", "--json", address, "text.txt", "nowhere", "-d", tmp_path, "--sha256")
    good, bad = map(json.loads, ran.output.splitlines())
    assert good.pop("seconds") > 0
    assert good == {
        "name": "text.txt",
        "path": f"{tmp_path}/text.txt",
        "size": len(TEXT),
        "fetched_bytes": len(TEXT),
        "sha256": TEXT_SHA256,
    }
    assert bad == {"name": "nowhere", "error": "the server replied 202 FILE NOT FOUND", "exit": 1}


def test_get_writes_only_to_names_that_are_safe(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with serving(one_file(b"x")) as address:
        ran = run("get", address, "../out", "a/b", "-d", tmp_path / "in")
        assert ran.status == Exit.MALFORMED
        assert "hftp: ../out: not a safe name for a file; " in ran.errors
        assert run("get", address, "a b", "-o", tmp_path / "in" / "mine").status == Exit.MALFORMED
        assert run("get", "-q", address, "a/b", "-o", tmp_path / "in" / "mine").status == 0
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "mine"]


def test_mirror_fetches_what_is_missing_and_verify_compares(run: Run, address: str, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert run("mirror", "-q", address, "-d", folder).status == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == SERVED
    ran = run("mirror", address, "-d", folder)
    assert sorted(ran.output.splitlines()) == sorted(f"{name}: there already" for name in SERVED)
    assert run("verify", "-q", address, "-d", folder) == (0, "", "")
    changed = bytearray(TEXT)
    changed[9] ^= 1
    (folder / "text.txt").write_bytes(changed)
    (folder / "one").write_bytes(b"12")
    (folder / "empty").unlink()
    ran = run("verify", address, "-d", folder)
    assert ran.status == Exit.DIFFERENT
    assert sorted(ran.errors.splitlines()) == [
        "hftp: empty: not here",
        "hftp: one: it has 2 bytes here, and 1 on the server",
        "hftp: text.txt: it differs from byte 9 on",
    ]
    assert sorted(ran.output.splitlines()) == sorted(
        f"{name}: the same" for name in SERVED if len(name) > 8 and name != "text.txt"
    )
    assert run("mirror", "-q", address, "-d", folder, "--force", "text.txt").status == 0
    assert (folder / "text.txt").read_bytes() == TEXT


def test_verify_compares_with_digests(run: Run, address: str, tmp_path: Path) -> None:
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{TEXT_SHA256}  text.txt\n")
    assert run("verify", address, "--sums", sums) == (0, "text.txt: the same\n", "")
    sums.write_text(f"{'0' * 64}  text.txt\n")
    ran = run("verify", address, "--sums", sums)
    assert (ran.status, ran.errors) == (5, f"hftp: text.txt: the SHA-256 is {TEXT_SHA256} instead of {'0' * 64}\n")


# --- What is wrong with the command line ---------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("ls",),
        ("ls", "http://h"),
        ("ls", "h:0"),
        ("get", "h"),
        ("cat", "h"),
        ("fetch", "h"),
        ("ls", "h", "--dialect", "2020"),
        ("ls", "h", "--proxy", "nothing"),
        ("ls", "h", "--tls-key", "key"),
        ("get", "h", "f", "--expect", "abc"),
        ("get", "h", "f", "--sums", "/nowhere"),
        ("get", "h", "f", "--sums", __file__),
        ("get", "h", "f", "--sums", sys.executable),
    ],
)
def test_a_wrong_command_line_is_one_line(run: Run, words: tuple[str, ...]) -> None:
    ran = run(*words)
    assert ran.status == Exit.USAGE
    assert ran.errors.startswith("hftp: ")
    assert ran.errors.count("\n") == 1


@pytest.mark.parametrize("words", [("--help",), ("get", "--help"), ("--version",)])
def test_help_is_printed(run: Run, words: tuple[str, ...]) -> None:
    ran = run(*words)
    assert (ran.status, ran.errors) == (0, "")
    assert "hftp" in ran.output


def test_a_server_that_cannot_be_reached_ends_a_command(run: Run, tmp_path: Path) -> None:
    ran = run("get", "127.0.0.1:1", "a", "b", "-d", tmp_path)
    assert ran == (Exit.UNREACHABLE, "", "hftp: a: cannot connect: Connection refused\n")
    ran = run("ls", "--json", "127.0.0.1:1")
    assert json.loads(ran.output) == {"error": "cannot connect: Connection refused", "exit": 3}


def test_many_errors_are_counted(run: Run) -> None:
    with serving(one_file(b"", get_metadata=lambda *_: b"202 NO\r\n")) as address:
        ran = run("ls", address, *(f"f{number}" for number in range(15)))
    assert ran.errors.splitlines()[9:] == ["hftp: f9: the server replied 202 NO", "hftp: 5 more errors like these"]


# --- What is wrong here --------------------------------------------------------------------------------


def test_a_directory_that_cannot_be_made_is_named(run: Run, address: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = run("mirror", address, "-d", tmp_path / "file" / "folder")
    assert (ran.status, ran.errors) == (6, f"hftp: cannot make {tmp_path}/file/folder: Not a directory\n")


@pytest.mark.once
@pytest.mark.measured
def test_a_full_output_is_one_line(address: str) -> None:
    for words in (("ls", address), ("cat", address, "large.bin"), ("ls", "--json", address), ("--help",)):
        with Path("/dev/full").open("wb") as full:
            status, errors = finish(start(*words, stdout=full))
        assert (status, errors) == (6, "hftp: cannot write to standard output: No space left on device\n")


@pytest.mark.once
@pytest.mark.measured
def test_a_closed_pipe_is_one_line(address: str) -> None:
    process = start("cat", address, "large.bin")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    assert finish(process) == (6, "hftp: cannot write to standard output: Broken pipe\n")


@pytest.mark.once
def test_a_disk_that_gets_full_is_one_line(address: str, tmp_path: Path) -> None:
    full = ("-e", "trace=pwrite64", "-e", "inject=pwrite64:error=ENOSPC:when=2+")
    status, errors = finish(start("get", address, "large.bin", "-d", tmp_path, under=full))
    assert (status, errors) == (6, f"hftp: large.bin: cannot write {tmp_path}/large.bin: No space left on device\n")
    assert not (tmp_path / "large.bin").exists()
    assert finish(start("get", address, "large.bin", "-d", tmp_path)) == (0, "")
    assert (tmp_path / "large.bin").read_bytes() == SERVED["large.bin"]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.once
@pytest.mark.measured
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_keeps_what_it_has(number: int, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096

    def half(peer: Peer, words: list[str]) -> bytes:
        peer.send(slice_of(content, words)[:600_000])
        peer.wait_for_end()
        return b""

    with serving(one_file(content, get_slice=half)) as address:
        process = start("get", address, "file", "--dialect", "2019", "-d", tmp_path)
        wait_until(lambda: any(path.stat().st_size > 400_000 for path in tmp_path.glob("*.part")), "half is there")
        process.send_signal(number)
        assert finish(process) == (130, "hftp: interrupted; what was fetched is kept for the next time\n")
    with serving(one_file(content)) as address:
        process = start("get", address, "file", "--json", "-d", tmp_path)
        output = process.communicate(timeout=TIMEOUT_SECONDS)[0]
    assert json.loads(output)["fetched_bytes"] < len(content) - 400_000
    assert (tmp_path / "file").read_bytes() == content


def test_progress_is_shown_on_a_terminal_only(
    run: Run, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert run("get", address, "text.txt", "large.bin", "-d", tmp_path).status == 0
        stream.flush()
        shown = os.read(main, 1 << 16)
    os.close(main)
    assert b"large.bin" in shown
    assert b"MiB" in shown
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert run("get", address, "text.txt", "-d", tmp_path).status == 0


def test_a_listing_that_is_lost_is_not_half_mirrored(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenserver.client.session.Pause", lambda _seconds: Pause(0.01))

    def lose(peer: Peer, _words: list[str]) -> bytes:
        peer.send(b"0 OK\r\nfile\r\n")
        return b""

    with serving(one_file(b"x", get_file_listing=lose)) as address:
        ran = run("mirror", address, "-d", tmp_path)
    assert (ran.status, list(tmp_path.iterdir())) == (3, [])
