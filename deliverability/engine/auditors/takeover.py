"""Names that mail rests on, and that somebody else could register: they decide what the domain's records mean.

Looked at are the names whose answers were NXDOMAIN, which costs nothing where all exist, and the few that nobody else
asks for: the hosts of TLS reports and of BIMI, the policy host of MTA-STS, and what stands behind a macro of SPF.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from urllib.parse import urlsplit

from msgspec import Struct

from deliverability.core.codes import Code
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.dkim import Dkim
from deliverability.core.facts.dmarc import Bimi, Dmarc, DmarcDiscovery, DmarcReports
from deliverability.core.facts.domain import FreeName, Mx, Takeover
from deliverability.core.facts.envelope import Envelope
from deliverability.core.facts.spf import Spf, SpfIdentities, SpfStatus, SpfTree
from deliverability.core.facts.transport import MtaSts, TlsRpt
from deliverability.core.model.topic import Maybe, cite, if_known
from deliverability.core.names import is_within
from deliverability.core.net.base import Absent, Answer, Failed, Found, unknown_from
from deliverability.core.protocols.mx import is_literal, mx_names
from deliverability.core.protocols.psl import known_registered_domain, registered_domain
from deliverability.engine.base import Context, auditor, dns_id

MAX_NAMES = 100
"""Names that are looked at."""
MAX_DOMAINS = 20
"""Domains, of names that do not exist, of which it is asked whether they are registered."""

DOMAINS_FIRST = Code("takeover-domains-first", ("n", "all"))


class _Leading(Struct, frozen=True):
    """A name that mail rests on.

    Attributes:
        use: what for.
        name: the name.
        rdtype: by which question it is asked anyway; empty: nobody asks for it, its domain is looked up at once.
        by: the term or the kind of record that leads there.
        at: where that stands.

    """

    use: str
    name: str
    rdtype: str
    by: str
    at: str


class _Lost(Struct, frozen=True):
    """A name that does not exist, or that nobody could look up, and what could be registered to have it.

    Attributes:
        leading: where it was met.
        name: the name itself, where aliases lead.
        domain: what would be registered.
        service: at which service, or None for a registry.
        evidence: id of the answer.
        failed: why nobody knows whether it exists; None where it does not.

    """

    leading: _Leading
    name: str
    domain: str
    service: str | None
    evidence: str
    failed: Failed | None = None


_FAILED = (Reason.TIMEOUT, Reason.SERVFAIL, Reason.REFUSED, Reason.ALIAS, Reason.OFFLINE)


@auditor(
    "takeover",
    Takeover,
    needs=(Spf, SpfIdentities, Mx, Dkim, DmarcDiscovery, Dmarc, DmarcReports, MtaSts, TlsRpt, Bimi, Envelope),
)
async def audit(ctx: Context) -> Takeover:
    """See which names do not exist; of those ask at the zone above whether their domain is registered."""
    leading = tuple(dict.fromkeys(_leading(ctx)))[:MAX_NAMES]
    asked_anyway = [each for each in leading if each.rdtype]
    answers = await asyncio.gather(*(ctx.ports.dns.query(each.name, each.rdtype) for each in asked_anyway))
    # Where a name answers, its domain is there.
    there = {known_registered_domain(each.name) for each in answers if _there(each)}
    named = [each for each in (*leading, *_behind(ctx, asked_anyway, answers)) if _is_left(ctx, each, there)]
    (servers, unanswered), more = await asyncio.gather(_delegated(ctx), _looked_up(ctx, named))
    hosts = [each for each in servers if _is_left(ctx, each, there)]
    left, more = [*named, *hosts], [*more, *await _looked_up(ctx, hosts)]
    seen = [_lost(ctx, *each) for each in zip((*asked_anyway, *left), (*answers, *more), strict=True)]
    groups: dict[tuple[str, str], list[_Lost]] = {}
    for each in seen:
        if each is not None and (each.failed is None or each.domain not in there):
            groups.setdefault((each.leading.use, each.domain), []).append(each)
    domains = tuple(
        dict.fromkeys(domain for (_, domain), lost in groups.items() if any(each.failed is None for each in lost))
    )
    proofs = await asyncio.gather(*(_free(ctx, domain) for domain in domains[:MAX_DOMAINS]))
    limit = Unknown(Reason.LIMIT, DOMAINS_FIRST(n=MAX_DOMAINS, all=len(domains)))
    free: dict[str, tuple[bool | Unknown, tuple[str, ...]]] = dict.fromkeys(domains, (limit, ()))
    free.update(zip(domains, proofs, strict=False))
    listed = tuple(
        _item(ctx, use, domain, lost, *(free.get(domain) or _unasked(lost))) for (use, domain), lost in groups.items()
    )
    return Takeover(
        names=listed or _open(ctx, unanswered),
        evidence=cite(*(ident for each in listed for ident in each.evidence)),
    )


def _open(ctx: Context, unanswered: Sequence[Failed]) -> Maybe[tuple[FreeName, ...]]:
    """What stands for no name at all: Unknown where a record that may lead to one could not be looked up."""
    bimi, reports = ctx.of(Bimi), ctx.of(DmarcReports)
    records = (
        *(ctx.of(Spf).tree, ctx.of(SpfIdentities).used_tree, ctx.of(Mx).hosts, ctx.of(Dkim).dangling),
        *(ctx.of(DmarcDiscovery).walk, reports.rua, reports.ruf, ctx.of(Dmarc).location),
        *(ctx.of(MtaSts).present, ctx.of(TlsRpt).rua, bimi.selector, bimi.name, bimi.logo, bimi.certificate),
        *map(unknown_from, unanswered),
    )
    return next((each for each in records if isinstance(each, Unknown) and each.reason in _FAILED), ())


def _unasked(lost: Sequence[_Lost]) -> tuple[Unknown, tuple[str, ...]]:
    """What is known of a domain whose names could not be looked up."""
    failed = next(each.failed for each in lost if each.failed is not None)
    return unknown_from(failed), ()


def _item(
    ctx: Context, use: str, domain: str, lost: Sequence[_Lost], free: bool | Unknown, proof: Sequence[str]
) -> FreeName:
    leading = [each.leading for each in lost]
    return FreeName(
        use=use,
        domain=domain,
        names=tuple(dict.fromkeys(each.name for each in lost)),
        by=tuple(dict.fromkeys(f"{each.by} ({each.at})" for each in leading)),
        own=any(_is_own(ctx, each.at) for each in leading),
        free=free,
        service=lost[0].service,
        evidence=tuple(dict.fromkeys((*(each.evidence for each in lost), *proof))),
    )


# --- what mail rests on --------------------------------------------------------------------------------------------


def _leading(ctx: Context) -> Iterator[_Leading]:
    """The names, in the order of what they are worth to somebody else."""
    domain, dmarc, reports = ctx.subject.domain, ctx.of(Dmarc), ctx.of(DmarcReports)
    for tree in (ctx.of(Spf).tree, ctx.of(SpfIdentities).used_tree):
        yield from _of_spf(if_known(tree))
    for name in if_known(ctx.of(Dkim).dangling) or ():
        yield _Leading("dkim", name, "TXT", "CNAME", name)
    for step in if_known(ctx.of(DmarcDiscovery).walk) or ():
        if step.records == () and known_registered_domain(step.name.removeprefix("_dmarc.")):
            yield _Leading("dmarc-policy", step.name, "TXT", "CNAME", step.name)
    for host in if_known(ctx.of(Mx).hosts) or ():
        if not host.literal and host.has_address is False:
            yield _Leading("mx", host.host, "A", "MX", domain)
    sender = if_known(ctx.of(Envelope).mail_from_domain)
    if sender:
        yield _Leading("return-path", sender, "MX", "Return-Path", sender)
    at = f"_dmarc.{if_known(dmarc.location) or domain}"
    for tag, uris in (("rua", reports.rua), ("ruf", reports.ruf)):
        for name in _hosts(if_known(uris) or ()):
            yield _Leading("dmarc-reports", name, "MX", f"{tag}={name}", at)
    yield from _of_policies(ctx, domain)


def _of_spf(tree: SpfTree | None) -> Iterator[_Leading]:
    """The terms of a tree: most have nothing to look at."""
    if tree is None:
        return
    for term in tree.terms:
        if term.qualifier not in (None, "+"):
            continue  # who matches it does not pass
        at, target, status = tree.domain, term.target, term.status
        if term.mechanism in _QUESTIONS and target and status not in _NEVER_ASKED:
            name, rdtype = target, _QUESTIONS[term.mechanism]
            if status == SpfStatus.MACRO:
                name, rdtype = target.rpartition("}")[2].lstrip("."), ""
            if status != SpfStatus.OK or term.mechanism == "ptr":  # else it was found
                yield _Leading("spf", name.rstrip(".").lower(), rdtype, term.text, at)
            if term.mechanism == "mx":
                for record in term.addresses:
                    host = record.rpartition(" ")[2]
                    yield _Leading("spf", host.rstrip(".").lower(), "A", f"{term.text}: MX {host}", at)
        yield from _of_spf(term.tree)


# Of ptr nobody asks for the name itself; whoever has it gives it to an address of theirs.
_QUESTIONS = {"ptr": "", "include": "TXT", "redirect": "TXT", "a": "A", "mx": "MX", "exists": "A"}
_NEVER_ASKED = (SpfStatus.DEAD, SpfStatus.IGNORED, SpfStatus.INVALID_NAME, SpfStatus.SYNTAX_ERROR, SpfStatus.LIMIT)


def _of_policies(ctx: Context, domain: str) -> Iterator[_Leading]:
    """Of MTA-STS, TLS-RPT and BIMI."""
    for use, name in (("mta-sts", f"_mta-sts.{domain}"), ("tls-reports", f"_smtp._tls.{domain}")):
        yield _Leading(use, name, "TXT", "CNAME", name)
    if ctx.of(MtaSts).present is True:
        host = f"mta-sts.{domain}"
        yield _Leading("mta-sts", host, "A", "CNAME", host)
    for host in _hosts(if_known(ctx.of(TlsRpt).rua) or ()):
        yield _Leading("tls-reports", host, "", f"rua={host}", f"_smtp._tls.{domain}")
    bimi = ctx.of(Bimi)
    place, selector = if_known(bimi.name), if_known(bimi.selector)
    if not place and selector:
        name = f"{selector}._bimi.{domain}"
        yield _Leading("bimi", name, "TXT", "CNAME", name)
    for tag, uri in (("l", bimi.logo), ("a", bimi.certificate)):
        for host in _hosts((if_known(uri) or "",)):
            yield _Leading("bimi", host, "", f"{tag}={host}", place or domain)


def _behind(ctx: Context, leading: Sequence[_Leading], answers: Sequence[Answer]) -> Iterator[_Leading]:
    """The MX hosts behind the domains of addresses for reports; those of the domain itself are looked at anyway."""
    for each, answer in zip(leading, answers, strict=True):
        if each.use == "dmarc-reports" and each.name != ctx.subject.domain and isinstance(answer, Found):
            for host in mx_names(answer):
                if not is_literal(host):
                    yield _Leading(each.use, host, "", f"{each.by}: MX {host}", each.at)


async def _delegated(ctx: Context) -> tuple[Sequence[_Leading], Sequence[Failed]]:
    """The name servers of zones that hold keys or the policy, and which of them could not be looked up.

    They are asked for only where something is not to be had there.
    """
    domain, keys = ctx.subject.domain, if_known(ctx.of(Dkim).keys) or ()
    wanted = (
        ("dkim", f"_domainkey.{domain}", any(key.present is True and key.domain == domain for key in keys)),
        ("dmarc-policy", f"_dmarc.{domain}", ctx.of(Dmarc).present is True),
    )
    missing = [(use, zone) for use, zone, there in wanted if not there]
    answers = await asyncio.gather(*(_name_servers(ctx, zone) for _, zone in missing))
    servers = [
        _Leading(use, host.rstrip(".").lower(), "", f"NS {host}", zone)
        for (use, zone), answer in zip(missing, answers, strict=True)
        if isinstance(answer, Found) and not answer.chain
        for host in answer.values
    ]
    return servers, [each for each in answers if isinstance(each, Failed)]


async def _name_servers(ctx: Context, zone: str) -> Answer:
    """The name servers of a zone. A name that does not exist has none: its TXT records were looked up before."""
    known = await ctx.ports.dns.query(zone, "TXT")
    return known if isinstance(known, Absent) and known.nxdomain else await ctx.ports.dns.query(zone, "NS")


def _hosts(uris: Iterable[str]) -> Iterator[str]:
    """The hosts of mailto: and https: addresses."""
    for uri in uris:
        scheme, _, rest = uri.strip().partition(":")
        if scheme.lower() == "mailto":
            yield rest.partition("?")[0].partition("!")[0].rpartition("@")[2].rstrip(".").lower()
        elif scheme.lower() == "https":
            try:
                yield (urlsplit(uri.strip()).hostname or "").rstrip(".")
            except ValueError:
                continue


# --- whether they exist --------------------------------------------------------------------------------------------


_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")  # what registries and services give out


def _others_domain(ctx: Context, name: str) -> str | None:
    """The registered domain of a name; None where it is the owner's own, or nobody could register it."""
    domain = known_registered_domain(name)
    given = domain is not None and _LABEL.fullmatch(domain.partition(".")[0]) and not _is_own(ctx, domain)
    return domain if given else None


