"""The asynchronous client: performs the steps of a session in asyncio."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from greenserver.client.address import Address, parse_address
from greenserver.client.dial import dial_plain, greet
from greenserver.client.errors import ChangedError, HftpError, LocalError
from greenserver.client.operations import Close, Delivery, Open, Operation, Pause, Receive, Result, Send, Steps, advance
from greenserver.client.options import Options
from greenserver.client.session import Session
from greenserver.client.transfer import PATIENCE_SECONDS, Downloaded, Transfer
from greenserver.config.limits import CLIENT_BUFFER_BYTES
from greenserver.protocol.client import Data, Names

if TYPE_CHECKING:
    from typing_extensions import Self

    from greenserver.client.plan import Part

Made = TypeVar("Made")

_DEFAULTS = Options()


class AsyncClient:
    """A client of one server, with one connection that is made when it is needed. Not for several tasks at once.

    It has the methods of `Client`, to be awaited or iterated over by ``async for``.
    """

    def __init__(self, address: str | Address, options: Options = _DEFAULTS, *, form: str = "") -> None:
        self.address = parse_address(address) if isinstance(address, str) else address
        self.options = options
        self.session = Session(options, form)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> "Self":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def dialect(self) -> str:
        """Return the server's dialect, see `Client.dialect`."""
        return await self._call(self.session.find_dialect())

    async def size(self, name: str) -> int:
        """Return the size of a file in bytes."""
        return await self._call(self.session.size(name))

    async def names(self) -> AsyncIterator[str]:
        """Yield the names of the listing, see `Client.names`."""
        async for event in self._perform(self.session.names(), []):
            if isinstance(event, Names):
                for name in event.names:
                    yield name.decode("utf-8", "surrogateescape")

    async def stream(self, name: str, offset: int = 0, size: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes of a file, or of a part of it, as they arrive."""
        whole = await self.size(name)
        end = whole if size is None else offset + size
        async for event in self._perform(self.session.slice(name, offset, end, whole), []):
            if isinstance(event, Data):
                yield bytes(event.data)

    async def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        """Return a file, or a part of it."""
        return b"".join([data async for data in self.stream(name, offset, size)])

    async def download(
        self,
        name: str,
        path: Path | str,
        *,
        sha256: str | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Downloaded:
        """Fetch a file, see `Client.download`. What waits for the disk is done in threads."""
        size = await self.size(name)
        transfer = await _in_thread(Transfer, name, Path(path), size, self.options.connections, on_progress)
        try:
            if (tail := transfer.tail()) is not None:
                start, end = tail
                transfer.check_tail(await self.read(name, start, end - start), start)
            if not self.session.form and (part := transfer.plan.take()) is not None:
                await self._fetch_part(transfer, part)
            await self._fetch_all(transfer)
            size_now = await self.size(name)
            return await _in_thread(transfer.conclude, size_now, sha256)
        finally:
            await _in_thread(transfer.close)

    async def _fetch_all(self, transfer: Transfer) -> None:
        """Fetch all parts, with helpers."""
        helpers = [_Helper(self._helper(), transfer) for _ in range(transfer.helpers)]
        try:
            while not transfer.plan.is_whole:
                await self.fetch_parts(transfer)
                running = [helper.task for helper in helpers if not helper.task.done()]
                if running and not transfer.plan.is_whole:
                    await asyncio.wait(running, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if transfer.plan.failure is not None:
                    raise transfer.plan.failure
                for helper in helpers:
                    if not helper.client.session.bytes_received:
                        helper.task.cancel()
        finally:
            for helper in helpers:
                if not transfer.plan.is_whole:
                    helper.task.cancel()
            await asyncio.gather(*(helper.task for helper in helpers), return_exceptions=True)

    async def fetch_parts(self, transfer: Transfer) -> None:
        """Fetch parts until all are taken."""
        while (part := transfer.plan.take()) is not None:
            await self._fetch_part(transfer, part)

    async def _fetch_part(self, transfer: Transfer, part: "Part") -> None:
        steps = self.session.slice(transfer.name, part.position, part.end, transfer.size)
        try:
            async for event in self._perform(steps, []):
                if isinstance(event, Data):
                    await _in_thread(transfer.receive, part, event.data)
        finally:
            transfer.end_part(part)

    async def close(self) -> None:
        """Say goodbye and close the connection."""
        await self._call(self.session.leave())

    def discard(self) -> None:
        """Close the connection at once."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    def _helper(self) -> "AsyncClient":
        once = Options(**{**vars(self.options), "retries": 0})
        return AsyncClient(self.address, once, form=self.session.form)

    # --- Steps ---------------------------------------------------------------------------------------

    async def _call(self, steps: Steps[Result]) -> Result:
        results: list[Result] = []
        async for _ in self._perform(steps, results):
            pass
        return results[0]

    async def _perform(self, steps: Steps[Result], results: list[Result]) -> AsyncIterator[Delivery]:
        """Perform operations, and yield what is delivered; add the result to a list."""
        answer: int | None = None
        failure: Exception | None = None
        while True:
            try:
                step = advance(steps, answer, failure)
            except StopIteration as stop:
                results.append(stop.value)
                return
            answer, failure = 0, None
            if isinstance(step, (Data, Names)):
                yield step
                continue
            try:
                answer = await self._do(step)
            except Exception as error:  # noqa: BLE001  (the steps decide about it)
                failure = error

    async def _do(self, operation: Operation) -> int:
        streams = self._streams
        timeout_seconds = self.options.timeout_seconds
        if isinstance(operation, Receive) and streams is not None:
            data = await _within(operation.seconds, streams[0].read(len(operation.buffer)))
            operation.buffer[: len(data)] = data
            return len(data)
        if isinstance(operation, Send) and streams is not None:
            streams[1].write(operation.data)
            await _within(timeout_seconds, streams[1].drain())
        elif isinstance(operation, Pause):
            await asyncio.sleep(operation.seconds)
        elif isinstance(operation, (Open, Close)):
            self._streams = None
            if streams is not None:
                streams[1].close()
                with contextlib.suppress(OSError):
                    await _within(timeout_seconds, streams[1].wait_closed())
            if isinstance(operation, Open):
                self._streams = await _within(timeout_seconds, self._open())
        return 0

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = self.options.tls_context() if self.address.is_tls else None
        sock = await dial_plain(self.address, self.options)
        try:
            greet(sock, self.options)
            name = self.address.host if context is not None else None
            return await asyncio.open_connection(
                sock=sock, ssl=context, server_hostname=name, limit=CLIENT_BUFFER_BYTES
            )
        except BaseException:
            sock.close()
            raise


async def _in_thread(function: Callable[..., Made], *arguments: object) -> Made:
    """Call a function in a thread, and wait for its end even if the task is cancelled."""
    called = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(called)
    except asyncio.CancelledError:
        await asyncio.wait([called])
        called.exception()  # nobody wants to know any more
        raise


async def _within(seconds: float, work: Coroutine[Any, Any, Made]) -> Made:
    """Await something for a limited time. Raise TimeoutError.

    Until Python 3.12, `asyncio.wait_for` forgets a cancellation that comes together with the result.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        _ = task.cancelled() or task.exception()  # which is known then, whoever is cancelled
    if task.cancelled():
        message = "timed out"
        raise TimeoutError(message)
    return task.result()


class _Helper:
    """A further connection, see `download`."""

    def __init__(self, client: AsyncClient, transfer: Transfer) -> None:
        self.client = client
        self.task = asyncio.ensure_future(self._run(transfer))

    async def _run(self, transfer: Transfer) -> None:
        try:
            await self.client.fetch_parts(transfer)
            await self.client.close()
        except (ChangedError, LocalError) as error:
            transfer.plan.fail(error)
        except (HftpError, OSError):
            pass  # the first connection finds out what is wrong
        finally:
            self.client.discard()
