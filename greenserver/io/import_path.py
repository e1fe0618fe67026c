"""Keep modules that lie in the current directory, which may be the served one, from being imported."""

import os
import sys


def forget_current_directory() -> None:
    """Take the current directory off the path of imports, unless this package itself is imported from there.

    ``python -m`` puts it first, and an empty entry of PYTHONPATH names it
    (https://docs.python.org/3/library/sys_path_init.html).
    """
    home = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))  # noqa: PTH118, PTH120  (pathlib is not imported yet)
    try:
        current = os.getcwd()  # noqa: PTH109  (as above)
    except OSError:  # it was removed
        return
    if current != home:
        sys.path[:] = [each for each in sys.path if os.path.realpath(each) != current]


def isolated_command(module: str, *arguments: str) -> list[str]:
    """Return the command of a process that calls `main` of a module, and imports from where this process does.

    It ignores the current directory, PYTHONPATH and the user's site-packages (``python -I``), but for what
    of them is on the path of this process.
    """
    program = f"import sys; sys.path[:] = {sys.path!a}; from {module} import main; main()"
    return [sys.executable, "-I", "-c", program, *arguments]
