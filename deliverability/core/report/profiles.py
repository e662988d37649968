"""Profile results in words, as rows for auditors, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from msgspec import Struct

from deliverability.core.codec import encode, encode_fields, encode_texts, json_text
from deliverability.core.facts.base import Reason
from deliverability.core.model.profiles import (
    Clause,
    ClauseLevel,
    ClauseResult,
    ClauseState,
    Profile,
    ProfileResult,
    ProfileScope,
)
from deliverability.core.phrases import Phrases, detail_words
from deliverability.core.words.sentences import format_value, full_day_words, unknown_sentence, visible
from deliverability.core.words.speaker import Speaker, cited, in_language

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

COLUMNS = (
    *("domain", "message", "profile", "version", "clause", "level", "state"),
    *("asks", "remarks", "found", "source", "checked", "read_as"),
)
"""Of the rows for auditors."""

_TONES = {
    ClauseState.MET: "good",
    ClauseState.NOT_MET: "bad",
    ClauseState.CANNOT_TELL: "unknown",
    ClauseState.NOT_APPLICABLE: "none",
    ClauseState.NOT_CONFIRMED: "none",
}
_ITEMS = 5


class ClauseView(Struct, frozen=True):
    """A clause in the words of one language.

    `remarks` say what was found against it, what would tell, what we check differently, and how it was read.
    """

    id: str
    level: str
    asks: str
    state: str
    tone: str
    remarks: tuple[str, ...]
    source: str
    url: str


class ProfileView(Struct, frozen=True):
    """A profile in the words of one language; `about` says what it is, whom it binds and what it is not."""

    id: str
    name: str
    about: tuple[str, ...]
    clauses: tuple[ClauseView, ...]
    counts: str


def profile_view(result: ProfileResult, speaker: Speaker) -> ProfileView:
    """One result, ready to be laid out."""
    profile = result.profile
    return ProfileView(
        id=profile.id,
        name=profile.name[speaker.lang],
        about=tuple(_about(profile, speaker)),
        clauses=tuple(_clause_view(profile, clause, found, speaker) for clause, found in result.rows),
        counts=_counts(result, speaker.say),
    )


def _about(profile: Profile, speaker: Speaker) -> Iterator[str]:
    say, lang = speaker.say, speaker.lang
    edition = say("profiles.joined").join(filter(None, (profile.version, full_day_words(profile.date, say))))
    title = say("profiles.edition", title=profile.title, edition=edition) if edition else profile.title
    yield say("profiles.about", title=title, issuer=profile.issuer[lang])
    bound = profile.bound[lang]
    if profile.receiver:
        yield say("profiles.bound-receiver", bound=bound)
    else:
        yield say("profiles.bound", force=say(f"profiles.force.{profile.force}"), bound=bound)
    if status := profile.status.get(lang):
        yield status
    if profile.receiver:
        yield say("profiles.own-list")
    else:
        yield say("profiles.law" if profile.scope is ProfileScope.LAW else "profiles.no-verdict")
    for name in profile.contradicts:
        if name in speaker.rules.profiles:
            yield say("profiles.contradicts", name=speaker.rules.profiles[name].name[lang])


def _counts(result: ProfileResult, say: Phrases) -> str:
    """How many are met of those that could be checked, and how many could not; never a percentage."""
    law = result.profile.scope is ProfileScope.LAW
    checked = result.count(ClauseState.MET, ClauseState.NOT_MET)
    parts = [
        say(
            "profiles.count.found" if law else "profiles.count.met",
            n=f"{result.count(ClauseState.MET):,}",
            of=f"{checked:,}",
        )
    ]
    for state in (ClauseState.CANNOT_TELL, ClauseState.NOT_APPLICABLE, ClauseState.NOT_CONFIRMED):
        if n := result.count(state):
            parts.append(say(f"profiles.count.{state}", n=f"{n:,}"))
    return say("profiles.joined").join(parts)


def _clause_view(profile: Profile, clause: Clause, found: ClauseResult, speaker: Speaker) -> ClauseView:
    say, source = speaker.say, profile.sources[clause.source]
    shown = cited(source, say)
    law = profile.scope is ProfileScope.LAW
    return ClauseView(
        id=clause.id,
        level="" if clause.level is ClauseLevel.UNSTATED else say(f"profiles.level.{clause.level}"),
        asks=clause.asks[speaker.lang],
        state=say(f"profiles.{'law-state' if law else 'state'}.{found.state}"),
        tone="none" if law and found.state is ClauseState.NOT_MET else _TONES[found.state],
        remarks=tuple(_remarks(profile, clause, found, speaker)),
        source=say(
            "profiles.source",
            title=shown.title,
            checked=full_day_words(source.checked, say),
            read=in_language(_read(source.read_as, say), source, say),
        ),
        url=shown.url,
    )


def _read(read_as: str, say: Phrases) -> str:
    return say(f"profiles.read.{read_as.split()[0]}")


def _remarks(profile: Profile, clause: Clause, found: ClauseResult, speaker: Speaker) -> Iterator[str]:
    say, lang = speaker.say, speaker.lang
    if found.state in (ClauseState.NOT_MET, ClauseState.MET):
        yield from _found(found, speaker)
    if found.state is ClauseState.NOT_MET and profile.scope is ProfileScope.LAW:
        yield say("profiles.not-in-text")
    if found.state is ClauseState.CANNOT_TELL:
        if found.elsewhere and clause.elsewhere is not None:
            yield clause.elsewhere.text[lang]
        elif found.unknown is not None:
            yield _why(found, say)
        if tells := clause.tells.get(lang):
            yield tells
    if found.state is ClauseState.NOT_CONFIRMED:
        yield say("profiles.not-confirmed")
    if found.state is not ClauseState.NOT_APPLICABLE and (note := clause.note.get(lang)):
        yield note


def _why(found: ClauseResult, say: Phrases) -> str:
    """Why it cannot be told: what is missing, or what went wrong."""
    unknown = found.unknown
    if unknown is None or unknown.reason is Reason.NO_MESSAGE:
        return say("profiles.needs-message")
    if unknown.reason.waits_for_input and unknown.detail is not None:
        return say("profiles.needs", what=visible(detail_words(unknown.detail, say)))
    return unknown_sentence(unknown, say)


def _found(found: ClauseResult, speaker: Speaker) -> Iterator[str]:
    """What the judgement rests on."""
    say = speaker.say
    shown = [
        say("profiles.fact", name=_fact_name(path, say), value=format_value(value, speaker.catalogue.get(path), say))
        for path, value in found.found.items()
    ]
    if found.items:
        listed = say("value.separator").join(map(visible, found.items[:_ITEMS]))
        more = len(found.items) - _ITEMS
        shown.append(say("profiles.items", items=listed + (say("value.more", n=f"{more:,}") if more > 0 else "")))
    if found.broken:
        shown.append(say("profiles.rules", rules=say("value.separator").join(found.broken)))
    if shown:
        yield say("profiles.joined").join(shown)


def _fact_name(path: str, say: Phrases) -> str:
    """What a fact is about; one of the user's own profile that has no words here keeps its path."""
    return next((say(key) for key in (f"fact.{path}", f"profiles.fact-name.{path}") if key in say), visible(path))


