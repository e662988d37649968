"""Names that mail rests on, and that somebody else could register: they decide what the domain's records mean.

Looked at are the names whose answers were NXDOMAIN, which costs nothing where all exist, and the few that nobody else
asks for: the hosts of TLS reports and of BIMI, the policy host of MTA-STS, and what stands behind a macro of SPF.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from msgspec import Struct

from deliverability.core.codes import Code
from deliverability.core.facts.base import FactType, Reason, Unknown, Value, records_of, text_of, texts_of
from deliverability.core.facts.paths import FactPath
from deliverability.core.model.spf import SpfStatus
from deliverability.core.names import is_within
from deliverability.core.net.base import Absent, Answer, Failed, Found, unknown_from
from deliverability.core.protocols.psl import known_registered_domain, registered_domain
from deliverability.engine.base import Context, auditor, dns_id, spec

MAX_NAMES = 100
"""Names that are looked at."""
MAX_DOMAINS = 20
"""Domains, of names that do not exist, of which it is asked whether they are registered."""

DOMAINS_FIRST = Code("takeover-domains-first", ("n", "all"))

_USES = (
    *("spf", "dkim", "dmarc-policy", "dmarc-reports", "mx", "return-path"),
    *("mta-sts", "tls-reports", "bimi"),
)

PROVIDES = (
    spec(
        "takeover.names",
        FactType.LIST_RECORD,
        "Domains of others that mail rests on by a name that does not exist.",
        key=["use", "domain"],
    ),
    spec("takeover.names[].use", FactType.STR, "What for.", values=_USES),
    spec(
        "takeover.names[].domain",
        FactType.STR,
        "What would be registered: the domain at a registry, or the name at the service that gives it out.",
    ),
    spec("takeover.names[].names", FactType.LIST_STR, "The names below it that do not exist."),
    spec("takeover.names[].by", FactType.LIST_STR, "What leads there, each with the name at which it stands."),
    spec(
        "takeover.names[].own",
        FactType.BOOL,
        "Some of it stands in records of the domain's owner; false where all is in the records of others.",
    ),
    spec(
        "takeover.names[].free",
        FactType.BOOL,
        "The domain is not registered: the zone above it exists and denies it (NXDOMAIN for NS and SOA).",
    ),
    spec("takeover.names[].service", FactType.STR, "The service at which the name would be taken.", optional=True),
    spec("takeover.names[].evidence", FactType.LIST_STR, "Ids of the evidence for this domain."),
)


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


_RECORDS: tuple[FactPath, ...] = (
    *("spf.tree", "spf.used_tree", "mx.hosts", "dkim.dangling"),
    *("dmarc.walk", "dmarc.rua", "dmarc.ruf", "dmarc.location"),
    *("mta_sts.present", "tls_rpt.rua", "bimi.selector", "bimi.name", "bimi.logo", "bimi.certificate"),
)
_FAILED = (Reason.TIMEOUT, Reason.SERVFAIL, Reason.REFUSED, Reason.OFFLINE)


@auditor("takeover", provides=PROVIDES, needs=(*_RECORDS, "envelope.mail_from_domain"))
async def audit(ctx: Context) -> None:
    """See which names do not exist; of those ask at the zone above whether their domain is registered."""
    leading = tuple(dict.fromkeys(_leading(ctx)))[:MAX_NAMES]
    asked_anyway = [each for each in leading if each.rdtype]
    answers = await asyncio.gather(*(ctx.ports.dns.query(each.name, each.rdtype) for each in asked_anyway))
    # Where a name answers, its domain is there.
    there = {known_registered_domain(each.name) for each in answers if _there(each)}
    left = [each for each in leading if not each.rdtype and _to_ask(ctx, each.name)[0] not in ("", *there)]
    more = await asyncio.gather(*(ctx.ports.dns.query(*_to_ask(ctx, each.name)) for each in left))
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
    ctx.put(
        "takeover.names",
        listed or _open(ctx),
        *(ident for each in listed for ident in texts_of(each["evidence"])),
    )


def _open(ctx: Context) -> Value:
    """What stands for no name at all: Unknown where a record that may lead to one could not be looked up."""
    facts = (ctx.value(path) for path in _RECORDS)
    return next((each for each in facts if isinstance(each, Unknown) and each.reason in _FAILED), ())


def _unasked(lost: Sequence[_Lost]) -> tuple[Unknown, tuple[str, ...]]:
    """What is known of a domain whose names could not be looked up."""
    failed = next(each.failed for each in lost if each.failed is not None)
    return unknown_from(failed), ()


def _item(
    ctx: Context, use: str, domain: str, lost: Sequence[_Lost], free: bool | Unknown, proof: Sequence[str]
) -> Mapping[str, Value]:
    leading = [each.leading for each in lost]
    return {
        "use": use,
        "domain": domain,
        "names": tuple(dict.fromkeys(each.name for each in lost)),
        "by": tuple(dict.fromkeys(f"{each.by} ({each.at})" for each in leading)),
        "own": any(_is_own(ctx, each.at) for each in leading),
        "free": free,
        "service": lost[0].service,
        "evidence": tuple(dict.fromkeys((*(each.evidence for each in lost), *proof))),
    }


# --- what mail rests on --------------------------------------------------------------------------------------------


def _leading(ctx: Context) -> Iterator[_Leading]:
    """The names, in the order of what they are worth to somebody else."""
    domain = ctx.subject.domain
    for path in ("spf.tree", "spf.used_tree"):
        yield from _of_spf(ctx.value(path))
    for name in texts_of(ctx.value("dkim.dangling")):
        yield _Leading("dkim", name, "TXT", "CNAME", name)
    for item in records_of(ctx.value("dmarc.walk")):
        name = text_of(item.get("name"))
        if not item.get("records") and known_registered_domain(name.removeprefix("_dmarc.")):
            yield _Leading("dmarc-policy", name, "TXT", "CNAME", name)
    for item in records_of(ctx.value("mx.hosts")):
        if item.get("literal") is False and item.get("has_address") is False:
            yield _Leading("mx", text_of(item.get("host")), "A", "MX", domain)
    sender = text_of(ctx.value("envelope.mail_from_domain"))
    if sender:
        yield _Leading("return-path", sender, "MX", "Return-Path", sender)
    at = f"_dmarc.{text_of(ctx.value('dmarc.location')) or domain}"
    for tag, uris in (("rua", ctx.value("dmarc.rua")), ("ruf", ctx.value("dmarc.ruf"))):
        for host in _hosts(texts_of(uris)):
            yield _Leading("dmarc-reports", host, "MX", f"{tag}={host}", at)
    yield from _of_policies(ctx, domain)


def _of_spf(tree: Value) -> Iterator[_Leading]:
    """The terms of a tree, read as it travels: most have nothing to look at."""
    if not isinstance(tree, Mapping):
        return
    at = text_of(tree.get("domain"))
    for term in records_of(tree.get("terms")):
        if term.get("qualifier") not in (None, "+"):
            continue  # who matches it does not pass
        mechanism, target = text_of(term.get("mechanism")), text_of(term.get("target"))
        status, text = term.get("status"), text_of(term.get("text"))
        if mechanism in _QUESTIONS and target and status not in _NEVER_ASKED:
            name, rdtype = target, _QUESTIONS[mechanism]
            if status == SpfStatus.MACRO:
                name, rdtype = target.rpartition("}")[2].lstrip("."), ""
            if status != SpfStatus.OK or mechanism == "ptr":  # else it was found
                yield _Leading("spf", name.rstrip(".").lower(), rdtype, text, at)
            if mechanism == "mx":
                for record in texts_of(term.get("addresses")):
                    host = record.rpartition(" ")[2]
                    yield _Leading("spf", host.rstrip(".").lower(), "A", f"{text}: MX {host}", at)
        yield from _of_spf(term.get("tree"))


# Of ptr nobody asks for the name itself; whoever has it gives it to an address of theirs.
_QUESTIONS = {"ptr": "", "include": "TXT", "redirect": "TXT", "a": "A", "mx": "MX", "exists": "A"}
_NEVER_ASKED = (SpfStatus.DEAD, SpfStatus.IGNORED, SpfStatus.INVALID_NAME, SpfStatus.SYNTAX_ERROR, SpfStatus.LIMIT)


def _of_policies(ctx: Context, domain: str) -> Iterator[_Leading]:
    """Of MTA-STS, TLS-RPT and BIMI."""
    for use, name in (("mta-sts", f"_mta-sts.{domain}"), ("tls-reports", f"_smtp._tls.{domain}")):
        yield _Leading(use, name, "TXT", "CNAME", name)
    if ctx.value("mta_sts.present") is True:
        host = f"mta-sts.{domain}"
        yield _Leading("mta-sts", host, "A", "CNAME", host)
    for host in _hosts(texts_of(ctx.value("tls_rpt.rua"))):
        yield _Leading("tls-reports", host, "", f"rua={host}", f"_smtp._tls.{domain}")
    place = text_of(ctx.value("bimi.name"))
    if not place and (selector := text_of(ctx.value("bimi.selector"))):
        name = f"{selector}._bimi.{domain}"
        yield _Leading("bimi", name, "TXT", "CNAME", name)
    for tag, path in (("l", ctx.value("bimi.logo")), ("a", ctx.value("bimi.certificate"))):
        for host in _hosts((text_of(path),)):
            yield _Leading("bimi", host, "", f"{tag}={host}", place or domain)


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
