"""Only the gevent engine monkey-patches, completely and before anything else is imported."""

import pytest

from tests.greenserver.serving import environment_without_coverage, run_script

_SCRIPT = """
import sys
from greenserver.monkeypatch import patch_for
assert "socket" not in sys.modules, "patched too late"
patch_for(sys.argv[1])
print("gevent.monkey" in sys.modules)
"""


def output_of(script: str, *arguments: str) -> tuple[str, str]:
    """Return what a fresh interpreter writes to its standard output and to its standard error stream."""
    done = run_script(script, *arguments, environment=environment_without_coverage())
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    ("engine", "is_patched"), [("gevent", True), ("threads", False), ("selectors", False), ("sequential", False)]
)
def test_only_gevent_patches(engine: str, is_patched: bool) -> None:
    assert output_of(_SCRIPT, engine) == (f"{is_patched}\n", "")


def test_patching_looks_for_no_plugins_and_loads_only_what_it_needs() -> None:
    script = (
        # On Python 3.10 platform, which click and gevent need, brings subprocess.
        "import platform, sys, uuid; before = set(sys.modules); "
        "from greenserver.monkeypatch import patch_for; patch_for('gevent'); from gevent import monkey; "
        "print(sorted({'importlib.metadata', 'ssl', 'subprocess'} & (set(sys.modules) - before)), "
        "[monkey.is_module_patched(each) for each in ('socket', 'select', 'threading', 'time')])"
    )
    assert output_of(script) == ("[] [True, True, True, True]\n", "")


def test_does_not_load_ssl_and_resolver_without_need() -> None:
    script = (
        "import sys; from greenserver.monkeypatch import patch_for; patch_for('gevent'); "
        "from greenserver import Server, engines; import greenserver.service.process; engines.load('gevent'); "
        "server = Server('.', port=0); server.__enter__(); server.__exit__(None, None, None); "
        "print({'ssl', 'gevent.resolver', 'gevent.threadpool'} & set(sys.modules))"
    )
    assert output_of(script) == ("set()\n", "")


def test_subprocess_works_while_greenlets_run() -> None:
    script = (
        "from greenserver.monkeypatch import patch_for; patch_for('gevent'); import gevent, subprocess, sys; "
        "gevent.sleep(); print(subprocess.run([sys.executable, '-c', ''], timeout=30).returncode)"
    )
    assert output_of(script) == ("0\n", "")


def test_parses_the_command_line_without_importing_sockets() -> None:
    script = "import sys, greenserver.cli; print({'socket', 'ssl', 'gevent', 'logging'} & set(sys.modules))"
    assert output_of(script) == ("set()\n", "")
