"""Run TLS on a non-blocking socket, in the same way on every engine.

OpenSSL works on memory buffers (`ssl.MemoryBIO`), never on the socket, so that it never waits itself: only the
engine waits.
"""

import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any, Final

from greenserver.config import limits
from greenserver.io.wait import READ, WRITE

_MAX_HELD_BYTES: Final = 16 * limits.RECORD_BYTES  # maximum unsent TLS data for a peer that does not read

# https://www.rfc-editor.org/rfc/rfc4514#section-3
_SHORT_NAMES: Final = {
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "countryName": "C",
}


def server_context(certificate: str, key: str, client_ca: str | None = None) -> ssl.SSLContext:
    """Return the context of a server for TLS 1.2 or newer, from PEM files.

    With `client_ca`, require client certificates signed by that authority.

    Raise OSError, with a message for the operator, if a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    for path in (certificate, key, client_ca):
        if path is not None:
            _require_readable(path)
    try:
        # Without the callback OpenSSL would prompt for a passphrase on the terminal, and wait forever:
        # https://docs.python.org/3/library/ssl.html#ssl.SSLContext.load_cert_chain
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
    """A TLS channel on a non-blocking socket; raises BlockingIOError like the socket itself.

    `early` are bytes already received from the socket.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, early: bytes = b"") -> None:
        self._socket = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._unsent = b""
        self._barren_bytes = 0  # received since the last data
        if early:
            self._incoming.write(early)

    def shake_hands(self) -> int:
        """Continue the handshake; return the event to wait for before the next call, or 0 when it is done.

        Raise OSError if it fails, after sending the TLS alert.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:  # noqa: PERF203  (part of every handshake)
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
        """Receive once; return all its data, up to about `count` bytes, or empty bytes at EOF.

        Raise BlockingIOError if no data came, also if there may be more to receive: records without data, such as
        KeyUpdate (https://www.rfc-editor.org/rfc/rfc8446#section-4.6.3), must not keep other clients waiting.
        Raise ConnectionAbortedError if too many of them come.
        """
        data = self._read(count)
        if data is None:
            self._barren_bytes += self._fill()
            data = self._read(count)
        if data is None:
            if self._barren_bytes > limits.BARREN_BYTES:
                message = "too many TLS records without data"
                raise ConnectionAbortedError(message)
            raise BlockingIOError
        self._barren_bytes = 0
        return data

    def facts(self) -> dict[str, str]:
        """Return what a finished handshake has agreed on, as fields of the log."""
        cipher, certificate = self._tls.cipher(), self._tls.getpeercert()
        facts = {"tls": self._tls.version() or "", "cipher": cipher[0] if cipher else ""}
        if certificate:
            facts["certificate"] = _subject(certificate)[: limits.LOGGED_COMMAND_CHARACTERS]
        return facts

    def _read(self, count: int) -> bytes | None:
        """Return the data of the records received so far; empty bytes at EOF, None if there is none."""
        parts: list[bytes] = []
        try:
            while part := self._tls.read(count):
                parts.append(part)
        except ssl.SSLWantReadError:
            self._flush()
            if not parts:
                return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass
        return b"".join(parts)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Encrypt and send; return how many bytes were accepted. Their last TLS record may still be unsent."""
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
        """Send pending TLS data; return whether none is left."""
        return self._flush()

    def send_close_notify(self) -> None:
        """Queue a `close_notify` alert; `flush` sends what does not go at once."""
        with contextlib.suppress(OSError, ValueError):  # does not wait for the peer's own close_notify
            try:
                self._tls.unwrap()
            finally:
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
                    message = "too much unsent TLS data: the peer does not read"
                    raise ConnectionAbortedError(message) from None
                return False

    def _fill(self) -> int:
        """Receive once into the TLS input buffer, which holds one read at most: it is decrypted before the next.

        Return the number of bytes.
        """
        data = self._socket.recv(limits.RECEIVE_BYTES)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return len(data)


def _subject(certificate: Any) -> str:  # noqa: ANN401  (nested tuples, see `ssl.SSLSocket.getpeercert`)
    """Return the subject of a certificate in the order of its parts, such as ``CN=client 7,O=Example``."""
    parts = [part for parts in certificate.get("subject", ()) for part in parts]
    return ",".join(f"{_SHORT_NAMES.get(name, name)}={value}" for name, value in parts)


def _require_readable(path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise OSError(message) from error


def _no_passphrase() -> str:
    message = "the key is protected by a passphrase; use one without"
    raise ValueError(message)


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else str(error)