def clause_rows(
    domain: str, message: str, results: Sequence[ProfileResult], speaker: Speaker
) -> Iterator[tuple[str, ...]]:
    """A row for each clause; the state is a code, the rest words."""
    for result in results:
        profile = result.profile
        for clause, found in result.rows:
            view = _clause_view(profile, clause, found, speaker)
            source = profile.sources[clause.source]
            yield (
                *(visible(domain), visible(message), profile.id, profile.version or profile.date),
                *(clause.id, clause.level.value, found.state.value, view.asks, "\n".join(view.remarks)),
                "; ".join(f"{path}={json_text(encode(value), compact=True)}" for path, value in found.found.items()),
                *(source.url, source.checked, source.read_as),
            )


def profile_json(result: ProfileResult) -> Json:
    """The language-free shape; what a clause asks for stands in the profile's file and in the rows for auditors."""
    profile = result.profile
    return {
        "profile": profile.id,
        "title": profile.title,
        **encode_texts(profile, "version", "date"),
        **encode_fields(profile, "force", "scope"),
        "clauses": [_clause_json(profile, clause, found) for clause, found in result.rows],
    }


def _clause_json(profile: Profile, clause: Clause, found: ClauseResult) -> Json:
    return {
        "clause": clause.id,
        "level": clause.level.value,
        **encode_fields(found, "state", "elsewhere", "unknown", "items"),
        "rules": list(found.broken),
        "found": encode(found.found),
        "source": encode_fields(profile.sources[clause.source], "url", "checked", "read_as"),
    }
