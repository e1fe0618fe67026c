"""The live table shows who is running and how far, and a line for each that is done, in printable text."""

import io
from pathlib import Path
from time import monotonic

from rich.console import Console

from conformance.classroom.live_table import LiveTable
from conformance.classroom.target_run import Settings, TargetRun
from conformance.classroom.targets import Target
from conformance.config import Options
from tests.conformance.grading import SOME, assessment, run


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_table_has_those_that_run() -> None:
    settings = Settings(Options())
    first, second, third = (TargetRun(Target(name), Path("x.ndjson"), settings) for name in ("a\x1b[31m", "b", "c"))
    console = Console(file=io.StringIO(), width=100)
    table = LiveTable(console, [first, second, third])
    first.began = second.began = monotonic()
    first.follower.selected, first.follower.done, first.follower.failed = 549, 12, 3
    console.print(table)
    lines = [line.split() for line in shown(console).splitlines()]
    assert lines == [
        ["0", "of", "3", "done,", "1", "waiting"],
        ["a\\x1b[31m", "12/549", "3", "failed", "0", "s"],
        ["b", "starting", "0", "s"],
    ]
    second.ended = monotonic()
    assert table.__rich__().row_count == 2


def test_line_of_a_target_that_is_done() -> None:
    console = Console(file=io.StringIO(), width=40)
    with LiveTable(console, [TargetRun(Target("ana\x07"), Path("x"), Settings(Options()))]) as table:
        table.show(assessment("ana\x07", run(*SOME, cause="lf-ends-a-line")))
    assert shown(console) == ("    1/1 ana\\x07 not conformant  46.88 of 100: 2/5 MUST and 0/1 SHOULD met; A title\n")
