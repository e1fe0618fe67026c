"""TLS on a client's socket, by the same reads and writes on every engine.

The cryptography works on memory, never on the socket, so that no library's way to wait gets between a
conversation and its engine.
"""

import contextlib
import socket
import ssl
from pathlib import Path
from typing import Final

from greenserver.config import limits
from greenserver.io.wait import READ, WRITE

_MAX_HELD_BYTES: Final = 16 * limits.RECORD_BYTES  # what a peer may make us owe it without reading


def server_context(certificate: str, key: str, client_ca: str | None = None) -> ssl.SSLContext:
    """Return what a server needs for TLS 1.2 or newer, from files in PEM.

    With `client_ca`, only clients with a certificate of that authority are served.

    Raises OSError with a message for people.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    for path in (certificate, key, client_ca):
        if path is not None:
            _require_readable(path)
    try:
        # Without the callback OpenSSL would ask the terminal for a passphrase, for ever.
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except (ssl.SSLError, ValueError) as error:
        message = f"cannot use the certificate {certificate} with the key {key}: {_reason(error)}"
        raise OSError(message) from error
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(client_ca)
        except ssl.SSLError as error:
            message = f"cannot use the authority for clients {client_ca}: {_reason(error)}"
            raise OSError(message) from error
    return context


class SecureChannel:
    """Reads and writes through TLS on a non-blocking socket; raises BlockingIOError like the socket itself.

    `early` are bytes that were already read from the socket.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, early: bytes = b"") -> None:
        self._socket = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._unsent = b""
        if early:
            self._incoming.write(early)

    def shake_hands(self) -> int:
        """Go on with the handshake; return what to wait for before the next call, or 0 if it is done.

        Raises OSError if it fails; the peer has then been told why.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:  # noqa: PERF203  (the way of every handshake)
                if not self._flush():
                    return WRITE
                try:
                    self._fill()
                except BlockingIOError:
                    return READ
            except ssl.SSLError:
                self._flush()
                raise
            else:
                self._flush()
                return 0

    def recv(self, count: int) -> bytes:
        """Return what the peer said next, all of it up to about so many bytes; nothing at its end."""
        parts: list[bytes] = []
        while True:
            try:
                part = self._tls.read(count)
            except ssl.SSLWantReadError:
                self._flush()
                if parts:
                    break
                self._fill()
                continue
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                break
            if not part:
                break
            parts.append(part)
        return b"".join(parts)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Send bytes, and return how many were taken; the last record of them may still be unsent."""
        view = memoryview(data)
        taken = 0
        while taken < len(view):
            if not self._flush():
                if taken:
                    break
                raise BlockingIOError
            taken += self._tls.write(view[taken : taken + limits.RECORD_BYTES])
        self._flush()
        return taken

    def flush(self) -> bool:
        """Send what is unsent; tell whether nothing of it is left."""
        return self._flush()

    def say_goodbye(self) -> None:
        """Tell the peer that nothing more comes; `flush` sends it."""
        with contextlib.suppress(ssl.SSLError, ValueError):  # the peer's own goodbye is not waited for
            self._tls.unwrap()
        self._flush()

    def _flush(self) -> bool:
        while True:
            if not self._unsent:
                self._unsent = self._outgoing.read()
            if not self._unsent:
                return True
            try:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
            except BlockingIOError:
                if len(self._unsent) + self._outgoing.pending > _MAX_HELD_BYTES:
                    message = "the peer takes nothing of what it makes us owe it"
                    raise ConnectionAbortedError(message) from None
                return False

    def _fill(self) -> None:
        """Take what has come. At most one read's worth is ever held: all of it is decrypted before the next."""
        data = self._socket.recv(limits.RECEIVE_BYTES)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


def _require_readable(path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise OSError(message) from error


def _no_passphrase() -> str:
    message = "the key is protected by a passphrase, which a server cannot be asked for"
    raise ValueError(message)


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else str(error)
