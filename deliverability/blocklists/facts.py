"""Whether the addresses and names that the mail is sent with are on block lists. Asks only where the user wants it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network

from msgspec import Struct

from deliverability.core.codes import Input, needs
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.content import Html
from deliverability.core.facts.dkim import Dkim
from deliverability.core.facts.domain import AskedList, Blocklists, Listing
from deliverability.core.facts.envelope import Envelope, SendingHosts
from deliverability.core.facts.message import Message
from deliverability.core.model.blocklists import BlockList, ListedKind, ListedRole, ListsWanted, ListWeight, PrivateList
from deliverability.core.model.topic import Maybe, cite, if_known
from deliverability.core.net.base import Absent, Answer, Found
from deliverability.core.protocols.dnsbl import (
    NOTHING_TO_ASK,
    AskDns,
    ListAnswers,
    ListEntry,
    ListHealth,
    ListState,
    ask_list,
    not_asked,
    question,
    zone_of,
)
from deliverability.core.protocols.psl import registrable_domain
from deliverability.engine.base import Context, auditor

MAX_ADDRESSES = 50
MAX_NAMES = 20
MAX_TEXT = 200
PRIVATE = "private"
"""The meaning, and the operator, of what a list of the user's own says."""

_ABSENT_CITED = 10


# Whoever asks about these tells of a network behind, and no list has them.
_INSIDE = tuple(
    ip_network(each)
    for each in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.168.0.0/16", "224.0.0.0/3", "::/8", "fc00::/7", "fe80::/10", "ff00::/8"),
    )
)

Roles = Mapping[str, ListedRole]
"""Addresses or names, each with what it is to the mail."""


class _Asked(Struct, frozen=True):
    """A list and what came of asking it."""

    item: AskedList
    listings: tuple[Listing, ...]


@auditor("blocklists", Blocklists, needs=(SendingHosts, Message, Envelope, Dkim, Html))
async def audit(ctx: Context) -> Blocklists:
    """Ask every wanted list at once, each as it wants to be asked."""
    wanted = ctx.subject.lists_wanted
    lists = (
        ()
        if wanted is None
        else tuple(found for each in wanted.lists if (found := ctx.knowledge.blocklists.get(each)) is not None)
    )
    if wanted is None or not (lists or wanted.files):
        return Blocklists(asked=False, subjects=(), healthy=0, lists=(), listings=(), began=(), ended=())
    addresses, names = _addresses(ctx), _names(ctx)
    asked = await asyncio.gather(*(_of_zone(ctx, each, wanted, addresses, names) for each in lists))
    asked += [_of_file(each, {**addresses, **names}, wanted) for each in wanted.files]
    items = tuple(each.item for each in asked)
    began, ended = _changes(wanted, asked)
    return Blocklists(
        asked=True,
        subjects=(*addresses, *names),
        healthy=sum(each.health == ListHealth.HEALTHY.value for each in items),
        lists=items,
        listings=tuple(each for found in asked for each in found.listings),
        began=began,
        ended=ended,
        evidence=cite(*(ident for each in items for ident in each.evidence), began=(), ended=()),
    )


# --- whom to ask about ------------------------------------------------------------------------------------------------


def _addresses(ctx: Context) -> Roles:
    """The sending addresses, but for those that no list can have."""
    found = (each.ip for each in if_known(ctx.of(SendingHosts).ips) or ())
    outside = (each for each in found if each and not any(ip_address(each) in network for network in _INSIDE))
    return dict.fromkeys([*dict.fromkeys(outside)][:MAX_ADDRESSES], ListedRole.SENDING_IP)