def _to_ask(ctx: Context, name: str) -> tuple[str, str]:
    """The question that tells whether somebody has a name for which nobody asks; empty where none does."""
    claimed, _ = _claimed(ctx, name)
    return (name, "A") if claimed else (_others_domain(ctx, name) or "", "NS")


def _is_left(ctx: Context, leading: _Leading, there: Collection[str | None]) -> bool:
    """Whether nobody has asked for the name yet, and its domain may be free."""
    return not leading.rdtype and _to_ask(ctx, leading.name)[0] not in ("", *there)


async def _looked_up(ctx: Context, left: Sequence[_Leading]) -> Sequence[Answer]:
    return await asyncio.gather(*(ctx.ports.dns.query(*_to_ask(ctx, each.name)) for each in left))


def _lost(ctx: Context, leading: _Leading, answer: Answer) -> _Lost | None:
    """The name that does not exist, or was not found out about: the leading one, or where its aliases lead.

    None where all exist. A name of the owner's own is left out: whoever has the domain has that, too.
    """
    if isinstance(answer, Failed):
        failed, missing = answer, answer.at or answer.name
    elif isinstance(answer, Absent) and answer.nxdomain:
        failed, missing = None, (answer.chain or (answer.name,))[-1]
    else:
        return None
    claimed, service = _claimed(ctx, missing)
    domain = claimed or _others_domain(ctx, missing)
    return None if not domain else _Lost(leading, missing, domain, service, ctx.cite_answer(answer), failed)


