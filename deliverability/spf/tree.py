"""The include/redirect tree of an SPF record without a sending address: what each term costs (RFC 7208 section 4.6.4).

May import model, ports.base and the SPF record parser.

The tree as a plain value (the fact ``spf.tree``), one mapping per record::

    {domain, status, record, lookups, void_lookups, terms: [
        {text, qualifier, mechanism, status, lookups, total_lookups, target, addresses, problem, tree}]}

`lookups` and `void_lookups` of a record cover everything below it. A term's `lookups` is its own cost (0 or 1),
`total_lookups` adds what its target costs. `target`, `qualifier`, `problem` and `tree` are None and `addresses` is
empty where they play no part. The numbers count what is known; `Tree.lookups` and `Tree.void_lookups` say whether
that is all.

Record status: ``ok``, ``none`` (no SPF record), ``several``, ``syntax-error``, ``failed: REASON``.
Term status: ``ok``, ``void`` (nothing found), ``broken`` (target without exactly one record), ``loop``, ``macro``
(target depends on the mail), ``address`` (ptr: depends on the sending address), ``overflow`` (more than ten MX hosts),
``invalid-name`` (no name that DNS can hold), ``limit`` (not followed: the tree is too big), ``dead`` (never
evaluated), ``ignored`` (unknown modifier), ``syntax-error``, ``failed: REASON``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from deliverability.model.facts import Reason, Unknown, Value
from deliverability.ports.base import Absent, Answer, Failed, Found, Resolver
from deliverability.spf.names import name_problem, target_name, to_ascii
from deliverability.spf.record import (
    LOOKUP_MECHANISMS,
    BadTerm,
    MacroExpand,
    Mechanism,
    Modifier,
    Record,
    Term,
    parse,
    parse_macro_string,
    select,
)

MAX_RECORDS = 50
"""Records asked for in one tree."""
MAX_DEPTH = 20
"""Includes inside one another that are followed."""
MAX_QUESTIONS = 100
"""Terms a, mx and exists whose answers are asked for in one tree."""
MAX_MX_HOSTS = 10


@dataclass(slots=True)
class Entry:
    """One term of a record and what was found for it."""

    term: Term
    status: str = "ok"
    target: str | None = None
    lookups: int = 0
    void: bool = False
    addresses: tuple[str, ...] = ()
    failed: Failed | None = None
    partial: Failed | None = None
    """The other address family found something, but this one could not be asked for."""
    node: Node | None = None

    @property
    def total_lookups(self) -> int:
        """Its own cost and that of everything its target leads to."""
        return self.lookups + (self.node.lookups if self.node else 0)

    @property
    def total_void(self) -> int:
        """Void look-ups of the term and of everything its target leads to."""
        return int(self.void) + (self.node.void_lookups if self.node else 0)

    def value(self) -> dict[str, Value]:
        """The entry as a plain value."""
        term = self.term
        mechanism = None if isinstance(term, BadTerm) else term.name
        return {
            "text": term.text,
            "qualifier": term.qualifier if isinstance(term, Mechanism) else None,
            "mechanism": mechanism,
            "status": self.status,
            "lookups": self.lookups,
            "total_lookups": self.total_lookups,
            "target": self.target,
            "addresses": self.addresses,
            "problem": term.problem if isinstance(term, BadTerm) else None,
            "tree": self.node.value() if self.node else None,
        }


@dataclass(slots=True)
class Node:
    """One domain of the tree and its record."""

    domain: str
    ancestors: tuple[str, ...] = ()
    status: str = "ok"
    answer: Answer | None = None
    records: tuple[str, ...] = ()
    record: Record | None = None
    entries: list[Entry] = field(default_factory=list)

    @property
    def lookups(self) -> int:
        """Terms that ask DNS, here and below, as far as known."""
        return sum(entry.total_lookups for entry in self.entries)

    @property
    def void_lookups(self) -> int:
        """Look-ups that found nothing, here and below, as far as known."""
        return sum(entry.total_void for entry in self.entries)

    def value(self) -> dict[str, Value]:
        """The tree from here on as a plain value (see the module's description)."""
        return {
            "domain": self.domain,
            "status": self.status,
            "record": self.record.text if self.record else None,
            "lookups": self.lookups,
            "void_lookups": self.void_lookups,
            "terms": tuple(entry.value() for entry in self.entries),
        }

    def walk(self) -> Iterator[Node]:
        """This node and all below it, depth first, in the order of the terms."""
        yield self
        for entry in self.entries:
            if entry.node:
                yield from entry.node.walk()


@dataclass(frozen=True, slots=True)
class Tree:
    """The whole tree of a domain, and what can be said about it.

    Attributes:
        root: the domain's own node.

    """

    root: Node

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, depth first."""
        return tuple(self.root.walk())

    @property
    def entries(self) -> tuple[tuple[Node, Entry], ...]:
        """All terms with the node they belong to, depth first."""
        return tuple((node, entry) for node in self.nodes for entry in node.entries)

    @property
    def gap(self) -> Unknown | None:
        """Why a part of the tree is not known (its counts are lower bounds then), or None where all is."""
        for node in self.nodes:
            if isinstance(node.answer, Failed):
                return _unknown(node.answer)
        for _, entry in self.entries:
            if entry.status == "limit" and entry.target is not None and _follows(entry.term):
                return Unknown(Reason.LIMIT, f"more than {MAX_RECORDS} records or {MAX_DEPTH} levels")
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
    def void_lookups(self) -> int | Unknown:
        """Terms of the whole tree whose look-up finds nothing (two are allowed), or why they cannot be counted."""
        if self.gap:
            return self.gap
        for _, entry in self.entries:
            if entry.failed:
                return _unknown(entry.failed)
            if entry.status == "limit":
                return Unknown(Reason.LIMIT, f"more than {MAX_QUESTIONS} terms")
        return self.root.void_lookups

    @property
    def void_names(self) -> tuple[str, ...]:
        """Names that those look-ups asked for, each with its question."""
        return _unique(
            f"{_question(entry.term)} {entry.target}" for _, entry in self.entries if entry.void and entry.target
        )

    @property
    def syntax_errors(self) -> tuple[str, ...]:
        """Terms that cannot be parsed, with the domain in front where it is not the root's."""
        return _unique(
            (str(bad) if node is self.root else f"{node.domain}: {bad}")
            for node in self.nodes
            if node.record
            for bad in node.record.errors
        )

    def targets(self, status: str) -> tuple[str, ...]:
        """Targets of the terms that have this status."""
        return _unique(entry.target or entry.term.text for _, entry in self.entries if entry.status == status)

    @property
    def uses_ptr(self) -> bool:
        """A live ptr term is in the tree."""
        return any(
            isinstance(entry.term, Mechanism) and entry.term.name == "ptr" and entry.status != "dead"
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
    """
    root = Node(to_ascii(domain))
    budget = _Budget(MAX_RECORDS - 1, MAX_QUESTIONS)
    level = [root]
    async with asyncio.TaskGroup() as group:
        while level:
            answers = await asyncio.gather(*(resolver.query(node.domain, "TXT") for node in level))
            below: list[Node] = []
            for node, answer in zip(level, answers, strict=True):
                _read(node, answer)
                for entry in _list_terms(node, root.domain):
                    if entry.status != "ok":
                        continue
                    if _follows(entry.term):
                        child = _follow(node, entry, budget)
                        if child:
                            below.append(child)
                    elif entry.lookups:
                        if budget.questions:
                            budget.questions -= 1
                            group.create_task(_resolve(entry, resolver))
                        else:
                            entry.status = "limit"
            level = below
    for node in root.walk():
        for entry in node.entries:
            if entry.node:
                _judge_target(entry, entry.node)
    return Tree(root)


@dataclass(slots=True)
class _Budget:
    records: int
    questions: int


def _unknown(failed: Failed) -> Unknown:
    return Unknown(failed.reason, f"{failed.rdtype} {failed.name}" + (f": {failed.detail}" if failed.detail else ""))


def _unique(items: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


def _follows(term: Term) -> bool:
    return not isinstance(term, BadTerm) and term.name in ("include", "redirect")


def _question(term: Term) -> str:
    name = "" if isinstance(term, BadTerm) else term.name
    return {"include": "TXT", "redirect": "TXT", "mx": "MX", "exists": "A"}.get(name, "A/AAAA")


def _read(node: Node, answer: Answer) -> None:
    node.answer = answer
    match answer:
        case Failed():
            node.status = f"failed: {answer.reason.value}"
            return
        case Absent():
            node.status = "none"
            return
    node.records = select(answer.values)
    if len(node.records) != 1:
        node.status = "several" if node.records else "none"
        return
    node.record = parse(node.records[0])
    if node.record.errors:
        node.status = "syntax-error"


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
            entry.status = "syntax-error"
        elif id(term) in dead:
            entry.status = "dead"
        elif isinstance(term, Modifier):
            if term.name == "redirect":
                entry.lookups = 1
                _set_target(entry, term.value, node.domain, root)
            elif term.name == "exp":
                entry.target = term.value
            else:
                entry.status = "ignored"
        elif term.name in LOOKUP_MECHANISMS:
            entry.lookups = 1
            _set_target(entry, term.domain_spec, node.domain, root)
            if term.name == "ptr" and entry.status == "ok":
                entry.status = "address"
    return node.entries


def _set_target(entry: Entry, domain_spec: str | None, domain: str, root: str) -> None:
    """The name a term asks for. %{d} and %{o} are known without a mail; every other macro is not."""
    if domain_spec is None:
        entry.target = domain
        return
    known = {"d": domain, "o": root}
    pieces = parse_macro_string(domain_spec)
    if any(isinstance(piece, MacroExpand) and piece.letter not in known for piece in pieces):
        entry.target, entry.status = domain_spec, "macro"
        return
    expanded = "".join(piece if isinstance(piece, str) else piece.apply(known[piece.letter]) for piece in pieces)
    entry.target = target_name(expanded)


def _follow(node: Node, entry: Entry, budget: _Budget) -> Node | None:
    """The node an include or redirect leads to, or None where it is not followed (the status says why)."""
    target = entry.target or ""
    path = (*node.ancestors, node.domain)
    if name_problem(target):
        entry.status = "broken"
    elif target in path:
        entry.status = "loop"
    elif not budget.records or len(path) > MAX_DEPTH:
        entry.status = "limit"
    else:
        budget.records -= 1
        entry.node = Node(target, path)
    return entry.node


async def _resolve(entry: Entry, resolver: Resolver) -> None:
    """Ask what an a, mx or exists term asks; A and AAAA of one `a` are void together only if both are."""
    assert isinstance(entry.term, Mechanism)  # noqa: S101
    name = entry.target or ""
    if name_problem(name):
        entry.status = "invalid-name"
        return
    rdtypes = {"a": ("A", "AAAA"), "mx": ("MX",), "exists": ("A",)}[entry.term.name]
    answers = await asyncio.gather(*(resolver.query(name, rdtype) for rdtype in rdtypes))
    found = [value for answer in answers if isinstance(answer, Found) for value in answer.values]
    failed = next((answer for answer in answers if isinstance(answer, Failed)), None)
    entry.addresses = tuple(found)
    if found:
        entry.partial = failed
        if entry.term.name == "mx" and len(found) > MAX_MX_HOSTS:
            entry.status = "overflow"
    elif failed:
        entry.failed = failed
        entry.status = f"failed: {failed.reason.value}"
    else:
        entry.void = True
        entry.status = "void"


def _judge_target(entry: Entry, node: Node) -> None:
    if isinstance(node.answer, Failed):
        entry.status = node.status
    elif node.record is None:
        entry.status = "broken"
        entry.void = isinstance(node.answer, Absent)
