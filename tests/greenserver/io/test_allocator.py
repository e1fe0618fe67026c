"""The C library is told to keep memory, where it can be told."""

import platform

from tests.greenserver.serving import run_script


def test_memory_is_kept_where_the_c_library_has_a_way() -> None:
    done = run_script("from greenserver.io.allocator import keep_large_blocks; print(keep_large_blocks())")
    done.check_returncode()
    assert done.stdout == f"{platform.libc_ver()[0] == 'glibc'}\n"
