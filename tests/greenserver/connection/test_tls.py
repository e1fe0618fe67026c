"""TLS on every engine: the same replies, client certificates, close_notify, and failed handshakes."""

import contextlib
import hashlib
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from greenserver.connection.tls import SecureChannel, server_context
from tests.greenserver.conftest import BINARY, LARGE
from tests.greenserver.launching import CONCURRENT, EVENT_LOOP_ENGINES, Launch, LaunchedServer, find_program
from tests.greenserver.serving import ENGINES, TIMEOUT_SECONDS, Client, closing_servers, wait_until

each_engine = pytest.mark.parametrize("engine", ENGINES)
each_version = pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name
)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def certificate(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return the paths of a server's certificate and key."""
    directory = tmp_path_factory.mktemp("certificate")
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.cert_chain_pems[0].write_to_path(directory / "chain.pem")
    issued.private_key_pem.write_to_path(directory / "key.pem")
    return str(directory / "chain.pem"), str(directory / "key.pem")


@pytest.fixture(scope="session")
def authority_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(scope="module")
def tls_servers(
    directory: Path, certificate: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], LaunchedServer]]:
    """Return a function that returns the TLS server of an engine, with default settings, started on first use."""

    def start(engine: str) -> LaunchedServer:
        return LaunchedServer(directory, tmp_path_factory.mktemp(engine), engine, tls=[*certificate])

    with closing_servers(start) as start_one:
        yield cache(start_one)


def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default context loads all authorities of the system
    authority.configure_trust(context)
    return context


@contextlib.contextmanager
def tls_client(server: LaunchedServer, context: ssl.SSLContext) -> Iterator[Client]:
    """Connect a client through TLS."""
    sock = socket.create_connection(("127.0.0.1", server.port), TIMEOUT_SECONDS)
    with contextlib.closing(sock), context.wrap_socket(sock, server_hostname="localhost") as secure:
        yield Client(secure)


def replies_to(sent: bytes, server: LaunchedServer, context: ssl.SSLContext) -> bytes:
    """Return all that comes back; nothing if TLS fails, in the handshake or, as TLS 1.3 may report it, after it."""
    try:
        with tls_client(server, context) as client:
            client.send(sent)
            return client.rest()
    except (ssl.SSLError, ConnectionError):
        return b""


@each_engine
def test_replies_are_the_same_through_tls(
    launch: Launch, engine: str, authority: trustme.CA, certificate: tuple[str, str]
) -> None:
    server = launch(engine, tls=[*certificate])
    with tls_client(server, client_context(authority)) as client:
        client.send(b"get_metadata one\r\nget_slice large.bin 0 1200000 raw\r\n")
        assert client.exactly(9) == b"0 OK\r\n1\r\n"
        head = b"0 OK\r\nContent-Length: 1200000\r\n\r\n"
        assert client.exactly(len(head)) == head
        assert hashlib.sha256(client.exactly(len(LARGE))).digest() == hashlib.sha256(LARGE).digest()
        client.send(b"get_slice binary.dat 0 %d raw\r\nquit\r\nget_metadata one\r\n" % len(BINARY))
        assert client.rest() == b"0 OK\r\nContent-Length: %d\r\n\r\n%b0 OK\r\n" % (len(BINARY), BINARY)
    wait_until(lambda: "disconnected" in server.log(), "the disconnection is logged")
    (event,) = server.events_named("disconnected")
    assert (event["outcome"], event["commands"]) == ("closed", 4)


@each_engine
def test_many_commands_in_many_records_are_all_answered(
    tls_servers: Callable[[str], LaunchedServer], engine: str, authority: trustme.CA
) -> None:
    server = tls_servers(engine)
    with tls_client(server, client_context(authority)) as client:
        for _ in range(100):
            client.send(b"get_metadata one\r\n" * 20)
        client.send(b"get_metadata " + b"n" * (5 << 20) + b"\r\nquit\r\n")
        assert client.rest() == b"0 OK\r\n1\r\n" * 2000 + b"202 FILE NOT FOUND\r\n0 OK\r\n"


@each_engine
def test_the_rate_limit_applies_through_tls(
    launch: Launch, engine: str, authority: trustme.CA, certificate: tuple[str, str]
) -> None:
    server = launch(engine, tls=[*certificate], limits={"rate": 200_000})
    with tls_client(server, client_context(authority)) as client:
        started = time.monotonic()
        client.send(b"get_slice large.bin 0 400000 raw\r\nquit\r\n")
        assert client.rest().endswith(LARGE[:400_000] + b"0 OK\r\n")
        assert time.monotonic() - started > 1.4


@each_engine
def test_a_client_that_sends_no_handshake_times_out(launch: Launch, engine: str, certificate: tuple[str, str]) -> None:
    server = launch(engine, tls=[*certificate], limits={"handshake_seconds": 1.0})
    with server.connect() as client:
        started = time.monotonic()
        assert client.rest() == b""
        assert 0.9 < time.monotonic() - started < 11


