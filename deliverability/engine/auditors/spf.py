"""SPF: what each domain of the mail publishes, what it costs, and what the sending addresses get."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import lru_cache, partial
from ipaddress import ip_address, ip_network
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.codes import Detail, Input, needs
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.envelope import Envelope
from deliverability.core.facts.message import Message
from deliverability.core.facts.spf import (
    AddressResult,
    IncludeCost,
    Overlap,
    Spf,
    SpfCoverage,
    SpfIdentities,
    SpfOfAuthor,
    SpfOfDomain,
    SpfStatus,
    SpfTree,
    SpfVerdict,
    StepOutcome,
)
from deliverability.core.model.topic import Maybe, cite, if_known
from deliverability.core.names import Ranges, is_address, is_example, ranges_of
from deliverability.core.net.base import Answer, Failed, unknown_from
from deliverability.core.protocols.psl import registrable_domain
from deliverability.core.protocols.spf.coverage import Coverage, measure
from deliverability.core.protocols.spf.describe import RECORD_FACTS, describe_record, describe_tree, listed
from deliverability.core.protocols.spf.evaluate import SpfEvaluation, evaluate_spf
from deliverability.core.protocols.spf.passing import PASSING_FACTS, Allowed, describe_passing, who_passes
from deliverability.core.protocols.spf.record import BadTerm
from deliverability.core.protocols.spf.tree import FAMILIES, Tree, walk_tree
from deliverability.engine.base import Context, auditor, dns_id

MAX_OVERLAPS = 100
"""Pairs of overlapping terms that are listed."""

# Worst first. permerror before fail: it hits every address, not one. Of addresses that get the same, the first counts.
_WORST = ("permerror", "fail", "softfail", "neutral", "none", "pass")
_DECISIVE = ("permerror", "fail")


class _Cited:
    """A resolver that keeps every answer as evidence and remembers which questions were asked through it."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._asked: set[str] = set()

    async def query(self, name: str, rdtype: str) -> Answer:
        answer = await self._ctx.query(name, rdtype)
        self._asked.add(dns_id(answer.name, answer.rdtype))
        return answer

    async def close(self) -> None:
        """The resolver behind it is not ours to close."""

    @property
    def evidence(self) -> tuple[str, ...]:
        """Ids of what was asked, in an order that does not depend on which answer came first."""
        return tuple(sorted(self._asked))


class _Identity(Struct, frozen=True):
    """A domain whose SPF matters: its role in the mail, and the sender that it is evaluated for.

    `mail_from` is None for the null reverse-path (checked as postmaster@HELO, RFC 7208 section 2.4), and an Unknown
    where the sender cannot be told.
    """

    domain: str
    role: str
    used: bool | None
    mail_from: str | Unknown | None


_NO_MAIL_FROM = Unknown(Reason.NOT_CONFIGURED, needs(Input.MAIL_FROM))


class _Checked(Struct, frozen=True):
    """What the sending addresses get at one domain, in their order."""

    addresses: tuple[str, ...]
    evaluations: tuple[SpfEvaluation, ...]
    evidence: tuple[tuple[str, ...], ...]
    lost: Unknown
    """Why there is no result, where there is none."""
    guessed: bool = False
    """The mail's own MAIL FROM is not known, so that only a pass tells something about the mail."""

    @property
    def results(self) -> list[str | Unknown]:
        found = [_result(each) for each in self.evaluations]
        return [_NO_MAIL_FROM if self.guessed and each != "pass" else each for each in found]

    @property
    def worst(self) -> int | None:
        """Index of the address that stands for all, or None where there is none."""
        return _worst(self.results) if self.evaluations else None

    @property
    def asked(self) -> tuple[str, ...]:
        """Ids of the evidence of all addresses."""
        return tuple(ident for ids in self.evidence for ident in ids)

    @property
    def result(self) -> str | Unknown:
        """The result that stands for all."""
        return self.lost if self.worst is None else self.results[self.worst]

    @property
    def reason(self) -> Detail | None:
        """What decided it."""
        return None if self.worst is None else self.evaluations[self.worst].reason


