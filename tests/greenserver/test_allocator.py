"""The C library is told to keep memory, where it can be told."""

import platform
import subprocess
import sys

from tests.greenserver.serving import ROOT


def test_memory_is_kept_where_the_c_library_has_a_way() -> None:
    script = "from greenserver.allocator import keep_chunks; print(keep_chunks())"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == f"{platform.libc_ver()[0] == 'glibc'}\n"
