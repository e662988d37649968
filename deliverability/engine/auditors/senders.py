"""Sending services: which ones the domain uses and which one sent the message. Asks nothing of its own."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field

from deliverability.core.codes import SELECTOR, Code
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.dkim import Dkim, DkimKey, FailedProbe
from deliverability.core.facts.domain import MessageSender, Mx, MxHost, Senders, UsedService
from deliverability.core.facts.envelope import Envelope
from deliverability.core.facts.message import Message
from deliverability.core.facts.spf import Spf, SpfStatus, SpfTree
from deliverability.core.mail.parts import header_evidence
from deliverability.core.model.services import Alignment, Include, Service
from deliverability.core.model.topic import Maybe, cite, if_known
from deliverability.core.senders.recognise import (
    SPF_TERM,
    Key,
    MessageMarks,
    Sighting,
    by_key,
    by_message,
    by_mx,
    by_return_mx,
    by_spf,
    may_be_key_of,
    related,
)
from deliverability.engine.base import Context, auditor, dns_id

MAX_TERMS = 200
"""SPF terms that are looked at; receivers stop long before."""
MAX_DEPTH = 10

SPF_FIRST = Code("spf-first", ("n",))
WILDCARD = Code("wildcard")


class _Seen(Struct):
    """What was seen of one service."""

    service: Service
    seen_by: list[str] = field(default_factory=list)
    terms: list[str] = field(default_factory=list)
    lookups: list[int | None] = field(default_factory=list)
    selectors: list[str] = field(default_factory=list)
    receives: bool = False
    evidence: list[str] = field(default_factory=list)


@auditor("senders", Senders, MessageSender, needs=(Spf, Dkim, Mx, Message, Envelope))
async def audit(ctx: Context) -> tuple[Senders, MessageSender]:
    """Join what SPF, DKIM, MX and the message show."""
    catalogue = ctx.knowledge.services
    domain = ctx.subject.domain
    seen: dict[str, _Seen] = {}
    lost: list[Unknown] = []

    def note(service: Service, how: str, evidence: str) -> _Seen:
        entry = seen.setdefault(service.id, _Seen(service))
        if how not in entry.seen_by:
            entry.seen_by.append(how)
        entry.evidence.append(evidence)
        return entry

    spf, dkim = ctx.of(Spf), ctx.of(Dkim)
    tree, records = spf.tree, spf.records
    lost += [value for value in (tree, records) if isinstance(value, Unknown)]
    strangers: list[str] = []
    for number, term in enumerate(_terms(tree, records, domain, lost)):
        if number == MAX_TERMS:
            lost.append(Unknown(Reason.LIMIT, SPF_FIRST(n=MAX_TERMS)))
            break
        if service := by_spf(term.host, catalogue):
            entry = note(service, f"spf: {term.shown}", dns_id(term.domain, "TXT"))
            if term.qualifier == "+":
                entry.terms.append(term.text)
                entry.lookups.append(term.lookups)
        elif term.mechanism == "include" and not related(term.host, domain):
            strangers.append(term.host)

    keys = _keys(dkim.keys, lost)
    for key in keys:
        if service := by_key(key, catalogue):
            how = f"dkim: {key.selector}" + (f" CNAME {key.alias}" if key.alias else "")
            entry = note(service, how, dns_id(f"{key.selector}._domainkey.{key.domain}", "TXT"))
            entry.selectors.append(key.selector)
    failed = dkim.failed_probes
    lost += [failed] if isinstance(failed, Unknown) else map(_reason, failed)

    hosts = ctx.of(Mx).hosts
    lost += [hosts] if isinstance(hosts, Unknown) else []
    for name in [each.host for each in if_known(hosts) or ()]:
        if service := by_mx(name, catalogue):
            note(service, f"mx: {name}", dns_id(domain, "MX")).receives = True

    items = tuple(_item(ctx, entry, keys, hosts) for entry in seen.values())
    evidence = [ident for entry in seen.values() for ident in entry.evidence]
    senders = Senders(
        services=items if items or not lost else lost[0],
        complete=not lost,
        unknown_includes=records if isinstance(records, Unknown) else tuple(dict.fromkeys(strangers)),
        evidence=cite(services=tuple(evidence), unknown_includes=(dns_id(domain, "TXT"),)),
    )
    return senders, _of_message(ctx, frozenset(seen), keys)


class _Term(Struct, frozen=True):
    """A term of SPF that names a host: in which record it stands, how it is shown, and what it costs."""

    domain: str
    text: str
    qualifier: str
    mechanism: str
    host: str
    shown: str
    lookups: int | None = None


def _terms(
    tree: Maybe[SpfTree | None], records: Maybe[tuple[str, ...]], domain: str, lost: list[Unknown]
) -> Iterator[_Term]:
    """Terms of the domain's own records; below an include only where that is the domain's own name too.

    What a foreign record includes is that service's affair. Several records make no tree; they are read as they are.
    """
    if isinstance(tree, SpfTree) and tree.terms:
        yield from _terms_of(tree, domain, (), lost)
        return
    for record in if_known(records) or ():
        for term in SPF_TERM.finditer(record):
            text = term[0].strip()
            yield _Term(domain, text, term["qualifier"] or "+", term["mechanism"].lower(), term["host"].lower(), text)


def _terms_of(tree: SpfTree, domain: str, above: tuple[str, ...], lost: list[Unknown]) -> Iterator[_Term]:
    for term in tree.terms:
        if term.target is None or term.status in (SpfStatus.DEAD, SpfStatus.IGNORED, SpfStatus.SYNTAX_ERROR):
            continue
        target, mechanism = term.target.lower(), term.mechanism or ""
        shown = " → ".join((*above, term.text))
        yield _Term(tree.domain, term.text, term.qualifier or "+", mechanism, target, shown, term.total_lookups)
        if mechanism != "redirect" and not related(target, domain):
            continue
        if isinstance(term.problem, Unknown):
            lost.append(term.problem)
        elif term.tree and len(above) < MAX_DEPTH:
            yield from _terms_of(term.tree, domain, (*above, term.text), lost)


def _failure(status: str) -> Reason:
    word = status.rpartition(" ")[2]
    return Reason(word) if word in set(Reason) else Reason.SERVFAIL


def _keys(listed: Maybe[tuple[DkimKey, ...]], lost: list[Unknown]) -> list[Key]:
    """Keys that are published at the domain or a name below it; those that could not be asked for are lost."""
    if isinstance(listed, Unknown):
        lost.append(listed)
    keys = []
    for key in if_known(listed) or ():
        if isinstance(key.present, Unknown):
            lost.append(key.present)
        elif key.present and key.own:
            keys.append(Key(key.domain, key.selector, _target(key.alias)))
    return keys


def _target(alias: Maybe[str | None]) -> str | None:
    return alias.rstrip(".").lower() if isinstance(alias, str) else None


def _reason(probe: FailedProbe) -> Unknown:
    return Unknown(_failure(probe.reason), SELECTOR(name=probe.selector))


def _item(ctx: Context, entry: _Seen, keys: list[Key], hosts: Maybe[tuple[MxHost, ...]]) -> UsedService:
    """One item of senders.services."""
    service = entry.service
    return UsedService(
        id=service.id,
        name=service.name["en"],
        kind=service.kind.value,
        seen_by=tuple(entry.seen_by),
        authorised=bool(entry.terms),
        spf_terms=tuple(dict.fromkeys(entry.terms)),
        spf_lookups=_sum(entry.lookups),
        selectors=tuple(dict.fromkeys(entry.selectors)),
        usual_selectors=service.dkim.names if service.dkim.fixed else (),
        has_key=True if entry.selectors else _has_key(ctx, service, keys),
        receives=entry.receives,
        include_needed=_include_needed(ctx, service, hosts),
        alignment=service.alignment.value if service.alignment else None,
        confidence=service.confidence.value,
    )


def _sum(numbers: list[int | None]) -> int | None:
    counted = [each for each in numbers if each is not None]
    return sum(counted) if len(counted) == len(numbers) else None


def _has_key(ctx: Context, service: Service, keys: list[Key]) -> Maybe[bool | None]:
    """Whether a key stands at one of the service's usual selectors.

    False only where every one of these names was asked for and DNS says that nothing is there.
    """
    if not service.dkim.fixed:
        return None
    if any(may_be_key_of(key, service) for key in keys):
        return True
    dkim = ctx.of(Dkim)
    listed, wildcard, failed = dkim.keys, dkim.wildcard, dkim.failed_probes
    asked = {*(if_known(dkim.guessed) or ()), *(each.selector for each in if_known(listed) or ())}
    if not set(service.dkim.names) <= asked:
        return None
    if isinstance(listed, Unknown):
        return listed
    if isinstance(wildcard, Unknown):
        return wildcard
    if isinstance(failed, Unknown):
        return failed
    if wildcard:
        return Unknown(Reason.NOT_CONFIGURED, WILDCARD())
    for probe in failed:
        if probe.selector in service.dkim.names:
            return _reason(probe)
    for key in listed:
        if key.selector in service.dkim.names and isinstance(key.present, Unknown):
            return key.present
    return False


def _include_needed(ctx: Context, service: Service, hosts: Maybe[tuple[MxHost, ...]]) -> Maybe[bool | None]:
    """Whether SPF of this very domain is asked for mail of the service."""
    if service.include is None:
        return None
    if service.include is not Include.AT_RETURN_PATH:
        return service.include is Include.NEEDED
    if ctx.of(Envelope).mail_from_domain == ctx.subject.domain:
        return None
    if isinstance(hosts, Unknown):
        return hosts
    return any(by_return_mx(each.host, service) for each in hosts)


def _of_message(ctx: Context, used: frozenset[str], keys: list[Key]) -> MessageSender:
    """Which service sent the message, where there is one and its marks tell."""
    message = ctx.message
    if message is None:
        return MessageSender.lost(Unknown(Reason.NO_MESSAGE))
    aliases = {(key.domain, key.selector): key.alias for key in keys}
    dkim, envelope = ctx.of(Dkim), ctx.of(Envelope)
    signatures = [
        Key(each.domain, each.selector, aliases.get((each.domain, each.selector)))
        for each in if_known(dkim.signatures) or ()
        if each.domain is not None and each.selector is not None
    ]
    feedback = message.fields("feedback-id")[:10]
    marks = MessageMarks(
        signatures=tuple(signatures),
        author_domain=_text(ctx.of(Message).from_domain),
        return_domain=_text(envelope.mail_from_domain),
        helo=_text(envelope.helo),
        headers=frozenset(each.lower for each in message.headers),
        feedback_ids=tuple(each.value[:1000] for each in feedback),
        used=used,
    )
    sighting = by_message(marks, ctx.knowledge.services)
    # Where the keys could not be asked for, nobody knows whose they are.
    lost = dkim.keys if isinstance(dkim.keys, Unknown) else False
    cited: tuple[str, ...] = ()
    if sighting is not None and sighting.seen_by.startswith("header: "):
        name = sighting.seen_by.removeprefix("header: ").partition(" ")[0]
        cited = tuple(ctx.cite(header_evidence(each)) for each in message.fields(name)[:1])
    return MessageSender(
        message_service=sighting.service.id if sighting else None,
        message_service_name=sighting.service.name["en"] if sighting else None,
        message_seen_by=sighting.seen_by if sighting else None,
        spf_alignment_impossible=_cannot_align(marks, sighting) or lost,
        signs_fixed_fields=_signs_fixed(ctx, marks, sighting) or lost,
        evidence=cite(*cited, spf_alignment_impossible=(), signs_fixed_fields=()),
    )


def _cannot_align(marks: MessageMarks, sighting: Sighting | None) -> bool:
    """Whether the service is one that uses a Return-Path of its own, and did."""
    if sighting is None or not sighting.seen_by.startswith(("dkim: ", "return-path: ")):
        return False
    return sighting.service.alignment is Alignment.NONE and not related(marks.return_domain, marks.author_domain)


def _signs_fixed(ctx: Context, marks: MessageMarks, sighting: Sighting | None) -> bool:
    """Whether an author domain's signature is made with a key of a service that signs the same fields for everybody.

    Without its CNAME a key tells its service only by the other marks of the message.
    """
    for key in marks.signatures:
        if related(key.domain, marks.author_domain):
            service = by_key(key, ctx.knowledge.services)
            if service is None and sighting is not None and may_be_key_of(key, sighting.service):
                service = sighting.service
            if service is not None and service.dkim.fixed_fields:
                return True
    return False


def _text(value: Maybe[str | None]) -> str | None:
    return value.lower() if isinstance(value, str) and value else None
