"""SPF: what the domain publishes, what it costs, and what the sending addresses get.

May import auditors.base, model, ports and the protocol cores.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from deliverability.auditors.base import Context, auditor, dns_id, spec, unknown_from
from deliverability.model.facts import FactSpec, FactType, Reason, Unknown, Value
from deliverability.ports.base import Answer, Failed, Found
from deliverability.spf.names import is_address

if TYPE_CHECKING:
    from deliverability.spf.coverage import Coverage
    from deliverability.spf.evaluate import SpfEvaluation, Trace
    from deliverability.spf.record import Record
    from deliverability.spf.tree import Tree

_OWN = (
    spec("spf.domain", FactType.STR, "Domain whose record is described: the audited domain."),
    spec("spf.present", FactType.BOOL, "At least one SPF record (v=spf1) is published."),
    spec("spf.records", FactType.LIST_STR, "All SPF records at the domain."),
    spec("spf.record_count", FactType.INT, "Number of SPF records.", unit="records"),
    spec("spf.record", FactType.STR, "The SPF record, where there is exactly one.", optional=True),
    spec(
        "spf.lookalikes",
        FactType.LIST_STR,
        "TXT records that were meant as SPF but are not: leading blank, smart quotes, wrong version.",
    ),
    spec("spf.valid", FactType.BOOL, "The whole tree has no error: syntax, missing targets, limits.", optional=True),
    spec(
        "spf.syntax_errors",
        FactType.LIST_STR,
        "Terms of the tree that cannot be parsed, each with its domain where it is not the audited one.",
    ),
    spec(
        "spf.lookups",
        FactType.INT,
        "Terms that query DNS, over all includes and redirects.",
        unit="lookups",
        optional=True,
    ),
    spec("spf.void_lookups", FactType.INT, "Look-ups of the tree that find nothing.", unit="lookups", optional=True),
    spec("spf.void_names", FactType.LIST_STR, "Names that those look-ups asked for."),
    spec("spf.broken_includes", FactType.LIST_STR, "include and redirect targets without exactly one SPF record."),
    spec("spf.loops", FactType.LIST_STR, "Domains that include themselves, directly or not."),
    spec("spf.mx_overflow", FactType.LIST_STR, "mx terms with more than ten hosts."),
    spec(
        "spf.all",
        FactType.STR,
        "Qualifier of `all` (of the redirect target where the record has none).",
        optional=True,
        values=["+", "-", "~", "?"],
    ),
    spec("spf.redirect", FactType.STR, "Target of an effective redirect.", optional=True),
    spec("spf.includes", FactType.LIST_STR, "Targets of include at the first level."),
    spec("spf.uses_ptr", FactType.BOOL, "A ptr term is in the tree."),
    spec("spf.dead_terms", FactType.LIST_STR, "Terms after `all`, and a redirect beside `all`: never evaluated."),
    spec("spf.record_octets", FactType.INT, "Octets of the SPF record.", unit="octets", optional=True),
    spec(
        "spf.answer_octets", FactType.INT, "Octets of the domain name and all its TXT records together.", unit="octets"
    ),
    spec(
        "spf.longest_string_octets",
        FactType.INT,
        "Longest character-string of the SPF record.",
        unit="octets",
        optional=True,
    ),
    spec(
        "spf.wide_ranges", FactType.LIST_STR, "Ranges wider than /16 (IPv4) or /32 (IPv6) in the domain's own record."
    ),
    spec(
        "spf.widest_ip4_prefix", FactType.INT, "Prefix length of the widest own IPv4 range.", unit="bits", optional=True
    ),
    spec("spf.sends_nothing", FactType.BOOL, "The record authorizes nobody (v=spf1 -all)."),
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
        values=["pass", "fail", "softfail", "neutral", "none", "permerror", "temperror"],
    ),
    spec("spf.result_reason", FactType.STR, "What decided it: the matching term, or the error.", optional=True),
    spec("spf.result_domain", FactType.STR, "Domain it was evaluated for.", optional=True),
    spec(
        "spf.result_identity",
        FactType.STR,
        "Identity it was evaluated for.",
        optional=True,
        values=["mail-from", "helo", "domain"],
    ),
    spec("spf.results", FactType.LIST_RECORD, "The same for each sending address.", key=["ip"]),
    spec("spf.results[].ip", FactType.STR, "Sending address."),
    spec(
        "spf.results[].result",
        FactType.STR,
        "SPF result.",
        values=["pass", "fail", "softfail", "neutral", "none", "permerror", "temperror"],
    ),
    spec("spf.results[].reason", FactType.STR, "What decided it.", optional=True),
    spec("spf.failing_ips", FactType.LIST_STR, "Sending addresses that do not pass."),
    spec(
        "spf.unknown_modifiers",
        FactType.LIST_STR,
        "Terms of the domain's own record that receivers ignore as unknown modifiers: a second v=spf1, ip4=...",
    ),
    spec("spf.explanation", FactType.STR, "The domain's own text for a fail (exp).", optional=True),
    spec(
        "spf.trace",
        FactType.TREE,
        "How spf.result came about: ip, domain, record, result, reason, steps (term, outcome, detail, cost, nested).",
    ),
)

_COVERAGE = (
    spec(
        "spf.lookups_left",
        FactType.INT,
        "Look-ups left below the limit of ten; negative where there are too many.",
        unit="lookups",
        optional=True,
    ),
    spec(
        "spf.include_costs",
        FactType.LIST_RECORD,
        "What each include and redirect of the record costs, everything below it counted.",
        key=["target"],
    ),
    spec("spf.include_costs[].target", FactType.STR, "Domain it leads to."),
    spec("spf.include_costs[].lookups", FactType.INT, "Look-ups, its own one included.", unit="lookups"),
    spec("spf.include_costs[].void_lookups", FactType.INT, "Look-ups that find nothing.", unit="lookups"),
    spec(
        "spf.authorised_ip4",
        FactType.INT,
        "Different IPv4 addresses that ip4, a, mx and all let pass, over the whole tree.",
        unit="addresses",
        optional=True,
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
        "Ranges wider than /16 (IPv4) or /32 (IPv6) anywhere in the tree, each with the domain whose record lists it.",
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
        "Includes of the record that none of the sending addresses given (--ip) needs.",
    ),
)
PROVIDES: tuple[FactSpec, ...] = (*_OWN, *_COVERAGE)

NEEDS = ("envelope.mail_from", "envelope.mail_from_domain", "envelope.helo", "envelope.ip")

MAX_LOOKUPS = 10
MAX_VOID_LOOKUPS = 2
WIDE_IP4 = 16
WIDE_IP6 = 32
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


@auditor("spf", provides=PROVIDES, needs=NEEDS)
async def audit(ctx: Context) -> None:
    """State what the audited domain publishes, what its tree costs, and what each sending address gets."""
    from deliverability.spf.coverage import measure
    from deliverability.spf.tree import walk_tree

    domain = ctx.subject.domain
    cited, hosts = _Cited(ctx), _Cited(ctx)
    sender = ctx.value("envelope.mail_from_domain")
    async with asyncio.TaskGroup() as group:
        own = group.create_task(walk_tree(domain, cited))
        if _addresses(ctx) and isinstance(sender, str) and sender not in ("", domain):
            # The evaluation goes term by term; asking for its records beside it keeps it from waiting for each.
            group.create_task(walk_tree(sender, ctx.resolver))
        results = group.create_task(_state_results(ctx))
        covering = group.create_task(measure(await own, hosts))
    tree = own.result()
    ctx.put("spf.domain", domain)
    _state_record(ctx, tree)
    _state_tree(ctx, tree, cited.evidence)
    _state_coverage(ctx, tree, covering.result(), results.result(), (*cited.evidence, *hosts.evidence))


def _state_record(ctx: Context, tree: Tree) -> None:
    """The facts that rest on the TXT answer of the domain alone."""
    from deliverability.spf.record import lookalikes

    root = tree.root
    evidence = dns_id(root.domain, "TXT")
    if isinstance(root.answer, Failed):
        lost = unknown_from(root.answer)
        paths = (
            "present records record_count record lookalikes includes redirect dead_terms unknown_modifiers "
            "record_octets answer_octets longest_string_octets wide_ranges widest_ip4_prefix"
        )
        ctx.put_all({f"spf.{path}": lost for path in paths.split()}, evidence)
        return
    values: dict[str, Value] = {
        "spf.present": bool(root.records),
        "spf.records": root.records,
        "spf.record_count": len(root.records),
        "spf.record": root.record.text if root.record else None,
        "spf.lookalikes": lookalikes(root.answer.values) if isinstance(root.answer, Found) else (),
        "spf.includes": _targets(tree, "include"),
        "spf.redirect": next(iter(_targets(tree, "redirect")), None),
        "spf.unknown_modifiers": tuple(entry.term.text for entry in root.entries if entry.status == "ignored"),
        "spf.dead_terms": tuple(term.text for term in root.record.dead) if root.record else (),
        **_sizes(root.domain, root.answer, root.record),
        **_ranges(root.record),
    }
    ctx.put_all(values, evidence)


def _targets(tree: Tree, name: str) -> tuple[str, ...]:
    from deliverability.spf.record import BadTerm

    return tuple(
        dict.fromkeys(
            entry.target or ""
            for entry in tree.root.entries
            if not isinstance(entry.term, BadTerm) and entry.term.name == name and entry.status != "dead"
        )
    )


def _sizes(domain: str, answer: Answer | None, record: Record | None) -> Mapping[str, Value]:
    """Octets of the record, of its longest string, and of the whole answer (RFC 7208 sections 3.3 and 3.4)."""
    values = answer.values if isinstance(answer, Found) else ()
    strings = answer.string_octets if isinstance(answer, Found) else ()
    if len(strings) != len(values):
        strings = tuple((len(value.encode("utf-8", "replace")),) for value in values)
    own = strings[values.index(record.text)] if record else ()
    return {
        "spf.record_octets": sum(own) if record else None,
        "spf.longest_string_octets": max(own, default=0) if record else None,
        "spf.answer_octets": len(domain) + sum(sum(lengths) for lengths in strings),
    }


def _ranges(record: Record | None) -> Mapping[str, Value]:
    """Ranges that the domain's own terms authorise, a and mx with a prefix length included."""
    wide: list[str] = []
    prefixes: list[int] = []
    for term in record.live if record else ():
        if term.qualifier != "+":
            continue
        if term.network is not None:
            four = isinstance(term.network, IPv4Network)
            if four:
                prefixes.append(term.network.prefixlen)
            if term.network.prefixlen < (WIDE_IP4 if four else WIDE_IP6):
                wide.append(term.text)
        elif term.name in ("a", "mx"):
            if term.prefix4 < 32:
                prefixes.append(term.prefix4)
            if term.prefix4 < WIDE_IP4 or term.prefix6 < WIDE_IP6:
                wide.append(term.text)
    return {"spf.wide_ranges": tuple(wide), "spf.widest_ip4_prefix": min(prefixes, default=None)}


