"""The MX hosts of the domain and whether mail can reach them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv6Address

from deliverability.core.facts.base import FactType, Reason, Unknown, Value
from deliverability.core.names import is_example, unreachable_among
from deliverability.core.net.base import Answer, Failed, Found, unknown_from
from deliverability.core.protocols.mx import MAX_HOSTS, MX_FIRST, is_literal, mx_entries, mx_names
from deliverability.engine.base import Context, auditor, dns_id, spec

PROVIDES = (
    spec("mx.hosts", FactType.LIST_RECORD, "MX hosts, most preferred first; empty for a null MX.", key=["host"]),
    spec("mx.hosts[].host", FactType.STR, "Name in the MX record."),
    spec("mx.hosts[].preference", FactType.INT, "Preference; less is tried first.", optional=True),
    spec("mx.hosts[].addresses", FactType.LIST_STR, "Its IPv4 and IPv6 addresses."),
    spec("mx.hosts[].alias", FactType.STR, "Target, where the host is a CNAME.", optional=True),
    spec("mx.hosts[].literal", FactType.BOOL, "An IP address stands where a name belongs."),
    spec("mx.hosts[].has_address", FactType.BOOL, "The host has an address."),
    spec("mx.hosts[].has_ip6", FactType.BOOL, "The host has an IPv6 address that is no IPv4 address in disguise."),
    spec(
        "mx.hosts[].unreachable",
        FactType.LIST_STR,
        "Its addresses to which nothing can be sent over the internet: private, local, reserved, for documentation.",
    ),
    spec(
        "mx.hosts[].public",
        FactType.BOOL,
        "It is a host name with at least one address that is public, or for documentation.",
    ),
    spec("mx.hosts[].evidence", FactType.LIST_STR, "Ids of the evidence for this host."),
    spec("mx.duplicates", FactType.LIST_STR, "Hosts that stand in more than one MX record."),
    spec(
        "mx.null_beside_others", FactType.BOOL, "A null MX stands beside MX records with a host (RFC 7505 section 3)."
    ),
)


@auditor("mx", provides=PROVIDES)
async def audit(ctx: Context) -> None:
    """Ask for the MX records, then for the addresses of all hosts at once."""
    domain = ctx.subject.domain
    answer = await ctx.query(domain, "MX")
    own = dns_id(domain, "MX")
    if isinstance(answer, Failed):
        ctx.put_all(dict.fromkeys((each.path for each in PROVIDES if "[]" not in each.path), unknown_from(answer)), own)
        return
    entries = mx_entries(answer)
    hosts = [host for _, host in entries]
    named = mx_names(answer)
    times = Counter(hosts)
    ctx.put("mx.duplicates", tuple(host for host in named if times[host] > 1), own)
    ctx.put("mx.null_beside_others", "." in hosts and bool(named), own)
    preferences = {host: preference for preference, host in reversed(entries)}
    items = await asyncio.gather(*(_host(ctx, host, preferences[host]) for host in named[:MAX_HOSTS]))
    limit = Unknown(Reason.LIMIT, MX_FIRST(n=MAX_HOSTS, all=len(named)))
    items += [_unseen(host, preferences[host], limit) for host in named[MAX_HOSTS:]]
    ids = [dns_id(host, rdtype) for host in named[:MAX_HOSTS] for rdtype in ("A", "AAAA") if not is_literal(host)]
    ctx.put("mx.hosts", tuple(items), own, *ids)


async def _host(ctx: Context, host: str, preference: int | None) -> dict[str, Value]:
    item: dict[str, Value] = {"host": host, "preference": preference}
    if is_literal(host):
        found = {"addresses": (), "alias": None, "literal": True, "has_address": False, "unreachable": ()}
        return item | found | {"has_ip6": False, "public": False, "evidence": ()}
    answers = await asyncio.gather(*(ctx.query(host, rdtype) for rdtype in ("A", "AAAA")))
    addresses = tuple(value for answer in answers if isinstance(answer, Found) for value in answer.values)
    failed = next((unknown_from(answer) for answer in answers if isinstance(answer, Failed)), None)
    wrong = unreachable_among(addresses, example=is_example(ctx.subject.domain))
    public = len(unreachable_among(addresses, example=True)) < len(addresses)
    return item | {
        "addresses": failed or addresses,
        "alias": _alias(answers),
        "literal": False,
        "has_address": True if addresses else failed or False,
        "has_ip6": _has_ip6(answers[1]),
        "unreachable": wrong or failed or (),
        "public": True if public else failed or False,
        "evidence": tuple(dns_id(host, rdtype) for rdtype in ("A", "AAAA")),
    }


def _unseen(host: str, preference: int | None, limit: Unknown) -> dict[str, Value]:
    return {
        "host": host,
        "preference": preference,
        "addresses": limit,
        "alias": limit,
        "literal": is_literal(host),
        "has_address": limit,
        "has_ip6": limit,
        "unreachable": limit,
        "public": limit,
        "evidence": (),
    }


def _has_ip6(answer: Answer) -> Value:
    """Whether AAAA gives an address of IPv6 proper."""
    match answer:
        case Failed():
            return unknown_from(answer)
        case Found():
            return any(IPv6Address(value).ipv4_mapped is None for value in answer.values)
    return False


def _alias(answers: Sequence[Answer]) -> Value:
    """The CNAME target of the host. One answer is enough to tell: an alias holds for all types."""
    answered = [answer for answer in answers if not isinstance(answer, Failed)]
    for answer in answered:
        if answer.chain:
            return answer.chain[0]
    return None if answered else next(unknown_from(answer) for answer in answers if isinstance(answer, Failed))
