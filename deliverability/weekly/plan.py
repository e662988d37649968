"""What the settings ask a weekly run to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from deliverability.console.settings import Settings
from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.errors import InputError, reason_of, set_aside
from deliverability.core.facts.base import Purpose, SampleSeen
from deliverability.core.inputs import Subject
from deliverability.engine.samples import MAX_SAMPLES, sample_seen, several
from deliverability.weekly.messages import NoMessages, Picked, pick
from deliverability.weekly.run import WeeklySubject

DEFAULT_OUTPUT = "deliv-reports"
_MOST_PROBLEMS = 20  # of one place that are told
NO_DOMAINS = Code("no-domains")


def subjects(
    settings: Settings, folder: Path, domain_of: Callable[[str], str], subject_of: Callable[[str], Subject]
) -> tuple[WeeklySubject, ...]:
    """Every domain of the settings with each of its messages, or alone where it has none.

    A place of messages that cannot be read is told in the report of its domain; the domain is audited without it.

    Args:
        settings: the file.
        folder: what places of messages are named from in the history.
        domain_of: a name as written -> A-label; may raise InputError.
        subject_of: A-label -> what is to be audited; may raise InputError.

    Raises:
        InputError: where there is no domain, or one is wrong.

    """
    domains = list(dict.fromkeys(domain_of(name) for name in settings.names))
    if not domains:
        raise InputError(NO_DOMAINS())
    own = {domain_of(table.name): table.messages for table in settings.domain if table.messages}
    common, problems = _pick(settings.messages, [each for each in domains if each not in own], folder)
    planned: list[WeeklySubject] = []
    for domain in domains:
        picked, wrong = common.get(domain, []), problems
        if domain in own:
            found, wrong = _pick(own[domain], [domain], folder)
            picked = found.get(domain, [])
        subject = subject_of(domain)
        subject = replace(subject, samples=_samples(picked, subject.purpose))
        if not picked:
            planned.append(WeeklySubject(subject, problems=wrong))
        planned += [WeeklySubject(subject, each, wrong) for each in picked]
    return tuple(planned)


def _samples(picked: Sequence[Picked], purpose: Purpose | None) -> tuple[SampleSeen, ...]:
    """What the messages of a domain tell of each other, by their places; one that cannot be read tells nothing, and is
    told where it is audited.
    """
    seen: list[SampleSeen] = []
    for each in picked[:MAX_SAMPLES]:
        with set_aside(lambda error: None):
            seen.append(sample_seen(each.source, each.sample(), purpose))
    return several(seen)


def _pick(
    places: Sequence[str], domains: Sequence[str], folder: Path
) -> tuple[dict[str, list[Picked]], tuple[Detail, ...]]:
    """The messages of each domain from all places that can be read, and what is the matter with the others."""
    found: dict[str, list[Picked]] = {}
    problems: list[Detail] = []
    for place in places:
        lost: list[Exception] = []
        with set_aside(lost.append):
            for domain, messages in pick([place], domains, folder, lost.append).items():
                found.setdefault(domain, []).extend(messages)
        problems += (
            reason_of(each) if isinstance(each, NoMessages) else ABOUT(what=place, detail=reason_of(each))
            for each in lost[:_MOST_PROBLEMS]
        )
    return found, tuple(problems)
