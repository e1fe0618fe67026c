"""Answers the commands whose replies are short and at hand, without waking the conversation.

Most commands are such, and to wake the conversation for each would cost as much as the rest of our work. Whatever
prevents an answer, the command is left to the conversation, which meets it again and can do more about it.
"""

from time import monotonic

from greenserver.files.store import FileStore
from greenserver.protocol.dialects import ShortRequests
from greenserver.protocol.status import Status
from greenserver.telemetry.access_log import AccessLog


class FastPath:
    """What can be answered at once from a store. `now` is on the clock of `time.monotonic`."""

    __slots__ = ("_access_log", "_short", "_store")

    def __init__(self, short: ShortRequests, store: FileStore, access_log: AccessLog) -> None:
        self._access_log = access_log
        self._short = short
        self._store = store

    def reply_to_lone(self, data: bytes, now: float) -> bytes:
        """Return the reply to a command that has come whole and alone, as most do; nothing if this is none."""
        request = self._short.with_end.get(data)
        if request is None or self._access_log.is_wanted:
            return b""
        try:
            reply = request(self._store, now)
        except Exception:  # noqa: BLE001  (whatever it is, see above)
            return b""
        self._access_log.commands += 1
        return reply

    def answer(self, lines: list[bytes], replies: bytearray, now: float) -> bool:
        """Answer lines, the last one first, until one cannot be; take them away, and return whether none is left."""
        short, store, access_log, count = self._short, self._store, self._access_log, 0
        is_wanted = access_log.is_wanted
        for line in reversed(lines):
            begun = monotonic() if is_wanted else 0.0
            try:
                reply = short[line](store, now)
            except Exception:  # noqa: BLE001  (whatever it is, see above)
                break
            replies += reply
            count += 1
            if is_wanted:
                access_log.answered(line.decode("ascii"), Status.OK, len(reply), monotonic() - begun)
        access_log.commands += count
        del lines[len(lines) - count :]
        return not lines
