"""Baselines, checklists and laws as data, and what became of their clauses for one subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

from msgspec import Struct, field

from deliverability.core.facts.base import Unknown, Value
from deliverability.core.model.rules import DAY, LANGUAGE, READ_AS, Edition, Perhaps, Required
from deliverability.core.model.schema import Field, Text


def _one_line(words: Mapping[str, str]) -> Mapping[str, str]:
    """Texts run over several lines of a file."""
    return {lang: " ".join(text.split()) for lang, text in words.items()}


_Words = Annotated[Mapping[str, Text], Field(keys=("en", "ja"), after=_one_line)]
_Date = Annotated[str, Field(pattern="([0-9]{4}(-[0-9]{2}){0,2})?")]


class ProfileScope(StrEnum):
    """What kind of text a profile puts into clauses. LAW: what advertising mail has to show; never met or not met."""

    BASELINE = "baseline"
    CHECKLIST = "checklist"
    LAW = "law"


class Force(StrEnum):
    """How far those whom it names are bound by it."""

    MANDATORY = "mandatory"
    CONTRACT = "contract"
    REQUEST = "request"
    GUIDANCE = "guidance"
    VOLUNTARY = "voluntary"
    LAW = "law"


class ClauseLevel(StrEnum):
    """How strongly the text asks; UNSTATED: it has no such levels, or they were not read."""

    MUST = "must"
    SHOULD = "should"
    MAY = "may"
    UNSTATED = "unstated"


class ClauseState(StrEnum):
    """What became of a clause.

    CANNOT_TELL: the outside does not show it, or it could not be looked up; never a failure. NOT_CONFIRMED: what the
    clause says was not read at the source, so it is listed and not judged.
    """

    MET = "met"
    NOT_MET = "not-met"
    CANNOT_TELL = "cannot-tell"
    NOT_APPLICABLE = "not-applicable"
    NOT_CONFIRMED = "not-confirmed"


class ProfileSource(Struct, frozen=True):
    """Where clauses were read: `checked` is the day (ISO 8601), `read_as` the form (cited.READ_AS)."""

    url: Annotated[str, Field(pattern="https?://.*")]
    checked: Annotated[str, Field(pattern=DAY)]
    read_as: Annotated[str, Field(pattern=READ_AS)]
    title: str = ""
    dated: _Date = ""
    language: Annotated[str, Field(pattern=LANGUAGE)] = "en"
    ja: Edition | None = None


class Elsewhere(Struct, frozen=True):
    """Where `when` holds, what a clause asks for may stand at another place; `text` says at which, by language."""

    when: Required
    text: _Words


class Clause(Struct, frozen=True):
    """One demand of a profile.

    Attributes:
        id: number, letter or short name by which the text itself knows it.
        asks: what it asks for, by language.
        level: see ClauseLevel.
        source: key of the profile's sources.
        when: the clause applies where this holds; None: always.
        require: what has to hold; with `each` for every item of that list.
        each: path of a list of records, or empty.
        which: with `each`, the clause is about the items for which this holds; where there is none, nobody can tell.
        rules: ids of rules that have to be met, as the profile's receiver sees them.
        tells: what would tell where the outside cannot, by language; a clause with nothing else is only for you.
        elsewhere: see Elsewhere; a clause that does not hold is then open.
        note: what we check differently, by language.
        confirmed: its words were read at the source, or where the source is quoted.

    """

    id: Text
    asks: _Words
    source: str
    level: ClauseLevel = ClauseLevel.UNSTATED
    when: Perhaps = None
    require: Perhaps = None
    each: str = ""
    which: Perhaps = None
    rules: tuple[str, ...] = ()
    tells: _Words = field(default_factory=dict)
    elsewhere: Elsewhere | None = None
    note: _Words = field(default_factory=dict)
    confirmed: bool = True

    @property
    def judged(self) -> bool:
        """Whether facts or rules answer it."""
        return self.confirmed and (self.require is not None or bool(self.rules))


class Profile(Struct, frozen=True):
    """One published text as clauses.

    Attributes:
        id: its name on the command line.
        name: short, by language.
        title: of the text, in its own language.
        issuer: by language.
        version: edition; empty: it has none.
        date: of that edition (ISO 8601, or its year or month); empty: it shows none.
        bound: whom it binds, by language.
        force: see Force.
        scope: see ProfileScope.
        status: whether it is in force, and what to know about it, by language.
        receiver: the receiver whose own list it is; its rules are judged as that receiver sees them.
        contradicts: profiles that ask for the opposite somewhere.
        sources: by key.
        clauses: in the order of the text.

    """

    id: Annotated[str, Field(pattern="[a-z0-9]+(-[a-z0-9]+)*")]
    name: _Words
    title: Text
    issuer: _Words
    bound: _Words
    force: Force
    scope: ProfileScope
    sources: Annotated[Mapping[str, ProfileSource], Field(filled=True)]
    clauses: Annotated[tuple[Clause, ...], Field(filled=True)]
    version: str = ""
    date: _Date = ""
    status: _Words = field(default_factory=dict)
    receiver: str = ""
    contradicts: tuple[str, ...] = ()


class ClauseResult(Struct, frozen=True):
    """What became of one clause.

    Attributes:
        clause: its id.
        state: see ClauseState.
        unknown: why it cannot be told, where something could not be looked up or was not given.
        elsewhere: it was not found here and may stand at another place that the clause names.
        items: which items of its list are against it.
        found: the values that it was judged by, by fact path.
        broken: the rules that are against it.

    """

    clause: str
    state: ClauseState
    unknown: Unknown | None = None
    elsewhere: bool = False
    items: tuple[str, ...] = ()
    found: Mapping[str, Value] = field(default_factory=dict)
    broken: tuple[str, ...] = ()


class ProfileResult(Struct, frozen=True):
    """A profile held against one subject. It is no verdict, and nothing of it enters a grade or an exit code."""

    profile: Profile
    clauses: tuple[ClauseResult, ...]

    def count(self, *states: ClauseState) -> int:
        """How many clauses are in one of these states."""
        return sum(each.state in states for each in self.clauses)

    @property
    def rows(self) -> Sequence[tuple[Clause, ClauseResult]]:
        """Each clause with its result."""
        return tuple(zip(self.profile.clauses, self.clauses, strict=True))
