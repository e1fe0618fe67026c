"""A failed start is explained in one line with a remedy, for real programs and for recorded output."""

import os
import re
import shutil
import socket
import sys
from pathlib import Path

import pytest

from conformance.cli import main
from conformance.client.address import Address
from conformance.model.tracebacks import decisive_line
from conformance.target.failed_start import FailedStart
from conformance.target.managed_server import ManagedServer, ServerStartError, Start
from conformance.target.sockets import free_port
from conformance.target.start_errors import START_ERRORS
from tests import INTERPRETER
from tests.conformance.test_reaching import await_

pytestmark = pytest.mark.once

FILES = {
    "make/Makefile": "server: server.c\n\tcc -o server server.c\n",
    "make/server.c": "int main(void) { return 0; }\n",
    "make/bad.c": "int main(void) { return too_few( }\n",
    "c/server.c": "int main(void) { return 0; }\n",
    "node/package.json": "{}\n",
    "node/absent.js": "require('express')\n",
    "node/absent.mjs": "import x from 'left-pad'\n",
    "node/own.js": "require('./build/lib')\n",
    "node/fixed.js": "require('net').createServer().listen(+process.argv[2], '127.0.0.1')\n",
    "java/Server.java": "public class Server { }\n",
    "java/classes/Needs.java": "public class Needs { public static void main(String[] a) { new Absent(); } }\n",
    "java/classes/Absent.java": "public class Absent { }\n",
    "python/absent.py": "import absent_module\n",
    "python/requirements.txt": "absent-module\n",
    "python/parsed.py": "import argparse\nargparse.ArgumentParser().parse_args()\n",
    "python/usage.py": "print('Usage: server PORT DIRECTORY')\nprint('  PORT  a number')\nraise SystemExit(2)\n",
    "python/raises.py": "print('usage: see README', flush=True)\nraise ValueError('no\\nway')\n",
    "python/plain": "print(1)\n",
    "python/foreign.py": "import socket\nsocket.create_server(('192.0.2.1', 1))\n",
    "python/fixed.py": "import socket, sys\nsocket.create_server(('127.0.0.1', int(sys.argv[1])))\n",
    "python/shebang": "#!/no/such/python\n",
    "python/crashes.py": "import os\nos.kill(os.getpid(), 11)\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make projects that do not start, in a directory each, and return where."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    for name in ("plain", "shebang"):
        (tmp_path / "python" / name).chmod(0o755)
    return tmp_path


def complaint(start: Start, directory: Path, address: Address | None = None) -> str:
    with pytest.raises(ServerStartError) as caught, ManagedServer(address, start, directory=directory):
        pass
    message = str(caught.value)
    assert message.isprintable(), "it is one line"
    return message


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            "make: ./server {port}",
            (
                "./server does not exist, and there is a Makefile: build it first (make), or put that into the "
                "command: --serve 'sh -c \"make -s && exec ./server {port}\"'"
            ),
        ),
        ("make: ./bin/server {port}", "./bin/server does not exist, and there is a Makefile: build it first (make)"),
        ("make: sh -c 'exec ./server {port}'", "./server does not exist, and there is a Makefile: build it first"),
        ("make: bash -c './server {port}'", "./server does not exist, and there is a Makefile: build it first"),
        ("make: env ./server {port}", "./server does not exist, and there is a Makefile: build it first (make)"),
        ("make: stdbuf -oL ./server {port}", "./server does not exist, and there is a Makefile: build it first (make)"),
        (
            "make: server-program {port}",
            "no such program on PATH (one in --cwd is called ./server-program)",
        ),
        ("make: gcc bad.c -o bad {port}", "cannot be compiled (it printed: bad.c:1:"),
        ("make: /no/such/server {port}", "cannot run /no/such/server: it does not exist"),
        ("make: make no-rule {port}", "before it accepted a connection: make: *** No rule to make target 'no-rule'"),
        ("c: ./server {port}", "there is a server.c: build it first (gcc -o server *.c)"),
        ("node: node absent.js {port}", "needs the module express, which is not installed for NODE: install it"),
        ("node: node absent.js {port}", "(npm install, in "),
        ("node: node absent.mjs {port}", "needs the module left-pad, which is not installed for NODE"),
        ("node: node own.js {port}", "./build/lib does not exist, and there is a package.json: build it first (npm"),
        ("node: node nothing.js {port}", "nothing.js: it does not exist: is the path right, and --cwd?"),
        ("node: node --bogus {port}", "refused its command line: node --bogus"),
        ("node: node fixed.js TAKEN {port}", "port is taken, but 127.0.0.1:"),
        (
            "java: java -cp . Server {port}",
            "does not find the class Server, and there is a Server.java: build it first",
        ),
        ("java: java -jar server.jar {port}", "(javac *.java && jar cfe server.jar Server *.class)"),
        ("java: java -cp classes Needs {port}", "the class Absent, which JAVA does not find: put its jar on the class"),
        ("java: java -bogus Server {port}", "refused its command line: java -bogus Server "),
        ("python: PYTHON absent.py {port}", "the module absent_module, which is not installed for PYTHON: install it"),
        ("python: PYTHON absent.py {port}", "(PYTHON -m pip install -r "),
        ("make: PYTHON ../python/absent.py {port}", "python/requirements.txt)"),
        ("make: PYTHON -m absent_module {port}", "(PYTHON -m pip install absent_module)"),
        ("python: PYTHON nothing.py {port}", "nothing.py: it does not exist: is the path right, and --cwd?"),
        ("python: PYTHON parsed.py -p {port}", "(it printed: parsed.py: error: unrecognized arguments: -p"),
        ("python: PYTHON usage.py -p {port}", "refused its command line: "),
        ("python: PYTHON raises.py {port}", "ended before it accepted a connection: ValueError: no"),
        ("python: PYTHON foreign.py {port}", "binds an address that this machine does not have"),
        ("python: PYTHON fixed.py TAKEN {port}", "is free: does it ignore {port}? (it printed: OSError: [Errno 98]"),
        ("python: PYTHON crashes.py {port}", "it printed nothing and was ended by SIGSEGV"),
        ("python: true {port}", "it printed nothing and exited with status 0 (a server has to stay in the foreground)"),
        ("python: sh -c 'exit 3' {port}", "it printed nothing and exited with status 3"),
        ("python: ./plain {port}", "./plain: it is neither a program for this system nor a script that begins with #!"),
        (
            "python: ./shebang {port}",
            "./shebang: its first line names an interpreter that does not exist: #!/no/such/py",
        ),
        (
            "python: ./absent.py {port}",
            "./absent.py: it is not executable: chmod +x ./absent.py, or name its interpreter",
        ),
        ("python: sh -c './absent.py {port}'", "./absent.py: it is not executable: chmod +x ./absent.py"),
        ("python: ./ {port}", "it is a directory"),
        ("python: ./nothing {port}", "cannot run ./nothing: it does not exist in "),
        ("nowhere: ./nothing {port}", "--cwd: no such directory: "),
    ],
)
def test_explains_a_program_that_does_not_start(project: Path, command: str, expected: str) -> None:
    folder, _, command = command.partition(": ")
    program = command.split()[0]
    if program.islower() and "/" not in program and program != "server-program" and not shutil.which(program):
        pytest.skip(f"there is no {program}")
    if program == "java" and " Needs" in command:
        os.system(f"cd {project}/java/classes && javac *.java && rm Absent.class")
    expected = expected.replace("PYTHON", sys.executable).replace("NODE", shutil.which("node") or "")
    expected = expected.replace("JAVA", shutil.which("java") or "")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = command.replace("TAKEN", str(taken.getsockname()[1])).replace("PYTHON", INTERPRETER)
        message = complaint(Start(command, str(project / folder)), project)
    assert expected in message


