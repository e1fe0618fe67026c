"""A pytest plugin that runs each scenario as a test; inactive without --hftp or --hftp-serve.

    pytest --pyargs conformance --hftp HOST:PORT
    pytest --pyargs conformance --hftp-serve 'python server.py -p {port} -d {dir}'

A failure fails; a warning passes and is shown (or fails, with --hftp-fail-on should); a scenario that did not run is
skipped, with the reason. Under pytest-xdist, --hftp-serve gives each worker its own server. With --hftp, the workers
share one, and a file lock keeps others out while a scenario needs the server for itself.

pytest imports this module wherever the suite is installed, on every platform. The rest of the suite, and modules that
exist on POSIX only, are imported when --hftp or --hftp-serve is given.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from conformance.cli_types import for_argparse
from conformance.language import LANGUAGES, Message, gettext, of_locale, translated, use
from conformance.option_table import RUN_OPTIONS
from conformance.printable import printable

if TYPE_CHECKING:
    from _pytest._code.code import ExceptionInfo, TerminalRepr

    from conformance.config import Options
    from conformance.model.events import Result
    from conformance.model.scenario import Scenario
    from conformance.runner.runner import Runner
    from conformance.target.environment import Environment

_PACKAGE: Final = Path(__file__).resolve().parent
_LOCK: Final = "hftp_lock"
_SUMMARY: Final = "hftp_summary"
_ASKING: Final = ("hftp", "hftp_serve")


class HftpWarning(pytest.PytestWarning):
    """The server does not do what it should."""


class ScenarioFailed(Exception):  # noqa: N818  (a failure of the server, not an error of this program)
    """A scenario failed; the message explains why."""


# --- Options -----------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `conformance run` that apply here."""
    group = parser.getgroup("hftp", "conformance of HFTP servers (pytest --pyargs conformance ...)")
    group.addoption("--hftp", metavar="HOST:PORT", help="Test the server at HOST:PORT, [V6]:PORT or unix:PATH.")
    group.addoption("--hftp-lang", choices=LANGUAGES, help="Speak this language; by default, that of the locale.")
    for option in RUN_OPTIONS:
        if option.is_flag and option.in_pytest:
            group.addoption(f"--hftp-{option.name}", action="store_true", default=None, help=option.help)
        elif option.in_pytest:
            group.addoption(
                f"--hftp-{option.name}",
                metavar=None if option.choices else option.metavar,
                type=for_argparse(option.convert),
                choices=option.choices or None,
                action="append" if option.is_repeatable else "store",
                help=option.help,
            )


