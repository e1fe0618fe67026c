"""The server becomes the requested user and group for good, or says why it cannot."""

import os
import pwd
import subprocess
import sys

import pytest

from greenserver.config.settings import Settings
from greenserver.service import privileges
from tests.greenserver.serving import ROOT, environment_without_coverage, run_script

pytestmark = [pytest.mark.once, pytest.mark.measured]

_SCRIPT = """
import os, sys
from greenserver.service import privileges
from greenserver.config.settings import Settings
privileges.drop(Settings(user=sys.argv[1]))
print(os.getresuid(), os.getresgid(), os.getgroups())
"""


def test_finds_no_identity_without_a_name() -> None:
    assert privileges.find(Settings()) is None


def test_finds_users_and_groups_by_name_and_number() -> None:
    root = pwd.getpwuid(0)
    assert privileges.find(Settings(user="root")) == (0, root.pw_gid, "root")
    assert privileges.find(Settings(user="0", group="0")) == (0, 0, "root")
    assert privileges.find(Settings(group="root")) == (os.geteuid(), 0, None)


def test_accepts_a_number_without_a_database_entry() -> None:
    assert privileges.find(Settings(user="4000000000")) == (4000000000, 4000000000, None)
    assert privileges.find(Settings(user="4000000000", group="3999999999")) == (4000000000, 3999999999, None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(user="no-such-user"), "no such user: 'no-such-user'; create it"),
        (Settings(user="4294967295"), "no such user or group: '4294967295'; the highest is 4294967294"),
        (Settings(group="9" * 30), "no such user or group: '9+'; the highest is"),
        (Settings(user="\u0661"), "no such user: "),
        (Settings(group="no-such-group"), "no such group: 'no-such-group'"),
    ],
)
def test_error_names_an_unknown_user_or_group(settings: Settings, message: str) -> None:
    with pytest.raises(OSError, match=message):
        privileges.find(settings)


def test_drops_all_privileges() -> None:
    is_root = os.geteuid() == 0
    entry = pwd.getpwnam("nobody") if is_root else pwd.getpwuid(os.geteuid())
    # Unmeasured: the user that it becomes could not write down which lines ran.
    done = run_script(_SCRIPT, entry.pw_name, environment=environment_without_coverage())
    assert done.stderr == ""
    users, groups = (entry.pw_uid,) * 3, (entry.pw_gid,) * 3
    assert done.stdout.startswith(f"{users} {groups} ")
    if is_root:
        assert f"[{entry.pw_gid}]" in done.stdout, "no further group"


def test_requires_root() -> None:
    imports, _, rest = _SCRIPT.partition("privileges.drop")
    script = f"{imports}import greenserver.net.socket_file\nos.geteuid() or os.setuid(65534)\nprivileges.drop{rest}"
    done = subprocess.run(
        [sys.executable, "-c", script, "root"],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert "only root can" in done.stderr
