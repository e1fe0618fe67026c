"""A class on a real Dask cluster: nothing is lost or judged twice if a worker is killed, and Ctrl-C stops cleanly."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="tox run -e integrations")

from conformance.model.verdicts import Exit
from conformance.tools.verify import verify
from tests.broken_servers.starting import PYTHON
from tests.conformance.classroom.test_class import OPTIONS, environment, is_judged, target
from tests.conformance.cluster.processes import ROOT, SECONDS, Cluster, await_that, notes

pytestmark = [pytest.mark.once, pytest.mark.timeout(3000)]

WRONG = ("b", "c")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("class")) as cluster:
        for _ in range(2):
            cluster.add_worker()
        cluster.await_workers(2)
        yield cluster


def write_class(place: Path, names: tuple[str, ...]) -> None:
    """Write a class whose builds, one for each time that a target is judged, note it in `begun`.

    All but the first one wait for a file `go`.
    """
    serve = shlex.join([*PYTHON, "-m", "tests.broken_servers"])
    text = environment()
    for name in names:
        (place / name).mkdir()
        build = f"echo {name} >> {place}/begun"
        if name != names[0]:
            build += f"; until test -e {place}/go; do sleep 0.1; done"
        server = "lf-ends-a-line" if name in WRONG else "correct-threads"
        command = f"{serve} {server} -p {{port}} -d {{dir}} --dialect 2019"
        text += target(name, folder=name, build=build, serve=command)
    (place / "class.toml").write_text(text, encoding="utf-8")


def start(cluster: Cluster, place: Path, *before: str) -> "subprocess.Popen[str]":
    words = ["-m", "conformance", "class", str(place / "class.toml"), "-o", str(place / "out"), *OPTIONS]
    words += ["--sandbox", "off", "--on", cluster.where, "--build-seconds", str(round(SECONDS)), "--timeout-scale", "3"]
    return subprocess.Popen(
        [*before, sys.executable, *words],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def builds_of(place: Path) -> list[set[int]]:
    """Return the ancestors of each build of a class that waits."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes().split(b"\0")
            if words[0] == b"sh" and f"{place}/go".encode() in words[-2]:
                found.append(set(ancestors(int(path.name))))
    return found


def ancestors(process: int) -> Iterator[int]:
    while process > 1:
        process = int(Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])
        yield process


def judged_in(said: str) -> dict[str, str]:
    """Return the lines of those that were judged; fail if one was told twice."""
    found = re.findall(r"\d+/\d+ (\w) (\w.*)", said)
    assert len(found) == len(dict(found)), said
    return dict(found)


def test_killed_workers_target_is_judged_by_the_other_and_none_twice(cluster: Cluster, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    write_class(tmp_path, ("a", *WRONG, "d", "e"))
    killed, other = cluster.workers
    with start(cluster, tmp_path) as running:
        await_that(lambda: is_judged(tmp_path / "out" / "class.json", "a"))
        await_that(lambda: len(builds_of(tmp_path)) == 2)  # one on each worker
        killed.kill()
        killed.wait()
        await_that(lambda: all(other.pid in above for above in builds_of(tmp_path)))  # what it ran has ended
        before = Counter(notes(begun))
        (tmp_path / "go").touch()
        said, _ = running.communicate(timeout=SECONDS)
    assert running.returncode == Exit.NOT_CONFORMANT, said
    lines = judged_in(said)
    assert set(lines) == set("abcde"), said
    assert {name for name in lines if lines[name].startswith("not conformant")} == set(WRONG)
    assert {name for name in lines if lines[name].startswith("conformant")} == set("ade")
    assert before == dict.fromkeys(before, 1)
    assert len(before) == 3
    assert sorted(Counter(notes(begun)).values()) == [1, 1, 1, 1, 2]  # what the dead worker had begun began again
    assert Counter(notes(begun))["a"] == 1
    assert {verify(tmp_path / "out" / f"{name}.ndjson").status for name in "abcde"} == {Exit.CONFORMANT}
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".ndjson") == ["class.json"]


def test_interrupted_class_ends_its_jobs_and_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    write_class(tmp_path, ("f", "g", "h"))
    with start(cluster, tmp_path) as running:
        await_that(lambda: is_judged(tmp_path / "out" / "class.json", "f") and builds_of(tmp_path))
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=SECONDS)
    assert builds_of(tmp_path) == []
    assert running.returncode == Exit.INCOMPLETE, said
    assert "interrupted: 1 of 3 are judged; the same command judges the others" in said
    assert "Traceback" not in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["class.json", "f.ndjson"]
    (tmp_path / "go").touch()
    with start(cluster, tmp_path) as running:
        said, _ = running.communicate(timeout=SECONDS)
    assert running.returncode == Exit.CONFORMANT, said
    assert set(judged_in(said)) == {"g", "h"}
    assert Counter(notes(tmp_path / "begun"))["f"] == 1


def test_worker_without_the_shared_folder_gets_a_line(cluster: Cluster, tmp_path: Path) -> None:
    """The results are in a file system that only the command sees."""
    (tmp_path / "out").mkdir()
    mount = (
        "unshare",
        "-rm",
        "sh",
        "-c",
        f'mount -t tmpfs none {shlex.quote(str(tmp_path / "out"))} && exec "$@"',
        "sh",
    )
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces")
    write_class(tmp_path, ("i",))
    with start(cluster, tmp_path, *mount) as running:
        said, _ = running.communicate(timeout=SECONDS)
    assert running.returncode == Exit.USAGE, said
    assert re.fullmatch(rf".*\n?conformance: \S+ does not have {tmp_path}/out: the workers need the folders .*\n", said)
    assert not (tmp_path / "begun").exists()
