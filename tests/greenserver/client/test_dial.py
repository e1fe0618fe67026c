"""A client reaches servers by IPv6, unix sockets, TLS with certificates on both sides, SOCKS and PROXY protocol."""

import asyncio
import contextlib
import doctest
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from greenserver.client import AsyncClient, Client, Options, dial
from greenserver.client.dial import proxy_header
from greenserver.client.errors import HftpError
from greenserver.connection import proxy_protocol
from tests.greenserver.client.scripted import Peer, one_file, serving
from tests.greenserver.conftest import TEXT, Start
from tests.greenserver.launching import Launch
from tests.greenserver.serving import TIMEOUT_SECONDS

Ask = Callable[[str, Options], int]


def ask(address: str, options: Options) -> int:
    with Client(address, options) as client:
        return client.size("text.txt")


def ask_asynchronously(address: str, options: Options) -> int:
    async def run() -> int:
        async with AsyncClient(address, options) as client:
            return await client.size("text.txt")

    return asyncio.run(run())


each_way = pytest.mark.parametrize("ask", [ask, ask_asynchronously])


def test_the_examples_in_the_documentation_run() -> None:
    assert doctest.testmod(dial).failed == 0


@each_way
def test_a_unix_socket(ask: Ask, start: Start, directory: Path, tmp_path: Path) -> None:
    start(directory, "--address", f"unix:{tmp_path}/socket", "--quiet")
    assert ask(f"unix:{tmp_path}/socket", Options()) == len(TEXT)
    with pytest.raises(HftpError, match="cannot connect: No such file"):
        ask(f"unix:{tmp_path}/nowhere", Options())


@each_way
def test_tls_with_certificates_on_both_sides(ask: Ask, launch: Launch, tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    server, client = authority.issue_cert("localhost"), authority.issue_cert("client@example.org")
    paths = {name: str(tmp_path / name) for name in ("ca", "other", "chain", "key", "client")}
    authority.cert_pem.write_to_path(paths["ca"])
    other.cert_pem.write_to_path(paths["other"])
    server.cert_chain_pems[0].write_to_path(paths["chain"])
    server.private_key_pem.write_to_path(paths["key"])
    client.private_key_and_cert_chain_pem.write_to_path(paths["client"])
    running = launch("threads", tls=[paths["chain"], paths["key"], paths["ca"]])
    address = f"hftps://localhost:{running.port}"
    assert ask(address, Options(tls_ca=paths["ca"], tls_cert=paths["client"])) == len(TEXT)
    with pytest.raises(HftpError, match="certificate verify failed"):
        ask(address, Options(tls_ca=paths["other"], tls_cert=paths["client"]))
    with pytest.raises(HftpError, match="certificate verify failed"):
        ask(f"hftps://127.0.0.1:{running.port}", Options(tls_ca=paths["ca"], tls_cert=paths["client"]))
    with pytest.raises(HftpError, match=r"lost|cannot connect|closed"):
        ask(address, Options(tls_ca=paths["ca"], retries=0))


@each_way
def test_a_server_that_speaks_no_tls(ask: Ask) -> None:
    with serving(one_file(b"")) as address, pytest.raises(HftpError, match="cannot connect: "):
        ask(f"hftps://{address}", Options(timeout_seconds=0.5))


@each_way
@pytest.mark.parametrize("version", [1, 2])
def test_a_proxy_protocol_header(ask: Ask, version: int, launch: Launch) -> None:
    running = launch("threads", proxy_from=["127.0.0.0/8"])
    assert ask(f"127.0.0.1:{running.port}", Options(proxy_protocol=version)) == len(TEXT)
    with pytest.raises(HftpError):
        ask(f"127.0.0.1:{running.port}", Options(retries=0))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("hosts", [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")])
def test_the_header_is_what_a_server_reads(version: int, hosts: tuple[str, str]) -> None:
    text = proxy_header((hosts[0], 5000), (hosts[1], 19500), version)
    header = proxy_protocol.parse(text + b"quit\r\n")
    assert header == (len(text), (str(ipaddress.ip_address(hosts[0])), 5000))


@pytest.mark.parametrize("version", [1, 2])
def test_a_header_of_a_unix_socket_names_no_client(version: int) -> None:
    text = proxy_header("", "/run/hftp.sock", version)
    assert proxy_protocol.parse(text) == (len(text), None)


def socks(names: list[bytes], onward: Callable[[], tuple[str, int]]) -> Callable[[Peer], None]:
    """Return the handler of a SOCKS5 proxy that notes the names, and connects to one place."""

    def exactly(peer: Peer, count: int) -> bytes:
        return peer.socket.recv(count, socket.MSG_WAITALL)

    def carry(source: socket.socket, target: socket.socket) -> None:
        while data := source.recv(1 << 16):
            target.sendall(data)
        with contextlib.suppress(OSError):  # the other side has left, too
            target.shutdown(socket.SHUT_WR)

    def handle(peer: Peer) -> None:
        exactly(peer, exactly(peer, 2)[1])
        peer.send(b"\5\0")
        kind = exactly(peer, 4)[3]
        names.append(exactly(peer, exactly(peer, 1)[0] if kind == 3 else 4))
        exactly(peer, 2)
        if names[-1] == b"refused":
            peer.send(b"\5\5\0\1\0\0\0\0\0\0")
            return
        with socket.create_connection(onward(), TIMEOUT_SECONDS) as server:
            peer.send(b"\5\0\0\1\0\0\0\0\0\0")
            back = threading.Thread(target=carry, args=(server, peer.socket))
            back.start()
            carry(peer.socket, server)
            back.join(TIMEOUT_SECONDS)

    return handle


@each_way
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy(ask: Ask, scheme: str) -> None:
    names: list[bytes] = []
    with serving(one_file(TEXT)) as address:
        host, _, port = address.partition(":")
        with serving(socks(names, lambda: (host, int(port)))) as proxy:
            options = Options(proxy=f"{scheme}://{proxy}")
            assert ask(f"localhost:{port}", options) == len(TEXT)
            assert names == [b"localhost" if scheme == "socks5h" else b"\x7f\0\0\1"]
            if scheme == "socks5h":
                with pytest.raises(HftpError, match="cannot connect: the proxy: "):
                    ask(f"refused:{port}", options)
    with pytest.raises(HftpError, match="cannot connect: "):
        ask("h", Options(proxy=f"{scheme}://127.0.0.1:1"))


@each_way
def test_ipv6(ask: Ask) -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with serving(one_file(TEXT), listener):
        assert ask(f"[::1]:{listener.getsockname()[1]}", Options()) == len(TEXT)


@each_way
def test_of_several_addresses_the_one_that_answers(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(one_file(TEXT)) as address:
        port = int(address.partition(":")[2])
        places = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", number)) for number in (1, port)]
        monkeypatch.setattr(dial, "resolve", lambda _address: places)
        assert ask(f"h:{port}", Options()) == len(TEXT)


def test_a_context_verifies_servers() -> None:
    context = Options().tls_context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
