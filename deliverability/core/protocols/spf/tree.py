"""The include/redirect tree of an SPF record without a sending address: what each term costs (RFC 7208 section 4.6.4).

What is found is gathered in `Node` and `Entry`; `Node.tree` gives it as it travels (`model.spf`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from functools import cached_property

from msgspec import Struct, field

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.spf import SpfStatus, SpfTerm, SpfTree
from deliverability.core.net.base import Absent, Answer, Failed, Found, Resolver, unknown_from
from deliverability.core.protocols.spf.record import (
    LOOKUP_MECHANISMS,
    BadTerm,
    MacroExpand,
    Mechanism,
    Modifier,
    Record,
    Term,
    name_problem,
    parse,
    parse_macro_string,
    select,
    target_name,
    to_ascii,
)

MAX_RECORDS = 50
"""Records asked for in one tree."""
MAX_TERMS_IN_ALL = 5_000
"""Terms of one tree that are read; the records behind are left out."""
MAX_DEPTH = 20
"""Includes inside one another that are followed."""
MAX_QUESTIONS = 100
"""Terms a, mx and exists whose answers are asked for in one tree."""
MAX_MX_HOSTS = 10
FAMILIES = (4, 6)
"""IP versions that a sending address can have."""
_ADDRESS_TYPES = {4: "A", 6: "AAAA"}

TOO_BIG = Code("spf-records", ("n", "depth", "terms"))
TOO_MANY_TERMS = Code("spf-terms", ("n",))


class Entry(Struct):
    """One term of a record and what was found for it."""

    term: Term
    status: SpfStatus = SpfStatus.OK
    target: str | None = None
    lookups: int = 0
    void: frozenset[int] = frozenset()
    """IP versions of the sending addresses for which the look-up finds nothing."""
    lost: Mapping[int, Failed] = field(default_factory=dict)
    """The failure by the IP version for which it could not be asked."""
    addresses: tuple[str, ...] = ()
    node: Node | None = None

    @property
    def total_lookups(self) -> int:
        """Its own cost and that of everything its target leads to."""
        return self.lookups + (self.node.lookups if self.node else 0)

    def total_void(self, *versions: int) -> int:
        """Look-ups that find nothing for any address of these IP versions: its own and those below its target."""
        return int(self.void.issuperset(versions)) + (self.node.void_lookups(*versions) if self.node else 0)

    @property
    def failed(self) -> Failed | None:
        """A question of the term that failed, or None."""
        return next((self.lost[version] for version in FAMILIES if version in self.lost), None)

    @property
    def found(self) -> SpfTerm:
        """The entry as it travels."""
        term = self.term
        problem: Detail | Unknown | None = None
        if isinstance(term, BadTerm):
            problem = term.problem
        elif self.status is SpfStatus.FAILED:
            failed = self.node.answer if self.node else self.failed
            problem = unknown_from(failed) if isinstance(failed, Failed) else None
        return SpfTerm(
            term.text,
            self.status,
            qualifier=term.qualifier if isinstance(term, Mechanism) else None,
            mechanism=None if isinstance(term, BadTerm) else term.name,
            lookups=self.lookups,
            total_lookups=self.total_lookups,
            target=self.target,
            addresses=self.addresses,
            problem=problem,
            tree=self.node.tree if self.node else None,
        )


class Node(Struct):
    """One domain of the tree and its record."""

    domain: str
    ancestors: tuple[str, ...] = ()
    status: SpfStatus = SpfStatus.OK
    answer: Answer | None = None
    records: tuple[str, ...] = ()
    record: Record | None = None
    entries: list[Entry] = field(default_factory=list)

    @property
    def lookups(self) -> int:
        """Terms that ask DNS, here and below, as far as known."""
        return sum(entry.total_lookups for entry in self.entries)

    def void_lookups(self, *versions: int) -> int:
        """Look-ups that find nothing for any address of these IP versions, here and below, as far as known."""
        return sum(entry.total_void(*versions) for entry in self.entries if entry.void or entry.node)

    @property
    def tree(self) -> SpfTree:
        """The tree from here on as it travels."""
        return SpfTree(
            self.domain,
            self.status,
            record=self.record.text if self.record else None,
            lookups=self.lookups,
            void_lookups=self.void_lookups(*FAMILIES),
            terms=tuple(entry.found for entry in self.entries),
        )

    def walk(self) -> Iterator[Node]:
        """This node and all below it, depth first, in the order of the terms."""
        yield self
        for entry in self.entries:
            if entry.node:
                yield from entry.node.walk()


class Tree(Struct, frozen=True, dict=True):
    """The whole tree of a domain, and what can be said about it.

    Attributes:
        root: the domain's own node.

    """

    root: Node

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, depth first."""
        return tuple(self.root.walk())

    @cached_property
    def entries(self) -> tuple[tuple[Node, Entry], ...]:
        """All terms with the node they belong to, depth first."""
        return tuple((node, entry) for node in self.nodes for entry in node.entries)

    @cached_property
    def gap(self) -> Unknown | None:
        """Why a part of the tree is not known (its counts are lower bounds then), or None where all is."""
        for node in self.nodes:
            if isinstance(node.answer, Failed):
                return unknown_from(node.answer)
        for _, entry in self.entries:
            if entry.status is SpfStatus.LIMIT and entry.target is not None and _follows(entry.term):
                return Unknown(Reason.LIMIT, TOO_BIG(n=MAX_RECORDS, depth=MAX_DEPTH, terms=MAX_TERMS_IN_ALL))
        return None

    @property
    def terms_gap(self) -> Unknown | None:
        """Why it is not known of some term whether it finds anything at all, or None where it is of all."""
        if self.gap:
            return self.gap
        for _, entry in self.entries:
            if entry.failed and not entry.addresses:
                return unknown_from(entry.failed)
            if entry.status is SpfStatus.LIMIT:
                return _too_many_terms()
        return None

    @property
    def lookups(self) -> int | Unknown:
        """DNS-querying terms of the whole tree (ten are allowed), or why they cannot be counted.

        A loop is counted once round; the target of a macro counts as the one look-up it costs at least. Of a tree that
        is too big to follow, the part that was followed is counted: that is far more than ten, and so certain.
        """
        gap = self.gap
        return self.root.lookups if gap is None or gap.reason is Reason.LIMIT else gap

    @property
    def lookups_at_least(self) -> int:
        """DNS-querying terms that are known: the number of `lookups`, or a lower bound where that is Unknown."""
        return self.root.lookups

    def void_lookups(self, *versions: int) -> int | Unknown:
        """Terms whose look-up finds nothing (two are allowed) for an address of this IP version; of several the most.

        Unknown, with the reason, where they cannot be counted; `void_at_least` are certain then.
        """
        if self.gap:
            return self.gap
        for _, entry in self.entries:
            if lost := next((entry.lost[version] for version in versions if version in entry.lost), None):
                return unknown_from(lost)
            if entry.status is SpfStatus.LIMIT:
                return _too_many_terms()
        return self.void_at_least(*versions)

    def void_at_least(self, *versions: int) -> int:
        """The void look-ups that are known."""
        return max(self.root.void_lookups(version) for version in versions)

    def void_names(self, *versions: int) -> tuple[str, ...]:
        """Names that those look-ups ask for, each with its question."""
        return _unique(
            f"{_question(entry.term, entry.void)} {entry.target}"
            for _, entry in self.entries
            if entry.target and not entry.void.isdisjoint(versions)
        )

    @property
    def dead_names(self) -> tuple[str, ...]:
        """Names of terms that find nothing whatever the sending address, each with its question."""
        return _unique(
            f"{_question(entry.term, entry.void)} {entry.target}"
            for _, entry in self.entries
            if entry.target and entry.void.issuperset(FAMILIES)
        )

    @property
    def syntax_errors(self) -> tuple[Detail, ...]:
        """Terms that cannot be parsed, with the domain in front where it is not the root's."""
        return tuple(
            dict.fromkeys(
                bad.detail if node is self.root else ABOUT(what=node.domain, detail=bad.detail)
                for node in self.nodes
                if node.record
                for bad in node.record.errors
            )
        )

    def targets(self, status: SpfStatus) -> tuple[str, ...]:
        """Targets of the terms that have this status."""
        return _unique(entry.target or entry.term.text for _, entry in self.entries if entry.status is status)

    @property
    def uses_ptr(self) -> bool:
        """A live ptr term is in the tree."""
        return any(
            isinstance(entry.term, Mechanism) and entry.term.name == "ptr" and entry.status is not SpfStatus.DEAD
            for _, entry in self.entries
        )

    @property
    def end(self) -> Node | None:
        """The node whose record decides what happens to everyone else: the root's, or where redirects lead.

        None where a redirect leads nowhere; a node without `record` where it could not be read.
        """
        node = self.root
        while node.record and node.record.redirect:
            last = next(entry for entry in node.entries if entry.term is node.record.redirect)
            if last.node is None:
                return None
            node = last.node
        return node


