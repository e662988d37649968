"""Months of mail with the truth beside them: families of what happens to a domain, each safe, lost or undecidable.

The domain is that of `tests.traffic`. A family adds its mail to the usual main stream. SAFE: no own mail would be lost;
LOST: some would be, or nobody can exclude it yet; OPEN: reports cannot tell, so that the answer is a question or states
the risk.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from deliverability.core.model.observed import Facet, SourceOwner, SourceWord
from tests.traffic import (
    DOMAIN,
    END,
    SIGNED,
    UNSIGNED,
    Mail,
    World,
    days_until,
    facet,
    forgers,
    named,
    signature,
)

DAYS = days_until(number=28)
LONG = days_until(number=68)
"""The days of the window, with forty before it: what came then is not new."""
MAIN = "198.51.100.10"


class Truth(StrEnum):
    """What the policy would really do to own mail."""

    SAFE = "safe"
    LOST = "lost"
    OPEN = "open"


class Family(Struct, frozen=True):
    """A family of months: its mail beside the main stream, and how the domain and its reports stand."""

    truth: Truth
    mails: Callable[[random.Random], Iterator[Mail]]
    a_day: int = 1000
    world: World = field(default_factory=dict)
    subject: Mapping[str, Any] = field(default_factory=dict)
    window: Mapping[str, Any] = field(default_factory=dict)


def kind(**how: Any) -> Facet:
    """A kind of mail without any signature."""
    return facet(**{"spf": "host.invalid", "spf_result": "none", **how})


FOREIGN = facet(signature("mcsv.net", "k1"), spf="mail9.mcsv.net")
BROKEN = facet(signature(result="fail"), spf="list.example.net")
PERM = facet(signature(selector="gone", result="permerror"), spf="vendor.example.org")
SENDGRID = facet(signature("sendgrid.net", "smtpapi"), spf="sendgrid.net")
CRON = kind(spf="cron.internal.invalid")


def daily(ip: str, what: Facet, number: int, days: list[Any] = DAYS) -> Callable[[random.Random], Iterator[Mail]]:
    """The same number every day, more or less."""

    def mails(chance: random.Random) -> Iterator[Mail]:
        return (Mail(day, ip, what, max(1, number + chance.randint(-number // 5, number // 5))) for day in days)

    return mails


def once(ip: str, what: Facet, number: int, day: int = 20) -> Callable[[random.Random], Iterator[Mail]]:
    """One run."""
    return lambda chance: iter([Mail(DAYS[day + chance.randint(-3, 3)], ip, what, number)])


def vendors(many: int, each: int, what: Callable[[int], Facet]) -> Callable[[random.Random], Iterator[Mail]]:
    """So many sources of so few messages."""

    def mails(chance: random.Random) -> Iterator[Mail]:
        for number in range(many):
            for _ in range(each):
                yield Mail(chance.choice(DAYS), f"203.0.{number + 1}.9", what(number), 1)

    return mails


def spread(network: str, hosts: int, what: Facet, a_day: int) -> Callable[[random.Random], Iterator[Mail]]:
    """A pool of addresses of one network, one after the other."""

    def mails(chance: random.Random) -> Iterator[Mail]:
        return (Mail(day, f"{network}{chance.randint(1, hosts)}", what, a_day) for day in DAYS)

    return mails


def nothing(_: random.Random) -> Iterator[Mail]:
    return iter(())


def together(*parts: Callable[[random.Random], Iterator[Mail]]) -> Callable[[random.Random], Iterator[Mail]]:
    return lambda chance: (mail for part in parts for mail in part(chance))


def noise(chance: random.Random) -> Iterator[Mail]:
    """Own mail whose signature broke now and then."""
    bad = facet(signature(result="fail"), spf=DOMAIN, spf_result="temperror")
    return (Mail(chance.choice(DAYS), MAIN, bad, 1) for _ in range(12))


def cloud(chance: random.Random) -> Iterator[Mail]:
    """A forgotten job in a cloud: another address each time, without any mark."""
    for _ in range(40):
        yield Mail(chance.choice(DAYS), f"{chance.randint(11, 99)}.{chance.randint(0, 255)}.7.9", UNSIGNED, 2)


def not_ours(*match: str) -> dict[str, Any]:
    return {"source_words": (SourceWord(match, SourceOwner.NOT_OURS),)}


def silent(reporter: str) -> dict[str, Any]:
    return {"fell_silent": reporter}


def forged(share: float) -> Callable[[random.Random], Iterator[Mail]]:
    return lambda chance: forgers(share, 1000, chance, DAYS)


SP_NONE: World = {(f"_dmarc.{DOMAIN}", "TXT"): ["v=DMARC1; p=none; sp=none; rua=mailto:dmarc@example.com"]}
NAME: World = {(f"shop.{DOMAIN}", "A"): ["198.51.100.50"]}
"""Else DNS does not have the name: np counts for it, where the record says anything there."""


def below(tags: str) -> World:
    return {(f"_dmarc.{DOMAIN}", "TXT"): [f"v=DMARC1; p=none; {tags}; rua=mailto:dmarc@example.com"]}


def now(tags: str) -> World:
    """The policy that is in force."""
    return {(f"_dmarc.{DOMAIN}", "TXT"): [f"v=DMARC1; {tags}; rua=mailto:dmarc@example.com"]}


OWN_RECORD: World = {(f"_dmarc.shop.{DOMAIN}", "TXT"): ["v=DMARC1; p=none"]}
SUB = kind(header_from=f"shop.{DOMAIN}")
STRICT = SUB._replace(dkim=(signature(),))
"""Signed by the domain above, where the record asks for the same domain."""
BELOW = kind(header_from=f"a.shop.{DOMAIN}")
S, L, OPEN = Truth.SAFE, Truth.LOST, Truth.OPEN

FAMILIES: Mapping[str, Family] = {
    # Safe.
    "all is signed": Family(S, nothing),
    "much mail": Family(S, nothing, a_day=40_000),
    "a little noise": Family(S, noise),
    "one percent forged": Family(S, forged(0.01)),
    "a third forged": Family(S, forged(0.3)),
    "a mailing list": Family(S, daily("192.0.2.60", BROKEN, 3)),
    "a forwarder": Family(S, daily("192.0.2.40", facet(signature(), spf="srs.example.net"), 20)),
    "a service that signs": Family(S, daily("167.89.1.1", facet(signature(), spf="em.example.com"), 60, LONG)),
    "SPF alone, at a host of ours": Family(S, daily("198.51.100.40", facet(spf=DOMAIN), 40, LONG)),
    "a strange service that is said to be foreign": Family(
        S, daily("205.201.128.9", FOREIGN, 20), subject=not_ours("service:mailchimp")
    ),
    "a few strangers": Family(
        S, vendors(2, 2, lambda n: facet(signature(f"v{n}.example.org"), spf=f"v{n}.example.org"))
    ),
    "a gap of subdomains under sp=none": Family(S, daily("198.51.100.50", SUB, 30, LONG), world=SP_NONE),
    "a gap of a name that is not there, under np=none": Family(
        S, daily("198.51.100.50", SUB, 30, LONG), world=below("np=none")
    ),
    "a gap of a name that is there, under sp=none and np=reject": Family(
        S, daily("198.51.100.50", SUB, 30, LONG), world={**below("sp=none; np=reject"), **NAME}
    ),
    "a gap of a name that is not there, under sp=none and np=reject": Family(
        L, daily("198.51.100.50", SUB, 30, LONG), world=below("sp=none; np=reject")
    ),
    "a gap of a name that is there, under np=none": Family(
        L, daily("198.51.100.50", SUB, 30, LONG), world={**below("np=none"), **NAME}
    ),
    "a gap of a subdomain with a record of its own": Family(S, daily("198.51.100.50", SUB, 30, LONG), world=OWN_RECORD),
    "a gap below a subdomain with a record of its own": Family(
        S, together(daily("198.51.100.50", SUB, 30, LONG), daily("198.51.100.50", BELOW, 3, LONG)), world=OWN_RECORD
    ),
    "a host mended in time": Family(
        S, together(daily("198.51.100.60", UNSIGNED, 4, DAYS[:9]), daily("198.51.100.60", SIGNED, 4, DAYS[9:]))
    ),
    "many forwarders and lists": Family(
        S,
        together(
            *(daily(f"192.0.{n}.40", facet(signature(), spf=f"srs{n}.example.net"), 4) for n in range(2, 9)),
            daily("192.0.2.61", facet(signature(result="fail"), spf="l.example.org", reason="local_policy/arc"), 5),
            daily("192.0.2.60", BROKEN, 3),
        ),
    ),
    # Own mail is lost.
    "an unsigned host": Family(L, daily("198.51.100.20", UNSIGNED, 50)),
    "a cron job on the main host": Family(L, daily(MAIN, CRON, 3)),
    "a cron job of one message": Family(L, daily(MAIN, CRON, 1)),
    "a weekly job on the main host": Family(L, lambda c: (Mail(day, MAIN, CRON, 4) for day in DAYS[::7])),
    "a cron job in much mail": Family(L, daily(MAIN, CRON, 5), a_day=40_000),
    "a job every other week on the main host": Family(L, together(once(MAIN, CRON, 12, 6), once(MAIN, CRON, 12, 20))),
    "a monthly job on the main host": Family(L, once(MAIN, CRON, 50)),
    "a monthly job on the main host in much mail": Family(L, once(MAIN, CRON, 250), a_day=40_000),
    "a job on two days of the week": Family(
        L, lambda c: (Mail(day, MAIN, CRON, 3) for day in DAYS if day.weekday() in (0, 4))
    ),
    "a job every other day": Family(L, lambda c: (Mail(day, MAIN, CRON, 2) for day in DAYS[::2])),
    "a job for five days": Family(L, daily(MAIN, CRON, 8, DAYS[10:15])),
    "a weekend job": Family(L, lambda c: (Mail(day, MAIN, CRON, 6) for day in DAYS if day.weekday() == 5)),
    "a new service in the last week": Family(L, daily("205.201.128.9", FOREIGN, 30, DAYS[-6:])),
    "a new service for two days, in much mail": Family(
        L, daily("205.201.128.9", FOREIGN, 120, DAYS[-2:]), a_day=40_000
    ),
    "a second stream of a used service": Family(
        L,
        together(
            daily("167.89.1.1", facet(signature(), spf="em.example.com"), 500, LONG),
            daily("167.89.1.2", facet(signature("sendgrid.net", "x"), spf="u77.sendgrid.net"), 5, LONG),
        ),
    ),
    "strict alignment of a subdomain": Family(L, daily("198.51.100.44", STRICT, 30, LONG)),
    "an unsigned host behind forwarders": Family(
        L, together(*(daily(f"192.0.{n}.40", facet(spf=f"srs{n}.example.net"), 4) for n in range(2, 9)))
    ),
    "a gap that pct samples out": Family(
        L, daily("198.51.100.20", kind(reason="sampled_out"), 50), world=now("p=quarantine; pct=25")
    ),
    "a gap under t=y": Family(L, daily("198.51.100.20", UNSIGNED, 50), world=now("p=quarantine; t=y")),
    "a subdomain through a vendor alone": Family(
        L, daily("203.0.113.9", kind(spf="v.example.org", spf_result="pass", header_from=f"news.{DOMAIN}"), 60)
    ),
    "forty deep subdomains": Family(
        L,
        lambda c: (Mail(c.choice(DAYS), "198.51.100.70", kind(header_from=f"n{n}.a.{DOMAIN}"), 2) for n in range(40)),
    ),
    "a monthly run through a strange service, in much mail": Family(
        L, once("205.201.128.9", FOREIGN, 250), a_day=40_000
    ),
    "a key that fails for ten days": Family(L, daily("203.0.113.50", PERM, 20, DAYS[8:18])),
    "a host of ours mended yesterday": Family(
        L,
        together(daily("198.51.100.60", UNSIGNED, 40, DAYS[:-1]), daily("198.51.100.60", SIGNED, 40, DAYS[-1:])),
    ),
    "a vendor of ever new hosts, each week": Family(
        L,
        lambda c: (
            Mail(day, f"203.{c.randint(1, 250)}.7.9", facet(signature("v.example.org"), spf="v.example.org"), 9)
            for day in DAYS[::7]
        ),
    ),
    "a monthly billing run": Family(L, once("198.51.100.30", UNSIGNED, 250)),
    "a billing run without a mark": Family(L, once("203.0.113.30", UNSIGNED, 250)),
    "a billing run without a mark in much mail": Family(L, once("203.0.113.30", UNSIGNED, 250), a_day=40_000),
    "a host known by its name": Family(
        L, daily("203.0.113.20", UNSIGNED, 5), world=named("203.0.113.20", "billing.example.com")
    ),
    "a forgotten host": Family(L, daily("203.0.113.40", UNSIGNED, 2)),
    "a pool of addresses": Family(L, spread("203.0.113.", 60, UNSIGNED, 3)),
    "a pool of IPv6 addresses": Family(L, spread("2001:db8:7:7::", 99, UNSIGNED, 3)),
    "a pool with one run": Family(L, lambda c: (Mail(DAYS[19], f"203.0.113.{n}", UNSIGNED, 8) for n in range(9, 30))),
    "hosts under one name": Family(
        L,
        lambda c: (Mail(day, f"203.0.{n % 7}.77", UNSIGNED, 2) for n, day in enumerate(DAYS)),
        world={k: v for n in range(7) for k, v in named(f"203.0.{n}.77", f"out{n}.vendor.example.org").items()},
    ),
    "a strange service": Family(L, daily("205.201.128.9", FOREIGN, 20)),
    "six vendors of nine messages": Family(
        L, vendors(6, 9, lambda n: facet(signature(f"v{n}.example.org"), spf=f"v{n}.example.org"))
    ),
    "thirty vendors of two": Family(
        L, vendors(30, 2, lambda n: facet(signature(f"v{n}.example.org"), spf=f"v{n}.example.org"))
    ),
    "eight hosts of ours of five messages": Family(
        L, lambda c: (Mail(DAYS[n], f"198.51.100.{60 + n}", UNSIGNED, 5) for n in range(8))
    ),
    "a vendor whose key was lost from the first day on": Family(L, daily("203.0.113.50", PERM, 90)),
    "the key of a used service was lost": Family(
        L, daily("167.89.1.1", facet(signature(selector="sg", result="fail"), spf="sendgrid.net"), 90)
    ),
    "a key that fails for a time": Family(
        L, daily("203.0.113.51", facet(signature(result="temperror"), spf="v.example.org"), 40)
    ),
    "our own key was removed": Family(
        L, daily(MAIN, facet(signature(result="fail"), spf="host.invalid", spf_result="none"), 900, DAYS[18:])
    ),
    "a service that never signs for us": Family(L, daily("167.89.200.1", SENDGRID, 30)),
    "a large reporter fell silent": Family(L, nothing, window=silent("google.com")),
    "a middling reporter fell silent": Family(L, nothing, window=silent("outlook.com")),
    "a gap of subdomains": Family(L, daily("198.51.100.50", SUB, 30)),
    "a gap of subdomains and one of ours, under sp=none": Family(
        L, together(daily("198.51.100.50", SUB, 30), daily("198.51.100.51", UNSIGNED, 12)), world=SP_NONE
    ),
    "much unclaimed mail, each source small": Family(
        L, vendors(200, 4, lambda n: facet(signature(f"v{n}.example.org"), spf=f"v{n}.example.org"))
    ),
    "a service that signs by half": Family(
        L,
        together(
            daily("167.89.1.1", facet(signature(), spf="em.example.com"), 20, LONG),
            daily("167.89.1.1", facet(signature("sendgrid.net", "x"), spf="em.example.com", spf_result="fail"), 20),
        ),
    ),
    "a new system": Family(
        L, daily("203.0.113.21", SIGNED, 30, DAYS[-4:]), world=named("203.0.113.21", "new.example.com")
    ),
    "an unsigned host under forged mail": Family(L, together(daily("198.51.100.20", UNSIGNED, 9), forged(0.3))),
    # Nobody can tell.
    "a small sender": Family(OPEN, nothing, a_day=4),
    "a very small sender": Family(OPEN, lambda c: iter([Mail(DAYS[3], MAIN, SIGNED, 1)]), a_day=1),
    "a job in a cloud": Family(OPEN, cloud),
}


def month(name: str, chance: random.Random, *more: str) -> tuple[list[Mail], Family]:
    """The mail of a family, and of further ones on top of it; the family with all that stands around it."""
    family = FAMILIES[name]
    others = [FAMILIES[each] for each in more]
    mails = [Mail(day, MAIN, SIGNED, max(1, family.a_day + chance.randint(-2, 2))) for day in LONG]
    mails += [mail for each in (family, *others) for mail in each.mails(chance)]
    world = {key: value for each in (family, *others) for key, value in each.world.items()}
    window = {key: value for each in (family, *others) for key, value in each.window.items()}
    return mails, Family(family.truth, family.mails, family.a_day, world, dict(family.subject), window)


SILENT_SINCE = END - timedelta(days=8)
