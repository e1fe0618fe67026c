"""What the reports say, as whole sentences with placeholders; those that count have a form for one."""

from typing import Final

ONE_CAUSE: Final = "1 cause explains {explained} of {failures} failures and warnings"
CAUSES: Final = "{causes} causes explain {explained} of {failures} failures and warnings"
MET: Final = "requirements met: {must} of {musts} MUST, {should} of {shoulds} SHOULD"
MET_OF_LEVEL: Final = "requirements met: {met} of {judged} {level}"
RAN: Final = "{counts} ({seconds:.1f} s; seed {seed})"
NOTHING_RAN: Final = "no scenario ran"
NAMED: Final = "{name}: {outcome}"
JUDGED_AS: Final = "judged as {dialect}: {basis}"
JUDGED_AS_GIVEN: Final = "{outcome}, judged as {dialect} (--dialect)"
ONE_WOULD_FAIL: Final = "as {dialect} at least one more scenario would fail: --dialect {dialect}"
WOULD_FAIL: Final = "as {dialect} at least {number} more scenarios would fail: --dialect {dialect}"
GOT: Final = "{sent} got {got}"
GOT_INSTEAD: Final = "{sent} got {got}, expected {expected}"
GOT_PRINTED: Final = "{sent} got {got}, printed {printed}"
EXAMPLE: Final = "{severity}: {what} ({scenario})"
FAILURE: Final = "{what} ({scenario})"
MORE_CAUSES: Final = "and {number} more (-v)"
ONE_UNEXPLAINED: Final = "1 without a known cause"
UNEXPLAINED: Final = "{number} without a known cause"
FAILURES_AND_WARNINGS: Final = "failures and warnings: {number}"
MORE_FAILURES: Final = "and {number} more (-v)"
MORE_PROBLEMS: Final = "and {number} more (-v)"
NEXT: Final = "next: {command}"
ON_DEMAND: Final = "more: -v explains each failure, --all shows every scenario, -t ID runs one"
OUTPUT_ENDS: Final = "the server's output ends with:"
ONE_DID_NOT_RUN: Final = "{verdict} {scenario}: {reason}"
DID_NOT_RUN: Final = "{verdict} {number} scenarios, first {scenario}: {reason}"
OTHERS_DID_NOT_RUN: Final = "{verdict} {number} more, for other reasons (-v)"


def counted(number: int, one: str, many: str, **values: object) -> str:
    """Return the sentence for one, or the one for several, with its placeholders filled."""
    return (one if number == 1 else many).format(number=number, **values)
