"""Check settings in a child process: the check imports modules that workers may import only after patching."""

import os
from typing import TYPE_CHECKING, NoReturn

from greenserver.service.lifecycle import fork

if TYPE_CHECKING:
    from greenserver.config.settings import Settings


def find_problem(settings: "Settings") -> str:
    """Return a readable description of what is wrong with settings, or "" if nothing is.

    Raise OSError if the system cannot start another process.
    """
    child, pipe = fork()
    if not child:
        _answer(settings, pipe)
    with os.fdopen(pipe, "rb") as answer:
        problem = answer.read().decode()
    os.waitpid(child, 0)
    return problem


def _answer(settings: "Settings", pipe: int) -> NoReturn:
    try:
        from greenserver.service import process  # noqa: PLC0415  (only in the child)

        process.check(settings)
    except Exception as error:  # noqa: BLE001  (the parent must learn of any error)
        os.write(pipe, (str(error) or repr(error)).encode())
    finally:
        os._exit(0)
