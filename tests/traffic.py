"""Labelled traffic: what receivers would report of a domain's month, made of actors whose standing is known.

The domain is example.com. Its own hosts sign with selector s1; SPF lists 198.51.100.0/25, and SendGrid by include.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.facts.base import FactSet
from deliverability.core.inputs import Subject
from deliverability.core.mail.reader import Message
from deliverability.core.model.observed import (
    Facet,
    Observed,
    ObservedReport,
    ObservedRow,
    PolicySeen,
    Rows,
    SignatureSeen,
    Trust,
)
from deliverability.core.model.report import Finding, GateAnswer
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.rules.gate import gate_of
from deliverability.core.rules.judge import Selection, judge
from deliverability.engine.base import auditors, catalogue, gather
from deliverability.engine.rules import load_rules

DOMAIN = "example.com"
END = date(2026, 11, 23)
"""A Monday; the month end of October is in a window of 28 days."""
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
RULES = load_rules()
GATE = Selection(select=("GATE-",))

REPORTERS: Mapping[str, float] = {"google.com": 0.6, "outlook.com": 0.25, "yahoo": 0.15}


def signature(domain: str = DOMAIN, selector: str = "s1", result: str = "pass") -> SignatureSeen:
    return SignatureSeen(domain, selector, result)


def facet(
    *signatures: SignatureSeen,
    spf: str = "",
    spf_result: str = "pass",
    header_from: str = DOMAIN,
    disposition: str = "none",
    reason: str = "",
) -> Facet:
    """What a receiver makes of such a mail by relaxed alignment."""

    def ours(name: str) -> bool:
        return name == DOMAIN or name.endswith(f".{DOMAIN}")

    return Facet(
        header_from,
        spf,
        signatures,
        spf,
        spf_result if spf else "",
        any(each.result == "pass" and ours(each.domain) for each in signatures),
        bool(spf) and spf_result == "pass" and ours(spf),
        disposition,
        reason,
    )


SIGNED = facet(signature(), spf=DOMAIN)
UNSIGNED = facet(spf="host.invalid", spf_result="none")
FORGED = facet(spf=DOMAIN, spf_result="fail")


class Mail(Struct, frozen=True):
    """Messages of one kind on one day from one address."""

    day: date
    ip: str
    facet: Facet
    messages: int


def rows_of_mail(
    mails: Iterable[Mail], reporters: Mapping[str, float] = REPORTERS, *, trusted: bool = True
) -> list[ObservedRow]:
    """The same as rows, divided among the reporters without losing a message."""
    found: dict[tuple[date, str, str, Facet], int] = {}
    for mail in mails:
        left = mail.messages
        for place, (name, share) in enumerate(reporters.items()):
            part = left if place == len(reporters) - 1 else min(left, round(mail.messages * share))
            left -= part
            if part:
                key = mail.day, name, mail.ip, mail.facet
                found[key] = found.get(key, 0) + part
    return [ObservedRow(day, name, trusted, ip, kind, n) for (day, name, ip, kind), n in found.items()]


def observed(
    mails: Sequence[Mail],
    *,
    days: int = 28,
    end: date = END,
    since: date | None = None,
    reporters: Mapping[str, float] = REPORTERS,
    silent: Iterable[date] = (),
    claimed: Sequence[Mail] = (),
    policy: str = "none",
    first_ips: Mapping[str, date] | None = None,
) -> Observed:
    """A window over the mails; `since`: reports were asked for from then on, and everything before counts as known."""
    begin = end - timedelta(days=days - 1)
    first = since or begin - timedelta(days=40)
    quiet = set(silent)
    kept = [mail for mail in mails if max(begin, first) <= mail.day <= end and mail.day not in quiet]
    rows = rows_of_mail(kept, reporters)
    reports = [
        _report(name, day, policy, sum(row.messages for row in rows if row.day == day and row.reporter == name))
        for name in reporters
        for day in (begin + timedelta(days=number) for number in range(days))
        if day >= first and day not in quiet
    ]
    if claimed:
        rows += rows_of_mail(claimed, {"google.com": 1.0}, trusted=False)
        reports.append(replace(_report("google.com", end, policy, 1), trust=Trust.CLAIMED, trusted=False))
    ips: dict[str, date] = {}
    for mail in mails:
        if first <= mail.day <= end:
            ips[mail.ip] = min(mail.day, ips.get(mail.ip, mail.day))
    return Observed(
        begin,
        end,
        Rows.of(rows, {**ips, **(first_ips or {})}),
        tuple(sorted(reports, key=lambda each: each.begin)),
        first_report=first,
        last_reports={name: max((r.day for r in rows if r.reporter == name), default=first) for name in reporters},
    )


def _report(name: str, day: date, policy: str, messages: int) -> ObservedReport:
    begin = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    seen = PolicySeen(p=policy, discovery="psl")
    return ObservedReport(name, name, begin, begin + 86_399, Trust.VERIFIED, messages, seen, domain=DOMAIN)


# --- actors ---------------------------------------------------------------------------------------------------------


def days_until(end: date = END, number: int = 60) -> list[date]:
    """The days up to one, oldest first."""
    return [end - timedelta(days=back) for back in reversed(range(number))]


def stream(
    ip: str,
    kind: Facet,
    a_day: tuple[int, int],
    chance: random.Random,
    days: Sequence[date],
    *,
    failing: float = 0.0,
    bad: Facet = UNSIGNED,
) -> Iterator[Mail]:
    """Mail from one address every day; a share of it fails."""
    for day in days:
        number = chance.randint(*a_day)
        lost = sum(chance.random() < failing for _ in range(number)) if failing else 0
        yield Mail(day, ip, kind, number - lost)
        if lost:
            yield Mail(day, ip, bad, lost)


def forgers(share: float, a_day: int, chance: random.Random, days: Sequence[date]) -> Iterator[Mail]:
    """Bursts of 10 to 30 messages from ever new addresses."""
    for day in days:
        left = int(a_day * share)
        while left > 0:
            burst = min(left, chance.randint(10, 30))
            left -= burst
            ip = f"{chance.randint(11, 99)}.{chance.randint(0, 255)}.{chance.randint(0, 255)}.{chance.randint(1, 254)}"
            yield Mail(day, ip, FORGED, burst)


# --- the domain -----------------------------------------------------------------------------------------------------

KEY = (
    "v=DKIM1; k=rsa; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALT3VrtPV8tzbRkfPa1lnBQHcwR5ADCqfZ1CNBuF"
    "sTlfGEjzY3VZ9qzC7MkMVdTtYg2NHqXy+iQbKbXlvIhNqU0CAwEAAQ=="
)

World = Mapping[tuple[str, str], Any]

WORLD: World = {
    (DOMAIN, "TXT"): ["v=spf1 ip4:198.51.100.0/25 include:sendgrid.net -all"],
    (DOMAIN, "MX"): ["10 mx.example.com"],
    ("mx.example.com", "A"): ["198.51.100.2"],
    ("sendgrid.net", "TXT"): ["v=spf1 ip4:167.89.0.0/17 -all"],
    (f"_dmarc.{DOMAIN}", "TXT"): ["v=DMARC1; p=none; rua=mailto:dmarc@example.com"],
    (f"s1._domainkey.{DOMAIN}", "TXT"): [KEY],
}


def policy(text: str) -> World:
    """Another DMARC record."""
    return {(f"_dmarc.{DOMAIN}", "TXT"): [f"v=DMARC1; {text}; rua=mailto:dmarc@example.com"]}


def named(ip: str, name: str) -> World:
    """An address with a reverse name that leads back."""
    reverse = ".".join(reversed(ip.split("."))) + ".in-addr.arpa"
    return {(reverse, "PTR"): [name], (name, "A"): [ip]}


async def facts_for(
    seen: Observed | None, more: World | None = None, message: Message | None = None, **subject: Any
) -> FactSet:
    """All facts of the domain with what was observed; `more` is added to its DNS."""
    world = {**WORLD, **(more or {})}
    given = {"rare": (), **subject}
    ports = Ports(StaticResolver(world), FixedClock(NOW))
    gathered = await gather(auditors(), Subject(DOMAIN, observed=seen, **given), ports, message)
    assert gathered.crashes == ()
    return gathered.facts


class Judged(Struct, frozen=True):
    """A gate and what it rests on."""

    facts: FactSet
    findings: tuple[Finding, ...]
    answer: GateAnswer | None = field(default=None)

    @property
    def reasons(self) -> set[str]:
        """The rules that are not met or open."""
        assert self.answer is not None
        return {each.rule for each in (*self.answer.missing, *self.answer.open)}


async def gate_for(seen: Observed | None, more: World | None = None, **subject: Any) -> Judged:
    """The gate's answer."""
    facts = await facts_for(seen, more, **subject)
    findings = judge(facts, RULES, catalogue(), GATE)
    return Judged(facts, findings, gate_of(facts, findings, RULES))
