"""Collects what two programs say, point by point."""

from __future__ import annotations

from deliverability.model.facts import Value
from deliverability.model.opinion import Difference, SecondOpinion, Unheard

UNSURE = "temperror"
"""What either says where a look-up failed."""


class Points:
    """The points that were compared so far, and where the two differ."""

    def __init__(self) -> None:
        self.compared = 0
        self.differences: list[Difference] = []
        self.unheard: list[Unheard] = []

    def compare(
        self, topic: str, subject: str, aspect: str, ours: Value, theirs: Value, reason: str | None, words: str = ""
    ) -> bool:
        """Note one point; `reason` is only kept where the two differ. True where they say the same."""
        self.compared += 1
        if ours == theirs:
            return True
        self.differences.append(Difference(topic, subject, aspect, ours, theirs, reason, words))
        return False

    def not_heard(self, topic: str, subject: str, why: str) -> None:
        """Note that the other program could not be asked about something."""
        self.unheard.append(Unheard(topic, subject, why))

    def opinion(self) -> SecondOpinion:
        """All of it as a value."""
        return SecondOpinion(self.compared, tuple(self.differences), tuple(self.unheard))
