"""The documents are right: their examples run, their tables match the programs, their links lead somewhere."""

import ast
import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click
import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser

from conformance import cli as conformance_cli
from conformance import pytest_plugin
from conformance.classroom.targets import read_targets
from conformance.config import FIXED_SEED
from conformance.diagnosis.causes_reader import root_causes
from conformance.grading.points import read_points
from conformance.model.events import SCHEMA
from conformance.model.verdicts import MEANINGS, Exit, Verdict
from conformance.runner.selection import read_baseline
from conformance.scenarios import catalogue
from conformance.spec.reader import specification
from greenserver import DIALECTS, Server, Status
from greenserver import cli as greenserver_cli
from greenserver.client import cli as client_cli
from greenserver.client.errors import Exit as ClientExit
from greenserver.config.limits import DEFAULT_PORT
from greenserver.config.settings import ENGINES
from tests import pictures
from tests.conformance.translations import children_of

pytestmark = pytest.mark.once

ROOT: Final = Path(__file__).parents[1]
README: Final = ROOT / "README.md"
OF_SERVER: Final = ROOT / "greenserver" / "README.md"
OF_SUITE: Final = ROOT / "conformance" / "README.md"
IN_SPANISH: Final = ROOT / "conformance" / "README.es.md"
WITH_EXAMPLES: Final = (
    README,
    OF_SERVER,
    OF_SUITE,
    IN_SPANISH,
    ROOT / "SECURITY.md",
    ROOT / "tests" / "benchmarks" / "README.md",
)
GOLDEN: Final = ROOT / "tests" / "conformance" / "golden" / "run.ndjson"
DOCUMENTS: Final = sorted({*ROOT.glob("*.md"), *WITH_EXAMPLES})
PROGRAMS: Final = {
    "conformance": conformance_cli.commands,
    "greenserver": greenserver_cli.serve,
    "hftp": client_cli.hftp,
}
README_WORDS: Final = 1200
IMAGE_BYTES: Final = 150_000
SECONDS: Final = 20
HELLO: Final = b"Hello, world!\n"
AN_ID: Final = re.compile(r"[a-z]+\.(?!(?:toml|html|ndjson|csv|json|md|py)$)[a-z0-9-]+|HFTP-\d+\.\d+")
EXTRA_OPTIONS: Final = {"-h", "--help"}
"""What click adds when it parses."""

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


# --- Examples ------------------------------------------------------------------------------------


def commands_in(block: str) -> Iterator[list[str]]:
    """Yield the commands of a block of shell, in words, without comments."""
    for line in block.splitlines():
        words: list[str] = []
        for word in [*shlex.split(line, comments=True), "&&"]:
            if word != "&&":
                words.append(word)
            elif words:
                yield words
                words = []


def check_command(words: Sequence[str], scratch: Path) -> None:
    """Have the program that is meant parse its words; fail for a program that no test checks."""
    match [Path(words[0]).name, *words[1:]]:
        case [("conformance" | "greenserver" | "hftp") as program, *rest]:
            make_files(rest, scratch)
            assert program == "hftp" or set(filter(AN_ID.fullmatch, rest)) <= known_ids()
            PROGRAMS[program].main(rest, prog_name=program, standalone_mode=False)
        case ["uvx", "--from", ".", *rest]:
            check_command(rest, scratch)
        case ["pytest", "--pyargs", package, *rest]:
            assert importlib.util.find_spec(package)
            assert {word for word in rest if word.startswith("-")} <= plugin_options() | {"-n"}
        case ["python", "-m", module, *rest]:
            check_module(module, rest)
        case ["tox", "run", "-e", environment, *rest]:
            assert environment in environments_of_tox()
            if environment == "bench":
                check_module("tests.benchmarks", rest[1:])
        case ["tox", "run-parallel"] | ["python3", "-m", "venv", _] | ["pip" | "pipx" | "uv", *_]:
            pass  # what a newcomer types first
        case ["dask", "scheduler" | "worker", *_]:
            pass  # the tests of a class on a cluster start both
        case _:
            pytest.fail(f"no test checks {shlex.join(words)}")


def make_files(words: Sequence[str], scratch: Path) -> None:
    """Make the files and folders that a command reads."""
    for word in words:
        if word.endswith(".ndjson") or word == "targets.toml":
            (scratch / word).touch()
        elif re.fullmatch(r"\w+/", word):
            (scratch / word).mkdir(exist_ok=True)


