"""The conformance suite passes through TLS and proxies, with several workers, and at a limited rate.

Here with some chapters in the configurations that combine most; ``tox run -e proofs`` runs all of both.
"""

import pytest

from tests.greenserver.launching import find_program
from tests.greenserver.proofs import run_suite

pytestmark = pytest.mark.once

CHAPTERS = ("framing", "replies")
COMBINED = ("tls-proxy-v1", "workers-tls-proxy-v2")


@pytest.mark.parametrize("configuration", COMBINED)
def test_the_suite_finds_no_fault(configuration: str) -> None:
    find_program("haproxy")
    result = run_suite(configuration, [word for chapter in CHAPTERS for word in ("-t", chapter)])
    assert result.returncode == 0, result.stdout
    assert "conformant" in result.stdout
