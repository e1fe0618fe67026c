"""pandas, DuckDB and Dask read tables from a greenserver by hftp:// URLs."""

import csv
import random
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from tests.greenserver.serving import Server, closing_servers

pytestmark = [pytest.mark.once, pytest.mark.integrations]

ROWS = 40_000
FILES = 4


def _row(number: int) -> tuple[int, int, str]:
    return number, number * number % 1009, "x" * random.Random(number).randrange(20)


TOTAL = sum(_row(number)[1] for number in range(ROWS))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a table in one file and in several, and return the URL of the server."""
    directory = tmp_path_factory.mktemp("tables")
    _write(directory / "all.csv", range(ROWS))
    for part in range(FILES):
        _write(directory / f"part-{part}.csv", range(part, ROWS, FILES))
    with closing_servers(Server) as start:
        server = start(directory, tmp_path_factory.mktemp("server"), "--quiet")
        yield f"hftp://127.0.0.1:{server.port}"


def _write(path: Path, numbers: range) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("number", "value", "text"))
        writer.writerows(map(_row, numbers))


def test_pandas_reads_tables(root: str, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    assert pandas.read_csv(f"{root}/all.csv")["value"].sum() == TOTAL
    options = {"block_size": 2**16}
    with fsspec.open(f"{root}/all.csv", **options) as file:
        assert sum(chunk["value"].sum() for chunk in pandas.read_csv(file, chunksize=1000)) == TOTAL
    cached = pandas.read_csv(
        f"simplecache::{root}/all.csv", storage_options={"simplecache": {"cache_storage": str(tmp_path)}}
    )
    assert len(cached) == ROWS
    with pytest.raises(FileNotFoundError, match=r"nothing\.csv"):
        pandas.read_csv(f"{root}/nothing.csv")
    with pytest.raises(PermissionError, match="HFTP only reads"):
        cached.to_csv(f"{root}/new.csv")


def test_pandas_and_duckdb_read_parquet(tmp_path: Path) -> None:
    pandas, duckdb = pytest.importorskip("pandas"), pytest.importorskip("duckdb")
    table = pandas.DataFrame({"number": range(ROWS), "value": [_row(number)[1] for number in range(ROWS)]})
    (tmp_path / "served").mkdir()
    table.to_parquet(tmp_path / "served" / "all.parquet", row_group_size=1000)
    with closing_servers(Server) as start:
        server = start(tmp_path / "served", tmp_path / "server", "--quiet")
        url = f"hftp://127.0.0.1:{server.port}/all.parquet"
        assert pandas.read_parquet(url, columns=["value"])["value"].sum() == TOTAL
        with duckdb.connect() as database:
            database.register_filesystem(fsspec.filesystem("hftp"))
            query = "select sum(value) from read_parquet(?) where number < 1000"
            assert database.execute(query, [url]).fetchone()[0] == sum(_row(number)[1] for number in range(1000))


def test_duckdb_reads_tables(root: str) -> None:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as database:
        database.register_filesystem(fsspec.filesystem("hftp"))
        assert database.execute(f"select sum(value), count(*) from read_csv('{root}/all.csv')").fetchone() == (
            TOTAL,
            ROWS,
        )
        assert database.execute(f"select sum(value) from read_csv('{root}/part-*.csv')").fetchone() == (TOTAL,)
        with pytest.raises(duckdb.Error, match=r"nothing\.csv"):
            database.execute(f"from read_csv('{root}/nothing.csv')").fetchone()


@pytest.mark.timeout(600)
def test_dask_reads_tables_with_two_workers(root: str) -> None:
    distributed, dataframe = pytest.importorskip("distributed"), pytest.importorskip("dask.dataframe")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert len(client.scheduler_info()["workers"]) == 2
        table = dataframe.read_csv(f"{root}/part-*.csv", blocksize=50_000)
        assert table.npartitions > FILES
        assert table["value"].sum().compute() == TOTAL
        whole = dataframe.read_csv(f"{root}/all.csv", blocksize=100_000)
        assert sorted(whole["number"].compute()) == [*range(ROWS)]
        with pytest.raises(FileNotFoundError, match="nothing"):
            dataframe.read_csv(f"{root}/nothing.csv").compute()
