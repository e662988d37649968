"""Brings together what a receiver wants to be told: its replies, what sends, what to mend first and what was mended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING

from deliverability.feedback.quoting import RepliesQuoted
from deliverability.model.contacts import Company, Contact, ContactPack, SendingHost
from deliverability.model.facts import FactSet
from deliverability.model.report import Finding, Outcome, Report
from deliverability.model.rules import Effect

if TYPE_CHECKING:
    from deliverability.history.store import History

MAX_HOSTS = 20
_RUNS = 60  # earlier ones that are looked at
_STOPS = (Effect.REJECT, Effect.DEFER, Effect.SPAM)


def contact_pack(
    report: Report,
    contact: Contact,
    company: Company,
    quotes: RepliesQuoted,
    since: date | None,
    history: History | None,
    today: date,
) -> ContactPack:
    """The pack for one audited domain. Raises HistoryError where earlier runs cannot be read."""
    stopping = [each for each in report.findings if _stops(each, contact)]
    first = [each for each in stopping if _outcome(each, contact.receiver) is Outcome.UNMET and each.waiver is None]
    open_ = [each for each in stopping if _outcome(each, contact.receiver) is Outcome.UNKNOWN]
    return ContactPack(
        domain=report.domain,
        contact=contact,
        company=company,
        hosts=tuple(_hosts(report.facts))[:MAX_HOSTS],
        replies=quotes.replies(),
        of_recipients=quotes.of_recipients,
        days=quotes.days(),
        started=since or quotes.first(),
        mended=tuple(_mended(report, history, today)) if history is not None else (),
        first=tuple(sorted(first, key=lambda each: (_hardness(each, contact.receiver), each.rule))),
        unchecked=tuple(each for each in open_ if not each.waits_for_input),
        waiting=tuple(dict.fromkeys(each.rule for each in open_ if each.waits_for_input and not each.waits_for_stored)),
    )


def _stops(finding: Finding, contact: Contact) -> bool:
    """Whether the receiver would refuse or file mail for it, or does not listen before it is met."""
    if finding.rule in contact.conditions:
        return True
    return finding.used is not False and _hardness(finding, contact.receiver) < len(_STOPS)


def _hardness(finding: Finding, receiver: str) -> int:
    """0: for this the receiver refuses mail; the larger, the less it does."""
    effect = next((each.effect for each in finding.judgements if each.receiver == receiver), None)
    return _STOPS.index(effect) if effect in _STOPS else len(_STOPS)


def _outcome(finding: Finding, receiver: str) -> Outcome:
    return next((each.outcome for each in finding.judgements if each.receiver == receiver), finding.outcome)


def _hosts(facts: FactSet) -> Iterator[SendingHost]:
    found = facts.value("identity.ips")
    for each in found if isinstance(found, tuple) else ():
        if isinstance(each, Mapping):
            name = each.get("name")
            yield SendingHost(str(each["ip"]), name if isinstance(name, str) and name else None)


def _mended(report: Report, history: History, today: date) -> Iterator[tuple[str, date]]:
    """Rules that an earlier run saw unmet and that are met ever since, with the first day on which they were; newest
    first.
    """
    met = {each.fingerprint: (each.rule, today) for each in report.findings if each.outcome is Outcome.MET}
    unmet = {each.rule for each in report.findings if each.outcome is Outcome.UNMET}
    days: dict[str, date] = {}
    for run, snapshot in history.snapshots(report.domain, newest=_RUNS, damaged=lambda _: None):
        for stored in snapshot.findings:
            if stored.fingerprint not in met:
                continue
            rule, _ = met[stored.fingerprint]
            if stored.outcome is Outcome.MET:
                met[stored.fingerprint] = (rule, date.fromisoformat(run.started[:10]))
            elif stored.outcome is Outcome.UNMET:
                _, since = met.pop(stored.fingerprint)
                if rule not in unmet:
                    days[rule] = max(since, days.get(rule, since))
    yield from sorted(days.items(), key=lambda each: each[1], reverse=True)
