"""Settings are checked in another process, in bounded time."""

import os
import select
import signal
import time
from pathlib import Path

import pytest

from greenserver.config import limits
from greenserver.config.settings import Settings
from greenserver.service import process
from greenserver.service.preflight import Trial, check
from tests.greenserver.serving import TIMEOUT_SECONDS, environment_without_coverage, run_script

pytestmark = [pytest.mark.once, pytest.mark.measured]


def held() -> tuple[list[str], str]:
    """Return the descriptors and the children of this process."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    return os.listdir("/proc/self/fd"), children


def test_finds_errors_in_another_process(tmp_path: Path) -> None:
    before = held()
    check(Settings(directory=str(tmp_path)))
    with pytest.raises(OSError, match=rf"^cannot serve {tmp_path}/no: No such file or directory$"):
        check(Settings(directory=str(tmp_path / "no")))
    assert held() == before


def test_reports_any_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_settings: Settings) -> None:
        raise NotImplementedError

    monkeypatch.setattr(process, "check", fail)
    with pytest.raises(OSError, match=r"^NotImplementedError\(\)$"):
        check(Settings())


def test_reports_a_name_that_is_not_text(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"^cannot serve .*No such file"):
        check(Settings(directory=str(tmp_path / "no\udcff")))


def test_returns_a_result_of_any_size() -> None:
    assert Trial(lambda: b"x" * 1_000_000).wait() == b"x" * 1_000_000


def test_kills_a_check_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RELOAD_SECONDS", 0.2)
    descriptors = os.listdir("/proc/self/fd")
    trial = Trial(lambda: time.sleep(TIMEOUT_SECONDS))
    with pytest.raises(OSError, match=r"^checking the configuration took longer than 0\.2 s"):
        trial.wait()
    assert os.listdir("/proc/self/fd") == descriptors
    ended = os.waitpid(-1, 0)[1]
    assert os.waitstatus_to_exitcode(ended) == -signal.SIGKILL


def test_hanging_check_ends_without_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RELOAD_SECONDS", 0.2)
    trial = Trial(lambda: time.sleep(TIMEOUT_SECONDS))
    assert os.waitstatus_to_exitcode(os.waitpid(-1, 0)[1]) == -signal.SIGALRM
    trial.close()


def test_killed_check_has_failed() -> None:
    with pytest.raises(OSError, match=r"^the process that checked the configuration was killed$"):
        Trial(lambda: os.kill(os.getpid(), signal.SIGKILL)).wait()


def test_does_not_kill_an_ended_check() -> None:
    trial = Trial(lambda: None)
    poll = select.poll()
    poll.register(trial.fileno())
    poll.poll(TIMEOUT_SECONDS * 1000)
    os.waitpid(-1, 0)  # from here on its id may be that of another process
    trial.close()
    assert trial.result() is None


def test_imports_nothing_into_this_process() -> None:
    script = (
        "import sys; from greenserver.config.settings import Settings; from greenserver.service import preflight; "
        "preflight.check(Settings()); print({'ssl', 'greenserver.server'} & set(sys.modules))"
    )
    assert run_script(script, environment=environment_without_coverage()).stdout == "set()\n"