def _names(ctx: Context) -> Roles:
    """The names that the mail is sent with, each once, the most telling first."""
    html, ips = ctx.of(Html), if_known(ctx.of(SendingHosts).ips) or ()
    bare = set(if_known(html.ip_links) or ())
    roles: dict[str, ListedRole] = {}
    for role, names in (
        (ListedRole.FROM, [if_known(ctx.of(Message).from_domain) or ctx.subject.domain]),
        (ListedRole.MAIL_FROM, [if_known(ctx.of(Envelope).mail_from_domain) or ""]),
        (ListedRole.DKIM, [each.domain or "" for each in if_known(ctx.of(Dkim).signatures) or ()]),
        (ListedRole.PTR, [if_known(each.name) or "" for each in ips]),
        (ListedRole.LINKS, [each.host for each in if_known(html.link_hosts) or ()]),
    ):
        for name in names:
            if "." in name and name not in bare and not name.startswith("["):
                roles.setdefault(name.lower().rstrip("."), role)
    return dict([*roles.items()][:MAX_NAMES])


def _subjects(blocklist: BlockList, addresses: Roles, names: Roles) -> Roles:
    """Those of them that the list is asked about, as it lists them."""
    if blocklist.kind is ListedKind.NAME:
        fitting = ((name, role) for name, role in names.items() if role in blocklist.asks)
        found: dict[str, ListedRole] = {}
        for name, role in fitting:
            found.setdefault(registrable_domain(name) if blocklist.registrable else name, role)
        return found
    version = 4 if blocklist.kind is ListedKind.IP4 else 6
    return {each: role for each, role in addresses.items() if ip_address(each).version == version}


# --- asking -----------------------------------------------------------------------------------------------------------


async def _of_zone(ctx: Context, blocklist: BlockList, wanted: ListsWanted, addresses: Roles, names: Roles) -> _Asked:
    subjects = _subjects(blocklist, addresses, names)
    state = not_asked(blocklist, wanted.keys, wanted.public_resolver)
    if state is None and not subjects:
        state = _no_subject(ctx, blocklist)
    if state is not None:
        return _result(blocklist, ListAnswers(state, {}), {}, {}, (), wanted)
    ids: dict[str, bool] = {}
    ask = _asking(ctx, ids)
    zone = zone_of(blocklist, wanted.keys)
    day = ctx.now.date().isoformat()
    answers = await ask_list(blocklist, zone, tuple(subjects), day, ask)
    texts = {}
    for subject, found in answers.subjects.items():
        if isinstance(found, ListEntry):
            reply = await ask(question(blocklist, zone, subject), "TXT")
            texts[subject] = reply.values[0][:MAX_TEXT] if isinstance(reply, Found) and reply.values else None
    return _result(blocklist, answers, subjects, texts, _few(ctx, ids), wanted)


def _no_subject(ctx: Context, blocklist: BlockList) -> ListState:
    """That there is nothing to ask about; of addresses that nobody named, which input would change that."""
    ips = ctx.of(SendingHosts).ips
    unknown = Unknown(Reason.NOT_CONFIGURED, NOTHING_TO_ASK())
    if blocklist.kind is not ListedKind.NAME and isinstance(ips, Unknown):
        unknown = (
            ips if ips.reason is not Reason.NO_MESSAGE else Unknown(Reason.NOT_CONFIGURED, needs(Input.SENDING_IP))
        )
    return ListState(ListHealth.NOT_ASKED, NOTHING_TO_ASK(), unknown)


def _asking(ctx: Context, ids: dict[str, bool]) -> AskDns:
    """Asks by the ports and notes the ids of the evidence, each with whether it found nothing."""
    resolver = ctx.ports.lists or ctx.ports.dns

    async def ask(name: str, rdtype: str) -> Answer:
        answer = await resolver.query(name, rdtype)
        ids[ctx.cite_answer(answer)] = isinstance(answer, Absent)
        return answer

    return ask


def _few(ctx: Context, ids: Mapping[str, bool]) -> tuple[str, ...]:
    """The evidence; of what is not on the list only some is kept."""
    absent = [ident for ident, nothing in ids.items() if nothing]
    for ident in absent[_ABSENT_CITED:]:
        ctx.evidence.pop(ident, None)
    return tuple(ident for ident in ids if ident in ctx.evidence)


