"""Explain scenarios, requirements, causes of failures and words, without a server."""

from collections.abc import Sequence
from inspect import cleandoc
from typing import Any

from conformance.diagnosis.causes_reader import RootCause, root_causes, with_comments
from conformance.language import Message, gettext
from conformance.model.scenario import Catalogue, Scenario
from conformance.runner.selection import SelectionError, like
from conformance.spec.glossary import find_word, glossary
from conformance.spec.reader import Requirement, specification


def explained(identifier: str, scenarios: Catalogue) -> str:
    """Explain a scenario, a cause, a word, or a requirement and the scenarios that test it; raise SelectionError."""
    if identifier in scenarios:
        return _scenario(scenarios[identifier])
    if identifier in root_causes():
        return _cause(root_causes()[identifier])
    if word := find_word(identifier):
        return str(word)
    try:
        row = specification()[identifier]
    except KeyError:
        known = [*(scenario.id for scenario in scenarios), *(row.id for row in specification()), *root_causes()]
        known += [gettext(word.name) for word in glossary()]
        message = Message(
            "{identifier} is neither a scenario nor a requirement, a cause or a word{near} (conformance list)",
            identifier=repr(identifier),
            near=like(identifier, known),
        )
        raise SelectionError(message) from None
    return _requirement(row, [scenario for scenario in scenarios if scenario.requirement == row.id])


def _requirement(row: Requirement, tested: Sequence[Scenario]) -> str:
    lines = [
        f"{row.id} ({row.chapter}.{row.slug}), {_levels(row.level, row.level_in, row.dialects)}",
        gettext(row.text),
    ]
    lines += [f"  {scenario.id}: {gettext(scenario.title)}" for scenario in tested]
    if not tested:
        why = gettext(row.untestable) if row.untestable else gettext("there is no scenario yet")
        lines.append(gettext("  not tested: {why}", why=why))
    return "\n".join(lines)


def _cause(cause: RootCause) -> str:
    names = (gettext("why"), gettext("mend"))
    width = max(map(len, names))
    lines = [f"{cause.id}, {gettext(cause.severity)}: {gettext(cause.title)}"]
    lines += [f"  {name:<{width}}  {gettext(text)}" for name, text in zip(names, (cause.why, cause.fix), strict=True)]
    for language, code in cause.code.items():
        said = with_comments(code, gettext)
        lines += ["", f"  {language}:", *(f"    {line}".rstrip() for line in said.splitlines())]
    return "\n".join(lines)


def _levels(level: str, level_in: Any, dialects: Sequence[str]) -> str:  # noqa: ANN401  (a mapping or None)
    others = [
        gettext("{level} in {dialect}", level=other, dialect=dialect) for dialect, other in (level_in or {}).items()
    ]
    return gettext("{levels}; dialects {dialects}", levels=", ".join([level, *others]), dialects=", ".join(dialects))


def _scenario(scenario: Scenario) -> str:
    row = scenario.row
    level_in = {**({} if scenario.level else row.level_in or {}), **scenario.level_in}
    needs = gettext("needs {needs}", needs=", ".join(sorted(scenario.needs))) if scenario.needs else ""
    lines = [
        f"{scenario.id}: {gettext(scenario.title)}",
        gettext(
            "tests {requirement}, {levels}",
            requirement=row.id,
            levels=_levels(scenario.level or row.level, level_in, scenario.dialects or row.dialects),
        ),
        f"  {gettext(row.text)}",
        "; ".join(filter(None, [gettext("isolation: {isolation}", isolation=scenario.isolation), needs])),
    ]
    if scenario.depends:
        lines.append(gettext("depends on {scenarios}", scenarios=", ".join(scenario.depends)))
    if scenario.transcript is not None:
        lines += ["", *(f"  {line}".rstrip() for line in str(scenario.transcript).splitlines())]
    elif scenario.play.__doc__:
        lines += ["", *(f"  {line}".rstrip() for line in gettext(cleandoc(scenario.play.__doc__)).splitlines())]
    if causes := list(scenario.causes.rows()):
        lines += ["", gettext("likely causes of a failure, of which the first that fits is reported:")]
        for kind, cause in causes:
            lines.append(f"  {kind.value}: {gettext(cause.text)}")
            if cause.condition:
                lines.append(gettext("    only if {condition}", condition=cause.condition))
    return "\n".join(lines)
