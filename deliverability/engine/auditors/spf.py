"""SPF: what each domain of the mail publishes, what it costs, and what the sending addresses get."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.codes import Input, needs
from deliverability.core.facts.base import FactSpec, FactType, Reason, Unknown, Value, text_of, texts_of
from deliverability.core.model.spf import SpfStatus, StepOutcome, plain
from deliverability.core.names import is_address, is_example, ranges_of
from deliverability.core.net.base import Answer, Failed, unknown_from
from deliverability.core.protocols.psl import registrable_domain
from deliverability.core.protocols.spf.coverage import measure
from deliverability.core.protocols.spf.describe import RECORD_FACTS, describe_record, describe_tree, listed
from deliverability.core.protocols.spf.evaluate import evaluate_spf
from deliverability.core.protocols.spf.passing import PASSING_FACTS, describe_passing, who_passes
from deliverability.core.protocols.spf.record import BadTerm
from deliverability.core.protocols.spf.tree import FAMILIES, walk_tree
from deliverability.engine.base import Context, auditor, dns_id, spec

if TYPE_CHECKING:
    from deliverability.core.protocols.spf.coverage import Coverage
    from deliverability.core.protocols.spf.evaluate import SpfEvaluation
    from deliverability.core.protocols.spf.passing import Allowed
    from deliverability.core.protocols.spf.tree import Tree

_RESULTS = ("pass", "fail", "softfail", "neutral", "none", "permerror", "temperror")

# Fields that say the same of the audited domain (spf.NAME) and of each identity (spf.identities[].NAME).
_RECORD = (
    spec("present", FactType.BOOL, "At least one SPF record (v=spf1) is published."),
    spec("records", FactType.LIST_STR, "All SPF records at the domain."),
    spec("record_count", FactType.INT, "Number of SPF records.", unit="records"),
    spec("record", FactType.STR, "The SPF record, where there is exactly one.", optional=True),
    spec(
        "lookalikes",
        FactType.LIST_STR,
        "TXT records that were meant as SPF but are not: leading blank, smart quotes, wrong version.",
    ),
    spec(
        "valid",
        FactType.BOOL,
        "The whole tree has no error: syntax, missing targets, limits (void look-ups: of the sending addresses, "
        "of IPv4 where none is known).",
        optional=True,
    ),
    spec(
        "syntax_errors",
        FactType.LIST_DETAIL,
        "Terms of the tree that cannot be parsed, each with its domain where it is not this one.",
    ),
    spec(
        "lookups", FactType.INT, "Terms that query DNS, over all includes and redirects.", unit="lookups", optional=True
    ),
    spec(
        "lookups_at_least",
        FactType.INT,
        "Those that are known: the same number, or a lower bound where a part of the tree could not be looked at.",
        unit="lookups",
        optional=True,
    ),
    spec(
        "lookups_left",
        FactType.INT,
        "Look-ups left below the limit of ten; negative where there are too many.",
        unit="lookups",
        optional=True,
    ),
    spec(
        "void_lookups_ip4",
        FactType.INT,
        "Look-ups of the tree that find nothing where the sending address is IPv4 (`a` asks for A).",
        unit="lookups",
        optional=True,
    ),
    spec(
        "void_lookups_ip6",
        FactType.INT,
        "Look-ups of the tree that find nothing where the sending address is IPv6 (`a` asks for AAAA).",
        unit="lookups",
        optional=True,
    ),
    spec("void_names_ip6", FactType.LIST_STR, "Names that find nothing where the sending address is IPv6."),
    spec("dead_names", FactType.LIST_STR, "Names that find nothing whatever the sending address, with the question."),
    spec("broken_includes", FactType.LIST_STR, "include and redirect targets without exactly one SPF record."),
    spec("loops", FactType.LIST_STR, "Domains that include themselves, directly or not."),
    spec("mx_overflow", FactType.LIST_STR, "mx terms with more than ten hosts."),
    spec(
        "all",
        FactType.STR,
        "Qualifier of `all` (of the redirect target where the record has none).",
        optional=True,
        values=["+", "-", "~", "?"],
    ),
    spec("redirect", FactType.STR, "Target of an effective redirect.", optional=True),
    spec("includes", FactType.LIST_STR, "Targets of include at the first level."),
    spec("uses_ptr", FactType.BOOL, "A ptr term is in the tree."),
    spec("dead_terms", FactType.LIST_STR, "Terms after `all`, and a redirect beside `all`: never evaluated."),
    spec(
        "unknown_modifiers",
        FactType.LIST_STR,
        "Terms of the domain's own record that receivers ignore as unknown modifiers: a second v=spf1, ip4=...",
    ),
    spec(
        "mistyped",
        FactType.LIST_DETAIL,
        "Those of them that were meant as mechanisms (include=, ip4=, a=), each with the term that was meant.",
    ),
    spec("record_octets", FactType.INT, "Octets of the SPF record.", unit="octets", optional=True),
    spec("answer_octets", FactType.INT, "Octets of the domain name and all its TXT records together.", unit="octets"),
    spec(
        "longest_string_octets",
        FactType.INT,
        "Longest character-string of the SPF record.",
        unit="octets",
        optional=True,
    ),
    spec(
        "wide_ranges",
        FactType.LIST_STR,
        "Ranges of the domain's own record that are wider than most senders have (rules/measures.yaml).",
    ),
    spec("widest_ip4_prefix", FactType.INT, "Prefix length of the widest own IPv4 range.", unit="bits", optional=True),
    spec(
        "private_ranges",
        FactType.LIST_STR,
        "ip4 and ip6 terms of the domain's own record that list only private or reserved addresses (RFC 6890).",
    ),
    spec("sends_nothing", FactType.BOOL, "The record authorizes nobody (v=spf1 -all)."),
    spec(
        "authorised_ip4",
        FactType.INT,
        "Different IPv4 addresses that the whole tree lets pass: what is denied before does not count. Unknown where a "
        "part of the tree could not be looked at, but for a number that is far too high already.",
        unit="addresses",
        optional=True,
    ),
    spec(
        "authorised_ip6_prefix",
        FactType.INT,
        "Prefix length of one range as large as all public IPv6 addresses (2000::/3) that the whole tree lets pass.",
        unit="bits",
        optional=True,
    ),
    spec(
        "authorises_nobody",
        FactType.BOOL,
        "No address from which mail can come over the internet passes, by any term of the whole tree.",
        optional=True,
    ),
)

# Of each identity only.
_REACH = (
    spec(
        "late_ip6",
        FactType.BOOL,
        "IPv6 addresses are listed only behind the third look-up that finds nothing for IPv6 senders: there receivers "
        "stop.",
        optional=True,
    ),
    spec(
        "widest_terms",
        FactType.LIST_DETAIL,
        "The terms of the whole tree that let the most pass, each with the domain whose record holds it.",
    ),
    spec("widest_domain", FactType.STR, "The domain whose record holds the first of them.", optional=True),
    spec("widest_via", FactType.STR, "The term of the domain's own record that leads to it.", optional=True),
    spec("widest_is_own", FactType.BOOL, "It stands in a record of the same organizational domain.", optional=True),
    spec(
        "wide_ranges_below",
        FactType.LIST_STR,
        "Terms of included records that let more IPv4 addresses pass than most senders have, each with its domain; the "
        "published ranges of large services are left out (rules/measures.yaml).",
    ),
)

_OWN = (
    spec("spf.domain", FactType.STR, "Domain whose record is described: the audited domain."),
    *(replace(each, path=f"spf.{each.path}") for each in _RECORD),
    spec(
        "spf.void_lookups",
        FactType.INT,
        "Look-ups of the tree that find nothing: the larger of the numbers for IPv4 and for IPv6 senders.",
        unit="lookups",
        optional=True,
    ),
    spec(
        "spf.void_names", FactType.LIST_STR, "Names that find nothing for IPv4 or for IPv6 senders, with the question."
    ),
    spec(
        "spf.tree",
        FactType.TREE,
        "The include/redirect tree: domain, record, terms with what each costs and what below it costs.",
        optional=True,
    ),
    spec(
        "spf.result",
        FactType.STR,
        "Result for the sending address and MAIL FROM (the worst where several addresses were given).",
        values=_RESULTS,
    ),
    spec("spf.result_reason", FactType.DETAIL, "What decided it: the matching term, or the error.", optional=True),
    spec("spf.result_ip", FactType.STR, "Sending address it was evaluated for."),
    spec("spf.result_domain", FactType.STR, "Domain it was evaluated for.", optional=True),
    spec(
        "spf.result_identity",
        FactType.STR,
        "Identity it was evaluated for.",
        optional=True,
        values=["mail-from", "helo", "domain"],
    ),
    spec(
        "spf.result_explained",
        FactType.BOOL,
        "The record of that domain is missing or certainly broken: rules on records say so.",
    ),
    spec("spf.results", FactType.LIST_RECORD, "The same for each sending address.", key=["ip"]),
    spec("spf.results[].ip", FactType.STR, "Sending address."),
    spec("spf.results[].result", FactType.STR, "SPF result.", values=_RESULTS),
    spec("spf.results[].reason", FactType.DETAIL, "What decided it.", optional=True),
    spec("spf.failing_ips", FactType.LIST_STR, "Sending addresses that do not pass."),
    spec("spf.explanation", FactType.STR, "The domain's own text for a fail (exp).", optional=True),
    spec(
        "spf.trace",
        FactType.TREE,
        "How spf.result came about: domain, record, result, reason, steps (term, outcome, detail, cost, nested).",
    ),
    spec(
        "spf.author_differs",
        FactType.BOOL,
        "The author domain (the audited domain where there is no message) is another than that of MAIL FROM; none "
        "where the message has no author.",
        optional=True,
    ),
    spec(
        "spf.author_result",
        FactType.STR,
        "Result for the sending address against the author domain's own record (the worst of several addresses).",
        optional=True,
        values=_RESULTS,
    ),
)

_IDENTITIES = (
    spec(
        "spf.closed_domains",
        FactType.LIST_STR,
        "Domains of MAIL FROM and From (the audited one where there is no message) whose record allows nobody.",
    ),
    spec(
        "spf.identities",
        FactType.LIST_RECORD,
        "Each different domain whose SPF matters: of MAIL FROM (HELO where it is empty), of From, and the audited one.",
        key=["domain"],
    ),
    spec("spf.identities[].domain", FactType.STR, "The domain."),
    spec(
        "spf.identities[].role",
        FactType.STR,
        "What it is in the mail, the first of these that it is; author also where there is no message.",
        values=["mail-from", "helo", "author", "domain"],
    ),
    spec(
        "spf.identities[].used",
        FactType.BOOL,
        "Receivers check SPF of this mail against it; none where the envelope is not known.",
        optional=True,
    ),
    spec("spf.identities[].own", FactType.BOOL, "It belongs to the owner of the audited domain (public suffix list)."),
    *(replace(each, path=f"spf.identities[].{each.path}") for each in (*_RECORD, *_REACH)),
    spec(
        "spf.identities[].void_lookups",
        FactType.INT,
        "Look-ups that find nothing for the sending addresses (of both families the worst; IPv4 where none is known).",
        unit="lookups",
        optional=True,
    ),
    spec(
        "spf.identities[].void_at_least",
        FactType.INT,
        "Those that are known: the same number, or a lower bound where a part of the tree could not be looked at.",
        unit="lookups",
        optional=True,
    ),
    spec("spf.identities[].void_names", FactType.LIST_STR, "Names that those look-ups ask for, with the question."),
    spec(
        "spf.identities[].result",
        FactType.STR,
        "SPF result of the sending address against it (the worst of several addresses).",
        values=_RESULTS,
    ),
    spec("spf.identities[].reason", FactType.DETAIL, "What decided it.", optional=True),
    spec("spf.identities[].evidence", FactType.LIST_STR, "Ids of the evidence for this domain."),
    spec(
        "spf.used_tree",
        FactType.TREE,
        "As spf.tree, of the domain that receivers check this mail's SPF against, where it is not the audited one.",
        optional=True,
    ),
)

_COVERAGE = (
    spec(
        "spf.include_costs",
        FactType.LIST_RECORD,
        "What each include and redirect of the record costs, everything below it counted.",
        key=["target"],
    ),
    spec("spf.include_costs[].target", FactType.STR, "Domain it leads to."),
    spec("spf.include_costs[].lookups", FactType.INT, "Look-ups, its own one included.", unit="lookups"),
    spec(
        "spf.include_costs[].void_lookups",
        FactType.INT,
        "Look-ups that find nothing whatever the sending address.",
        unit="lookups",
    ),
    spec(
        "spf.widest_authorised_ip6_prefix",
        FactType.INT,
        "Prefix length of the widest IPv6 range over the whole tree.",
        unit="bits",
        optional=True,
    ),
    spec(
        "spf.wide_ranges_in_tree",
        FactType.LIST_STR,
        "The same anywhere in the tree, each with the domain whose record lists it.",
    ),
    spec(
        "spf.overlaps",
        FactType.LIST_RECORD,
        "Terms of the record that let the same addresses pass, in pairs.",
        key=["first", "second"],
    ),
    spec("spf.overlaps[].first", FactType.STR, "The earlier term."),
    spec("spf.overlaps[].second", FactType.STR, "The later term."),
    spec("spf.overlaps[].range", FactType.STR, "The widest range that both let pass."),
    spec("spf.overlaps[].count", FactType.INT, "Ranges that both let pass.", unit="ranges"),
    spec(
        "spf.spare_terms",
        FactType.LIST_STR,
        "Terms that cost look-ups and let no address pass that the rest of the record does not.",
    ),
    spec(
        "spf.unmatched_includes",
        FactType.LIST_STR,
        "Includes of the record that none of the sending addresses given needs.",
    ),
)
PROVIDES: tuple[FactSpec, ...] = (*_OWN, *_IDENTITIES, *_COVERAGE)

NEEDS = (
    *("envelope.mail_from", "envelope.mail_from_domain", "envelope.helo", "envelope.ip"),
    *("message.from_domain", "message.from_addresses"),
)

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


@auditor("spf", provides=PROVIDES, needs=NEEDS)
async def audit(ctx: Context) -> None:
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
    ctx.put("spf.domain", domain)
    _state_tree(ctx, trees[domain], described[domain], own, tried[domain].evidence)
    guess = _is_guess(ctx)
    _state_results(ctx, replace(checked[mail_from], guessed=guess), described)
    _state_author(ctx, {one.domain: checked[one.mail_from] for one in identities})
    _state_coverage(ctx, trees[domain], covering.result(), checked[mail_from], (*own, *hosts.evidence))
    items: list[Value] = []
    evidence: list[str] = []
    for one in identities:
        got = checked[one.mail_from]
        asked = tuple(dict.fromkeys((*resolvers[one.domain].evidence, *tried[one.domain].evidence, *got.asked)))
        evidence.extend(asked)
        items.append(
            {
                "domain": one.domain,
                "role": one.role,
                "used": one.used,
                "own": _same_owner(one.domain, domain),
                **described[one.domain],
                "result": replace(got, guessed=guess).result,
                "reason": None if got.worst is None else got.evaluations[got.worst].reason,
                "evidence": asked,
            }
        )
    ctx.put("spf.identities", tuple(items), *evidence)
    used = next((one.domain for one in identities if one.used and one.domain != domain), "")
    if used:
        ctx.put("spf.used_tree", _tree_of(trees[used]), *resolvers[used].evidence)
    else:
        ctx.put("spf.used_tree", None)
    _state_closed(ctx, {one.domain: described[one.domain] for one in identities if one.role != "domain"}, evidence)


def _state_closed(ctx: Context, described: Mapping[str, Mapping[str, Value]], evidence: Sequence[str]) -> None:
    """The domains of the mail whose record says that they send nothing."""
    closed = tuple(domain for domain, record in described.items() if record["sends_nothing"] is True)
    lost = next((each for record in described.values() if isinstance(each := record["sends_nothing"], Unknown)), None)
    ctx.put("spf.closed_domains", closed if closed or lost is None else lost, *evidence)


def _identities(ctx: Context) -> tuple[_Identity, ...]:
    """Each different domain whose SPF matters to the mail, the one that receivers check first."""
    audited, author, sender = ctx.subject.domain, _author(ctx), ctx.value("envelope.mail_from_domain")
    identity, mail_from = _envelope(ctx)
    beside = None if isinstance(sender, Unknown) else False
    found: dict[str, _Identity] = {}
    if isinstance(sender, str) and sender:
        found[sender] = _Identity(sender, identity, True, mail_from)
    if isinstance(author, str) and author:
        addresses = texts_of(ctx.value("message.from_addresses"))
        local = (addresses[0].rpartition("@")[0] if addresses else "") or "postmaster"
        # Where nothing tells MAIL FROM, the audited domain is evaluated as what stands in for it.
        is_audited = identity == "domain" and author == audited
        found.setdefault(author, _Identity(author, "author", beside, mail_from if is_audited else f"{local}@{author}"))
    if audited:
        found.setdefault(audited, _Identity(audited, "domain", beside, f"postmaster@{audited}"))
    return tuple(found.values())


def _author(ctx: Context) -> Value:
    """The author domain; without a message the audited domain stands in for it."""
    author = ctx.value("message.from_domain")
    return ctx.subject.domain if isinstance(author, Unknown) and author.reason.waits_for_input else author


def _same_owner(domain: str, audited: str) -> bool:
    return bool(audited) and registrable_domain(domain) == registrable_domain(audited)


def _describe(ctx: Context, tree: Tree, passing: Allowed) -> Mapping[str, Value]:
    measures = ctx.knowledge.measures
    senders = frozenset(ip_address(each).version for each in _addresses(ctx))
    known = ranges_of(map(ip_network, measures.sending_ranges))
    reach: Mapping[str, Value] = dict.fromkeys(PASSING_FACTS, _lost(tree))
    if tree.root.record is not None:
        own = partial(_same_owner, audited=tree.root.domain)
        reach = describe_passing(passing, measures.wide_ip4, known, own)
    elif _lost(tree) is None:
        reach = {**reach, "widest_terms": (), "wide_ranges_below": ()}
    return {
        **describe_record(tree, measures.wide_ip4, measures.wide_ip6, known, example=passing.example),
        **describe_tree(tree, senders),
        **reach,
    }


def _lost(tree: Tree) -> Unknown | None:
    """Why the record of its domain could not be looked up."""
    return unknown_from(tree.root.answer) if isinstance(tree.root.answer, Failed) else None


def _tree_of(tree: Tree) -> Value | Unknown:
    """The tree as a fact; None where there is no record."""
    return _lost(tree) or (plain(tree.root.tree) if tree.root.records else None)


def _state_tree(
    ctx: Context, tree: Tree, described: Mapping[str, Value], evidence: tuple[str, ...], tried: tuple[str, ...]
) -> None:
    """The facts on the record of the audited domain and on its whole tree; `tried`: what who passes rests on beside."""
    root = tree.root
    own = dns_id(root.domain, "TXT")
    lost = _lost(tree)
    void = tree.void_lookups(*FAMILIES)
    values = {each.path: described[each.path] for each in _RECORD} | {
        "void_lookups": lost or (void if root.record else None),
        "void_names": lost or listed(tree.void_names(*FAMILIES), void if isinstance(void, Unknown) else None),
        "tree": _tree_of(tree),
    }
    for name, value in values.items():
        below = () if name in RECORD_FACTS or lost else evidence
        ctx.put(f"spf.{name}", value, own, *below, *(tried if name in PASSING_FACTS and not lost else ()))


def _state_coverage(
    ctx: Context,
    tree: Tree,
    coverage: Coverage,
    checked: _Checked,
    evidence: tuple[str, ...],
) -> None:
    """The facts on what the tree lets pass, and on what its includes cost and are good for."""
    root = tree.root
    paths = tuple(each.path for each in _COVERAGE if "[]" not in each.path)
    if isinstance(root.answer, Failed):
        ctx.put_all(dict.fromkeys(paths, unknown_from(root.answer)), dns_id(root.domain, "TXT"))
        return
    gap = coverage.gap
    has_record = root.record is not None
    costs: list[Value] = [
        {"target": entry.target or "", "lookups": entry.total_lookups, "void_lookups": entry.total_void(*FAMILIES)}
        for entry in root.entries
        if not isinstance(entry.term, BadTerm)
        and entry.term.name in ("include", "redirect")
        and entry.status is not SpfStatus.DEAD
    ]
    overlaps: list[Value] = [
        {"first": each.first, "second": each.second, "range": each.range, "count": each.count}
        for each in coverage.overlaps()[:MAX_OVERLAPS]
    ]
    wide = coverage.wide(ctx.knowledge.measures.wide_ip4, ctx.knowledge.measures.wide_ip6)
    ctx.put_all(
        {
            "spf.include_costs": tree.gap or tuple(costs),
            "spf.widest_authorised_ip6_prefix": (gap or coverage.widest_ip6) if has_record else None,
            "spf.wide_ranges_in_tree": wide or gap or (),
            "spf.overlaps": tuple(overlaps) or gap or (),
            "spf.spare_terms": coverage.spare() or gap or (),
            "spf.unmatched_includes": _unmatched(ctx, coverage, checked),
        },
        dns_id(root.domain, "TXT"),
        *evidence,
    )


def _unmatched(ctx: Context, coverage: Coverage, checked: _Checked) -> Value:
    """Includes that let none of the given addresses pass; one that may do so by something unseen is not among them."""
    given = tuple(ip for ip in dict.fromkeys(ctx.subject.sending_ips) if is_address(ip))
    if not given:
        # Of one message the address is known, but not which others send.
        one = isinstance(ctx.value("envelope.ip"), str)
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
    seen = ctx.value("envelope.ip")
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
    timestamp, helo = int(ctx.now.timestamp()), text_of(ctx.value("envelope.helo"))
    evaluations = await asyncio.gather(
        *(
            evaluate_spf(ip, mail_from, helo, resolver, timestamp=timestamp)
            for ip, resolver in zip(addresses, resolvers, strict=True)
        )
    )
    return _Checked(addresses, tuple(evaluations), tuple(each.evidence for each in resolvers), lost)


def _state_results(ctx: Context, checked: _Checked, described: Mapping[str, Mapping[str, Value]]) -> None:
    """What each sending address gets for MAIL FROM, and the worst of it."""
    worst = checked.worst
    if worst is None:
        paths = (
            *("result", "result_reason", "result_ip", "result_domain", "result_identity", "result_explained"),
            *("results", "failing_ips", "explanation", "trace"),
        )
        ctx.put_all({f"spf.{path}": checked.lost for path in paths})
        return
    addresses, evaluations, results = checked.addresses, checked.evaluations, checked.results
    evidence = checked.asked
    ctx.put(
        "spf.results",
        tuple(
            {"ip": ip, "result": result, "reason": evaluation.reason}
            for ip, result, evaluation in zip(addresses, results, evaluations, strict=True)
        ),
        *evidence,
    )
    unknown = next((result for result in results if isinstance(result, Unknown)), None)
    failing = tuple(
        ip for ip, result in zip(addresses, results, strict=True) if isinstance(result, str) and result != "pass"
    )
    ctx.put("spf.failing_ips", failing if unknown is None else unknown, *evidence)
    evaluation, result = evaluations[worst], results[worst]
    record = described.get(evaluation.domain, {})
    explained = record.get("present") is False or record.get("valid") is False
    ctx.put_all(
        {
            "spf.result": result,
            "spf.result_reason": evaluation.reason,
            "spf.result_ip": addresses[worst],
            "spf.result_domain": evaluation.domain,
            "spf.result_identity": _envelope(ctx)[0],
            "spf.result_explained": result if isinstance(result, Unknown) else explained,
            "spf.explanation": evaluation.explanation,
            "spf.trace": plain(evaluation.trace),
        },
        *checked.evidence[worst],
    )


def _state_author(ctx: Context, checks: Mapping[str, _Checked]) -> None:
    """Whether From and MAIL FROM have different domains, and what SPF of the former says."""
    author, sender = _author(ctx), ctx.value("envelope.mail_from_domain")
    if not isinstance(author, str):
        ctx.put_all(dict.fromkeys(("spf.author_differs", "spf.author_result"), author))
        return
    ctx.put("spf.author_differs", sender if isinstance(sender, Unknown) else sender != author)
    checked = checks[author]
    ids = () if checked.worst is None else checked.evidence[checked.worst]
    ctx.put("spf.author_result", checked.result, *ids)


def _envelope(ctx: Context) -> tuple[str, str | Unknown | None]:
    """Which identity is checked, with MAIL FROM for it; an Unknown where the identity cannot be told.

    The null reverse-path (None) is checked as postmaster@HELO (RFC 7208 section 2.4). Where nothing tells MAIL FROM,
    the audited domain itself stands in for it.
    """
    mail_from, helo = ctx.value("envelope.mail_from"), ctx.value("envelope.helo")
    if isinstance(mail_from, Unknown) and not mail_from.reason.waits_for_input:
        return "mail-from", mail_from
    if isinstance(mail_from, str) and mail_from:
        return "mail-from", mail_from
    if mail_from == "":
        missing = helo if isinstance(helo, Unknown) else Unknown(Reason.NOT_CONFIGURED, needs(Input.HELO))
        return "helo", None if text_of(helo) else missing
    return "domain", f"postmaster@{ctx.subject.domain}"


def _is_guess(ctx: Context) -> bool:
    """Whether there is a mail, and nothing tells its MAIL FROM: a domain that stands in for it may not be its own."""
    message = ctx.value("message.from_domain")
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