def _state_tree(ctx: Context, tree: Tree, evidence: tuple[str, ...]) -> None:
    """The facts that rest on the whole include tree."""
    root = tree.root
    own = dns_id(root.domain, "TXT")
    if isinstance(root.answer, Failed):
        lost = unknown_from(root.answer)
        paths = (
            "valid syntax_errors lookups void_lookups void_names broken_includes loops mx_overflow all uses_ptr "
            "sends_nothing tree"
        )
        ctx.put_all({f"spf.{path}": lost for path in paths.split()}, own)
        return
    void = tree.void_lookups
    gap = tree.gap
    terms_gap = gap or (void if isinstance(void, Unknown) else None)

    def listed(items: tuple[str, ...], missing: Unknown | None) -> Value:
        """What was found; where nothing was and a part could not be looked at, that is not "none"."""
        return items if items or missing is None else missing

    syntax, broken, loops = tree.syntax_errors, tree.targets("broken"), tree.targets("loop")
    overflow = tree.targets("overflow")
    has_record = root.record is not None
    values: dict[str, Value] = {
        "spf.syntax_errors": listed(syntax, gap),
        "spf.lookups": tree.lookups if has_record else None,
        "spf.void_lookups": void if has_record else None,
        "spf.void_names": listed(tree.void_names, terms_gap),
        "spf.broken_includes": listed(broken, gap),
        "spf.loops": listed(loops, gap),
        "spf.mx_overflow": listed(overflow, terms_gap),
        "spf.uses_ptr": True if tree.uses_ptr else (gap or False),
        "spf.all": _all(tree),
        "spf.sends_nothing": _sends_nothing(tree),
        "spf.tree": root.value() if root.records else None,
        "spf.valid": None if not root.records else _valid(tree, bool(syntax or broken or loops or overflow), terms_gap),
    }
    ctx.put_all(values, own, *evidence)