@auditor("spf", Spf, SpfVerdict, SpfOfAuthor, SpfIdentities, SpfCoverage, needs=(Envelope, Message))
async def audit(ctx: Context) -> tuple[Spf, SpfVerdict, SpfOfAuthor, SpfIdentities, SpfCoverage]:
    """State what each domain of the mail publishes, what its tree costs, and what each sending address gets."""
    domain = ctx.subject.domain
    identities = _identities(ctx)
    mail_from = _envelope(ctx)[1]
    hosts = _Cited(ctx)
    resolvers = {each: _Cited(ctx) for each in (domain, *(one.domain for one in identities))}
    tried = {each: _Cited(ctx) for each in resolvers}
    example = is_example(domain)
    async with asyncio.TaskGroup() as group:
        # An evaluation goes term by term; asking for all of a tree beside it keeps it from waiting for each.
        walks = {each: group.create_task(walk_tree(each, resolver)) for each, resolver in resolvers.items()}
        senders = dict.fromkeys((mail_from, *(one.mail_from for one in identities)))
        checks = {each: group.create_task(_check(ctx, each)) for each in senders}
        trees = {each: await task for each, task in walks.items()}
        covering = group.create_task(measure(trees[domain], hosts))
        passing = {
            each: group.create_task(who_passes(tree, tried[each], example=example)) for each, tree in trees.items()
        }
    described = {each: _describe(ctx, tree, passing[each].result()) for each, tree in trees.items()}
    checked = {each: task.result() for each, task in checks.items()}
    own = resolvers[domain].evidence
    guess = _is_guess(ctx)
    items = tuple(
        SpfOfDomain(
            domain=one.domain,
            role=one.role,
            used=one.used,
            own=_same_owner(one.domain, domain),
            **described[one.domain],
            result=replace(checked[one.mail_from], guessed=guess).result,
            reason=checked[one.mail_from].reason,
            evidence=tuple(
                dict.fromkeys(
                    (
                        *resolvers[one.domain].evidence,
                        *tried[one.domain].evidence,
                        *checked[one.mail_from].asked,
                    )
                )
            ),
        )
        for one in identities
    )
    used = next((one.domain for one in identities if one.used and one.domain != domain), "")
    return (
        _record(trees[domain], described[domain], own, tried[domain].evidence),
        _verdict(ctx, replace(checked[mail_from], guessed=guess), described),
        _of_author(ctx, {one.domain: checked[one.mail_from] for one in identities}),
        _side_by_side(items, trees.get(used), resolvers[used].evidence if used else ()),
        _coverage(ctx, trees[domain], covering.result(), checked[mail_from], (*own, *hosts.evidence)),
    )


def _side_by_side(items: tuple[SpfOfDomain, ...], used: Tree | None, evidence: tuple[str, ...]) -> SpfIdentities:
    """The domains of the mail, those whose record says that they send nothing, and the tree of the one checked."""
    of_mail = [each for each in items if each.role != "domain"]
    closed = tuple(each.domain for each in of_mail if each.sends_nothing is True)
    lost = next((each.sends_nothing for each in of_mail if isinstance(each.sends_nothing, Unknown)), None)
    return SpfIdentities(
        closed_domains=closed if closed or lost is None else lost,
        identities=items,
        used_tree=_tree_of(used) if used else None,
        evidence=cite(*(ident for each in items for ident in each.evidence), used_tree=evidence),
    )


