"""No MUST or SHOULD scenario fails on an odd but correct server, and no odd choice is a deviation."""

import pytest

from tests.broken_servers.odd_servers import ODD
from tests.conformance.in_process import judge

pytestmark = pytest.mark.once

BAD = ("fail", "warn", "flaky", "blocked", "incomplete", "error")
CROWDS = ("clients.two-at-once", "clients.many*", "clients.burst", "clients.[br]*", "clients.leave-*", "framing.p*")
LINES = ("framing.*", "commands.h*", "commands.t*", "commands.u*", "replies.alone*", "replies.closes*", "slices.whole*")
FILES = (
    "commands.unreadable*",
    "listings.only*",
    "listings.a*",
    "metadata.d*",
    "metadata.a*",
    "paths.*",
    "listings.h*",
)
SLICES = ("slices.[aefnpw]*", "metadata.size*", "commands.quit*", "framing.pipelin*", "framing.l*")
CHOICES = {
    "backlog-5": CROWDS,
    "backlog-1": CROWDS,
    "backlog-5-loop": CROWDS,
    "backlog-512": CROWDS,
    "notices-leavers": CROWDS,
    "lone-cr-100": LINES,
    "command-characters-101": LINES,
    "strict-characters": LINES,
    "strict-characters-sequential": LINES,
    "spaces-200": LINES,
    "spaces-tolerated": LINES,
    "empty-line-200": LINES,
    "foreign-bytes-202": LINES,
    "unfinished-line-answered": LINES,
    "unreadable-202": FILES,
    "unreadable-199": FILES,
    "unreadable-listed": FILES,
    "directory-slice-199": FILES,
    "serves-all-inside": FILES,
    "outside-202": FILES,
    "other-texts": SLICES,
    "base64-in-lines": SLICES,
    "no-help-2019": SLICES,
    "no-help-2018": SLICES,
    "no-help-2016": SLICES,
    "small-fragments": SLICES,
}
"""What each is asked: that in which it is odd, and what may suffer from it."""


IN_THE_MATRIX = {"backlog-5", "backlog-1", "lone-cr-100", "unreadable-listed", "base64-in-lines", "no-help-2016"}


@pytest.mark.parametrize(
    "name", [name if name in IN_THE_MATRIX else pytest.param(name, marks=pytest.mark.long) for name in CHOICES]
)
def test_odd_choice_is_no_failure(name: str) -> None:
    run = judge(name, *CHOICES[name], dialect=ODD[name].dialects[0])
    run.assert_complete()
    assert {scenario: run.results[scenario].got for scenario in run.with_verdict(*BAD)} == {}
    assert run.start.deviations == []
    assert run.end.exit == 0
    assert len(run.with_verdict("pass")) > 10