def test_names_the_process_that_uses_the_port(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        start = Start(f"{INTERPRETER} fixed.py {{port}}", str(project / "python"))
        expected = rf"{address} is in use by .*process {os.getpid()}: stop it, or choose another port"
        assert re.search(expected, complaint(start, project, address))


RECORDED = [
    ("error: could not find `Cargo.toml` in `/x` or any parent directory", "--cwd names no directory of a project"),
    ("Server.java:5: error: cannot find symbol", "the server cannot be compiled"),
    (
        "./server: error while loading shared libraries: libfoo.so.1: cannot open",
        "needs the shared library libfoo.so.1",
    ),
    ("./server: /lib/libc.so.6: version `GLIBC_2.99' not found (required by ./server)", "shared library GLIBC_2.99"),
    ("Can't locate No/Such.pm in @INC (you may need to install the No::Such module)", "needs the module No/Such.pm"),
    ("<internal:/x.rb>:85:in `require': cannot load such file -- sinatra (LoadError)", "needs the module sinatra"),
    ("ruby: No such file or directory -- server.rb (LoadError)", "cannot run server.rb: it does not exist"),
    ('Can\'t open perl script "server.pl": No such file or directory', "cannot run server.pl: it does not exist"),
    ("zsh:1: no such file or directory: ./server", "cannot run ./server: it does not exist"),
    ("timeout: failed to run command './x': Permission denied", "./x: it is not executable"),
    ("bash: line 1: ./x: cannot execute binary file: Exec format error", "./x: it is neither a program"),
    ("bind: Address already in use", "is free: does it ignore {port}?"),
    ("listen tcp 127.0.0.1:80: bind: address already in use", "is free: does it ignore {port}?"),
    ("bind: Cannot assign requested address", "binds an address that this machine does not have"),
    ("flag provided but not defined: -p\nUsage of ./server:\n  -port int", "refused its command line: ./server -p 1"),
    ("./server: invalid option -- 'p'\nTry './server --help' for more information.", "refused its command line"),
    ("usage: server.py [-h] --dir DIR\nserver.py: error: the following arguments are required: --dir", "refused its"),
    (
        (
            'Exception in thread "main" java.lang.RuntimeException: cannot start\n\tat Server.main(Server.java:3)\n'
            "Caused by: java.net.BindException: Address already in use\n\tat java.base/sun.nio.ch.Net.bind0"
        ),
        "is free: does it ignore {port}? (it printed: Caused by: java.net.BindException: Address already in use)",
    ),
    (
        'Exception in thread "main" java.lang.UnsupportedClassVersionError: Server has been compiled by a more recent',
        "compiled for a newer Java",
    ),
    ("cannot run ./x: No such file or directory", "cannot run ./x: it does not exist"),
    ("cannot run ./x: Permission denied", "cannot run ./x: it is not executable"),
    ("cannot run ./x as user 65534: Permission denied", "./x: it is not executable"),
    ("cannot run /bin/sh as user 65534: Permission denied", "cannot run /bin/sh as user 65534, whom the sandbox takes"),
    ("cannot run ./x: Exec format error", "cannot run ./x: it is neither a program"),
    ("sh: 1: ./x: not found", "cannot run ./x: it does not exist"),
    ("stdbuf: failed to run command \u2018./x\u2019: No such file or directory", "cannot run ./x: it does not exist"),
    ("/usr/bin/env: \u2018python9\u2019: No such file or directory", "cannot run python9: there is no such program"),
    (
        "python3: can't open file '/x/s.py': [Errno 2] No such file or directory",
        "cannot run /x/s.py: it does not exist",
    ),
    ("Error: Unable to access jarfile s.jar", "cannot run s.jar: it does not exist"),
    (
        "Error: Could not find or load main class S\nCaused by: java.lang.ClassNotFoundException: S",
        "find the class S: are",
    ),
    ("Error: Cannot find module './lib'\nRequire stack:\n- /x/server.js", "cannot run ./lib: it does not exist"),
    ("sh: 1: ./x: Permission denied", "./x: it is not executable"),
    ("ModuleNotFoundError: No module named 'flask.app'", "needs the module flask.app, which is not installed for the"),
    ("Error: Cannot find module 'express'\nRequire stack:\n- /x/server.js", "needs the module express, which"),
    ('Exception in thread "main" java.lang.NoClassDefFoundError: org/x/Y', "needs the class org.x.Y, which java does"),
]


@pytest.mark.parametrize(("output", "expected"), RECORDED)
def test_explains_recorded_output(tmp_path: Path, output: str, expected: str) -> None:
    address = Address("127.0.0.1", free_port())
    failed = FailedStart("./server -p 1", ["./server", "-p", "1"], tmp_path, address, output, 1)
    assert expected in failed.explain()
    assert failed.is_address_in_use == ("ddress already in use" in output)


def test_every_pattern_has_an_example() -> None:
    examples = [line for output, _ in RECORDED for line in output.splitlines()]
    assert [row.pattern.pattern for row in START_ERRORS if not any(map(row.pattern.search, examples))] == []


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("", ""),
        ("starting\nno luck\n\n", "no luck"),
        ("Traceback (most recent call last):\n  File x\n    y\nKeyError: 'a'\nbye", "KeyError: 'a'"),
        (
            (
                "Traceback (most recent call last):\n  x\nOSError: 1\n\nDuring handling of the above exception, "
                "another exception occurred:\n\nTraceback (most recent call last):\n  y\nValueError: 2\n"
            ),
            "ValueError: 2",
        ),
        (
            'log\nException in thread "main" a.B: c\n\tat d\nCaused by: e.F: g\n\t... 1 more',
            'Exception in thread "main" a.B: c',
        ),
        ("s.c:1:1: warning: w\ns.c:2:1: error: e\ns.c:3:1: error: f\n1 error generated.", "s.c:2:1: error: e"),
        ("error[E0425]: cannot find value\n  --> x\nerror: aborting", "error[E0425]: cannot find value"),
        (
            "npm error code X\nnpm error Missing script: a\nnpm error A complete log of this",
            "npm error Missing script: a",
        ),
        ("node:internal:1\n  throw err;\n  ^\n\nTypeError: t\n    at x\n\nNode.js v20", "TypeError: t"),
    ],
)
def test_finds_the_decisive_line_of_an_output(output: str, line: str) -> None:
    assert decisive_line(output) == line


