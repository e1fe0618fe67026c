"""What a server has chosen so far where the specification leaves it open, so that a later choice can be compared."""

from dataclasses import dataclass, field
from typing import Final

_MOST_POINTS: Final = 1000


@dataclass
class Choices:
    """The status codes by point, as `Answers.point` names it: the first one, and others that came later."""

    first: dict[str, int] = field(default_factory=dict)
    others: dict[str, set[int]] = field(default_factory=dict)

    def observe(self, point: str, code: int) -> None:
        """Record a choice; some hundreds of points are kept."""
        if not point or (point not in self.first and len(self.first) >= _MOST_POINTS):
            return
        if self.first.setdefault(point, code) != code:
            self.others.setdefault(point, set()).add(code)
