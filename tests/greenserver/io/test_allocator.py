"""The allocator keeps freed memory where the C library supports that."""

import platform

from tests.greenserver.serving import run_script

_FAULTS = """
import resource, sys
from greenserver.config.limits import KEPT_BLOCK_BYTES, KEPT_BYTES
from greenserver.io.allocator import configure

print(configure() if sys.argv[1] == "keep" else None)
size = KEPT_BLOCK_BYTES * 7 // 8
count = KEPT_BYTES // KEPT_BLOCK_BYTES
for turn in range(40):
    if turn == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [bytearray(size) for _ in range(count)]
    del blocks
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize() / (30 * count * size))
"""


def share_mapped(what: str) -> tuple[str, float]:
    """Return what the C library answered, and the share of blocks that had to be mapped again."""
    done = run_script(_FAULTS, what)
    done.check_returncode()
    answer, share = done.stdout.splitlines()
    return answer, float(share)


def test_keeps_large_blocks_if_supported() -> None:
    answer, share = share_mapped("keep")
    assert answer == str(platform.libc_ver()[0] == "glibc")
    if answer == "True":
        # How much of a block the kernel maps at one fault depends on the kernel: 0.7 to 1.0 of it was counted.
        assert share < share_mapped("leave")[1] / 5
