"""Planted bugs are put together by name, where they go together, and such a server has the mistakes of all."""

import pytest

from tests.broken_servers.all_bugs import BUGS, STYLES
from tests.broken_servers.composed import ComposedError, composed, style_of
from tests.conformance import in_process


def test_a_bug_alone_is_itself() -> None:
    assert composed("number-by-int") is BUGS["number-by-int"]


def test_a_bug_is_served_in_another_style() -> None:
    bug = composed("number-by-int@loop")
    assert bug.style is STYLES["loop"]
    assert bug.commands is BUGS["number-by-int"].commands
    assert style_of(bug) == "loop"


def test_dialects_are_those_that_all_bugs_have() -> None:
    assert composed("number-by-int+slice-unchecked-2018").dialects == ("2018",)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no-such-bug", "no such bug: no-such-bug"),
        ("number-by-int+no-such-bug", "no such bug: no-such-bug"),
        ("number-by-int@nowhere", "no such style"),
        ("recv-is-a-command@loop", "a bug that is a style of its own"),
        ("recv-is-a-command+cr-ends-a-line", "two styles"),
        ("number-by-int+number-by-float", "replace the same method, number"),
        ("slice-unchecked-2018+slice-unchecked-2019", "no dialect that all have"),
    ],
)
def test_what_does_not_go_together_is_refused(name: str, reason: str) -> None:
    with pytest.raises(ComposedError, match=reason):
        composed(name)


@pytest.mark.once
def test_a_server_of_two_bugs_has_both() -> None:
    name = "number-by-int+quit-ignores-arguments@forks"
    run = in_process.judge(name, "arguments.plus-offset", "commands.quit-with-argument-goes-on", "framing.one-command")
    assert len(run.with_verdict("fail", "warn")) == 2
