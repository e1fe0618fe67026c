"""Open descriptors are counted, with /proc and without it."""

import os
from pathlib import Path

import pytest

from greenserver.io import descriptors


def test_counts_descriptors_with_and_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(descriptors, "_PROBED", max(map(int, os.listdir("/proc/self/fd"))) + 10)
    held = [os.open(tmp_path, os.O_RDONLY) for _ in range(5)]
    listed = descriptors.count_open() - 1  # the one by which the directory is read
    monkeypatch.setattr(descriptors, "_LISTED", str(tmp_path / "none"))
    assert descriptors.count_open() == listed
    assert descriptors.is_open(held[0])
    for each in held:
        os.close(each)
    assert not descriptors.is_open(held[0])
    assert descriptors.count_open() == listed - 5
