"""Explain scenarios, requirements and causes of failures, without a server."""

from collections.abc import Sequence
from typing import Any

from conformance.diagnosis.root_causes import RootCause, root_causes
from conformance.model.scenario import Catalogue, Scenario
from conformance.runner.selection import SelectionError, like
from conformance.spec.reader import Requirement, specification


def explained(identifier: str, scenarios: Catalogue) -> str:
    """Explain a scenario, a cause, or a requirement and the scenarios that test it; raise SelectionError."""
    if identifier in scenarios:
        return _scenario(scenarios[identifier])
    if identifier in root_causes():
        return _cause(root_causes()[identifier])
    try:
        row = specification()[identifier]
    except KeyError:
        known = [*(scenario.id for scenario in scenarios), *(row.id for row in specification()), *root_causes()]
        message = (
            f"{identifier!r} is neither a scenario nor a requirement nor a cause{like(identifier, known)}"
            " (conformance list)"
        )
        raise SelectionError(message) from None
    return _requirement(row, [scenario for scenario in scenarios if scenario.requirement == row.id])


def _requirement(row: Requirement, tested: Sequence[Scenario]) -> str:
    lines = [f"{row.id} ({row.chapter}.{row.slug}), {_levels(row.level, row.level_in, row.dialects)}", row.text]
    lines += [f"  {scenario.id}: {scenario.title}" for scenario in tested]
    if not tested:
        lines.append(f"  not tested: {row.untestable or 'there is no scenario yet'}")
    return "\n".join(lines)


def _cause(cause: RootCause) -> str:
    lines = [f"{cause.id}, {cause.severity}: {cause.title}", f"  why   {cause.why}", f"  mend  {cause.fix}"]
    for language, code in cause.code.items():
        lines += ["", f"  {language}:", *(f"    {line}".rstrip() for line in code.splitlines())]
    return "\n".join(lines)


def _levels(level: str, level_in: Any, dialects: Sequence[str]) -> str:  # noqa: ANN401  (a mapping or None)
    others = "".join(f", {other} in {dialect}" for dialect, other in (level_in or {}).items())
    return f"{level}{others}; dialects {', '.join(dialects)}"


def _scenario(scenario: Scenario) -> str:
    row = scenario.row
    level_in = {**({} if scenario.level else row.level_in or {}), **scenario.level_in}
    lines = [
        f"{scenario.id}: {scenario.title}",
        f"tests {row.id}, {_levels(scenario.level or row.level, level_in, scenario.dialects or row.dialects)}",
        f"  {row.text}",
        f"isolation: {scenario.isolation}" + (f"; needs {', '.join(sorted(scenario.needs))}" if scenario.needs else ""),
    ]
    if scenario.depends:
        lines.append(f"depends on {', '.join(scenario.depends)}")
    if scenario.transcript is not None:
        lines += ["", *(f"  {line}".rstrip() for line in str(scenario.transcript).splitlines())]
    elif scenario.play.__doc__:
        lines += ["", *(f"  {line.strip()}".rstrip() for line in scenario.play.__doc__.strip().splitlines())]
    if causes := list(scenario.causes.rows()):
        lines += ["", "likely causes of a failure, of which the first that fits is reported:"]
        for kind, cause in causes:
            lines.append(f"  {kind.value}: {cause.text}")
            if cause.condition:
                lines.append(f"    only if {cause.condition}")
    return "\n".join(lines)
