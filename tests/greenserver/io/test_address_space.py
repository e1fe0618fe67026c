"""Whether address space is limited is found out, and whether there is enough of it."""

import pytest

from tests.greenserver.serving import run_script

_ASK = """
import resource, sys
from greenserver.io import address_space

class Overcommit:
    def read_bytes(self):
        if sys.argv[2] == "missing":
            raise FileNotFoundError
        return sys.argv[2].encode() + b"\\n"

address_space._OVERCOMMIT = Overcommit()
if sys.argv[1] != "none":
    resource.setrlimit(getattr(resource, sys.argv[1]), (1 << 32,) * 2)
print(address_space.is_limited())
"""


@pytest.mark.parametrize(
    ("limit", "overcommit", "is_limited"),
    [
        ("none", "0", False),
        ("none", "1", False),
        ("none", "2", True),
        ("none", "missing", False),
        ("RLIMIT_AS", "0", True),
        ("RLIMIT_DATA", "0", True),
    ],
)
def test_limits_of_the_process_and_of_the_system_are_found(limit: str, overcommit: str, is_limited: bool) -> None:
    done = run_script(_ASK, limit, overcommit)
    assert done.stdout == f"{is_limited}\n", done.stderr


def test_headroom_is_what_can_be_allocated() -> None:
    script = """
import resource
from pathlib import Path
from greenserver.config.limits import HEADROOM_BYTES
from greenserver.io.address_space import has_headroom

used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
for more in (2 * HEADROOM_BYTES, HEADROOM_BYTES // 2):
    resource.setrlimit(resource.RLIMIT_AS, (used + more, resource.RLIM_INFINITY))
    print(has_headroom())
"""
    done = run_script(script)
    assert done.stdout == "True\nFalse\n", done.stderr
