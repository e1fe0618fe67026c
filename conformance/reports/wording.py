"""What the reports say, as whole sentences with placeholders; those that count have a form for one.

Whoever fills the placeholders does so with `gettext`, in the reader's language.
"""

from typing import Final

from conformance.language import Message, gettext

ONE_CAUSE: Final = Message("1 cause explains {explained} of {failures} failures and warnings")
CAUSES: Final = Message("{causes} causes explain {explained} of {failures} failures and warnings")
MET: Final = Message("requirements met: {must} of {musts} MUST, {should} of {shoulds} SHOULD")
MET_OF_LEVEL: Final = Message("requirements met: {met} of {judged} {level}")
RAN: Final = Message("{counts} ({seconds} s; seed {seed})")
NOTHING_RAN: Final = Message("no scenario ran")
NAMED: Final = Message("{name}: {outcome}")
JUDGED_AS: Final = Message("judged as {dialect}: {basis}")
JUDGED_AS_GIVEN: Final = Message("{outcome}, judged as {dialect} (--dialect)")
ONE_WOULD_FAIL: Final = Message("as {dialect} at least one more scenario would fail: --dialect {dialect}")
WOULD_FAIL: Final = Message("as {dialect} at least {number} more scenarios would fail: --dialect {dialect}")
GOT: Final = Message("{sent} got {got}")
GOT_INSTEAD: Final = Message("{sent} got {got}, expected {expected}")
GOT_PRINTED: Final = Message("{sent} got {got}, printed {printed}")
EXAMPLE: Final = Message("{severity}: {what} ({scenario})")
FAILURE: Final = Message("{what} ({scenario})")
MORE_CAUSES: Final = Message("and {number} more (-v)")
ONE_UNEXPLAINED: Final = Message("1 without a known cause")
UNEXPLAINED: Final = Message("{number} without a known cause")
FAILURES_AND_WARNINGS: Final = Message("failures and warnings: {number}")
MORE_FAILURES: Final = Message("and {number} more (-v)")
MORE_PROBLEMS: Final = Message("and {number} more (-v)")
NEXT: Final = Message("next: {command}")
ON_DEMAND: Final = Message("more: -v explains each failure, --all shows every scenario, -t ID runs one")
OUTPUT_ENDS: Final = Message("the server's output ends with:")
ONE_DID_NOT_RUN: Final = Message("{verdict} {scenario}: {reason}")
DID_NOT_RUN: Final = Message("{verdict} {number} scenarios, first {scenario}: {reason}")
OTHERS_DID_NOT_RUN: Final = Message("{verdict} {number} more, for other reasons (-v)")


def counted(number: int, one: str, many: str, **values: object) -> str:
    """Return the sentence for one, or the one for several, with its placeholders filled."""
    return gettext(one if number == 1 else many, number=number, **values)


# --- Words -------------------------------------------------------------------------------------------

WORDS: Final = (
    Message("sent"),
    Message("expected"),
    Message("got"),
    Message("likely"),
    Message("known"),
    Message("again"),
    Message("printed"),
    Message("why"),
    Message("mend"),
    Message("shown by"),
    Message("chapter"),
    Message("client"),
    Message("server"),
    Message("met"),
    Message("not met"),
    Message("not judged"),
    Message("observed"),
    Message("suite"),
    Message("catalogue"),
    Message("seed"),
    Message("dialect"),
    Message("dialect basis"),
    Message("other dialects"),
    Message("target"),
    Message("fixtures"),
    Message("concurrent"),
    Message("selected"),
    Message("command"),
    Message("schema"),
    Message("started"),
    Message("duration"),
    Message("timeout"),
    Message("connected"),
    Message("refused"),
    Message("half-closed"),
    Message("closed"),
    Message("reset"),
    Message("end"),
    Message("reset by server"),
    Message("silence"),
)
"""Names of what is shown, which the reports look up with `gettext`."""