def _valid(tree: Tree, faulty: bool, gap: Unknown | None) -> Value:
    """False as soon as one fault is certain, also where other parts could not be looked at: they only add to it."""
    root = tree.root
    too_many = root.lookups > MAX_LOOKUPS or root.void_lookups > MAX_VOID_LOOKUPS
    if faulty or too_many or len(root.records) != 1:
        return False
    return gap or True


def _all(tree: Tree) -> Value:
    """The qualifier of the `all` that applies, through redirects."""
    end = tree.end
    if end is None:
        unseen = next((entry for _, entry in tree.entries if entry.status in ("macro", "limit")), None)
        return Unknown(Reason.LIMIT, f"{unseen.term.text} was not followed") if unseen else None
    if isinstance(end.answer, Failed):
        return unknown_from(end.answer)
    return end.record.all.qualifier if end.record and end.record.all else None


def _sends_nothing(tree: Tree) -> Value:
    """Every reachable term denies and `all` is among them, in the record itself or where its redirect leads."""
    node = tree.root
    end = tree.end
    while node.record and not node.record.errors and all(term.qualifier == "-" for term in node.record.live):
        if node.record.all:
            return True
        if node.record.redirect is None or end is None:
            return False
        below = next((entry.node for entry in node.entries if entry.term is node.record.redirect), None)
        if below is None:
            return False
        if isinstance(below.answer, Failed):
            return unknown_from(below.answer)
        node = below
    return False