async def walk_tree(domain: str, resolver: Resolver) -> Tree:
    """Ask for the SPF record of `domain` (A-labels) and for everything it includes or redirects to.

    All questions of one depth are asked at once, addresses beside the next depth. Never raises for DNS content.
    The number of questions is bounded by MAX_RECORDS, MAX_DEPTH and MAX_QUESTIONS; terms beyond are listed, not asked.
    Of a tree with more than MAX_TERMS_IN_ALL terms the records behind are not read.
    """
    root = Node(to_ascii(domain))
    budget = _Budget(MAX_RECORDS - 1, MAX_QUESTIONS, MAX_TERMS_IN_ALL)
    level: list[tuple[Entry | None, Node]] = [(None, root)]
    async with asyncio.TaskGroup() as group:
        while level:
            answers = await asyncio.gather(*(resolver.query(node.domain, "TXT") for _, node in level))
            below: list[tuple[Entry | None, Node]] = []
            for (leading, node), answer in zip(level, answers, strict=True):
                if leading is not None and budget.terms <= 0:
                    leading.node, leading.status = None, SpfStatus.LIMIT
                    continue
                _read(node, answer)
                entries = _list_terms(node, root.domain)
                budget.terms -= len(entries)
                await asyncio.sleep(0)  # a record can be 64 KB long: let others have their turn
                for entry in entries:
                    if entry.status is not SpfStatus.OK:
                        continue
                    if _follows(entry.term):
                        child = _follow(node, entry, budget)
                        if child:
                            below.append((entry, child))
                    elif entry.lookups:
                        if budget.questions:
                            budget.questions -= 1
                            group.create_task(_resolve(entry, resolver))
                        else:
                            entry.status = SpfStatus.LIMIT
            level = below
    for node in root.walk():
        for entry in node.entries:
            if entry.node:
                _judge_target(entry, entry.node)
    return Tree(root)