def _claimed(ctx: Context, name: str) -> tuple[str, str | None]:
    """What of the name would be had at a service, and at which; empty where it lies below none."""
    measures = ctx.knowledge.measures
    for suffixes, deeper in ((measures.claimable, False), (measures.registries, True)):
        for suffix, service in suffixes.items():
            claimed = _below(name, suffix)
            if claimed and (deeper or claimed == name) and not is_within(ctx.subject.domain, claimed):
                return claimed, service
    return "", None


def _below(name: str, suffix: str) -> str:
    """The suffix with the label of the name in front of it; empty where the name does not lie below it."""
    if not name.endswith(suffix.rpartition("*")[2]):  # nearly all, of hundreds
        return ""
    labels, wanted = name.split("."), suffix.split(".")
    end = labels[-len(wanted) - 1 :]
    fits = len(end) == len(wanted) + 1 and all(a in (b, "*") for a, b in zip(wanted, end[1:], strict=True))
    return ".".join(end) if fits and _LABEL.fullmatch(end[0]) else ""


def _is_own(ctx: Context, name: str) -> bool:
    return registered_domain(name) == registered_domain(ctx.subject.domain)


async def _free(ctx: Context, domain: str) -> tuple[bool | Unknown, tuple[str, ...]]:
    """Whether the zone above denies the domain, and the evidence.

    NXDOMAIN for one type holds for all (RFC 8020), but some servers give it for a type that they do not know. And one
    that has nothing to say about the zone above denies whatever it is asked.
    """
    ids: list[str] = []
    lost: Failed | None = None
    for rdtype in ("NS", "SOA"):
        answer = await ctx.query(domain, rdtype)
        ids.append(dns_id(domain, rdtype))
        if _there(answer):
            return False, tuple(ids)
        lost = answer if isinstance(answer, Failed) else lost
    above = domain.partition(".")[2]
    while lost is None and above:
        answer = await ctx.query(above, "NS")
        ids.append(dns_id(above, "NS"))
        if isinstance(answer, Found) and not answer.chain:
            return True, tuple(ids)
        lost = answer if isinstance(answer, Failed) else None
        above = above.partition(".")[2]
    return unknown_from(lost) if lost is not None else False, tuple(ids)


def _there(answer: Answer) -> bool:
    return isinstance(answer, Found) or (isinstance(answer, Absent) and (not answer.nxdomain or bool(answer.chain)))
