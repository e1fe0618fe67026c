"""What matters in a server's output is found: the error, the lines around it, and whose doing it is."""

import pytest

from conformance.model.tracebacks import error_line, excerpt, is_disconnect

PYTHON = """listening
Exception in thread Thread-1:
Traceback (most recent call last):
  File "server.py", line 9, in serve
    answer(line)
  File "server.py", line 5, in answer
    line.decode()
UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff
127.0.0.1 left
"""
JAVA = """listening
Exception in thread "main" java.lang.NullPointerException: no name
\tat Server.answer(Server.java:12)
\tat Server.main(Server.java:5)
"""
SYNTAX = 'starting\n  File "server.py", line 1\n    def f(:\n          ^\nSyntaxError: invalid syntax\n'


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("", ""),
        ("127.0.0.1 connected\n127.0.0.1 left\n", ""),
        (PYTHON, "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff"),
        (JAVA, 'Exception in thread "main" java.lang.NullPointerException: no name'),
        ("java.net.SocketException: Broken pipe\n\tat a.b(C.java:1)\n", "java.net.SocketException: Broken pipe"),
        ("x\npanic: runtime error: index out of range\n\ngoroutine 1", "panic: runtime error: index out of range"),
        ("thread 'main' panicked at src/main.rs:2:5:\nno\n", "thread 'main' panicked at src/main.rs:2:5:"),
        ("a \x1c b\nValueError: \x1c: no\n", "ValueError: \x1c: no"),
    ],
)
def test_the_error_in_an_output_is_found(output: str, line: str) -> None:
    assert error_line(output) == line


@pytest.mark.parametrize(
    ("output", "most", "lines"),
    [
        ("one\n\ntwo\nthree\n", 2, ["two", "three"]),
        (PYTHON, 99, PYTHON.splitlines()[2:-1]),
        (PYTHON, 2, PYTHON.splitlines()[-3:-1]),
        (JAVA, 2, JAVA.splitlines()[1:3]),
        (SYNTAX, 99, SYNTAX.splitlines()),
        (SYNTAX * 9, 5, SYNTAX.splitlines()),
    ],
)
def test_a_python_traceback_is_read_to_its_last_line_and_a_java_stack_trace_from_its_first(
    output: str, most: int, lines: list[str]
) -> None:
    assert excerpt(output, most) == lines


@pytest.mark.parametrize(
    ("line", "is_one"),
    [
        ("ConnectionResetError: [Errno 104] Connection reset by peer", True),
        ("java.net.SocketException: Broken pipe", True),
        ("write: Broken pipe", True),
        ("KeyError: 'reset'", False),
        ("", False),
    ],
)
def test_the_error_of_a_client_that_has_left_is_known(line: str, is_one: bool) -> None:
    assert is_disconnect(line) == is_one
