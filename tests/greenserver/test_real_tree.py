"""All files of a real tree, the interpreter's own library, arrive whole and in slices, on each engine."""

import hashlib
import os
import random
import re
import shutil
import sysconfig
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from tests.greenserver.conftest import Start
from tests.greenserver.oracle import OK
from tests.greenserver.serving import ENGINES, Client
from tests.greenserver.test_protocol import unframed

pytestmark = pytest.mark.once

DIALECT_OF = dict(zip(ENGINES, ("2026", "2019", "2018", "2016"), strict=True))
SKIPPED = {"__pycache__", "site-packages", "dist-packages"}
"""What others have put into the tree."""


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the files of the standard library in one directory, by names that tell where they were."""
    source = Path(sysconfig.get_path("stdlib"))
    flat = tmp_path_factory.mktemp("library")
    files = {}
    for parent, directories, names in os.walk(source):
        directories[:] = sorted(set(directories) - SKIPPED)
        for file in (Path(parent, name) for name in names):
            name = "-".join(file.relative_to(source).parts)
            if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}", name) and file.is_file() and name not in files:
                files[name] = flat / name
                copy(file, flat / name)
    assert len(files) > 300
    return files


def copy(file: Path, target: Path) -> None:
    """Put a file elsewhere; without a second copy of its bytes where that is possible."""
    try:
        os.link(file.resolve(), target)
    except OSError:
        shutil.copyfile(file, target)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_standard_library_arrives_whole_and_in_slices(start: Start, tree: dict[str, Path], engine: str) -> None:
    dialect = DIALECT_OF[engine]
    directory = next(iter(tree.values())).parent
    server = start(directory, "--engine", engine, "--dialect", dialect, "--quiet")
    listing = server.ask(b"get_file_listing\r\n").removeprefix(OK).decode().split("\r\n")
    assert sorted(listing) == sorted([*tree, "", ""])
    chance = random.Random(engine)
    requests = []
    for name, file in tree.items():
        size = file.stat().st_size
        cuts = sorted({0, size, *chance.choices(range(size + 1), k=2)})
        requests.append((name, [(0, size)]))
        requests.append((name, list(zip(cuts, [end - start for start, end in pairwise(cuts)], strict=False))))
    sent = b"".join(
        f"get_slice {name} {offset} {size}\r\n".encode() for name, parts in requests for offset, size in parts
    )
    with server.connect() as client:
        sending = threading.Thread(target=client.send, args=(sent,))
        sending.start()
        for name, parts in requests:
            got = hashlib.sha256()
            for _, size in parts:
                assert client.line() == OK, name
                got.update(unframed(dialect, client.exactly(framed_length(dialect, size))))
            assert got.digest() == hashlib.sha256(tree[name].read_bytes()).digest(), name
        sending.join()
        check_that_all_was_read(client)


def framed_length(dialect: str, size: int) -> int:
    """Return how many bytes a slice takes in a dialect, its status line aside."""
    if dialect == "2018":
        return size
    if dialect != "2016":
        return (size + 2) // 3 * 4 + 2
    whole, rest = divmod(size, 48 * 1024)
    return whole * (48 * 1024 + 8) + (len(f"{rest} ") + rest + 2 if rest else 0) + len(b"0 \r\n")


def check_that_all_was_read(client: Client) -> None:
    """Check that nothing follows but the reply to a goodbye."""
    client.send(b"quit\r\n")
    assert client.rest() == OK