def _identities(ctx: Context) -> tuple[_Identity, ...]:
    """Each different domain whose SPF matters to the mail, the one that receivers check first."""
    audited, author, sender = ctx.subject.domain, _author(ctx), ctx.of(Envelope).mail_from_domain
    identity, mail_from = _envelope(ctx)
    beside = None if isinstance(sender, Unknown) else False
    found: dict[str, _Identity] = {}
    if isinstance(sender, str) and sender:
        found[sender] = _Identity(sender, identity, True, mail_from)
    if isinstance(author, str) and author:
        addresses = if_known(ctx.of(Message).from_addresses)
        local = (addresses[0].rpartition("@")[0] if addresses else "") or "postmaster"
        # Where nothing tells MAIL FROM, the audited domain is evaluated as what stands in for it.
        is_audited = identity == "domain" and author == audited
        found.setdefault(author, _Identity(author, "author", beside, mail_from if is_audited else f"{local}@{author}"))
    if audited:
        found.setdefault(audited, _Identity(audited, "domain", beside, f"postmaster@{audited}"))
    return tuple(found.values())


def _author(ctx: Context) -> Maybe[str | None]:
    """The author domain; without a message the audited domain stands in for it."""
    author = ctx.of(Message).from_domain
    return ctx.subject.domain if isinstance(author, Unknown) and author.reason.waits_for_input else author


def _same_owner(domain: str, audited: str) -> bool:
    return bool(audited) and registrable_domain(domain) == registrable_domain(audited)


def _describe(ctx: Context, tree: Tree, passing: Allowed) -> Mapping[str, Any]:
    measures = ctx.knowledge.measures
    senders = frozenset(ip_address(each).version for each in _addresses(ctx))
    known = ranges_of(map(ip_network, measures.sending_ranges))
    reach: Mapping[str, Any] = dict.fromkeys(PASSING_FACTS, _lost(tree))
    if tree.root.record is not None:
        own = partial(_same_owner, audited=tree.root.domain)
        rented = _rented(tuple(measures.rented_ranges.items()))
        reach = describe_passing(passing, measures.wide_ip4, known, own, rented)
    elif _lost(tree) is None:
        reach = {**reach, "widest_terms": (), "wide_ranges_below": (), "rented_terms": ()}
    return {
        **describe_record(tree, measures.wide_ip4, measures.wide_ip6, known, example=passing.example),
        **describe_tree(tree, senders),
        **reach,
    }


@lru_cache(4)
def _rented(listed: tuple[tuple[str, tuple[str, ...]], ...]) -> Mapping[str, Ranges]:
    """The ranges by provider, put together once for all domains."""
    return {provider: ranges_of(map(ip_network, networks)) for provider, networks in listed}


def _lost(tree: Tree) -> Unknown | None:
    """Why the record of its domain could not be looked up."""
    return unknown_from(tree.root.answer) if isinstance(tree.root.answer, Failed) else None


def _tree_of(tree: Tree) -> Maybe[SpfTree | None]:
    """The tree as a fact; None where there is no record."""
    return _lost(tree) or (tree.root.tree if tree.root.records else None)


def _record(tree: Tree, described: Mapping[str, Any], evidence: tuple[str, ...], tried: tuple[str, ...]) -> Spf:
    """The facts on the record of the audited domain and on its whole tree; `tried`: what who passes rests on beside."""
    root = tree.root
    own = dns_id(root.domain, "TXT")
    lost = _lost(tree)
    void = tree.void_lookups(*FAMILIES)
    stated = {name: value for name, value in described.items() if name in Spf.__struct_fields__} | {
        "void_lookups": lost or (void if root.record else None),
        "void_names": lost or listed(tree.void_names(*FAMILIES), void if isinstance(void, Unknown) else None),
    }
    of_record = {} if lost else dict.fromkeys(RECORD_FACTS, (own,))
    of_passing = {} if lost else {name: (own, *evidence, *tried) for name in PASSING_FACTS if name in stated}
    below = () if lost else evidence
    return Spf(
        domain=root.domain,
        tree=_tree_of(tree),
        **stated,
        evidence=cite(own, *below, domain=(), **of_record, **of_passing),
    )


