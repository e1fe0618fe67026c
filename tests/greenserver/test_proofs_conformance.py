"""The conformance suite finds no fault in a server that is reached by TLS, by proxies, or in parts.

Here with a part of its catalogue in the ways that combine most; ``tox run -e proofs`` tries all of it in every way.
"""

import pytest

from tests.greenserver.launching import find_program
from tests.greenserver.ways import judge

pytestmark = pytest.mark.once

CHAPTERS = ("framing", "lengths")
COMBINED = ("tls-proxy-v1", "tls-proxy-v2-selectors", "workers-tls-proxy-v2", "rate-tls")


@pytest.mark.parametrize("way", COMBINED)
def test_the_suite_finds_no_fault(way: str) -> None:
    find_program("haproxy")
    judged = judge(way, [word for chapter in CHAPTERS for word in ("-t", chapter)])
    assert judged.returncode == 0, judged.stdout
    assert "conformant" in judged.stdout
