"""Files that run the suite in a continuous integration or an autograder: render their templates."""

import json
import shlex
from dataclasses import dataclass
from importlib import resources
from typing import Final

from conformance.language import ENGLISH, OPTION, Message, language, translated

TEMPLATES: Final = {
    "github-action": ("github-action.yml",),
    "gitlab-ci": ("gitlab-ci.yml",),
    "pre-commit": ("pre-commit.yml",),
    "gradescope": ("setup.sh", "run_autograder"),
}
"""The files of each kind; those of Gradescope go into one archive."""
SCRIPTS: Final = ("setup.sh", "run_autograder")
"""Files that are executed."""
DISTRIBUTION: Final = "greenserver"


_COMMENTS: Final = {
    "github-action.yml": (
        Message(
            "Judges the server on each push: a job summary, annotations, and the report as an artifact. "
            "Put it into .github/workflows/."
        ),
        Message("It is written for a repository of GitHub Classroom, too: add it to the template of the assignment."),
    ),
    "gitlab-ci.yml": (
        Message(
            "Judges the server in each pipeline: test results in the merge request, and the report as an artifact. "
            "Include it in .gitlab-ci.yml."
        ),
    ),
    "pre-commit.yml": (
        Message(
            "Judges the server before each commit. Put it into .pre-commit-config.yaml, and run: pre-commit install"
        ),
    ),
    "setup.sh": (Message("Gradescope runs this once, when the image of the autograder is built."),),
    "run_autograder": (
        Message(
            "Gradescope runs this for each submission: https://gradescope-autograders.readthedocs.io/en/latest/specs/"
        ),
        Message(
            "A submission that does not say how it is built and started (conformance.toml, a Makefile, server.py) is "
            "started with SERVE."
        ),
        Message("If the suite itself fails there are no results, and Gradescope says so."),
    ),
}
"""What each file says of itself."""


class DeploymentError(ValueError):
    """A file cannot be made; the message is one line."""


@dataclass(frozen=True)
class Deployment:
    """What the files have to run."""

    serve: str
    """The command that starts the server; empty in an autograder that finds it by rule."""
    build: str
    dialect: str
    install: str
    """What pip installs the suite from: a requirement, or an address."""

    def render(self, name: str) -> str:
        """Return a file; raise DeploymentError."""
        if "${{" in self.serve + self.build + self.install or "\n" in self.serve + self.build:
            message = Message("the commands are one line each, without ${{")
            raise DeploymentError(message)
        text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
        quote = shlex.quote if name in SCRIPTS else json.dumps  # a string in JSON is one in YAML
        given = {"--serve": self.serve, "--build": self.build}
        start = "".join(f" {name} {shlex.quote(value)}" for name, value in given.items() if value)
        for token, value in (
            ("@ABOUT@", "\n# ".join(map(translated, _COMMENTS[name]))),
            ("@LANG@", "" if language() == ENGLISH else f" {OPTION} {language()}"),
            ("@DIALECT@", self.dialect),
            ("@INSTALL@", quote(self.install)),
            (" @START@", start),
            ("@BUILD@", quote(self.build or "true  # nothing to build")),
            ("@SERVE@", quote(self.serve)),
        ):
            text = text.replace(token, value)
        return text
