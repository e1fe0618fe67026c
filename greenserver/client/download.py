"""Fetch a file over several connections, each in a thread of its own."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from greenserver.client.client import Client
from greenserver.client.errors import ChangedError, HftpError, LocalError
from greenserver.client.plan import Part
from greenserver.client.transfer import PATIENCE_SECONDS, Downloaded, Transfer


class _Helper:
    """A further connection. It helps as long as it can: when it fails, others take the rest of its part."""

    def __init__(self, client: Client, transfer: Transfer) -> None:
        self.client = client
        self._transfer = transfer
        self._began = time.monotonic()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @property
    def is_silent(self) -> bool:
        """Whether its server has not replied for a while, not even once."""
        is_new = time.monotonic() < self._began + PATIENCE_SECONDS
        return not (is_new or self.client.session.bytes_received)

    def _run(self) -> None:
        try:
            with self.client:
                _fetch_parts(self.client, self._transfer)
        except (ChangedError, LocalError) as error:
            self._transfer.plan.fail(error)
        except (HftpError, OSError):
            pass  # the first connection finds out what is wrong
        except Exception as error:  # noqa: BLE001  (it must not be lost with the thread)
            self._transfer.plan.fail(error)


def download(
    client: Client, name: str, path: Path, sha256: str | None, on_progress: Callable[[int, int], None] | None
) -> Downloaded:
    """Fetch a file, see `Client.download`."""
    size = client.size(name)
    with Transfer(name, path, size, client.options.connections, on_progress) as transfer:
        if (tail := transfer.tail()) is not None:
            transfer.check_tail(b"".join(map(bytes, client.views(name, *tail, size))), tail[0])
        helpers: list[_Helper] = []
        try:
            _fetch_first_part(client, transfer)
            helpers += [_Helper(client.helper(), transfer) for _ in range(transfer.helpers)]
            while not transfer.plan.is_whole:
                _fetch_parts(client, transfer)
                transfer.plan.wait(PATIENCE_SECONDS / 2)
                if transfer.plan.failure is not None:
                    raise transfer.plan.failure
                for helper in helpers:
                    if helper.is_silent:
                        helper.client.abort()
        finally:
            is_whole = transfer.plan.is_whole
            for helper in helpers:
                if not is_whole:
                    helper.client.abort()
                helper.thread.join()  # it may be connecting, for as long as the timeout
        return transfer.conclude(client.size(name), sha256)


def _fetch_first_part(client: Client, transfer: Transfer) -> None:
    """Find out the form of slices, so that further connections need not."""
    if not client.session.form and (part := transfer.plan.take()) is not None:
        _fetch_part(client, transfer, part)


def _fetch_parts(client: Client, transfer: Transfer) -> None:
    while (part := transfer.plan.take()) is not None:
        _fetch_part(client, transfer, part)


def _fetch_part(client: Client, transfer: Transfer, part: Part) -> None:
    try:
        for data in client.views(transfer.name, part.position, part.end, transfer.size):
            transfer.receive(part, data)
    finally:
        transfer.end_part(part)