@each_engine
def test_an_invalid_handshake_is_rejected_and_the_next_client_is_served(
    tls_servers: Callable[[str], LaunchedServer], engine: str, authority: trustme.CA
) -> None:
    server = tls_servers(engine)
    before = len(server.events_named("connection rejected"))
    for invalid in (b"get_file_listing\r\n", bytes(range(256)), b"\x16\x03\x01\x00\x05hello" * 100):
        assert b"OK" not in server.ask(invalid)
    with tls_client(server, client_context(authority)) as client:
        client.send(b"get_metadata one\r\nquit\r\n")
        assert client.rest() == b"0 OK\r\n1\r\n0 OK\r\n"
    assert len(server.events_named("connection rejected")) == before + 3


@each_engine
def test_a_client_without_the_required_certificate_is_rejected(
    launch: Launch, engine: str, authority: trustme.CA, certificate: tuple[str, str], authority_file: str
) -> None:
    server = launch(engine, tls=[*certificate, authority_file])
    context = client_context(authority)
    sent = b"get_metadata one\r\nquit\r\n"
    assert replies_to(sent, server, context) == b""
    untrusted = client_context(authority)
    trustme.CA().issue_cert("stranger@example.org").configure_cert(untrusted)
    assert replies_to(sent, server, untrusted) == b""
    authority.issue_cert("friend@example.org").configure_cert(context)
    assert replies_to(sent, server, context) == b"0 OK\r\n1\r\n0 OK\r\n"
    assert len(server.events_named("connection rejected")) == 2


@each_engine
@each_version
def test_the_access_log_tells_what_tls_has_agreed_on(  # noqa: PLR0913, PLR0917  (fixtures)
    launch: Launch,
    engine: str,
    authority: trustme.CA,
    certificate: tuple[str, str],
    authority_file: str,
    version: ssl.TLSVersion,
) -> None:
    server = launch(engine, tls=[*certificate, authority_file], proxy_from=["127.0.0.0/8"])
    context = client_context(authority)
    context.minimum_version = context.maximum_version = version
    authority.issue_cert(common_name="pupil 7", organization_name="A, B").configure_cert(context)
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_SECONDS) as sock:
        proxy = f"127.0.0.1:{sock.getsockname()[1]}"
        sock.sendall(b"PROXY TCP4 192.0.2.9 127.0.0.1 4712 19500\r\n")
        with context.wrap_socket(sock, server_hostname="localhost") as secure:
            agreed = {"tls": secure.version(), "cipher": (secure.cipher() or [""])[0]}
            client = Client(secure)
            client.send(b"get_slice one 0 1\r\nquit\r\n")
            assert client.rest() == b"0 OK\r\nMQ==\r\n0 OK\r\n"
    wait_until(lambda: "disconnected" in server.log(), "the disconnection is logged")
    who = {"client": "192.0.2.9:4712", "proxy": proxy, **agreed, "certificate": "O=A, B,OU=Testing cert,CN=pupil 7"}
    events = server.events_named("connected", "command", "disconnected")
    assert len(events) == 4
    for event in events:
        assert {name: event[name] for name in event if name in who} | {"certificate": ""} == who | {"certificate": ""}
        assert {"O=A, B", "CN=pupil 7"} < {*event["certificate"].replace(",O", ";O").replace(",C", ";C").split(";")}


@each_engine
@each_version
def test_tls_1_2_and_1_3_are_supported(
    tls_servers: Callable[[str], LaunchedServer], engine: str, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    server = tls_servers(engine)
    context = client_context(authority)
    context.minimum_version = context.maximum_version = version
    with tls_client(server, context) as client:
        client.send(b"quit\r\n")
        assert client.rest() == b"0 OK\r\n"


@pytest.mark.once
@each_engine
@each_version
def test_a_client_that_closes_tls_first_gets_a_close_notify_back(
    tls_servers: Callable[[str], LaunchedServer], engine: str, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    context = client_context(authority)
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", tls_servers(engine).port), TIMEOUT_SECONDS) as sock:
        secure = context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)
        secure.sendall(b"get_metadata one\r\n")
        assert Client(secure).exactly(9) == b"0 OK\r\n1\r\n"
        secure.unwrap().close()  # raises SSLEOFError without a close_notify


@pytest.mark.once
@each_engine
@each_version
def test_an_idle_client_gets_a_close_notify_at_a_stop_and_at_a_timeout(
    launch: Launch, engine: str, authority: trustme.CA, certificate: tuple[str, str], version: ssl.TLSVersion
) -> None:
    context = client_context(authority)
    context.minimum_version = context.maximum_version = version
    for is_stopped in (True, False):
        server = launch(engine, tls=[*certificate], limits={} if is_stopped else {"idle_seconds": 0.3})
        sock = socket.create_connection(("127.0.0.1", server.port), TIMEOUT_SECONDS)
        with context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False) as secure:
            secure.sendall(b"get_metadata one\r\n")
            assert Client(secure).exactly(9) == b"0 OK\r\n1\r\n"
            if is_stopped:
                server.process.send_signal(signal.SIGTERM)
            assert secure.recv(1) == b"", "EOF after a close_notify, and no truncation"


