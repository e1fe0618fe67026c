"""Answer commands whose replies are short and at hand, without resuming the connection's generator.

Most commands are of this kind, and resuming the generator for each would double the cost. The fast path leaves a
command that it cannot answer, for any reason, to the generator.
"""

from time import monotonic

from greenserver.files.store import FileStore
from greenserver.protocol.dialects import ShortRequests
from greenserver.protocol.status import Status
from greenserver.telemetry.access_log import AccessLog


class FastPath:
    """Answers commands at once from a store. `now` is a time of `time.monotonic`, in seconds."""

    __slots__ = ("_access_log", "_short", "_store")

    def __init__(self, short: ShortRequests, store: FileStore, access_log: AccessLog) -> None:
        self._access_log = access_log
        self._short = short
        self._store = store

    def reply_to_lone(self, data: bytes, now: float) -> bytes:
        """Return the reply if the data is exactly one known command, as it mostly is; else an empty one."""
        request = self._short.with_end.get(data)
        if request is None or self._access_log.is_wanted:
            return b""
        try:
            reply = request(self._store, now)
        except Exception:  # noqa: BLE001  (left to the generator)
            return b""
        self._access_log.commands += 1
        return reply

    def answer(self, lines: list[bytes], replies: bytearray, now: float) -> bool:
        """Answer and remove lines, from the end of the list, up to the first that cannot be answered.

        Return whether no line is left.
        """
        short, store, access_log, count = self._short, self._store, self._access_log, 0
        is_wanted = access_log.is_wanted
        for line in reversed(lines):
            begun = monotonic() if is_wanted else 0.0
            try:
                reply = short[line](store, now)
            except Exception:  # noqa: BLE001  (left to the generator)
                break
            replies += reply
            count += 1
            if is_wanted:
                access_log.answered(line.decode("ascii"), Status.OK, len(reply), monotonic() - begun)
        access_log.commands += count
        del lines[len(lines) - count :]
        return not lines
