"""`hftp` ends in time and tells in a line what is wrong, with some of the broken servers in every style."""

import pytest

from tests.greenserver.client.matrix import CONTENT, sample, try_server

pytestmark = pytest.mark.once


@pytest.mark.parametrize("name", sample())
def test_a_broken_server_hangs_no_client(name: str) -> None:
    for end in try_server(name):
        assert end.is_well, end
        if name.startswith("correct-"):
            assert (end.status, end.wrong) == (0, [])
            assert len(CONTENT) == 3