class _Budget(Struct):
    records: int
    questions: int
    terms: int


def _too_many_terms() -> Unknown:
    return Unknown(Reason.LIMIT, TOO_MANY_TERMS(n=MAX_QUESTIONS))


def _unique(items: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


def _follows(term: Term) -> bool:
    return not isinstance(term, BadTerm) and term.name in ("include", "redirect")


def _question(term: Term, versions: frozenset[int]) -> str:
    """The record type that a term asks for on behalf of addresses of these IP versions."""
    name = "" if isinstance(term, BadTerm) else term.name
    by_family = "/".join(rdtype for version, rdtype in _ADDRESS_TYPES.items() if version in versions)
    return {"include": "TXT", "redirect": "TXT", "mx": "MX", "exists": "A"}.get(name, by_family)


def _read(node: Node, answer: Answer) -> None:
    node.answer = answer
    match answer:
        case Failed():
            node.status = SpfStatus.FAILED
            return
        case Absent():
            node.status = SpfStatus.NONE
            return
    node.records = select(answer.values)
    if len(node.records) != 1:
        node.status = SpfStatus.SEVERAL if node.records else SpfStatus.NONE
        return
    node.record = parse(node.records[0])
    if node.record.errors:
        node.status = SpfStatus.SYNTAX_ERROR


def _list_terms(node: Node, root: str) -> list[Entry]:
    """Make the node's entries: those with status "ok" and a look-up are still to be asked."""
    record = node.record
    if record is None:
        return []
    dead = {id(term) for term in record.dead}
    for term in record.terms:
        entry = Entry(term)
        node.entries.append(entry)
        if isinstance(term, BadTerm):
            entry.status = SpfStatus.SYNTAX_ERROR
        elif id(term) in dead:
            entry.status = SpfStatus.DEAD
        elif isinstance(term, Modifier):
            if term.name == "redirect":
                entry.lookups = 1
                _set_target(entry, term.value, node.domain, root)
            elif term.name == "exp":
                entry.target = term.value
            else:
                entry.status = SpfStatus.IGNORED
        elif term.name in LOOKUP_MECHANISMS:
            entry.lookups = 1
            _set_target(entry, term.domain_spec, node.domain, root)
            if term.name == "ptr" and entry.status is SpfStatus.OK:
                entry.status = SpfStatus.ADDRESS
    return node.entries


def _set_target(entry: Entry, domain_spec: str | None, domain: str, root: str) -> None:
    """The name a term asks for. %{d} and %{o} are known without a mail; every other macro is not."""
    if domain_spec is None:
        entry.target = domain
        return
    known = {"d": domain, "o": root}
    pieces = parse_macro_string(domain_spec)
    if any(isinstance(piece, MacroExpand) and piece.letter not in known for piece in pieces):
        entry.target, entry.status = domain_spec, SpfStatus.MACRO
        return
    expanded = "".join(piece if isinstance(piece, str) else piece.apply(known[piece.letter]) for piece in pieces)
    entry.target = target_name(expanded)


def _follow(node: Node, entry: Entry, budget: _Budget) -> Node | None:
    """The node an include or redirect leads to, or None where it is not followed (the status says why)."""
    target = entry.target or ""
    path = (*node.ancestors, node.domain)
    if name_problem(target):
        entry.status = SpfStatus.BROKEN
    elif target in path:
        entry.status = SpfStatus.LOOP
    elif not budget.records or len(path) > MAX_DEPTH:
        entry.status = SpfStatus.LIMIT
    else:
        budget.records -= 1
        entry.node = Node(target, path)
    return entry.node


async def _resolve(entry: Entry, resolver: Resolver) -> None:
    """Ask what an a, mx or exists term asks: `a` A for IPv4 and AAAA for IPv6 senders, the others the same for both."""
    assert isinstance(entry.term, Mechanism)  # noqa: S101
    name = entry.target or ""
    if name_problem(name):
        entry.status = SpfStatus.INVALID_NAME
        return
    rdtypes = {"a": tuple(_ADDRESS_TYPES.values()), "mx": ("MX", "MX"), "exists": ("A", "A")}[entry.term.name]
    asked = tuple(dict.fromkeys(rdtypes))
    answers = dict(zip(asked, await asyncio.gather(*(resolver.query(name, each) for each in asked)), strict=True))
    by_version = {version: answers[rdtype] for version, rdtype in zip(FAMILIES, rdtypes, strict=True)}
    entry.addresses = tuple(value for each in answers.values() if isinstance(each, Found) for value in each.values)
    entry.void = frozenset(version for version, answer in by_version.items() if isinstance(answer, Absent))
    entry.lost = {version: answer for version, answer in by_version.items() if isinstance(answer, Failed)}
    if entry.addresses:
        if entry.term.name == "mx" and len(entry.addresses) > MAX_MX_HOSTS:
            entry.status = SpfStatus.OVERFLOW
    elif entry.failed:
        entry.status = SpfStatus.FAILED
    else:
        entry.status = SpfStatus.VOID


def _judge_target(entry: Entry, node: Node) -> None:
    if isinstance(node.answer, Failed):
        entry.status = node.status
    elif node.record is None:
        entry.status = SpfStatus.BROKEN
        if isinstance(node.answer, Absent):
            entry.void = frozenset(FAMILIES)
