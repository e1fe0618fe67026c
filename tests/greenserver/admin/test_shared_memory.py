"""Counts in shared memory are neither lost nor counted twice, and need no file."""

import contextlib
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenserver.admin import shared_memory
from greenserver.admin.shared_memory import PAGE_BYTES, Page, SharedMemory
from tests.greenserver.serving import TIMEOUT_SECONDS

KEPT = "kept"


@pytest.fixture(params=["memfd_create", "a file without a name"])
def memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedMemory]:
    if request.param != "memfd_create":
        monkeypatch.delattr(os, "memfd_create", raising=False)
    memory = SharedMemory()
    yield memory
    memory.close()


def is_kept(key: str) -> bool:
    return key == KEPT


def count(memory: SharedMemory, number: int, **numbers: float) -> None:
    with memory.open(number) as page:
        for key, value in numbers.items():
            page.numbers[page.find(key)] += value


def test_is_ready_from_serving_to_draining(memory: SharedMemory) -> None:
    seen = SharedMemory(memory.fileno())
    found = [seen.is_ready]
    for record in (memory.set_serving, memory.set_draining, memory.set_serving):
        record()
        found.append(seen.is_ready)
    assert found == [False, True, False, False]


def test_adds_up_counters_of_ended_processes_and_drops_their_gauges(memory: SharedMemory) -> None:
    seen = SharedMemory(memory.fileno())
    pages = [memory.allot() for _ in range(3)]
    for number in pages:
        count(memory, number, kept=1.5, held=7)
        count(memory, number, kept=1)
    assert seen.read() == ({}, [{"kept": 2.5, "held": 7.0}] * 3)
    memory.release(pages[0], is_kept)
    memory.release(pages[1], is_kept)
    assert seen.read() == ({"kept": 5.0}, [{"kept": 2.5, "held": 7.0}])
    assert {memory.allot(), memory.allot()} == set(pages[:2]), "pages are used again"
    assert seen.read()[1] == [{"kept": 2.5, "held": 7.0}]


def test_sets_and_finds_a_number_under_any_name(memory: SharedMemory) -> None:
    number = memory.allot()
    names = ["", "a", "exactly8", "nine byte", "käse", "x" * 1000]
    with memory.open(number) as page, memory.open(number) as again:
        for value, name in enumerate(names):
            page.numbers[page.find(name)] = value
        assert [again.find(name) for name in names] == [page.find(name) for name in names]
        assert dict(again.items()) == {name: float(value) for value, name in enumerate(names)}


def fill(page: Page) -> None:
    with contextlib.suppress(MemoryError):
        for each in range(PAGE_BYTES):
            page.numbers[page.find(str(each))] = each


def test_full_page_raises_and_keeps_its_numbers(memory: SharedMemory) -> None:
    number = memory.allot()
    with memory.open(number) as page:
        fill(page)
        found = dict(page.items())
        assert len(found) > 1000
        assert all(float(name) == value for name, value in found.items())


def test_reader_sees_each_number_exactly_once(memory: SharedMemory) -> None:
    """The counts of an ended process are moved during a read; the reader must not see half of that."""
    seen = SharedMemory(memory.fileno())
    number = memory.allot()
    count(memory, number, kept=1, held=1)
    sums = []

    def read() -> None:
        ended, running = seen.read()
        sums.append(sum(each.get(KEPT, 0) for each in (ended, *running)))

    reading = threading.Thread(target=read)

    def begin_to_read(key: str) -> bool:
        if not is_kept(key):  # what is kept has been moved
            reading.start()
            reading.join(0.05)  # it would be done by then
        return is_kept(key)

    memory.release(number, begin_to_read)
    reading.join(TIMEOUT_SECONDS)
    assert sums == [1]


def test_reader_retries_after_a_concurrent_move(memory: SharedMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = SharedMemory(memory.fileno())
    number = memory.allot()
    count(memory, number, kept=1)
    read_page = SharedMemory._read_page  # noqa: SLF001  (to interrupt it)

    def read_and_move(self: SharedMemory, which: int) -> dict[str, float]:
        found = read_page(self, which)
        if which < number and not moved:
            moved.append(which)
            memory.release(number, is_kept)
        return found

    moved: list[int] = []
    monkeypatch.setattr(SharedMemory, "_read_page", read_and_move)
    assert seen.read() == ({"kept": 1.0}, [])


def test_reader_gives_up_after_a_while(memory: SharedMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "_LOOK_SECONDS", 0.0)
    memory._count_change()  # noqa: SLF001  (and then the first process is killed)
    assert SharedMemory(memory.fileno()).read() == ({}, [])


def test_lack_of_memory_raises_before_the_first_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write without memory would raise SIGBUS."""
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={4 * PAGE_BYTES}", "tmpfs", str(tmp_path)]
    if subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a disk")
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    try:
        memory = SharedMemory()
        for number in (memory.allot(), memory.allot()):
            count(memory, number, kept=1)
        with pytest.raises(OSError, match="No space left on device"):
            memory.allot()
        with pytest.raises(OSError, match=r"^no memory to share with the admin process: No space left on device$"):
            SharedMemory()
        memory.close()
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)
