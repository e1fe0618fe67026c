"""Tries settings out in a process of its own, where what a worker must find unpatched may be imported."""

import os
from typing import TYPE_CHECKING, NoReturn

from greenserver.service.lifecycle import fork

if TYPE_CHECKING:
    from greenserver.config.settings import Settings


def find_problem(settings: "Settings") -> str:
    """Return what is wrong with settings, for people; nothing if all is well.

    Raises OSError if the system has no room for another process.
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
        from greenserver.service import process  # noqa: PLC0415  (only here)

        process.check(settings)
    except Exception as error:  # noqa: BLE001  (whatever it is, the parent must hear of it)
        os.write(pipe, (str(error) or repr(error)).encode())
    finally:
        os._exit(0)
