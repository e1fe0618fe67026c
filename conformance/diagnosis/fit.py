"""How well one signature fits what a run has shown: what it gains, and what speaks against it.

What a cause predicts has to fail, and at least one failure has to be as predicted: that a scenario fails otherwise may
have any cause. How a connection ends says little, since the same mistake ends it otherwise in a server of another
style; the kernel resets a connection where input was unread.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from conformance.diagnosis.signatures import Signature

# --- Weights, chosen by `python -m tests.conformance.evaluate_diagnosis` ------------------------------

SAME_KIND: Final = 6.5
OTHER_ENDING: Final = 6.0
"""Of a connection that closes, or stays open, in another way than predicted."""
OTHER_REPLY: Final = 4.5
"""Of a reply that is wrong in another way than predicted, or has another status code."""
OTHER_KIND: Final = 3.0
SAME_REQUIREMENT: Final = 1.0
"""Of a failure that the signature says nothing about, if it predicts failures of the same requirement."""
SAME_DEVIATION: Final = 4.0
"""Of a constant deviation in the same words; in similar words, times the square of the share of words in common."""
OTHER_DEVIATION: Final = 4.0
"""Of a signature with a constant deviation where none like it was found."""
SIMILAR_WORDS: Final = 0.5
"""The least share of words that similar texts have in common."""
NOTICED: Final = 1.5
"""Of a prediction about a choice, right or wrong."""
MISSED: Final = 4.0
"""Of a predicted failure that did not occur."""
COST: Final = 4.5
"""Of a cause."""
SHARE: Final = 0.55
"""The least part of what a signature predicts that has to have failed."""

_ENDINGS: Final = (frozenset({"closed", "reset", "gone", "refused"}), frozenset({"timeout", "open"}))
_REPLIES: Final = frozenset({"status", "malformed", "body", "extra", "too-much"})


@dataclass(frozen=True)
class Observations:
    """What a run has shown."""

    failed: Mapping[str, str]
    """The failures to explain, by scenario, and their symptoms."""
    noticed: Mapping[str, str]
    """Failures of scenarios about a choice, which need no explanation."""
    passed: frozenset[str]
    requirements: Mapping[str, str]
    """The requirement of each scenario that failed."""
    deviations: frozenset[str]


@dataclass(frozen=True)
class Fit:
    """How a signature fits the observations."""

    signature: Signature
    gains: Mapping[str, float]
    """By failure, and by whatever else speaks for it."""
    missed: float
    """What speaks against it."""
    certain: frozenset[str]
    """The failures that it predicted."""
    cost: float = COST

    @property
    def score(self) -> float:
        """Return its score as the only cause."""
        return sum(self.gains.values()) - self.missed - self.cost


def fit_of(signature: Signature, seen: Observations) -> Fit | None:
    """Return how a signature fits; None if it explains too little of what it predicts."""
    gains = {name: _gain(how, seen.failed[name]) for name, how in signature.failed.items() if name in seen.failed}
    if not gains:
        return None
    certain = frozenset(gains)
    missed = sum(name in seen.passed for name in signature.failed)
    predicted = len(gains) + missed + _unseen_choices(signature, seen)
    if max(gains.values()) <= OTHER_REPLY or sum(gains.values()) < SHARE * SAME_KIND * predicted:
        return None
    against = MISSED * missed
    for name in signature.failed.keys() & seen.noticed.keys():
        gains[name] = NOTICED
    for name in signature.noticed:
        if name in seen.noticed or name in seen.failed:
            gains[name] = NOTICED
        elif name in seen.passed:
            against += NOTICED
    words = {text: max((_alike(text, own) for own in signature.deviations), default=0.0) for text in seen.deviations}
    alike = {f"deviation: {text}": SAME_DEVIATION * share**2 for text, share in words.items() if share >= SIMILAR_WORDS}
    if signature.deviations and not alike:
        against += OTHER_DEVIATION
    ours = {seen.requirements[name] for name in certain}
    guessed = {name for name in seen.failed if name not in gains and seen.requirements[name] in ours}
    silent = signature.unknown | signature.inapplicable
    return Fit(signature, gains | alike | dict.fromkeys(guessed & silent, SAME_REQUIREMENT), against, certain)


def _unseen_choices(signature: Signature, seen: Observations) -> int:
    """Return how many scenarios about a choice passed that the same kind of failure was predicted for as for others."""
    kinds = {_kind(how) for how in signature.failed.values()}
    return sum(name in seen.passed and _kind(how) in kinds for name, how in signature.noticed.items())


def _kind(found: str) -> str:
    """Return the kind of failure of a symptom."""
    return found.partition(" ")[0]


def _alike(text: str, other: str) -> float:
    """Return the share of words that two texts have in common."""
    words, others = set(text.split()), set(other.split())
    return len(words & others) / len(words | others)


def _gain(predicted: str, found: str) -> float:
    """Return how much a failure counts that was predicted, by how alike predicted and found symptoms are."""
    kind, _, code = predicted.partition(" ")
    found_kind, _, found_code = found.partition(" ")
    if kind == found_kind:
        return OTHER_REPLY if code and found_code and code != found_code else SAME_KIND
    if any({kind, found_kind} <= group for group in _ENDINGS):
        return OTHER_ENDING
    return OTHER_REPLY if {kind, found_kind} <= _REPLIES else OTHER_KIND
