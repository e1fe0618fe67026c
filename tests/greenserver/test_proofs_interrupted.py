"""A call that a signal interrupts is made again: no client notices."""

from pathlib import Path

import pytest

from tests.greenserver.launching import LaunchedServer
from tests.greenserver.test_faults import inject

pytestmark = pytest.mark.once

CONTENT = bytes(range(256)) * 1000


@pytest.mark.parametrize(
    ("engine", "call"),
    [
        *(("gevent", call) for call in ("sendto", "recvfrom", "openat")),
        *(("selectors", call) for call in ("sendto", "preadv2")),
        *(("threads", call) for call in ("pread64", "recvfrom")),
    ],
)
def test_an_interrupted_call_is_made_again(tmp_path: Path, engine: str, call: str) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "file.bin").write_bytes(CONTENT)
    where = {"openat": files, "preadv2": files / "file.bin", "pread64": files / "file.bin"}
    server = LaunchedServer(files, tmp_path / "server", engine, strace=inject(call, "EINTR", "1+2", where.get(call)))
    try:
        for _ in range(3):
            reply = server.ask(b"get_slice file.bin 0 %d raw\r\nget_metadata file.bin\r\n" % len(CONTENT))
            assert reply == b"0 OK\r\nContent-Length: %d\r\n\r\n%b0 OK\r\n%d\r\n" % (
                len(CONTENT),
                CONTENT,
                len(CONTENT),
            )
        assert not server.events_named("reply aborted", "command failed")
    finally:
        server.close()
