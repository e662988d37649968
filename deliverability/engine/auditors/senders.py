"""Sending services: which ones the domain uses and which one sent the message. Asks nothing of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from deliverability.core.codes import SELECTOR, Code
from deliverability.core.facts.base import FactType, Reason, Unknown, Value, records_of, texts_of
from deliverability.core.mail.parts import header_evidence
from deliverability.core.model.dkim import keys_of, signatures_of
from deliverability.core.model.services import Alignment, Include, Service, ServiceKind
from deliverability.core.model.spf import SpfStatus, SpfTree, spf_tree
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
from deliverability.engine.base import Context, auditor, dns_id, spec

MAX_TERMS = 200
"""SPF terms that are looked at; receivers stop long before."""
MAX_DEPTH = 10

SPF_FIRST = Code("spf-first", ("n",))
WILDCARD = Code("wildcard")

PROVIDES = (
    spec(
        "senders.services",
        FactType.LIST_RECORD,
        "Sending services and mailbox hosts that the domain is set up for, by SPF, DKIM and MX.",
        key=["name"],
    ),
    spec("senders.services[].id", FactType.STR, "Name in the catalogue of services (rules/senders/)."),
    spec("senders.services[].name", FactType.STR, "Its name."),
    spec("senders.services[].kind", FactType.STR, "What it is used for.", values=[kind.value for kind in ServiceKind]),
    spec("senders.services[].seen_by", FactType.LIST_STR, "What shows it (spf: include:sendgrid.net)."),
    spec("senders.services[].authorised", FactType.BOOL, "SPF of the domain lets it send."),
    spec("senders.services[].spf_terms", FactType.LIST_STR, "Terms of SPF that stand for it."),
    spec(
        "senders.services[].spf_lookups",
        FactType.INT,
        "Look-ups that those terms cost, everything below them counted; none where several SPF records make no tree.",
        unit="lookups",
        optional=True,
    ),
    spec("senders.services[].selectors", FactType.LIST_STR, "Selectors of its keys that are published."),
    spec(
        "senders.services[].usual_selectors",
        FactType.LIST_STR,
        "Selectors that it asks for; empty where it asks everybody for others.",
    ),
    spec(
        "senders.services[].has_key",
        FactType.BOOL,
        "A key of it is published; none where it has no usual selectors by which to tell, or these were not asked for.",
        optional=True,
    ),
    spec("senders.services[].receives", FactType.BOOL, "MX leads to it."),
    spec(
        "senders.services[].include_needed",
        FactType.BOOL,
        "SPF of this domain has to list it; false where its Return-Path lies elsewhere; none where nobody could say.",
        optional=True,
    ),
    spec(
        "senders.services[].alignment",
        FactType.STR,
        "How its mail can pass SPF in alignment with From.",
        optional=True,
        values=["from-domain", "custom-return-path", "none"],
    ),
    spec(
        "senders.services[].confidence",
        FactType.STR,
        "How sure the entry of the catalogue is.",
        values=["high", "medium", "low"],
    ),
    spec("senders.complete", FactType.BOOL, "SPF, MX and the selectors could all be looked at, so none was missed."),
    spec("senders.unknown_includes", FactType.LIST_STR, "Includes of SPF that lead to nobody in the catalogue."),
    spec("senders.message_service", FactType.STR, "Name in the catalogue of what sent the message.", optional=True),
    spec("senders.message_service_name", FactType.STR, "Its name.", optional=True),
    spec("senders.message_seen_by", FactType.STR, "What shows it.", optional=True),
    spec(
        "senders.spf_alignment_impossible",
        FactType.BOOL,
        "The service that sent the message, as its Return-Path or key shows, cannot align SPF with From in its usual "
        "setup, and did not here.",
    ),
    spec(
        "senders.signs_fixed_fields",
        FactType.BOOL,
        "A signature of the From domain is that of a service whose list of signed fields no customer can change.",
    ),
)

NEEDS = (
    *("spf.tree", "spf.records"),
    *("dkim.keys", "dkim.wildcard", "dkim.guessed", "dkim.failed_probes", "dkim.signatures"),
    *("mx.hosts", "message.from_domain", "envelope.mail_from_domain", "envelope.helo"),
)


class _Seen(Struct):
    """What was seen of one service."""

    service: Service
    seen_by: list[str] = field(default_factory=list)
    terms: list[str] = field(default_factory=list)
    lookups: list[int | None] = field(default_factory=list)
    selectors: list[str] = field(default_factory=list)
    receives: bool = False
    evidence: list[str] = field(default_factory=list)


@auditor("senders", provides=PROVIDES, needs=NEEDS)
async def audit(ctx: Context) -> None:
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

    tree, records = ctx.value("spf.tree"), ctx.value("spf.records")
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

    keys = _keys(ctx.value("dkim.keys"), lost)
    for key in keys:
        if service := by_key(key, catalogue):
            how = f"dkim: {key.selector}" + (f" CNAME {key.alias}" if key.alias else "")
            entry = note(service, how, dns_id(f"{key.selector}._domainkey.{key.domain}", "TXT"))
            entry.selectors.append(key.selector)
    failed = ctx.value("dkim.failed_probes")
    lost += [failed] if isinstance(failed, Unknown) else [_reason(each) for each in records_of(failed)]

    hosts = ctx.value("mx.hosts")
    lost += [hosts] if isinstance(hosts, Unknown) else []
    names = [str(item["host"]) for item in records_of(hosts)]
    for name in names:
        if service := by_mx(name, catalogue):
            note(service, f"mx: {name}", dns_id(domain, "MX")).receives = True

    items = tuple(_item(ctx, entry, keys, hosts) for entry in seen.values())
    evidence = [ident for entry in seen.values() for ident in entry.evidence]
    ctx.put("senders.services", items if items or not lost else lost[0], *evidence)
    ctx.put("senders.complete", not lost)
    root_lost = records if isinstance(records, Unknown) else None
    ctx.put("senders.unknown_includes", root_lost or tuple(dict.fromkeys(strangers)), dns_id(domain, "TXT"))
    _state_message(ctx, frozenset(seen), keys)


class _Term(Struct, frozen=True):
    """A term of SPF that names a host: in which record it stands, how it is shown, and what it costs."""

    domain: str
    text: str
    qualifier: str
    mechanism: str
    host: str
    shown: str
    lookups: int | None = None


def _terms(tree: Value, records: Value, domain: str, lost: list[Unknown]) -> Iterator[_Term]:
    """Terms of the domain's own records; below an include only where that is the domain's own name too.

    What a foreign record includes is that service's affair. Several records make no tree; they are read as they are.
    """
    if (found := spf_tree(tree)) and found.terms:
        yield from _terms_of(found, domain, (), lost)
        return
    for record in records if isinstance(records, tuple) else ():
        for term in SPF_TERM.finditer(str(record)):
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


def _keys(value: Value, lost: list[Unknown]) -> list[Key]:
    """Keys that are published at the domain or a name below it; those that could not be asked for are lost."""
    if isinstance(value, Unknown):
        lost.append(value)
    keys = []
    for key in keys_of(value):
        if isinstance(key.present, Unknown):
            lost.append(key.present)
        elif key.present and key.own:
            keys.append(Key(key.domain, key.selector, key.alias.rstrip(".").lower() or None))
    return keys


def _reason(item: Mapping[str, Value]) -> Unknown:
    return Unknown(_failure(str(item.get("reason"))), SELECTOR(name=str(item.get("selector"))))


def _item(ctx: Context, entry: _Seen, keys: list[Key], hosts: Value) -> dict[str, Value]:
    """One item of senders.services."""
    service = entry.service
    return {
        "id": service.id,
        "name": service.name["en"],
        "kind": service.kind.value,
        "seen_by": tuple(entry.seen_by),
        "authorised": bool(entry.terms),
        "spf_terms": tuple(dict.fromkeys(entry.terms)),
        "spf_lookups": _sum(entry.lookups),
        "selectors": tuple(dict.fromkeys(entry.selectors)),
        "usual_selectors": service.dkim.names if service.dkim.fixed else (),
        "has_key": True if entry.selectors else _has_key(ctx, service, keys),
        "receives": entry.receives,
        "include_needed": _include_needed(ctx, service, hosts),
        "alignment": service.alignment.value if service.alignment else None,
        "confidence": service.confidence.value,
    }


def _sum(numbers: list[int | None]) -> int | None:
    known = [each for each in numbers if each is not None]
    return sum(known) if len(known) == len(numbers) else None


def _has_key(ctx: Context, service: Service, keys: list[Key]) -> Value:
    """Whether a key stands at one of the service's usual selectors.

    False only where every one of these names was asked for and DNS says that nothing is there.
    """
    if not service.dkim.fixed:
        return None
    if any(may_be_key_of(key, service) for key in keys):
        return True
    listed, wildcard, failed = (ctx.value(path) for path in ("dkim.keys", "dkim.wildcard", "dkim.failed_probes"))
    asked = {*texts_of(ctx.value("dkim.guessed")), *(str(item.get("selector")) for item in records_of(listed))}
    if not set(service.dkim.names) <= asked:
        return None
    for value in (listed, wildcard, failed):
        if isinstance(value, Unknown):
            return value
    if wildcard:
        return Unknown(Reason.NOT_CONFIGURED, WILDCARD())
    for item in records_of(failed):
        if item.get("selector") in service.dkim.names:
            return _reason(item)
    for item in records_of(listed):
        if item.get("selector") in service.dkim.names and isinstance(present := item.get("present"), Unknown):
            return present
    return False


def _include_needed(ctx: Context, service: Service, hosts: Value) -> Value:
    """Whether SPF of this very domain is asked for mail of the service."""
    if service.include is None:
        return None
    if service.include is not Include.AT_RETURN_PATH:
        return service.include is Include.NEEDED
    if ctx.value("envelope.mail_from_domain") == ctx.subject.domain:
        return None
    if isinstance(hosts, Unknown):
        return hosts
    return any(by_return_mx(str(item["host"]), service) for item in records_of(hosts))


def _state_message(ctx: Context, used: frozenset[str], keys: list[Key]) -> None:
    """Which service sent the message, where there is one and its marks tell."""
    message = ctx.message
    paths = ("senders.message_service", "senders.message_service_name", "senders.message_seen_by")
    habits = ("senders.spf_alignment_impossible", "senders.signs_fixed_fields")
    if message is None:
        ctx.put_all(dict.fromkeys((*paths, *habits), Unknown(Reason.NO_MESSAGE)))
        return
    aliases = {(key.domain, key.selector): key.alias for key in keys}
    signatures = [
        Key(each.domain, each.selector, aliases.get((each.domain, each.selector)))
        for each in signatures_of(ctx.value("dkim.signatures"))
        if each.domain is not None and each.selector is not None
    ]
    feedback = message.fields("feedback-id")[:10]
    marks = MessageMarks(
        signatures=tuple(signatures),
        author_domain=_text(ctx.value("message.from_domain")),
        return_domain=_text(ctx.value("envelope.mail_from_domain")),
        helo=_text(ctx.value("envelope.helo")),
        headers=frozenset(each.lower for each in message.headers),
        feedback_ids=tuple(each.value[:1000] for each in feedback),
        used=used,
    )
    sighting = by_message(marks, ctx.knowledge.services)
    # Where the keys could not be asked for, nobody knows whose they are.
    listed = ctx.value("dkim.keys")
    for path, value in zip(habits, (_cannot_align(marks, sighting), _signs_fixed(ctx, marks, sighting)), strict=True):
        ctx.put(path, listed if not value and isinstance(listed, Unknown) else value)
    if sighting is None:
        ctx.put_all(dict.fromkeys(paths))
        return
    cited = []
    if sighting.seen_by.startswith("header: "):
        name = sighting.seen_by.removeprefix("header: ").partition(" ")[0]
        cited = [ctx.cite(header_evidence(each)) for each in message.fields(name)[:1]]
    shown = (sighting.service.id, sighting.service.name["en"], sighting.seen_by)
    ctx.put_all(dict(zip(paths, shown, strict=True)), *cited)


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


def _text(value: Value) -> str | None:
    return value.lower() if isinstance(value, str) and value else None