def _result(
    blocklist: BlockList,
    answers: ListAnswers,
    subjects: Roles,
    texts: Mapping[str, str | None],
    ids: Sequence[str],
    wanted: ListsWanted,
) -> _Asked:
    listings: list[Listing] = []
    by_weight: dict[ListWeight, list[str]] = {weight: [] for weight in ListWeight}
    for subject, found in answers.subjects.items():
        if not isinstance(found, ListEntry):
            continue
        weights = [code.weight for code in found.codes]
        for weight in dict.fromkeys(weights):
            by_weight[weight].append(subject)
        listings.append(
            Listing(
                list=blocklist.id,
                subject=subject,
                kind=subjects[subject].value,
                codes=found.answers,
                meaning=found.codes[0].key,
                weight=min(weights, key=list(ListWeight).index).value,
                text=texts.get(subject),
                first_seen=_since(wanted, blocklist.id, subject),
            )
        )
    unclear = next((each for each in answers.subjects.values() if isinstance(each, Unknown)), answers.state.unknown)
    sums = {weight: tuple(by_weight[weight]) or (unclear or ()) for weight in ListWeight}
    item = AskedList(
        id=blocklist.id,
        name=blocklist.name,
        operator=blocklist.operator,
        kind=blocklist.kind.value,
        health=answers.state.health.value,
        reason=answers.state.reason,
        asked=len(answers.subjects),
        answered=tuple(each for each, found in answers.subjects.items() if not isinstance(found, Unknown)),
        listed=sums[ListWeight.LISTING],
        policy=sums[ListWeight.POLICY],
        informational=sums[ListWeight.INFORMATIONAL],
        named_by=tuple(blocklist.named_by),
        evidence=tuple(ids),
    )
    return _Asked(item, tuple(listings))


def _of_file(private: PrivateList, subjects: Roles, wanted: ListsWanted) -> _Asked:
    """A list of the user's own: it is at hand, so that it always answers."""
    entries = {each: entry for each in subjects if (entry := private.entry(each)) is not None and entry.listed}
    item = AskedList(
        id=private.id,
        name=private.id.removeprefix("file:"),
        operator=PRIVATE,
        kind="any",
        health=ListHealth.HEALTHY.value,
        reason=None,
        asked=len(subjects),
        answered=tuple(subjects),
        listed=tuple(entries),
        policy=(),
        informational=(),
        named_by=(),
        evidence=(),
    )
    listings = tuple(
        Listing(
            list=private.id,
            subject=subject,
            kind=subjects[subject].value,
            codes=(),
            meaning=PRIVATE,
            weight=ListWeight.LISTING.value,
            text=entry.text or None,
            first_seen=_since(wanted, private.id, subject),
        )
        for subject, entry in entries.items()
    )
    return _Asked(item, listings)


# --- since the run before ---------------------------------------------------------------------------------------------


def _since(wanted: ListsWanted, ident: str, subject: str) -> str | None:
    seen = wanted.seen.listings if wanted.seen else ()
    return next((each.since for each in seen if (each.list, each.subject) == (ident, subject)), None)


def _changes(wanted: ListsWanted, asked: Iterable[_Asked]) -> tuple[Maybe[tuple[str, ...]], Maybe[tuple[str, ...]]]:
    """What began and what ended: only of what both runs got an answer about."""
    if wanted.seen is None:
        missing = Unknown(Reason.NOT_CONFIGURED, needs(Input.HISTORY))
        return missing, missing
    before = {(each.list, each.subject) for each in wanted.seen.listings}
    began: list[str] = []
    ended: list[str] = []
    for each in asked:
        ident, name = each.item.id, each.item.name
        now = {listing.subject for listing in each.listings}
        for subject in each.item.answered:
            was = (ident, subject)
            if was not in wanted.seen.asked or (was in before) is (subject in now):
                continue
            (began if subject in now else ended).append(f"{subject} ({name})")
    return tuple(began), tuple(ended)
