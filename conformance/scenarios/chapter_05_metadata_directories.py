"""get_metadata and get_slice of directories and FIFOs."""

from conformance.diagnosis import files as causes
from conformance.model.scenario import DESTRUCTIVE, Chapter, ScenarioContext
from conformance.scenarios.answering import COMMANDS, ask_directory, survive

chapter = Chapter()

for _slug, _line, _what in (
    ("directory", b"get_metadata %b", "get_metadata of a directory is answered with 202 or 201"),
    ("directory-slice", b"get_slice %b 0 1", "A slice of a directory is answered with 202, 201 or 199"),
    ("directory-empty-slice", b"get_slice %b 0 0", "An empty slice of a directory is answered with 202, 201 or 199"),
):

    @chapter.play(f"metadata.{_slug}", "HFTP-5.3", f"{_what}", needs=["subdirectory"], causes=causes.DIRECTORY)
    def directory(context: ScenarioContext, command: bytes = _line) -> None:
        """Send the command and one more; before 2026 any status passes."""
        ask_directory(context, command % context.fixture("subdirectory").name)


@chapter.play(
    "metadata.directory-survived",
    "HFTP-3.11",
    "Other clients are still served after a request for a directory as a file",
    needs=["subdirectory"],
    isolation=DESTRUCTIVE,
    causes=causes.DIRECTORY,
)
def directory_survived(context: ScenarioContext) -> None:
    """Request its size and slices of it, ignore the replies, and connect again."""
    survive(context, [command % context.fixture("subdirectory").name for command in COMMANDS])


@chapter.play(
    "metadata.fifo",
    "HFTP-5.3",
    "A FIFO in the directory does not block the server",
    needs=["local"],
    isolation=DESTRUCTIVE,
    causes=causes.FIFO,
)
def fifo(context: ScenarioContext) -> None:
    """Create a FIFO in the directory, and request its size and a byte of it; any reply without a byte passes."""
    served, name = context.fixtures.served, context.words.name("fifo", "")
    served.make_fifo(name)
    try:
        client = context.connect()
        client.send_line(b"get_metadata " + name)
        if client.status(0, 199, 201, 202).code == 0:
            client.size()
        client.in_step()
        client = context.connect()
        client.send_line(b"get_slice %b 0 1" % name)
        client.status(199, 201, 202, 203)
        client.in_step()
    finally:
        served.release_fifo(name)
        served.remove(name)
