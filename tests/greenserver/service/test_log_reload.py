"""A reload changes the level and format of the log, with one process and with workers."""

import json
import signal
from pathlib import Path

import pytest

from tests.greenserver.conftest import Start
from tests.greenserver.serving import wait_until

pytestmark = [pytest.mark.once, pytest.mark.measured]

ASKED = b"get_metadata one\r\n"


@pytest.mark.parametrize("workers", [0, 1])
def test_reload_applies_log_level_and_format(start: Start, directory: Path, tmp_path: Path, workers: int) -> None:
    config = tmp_path / "greenserver.toml"
    always = f'directory = "{directory}"\nworkers = {workers}\n'
    config.write_text(always)
    server = start(directory, "-c", str(config), "--engine", "threads", is_directory_option=False)

    def reload(more: str, form: str) -> int:
        """Reload, and return the number of log lines when the new configuration is active."""
        config.write_text(always + more)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: form in server.log(), form)
        if workers:
            wait_until(lambda: server.log().count("stopped") >= form_changes.index(form) + 1, "the old worker ends")
        return len(server.log().splitlines())

    form_changes = ['"event": "change ignored until a restart"', "WARNING change ignored until a restart"]
    server.ask(ASKED)
    wait_until(lambda: " command " in server.log(), "as text")
    before = reload('log-format = "json"\nadmin = "127.0.0.1:1"\n', form_changes[0])
    server.ask(ASKED)
    wait_until(lambda: len(server.log().splitlines()) >= before + 3, "it is logged")
    assert {json.loads(line)["event"] for line in server.log().splitlines()[before:]} >= {"connected", "command"}
    before = reload('quiet = 1\nadmin = "127.0.0.1:1"\n', form_changes[1])
    server.ask(ASKED)
    assert server.stop() == 0
    assert server.log().splitlines()[before:] == []
    assert server.log().count("configuration reloaded") == 1, "the second time it is not logged any more"
