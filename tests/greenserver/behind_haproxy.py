"""Runs a greenserver that only HAProxy reaches, and HAProxy on a port where it says all in plain TCP.

Used as ``python -m tests.greenserver.behind_haproxy --port PORT --directory DIR [--tls] [--proxy v1|v2] [-- MORE]``;
MORE are options of greenserver. SIGTERM ends both.
"""

import argparse
import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.greenserver.launching import find_program
from tests.soak.__main__ import make_certificate

_PATIENCE_SECONDS = 30.0
_CONFIGURATION = """\
global
    nbthread 1
    maxconn 4000
defaults
    mode tcp
    timeout connect 10s
    timeout client 600s
    timeout server 600s
frontend plain
    bind 127.0.0.1:{port}
    default_backend greenserver
backend greenserver
    server one 127.0.0.1:{backend} {how}
"""
_HEADERS = {"v1": "send-proxy", "v2": "send-proxy-v2", None: ""}


def main() -> int:
    """Run both until one of them ends or SIGTERM comes; return 0 if it was SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.greenserver.behind_haproxy", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--directory", required=True)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--proxy", choices=["v1", "v2"])
    parser.add_argument("options", nargs="*")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="behind-haproxy-")))
        port_file = scratch / "port"
        options = ["-d", asked.directory, "-p", "0", "--port-file", str(port_file), "-q", *asked.options]
        if asked.tls:
            certificate, key = make_certificate(scratch)
            options += ["--tls-cert", certificate, "--tls-key", key]
        if asked.proxy:
            options += ["--proxy-protocol"]
        server = subprocess.Popen([sys.executable, "-m", "greenserver", *options])
        stack.callback(end, server)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not port_file.exists():
            assert server.poll() is None, "greenserver has not begun"
            assert time.monotonic() < deadline, "greenserver does not begin"
            time.sleep(0.02)
        how = " ".join([_HEADERS[asked.proxy], "ssl verify none" if asked.tls else ""])
        backend = port_file.read_text(encoding="ascii").strip()
        configuration = scratch / "haproxy.cfg"
        configuration.write_text(_CONFIGURATION.format(port=asked.port, backend=backend, how=how))
        proxy = subprocess.Popen([find_program("haproxy"), "-db", "-f", configuration])
        stack.callback(end, proxy)
        while server.poll() is None and proxy.poll() is None:
            time.sleep(0.1)
        return 1


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process, by force if need be."""
    process.terminate()
    try:
        process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
