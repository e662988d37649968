"""Positive statements: what each rests on (rules/claims.yaml), and which of these it lacks.

A good word is a claim like any other. It is made only where everything that it requires was established and holds;
what is unknown, left out, not applicable or not asked for never adds up to one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated

from msgspec import Struct, field

from deliverability.core.codes import Code
from deliverability.core.errors import InputError
from deliverability.core.facts.base import FactSpec, FactType, Unknown
from deliverability.core.model.rules import Perhaps
from deliverability.core.model.schema import OUTSIDE, Field, Words

HOLDS_OR_MET = Code("claim-holds-or-met")


class About(StrEnum):
    """What a claim is made about, and so what its `judged.*` values are counted over.

    RECEIVER: what one receiver does; the rules it names. TILE: one kind of record; the rules about it. STEP: a step of
    the guide; its rules. REPORT: the subject; all rules. FINDING: one check. GATE: the next DMARC policy; the rules of
    the gate. TRAFFIC: reported mail. RUN: a weekly run; its subjects. FLEET: many domains; all of them.
    """

    RECEIVER = "receiver"
    TILE = "tile"
    STEP = "step"
    REPORT = "report"
    FINDING = "finding"
    GATE = "gate"
    TRAFFIC = "traffic"
    RUN = "run"
    FLEET = "fleet"


class Requirement(Struct, frozen=True):
    """One thing that a claim rests on: a condition, or rules of which one has to be met.

    Attributes:
        key: its name within the claim.
        holds: a condition over facts and `judged.*` values; None: `met` says it.
        each: the list of which every item has to fulfil the condition, and of which there has to be one; empty: none.
        met: rules of which one must be met and none unmet.
        text: language -> what is required, for the documentation.
        instead: language -> what is said where it does not hold; empty: the claim is just not made.
        instead_known: language -> the same where it is known not to hold, as a rule of `met` is unmet; empty: no
            difference.

    """

    text: Words
    holds: Perhaps = None
    each: str = ""
    met: tuple[str, ...] = ()
    instead: Words = field(default_factory=dict)
    instead_known: Words = field(default_factory=dict)
    key: Annotated[str, OUTSIDE] = ""

    def __post_init__(self) -> None:
        """It rests on a condition or on rules; one that only names another has neither yet."""
        if self.text and (self.holds is None) is not bool(self.met):
            raise InputError(HOLDS_OR_MET())


def _named(names: Iterable[str]) -> tuple[Requirement, ...]:
    """Requirements by name; the reader of the file puts those in their places that it knows."""
    return tuple(Requirement({}, key=name) for name in names)


class Claim(Struct, frozen=True, rename={"key": "claim"}):
    """One positive statement.

    Attributes:
        key: its name.
        about: see About.
        requires: all that has to hold.
        words: keys of the strings that make it; a key that ends in ``.*`` stands for all below it.
        text: language -> what is claimed, for the documentation.

    """

    key: Annotated[str, Field(pattern="[a-z0-9]+(-[a-z0-9]+)*")]
    about: About
    requires: Annotated[tuple[Requirement, ...], Field(written=tuple[str, ...], filled=True, after=_named)]
    words: tuple[str, ...]
    text: Words


class Claims(Struct, frozen=True):
    """The file: what claims rest on, by name, and the claims."""

    requirements: Mapping[str, Requirement]
    claims: tuple[Claim, ...]


class Lack(Struct, frozen=True):
    """What keeps a claim from being made.

    `unknown`: why it could not be told; None: it is known not to hold. `rules`: those that are unmet, where it asks for
    rules.
    """

    claim: str
    requirement: str
    unknown: Unknown | None = None
    rules: tuple[str, ...] = ()


JUDGED = "judged."

_OUTCOMES = ("met", "unmet", "unknown", "not-applicable")
_VERDICTS = (
    *("rejected", "at-risk", "depends", "cannot-tell", "accepted"),
    *("dns-not-ready", "dns-partly", "dns-ready"),
)

GROUNDS: Mapping[str, FactSpec] = {
    spec.path: spec
    for spec in (
        FactSpec("judged.left_out", FactType.LIST_STR, "Rules that it rests on and that were not judged."),
        FactSpec("judged.receivers_left_out", FactType.LIST_STR, "Receivers that are judged by default and were not."),
        FactSpec("judged.hindering", FactType.INT, "Unmet checks that stop, delay or mark the mail, or let others in."),
        FactSpec("judged.waived", FactType.INT, "Unmet checks that the user set aside."),
        FactSpec("judged.open", FactType.INT, "Checks that could not be made and might decide."),
        FactSpec("judged.missing", FactType.INT, "Rules for which no record was found under the names tried."),
        FactSpec("judged.published", FactType.BOOL, "The record is published."),
        FactSpec(
            "judged.worst",
            FactType.STR,
            "The worst severity of what is unmet, waived or not.",
            values=("none", "info", "warning", "error"),
        ),
        FactSpec("judged.met", FactType.INT, "Checks that were met on evidence."),
        FactSpec("judged.unmet", FactType.INT, "Checks that are unmet and ask for something to be done."),
        FactSpec("judged.verdict", FactType.STR, "The receiver's verdict.", values=_VERDICTS),
        FactSpec("judged.receivers", FactType.INT, "Receivers that were judged."),
        FactSpec("judged.undecided", FactType.INT, "Receivers that could not be told, or have something against it."),
        FactSpec("judged.settled", FactType.BOOL, "Nothing that is open or set aside could make the grade worse."),
        FactSpec("judged.outcome", FactType.STR, "What became of the rule.", values=_OUTCOMES),
        FactSpec("judged.subjects", FactType.INT, "Subjects of the run, or domains of the fleet."),
        FactSpec("judged.unchecked", FactType.INT, "Those of them that could not be checked, or not completely."),
        FactSpec("judged.to_mend", FactType.INT, "Those of them with something to mend."),
    )
}
"""What judging adds to the facts for claims to rest on."""
