"""get_metadata and get_slice of names that are no files: directories and FIFOs."""

import os

from conformance.diagnosis import files as causes
from conformance.model.scenario import DESTRUCTIVE, Chapter, ScenarioContext
from conformance.scenarios.answering import COMMANDS, ask_directory, survive

chapter = Chapter()

for _slug, _said, _what in (
    ("directory", b"get_metadata %b", "The size of a directory is asked for: 202 or 201"),
    ("directory-slice", b"get_slice %b 0 1", "A slice of a directory is asked for: 202, 201 or 199"),
    ("directory-empty-slice", b"get_slice %b 0 0", "An empty slice of a directory is asked for: 202, 201 or 199"),
):

    @chapter.play(f"metadata.{_slug}", "HFTP-5.3", f"{_what}", needs=["subdirectory"], causes=causes.DIRECTORY)
    def directory(context: ScenarioContext, said: bytes = _said) -> None:
        """Ask, and send one more command; before 2026 any answer will do."""
        ask_directory(context, said % context.fixture("subdirectory").name)


@chapter.play(
    "metadata.directory-survived",
    "HFTP-3.11",
    "Other clients are served after a directory was asked for as a file",
    needs=["subdirectory"],
    isolation=DESTRUCTIVE,
    causes=causes.DIRECTORY,
)
def directory_survived(context: ScenarioContext) -> None:
    """Ask for its size and for slices of it, whatever the answers, and connect again."""
    survive(context, [said % context.fixture("subdirectory").name for said in COMMANDS])


@chapter.play(
    "metadata.fifo",
    "HFTP-5.3",
    "A name in the directory that is neither a file nor a directory does not block the server",
    needs=["local"],
    isolation=DESTRUCTIVE,
    causes=causes.FIFO,
)
def fifo(context: ScenarioContext) -> None:
    """Put a FIFO into the directory, and ask for its size and for bytes of it; any answer but a byte will do."""
    path = context.fixtures.directory / "hftp-conformance-fifo"
    os.mkfifo(path, 0o644)
    try:
        client = context.connect()
        client.send_line(f"get_metadata {path.name}")
        if client.status(0, 199, 201, 202).code == 0:
            client.size()
        client.in_step()
        client = context.connect()
        client.send_line(f"get_slice {path.name} 0 1")
        client.status(199, 201, 202, 203)
        client.in_step()
    finally:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))  # whoever waits for it goes on
        path.unlink()
