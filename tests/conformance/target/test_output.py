"""The head and tail of a server's output are kept in memory, however long it is."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.target.output import HEAD_BYTES, OUTPUT_BYTES, TAIL_BYTES, ServerOutput

pytestmark = pytest.mark.once


@pytest.fixture
def output() -> Iterator[ServerOutput]:
    descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    opened = ServerOutput()
    try:
        yield opened
    finally:
        opened.close()
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == (descriptors, threads)


def print_(output: ServerOutput, program: str) -> None:
    subprocess.run([sys.executable, "-c", program], stdout=output.fileno(), stderr=output.fileno(), check=True)


def test_keeps_a_short_output_of_each_start(output: ServerOutput) -> None:
    print_(output, "print('one')")
    assert output.of_this_start() == "one\n"
    output.mark_start()
    assert output.of_this_start() == ""
    print_(output, "import sys; print('two'); print('three', file=sys.stderr)")
    assert sorted(output.of_this_start().splitlines()) == ["three", "two"]
    assert output.end().startswith("one\n")


@pytest.mark.parametrize("size", [HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + 1, TAIL_BYTES, TAIL_BYTES + 1, 80_000])
def test_omits_nothing_up_to_the_limit(output: ServerOutput, size: int) -> None:
    print_(output, f"import sys; sys.stdout.write(('0123456789' * {size})[:{size}])")
    assert output.of_this_start() == ("0123456789" * size)[:size]


def test_keeps_head_and_tail_of_a_gigabyte(output: ServerOutput) -> None:
    before = resident_kib()
    program = """
import os
os.write(1, b"it begins\\n")
for _ in range(1 << 10):
    os.write(1, bytes(1 << 20))
os.write(1, b"it ends\\n")
"""
    print_(output, program)
    found = output.of_this_start()
    assert found.startswith("it begins\n")
    assert found.endswith("it ends\n")
    assert f"... {(1 << 30) + 18 - HEAD_BYTES - TAIL_BYTES} bytes ..." in found
    assert len(found) < HEAD_BYTES + TAIL_BYTES + 100
    assert len(output.end()) <= OUTPUT_BYTES
    assert resident_kib() - before < 10 << 10


def test_close_does_not_wait_for_a_writer(output: ServerOutput) -> None:
    command = [sys.executable, "-c", "import os\nwhile True: os.write(1, bytes(65536))"]
    with subprocess.Popen(command, stdout=output.fileno(), stderr=output.fileno()) as endless:
        while not output.end():
            pass
        assert output.of_this_start()
        output.mark_start()
        endless.kill()


def resident_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def test_what_was_printed_since_a_moment_is_told_up_to_the_next_start(output: ServerOutput) -> None:
    print_(output, "print('before')")
    printed = output.listen()
    assert printed(0.0) == ""
    print_(output, "print('meanwhile')")
    assert printed(0.0) == "meanwhile\n"
    output.mark_start()
    print_(output, "print('afterwards')")
    assert printed(0.0) == "meanwhile\n"
    since_the_start = output.listen()
    output.mark_start()
    print_(output, "print('in another start')")
    assert since_the_start(0.0) == ""


@pytest.mark.parametrize("size", [OUTPUT_BYTES, OUTPUT_BYTES + 1, TAIL_BYTES + 100])
def test_of_much_that_was_printed_since_a_moment_the_middle_is_left_out(output: ServerOutput, size: int) -> None:
    printed = output.listen()
    print_(output, f"import sys; sys.stdout.write('begin' + 'x' * ({size} - 8) + 'end')")
    found = printed(0.0)
    assert found.endswith("end")
    assert found.startswith("begin") == (size <= TAIL_BYTES)
    assert (f"... {size - OUTPUT_BYTES} bytes ..." in found) == (size > OUTPUT_BYTES)
    assert len(found) <= OUTPUT_BYTES + 30


def test_a_server_that_has_not_printed_yet_is_waited_for(output: ServerOutput) -> None:
    printed = output.listen()
    writer = threading.Timer(0.05, os.write, (output.fileno(), b"late\n"))
    writer.start()
    assert printed(30.0) == "late\n"
    writer.join()


def test_what_is_printed_is_passed_on_as_it_comes(output: ServerOutput) -> None:
    told: list[bytes] = []
    output.tell(told.append)
    print_(output, "print('one')")
    output.end()
    assert b"".join(told) == b"one\n"