@pytest.mark.once
@each_engine
def test_a_client_that_sends_no_handshake_does_not_hold_up_a_stop(
    launch: Launch, engine: str, certificate: tuple[str, str]
) -> None:
    seconds = 10 * TIMEOUT_SECONDS
    server = launch(engine, tls=[*certificate], limits={"handshake_seconds": seconds, "grace_seconds": seconds})
    with server.connect() as client:
        server.process.send_signal(signal.SIGTERM)
        assert client.rest() == b""
        assert server.process.wait(TIMEOUT_SECONDS) == 0


@pytest.mark.once
@each_engine
def test_openssl_receives_a_close_notify(
    tls_servers: Callable[[str], LaunchedServer], engine: str, authority_file: str
) -> None:
    with openssl_client(tls_servers(engine), authority_file, "-ign_eof") as client:
        output, _ = client.communicate(b"get_metadata one\r\nquit\r\n", TIMEOUT_SECONDS)
    assert b"0 OK\r\n1\r\n0 OK\r\n" in output
    assert output.rstrip().endswith(b"closed"), "no error, such as: unexpected eof while reading"
    assert client.returncode == 0


@pytest.mark.once
@pytest.mark.parametrize("engine", EVENT_LOOP_ENGINES)
def test_a_flood_of_key_updates_is_disconnected_while_others_are_served(
    tls_servers: Callable[[str], LaunchedServer], engine: str, authority: trustme.CA, authority_file: str
) -> None:
    server = tls_servers(engine)
    outcome = "too many TLS records without data"

    def count_disconnected() -> int:
        return [event["outcome"] for event in server.events_named("disconnected")].count(outcome)

    before = count_disconnected()
    with openssl_client(server, authority_file, stdout=subprocess.DEVNULL) as client:
        assert client.stdin is not None
        deadline = time.monotonic() + TIMEOUT_SECONDS
        with contextlib.suppress(BrokenPipeError):
            while time.monotonic() < deadline:
                for _ in range(5000):
                    client.stdin.write(b"k\n")  # a KeyUpdate for each piece that the client reads
                with tls_client(server, client_context(authority)) as other:
                    other.send(b"get_metadata one\r\nquit\r\n")
                    assert other.rest() == b"0 OK\r\n1\r\n0 OK\r\n"
                if client.poll() is not None:
                    break
        client.kill()
    wait_until(lambda: count_disconnected() == before + 1, "the disconnection is logged")


@contextlib.contextmanager
def openssl_client(
    server: LaunchedServer, authority_file: str, *options: str, stdout: int = subprocess.PIPE
) -> "Iterator[subprocess.Popen[bytes]]":
    """Start OpenSSL's client, connected to a server."""
    command = [find_program("openssl"), "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile", authority_file]
    streams = {"stdin": subprocess.PIPE, "stdout": stdout, "stderr": subprocess.STDOUT}
    with subprocess.Popen([*command, "-verify_return_error", *options], bufsize=0, **streams) as client:  # type: ignore[call-overload]
        yield client


@pytest.mark.parametrize("engine", CONCURRENT)
def test_a_client_over_the_connection_limit_gets_an_error_through_tls(
    launch: Launch, engine: str, authority: trustme.CA, certificate: tuple[str, str]
) -> None:
    server = launch(engine, tls=[*certificate], limits={"max_connections": 1})
    context = client_context(authority)
    with tls_client(server, context) as first:
        first.send(b"get_metadata one\r\n")
        assert first.exactly(9) == b"0 OK\r\n1\r\n"
        with tls_client(server, context) as second:
            assert second.rest() == b"199 INTERNAL SERVER ERROR\r\n"


def test_an_error_names_the_unusable_certificate(certificate: tuple[str, str], tmp_path: Path) -> None:
    chain, key = certificate
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    with pytest.raises(OSError, match=r"cannot read .*absent"):
        server_context(str(tmp_path / "absent"), key)
    with pytest.raises(OSError, match=r"cannot use the certificate .*nonsense"):
        server_context(str(nonsense), key)
    with pytest.raises(OSError, match="cannot use the certificate"):
        server_context(chain, chain)
    with pytest.raises(OSError, match="cannot use the authority"):
        server_context(chain, key, str(nonsense))


def test_an_encrypted_key_is_rejected_without_a_passphrase_prompt(certificate: tuple[str, str], tmp_path: Path) -> None:
    chain, key = certificate
    private = serialization.load_pem_private_key(Path(key).read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(OSError, match="passphrase"):
        server_context(chain, str(locked))


def test_output_for_a_peer_that_does_not_read_is_bounded(certificate: tuple[str, str], authority: trustme.CA) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        channel = SecureChannel(ours, server_context(*certificate))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = client_context(authority).wrap_bio(incoming, outgoing, server_hostname="localhost")
        theirs.settimeout(0)
        for _ in range(10):
            with contextlib.suppress(ssl.SSLWantReadError):
                peer.do_handshake()
            if outgoing.pending:
                theirs.send(outgoing.read())
            if not channel.shake_hands():
                break
            incoming.write(theirs.recv(1 << 16))
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 100 << 20:
                sent += channel.send(bytes(1 << 16))
        assert sent < 10 << 20, "the kernel buffers some, and the channel one record"
        assert not channel.flush()
