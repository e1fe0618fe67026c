"""Settings are tried out where nothing of them stays, and gunicorn's words are logged as this server's."""

import logging
import os
import sys
from pathlib import Path

import pytest

from greenserver.configuration import Settings
from greenserver.operation.arbiter import Overseer, Service, _ArbiterLog, try_out

pytestmark = [pytest.mark.once, pytest.mark.measured]


def test_what_is_wrong_with_settings_is_found_in_another_process(tmp_path: Path) -> None:
    assert try_out(Settings(directory=str(tmp_path))) == ""
    assert try_out(Settings(directory=str(tmp_path / "no"))) == f"cannot serve {tmp_path}/no: No such file or directory"


def test_only_warnings_of_gunicorn_are_an_operators(caplog: pytest.LogCaptureFixture) -> None:
    service = Service(Settings(workers=2), Settings, None)
    log = _ArbiterLog(service.cfg)
    log.setup(service.cfg)
    with caplog.at_level(logging.DEBUG, "greenserver"):
        log.debug("chatter %s", 1)
        log.info("Booting %s\n", 2)
        log.warning("careful")
        log.critical("100%")
        try:
            _ = 1 // 0
        except ZeroDivisionError:
            log.exception("broken")
        log.reopen_files()
        log.close_on_exec()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("DEBUG", "Booting 2"),
        ("WARNING", "careful"),
        ("ERROR", "100%"),
        ("ERROR", "broken"),
    ]
    assert caplog.records[-1].exc_info is not None


def test_nothing_of_gunicorns_own_is_used() -> None:
    service = Service(Settings(workers=3, user=str(os.geteuid())), Settings, None)
    assert (service.cfg.workers, service.cfg.control_socket_disable, service.cfg.uid) == (3, True, os.geteuid())
    service.take(Settings(workers=4))
    assert service.cfg.workers == 4
    assert Overseer.__mro__[1].__module__ == "gunicorn.arbiter"
    assert not {"gunicorn.ctl.server", "gunicorn.app.wsgiapp"} & set(sys.modules)