def check_module(module: str, words: Sequence[str]) -> None:
    """Find a module that is run; that of the benchmarks parses its words, and exits if they are wrong."""
    assert importlib.util.find_spec(module), module
    if module == "tests.benchmarks":
        importlib.import_module("tests.benchmarks.__main__")._parse(words)  # noqa: SLF001  (it runs for minutes else)


def run_shell(example: Example) -> None:
    """Check each command of a block."""
    for words in commands_in(example.parsed):
        check_command(words, example.namespace["scratch"])


def run_python(example: Example) -> None:
    """Start the server of a program and ask it, or find the scenarios of a file that other tests run."""
    if "conformance" in example.parsed:
        tested = (ROOT / "tests" / "conformance" / "example_scenarios.py").read_text(encoding="utf-8")
        _docstring, *nodes = ast.parse(tested).body
        assert ast.dump(ast.parse(example.parsed)) == ast.dump(ast.Module(nodes, []))
        return
    scratch: Path = example.namespace["scratch"]
    if "greenserver.client" in example.parsed or "hftp://" in example.parsed:
        run_client(example.parsed, scratch)
        return
    (scratch / "public").mkdir()
    (scratch / "public" / "hello.txt").write_bytes(HELLO)
    with subprocess.Popen(
        [sys.executable, "-u", "-c", example.parsed], cwd=scratch, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().decode().strip()
            assert ask(address, ["get_metadata hello.txt", "quit"]) == ["0 OK", "14", "0 OK"]
        finally:
            process.kill()


def run_client(program: str, scratch: Path) -> None:
    """Run a program that fetches a file from a server."""
    served, here = scratch / "served", scratch / "here"
    served.mkdir()
    here.mkdir()
    (served / "hello.txt").write_bytes(HELLO)
    with serving(served) as address:
        words = [sys.executable, "-c", program.replace(f"127.0.0.1:{DEFAULT_PORT}", address)]
        done = subprocess.run(words, cwd=here, capture_output=True, text=True, timeout=SECONDS, check=True)
    expected = [repr(HELLO)]
    if "download" in program:
        expected = ["['hello.txt']", repr(HELLO[7:12]), hashlib.sha256(HELLO).hexdigest()]
        assert (here / "copy.txt").read_bytes() == HELLO
    if "fsspec" in program:
        expected = [repr(HELLO), f"['{address}/hello.txt']"]
    assert done.stdout.splitlines() == expected


def run_session(example: Example) -> None:
    """Say what the client says in a session, and compare what the server says."""
    start, *lines = example.parsed.splitlines()
    assert start == f"$ nc -C 127.0.0.1 {DEFAULT_PORT}"
    said = [line for line in lines if line.split(" ")[0] in known_commands()]
    scratch: Path = example.namespace["scratch"]
    (scratch / "hello.txt").write_bytes(HELLO)
    with serving(scratch) as address:
        assert ask(address, said) == [line for line in lines if line not in said]


def run_failure(example: Example) -> None:
    """Judge the server of the README's pictures: the report has the lines of the example; or look at a diagnosis."""
    if example.parsed.startswith("tarea:"):  # compared in tests/conformance/test_translations.py
        return
    if example.parsed.startswith("homework:"):
        check_first_screen(example)
        return
    if "causes explain" in example.parsed:
        check_diagnosis(example.parsed)
        return
    scenario = re.match(r"FAIL (\S+):", example.parsed)
    if scenario is None:
        run_try(example)
        return
    command = (
        f"conformance run --serve 'python3 server.py -p {{port}} -d {{dir}}' --seed {FIXED_SEED} -t {scenario[1]} -v"
    )
    printed = pictures.run(command, example.namespace["scratch"])
    assert example.parsed.strip() in printed


def run_try(example: Example) -> None:
    """Try a scenario on that server: all lines of the example are told, but for times, the port and the directory."""
    scratch: Path = example.namespace["scratch"]
    (scratch / "server.py").write_text(pictures.SERVER, encoding="ascii")
    server = f"{shlex.quote(sys.executable)} server.py -p {{port}} -d {{dir}}"
    words = ["try", example.parsed.partition(":")[0], "--serve", server, "--seed", str(FIXED_SEED)]
    with subprocess.Popen(
        [sys.executable, "-m", "conformance", *words],
        cwd=scratch,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            told = [""]
            for line in process.stdout:
                told.append(line)
                if line.startswith("Ctrl-C"):
                    break
            process.send_signal(signal.SIGINT)
            process.wait(SECONDS)
        finally:
            process.kill()
    # The client closes at the wrong status: the line after it may be on its way then.
    late = r"^ +[0-9.]+ 1 S YQ==.*\n"
    changing = re.compile(rf"{late}|^ +[0-9.]+|(?<=127\.0\.0\.1[: ])[0-9]+|(?<=directory  ).*", re.MULTILINE)
    assert changing.sub("", "".join(told)) == changing.sub("", example.parsed)


def check_first_screen(example: Example) -> None:
    """Judge that server by the scenarios of its chapter: all lines but for the counts are those of the example."""
    directory = example.namespace["scratch"] / "homework"
    directory.mkdir(exist_ok=True)
    command = f"conformance run --serve 'python3 server.py -p {{port}} -d {{dir}}' --seed {FIXED_SEED} -t arguments.*"
    verdict, score, counts, *rest = pictures.run(command, directory).splitlines()
    expected = example.parsed.splitlines()
    numbers = re.compile(r"[0-9.]+")
    assert [verdict, *rest][: len(expected) - 2] == [expected[0], *expected[3:]]
    assert numbers.sub("", score) == numbers.sub("", expected[1])
    assert numbers.sub("", counts) == numbers.sub("", expected[2])


def check_diagnosis(text: str) -> None:
    """Find the causes of a diagnosis, with their titles and severities, and its examples."""
    rows = re.findall(r"^ +\d+ (\S.*)\n +([a-z ]+): .*\((\S+)\)$", text, re.MULTILINE)
    assert len(rows) == int(text.split(maxsplit=1)[0])
    severities = {cause.title: cause.severity for cause in root_causes().values()}
    for title, severity, scenario in rows:
        assert severities[title] == severity
        assert scenario in known_ids()


def read_toml(example: Example) -> None:
    """Read a file by what its first line says that it is for."""
    file = example.namespace["scratch"] / "example.toml"
    file.write_text(example.parsed, encoding="utf-8")
    if example.parsed.startswith("# greenserver --config"):
        greenserver_cli.read(["--config", str(file)])
    elif example.parsed.startswith("# targets.toml"):
        for name in ("ana", "bruno", "carla"):
            (file.parent / "submissions" / name).mkdir(parents=True)
        assert all(row.serve or row.address or row.problem.startswith("no start") for row in read_targets(file))
    elif example.parsed.startswith("# points.toml"):
        assert read_points(file).of_dialect("2026")
    else:
        assert read_baseline(file).entries


def read_unit(example: Example) -> None:
    """Read what is added to the unit of systemd: credentials under the names that the text around it uses."""
    _section, *lines = example.parsed.splitlines()
    for line in lines:
        name, _file = line.removeprefix("LoadCredential=").split(":")
        assert f"/run/credentials/greenserver.service/{name}" in OF_SERVER.read_text(encoding="utf-8")


EVALUATORS: Final[dict[str, Callable[[Example], None]]] = {
    "console": run_session,
    "ini": read_unit,
    "python": run_python,
    "sh": run_shell,
    "text": run_failure,
    "toml": read_toml,
}


def examples() -> list[Any]:
    """Return the examples of all documents that have some, as parameters of a test."""
    sybil = Sybil([CodeBlockParser(language, evaluator) for language, evaluator in EVALUATORS.items()])
    return [
        pytest.param(example, id=f"{path.relative_to(ROOT)}:{example.line}")
        for path in WITH_EXAMPLES
        for example in sybil.parse(path).examples()
    ]


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the commands of both programs parse their words, and do nothing."""

    def disarm(command: click.Command) -> None:
        monkeypatch.setattr(command, "callback", lambda *_, **__: None)
        for each in children_of(command):
            disarm(each)

    for program in PROGRAMS.values():
        disarm(program)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("example", examples())
@pytest.mark.usefixtures("programs")
def test_an_example_runs(example: Example, tmp_path: Path) -> None:
    example.namespace["scratch"] = tmp_path
    example.evaluate()


def test_every_block_of_code_has_a_language_that_is_run() -> None:
    for path in WITH_EXAMPLES:
        fences = re.findall(r"^```(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(fences) <= {"", "haproxy", *EVALUATORS}, path
        assert not any(fences[1::2]), path
        assert all(fences[::2]), path


@each_document
@pytest.mark.usefixtures("programs")
def test_a_command_in_a_sentence_is_right(document: Path, tmp_path: Path) -> None:
    for code in re.findall(r"`([^`\n]+)`", document.read_text(encoding="utf-8")):
        if (
            re.match(r"conformance [a-z]|greenserver [a-z-]|hftp [a-z]|tox run -e |python -m ", code)
            and "..." not in code
        ):
            with contextlib.suppress(click.MissingParameter):  # a sentence need not name what a command takes
                check_command(shlex.split(code), tmp_path)


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[str]:
    """Serve a directory for a while, and give the address."""
    with Server(directory, port=0, engine="threads") as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield server.address
        finally:
            server.stop()
            thread.join(SECONDS)


def ask(address: str, lines: Sequence[str]) -> list[str]:
    """Say lines to a server, and return the lines that it says until it closes."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), SECONDS) as client, client.makefile("rb") as replies:
        client.sendall("".join(f"{line}\r\n" for line in lines).encode())
        return replies.read().decode().removesuffix("\r\n").split("\r\n")


# --- Tables --------------------------------------------------------------------------------------


def tables(document: Path) -> dict[str, list[list[str]]]:
    """Return the rows of a document's tables by the first word of their heads; those with the same head together."""
    found: dict[str, list[list[str]]] = {}
    rows: list[list[str]] | None = None
    for line in document.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            rows = None
            continue
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if rows is None:
            rows = found.setdefault(cells[0], [])
        elif set(cells[0]) - {"-"} or not cells[0]:
            rows.append(cells)
    return found


def codes(cell: str) -> list[str]:
    """Return what a cell shows as code."""
    return re.findall(r"`([^`]+)`", cell)


def firsts(document: Path, head: str) -> list[str]:
    """Return the first code of each row of a table."""
    return [codes(row[0])[0] for row in tables(document)[head]]


def names(cell: str) -> set[str]:
    """Return the options of a cell, without their values."""
    return {code.split(" ")[0] for code in codes(cell)}


def escape(value: object) -> str:
    """Return a default as a table shows it."""
    if value is False:
        return "off"
    if value in (None, "", ()):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_the_table_of_the_servers_options_is_complete_and_its_defaults_are_right() -> None:
    rows = [row for head in ("option", "limit") for row in tables(OF_SERVER)[head]]
    parameters = {option: each for each in greenserver_cli.serve.params for option in each.opts}
    assert set().union(*(names(row[0]) for row in rows)) == set(parameters) | EXTRA_OPTIONS
    with greenserver_cli.serve.make_context("greenserver", []) as context:
        usual = dict(context.params)
    for option, default, _meaning in rows:
        parameter = parameters.get(next(iter(names(option))))
        if parameter is None or parameter.name not in usual:
            continue
        value = usual[parameter.name]
        is_count = isinstance(parameter, click.Option) and parameter.count
        assert default.strip("`") == ("off" if is_count and not value else escape(value)), option


def test_the_tables_of_the_clients_options_and_commands_are_complete_and_defaults_are_right() -> None:
    commands = client_cli.hftp.commands
    assert [code.split(" ")[1] for code in firsts(OF_SERVER, "hftp command")] == list(commands)
    parameters = {
        option: each
        for command in (client_cli.hftp, *commands.values())
        for each in command.params
        if isinstance(each, click.Option)
        for option in each.opts
    }
    rows = tables(OF_SERVER)["hftp option"]
    assert set().union(*(names(row[0]) for row in rows)) == set(parameters) | EXTRA_OPTIONS
    for option, default, _meaning in rows:
        parameter = parameters.get(next(iter(names(option))))
        if parameter is not None and parameter.name != "version":
            value = parameter.get_default(click.Context(client_cli.hftp))
            is_unset = not isinstance(value, (int, float, str, Path))  # click has a word of its own for that
            assert default.strip("`") == ("off" if parameter.is_flag else "" if is_unset else escape(value)), option


def test_the_exit_statuses_of_the_client_are_listed() -> None:
    assert [int(row[0]) for row in tables(OF_SERVER)["hftp exit status"]] == [status.value for status in ClientExit]


def test_the_table_of_the_suites_options_is_complete_and_its_defaults_are_right() -> None:
    rows = tables(OF_SUITE)["option"]
    run = conformance_cli.run
    parameters = {option: each for each in run.params if isinstance(each, click.Option) for option in each.opts}
    listed = set().union(*(names(row[0]) for row in rows))
    assert listed - {"HOST:PORT"} == set(parameters) | EXTRA_OPTIONS
    for option, default, _meaning in rows:
        parameter = parameters.get(next(iter(names(option))))
        if parameter is None:
            continue
        with run.make_context("run", []) as context:
            value = context.params.get(parameter.name or "")
        given = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
        assert default.strip("`") == ("" if value is False or value in (None, "", ()) else str(given)), option


def test_the_options_of_the_pytest_plugin_are_listed() -> None:
    listed = set(re.findall(r"`(--hftp(?:-[a-z]+)*)`", OF_SUITE.read_text(encoding="utf-8")))
    assert listed == plugin_options()


def test_the_verdicts_and_exit_statuses_are_listed() -> None:
    verdicts = {codes(row[0])[0]: row[2] for row in tables(OF_SUITE)["verdict"]}
    assert set(verdicts) == {verdict.value for verdict in Verdict}
    meant = {
        Exit.CONFORMANT: "conformant",
        Exit.NOT_CONFORMANT: "not conformant",
        Exit.INCOMPLETE: "incomplete",
        Exit.SUITE_FAULT: "a fault of the suite",
    }
    for verdict, meaning in MEANINGS.items():
        assert verdicts[verdict.value].partition(";")[0] == meant[meaning.exit]
    assert [int(row[0]) for row in tables(OF_SUITE)["exit status"]] == [status.value for status in Exit]


def test_the_schema_of_events_is_listed() -> None:
    recorded: dict[str, list[str]] = {}
    for line in GOLDEN.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        assert event.get("schema", SCHEMA) == SCHEMA
        kind = event.pop("type")
        recorded[kind] = list(event)
    assert {codes(row[0])[0]: codes(row[2]) for row in tables(OF_SUITE)["type"]} == recorded
    assert SCHEMA in OF_SUITE.read_text(encoding="utf-8")


def test_the_engines_and_dialects_are_listed() -> None:
    assert firsts(OF_SERVER, "engine") == list(ENGINES)
    assert firsts(OF_SERVER, "dialect") == list(DIALECTS)


def test_the_commands_and_statuses_of_the_protocol_are_listed() -> None:
    assert {code.split(" ")[0] for code in firsts(README, "command")} == known_commands()
    listed = firsts(README, "status")
    assert listed == [f"{status.value} {status.name.replace('_', ' ')}" for status in Status if status]


@functools.cache
def known_ids() -> frozenset[str]:
    """Return the ids of all scenarios and requirements."""
    return frozenset(row.id for row in (*catalogue(), *specification()))


@functools.cache
def known_commands() -> frozenset[str]:
    """Return the commands that a server of the newest dialect names."""
    with tempfile.TemporaryDirectory() as directory, serving(Path(directory)) as address:
        _status, *found, _end, _status_of_quit = ask(address, ["help", "quit"])
    return frozenset(found)


def plugin_options() -> set[str]:
    """Return the options that the plugin adds to pytest."""
    found: set[str] = set()

    class Recorder:
        def getgroup(self, *_: str) -> "Recorder":
            return self

        def addoption(self, name: str, **_: object) -> None:
            found.add(name)

    pytest_plugin.pytest_addoption(typing.cast("pytest.Parser", Recorder()))
    return found


def environments_of_tox() -> set[str]:
    """Return the environments that tox.ini describes."""
    found = re.findall(r"^\[testenv:(.+)\]$", (ROOT / "tox.ini").read_text(encoding="utf-8"), re.MULTILINE)
    return {*found, *(re.sub(r"\{,.*?\}", "", name) for name in found)}


# --- Links and places ----------------------------------------------------------------------------


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_document
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        there = document.parent / place if place else document
        assert there.exists(), link
        assert not anchor or anchor in anchors(there), link


@each_document
def test_every_file_that_is_named_is_there(document: Path) -> None:
    for path in re.findall(
        r"`((?:tests|conformance|greenserver)/[\w./]+|test_\w+\.py)`", document.read_text(encoding="utf-8")
    ):
        assert (ROOT / path).exists() or list((ROOT / "tests").rglob(path)), path


def test_the_readme_is_short_and_its_images_are_small() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= README_WORDS
    images = list((ROOT / ".github" / "images").iterdir())
    assert images
    assert all(image.stat().st_size < IMAGE_BYTES for image in images)


def test_the_continuous_integration_finds_the_command_that_tests() -> None:
    found = re.search(r"^command=\$\((sed .*)\)$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    done = subprocess.run(["bash", "-c", found[1]], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    (command,) = done.stdout.splitlines()
    assert "tox" in command