def _state_coverage(
    ctx: Context,
    tree: Tree,
    coverage: Coverage,
    evaluations: Mapping[str, SpfEvaluation],
    evidence: tuple[str, ...],
) -> None:
    """The facts on what the tree lets pass, and on what its includes cost and are good for."""
    from deliverability.spf.record import BadTerm

    root = tree.root
    paths = tuple(each.path for each in _COVERAGE if "[]" not in each.path)
    if isinstance(root.answer, Failed):
        ctx.put_all(dict.fromkeys(paths, unknown_from(root.answer)), dns_id(root.domain, "TXT"))
        return
    gap, lookups = coverage.gap, tree.lookups
    has_record = root.record is not None
    costs: list[Value] = [
        {"target": entry.target or "", "lookups": entry.total_lookups, "void_lookups": entry.total_void}
        for entry in root.entries
        if not isinstance(entry.term, BadTerm) and entry.term.name in ("include", "redirect") and entry.status != "dead"
    ]
    overlaps: list[Value] = [
        {"first": each.first, "second": each.second, "range": each.range, "count": each.count}
        for each in coverage.overlaps()[:MAX_OVERLAPS]
    ]
    wide = coverage.wide(WIDE_IP4, WIDE_IP6)
    left: Value = lookups if isinstance(lookups, Unknown) else MAX_LOOKUPS - lookups
    ctx.put_all(
        {
            "spf.lookups_left": left if has_record else None,
            "spf.include_costs": tree.gap or tuple(costs),
            "spf.authorised_ip4": (gap or coverage.ip4_addresses) if has_record else None,
            "spf.widest_authorised_ip6_prefix": (gap or coverage.widest_ip6) if has_record else None,
            "spf.wide_ranges_in_tree": wide or gap or (),
            "spf.overlaps": tuple(overlaps) or gap or (),
            "spf.spare_terms": coverage.spare() or gap or (),
            "spf.unmatched_includes": _unmatched(ctx, coverage, evaluations),
        },
        dns_id(root.domain, "TXT"),
        *evidence,
    )