def _coverage(
    ctx: Context,
    tree: Tree,
    coverage: Coverage,
    checked: _Checked,
    evidence: tuple[str, ...],
) -> SpfCoverage:
    """The facts on what the tree lets pass, and on what its includes cost and are good for."""
    root = tree.root
    own = dns_id(root.domain, "TXT")
    if isinstance(root.answer, Failed):
        return SpfCoverage.lost(unknown_from(root.answer), own)
    gap = coverage.gap
    costs = tuple(
        IncludeCost(target=entry.target or "", lookups=entry.total_lookups, void_lookups=entry.total_void(*FAMILIES))
        for entry in root.entries
        if not isinstance(entry.term, BadTerm)
        and entry.term.name in ("include", "redirect")
        and entry.status is not SpfStatus.DEAD
    )
    overlaps = tuple(
        Overlap(first=each.first, second=each.second, range=each.range, count=each.count)
        for each in coverage.overlaps()[:MAX_OVERLAPS]
    )
    wide = coverage.wide(ctx.knowledge.measures.wide_ip4, ctx.knowledge.measures.wide_ip6)
    return SpfCoverage(
        include_costs=tree.gap or costs,
        widest_authorised_ip6_prefix=(gap or coverage.widest_ip6) if root.record is not None else None,
        wide_ranges_in_tree=wide or gap or (),
        overlaps=overlaps or gap or (),
        spare_terms=coverage.spare() or gap or (),
        unmatched_includes=_unmatched(ctx, coverage, checked),
        evidence=cite(own, *evidence),
    )


def _unmatched(ctx: Context, coverage: Coverage, checked: _Checked) -> Maybe[tuple[str, ...]]:
    """Includes that let none of the given addresses pass; one that may do so by something unseen is not among them."""
    given = tuple(ip for ip in dict.fromkeys(ctx.subject.sending_ips) if is_address(ip))
    if not given:
        # Of one message the address is known, but not which others send.
        one = isinstance(ctx.of(Envelope).ip, str)
        return Unknown(Reason.NOT_CONFIGURED, needs(Input.SENDING_IPS if one else Input.SENDING_IP))
    if coverage.gap:
        return coverage.gap
    includes = [group for group in coverage.groups if group.include is not None]
    # An evaluation knows what macros and exists come to, as far as it went.
    traces = [each.trace for each in checked.evaluations if each.domain == ctx.subject.domain]
    steps = [step for trace in traces for step in trace.steps]
    matched = {step.term for step in steps if step.outcome is StepOutcome.MATCH}
    missed = [{step.term for step in each.steps if step.outcome is StepOutcome.NO_MATCH} for each in traces]
    refuted = set.intersection(*missed) if len(traces) == len(given) else set()
    return tuple(
        group.term
        for group in includes
        if group.term not in matched
        and (group.term in refuted or not (group.opaque or any(group.covers(ip) for ip in given)))
    )


def _addresses(ctx: Context) -> tuple[str, ...]:
    """The addresses to evaluate: those given, else the one the message came from."""
    seen = ctx.of(Envelope).ip
    candidates = ctx.subject.sending_ips or ((seen,) if isinstance(seen, str) else ())
    return tuple(dict.fromkeys(ip for ip in candidates if is_address(ip)))


async def _check(ctx: Context, mail_from: str | Unknown | None) -> _Checked:
    """What each sending address gets with this MAIL FROM; None is the null reverse-path, checked by HELO."""
    addresses = _addresses(ctx)
    if isinstance(mail_from, Unknown):
        return _Checked(addresses, (), (), mail_from)
    lost = Unknown(Reason.NOT_CONFIGURED, needs(Input.SENDING_IP))
    if not addresses:
        return _Checked((), (), (), lost)
    resolvers = [_Cited(ctx) for _ in addresses]
    timestamp, helo = int(ctx.now.timestamp()), if_known(ctx.of(Envelope).helo) or ""
    evaluations = await asyncio.gather(
        *(
            evaluate_spf(ip, mail_from, helo, resolver, timestamp=timestamp)
            for ip, resolver in zip(addresses, resolvers, strict=True)
        )
    )
    return _Checked(addresses, tuple(evaluations), tuple(each.evidence for each in resolvers), lost)


