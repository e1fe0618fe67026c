"""The comparison of downloads runs, and compares what it should."""

import shutil

import pytest

from tests.benchmarks import download, peers

pytestmark = pytest.mark.once


def test_the_comparison_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("curl") is None or peers.PEERS[peers.NGINX_SENDFILE].requirement():
        pytest.skip("curl or nginx is missing: apt-get install curl nginx")
    assert download.main(["--size", "3", "--rounds", "1"]) == 0
    _head, _line, *rows = capsys.readouterr().out.splitlines()
    assert [row.split(" | ")[0] for row in rows] == [f"| {way.name}" for way in download.WAYS]
    assert all("MiB" in row for row in rows if "hftp" in row)


def test_a_ratio_is_of_the_rates_within_a_round() -> None:
    took = {way.name: [1.0, 2.0] if "curl" in way.name else [0.5, 1.0] for way in download.WAYS}
    found = {name: [download.Fetched(seconds, 30.0) for seconds in both] for name, both in took.items()}
    rows = list(download.table(found, 10**6))
    assert [row.split(" | ")[2] for row in rows if "hftp" in row] == ["2.00 x (2.00 to 2.00)"] * 3
