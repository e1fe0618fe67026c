"""Files that run the suite in a continuous integration or an autograder: render their templates."""

import json
import shlex
from dataclasses import dataclass
from importlib import resources
from typing import Final

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
            message = "the commands are one line each, without ${{"
            raise DeploymentError(message)
        text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
        quote = shlex.quote if name in SCRIPTS else json.dumps  # a string in JSON is one in YAML
        given = {"--serve": self.serve, "--build": self.build}
        start = "".join(f" {name} {shlex.quote(value)}" for name, value in given.items() if value)
        for token, value in (
            ("@DIALECT@", self.dialect),
            ("@INSTALL@", quote(self.install)),
            (" @START@", start),
            ("@BUILD@", quote(self.build or "true  # nothing to build")),
            ("@SERVE@", quote(self.serve)),
        ):
            text = text.replace(token, value)
        return text
