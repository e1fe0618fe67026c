"""Settings are tried out where nothing of them stays."""

import os
from pathlib import Path

import pytest

from greenserver.config.settings import Settings
from greenserver.service import process
from greenserver.service.preflight import find_problem
from tests.greenserver.serving import run_script, unmeasured

pytestmark = [pytest.mark.once, pytest.mark.measured]


def held() -> tuple[list[str], str]:
    """Return the descriptors and the children of this process."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    return os.listdir("/proc/self/fd"), children


def test_what_is_wrong_with_settings_is_found_in_another_process(tmp_path: Path) -> None:
    before = held()
    assert find_problem(Settings(directory=str(tmp_path))) == ""
    assert find_problem(Settings(directory=str(tmp_path / "no"))) == (
        f"cannot serve {tmp_path}/no: No such file or directory"
    )
    assert held() == before


def test_whatever_goes_wrong_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_settings: Settings) -> None:
        raise NotImplementedError

    monkeypatch.setattr(process, "check", fail)
    assert find_problem(Settings()) == "NotImplementedError()"


def test_nothing_that_it_needs_is_imported_here() -> None:
    script = (
        "import sys; from greenserver.config.settings import Settings; from greenserver.service import preflight; "
        "print(repr(preflight.find_problem(Settings())), {'ssl', 'greenserver.server'} & set(sys.modules))"
    )
    assert run_script(script, environment=unmeasured()).stdout == "'' set()\n"
