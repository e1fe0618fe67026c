"""Take the README's pictures: a run in a terminal, and its HTML report. `python -m tests.pictures` needs Chromium."""

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

ROOT: Final = Path(__file__).parents[1]
IMAGES: Final = ROOT / ".github" / "images"
BUG: Final = "number-by-base-0"
"""The planted bug that the documents show: one cause of two failures."""
FIVE_BUGS: Final = "student-five-bugs"
"""The server of the pictures, as a student hands it in."""
COMMAND: Final = "conformance run --serve 'python3 server.py -p {port} -d {dir}' --html report.html"
NAME: Final = "homework"
"""The folder of the server, which is its name in the reports."""
COLUMNS: Final = 80
WINDOW: Final = "1000,860"
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_FONTS: Final = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_COLOURS: Final = {
    "COLUMNS": str(COLUMNS),
    "FORCE_COLOR": "1",
    "TERM": "xterm-256color",
    "TTY_INTERACTIVE": "0",  # no progress bar
}

_SERVER: Final = """
import sys

from tests.broken_servers.__main__ import main

sys.exit(main(["{bug}", *sys.argv[1:]]))
"""
SERVER: Final = _SERVER.format(bug=BUG)


def run(command: str, directory: Path, bug: str = BUG, **environment: str) -> str:
    """Run `conformance` in a directory where server.py is a server with a planted bug; return its output."""
    (directory / "server.py").write_text(_SERVER.format(bug=bug), encoding="ascii")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    program, *words = shlex.split(command)
    done = subprocess.run(
        [sys.executable, "-m", program, *words],
        cwd=directory,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout + done.stderr


def draw_terminal(command: str, printed: str, path: Path) -> None:
    """Draw a command and its coloured output as an SVG of a terminal."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
    console.print(Text.from_ansi(printed.rstrip()))
    drawn = console.export_svg(title="")
    drawn = re.sub(r"@font-face\s*\{.*?\}\s*", "", drawn, flags=re.DOTALL)  # an image in a page cannot load fonts
    drawn = re.sub(r"Fira Code(, ?monospace)?", _FONTS, drawn)
    path.write_text(re.sub(r"[ \t]+$", "", drawn, flags=re.MULTILINE), encoding="utf-8")


def photograph(page: Path, path: Path) -> None:
    """Take a screenshot of the top of a page with a headless browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"no browser: install one of {', '.join(BROWSERS)}")
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", "--disable-lcd-text"),
                *(f"--user-data-dir={profile}", f"--window-size={WINDOW}", f"--screenshot={path}", page.as_uri()),
            ],
            stderr=subprocess.DEVNULL,
            timeout=120,
            check=True,
        )


def main() -> None:
    """Take both pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / NAME
        directory.mkdir()
        draw_terminal(COMMAND, run(COMMAND, directory, FIVE_BUGS, **_COLOURS), IMAGES / "terminal.svg")
        photograph(directory / "report.html", IMAGES / "report.png")


if __name__ == "__main__":
    main()
