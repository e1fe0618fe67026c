"""Compile the catalogues of translations when a wheel is built, or the project is installed as editable."""

import os
from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def compile_catalogue(source: Path) -> None:
    """Write a .mo file beside a .po file."""
    with source.open("rb") as file:
        catalogue = read_po(file, locale=source.parts[-3])
    unfinished = source.with_suffix(f".{os.getpid()}")
    with unfinished.open("wb") as file:
        write_mo(file, catalogue)
    unfinished.replace(source.with_suffix(".mo"))


class CustomBuildHook(BuildHookInterface[Any]):
    """The hook that hatchling calls, by this name, before it collects files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  (as in hatchling)
        """Compile, and add the files, which git does not know, to the wheel."""
        if self.target_name == "wheel":
            for source in sorted(Path(self.root).glob("conformance/locale/*/LC_MESSAGES/*.po")):
                compile_catalogue(source)