def pytest_configure(config: pytest.Config) -> None:
    """Check the options, if the plugin is active."""
    if not _is_asked(config):
        return
    use(config.getoption("hftp_lang") or of_locale(os.environ))
    _check_platform()
    config.addinivalue_line("filterwarnings", f"always::{HftpWarning.__module__}.{HftpWarning.__qualname__}")
    config.stash[_SESSION_RUNNER] = _SessionRunner(config)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Show which server is tested, and the seed."""
    options = config.stash[_SESSION_RUNNER].options if _is_asked(config) else None
    said = options and gettext("hftp: {target}, seed {seed}", target=options.target, seed=options.seed)
    return [printable(said)] if said else []


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the server, remove the files, and fail if the server has harmed its directory."""
    if _SESSION_RUNNER in session.config.stash:
        session_runner = session.config.stash[_SESSION_RUNNER]
        session_runner.close()
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput[_SUMMARY] = session_runner.summary.recorded()
        elif session_runner.summary.problems and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401  (a class of pytest-xdist, which may be missing)
    """Take over what a worker of pytest-xdist has found in the end."""
    if _SESSION_RUNNER in node.config.stash:
        node.config.stash[_SESSION_RUNNER].summary.take(getattr(node, "workeroutput", {}).get(_SUMMARY, {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what is wrong with the server, what it has done to its directory, and what could not be removed."""
    if _SESSION_RUNNER in config.stash:
        config.stash[_SESSION_RUNNER].summary.show(terminalreporter)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server, and remove the files, if the session has not begun."""
    if _SESSION_RUNNER in config.stash:
        config.stash[_SESSION_RUNNER].close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401  (a class of pytest-xdist, which may be missing)
    """Pass the path of the shared lock file to a worker of pytest-xdist."""
    config: pytest.Config = node.config
    if _SESSION_RUNNER in config.stash:
        node.workerinput[_LOCK] = config.stash[_SESSION_RUNNER].make_lock()


def _is_asked(config: pytest.Config) -> bool:
    return any(config.getoption(name) for name in _ASKING)


def _check_platform() -> None:
    """Raise UsageError on platforms where the suite cannot run."""
    try:
        import fcntl  # noqa: F401, PLC0415  (see above)
        import resource  # noqa: F401, PLC0415
    except ImportError as error:
        message = Message("--hftp and --hftp-serve need a POSIX system: this Python has no module {name}")
        raise pytest.UsageError(gettext(message, name=error.name)) from error


def _options(config: pytest.Config) -> "Options":
    """Return the options; raise UsageError with a one-line message."""
    from conformance.cli_types import seed  # noqa: PLC0415  (see above)
    from conformance.client.address import AddressError, check_proxy, parse_address  # noqa: PLC0415
    from conformance.config import DIALECT_MISSING, IS_SHARED, NO_PORT, NO_SERVE, Options  # noqa: PLC0415

    if config.getoption("hftp_seed") is None:
        config.option.hftp_seed = seed("random")  # here, so that the workers of pytest-xdist get the same one
    given: dict[str, Any] = {"address": config.getoption("hftp") or ""}
    for option in RUN_OPTIONS:
        if option.in_pytest and (value := config.getoption(f"hftp_{option.name.replace('-', '_')}")) is not None:
            given[option.field] = tuple(value) if option.is_repeatable else value
    options = Options(**given)
    if options.address or options.proxy:
        try:
            _ = options.address and parse_address(options.address)
            _ = options.proxy and check_proxy(options.proxy)
        except AddressError as error:
            raise pytest.UsageError(translated(str(error))) from error
    is_shared = hasattr(config, "workerinput") or bool(getattr(config.option, "numprocesses", None))
    for is_wrong, what in (
        (options.is_dialect_missing, DIALECT_MISSING),
        (options.is_sandboxed and not options.serve, NO_SERVE),
        (not options.address and "{port}" not in options.serve, NO_PORT),
        (
            is_shared and bool(options.fixtures or (options.address and options.serve)),
            IS_SHARED,
        ),
    ):
        if is_wrong:
            raise pytest.UsageError(translated(what))
    return options


# --- The runner --------------------------------------------------------------------------------------


class _SessionRunner:
    """The runner, from collection to the end of the session; the controller of pytest-xdist never starts it."""

    def __init__(self, config: pytest.Config) -> None:
        from conformance.reports.pytest_summary import SessionSummary  # noqa: PLC0415  (see above)

        self.summary = SessionSummary()  # of all workers of pytest-xdist, in their controller
        self.options = _options(config)
        self._lock_path: str = getattr(config, "workerinput", {}).get(_LOCK, "")
        self._is_lock_ours = False
        self._runner: Runner | None = None
        self._environment: Environment | None = None
        self._stack = contextlib.ExitStack()

    def runner(self) -> "Runner":
        """Return the runner, started on first use; raise UsageError."""
        if self._runner is None:
            from conformance.runner.runner import Runner  # noqa: PLC0415  (see above)
            from conformance.scenarios import catalogue  # noqa: PLC0415
            from conformance.target.environment import Environment  # noqa: PLC0415

            found = catalogue(self.options.scenarios, self.options.catalogue)
            with self.locked(alone=True):
                environment = self._environment = self._stack.enter_context(Environment(self.options))
                self._runner = self._stack.enter_context(Runner(self.options, found, self.summary, environment))
        return self._runner

    def judge(self, scenario: "Scenario") -> "Result":
        """Run a scenario, after its dependencies that have no result in this process yet."""
        runner = self.runner()
        for name in scenario.depends:
            if name in runner.catalogue and not runner.has_judged(name):
                self.judge(runner.catalogue[name])
        with self.locked(alone=not runner.may_share(scenario)):
            return runner.judge(scenario)

    @contextlib.contextmanager
    def locked(self, *, alone: bool) -> Iterator[None]:
        """Hold the lock: shared with other workers, or exclusive."""
        if not self._lock_path or not self.options.address:
            yield
            return
        import fcntl  # noqa: PLC0415  (see above)

        with Path(self._lock_path).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield

    def make_lock(self) -> str:
        """Return the path of the lock file of the workers, created on the first call."""
        if not self._lock_path:
            descriptor, self._lock_path = tempfile.mkstemp(prefix="hftp-conformance-", suffix=".lock")
            os.close(descriptor)
            self._is_lock_ours = True
        return self._lock_path

    def close(self) -> None:
        """Stop the server, and remove the files."""
        self._stack.close()
        if self._environment is not None:
            self.summary.problems = self._environment.end().serious()
        if self._is_lock_ours:
            Path(self._lock_path).unlink(missing_ok=True)


_SESSION_RUNNER: Final = pytest.StashKey[_SessionRunner]()

# --- Tests -------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_collect_directory(path: Path, parent: pytest.Collector) -> "ScenarioCollector | None":
    """Collect the scenarios when the tests of this package are requested."""
    if _is_asked(parent.config) and path.resolve() == _PACKAGE:
        return ScenarioCollector.from_parent(parent, path=path, nodeid=_PACKAGE.name)
    return None


class ScenarioCollector(pytest.Directory):
    """The selected scenarios that apply to the server's dialect."""

    def collect(self) -> Iterable["ScenarioItem"]:
        """Start the server, and yield a test for each scenario, in the order of `conformance run`."""
        from conformance.failures import UsageError  # noqa: PLC0415  (see above)

        try:
            runner = self.config.stash[_SESSION_RUNNER].runner()
        except UsageError as error:
            lines = [translated(str(error)), *error.output]
            raise self.CollectError("\n  ".join(map(printable, lines))) from error
        for scenario in runner.in_order():
            yield ScenarioItem.from_parent(self, name=scenario.id, scenario=scenario)


class ScenarioItem(pytest.Item):
    """One scenario."""

    def __init__(self, *, scenario: "Scenario", **more: Any) -> None:  # noqa: ANN401  (of pytest)
        super().__init__(**more)
        self.scenario = scenario

    def runtest(self) -> None:
        """Run the scenario; raise ScenarioFailed, or skip."""
        from conformance.model.verdicts import MEANINGS, Verdict  # noqa: PLC0415  (see above)
        from conformance.reports.in_language import in_language, verdict_name  # noqa: PLC0415
        from conformance.reports.pytest_summary import with_heading  # noqa: PLC0415

        session_runner = self.config.stash[_SESSION_RUNNER]
        result = in_language(session_runner.judge(self.scenario))
        self.user_properties += [
            ("verdict", result.verdict.value),
            ("requirement", result.requirement),
            ("level", result.level),
        ]
        verdict = Verdict(result.verdict)
        if not MEANINGS[verdict].has_run:
            pytest.skip(printable(f"{verdict_name(verdict)}: {result.got}"))
        is_failure = verdict in {Verdict.FAIL, Verdict.ERROR}
        if is_failure or (verdict is Verdict.WARN and session_runner.options.fail_on == "should"):
            raise ScenarioFailed(with_heading(result))
        if verdict in {Verdict.WARN, Verdict.FLAKY}:
            self.warn(HftpWarning(f"{verdict_name(verdict)}: {with_heading(result)}"))
        elif result.got:
            self.add_report_section("call", "hftp", printable(f"{result.scenario}: {result.got}") + "\n")

    def repr_failure(
        self,
        excinfo: "ExceptionInfo[BaseException]",
        *args: Any,  # noqa: ANN401  (of pytest)
        **more: Any,  # noqa: ANN401  (of pytest)
    ) -> "str | TerminalRepr":
        """Return the explanation of a failure, without a traceback."""
        if isinstance(excinfo.value, ScenarioFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *args, **more)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return the heading of a failure; warnings need a line number, too."""
        return self.path, 0, printable(f"{self.scenario.id}: {gettext(self.scenario.title)}")
