"""Write the golden files."""

from tests.conformance.golden import DIRECTORY, REPORTS, rendered

for name in REPORTS:
    with (DIRECTORY / name).open("w", encoding="utf-8", newline="") as file:
        file.write(rendered(name))
