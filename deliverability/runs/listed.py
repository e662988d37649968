"""Hands an audit what earlier runs saw of blocklists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from deliverability.inputs import Subject
from deliverability.model.blocklists import ListingSeen, ListsSeen
from deliverability.model.facts import records_of, texts_of

if TYPE_CHECKING:
    from deliverability.history.store import History, Point

_RUNS = 60  # earlier ones that are looked at


def with_lists_seen(subject: Subject, history: History, running: str = "") -> Subject:
    """The subject with what earlier runs saw of blocklists, where any are asked.

    `running`: start of a run that is not over; what it keeps is not of before. Raises HistoryError.
    """
    wanted = subject.lists_wanted
    if wanted is None:
        return subject
    return replace(subject, lists_wanted=replace(wanted, seen=_lists_seen(history, subject.domain, running)))


def _lists_seen(history: History, domain: str, running: str) -> ListsSeen | None:
    """What the newest run that asked a list about a subject was answered, and since when without a break."""
    known: dict[tuple[str, str], str | None] = {}  # of a listing the day since when; None: it was not listed
    ended: set[tuple[str, str]] = set()
    points = _points(history, domain, running)
    for point in points:
        listed = {
            (str(each["list"]), str(each["subject"])) for each in records_of(point.facts.value("blocklists.listings"))
        }
        for each in records_of(point.facts.value("blocklists.lists")):
            for subject in texts_of(each.get("answered")):
                pair = str(each["id"]), subject
                if pair in ended:
                    continue
                if pair in listed:
                    known[pair] = point.run.started[:10]
                else:
                    known.setdefault(pair, None)
                    ended.add(pair)
    seen = tuple(ListingSeen(*pair, since) for pair, since in known.items() if since is not None)
    return ListsSeen(frozenset(known), seen) if points else None


def _points(history: History, domain: str, running: str) -> list[Point]:
    """What earlier runs saw, the newest first."""
    points: list[Point] = []
    for name, source in history.subjects():
        if name == domain:
            points += history.follow(name, source, newest=_RUNS, topics=("blocklists",))
    before = [each for each in points if each.run.started != running]
    return sorted(before, key=lambda each: each.run.started, reverse=True)
