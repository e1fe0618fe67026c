"""Inspect the files of a server that does not start: its build system, interpreter and dependencies."""

import re
import shlex
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from conformance.language import Message

_BUILDS: Final = {
    "Makefile": "make",
    "makefile": "make",
    "GNUmakefile": "make",
    "CMakeLists.txt": "cmake -B build && cmake --build build",
    "meson.build": "meson setup build && meson compile -C build",
    "Cargo.toml": "cargo build --release",
    "pom.xml": "mvn package",
    "gradlew": "./gradlew build",
    "build.gradle": "gradle build",
    "build.gradle.kts": "gradle build",
    "go.mod": "go build",
    "package.json": "npm install && npm run build",
    "*.csproj": "dotnet build",
    "*.java": "javac *.java",
    "*.c": "gcc -o {name} *.c",
    "*.cpp": "g++ -o {name} *.cpp",
    "*.cc": "g++ -o {name} *.cc",
    "*.rs": "rustc -o {name} {file}",
    "*.go": "go build -o {name}",
}
"""Build files and sources, and the command that builds the server; the first one that exists decides."""
_QUIET: Final = {
    "make": "make -s",
    "cargo build --release": "cargo build -q --release",
    "mvn package": "mvn -q package",
}
_WRITTEN: Final = frozenset({".py", ".pl", ".rb", ".php", ".sh"})
"""Suffixes of scripts that need no build."""
_COMPILED_SCRIPTS: Final = frozenset({".js", ".mjs", ".cjs"})
"""Suffixes of scripts that may be build products if they are in a subdirectory (build, dist)."""
_MANIFESTS: Final = {
    "python": ("requirements.txt", "pyproject.toml", "Pipfile", "environment.yml", "setup.py"),
    "node": ("package.json",),
    "java": ("pom.xml", "build.gradle", "build.gradle.kts"),
    "perl": ("cpanfile",),
    "ruby": ("Gemfile",),
}
"""Files that list the dependencies of a program, by language."""
_INTERPRETERS: Final = re.compile(r"(?:(python|pypy)[\d.]*|(node|java|perl|ruby))$")
_SHELL: Final = re.compile(r"(ba|da|z|k)?sh$")
_SHEBANG_BYTES: Final = 256


def flatten(words: list[str]) -> list[str]:
    """Return the words of a command; `sh -c SCRIPT` gives the words of the script."""
    if len(words) > 2 and _SHELL.match(Path(words[0]).name) and re.fullmatch(r"-\w*c", words[1]):  # noqa: PLR2004
        try:
            return [word.strip(";") for word in shlex.split(words[2])]
        except ValueError:
            return words
    return words


def interpreter_of(words: list[str], directory: Path) -> tuple[str, str]:
    """Return the language and the path of a command's interpreter, named in the command or in a script's #! line.

    Both are empty if there is none.
    """
    for word in flatten(words):
        if found := _INTERPRETERS.match(Path(word).name):
            return _language(found), _which(word, directory)
        path = directory / word
        if path.is_file() and (shebang := shebang_of(path)):
            for name in reversed(shebang.split()):
                if found := _INTERPRETERS.match(Path(name).name):
                    return _language(found), _which(name, directory)
    return "", ""


def shebang_of(path: Path) -> str:
    """Return the #! line of a script, without the `#!`; empty if there is none."""
    try:
        with path.open("rb") as file:
            first = file.readline(_SHEBANG_BYTES)
    except OSError:
        return ""
    return first[2:].decode("utf-8", "replace").strip() if first.startswith(b"#!") else ""


def manifest_of(language: str, words: list[str], directory: Path) -> Path | None:
    """Return the file that lists a program's dependencies, in the script's directory or where it is started."""
    scripts = [directory / word for word in flatten(words)]
    folders = [*(script.parent for script in scripts if script.is_file()), directory]
    names = _MANIFESTS.get(language, ())
    return next(((folder / name).resolve() for folder in folders for name in names if (folder / name).exists()), None)


def build_hint(file: str, words: list[str], command: str, directory: Path) -> str:
    """Return a hint how to build a missing file; empty if there are no build files or sources."""
    suffix = Path(file).suffix
    if suffix in _WRITTEN or (
        suffix in _COMPILED_SCRIPTS and (directory / file).parent.resolve() == directory.resolve()
    ):
        return ""
    for folder in _above(file, directory):
        for pattern, tool in _BUILDS.items():
            source = next(iter(sorted(_glob(folder, pattern))), None)
            if source is None or (pattern == "*.java" and suffix not in {".class", ".jar"}):
                continue
            build = tool.format(name=Path(file).name, file=source.name)
            if suffix == ".jar" and pattern == "*.java":
                build += f" && jar cfe {Path(file).name} {source.stem} *.class"
            is_here = folder.resolve() == directory.resolve()
            escape = source.name if is_here else str(source)
            command_line = build if is_here else Message("{build}, in {folder}", build=build, folder=folder)
            hint = Message("there is a {source}: build it first ({build})", source=escape, build=command_line)
            if flatten(words) is words:
                quiet = _QUIET.get(build, build)
                script = quiet if is_here else f"(cd {shlex.quote(str(folder))} && {quiet})"
                hint = Message(
                    "{hint}, or put that into the command: --serve {command}",
                    hint=hint,
                    command=_shell_word(f"{script} && exec {command}"),
                )
            return hint
    return ""


def _shell_word(script: str) -> str:
    """Return `sh -c SCRIPT`, quoted as one shell word."""
    if not re.search(r"""["'$`\\]""", script):
        return f"'sh -c \"{script}\"'"
    return shlex.quote(shlex.join(["sh", "-c", script]))


def _above(file: str, top: Path) -> Iterator[Path]:
    """Yield the directories from a file's own up to `top`, and `top` also for a relative path that leads outside."""
    top = top.resolve()
    path = (top / file).resolve()
    if top in path.parents:
        yield from (folder for folder in path.parents if folder == top or top in folder.parents)
    else:
        yield path.parent
        if not Path(file).is_absolute():
            yield top


def _glob(folder: Path, pattern: str) -> Iterable[Path]:
    try:
        return list(folder.glob(pattern))
    except OSError:
        return []


def _language(found: "re.Match[str]") -> str:
    return "python" if found[1] else str(found[2])


def _which(name: str, directory: Path) -> str:
    return str((directory / name).absolute()) if "/" in name else shutil.which(name) or name
