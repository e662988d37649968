"""What can be said of one domain's SPF record and of its tree, by the names that the facts have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network

from deliverability.core.codes import Code, Detail
from deliverability.core.facts.base import Reason, Unknown, Value
from deliverability.core.facts.spf import SpfStatus
from deliverability.core.names import Ranges, is_unreachable, ranges_of
from deliverability.core.net.base import Answer, Failed, Found, unknown_from
from deliverability.core.protocols.spf.record import (
    MAX_LOOKUPS,
    MAX_VOID_LOOKUPS,
    BadTerm,
    Modifier,
    Record,
    lookalikes,
)
from deliverability.core.protocols.spf.repair import REGISTERED, meant
from deliverability.core.protocols.spf.tree import Tree

NOT_FOLLOWED = Code("spf-not-followed", ("term",))
MEANT = Code("spf-meant", ("term", "meant"))
MISTYPED = Code("spf-mistyped", ("term",))

RECORD_FACTS = (
    *("present", "records", "record_count", "record", "lookalikes", "includes", "redirect", "unknown_modifiers"),
    "mistyped",
    *("dead_terms", "record_octets", "answer_octets", "longest_string_octets", "wide_ranges", "widest_ip4_prefix"),
    "private_ranges",
)
"""What `describe_record` gives."""
TREE_FACTS = (
    *("valid", "syntax_errors", "lookups", "lookups_at_least", "lookups_left", "void_lookups", "void_at_least"),
    *(
        "void_lookups_ip4",
        "void_lookups_ip6",
        "void_names",
        "void_names_ip6",
        "dead_names",
        "broken_includes",
        "loops",
        "mx_overflow",
    ),
    *("all", "uses_ptr", "sends_nothing"),
)
"""What `describe_tree` gives."""


def describe_record(tree: Tree, wide_ip4: int, wide_ip6: int, known: Ranges, *, example: bool) -> Mapping[str, Value]:
    """What rests on the TXT answer of the domain alone; all Unknown where that failed.

    Ranges with a shorter prefix than `wide_ip4` or `wide_ip6` are listed as wide, but for what is in `known`.
    """
    root, record = tree.root, tree.root.record
    if isinstance(root.answer, Failed):
        return dict.fromkeys(RECORD_FACTS, unknown_from(root.answer))
    return {
        "present": bool(root.records),
        "records": root.records,
        "record_count": len(root.records),
        "record": record.text if record else None,
        "lookalikes": lookalikes(root.answer.values) if isinstance(root.answer, Found) else (),
        "includes": _targets(tree, "include"),
        "redirect": next(iter(_targets(tree, "redirect")), None),
        "unknown_modifiers": tuple(
            entry.term.text
            for entry in root.entries
            if entry.status is SpfStatus.IGNORED
            and not (isinstance(entry.term, Modifier) and entry.term.name in REGISTERED)
        ),
        "mistyped": tuple(_mistyped(tree)),
        "dead_terms": tuple(term.text for term in record.dead) if record else (),
        **_sizes(root.domain, root.answer, record),
        **_ranges(record, wide_ip4, wide_ip6, known, example=example),
    }


def describe_tree(tree: Tree, senders: frozenset[int] = frozenset()) -> Mapping[str, Value]:
    """What rests on the whole include tree; all Unknown where the record itself could not be asked for.

    `senders`: IP versions of the sending addresses that are known. A receiver counts void look-ups for the address
    that it checks; where none is known, `valid` and the counts are those of IPv4.
    """
    root = tree.root
    if isinstance(root.answer, Failed):
        return dict.fromkeys(TREE_FACTS, unknown_from(root.answer))
    judged = tuple(sorted(senders)) or (4,)
    void, gap = tree.void_lookups(*judged), tree.gap
    terms_gap = tree.terms_gap
    syntax, broken, loops = tree.syntax_errors, tree.targets(SpfStatus.BROKEN), tree.targets(SpfStatus.LOOP)
    overflow, void6 = tree.targets(SpfStatus.OVERFLOW), tree.void_lookups(6)
    counts: dict[str, Value] = {
        "lookups": tree.lookups,
        "lookups_at_least": tree.lookups_at_least,
        "lookups_left": tree.lookups if isinstance(tree.lookups, Unknown) else MAX_LOOKUPS - tree.lookups,
        "void_lookups": void,
        "void_at_least": tree.void_at_least(*judged),
        "void_lookups_ip4": tree.void_lookups(4),
        "void_lookups_ip6": void6,
    }
    faulty = bool(syntax or broken or loops or overflow) or tree.void_at_least(*judged) > MAX_VOID_LOOKUPS
    valid = _valid(tree, faulty, gap or (void if isinstance(void, Unknown) else None))
    return {
        **(counts if root.record is not None else dict.fromkeys(counts)),
        "valid": valid if root.records else None,
        "syntax_errors": _faults(syntax, gap),
        "void_names": listed(tree.void_names(*judged), void if isinstance(void, Unknown) else None),
        "void_names_ip6": listed(tree.void_names(6), void6 if isinstance(void6, Unknown) else None),
        "dead_names": listed(tree.dead_names, terms_gap),
        "broken_includes": _faults(broken, gap),
        "loops": _faults(loops, gap),
        "mx_overflow": _faults(overflow, terms_gap),
        "uses_ptr": True if tree.uses_ptr else (gap or False),
        "all": _all(tree),
        "sends_nothing": _sends_nothing(tree),
    }


def listed(items: tuple[str, ...], missing: Unknown | None) -> Value:
    """What was found; with why there may be more, where a part could not be looked at."""
    if missing is None:
        return items
    return (*items, missing) if items else missing


def _faults(items: tuple[str, ...] | tuple[Detail, ...], missing: Unknown | None) -> Value:
    """The faults that were found; where none was and a part could not be looked at, that is not "none"."""
    return items if items or missing is None else missing


def _targets(tree: Tree, name: str) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            entry.target or ""
            for entry in tree.root.entries
            if not isinstance(entry.term, BadTerm) and entry.term.name == name and entry.status is not SpfStatus.DEAD
        )
    )


def _mistyped(tree: Tree) -> Iterator[Detail]:
    """Terms of the record that receivers ignore, and what they were meant as."""
    for entry in tree.root.entries:
        if isinstance(entry.term, Modifier) and entry.status is SpfStatus.IGNORED:
            correct = meant(entry.term)
            if correct is not None:
                yield MEANT(term=entry.term.text, meant=correct) if correct else MISTYPED(term=entry.term.text)


def _sizes(domain: str, answer: Answer | None, record: Record | None) -> Mapping[str, Value]:
    """Octets of the record, of its longest string, and of the whole answer (RFC 7208 sections 3.3 and 3.4)."""
    values = answer.values if isinstance(answer, Found) else ()
    strings = answer.string_octets if isinstance(answer, Found) else ()
    if len(strings) != len(values):
        strings = tuple((len(value.encode("utf-8", "replace")),) for value in values)
    own = strings[values.index(record.text)] if record else ()
    return {
        "record_octets": sum(own) if record else None,
        "longest_string_octets": max(own, default=0) if record else None,
        "answer_octets": len(domain) + sum(sum(lengths) for lengths in strings),
    }


def _ranges(
    record: Record | None, wide_ip4: int, wide_ip6: int, known: Ranges, *, example: bool
) -> Mapping[str, Value]:
    """Ranges that the domain's own terms authorise, a and mx with a prefix length included."""
    wide: list[str] = []
    private: list[str] = []
    prefixes: list[int] = []
    for term in record.live if record else ():
        if term.qualifier != "+":
            continue
        if term.network is not None:
            four = isinstance(term.network, IPv4Network)
            if four:
                prefixes.append(term.network.prefixlen)
            if term.network.prefixlen < (wide_ip4 if four else wide_ip6) and ranges_of((term.network,)) - known:
                wide.append(term.text)
            if is_unreachable(term.network, example=example):
                private.append(term.text)
        elif term.name in ("a", "mx"):
            if term.prefix4 < 32:
                prefixes.append(term.prefix4)
            if term.prefix4 < wide_ip4 or term.prefix6 < wide_ip6:
                wide.append(term.text)
    return {
        "wide_ranges": tuple(wide),
        "widest_ip4_prefix": min(prefixes, default=None),
        "private_ranges": tuple(private),
    }


def _valid(tree: Tree, faulty: bool, gap: Unknown | None) -> Value:
    """False as soon as one fault is certain, also where other parts could not be looked at: they only add to it."""
    if faulty or tree.lookups_at_least > MAX_LOOKUPS or len(tree.root.records) != 1:
        return False
    return gap or True


def _all(tree: Tree) -> Value:
    """The qualifier of the `all` that applies, through redirects."""
    end = tree.end
    if end is None:
        unseen = next((entry for _, entry in tree.entries if entry.status in (SpfStatus.MACRO, SpfStatus.LIMIT)), None)
        return Unknown(Reason.LIMIT, NOT_FOLLOWED(term=unseen.term.text)) if unseen else None
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
