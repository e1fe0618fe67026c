"""`conformance deploy`: print the files that run the suite in a continuous integration or an autograder."""

from pathlib import Path
from typing import Final

import click

from conformance.cli_language import Command
from conformance.deployment import DISTRIBUTION, SCRIPTS, TEMPLATES, Deployment, DeploymentError
from conformance.language import Message
from conformance.model.verdicts import Exit
from conformance.spec.dialects import DIALECTS

SERVE: Final = "python3 server.py -p {port} -d {dir}"
_EXECUTABLE: Final = 0o755


@click.command(cls=Command)
@click.argument("what", type=click.Choice(tuple(TEMPLATES)))
@click.option(
    "--serve", metavar="CMD", help=f"How the server is started; by default {SERVE}, or by rule in Gradescope."
)
@click.option("--build", default="", metavar="CMD", show_default=False, help="How it is built; nothing by default.")
@click.option("--dialect", default=DIALECTS[0], type=click.Choice(DIALECTS), help="The dialect to judge by.")
@click.option("--install", default=DISTRIBUTION, metavar="REQUIREMENT", help="What pip installs the suite from.")
@click.option("-o", "--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Write into DIR.")
def deploy(  # noqa: PLR0913  (the options of a command)
    *, what: str, serve: str | None, build: str, dialect: str, install: str, out: Path | None
) -> int:
    """Print what runs the suite elsewhere: a workflow for GitHub, a job for GitLab, a hook for pre-commit, or the
    scripts of a Gradescope autograder. With --out, write the files.
    """  # noqa: D205  (click joins the lines)
    names = TEMPLATES[what]
    if what == "gradescope" and out is None:
        message = Message("the autograder has several files: pass --out DIR")
        raise click.UsageError(message)
    command = serve if serve is not None else "" if what == "gradescope" else SERVE
    deployment = Deployment(command, build, dialect, install)
    try:
        files = {name: deployment.render(name) for name in names}
    except DeploymentError as error:
        raise click.UsageError(str(error)) from error
    for name, text in files.items():
        if out is None:
            click.echo(text, nl=False)
            continue
        try:
            out.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text, encoding="utf-8")
            if name in SCRIPTS:
                (out / name).chmod(_EXECUTABLE)
        except OSError as error:
            message = Message("cannot write {path}: {error}", path=out / name, error=error.strerror)
            raise click.ClickException(message) from error
        click.echo(str(out / name))
    return Exit.CONFORMANT
