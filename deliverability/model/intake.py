"""What an intake of reports did, for whoever started it."""

from __future__ import annotations

from collections import Counter, defaultdict

from msgspec import Struct, field

from deliverability.model.codes import Detail
from deliverability.model.deliveries import DeliveryResult
from deliverability.model.observed import FeedbackKind

_MOST_PROBLEMS = 1_000


class IntakeTally(Struct):
    """Reports, or results of mails, of one kind and reporter: new ones, ones that were known, messages of the new ones.

    `untrusted`: how many of the new ones are not known to come from who they say.
    """

    new: int = 0
    known: int = 0
    messages: int = 0
    untrusted: int = 0


class IntakeProblem(Struct, frozen=True):
    """What went wrong with something; `lost`: it could not be read or reached at all."""

    name: str
    detail: Detail
    lost: bool = False


class IntakeResult(Struct):
    """What an intake did.

    Attributes:
        items: files and mails looked at.
        seen: of these, read by an earlier intake.
        others: without any report.
        old: reports, results of mails and numbers older than what is kept.
        tallies: by kind and reporter: as it calls itself; of results, the id of the service or receiver, or empty.
        results: mails by what became of them, of the new ones.
        problems: the first thousand.
        more_problems: how many there were beyond.
        lost: something could not be read or reached.

    """

    items: int = 0
    seen: int = 0
    others: int = 0
    old: int = 0
    tallies: dict[tuple[FeedbackKind, str], IntakeTally] = field(default_factory=lambda: defaultdict(IntakeTally))
    results: Counter[DeliveryResult] = field(default_factory=Counter)
    problems: list[IntakeProblem] = field(default_factory=list)
    more_problems: int = 0
    lost: bool = False

    def problem(self, name: str, detail: Detail, *, lost: bool = False) -> None:
        """Something went wrong."""
        self.lost |= lost
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(IntakeProblem(name, detail, lost))
        else:
            self.more_problems += 1