def test_exception_takes_precedence_over_an_earlier_usage_text(tmp_path: Path) -> None:
    output = "Usage: connect with nc\nTraceback (most recent call last):\n  x\nValueError: 2\n"
    failed = FailedStart("x", ["x"], tmp_path, Address("127.0.0.1", 1), output, 1)
    assert failed.explain() == "the server ended before it accepted a connection: ValueError: 2"


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        ("loading\nTraceback (most recent call last):\n  File x\n    y\nKeyError: 'a'\nbye", 4),
        ('log\nException in thread "main" a.B: c\n\tat d\n\tat e\nCaused by: e.F: g', 4),
        ("\n".join(map(str, range(100))), 16),
        ("one line", 0),
        ("Traceback (most recent call last):\n  x\nModuleNotFoundError: No module named 'flask'", 0),
        ("", 0),
    ],
)
def test_enough_of_an_output_is_shown_where_the_line_does_not_explain_it(
    output: str, lines: int, tmp_path: Path
) -> None:
    failed = FailedStart("x", ["x"], tmp_path, Address("127.0.0.1", 1), output, 1)
    assert len(failed.excerpt()) == lines
    assert all(line in output for line in failed.excerpt())


def test_the_output_of_a_server_that_does_not_start_is_shown_below_the_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "server.py").write_text("def load():\n    return {}['\\x1b[31m']\n\nload()\n", "ascii")
    report = tmp_path / "run.xml"
    with pytest.raises(SystemExit) as ended:
        main(["run", "--serve", f"{INTERPRETER} server.py {{port}}", f"--cwd={tmp_path}", f"--junit={report}"])
    assert ended.value.code == 2
    told = capfd.readouterr().err.splitlines()
    assert told[0].endswith("the server ended before it accepted a connection: KeyError: '\\x1b[31m'")
    assert told[1] == "  Traceback (most recent call last):"
    assert told[-1] == "  KeyError: '\\x1b[31m'"
    assert "in load" in report.read_text("utf-8")


def test_what_a_python_server_prints_comes_at_once(tmp_path: Path) -> None:
    program = "import time; print('no newline yet', end=''); time.sleep(99)"
    start = Start(f'{INTERPRETER} -c "{program}" {{port}}')
    server = ManagedServer(None, start, directory=tmp_path)
    server.begin()
    try:
        await_(lambda: server.output() == "no newline yet")
    finally:
        server.close()