def _verdict(ctx: Context, checked: _Checked, described: Mapping[str, Mapping[str, Any]]) -> SpfVerdict:
    """What each sending address gets for MAIL FROM, and the worst of it."""
    worst = checked.worst
    if worst is None:
        return SpfVerdict.lost(checked.lost)
    addresses, evaluations, results = checked.addresses, checked.evaluations, checked.results
    unknown = next((result for result in results if isinstance(result, Unknown)), None)
    failing = tuple(
        ip for ip, result in zip(addresses, results, strict=True) if isinstance(result, str) and result != "pass"
    )
    evaluation, result = evaluations[worst], results[worst]
    record = described.get(evaluation.domain or "", {})
    explained = record.get("present") is False or record.get("valid") is False
    return SpfVerdict(
        result=result,
        result_reason=evaluation.reason,
        result_ip=addresses[worst],
        result_domain=evaluation.domain,
        result_identity=_envelope(ctx)[0],
        result_explained=result if isinstance(result, Unknown) else explained,
        results=tuple(
            AddressResult(ip=ip, result=each, reason=evaluated.reason)
            for ip, each, evaluated in zip(addresses, results, evaluations, strict=True)
        ),
        failing_ips=failing if unknown is None else unknown,
        explanation=evaluation.explanation,
        trace=evaluation.trace,
        evidence=cite(*checked.evidence[worst], results=checked.asked, failing_ips=checked.asked),
    )


def _of_author(ctx: Context, checks: Mapping[str, _Checked]) -> SpfOfAuthor:
    """Whether From and MAIL FROM have different domains, and what SPF of the former says."""
    author, sender = _author(ctx), ctx.of(Envelope).mail_from_domain
    if not isinstance(author, str):
        return SpfOfAuthor(author_differs=author, author_result=author)
    checked = checks[author]
    return SpfOfAuthor(
        author_differs=sender if isinstance(sender, Unknown) else sender != author,
        author_result=checked.result,
        evidence=cite(author_result=() if checked.worst is None else checked.evidence[checked.worst]),
    )


def _envelope(ctx: Context) -> tuple[str, str | Unknown | None]:
    """Which identity is checked, with MAIL FROM for it; an Unknown where the identity cannot be told.

    The null reverse-path (None) is checked as postmaster@HELO (RFC 7208 section 2.4). Where nothing tells MAIL FROM,
    the audited domain itself stands in for it.
    """
    mail_from, helo = ctx.of(Envelope).mail_from, ctx.of(Envelope).helo
    if isinstance(mail_from, Unknown) and not mail_from.reason.waits_for_input:
        return "mail-from", mail_from
    if isinstance(mail_from, str) and mail_from:
        return "mail-from", mail_from
    if mail_from == "":
        missing = helo if isinstance(helo, Unknown) else Unknown(Reason.NOT_CONFIGURED, needs(Input.HELO))
        return "helo", None if if_known(helo) else missing
    return "domain", f"postmaster@{ctx.subject.domain}"


def _is_guess(ctx: Context) -> bool:
    """Whether there is a mail, and nothing tells its MAIL FROM: a domain that stands in for it may not be its own."""
    message = ctx.of(Message).from_domain
    without = isinstance(message, Unknown) and message.reason.waits_for_input
    return _envelope(ctx)[0] == "domain" and not without


def _result(evaluation: SpfEvaluation) -> str | Unknown:
    """The result as a value; a temperror is no verdict on the domain but a look-up that failed."""
    if evaluation.failure is not None:
        return unknown_from(evaluation.failure)
    return evaluation.result.value


def _worst(results: list[str | Unknown]) -> int:
    """Index of the result that stands for all: a certain failure, else one that is unknown, else the worst."""

    def rank(index: int) -> int:
        result = results[index]
        if isinstance(result, Unknown):
            return len(_DECISIVE)
        place = _WORST.index(result)
        return place if result in _DECISIVE else place + 1

    return min(range(len(results)), key=rank)