def _unmatched(ctx: Context, coverage: Coverage, evaluations: Mapping[str, SpfEvaluation]) -> Value:
    """Includes that let none of the given addresses pass; one that may do so by something unseen is not among them."""
    given = tuple(ip for ip in dict.fromkeys(ctx.subject.sending_ips) if is_address(ip))
    if not given:
        return Unknown(Reason.NOT_CONFIGURED, "--ip")
    if coverage.gap:
        return coverage.gap
    includes = [group for group in coverage.groups if group.include is not None]
    # An evaluation knows what macros and exists come to, as far as it went.
    traces = [each.trace for each in evaluations.values() if each.domain == ctx.subject.domain]
    steps = [step for trace in traces for step in trace.steps]
    matched = {step.term for step in steps if step.outcome.value == "match"}
    refuted = {
        group.term
        for group in includes
        if len(traces) == len(given)
        and all(any(step.term == group.term and step.outcome.value == "no-match" for step in t.steps) for t in traces)
    }
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


async def _state_results(ctx: Context) -> Mapping[str, SpfEvaluation]:
    """What each sending address gets, and the worst of it. Gives the evaluations by address."""
    from deliverability.spf.evaluate import evaluate_spf

    lost = Unknown(Reason.NOT_CONFIGURED, "--ip or a message with a Received field")
    addresses = _addresses(ctx)
    identity, mail_from, helo = _identity(ctx)
    if isinstance(mail_from, Unknown):
        lost = mail_from
    if not addresses or isinstance(mail_from, Unknown):
        paths = "result result_reason result_domain result_identity results failing_ips explanation trace"
        ctx.put_all({f"spf.{path}": lost for path in paths.split()})
        return {}
    resolvers = [_Cited(ctx) for _ in addresses]
    timestamp = int(ctx.now.timestamp())
    evaluations = await asyncio.gather(
        *(
            evaluate_spf(ip, mail_from, helo, resolver, timestamp=timestamp)
            for ip, resolver in zip(addresses, resolvers, strict=True)
        )
    )
    evidence = tuple(dict.fromkeys(ident for resolver in resolvers for ident in resolver.evidence))
    results = [_result(evaluation) for evaluation in evaluations]
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
    worst = _worst(results)
    evaluation = evaluations[worst]
    ctx.put_all(
        {
            "spf.result": results[worst],
            "spf.result_reason": evaluation.reason,
            "spf.result_domain": evaluation.domain,
            "spf.result_identity": identity,
            "spf.explanation": evaluation.explanation,
            "spf.trace": {"ip": addresses[worst], **_trace(evaluation.trace)},
        },
        *resolvers[worst].evidence,
    )
    return dict(zip(addresses, evaluations, strict=True))


def _identity(ctx: Context) -> tuple[str, str | Unknown, str]:
    """Which identity is checked, with MAIL FROM and HELO for it; an Unknown where the identity cannot be told.

    The null reverse-path is checked as postmaster@HELO (RFC 7208 section 2.4). Where nothing tells MAIL FROM, the
    audited domain itself stands in for it.
    """
    domain = ctx.subject.domain
    mail_from, helo = ctx.value("envelope.mail_from"), ctx.value("envelope.helo")
    name = helo if isinstance(helo, str) else ""
    if isinstance(mail_from, Unknown) and not mail_from.reason.waits_for_input:
        return "mail-from", mail_from, name
    if isinstance(mail_from, str) and mail_from:
        return "mail-from", mail_from, name
    if mail_from == "":
        missing = helo if isinstance(helo, Unknown) else Unknown(Reason.NOT_CONFIGURED, "--helo (MAIL FROM is empty)")
        return "helo", "" if name else missing, name
    return "domain", f"postmaster@{domain}", name


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


def _trace(trace: Trace) -> dict[str, Value]:
    """A trace as a plain value."""
    return {
        "domain": trace.domain,
        "record": trace.record,
        "result": trace.result.value,
        "reason": trace.reason,
        "steps": tuple(
            {
                "term": step.term,
                "outcome": step.outcome.value,
                "detail": step.detail,
                "lookups": step.lookups,
                "void_lookups": step.void_lookups,
                "nested": _trace(step.nested) if step.nested else None,
            }
            for step in trace.steps
        ),
    }
