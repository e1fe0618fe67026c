"""Jobs on a Dask cluster end as they do here, whatever becomes of workers, the scheduler and clients."""

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="tox run -e integrations")

import conformance
from conformance.classroom.pool import LostError, PoolError, alone, open_pool
from conformance.target.sockets import free_port
from tests.conformance.cluster.processes import (
    LACKS_SUITE,
    ROOT,
    SECONDS,
    Cluster,
    await_that,
    job,
    notes,
)

pytestmark = [pytest.mark.once, pytest.mark.timeout(1800), pytest.mark.filterwarnings("ignore")]

CLIENT = """
import sys, threading
from conformance.classroom.pool import alone, open_pool
from tests.conformance.cluster.processes import job
with open_pool(sys.argv[1], 0, "owner") as pool:
    list(pool.run(job, alone([(sys.argv[2], name, "waits") for name in "abc"]), threading.Event()))
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        for _ in range(2):
            cluster.add_worker()
        cluster.await_workers(2)
        yield cluster


def items(tmp_path: Path, **names: str) -> list[tuple[str, str, str]]:
    return [(str(tmp_path / "notes"), name, what) for name, what in names.items()]


def test_each_job_runs_once_and_those_of_a_chain_in_turn(cluster: Cluster, tmp_path: Path) -> None:
    a, b, *chain = items(tmp_path, a="", b="", x="", y="", z="")
    with open_pool(cluster.where, 0) as pool:
        assert pool.about == f"2 at a time on tcp://127.0.0.1:{cluster.port} (workers: 2)"
        assert sorted(pool.everywhere(max, 2, 5).values()) == [5, 5]
        done = dict(pool.run(job, [[a], [b], chain], threading.Event()))
    assert done == {item: item[1].upper() for item in (a, b, *chain)}
    said = notes(tmp_path / "notes")
    assert sorted(said) == sorted(f"{name} {what}" for name in "abxyz" for what in ("begins", "ends"))
    in_turn = [line for line in said if line[0] in "xyz"]
    assert in_turn == [f"{name} {what}" for name in "xyz" for what in ("begins", "ends")]


def test_stop_ends_those_that_run_and_begins_no_others(cluster: Cluster, tmp_path: Path) -> None:
    with open_pool(cluster.where, 0) as pool:
        chosen = items(tmp_path, first="", a="waits", b="waits", c="waits", d="waits")
        results = pool.run(job, alone(chosen), threading.Event())
        assert next(results) == (chosen[0], "FIRST")
        await_that(lambda: len(notes(tmp_path / "notes")) == 4)
        results.close()
        said = notes(tmp_path / "notes")
    begun = {line.split()[0] for line in said if line.endswith("begins")}
    assert len(begun) == 3
    assert begun == {line.split()[0] for line in said if line.endswith(("is stopped", "ends"))}


def test_exception_of_a_job_is_raised_when_the_others_have_ended(cluster: Cluster, tmp_path: Path) -> None:
    with open_pool(cluster.where, 0) as pool, pytest.raises(OSError, match="bad fails"):
        list(pool.run(job, alone(items(tmp_path, waits="waits", bad="fails")), threading.Event()))
    said = notes(tmp_path / "notes")
    assert said.count("bad begins") == 1
    assert ("waits begins" in said) == ("waits is stopped" in said)


def test_what_a_killed_client_has_left_is_ended(cluster: Cluster, tmp_path: Path) -> None:
    words = [sys.executable, "-c", CLIENT, cluster.where, str(tmp_path / "notes")]
    with subprocess.Popen(words, cwd=ROOT) as client:
        await_that(lambda: len(notes(tmp_path / "notes")) == 2)
        client.kill()
    with open_pool(cluster.where, 0, "somebody else"):
        assert len(notes(tmp_path / "notes")) == 2
    with open_pool(cluster.where, 0, "owner") as pool:
        assert sum(line.endswith("is stopped") for line in notes(tmp_path / "notes")) == 2
        (done,) = pool.run(job, alone(items(tmp_path, later="")), threading.Event())
    assert done[1] == "LATER"
    assert len([line for line in notes(tmp_path / "notes") if line.endswith("begins")]) == 3


def test_dead_workers_jobs_are_done_by_others_but_for_the_one_that_kills_them(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    with Cluster(tmp_path) as cluster, ThreadPoolExecutor(1) as helper:
        workers = [cluster.add_worker()]
        cluster.await_workers(1)

        def replace_workers() -> None:
            await_that(lambda: notes(file) == ["a begins"])
            workers[0].send_signal(signal.SIGKILL)
            workers.append(cluster.add_worker())
            await_that(lambda: notes(file) == ["a begins"] * 2)
            Path(tmp_path, "go").touch()
            workers[1].wait(SECONDS)  # which "killer" has killed
            workers.append(cluster.add_worker())
            workers[2].wait(SECONDS)
            workers.append(cluster.add_worker())

        def kill_scheduler() -> None:
            await_that(lambda: "last begins" in notes(file))
            cluster.scheduler.kill()

        with open_pool(cluster.where, 0) as pool:
            replaced = helper.submit(replace_workers)
            a, killer, other = items(tmp_path, a="goes", killer="kills", other="")
            results = pool.run(job, [[a, killer, other]], threading.Event())
            assert next(results) == (a, "A")
            lost, other_done = results
            replaced.result()
            assert lost[0] == killer
            assert isinstance(lost[1], LostError)
            assert str(lost[1]).startswith("each of the workers that ran it has died")
            assert other_done == (other, "OTHER")
            said = notes(file)
            assert [said.count(f"{name} begins") for name in ("a", "killer", "other")] == [2, 2, 1]

            results = pool.run(job, alone(items(tmp_path, last="waits")), threading.Event())
            killed = helper.submit(kill_scheduler)
            with pytest.raises(PoolError, match=r"the Dask scheduler at .* is gone, or has dropped the jobs"):
                list(results)
            killed.result()


def line_of(where: str) -> str:
    with pytest.raises(PoolError) as found, open_pool(where, 0):
        pass
    return str(found.value)


def test_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conformance.classroom.dask_pool._CONNECT_SECONDS", 1)
    port = free_port()
    assert line_of(f"dask://127.0.0.1:{port}").startswith(f"no Dask scheduler answers at tcp://127.0.0.1:{port}: ")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # which is no scheduler
        port = silent.getsockname()[1]
        assert line_of(f"dask://127.0.0.1:{port}").startswith(f"no Dask scheduler answers at tcp://127.0.0.1:{port}: ")


def test_scheduler_without_the_suite(tmp_path: Path) -> None:
    with Cluster(tmp_path, LACKS_SUITE) as cluster:
        said = line_of(cluster.where)
    assert said.startswith(f"the Dask scheduler at tcp://127.0.0.1:{cluster.port} cannot import conformance (")
    assert said.endswith(" there, as here")


def test_no_worker_or_one_without_the_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Cluster(tmp_path) as cluster:
        monkeypatch.setattr("conformance.classroom.dask_pool._WORKERS_SECONDS", 0.5)
        address = f"tcp://127.0.0.1:{cluster.port}"
        no_workers = f"the Dask scheduler at {address} has no workers: start one with `dask worker {address}`"
        assert line_of(cluster.where) == no_workers
        cluster.add_worker(LACKS_SUITE)
        cluster.await_workers(1)
        assert re.match(r"the Dask worker tcp://\S+ cannot import conformance \(", line_of(cluster.where))


def test_other_version_of_the_suite(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    here = conformance.__version__
    monkeypatch.setattr("conformance.classroom.dask_pool.__version__", "99")
    there = f"the Dask scheduler at tcp://127.0.0.1:{cluster.port} has conformance {here}"
    assert line_of(cluster.where) == f"{there}: install greenserver[cluster] 99 there, as here"


def test_function_that_fails_on_a_worker_is_told_with_the_worker(cluster: Cluster) -> None:
    said = r"^the Dask worker tcp://127.* fails: .*by zero$"
    with open_pool(cluster.where, 0) as pool, pytest.raises(PoolError, match=said):
        pool.everywhere(divmod, 1, 0)
