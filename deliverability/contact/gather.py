"""Brings together what a receiver wants to be told: its replies, what sends, what to mend first and what was mended."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING

from deliverability.contact.sources import RepliesQuoted
from deliverability.contact.values import Company, Contact, ContactPack, HostOrigin, SendingHost
from deliverability.core.facts.base import FactSet
from deliverability.core.facts.deliveries import Snds
from deliverability.core.facts.envelope import Envelope, SendingHosts
from deliverability.core.facts.traffic import Traffic
from deliverability.core.model.observed import Observed
from deliverability.core.model.report import Finding, Outcome, Report
from deliverability.core.model.rules import Effect
from deliverability.core.model.services import Reporter, reporter_named
from deliverability.core.model.topic import if_known

if TYPE_CHECKING:
    from deliverability.core.store.store import History

MAX_HOSTS = 20
_RUNS = 60  # earlier ones that are looked at
_OWN = ("own", "own-gap")  # standings of sources that are the domain's own
_SNDS_OF = "outlook"  # the receiver that SNDS is of
_STOPS = (Effect.REJECT, Effect.DEFER, Effect.SPAM)


def contact_pack(
    report: Report,
    contact: Contact,
    company: Company,
    quotes: RepliesQuoted,
    since: date | None,
    history: History | None,
    today: date,
    *,
    heard: Collection[str] = (),
) -> ContactPack:
    """The pack for one audited domain. Raises HistoryError where earlier runs cannot be read.

    `heard`: addresses that the receiver itself reported.
    """
    stopping = [each for each in report.findings if _stops(each, contact)]
    first = [each for each in stopping if _outcome(each, contact.receiver) is Outcome.UNMET and each.waiver is None]
    open_ = [each for each in stopping if _outcome(each, contact.receiver) is Outcome.UNKNOWN]
    return ContactPack(
        domain=report.domain,
        contact=contact,
        company=company,
        hosts=tuple(_hosts(report.facts, contact.receiver, frozenset(heard))[:MAX_HOSTS]),
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


def reported_by(receiver: str, observed: Observed | None, reporters: Mapping[str, Reporter]) -> frozenset[str]:
    """The addresses from which this receiver itself reported mail, in reports that count."""
    rows = observed.rows if observed is not None else ()
    own = {
        name
        for name in {row.reporter for row in rows}
        if (known := reporter_named(name, reporters)) is not None and known.receiver == receiver
    }
    return frozenset(row.ip for row in rows if row.trusted and row.reporter in own)


def _hosts(facts: FactSet, receiver: str, heard: frozenset[str]) -> list[SendingHost]:
    """What sends, and how that is known: as the user or the message says, what reports show as own, what SNDS lists.

    Of the reports those of this receiver count; where it reported none of the domain's own addresses, those of others.
    """
    found: dict[str, SendingHost] = {}
    reported = list(_reported(facts))
    here = [each for each in reported if each[0] in heard]
    for ip, name, origin in (
        *_audited(facts),
        *((ip, name, HostOrigin.RECEIVER) for ip, name in here),
        *((ip, name, HostOrigin.REPORTS) for ip, name in reported if not here),
        *((ip, None, HostOrigin.SNDS) for ip in _in_snds(facts) if receiver == _SNDS_OF),
    ):
        known = found.get(ip, SendingHost(ip, None, ()))
        origins = tuple(dict.fromkeys((*known.known_by, origin)))
        found[ip] = SendingHost(ip, known.name or name, origins)
    return list(found.values())


def _audited(facts: FactSet) -> Iterator[tuple[str, str | None, HostOrigin]]:
    origin = HostOrigin.GIVEN if facts.of(Envelope).ip_source == "option" else HostOrigin.MESSAGE
    for each in if_known(facts.of(SendingHosts).ips) or ():
        yield each.ip, if_known(each.name), origin


def _reported(facts: FactSet) -> Iterator[tuple[str, str | None]]:
    """The addresses of the domain's own sources that sent most; a name where it can only be that of the address."""
    for each in if_known(facts.of(Traffic).sources) or ():
        if each.standing in _OWN:
            ips, names = each.examples, each.ptr
            yield from ((ip, names[0] if len(ips) == 1 and names else None) for ip in ips)


def _in_snds(facts: FactSet) -> Iterator[str]:
    return (each.ip for each in if_known(facts.of(Snds).addresses) or ())


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
