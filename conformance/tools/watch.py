"""Judge a server again whenever one of its files changes: first what failed last time, then everything."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from conformance.config import Options
from conformance.language import gettext, translated
from conformance.model.events import DiagnosedCause, Diagnosis, Event, Result, RunEnd
from conformance.model.scenario import Catalogue
from conformance.model.verdicts import Exit, Verdict
from conformance.reports.in_language import counted_verdict
from conformance.reports.text import VERDICTS, advice
from conformance.runner.runner import Runner
from conformance.runner.selection import SelectionError
from conformance.target.environment import Environment
from conformance.target.managed_server import ServerStartError

_SOURCES: Final = (
    *(".c", ".cc", ".cpp", ".cs", ".cxx", ".erl", ".ex", ".exs", ".go", ".h", ".hpp", ".hs", ".java", ".jl", ".js"),
    *(
        ".kt",
        ".lua",
        ".mjs",
        ".ml",
        ".php",
        ".pl",
        ".py",
        ".rb",
        ".rs",
        ".scala",
        ".sh",
        ".swift",
        ".toml",
        ".ts",
        ".zig",
    ),
)
"""Suffixes of the files that are watched: what a server or its build writes is not to start another run."""
_BUILD_FILES: Final = frozenset({"Makefile", "makefile", "GNUmakefile", "CMakeLists.txt", "pom.xml", "build.gradle"})
_LEFT_OUT: Final = frozenset({".git", ".venv", "venv", "__pycache__", "node_modules", "target", "build", "dist"})
_MOST_FILES: Final = 10_000
_LOOK_SECONDS: Final = 0.3
_SHOWN: Final = 10
"""How many scenarios are named in a line."""

Snapshot = Mapping[str, tuple[int, int]]
"""The time of change and the size of each file, by path."""


class _ChangedError(Exception):
    """A file has changed while the server was judged."""


def snapshot(folder: Path) -> Snapshot:
    """Return the state of the source files in a folder."""
    found: dict[str, tuple[int, int]] = {}
    for above, directories, names in os.walk(folder):
        directories[:] = [name for name in directories if name not in _LEFT_OUT]
        for name in names:
            if name.endswith(_SOURCES) or name in _BUILD_FILES:
                path = os.path.join(above, name)  # noqa: PTH118
                try:
                    facts = os.stat(path)  # noqa: PTH116
                except OSError:  # it is being replaced
                    continue
                found[path] = (facts.st_mtime_ns, facts.st_size)
        if len(found) > _MOST_FILES:
            break
    return found


def changed(before: Snapshot, after: Snapshot) -> list[str]:
    """Return the paths that were changed, added or removed."""
    return sorted(path for path in {**before, **after} if before.get(path) != after.get(path))


class Watch:
    """Judges a server again and again; `say` gets lines, `sleep` waits between two looks."""

    def __init__(
        self,
        options: Options,
        folder: Path,
        scenarios: Catalogue,
        say: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._options = options
        self._folder = folder
        self._scenarios = scenarios
        self._say = say
        self._sleep = sleep
        self._failed: list[str] = []
        self._causes: dict[str, DiagnosedCause] = {}
        self._files = snapshot(folder)
        self.status = Exit.INCOMPLETE
        """The exit status of the last run that was whole."""

    def run(self) -> None:
        """Judge until a KeyboardInterrupt."""
        while True:
            self._files = snapshot(self._folder)
            try:
                self._judge()
                self._say(gettext("watching {folder}; Ctrl-C ends", folder=self._folder))
                while not (paths := self._changes()):
                    self._sleep(_LOOK_SECONDS)
            except _ChangedError:
                paths = self._changes()
            names = [os.path.relpath(path, self._folder) for path in paths]
            self._say("\n" + gettext("changed: {names}", names=_some(names)))

    def _changes(self) -> list[str]:
        return changed(self._files, snapshot(self._folder))

    def _judge(self) -> None:
        """Judge what failed last time, and then everything."""
        try:
            if self._failed:
                self._judge_failed()
            failed, causes, end = self._play(self._options)
        except ServerStartError as error:
            self._say(translated(str(error)))
            for line in error.output:
                self._say(f"  {line}")
            return
        for line in self._differences(failed, causes, end):
            self._say(line)
        self._failed, self._causes, self.status = failed, causes, end.exit

    def _judge_failed(self) -> None:
        try:
            failed, _, _ = self._play(replace(self._options, select=tuple(self._failed), skip=()))
        except SelectionError:  # the server speaks another dialect now, which does not have them
            return
        passes = [name for name in self._failed if name not in failed]
        said = gettext("{count} of {total} that failed pass now", count=len(passes), total=len(self._failed))
        self._say(f"{said}{_named(passes)}")

    def _play(self, options: Options) -> tuple[list[str], dict[str, DiagnosedCause], RunEnd]:
        """Return the failures of a run, its causes, and its end; raise _ChangedError if a file changes meanwhile."""
        failed: list[str] = []
        causes: dict[str, DiagnosedCause] = {}
        next_look = time.monotonic()

        def sink(event: Event) -> None:
            nonlocal next_look
            if isinstance(event, Result) and event.verdict in {Verdict.FAIL, Verdict.WARN} and not event.known:
                failed.append(event.scenario)
            elif isinstance(event, Diagnosis):
                causes.update({cause.id: cause for cause in event.causes})
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + _LOOK_SECONDS
                if self._changes():
                    raise _ChangedError

        with Environment(options) as environment, Runner(options, self._scenarios, sink, environment) as runner:
            end = runner.run()
        if any(problem.startswith("interrupted") for problem in end.problems):
            raise KeyboardInterrupt
        return failed, causes, end

    def _differences(self, failed: list[str], causes: Mapping[str, DiagnosedCause], end: RunEnd) -> Iterator[str]:
        counts = ", ".join(counted_verdict(verdict, count) for verdict, count in end.counts.items())
        yield gettext(
            "{verdict} ({counts}; {seconds} s)", verdict=VERDICTS[end.exit], counts=counts, seconds=end.seconds
        )
        rows = [(gettext("problem"), translated(problem)) for problem in end.problems]
        rows += [(gettext("gone"), gettext(cause.title)) for cause in self._causes.values() if cause.id not in causes]
        for cause in causes.values():
            kind = gettext("still") if cause.id in self._causes else gettext("new")
            rows.append((kind, f"{gettext(cause.title)}; {advice(cause)}"))
        width = max((len(kind) for kind, _ in rows), default=0)
        yield from (f"  {kind:<{width}}  {text}" for kind, text in rows)
        explained = {name for cause in causes.values() for name in cause.scenarios}
        if left := [name for name in failed if name not in explained]:
            count = gettext("without a known cause: {count}", count=len(left))
            yield f"  {count}{_named(left)}"


def _named(names: list[str]) -> str:
    return f": {_some(names)}" if names else ""


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    if len(names) <= _SHOWN:
        return shown
    return gettext("{names} and {number} more", names=shown, number=len(names) - _SHOWN)
