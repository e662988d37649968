"""Drafts of SPF records that mend SPF findings: the smallest edit of the domain's own record.

Reads facts, asks nobody. May import model, the SPF protocol core and the catalogue of senders. A draft is not shown
before it was rehearsed; `mends`, `changes` and `gains` are filled there.

All drafts for one domain form a chain: each is a whole new record and holds what the drafts before it do, first what
changes nothing for anybody who may send today (SAFE), then what needs a look first (CAREFUL), at the end flattening
(LAST_RESORT). So they can be published one after the other, up to where the user agrees.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network

from deliverability.model.facts import FactSet, Value
from deliverability.model.report import Care, Finding, Outcome, RecordEdit, Remedy
from deliverability.model.rules import Severity
from deliverability.spf.names import name_problem
from deliverability.spf.record import LOOKUP_MECHANISMS, BadTerm, Mechanism, Modifier, Term, parse, select
from deliverability.spf.repair import MAX_OCTETS, Repaired, repair, term_of

MAX_LOOKUPS = 10
NEAR_LOOKUPS = 9
MAX_ANSWER_OCTETS = 450
MAX_ADDRESSES = 16
"""Addresses that one a or mx is replaced by; more would make the record longer than it is worth."""
MAX_MOVED = 3
"""Includes that one draft moves to subdomains."""
MAX_FLAT_OCTETS = 2000
"""A flattened record longer than this fits into no answer that receivers like; then there is no such draft."""
MAX_NODES = 500
"""Includes below one include that are looked at; the auditor follows 50."""
MAX_RANGES = 4000
"""Terms and addresses of one tree that are compared; what lies beyond counts as not known. Real trees have hundreds."""
MAX_FLAT_RANGES = 150
_SEVERITIES = (Severity.ERROR, Severity.WARNING, Severity.INFO, Severity.NONE)
_CLOSED = "v=spf1 -all"
_SECOND_LEVEL = frozenset({"ac", "co", "com", "ed", "edu", "go", "gov", "gr", "ne", "net", "or", "org"})

_SAVING = frozenset({"spf-drop-spare", "spf-drop-covered", "spf-drop-unneeded", "spf-addresses"})
_LOOKUP_RULES = ("SPF-003", "SPF-016")

Network = IPv4Network | IPv6Network
Words = tuple[str, ...]
Item = Mapping[str, Value]
_Steps = tuple[tuple[str, Words], ...]
"""Kinds of edit and the terms that each is about."""


def drafts(facts: FactSet, findings: Sequence[Finding]) -> tuple[Remedy, ...]:
    """Draft records for the unmet SPF findings, in the order in which to publish them; empty where none can help.

    Nothing is drafted on guesses: where DNS did not tell what is published, there is no draft.
    """
    world = _World(facts, findings)
    if not world.domain or facts.value("spf.present") not in (True, False) or not world.rules:
        return ()
    published = _texts(facts.value("spf.records"))
    meant = _texts(facts.value("spf.lookalikes"))
    if world.unmet("SPF-015"):
        return _closed(world, (*published, *meant), "SPF-015", "spf-park", Care.SAFE)
    if published:
        chain = _of_published(world, published)
    elif meant and world.unmet("SPF-019", "SPF-001"):
        chain = _of_lookalikes(world, meant)
    else:
        return _first_record(world)
    if chain is not None:
        _careful_steps(chain)
    found = tuple(chain.remedies) if chain else ()
    if world.unmet("SPF-022") and not _names_senders(published or meant):
        found += _closed(world, published or meant, "SPF-022", "spf-park-unused", Care.CAREFUL)
    return found


# -- what is known ----------------------------------------------------------------------------------------------------


class _World:
    """The facts and findings that drafting rests on."""

    def __init__(self, facts: FactSet, findings: Sequence[Finding]) -> None:
        self.facts = facts
        self.domain = _text(facts.value("spf.domain"))
        self.rules: dict[str, Finding] = {}
        self.items: list[Finding] = []
        for finding in findings:
            if finding.outcome is Outcome.UNMET and finding.rule.startswith("SPF-"):
                known = self.rules.setdefault(finding.rule, finding)
                if _rank(finding) < _rank(known):
                    self.rules[finding.rule] = finding
                self.items.append(finding)
        self._ranges: dict[str, tuple[Network, ...] | None] = {}
        self._reached: dict[str, set[str]] = {}
        self._left = MAX_RANGES
        tree = facts.value("spf.tree")
        terms = tree.get("terms") if isinstance(tree, Mapping) else ()
        self.entries: dict[str, Item] = {}
        for entry in _items(terms):
            # Of two equal terms one may stand behind `all`; what is known of the other holds.
            if _text(entry.get("text")) not in self.entries or entry.get("status") != "dead":
                self.entries[_text(entry.get("text"))] = entry

    def unmet(self, *rules: str) -> bool:
        """Whether one of these rules is unmet."""
        return any(rule in self.rules for rule in rules)

    def worst(self, rules: Iterable[str]) -> Finding | None:
        """The worst unmet finding of these rules."""
        found = [self.rules[rule] for rule in rules if rule in self.rules]
        return min(found, key=_rank, default=None)

    @property
    def allowed(self) -> int:
        """Look-ups that the record may cost: the limit, or below the warning where it is under the limit already."""
        return MAX_LOOKUPS if "SPF-003" in self.rules or "SPF-016" not in self.rules else NEAR_LOOKUPS - 1

    def status(self, word: str) -> str:
        """What became of a term (see spf.tree); empty where it was not looked at."""
        entry = self.entries.get(word)
        return _text(entry.get("status")) if entry else ""

    def target(self, word: str) -> str:
        """The name that a term asks for."""
        entry = self.entries.get(word)
        return _text(entry.get("target")) if entry else ""

    def lookups(self, words: Words) -> int:
        """Look-ups of these terms; one that the tree does not know counts as the one it costs at least."""
        return sum(self.cost(word) for word in words)

    def cost(self, word: str) -> int:
        """Look-ups of one term, everything below it counted."""
        entry = self.entries.get(word)
        total = entry.get("total_lookups") if entry and entry.get("status") != "dead" else None
        if isinstance(total, int):
            return total
        term = term_of(word)
        costs = (isinstance(term, Mechanism) and term.name in LOOKUP_MECHANISMS) or _is(term, "redirect")
        return int(costs)

    def ranges(self, word: str) -> tuple[Network, ...] | None:
        """Every range that a term lets pass, includes followed; None where it is not known or depends on the mail."""
        if word not in self._ranges:
            self._ranges[word] = self._measure(word)
        return self._ranges[word]

    def _measure(self, word: str) -> tuple[Network, ...] | None:
        entry = self.entries.get(word)
        term = term_of(word)
        if isinstance(term, Mechanism) and term.network is not None:
            return (term.network,) if term.qualifier == "+" else None
        if entry is None:
            return None
        found: list[Network] = []
        return tuple(found) if self._collect(entry, found) else None

    def _collect(self, entry: Item, found: list[Network]) -> bool:
        """Add the ranges of one term of the tree; False where they cannot be told for sure."""
        self._left -= 1
        status, term = entry.get("status"), term_of(_text(entry.get("text")))
        if self._left < 0 or isinstance(term, BadTerm) or term is None:
            return False
        if status in ("dead", "ignored", "void") or _is(term, "exp"):
            return True
        if status != "ok":
            return False
        if isinstance(term, Mechanism) and term.name == "all":
            return term.qualifier != "+"
        if isinstance(term, Mechanism) and term.qualifier != "+":
            return False
        if isinstance(term, Mechanism) and term.network is not None:
            found.append(term.network)
            return True
        if isinstance(term, Mechanism) and term.name in ("a", "mx"):
            addresses = self.addresses(entry, term.name)
            if addresses is None:
                return False
            self._left -= len(addresses)
            found += [ip_network((ip, term.prefix4 if _four(ip) else term.prefix6), strict=False) for ip in addresses]
            return True
        if _is(term, "include") or _is(term, "redirect"):
            tree = entry.get("tree")
            if not isinstance(tree, Mapping) or tree.get("status") != "ok":
                return False
            return all(self._collect(below, found) for below in _items(tree.get("terms")))
        return False

    def reached(self, word: str) -> set[str]:
        """Targets of the includes below a term."""
        if word not in self._reached:
            self._reached[word] = _reached(self.entries.get(word))
        return self._reached[word]

    def addresses(self, entry: Item, name: str) -> tuple[str, ...] | None:
        """Addresses behind an a or mx term, or None where one of its hosts could not be asked for."""
        listed = _texts(entry.get("addresses"))
        hosts: Words = (_text(entry.get("target")),)
        if name == "mx":
            hosts = tuple(host for each in listed if (host := each.partition(" ")[2]) not in ("", "."))
        found: list[str] = []
        for host in hosts:
            for rdtype in ("A", "AAAA"):
                seen = self.facts.evidence.get(f"dns:{rdtype}:{host.rstrip('.').lower()}")
                if seen is None:
                    return None
                addresses = [line for line in seen.got if _is_address(line)]
                if not addresses and not any(line.startswith(("NXDOMAIN:", "NODATA:")) for line in seen.got):
                    return None
                found += addresses
        return tuple(dict.fromkeys(found))

    def sending(self, *, passing: bool | None = None) -> tuple[tuple[str, str], ...]:
        """Sending addresses with what decided their result; those of another domain's record are left out."""
        if self.facts.value("spf.result_domain") != self.domain:
            return ()
        return tuple(
            (_text(each.get("ip")), _text(each.get("reason")))
            for each in _items(self.facts.value("spf.results"))
            if _is_address(_text(each.get("ip"))) and (passing is None or (each.get("result") == "pass") is passing)
        )


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Value) -> Words:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, tuple) else ()


def _items(value: Value) -> Iterator[Item]:
    if isinstance(value, tuple):
        yield from (each for each in value if isinstance(each, Mapping))


def _rank(finding: Finding) -> tuple[int, str]:
    return _SEVERITIES.index(finding.severity), finding.rule


def _is(term: Term | None, name: str) -> bool:
    return term is not None and not isinstance(term, BadTerm) and term.name == name


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _four(address: str) -> bool:
    return ":" not in address


# -- building a chain of drafts ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Chain:
    """The record as far as it is edited, and the remedies so far.

    `pending` are the steps that no remedy shows yet: kind of step, rules it is for, terms it names.
    """

    world: _World
    old: tuple[str, ...]
    version: str
    words: Words
    shown: tuple[str, ...]
    least: Care = Care.SAFE
    remedies: list[Remedy] = field(default_factory=list)
    pending: list[tuple[str, tuple[str, ...], Words]] = field(default_factory=list)

    def step(self, code: str, rules: tuple[str, ...], words: Words, terms: Iterable[str]) -> bool:
        """Note an edit: the record becomes `words`. One that changes nothing is not noted. Says whether it was."""
        named = tuple(terms)
        if words == self.words:
            return False
        self.words = words
        self.pending.append((code, rules, named))
        return True

    def show(self, care: Care, *, values: Mapping[str, Value] | None = None, more: tuple[RecordEdit, ...] = ()) -> None:
        """Make a remedy of the pending steps; one that is not fit to be published waits for the next step."""
        text = " ".join((self.version, *self.words))
        finding = self.world.worst(rule for _, rules, _ in self.pending for rule in rules)
        if finding is None or not _publishable(text) or (not more and self.shown == (text,)):
            return
        code = self._code(care)
        own = tuple(term for each, _, terms in self.pending if each == code for term in terms)
        every = tuple(term for _, _, terms in self.pending for term in terms)
        terms = tuple(dict.fromkeys(own or every))
        named: dict[str, Value] = {
            "domain": self.world.domain,
            "terms": terms,
            "also": tuple(term for term in dict.fromkeys(every) if term not in terms),
            **(values or {}),
        }
        cause = self.world.worst(rule for each, rules, _ in self.pending if each == code for rule in rules) or finding
        edit = RecordEdit(self.world.domain, "TXT", self.old, (text,))
        strictest = max(care, self.least, key=tuple(Care).index)
        self.remedies.append(Remedy(cause.rule, cause.item, code, named, (*more, edit), strictest))
        self.shown = (text,)
        self.pending.clear()

    def _code(self, care: Care) -> str:
        """The kind of remedy that the pending steps make together."""
        codes = tuple(dict.fromkeys(code for code, _, _ in self.pending))
        if len(codes) > 1 and set(codes) <= _SAVING:
            return "spf-fewer-lookups"
        # The last step is what a careful remedy is about; what waited goes with it.
        return codes[-1] if care is not Care.SAFE or len(codes) == 1 else "spf-tidy"


def _publishable(text: str) -> bool:
    """Whether a receiver can read the record and it lets at least one sender pass."""
    if len(text) > MAX_OCTETS or not text.isascii() or not text.isprintable() or len(select([text])) != 1:
        return False
    record = parse(text)
    return not record.errors and (record.redirect is not None or any(_lets_pass(term) for term in record.live))


def _lets_pass(term: Mechanism) -> bool:
    return term.qualifier == "+" and term.name != "all"


def _closed(world: _World, old: tuple[str, ...], rule: str, code: str, care: Care) -> tuple[Remedy, ...]:
    """The record of a domain that sends nothing."""
    if old == (_CLOSED,):
        return ()
    edit = RecordEdit(world.domain, "TXT", old, (_CLOSED,))
    return (Remedy(rule, world.rules[rule].item, code, {"domain": world.domain}, (edit,), care),)


def _names_senders(records: Iterable[str]) -> bool:
    """Whether a record names something that sends: more than the domain's own a and mx, which come with templates."""
    for text in records:
        part = repair(text)
        if part is None or any(word.lower().lstrip("+") not in ("a", "mx") for word in part.words if _names(word)):
            return True
    return False


def _names(word: str) -> bool:
    term = term_of(word)
    return not isinstance(term, (Mechanism, Modifier)) or (
        _lets_pass(term) if isinstance(term, Mechanism) else term.name == "redirect"
    )


def _first_record(world: _World) -> tuple[Remedy, ...]:
    """A record for a domain without one, of what is known to send: the addresses given and the mail hosts."""
    if world.unmet("SPF-022"):
        return _closed(world, (), "SPF-022", "spf-park-unused", Care.CAREFUL)
    if not world.unmet("SPF-001"):
        return ()
    words: list[str] = []
    hosts = _texts(world.facts.value("domain.mx"))
    # Somebody else's MX hosts take mail in; what sends for their customers has other addresses.
    if hosts and all(f".{host.lower()}".endswith(f".{world.domain}") for host in hosts):
        words.append("mx")
    words += [f"include:{host}" for ident in _receiving(world) if (host := _include_of(ident))]
    words += [_ip_word(ip) for ip in _own_addresses(world)]
    sender = _include_of(_text(world.facts.value("senders.message_service")))
    words += [f"include:{sender}"] if sender else []
    if not words:
        return ()
    text = " ".join(("v=spf1", *dict.fromkeys(words), "~all"))
    values: Mapping[str, Value] = {"domain": world.domain, "terms": tuple(dict.fromkeys(words))}
    edit = RecordEdit(world.domain, "TXT", (), (text,))
    finding = world.rules["SPF-001"]
    return (Remedy(finding.rule, finding.item, "spf-publish", values, (edit,), Care.CAREFUL),)


def _receiving(world: _World) -> tuple[str, ...]:
    """Catalogue names of the services that take the domain's mail."""
    services = _items(world.facts.value("senders.services"))
    return tuple(_text(each.get("id")) for each in services if each.get("receives") is True)


def _include_of(ident: str) -> str | None:
    """The host that a service asks to be included at the From domain; None where that is not known for sure."""
    if not ident:
        return None
    from deliverability.senders.catalogue import Confidence, Include, Kind, services

    service = services().get(ident)
    if service is None or service.confidence is not Confidence.HIGH:
        return None
    hosts = [pattern.text for pattern in service.spf if pattern.expression is None]
    # Mailboxes at a web host send with the domain as Return-Path; which of several hosts is right, only it can say.
    hosted = service.include is None and service.kind is Kind.HOSTING and len(service.spf) == 1
    return hosts[0] if hosts and (service.include is Include.NEEDED or hosted) else None


def _own_addresses(world: _World) -> tuple[str, ...]:
    """The sending addresses that the user named; one read from a message may be a forwarder's."""
    if world.facts.value("envelope.ip_source") != "option":
        return ()
    given = _text(world.facts.value("envelope.ip"))
    named = dict.fromkeys(ip for ip, _ in world.sending())
    return tuple(named) or ((given,) if _is_address(given) else ())


def _ip_word(address: str) -> str:
    return f"ip{4 if _four(address) else 6}:{address}"


def _of_lookalikes(world: _World, meant: tuple[str, ...]) -> _Chain | None:
    """The record that was meant, where each of the values can be read; it begins to count, so with care."""
    parts = [repair(text) for text in meant]
    read = [part for part in parts if part is not None]
    if not read or len(read) != len(parts):
        return None
    words = _merged(read)
    if words is None:
        return None
    chain = _Chain(world, meant, "v=spf1", (), meant, least=Care.CAREFUL)
    chain.step("spf-recognise", ("SPF-019", "SPF-001"), words, meant)
    chain.show(Care.CAREFUL)
    return chain if chain.remedies else None


def _of_published(world: _World, published: tuple[str, ...]) -> _Chain | None:
    """The chain up to its SAFE remedy: what is wrong or useless goes, who may send today still may."""
    parts = [part for text in published if (part := repair(text)) is not None]
    if len(parts) != len(published):
        return None
    first = parts[0]
    # Of several records none is the one that is edited.
    words = tuple(word for word in published[0][6:].split(" ") if word) if len(published) == 1 else ()
    chain = _Chain(world, published, first.version, words, published)
    if len(published) > 1:
        merged = _merged(parts)
        if merged is None:
            return None
        unread = [each for part in parts for each in part.fixed]
        chain.step("spf-merge", ("SPF-002", *(("SPF-011",) if unread else ())), merged, published)
    elif world.unmet("SPF-011", "SPF-014"):
        chain.step("spf-fix-syntax", ("SPF-011", "SPF-014"), first.words, first.fixed)
    _safe_steps(chain)
    if world.unmet("SPF-012") and not chain.pending:
        # The same text in shorter strings: whoever writes the record down cuts it.
        chain.pending.append(("spf-split", ("SPF-012",), ()))
        chain.shown = ()
    if not (_only_lookups(chain) and _lookups_short(chain)):
        chain.show(Care.SAFE)
    return chain


def _merged(parts: Sequence[Repaired]) -> Words | None:
    """The mechanisms of all records in order, each once, one `all`; None where their order cannot be told.

    The records are void side by side. `-all` stays where all of them say so, else it is the milder ~all: that a
    record is stricter than its owner knows costs mail, and DMARC refuses forged mail in both cases.
    """
    if len(parts) == 1:
        return parts[0].words
    senders: dict[object, str] = {}
    modifiers: dict[str, str] = {}
    redirects: list[Modifier] = []
    ends: list[str] = []
    for part in parts:
        record = parse(" ".join(("v=spf1", *part.words)))
        if record.errors:
            return None
        for term in record.terms:
            if isinstance(term, Modifier):
                if term.name == "redirect":
                    redirects.append(term)
                else:
                    modifiers.setdefault(term.name, term.text)
            elif isinstance(term, Mechanism) and term.name == "all":
                ends.append(term.qualifier)
            elif isinstance(term, Mechanism):
                if term.qualifier != "+":
                    return None
                senders.setdefault(_key(term), term.text)
    targets = {term.value.lower(): term for term in redirects}
    if len(targets) == 1 and not ends and len(redirects) == len(parts):
        return (*senders.values(), *modifiers.values(), redirects[0].text)
    for term in targets.values():
        word = f"include:{term.value}"
        senders.setdefault(_key(term_of(word)), word)
    end = "-all" if ends and set(ends) == {"-"} and not redirects else "~all"
    return (*senders.values(), end, *modifiers.values())


def _key(term: Term | None) -> object:
    """Equal for terms that say the same."""
    if not isinstance(term, Mechanism):
        return term.text.lower() if term else ""
    domain = term.domain_spec.lower().removesuffix(".") if term.domain_spec else None
    return term.qualifier, term.name, domain, term.network, term.prefix4, term.prefix6


# -- steps that take nothing from anybody who may send today ----------------------------------------------------------


def _safe_steps(chain: _Chain) -> None:
    world = chain.world
    if world.unmet("SPF-009"):
        versions = [index for index, word in enumerate(chain.words) if word.lower().startswith("v=spf1")]
        dead = sorted((*_dead(chain.words), *versions))
        chain.step("spf-drop-dead", ("SPF-009",), _without(chain.words, dead), (chain.words[index] for index in dead))
    statuses = {
        ("SPF-018", "spf-drop-loop"): ("loop",),
        ("SPF-010", "spf-drop-broken"): ("broken",),
        ("SPF-004", "spf-drop-void"): ("void", "invalid-name"),
        ("SPF-017", "spf-drop-void"): ("void", "invalid-name"),
    }
    for (rule, code), wanted in statuses.items():
        if world.unmet(rule):
            useless = [index for index, word in enumerate(chain.words) if world.status(word) in wanted]
            names = [chain.words[index] for index in useless]
            _drop(chain, code, (rule,), useless, names)
    if world.unmet("SPF-003", "SPF-016", "SPF-023"):
        repeated = _repeated(world, chain.words)
        _drop(
            chain,
            "spf-drop-spare",
            ("SPF-003", "SPF-016", "SPF-023"),
            repeated,
            [chain.words[index] for index in repeated],
        )
    if world.unmet("SPF-020"):
        words = _shortened(chain.words)
        octets = world.facts.value("spf.answer_octets")
        saved = sum(map(len, chain.old)) - len(" ".join((chain.version, *words)))
        # A record that stays too long is not worth a change.
        if isinstance(octets, int) and octets - saved <= MAX_ANSWER_OCTETS:
            chain.step("spf-shorten", ("SPF-020",), words, [word for word in chain.words if word not in words])


def _only_lookups(chain: _Chain) -> bool:
    """Whether all that was done so far is for the number of look-ups."""
    rules = {rule for _, rules, _ in chain.pending for rule in rules if chain.world.unmet(rule)}
    return rules <= set(_LOOKUP_RULES)


def _lookups_short(chain: _Chain) -> bool:
    """Whether the record as edited so far still costs more than it should."""
    return chain.world.lookups(chain.words) > chain.world.allowed


def _drop(chain: _Chain, code: str, rules: tuple[str, ...], indexes: Sequence[int], names: Sequence[str]) -> None:
    """Take terms away; where a redirect goes and no `all` is there, ~all takes its place."""
    words = _without(chain.words, indexes)
    had, left = _redirect(chain.words), _redirect(words)
    if had and not left and _end(words) is None:
        words = (*words, "~all")
    chain.step(code, rules, words, names)


def _without(words: Words, indexes: Iterable[int]) -> Words:
    gone = set(indexes)
    return tuple(word for index, word in enumerate(words) if index not in gone)


def _end(words: Words) -> int | None:
    """Index of the first `all`."""
    return next((index for index, word in enumerate(words) if _is(term_of(word), "all")), None)


def _redirect(words: Words) -> bool:
    return any(_is(term_of(word), "redirect") for word in words)


def _dead(words: Words) -> list[int]:
    """Terms that are never evaluated: mechanisms behind `all`, a redirect beside it."""
    end = _end(words)
    if end is None:
        return []
    terms = [term_of(word) for word in words]
    return [
        index
        for index, term in enumerate(terms)
        if (index > end and isinstance(term, Mechanism)) or _is(term, "redirect")
    ]


def _repeated(world: _World, words: Words) -> list[int]:
    """Terms that cost look-ups and only repeat others: the same again, an include inside another, a covered a or mx."""
    found: list[int] = []
    seen: set[object] = set()
    for index, word in enumerate(words):
        key = _key(term_of(word))
        term = term_of(word)
        if isinstance(term, Mechanism) and term.name in LOOKUP_MECHANISMS and key in seen:
            found.append(index)
        seen.add(key)
    for index in reversed(range(len(words))):
        if index in found or not _plain_include(words[index]):
            continue
        others = [word for other, word in enumerate(words) if other != index and other not in found]
        target = world.target(words[index])
        # In a record of the same owner it stays; what a third party includes may go any day.
        owned = [word for word in others if _related(world, target, world.target(word))]
        if target and _nested(world, target, owned):
            found.append(index)
    spare = set(_texts(world.facts.value("spf.spare_terms")))
    for index in reversed(range(len(words))):
        word, term = words[index], term_of(words[index])
        if index in found or not (_is(term, "a") or _is(term, "mx")) or world.status(word) != "ok":
            continue
        others = [other for place, other in enumerate(words) if place != index and place not in found]
        # Of two equal terms the later is spare, and gone already; that says nothing about the first.
        twice = any(_key(term_of(words[place])) == _key(term) for place in found)
        if (word in spare and not twice) or _all_covered(world, word, others):
            found.append(index)
    return sorted(found)


def _related(world: _World, target: str, other: str) -> bool:
    own = f".{other}".endswith(f".{world.domain}")
    return own or _organisation(target) == _organisation(other)


def _nested(world: _World, target: str, words: Iterable[str]) -> bool:
    """Whether one of the terms is an include that itself includes `target`."""
    return any(_plain_include(word) and target in world.reached(word) for word in words)


def _plain_include(word: str) -> bool:
    term = term_of(word)
    return isinstance(term, Mechanism) and term.name == "include" and term.qualifier == "+"


def _reached(entry: Item | None) -> set[str]:
    """Targets of the includes below a term that every mail reaches that reaches the term, as long as none matches."""
    found: set[str] = set()
    queue = [entry.get("tree")] if entry and entry.get("status") == "ok" else []
    while queue and len(found) < MAX_NODES:
        node = queue.pop()
        if not isinstance(node, Mapping) or node.get("status") != "ok":
            continue
        for below in _items(node.get("terms")):
            if below.get("qualifier") not in ("+", None):
                break
            include = below.get("mechanism") == "include" and below.get("status") == "ok"
            if include and _text(below.get("target")) not in found:
                found.add(_text(below.get("target")))
                queue.append(below.get("tree"))
    return found


def _shortened(words: Words) -> Words:
    """Ranges that lie in one another or side by side as one. Terms that deny keep all as it is: order counts then."""
    terms = [term_of(word) for word in words]
    end = _end(words)
    last = len(words) if end is None else end
    if any(isinstance(term, Mechanism) and term.qualifier != "+" and term.name != "all" for term in terms):
        return words
    own: dict[int, Network] = {
        index: term.network
        for index, term in enumerate(terms)
        if index < last and isinstance(term, Mechanism) and term.network is not None
    }
    unions = _collapsed(own.values())
    written = {network: words[index] for index, network in reversed(own.items())}
    kept: list[str] = []
    placed: set[Network] = set()
    for index, word in enumerate(words):
        if index not in own:
            kept.append(word)
            continue
        union = next(each for each in unions if _within(own[index], each))
        if union not in placed:
            placed.add(union)
            kept.append(written.get(union) or _network_word(union))
    return tuple(kept)


def _collapsed(networks: Iterable[Network]) -> list[Network]:
    each = list(networks)
    fours = [network for network in each if isinstance(network, IPv4Network)]
    sixes = [network for network in each if isinstance(network, IPv6Network)]
    return [*collapse_addresses(fours), *collapse_addresses(sixes)]


def _within(network: Network, other: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(other, IPv4Network) and network.subnet_of(other)
    return isinstance(other, IPv6Network) and network.subnet_of(other)


def _network_word(network: Network) -> str:
    single = network.prefixlen == network.max_prefixlen
    return f"ip{network.version}:{network.network_address if single else network}"


# -- steps that change who may send, or that have to be kept up -------------------------------------------------------


def _careful_steps(chain: _Chain) -> None:
    """Each step that some finding asks for becomes a remedy of its own."""
    _drop_unreadable(chain)
    _move_dead(chain)
    _set_end(chain)
    _replace_ptr(chain)
    _add_senders(chain)
    _narrow(chain)
    _drop_faulty(chain)
    _list_many_hosts(chain)
    if chain.world.unmet("SPF-003", "SPF-016"):
        _save_lookups(chain)
    if chain.world.unmet("SPF-023"):
        words, gone = _without_covered(chain, chain.words, 0)
        if chain.step("spf-drop-covered", ("SPF-023",), words, gone):
            chain.show(Care.CAREFUL)


def _save_lookups(chain: _Chain) -> None:
    """The least intrusive way that brings the look-ups down; where none suffices, what can be saved is shown."""
    world, before = chain.world, chain.words
    if not _lookups_short(chain):
        return
    idle, unneeded = _without_unneeded(world, before)
    covered, dropped = _without_covered(chain, idle, world.allowed)
    listed, addresses = _with_addresses(world, covered, world.allowed)
    fewer: _Steps = (("spf-drop-unneeded", unneeded), ("spf-drop-covered", dropped))
    written_out: _Steps = (*fewer, ("spf-addresses", addresses))
    ways: list[tuple[Words, _Steps]] = [(covered, fewer)]
    if world.unmet("SPF-003"):
        # Addresses of one's own hosts first, they are known to their owner; then what rests on the addresses given.
        ways.append((listed, written_out))
        unmatched = set(_texts(world.facts.value("spf.unmatched_includes")))
        for words, steps in tuple(ways):
            unused = tuple(word for word in words if word in unmatched)
            ways.append((tuple(word for word in words if word not in unused), (*steps, ("spf-drop-unmatched", unused))))
    for words, steps in ways:
        if world.lookups(words) <= world.allowed:
            _take(chain, steps, words)
            chain.show(Care.CAREFUL, values={"lookups": world.lookups(words)})
            return
    if not world.unmet("SPF-003"):
        chain.words, chain.pending = before, []
        return
    for words, steps in ((covered, fewer), (listed, written_out)):
        moved = _moved(world, words)
        if moved is not None:
            left, gone, edits = moved
            _take(chain, (*steps, ("spf-subdomain", gone)), left)
            names = tuple(edit.name for edit in edits)
            values: Mapping[str, Value] = {"names": names, "lookups": world.lookups(left)}
            chain.show(Care.CAREFUL, values=values, more=edits)
            return
    if not _flatten(chain, listed, written_out):
        _take(chain, written_out, listed)
        chain.show(Care.CAREFUL, values={"lookups": world.lookups(listed)})


def _take(chain: _Chain, steps: _Steps, words: Words) -> None:
    """Note several steps at once that lead to `words`."""
    chain.words = words
    chain.pending += [(code, ("SPF-003", "SPF-016"), terms) for code, terms in steps if terms]


def _drop_unreadable(chain: _Chain) -> None:
    """Terms that nobody can make sense of: they let nobody pass, and keep everybody else from passing."""
    if not chain.world.unmet("SPF-011"):
        return
    bad = [index for index, word in enumerate(chain.words) if isinstance(term_of(word), BadTerm)]
    names = [chain.words[index] for index in bad]
    if chain.step("spf-drop-unreadable", ("SPF-011",), _without(chain.words, bad), names):
        chain.show(Care.CAREFUL)


def _move_dead(chain: _Chain) -> None:
    """Senders that stand where nobody looks come in front of `all`; a redirect beside `all` becomes an include."""
    if not chain.world.unmet("SPF-009") or len(chain.old) != 1:
        return
    given = tuple(word for word in chain.old[0][6:].split(" ") if word)
    present = {_key(term_of(word)) for word in chain.words}
    moved: list[str] = []
    for index in _dead(given):
        term = term_of(given[index])
        word = f"include:{term.value}" if isinstance(term, Modifier) else given[index]
        usable = isinstance(term, Modifier) or (isinstance(term, Mechanism) and _lets_pass(term))
        if usable and _key(term_of(word)) not in present and word not in moved:
            moved.append(word)
    end = _end(chain.words)
    if moved and end is not None:
        words = (*chain.words[:end], *moved, *chain.words[end:])
        if chain.step("spf-move-dead", ("SPF-009",), words, moved):
            chain.show(Care.CAREFUL)


def _set_end(chain: _Chain) -> None:
    """+all, ?all and no `all` become ~all."""
    if not chain.world.unmet("SPF-006", "SPF-007") or _redirect(chain.words):
        return
    end = _end(chain.words)
    if end is None:
        chain.step("spf-add-all", ("SPF-007",), _before_modifiers(chain.words, "~all"), ("~all",))
    else:
        term = term_of(chain.words[end])
        if not isinstance(term, Mechanism) or term.qualifier not in "+?":
            return
        code = "spf-close-open" if term.qualifier == "+" else "spf-add-all"
        words = (*chain.words[:end], "~all", *chain.words[end + 1 :])
        chain.step(code, ("SPF-006", "SPF-007"), words, (chain.words[end],))
    chain.show(Care.CAREFUL)


def _before_modifiers(words: Words, word: str) -> Words:
    """The words with one more at the end, in front of the modifiers that stand there."""
    place = len(words)
    while place and isinstance(term_of(words[place - 1]), Modifier):
        place -= 1
    return (*words[:place], word, *words[place:])


def _replace_ptr(chain: _Chain) -> None:
    """The addresses known to pass by ptr take its place; where none is known, it just goes."""
    world = chain.world
    own = [index for index, word in enumerate(chain.words) if _is(term_of(word), "ptr")]
    if not world.unmet("SPF-008") or not own:
        return
    ptrs = {chain.words[index] for index in own}
    matched = [ip for ip, reason in world.sending(passing=True) if reason.partition(" ")[0] in ptrs]
    fresh = [_ip_word(ip) for ip in dict.fromkeys(matched)]
    words = (*chain.words[: own[0]], *fresh, *_without(chain.words, own)[own[0] :])
    code = "spf-replace-ptr" if fresh else "spf-drop-ptr"
    if chain.step(code, ("SPF-008",), words, (chain.words[index] for index in own)):
        chain.show(Care.CAREFUL)


def _add_senders(chain: _Chain) -> None:
    """Addresses that send and that no term names, at the end of those that are named."""
    world = chain.world
    decided_by_all = {word for word in chain.words if _is(term_of(word), "all")}
    failing = dict(world.sending(passing=False))
    missing: list[str] = []
    for finding in world.items:
        reason = failing.get(finding.item)
        word = (reason or "").partition(" ")[0]
        # An address that a term of its own denies was meant to be kept out.
        denied = word in chain.words and word not in decided_by_all and isinstance(term_of(word), Mechanism)
        if finding.rule == "SPF-014" and reason is not None and not denied and not _covered(chain, finding.item):
            missing.append(finding.item)
    words = chain.words
    fresh = tuple(_ip_word(ip) for ip in dict.fromkeys(missing))
    place = next((i for i, word in enumerate(words) if word in decided_by_all or _is(term_of(word), "redirect")), None)
    place = len(words) if place is None else place
    if fresh and _add_service(chain, place):
        return
    alone = not chain.pending
    if chain.step("spf-add-sender", ("SPF-014",), (*words[:place], *fresh, *words[place:]), fresh):
        declared = world.facts.value("envelope.ip_source") == "option"
        chain.show(Care.SAFE if declared and alone else Care.CAREFUL)


def _add_service(chain: _Chain, place: int) -> bool:
    """The include of the service that sent the message, where its address was read from there. Says whether it was."""
    world, words = chain.world, chain.words
    host = _include_of(_text(world.facts.value("senders.message_service")))
    word = f"include:{host}"
    known = {world.target(each) for each in words} | {each.lower().lstrip("+").partition(":")[2] for each in words}
    if not host or host in known or world.facts.value("envelope.ip_source") == "option":
        return False
    if world.lookups((*words, word)) > MAX_LOOKUPS:
        return False
    chain.step("spf-add-service", ("SPF-014",), (*words[:place], word, *words[place:]), (word,))
    name = _text(world.facts.value("senders.message_service_name"))
    chain.show(Care.CAREFUL, values={"service": name or host})
    return True


def _covered(chain: _Chain, ip: str) -> bool:
    """Whether the record as edited so far names the address, as a repaired or moved term may."""
    address = ip_address(ip)
    return any(address in network for word in chain.words for network in chain.world.ranges(word) or ())


def _narrow(chain: _Chain) -> None:
    """A range that is far too wide gives way to the sending addresses known to lie in it; never to nothing."""
    world = chain.world
    if not world.unmet("SPF-013", "SPF-021"):
        return
    wide = set(_texts(world.facts.value("spf.wide_ranges")))
    words: list[str] = []
    gone: list[str] = []
    for word in chain.words:
        ranges = world.ranges(word) if word in wide else None
        inside = [ip for ip, _ in world.sending() if any(ip_address(ip) in each for each in ranges or ())]
        if not inside:
            words.append(word)
            continue
        gone.append(word)
        words += [_ip_word(ip) for ip in inside if _ip_word(ip) not in words]
    if chain.step("spf-narrow", ("SPF-013", "SPF-021"), tuple(words), gone):
        chain.show(Care.CAREFUL)


def _without_covered(chain: _Chain, words: Words, allowed: int) -> tuple[Words, Words]:
    """Includes go whose addresses all stand in other terms today, until the look-ups are few enough.

    Tomorrow the service may change its addresses, and so may whoever else lists them. The include of the domain's own
    mailbox provider goes last, and only where the limit asks for it.
    """
    world = chain.world
    spare = set(_texts(world.facts.value("spf.spare_terms")))
    gone: list[str] = []
    candidates = [word for word in words if _plain_include(word) and words.count(word) == 1]

    def place(word: str) -> tuple[bool, bool, int]:
        enough = world.cost(word) >= excess
        return _is_mailbox(world, word), not enough, world.cost(word) if enough else -world.cost(word)

    while candidates and (excess := world.lookups(words) - allowed) > 0:
        word = min(candidates, key=place)
        # What is not covered now will not be once other terms are gone.
        candidates.remove(word)
        if world.status(word) != "ok" or (_is_mailbox(world, word) and not world.unmet("SPF-003")):
            continue
        rest = tuple(each for each in words if each != word)
        if _nested(world, world.target(word), rest) or (word in spare and _all_covered(world, word, rest)):
            words = rest
            gone.append(word)
    return words, tuple(gone)


def _all_covered(world: _World, word: str, others: Iterable[str]) -> bool:
    """Whether other terms let every address pass that the term lets pass."""
    own = world.ranges(word)
    if not own:
        return False
    spans = _spans(each for other in others for each in world.ranges(other) or ())
    for network in own:
        place = bisect_right(spans, (network.version, int(network.network_address), 1 << 128)) - 1
        version, first, last = spans[place] if place >= 0 else (0, 0, 0)
        inside = first <= int(network.network_address) and int(network.broadcast_address) <= last
        if version != network.version or not inside:
            return False
    return True


def _spans(networks: Iterable[Network]) -> list[tuple[int, int, int]]:
    """Ranges as (IP version, first, last) in order, those that touch put together."""
    merged: list[tuple[int, int, int]] = []
    for version, first, last in sorted(
        (each.version, int(each.network_address), int(each.broadcast_address)) for each in networks
    ):
        if merged and merged[-1][0] == version and first <= merged[-1][2] + 1:
            merged[-1] = (version, merged[-1][1], max(last, merged[-1][2]))
        else:
            merged.append((version, first, last))
    return merged


def _is_mailbox(world: _World, word: str) -> bool:
    """The include belongs to whoever runs the MX hosts."""
    hosts = _texts(world.facts.value("domain.mx"))
    owner = _organisation(world.target(word))
    return any(f".{host.lower()}".endswith(f".{owner}") for host in hosts)


def _list_many_hosts(chain: _Chain) -> None:
    """An mx with more hosts than receivers follow becomes the addresses of these hosts."""
    world = chain.world
    if not world.unmet("SPF-005"):
        return
    words, gone = chain.words, []
    for word in dict.fromkeys(words):
        term = term_of(word)
        if world.status(word) != "overflow" or not isinstance(term, Mechanism) or not _lets_pass(term):
            continue
        addresses = world.addresses(world.entries[word], "mx")
        if addresses:
            words = _replaced(words, word, _collapsed(ip_network(ip) for ip in addresses))
            gone.append(word)
    if chain.step("spf-addresses", ("SPF-005",), words, gone):
        chain.show(Care.CAREFUL, values={"lookups": world.lookups(words)})


def _without_unneeded(world: _World, words: Words) -> tuple[Words, Words]:
    """Includes go whose service sends with a Return-Path elsewhere, until the look-ups are few enough."""
    unneeded = {
        term
        for each in _items(world.facts.value("senders.services"))
        if each.get("include_needed") is False
        for term in _texts(each.get("spf_terms"))
    }
    gone: list[str] = []
    sending = [ip_address(ip) for ip, _ in world.sending()]
    for word in sorted(dict.fromkeys(words), key=lambda each: -world.cost(each)):
        if word not in unneeded or not _plain_include(word) or world.lookups(words) <= world.allowed:
            continue
        if not any(ip in each for ip in sending for each in world.ranges(word) or ()):
            words = tuple(each for each in words if each != word)
            gone.append(word)
    return words, tuple(gone)


def _with_addresses(world: _World, words: Words, allowed: int) -> tuple[Words, Words]:
    """Terms a and mx as the addresses behind them today, those with the fewest first, until look-ups are few enough."""
    choices: list[tuple[int, str, list[Network]]] = []
    for word in dict.fromkeys(words):
        term = term_of(word)
        if isinstance(term, Mechanism) and term.name in ("a", "mx") and term.qualifier == "+":
            networks = _collapsed(world.ranges(word) or ())
            if 0 < len(networks) <= MAX_ADDRESSES:
                choices.append((len(networks), word, networks))
    gone: list[str] = []
    for _, word, networks in sorted(choices, key=lambda each: each[0]):
        if world.lookups(words) <= allowed:
            break
        words = _replaced(words, word, networks)
        gone.append(word)
    return words, tuple(gone)


def _replaced(words: Words, word: str, networks: Iterable[Network]) -> Words:
    """The words with ranges in the place of one of them; what other ip4 and ip6 terms hold already is left out."""
    place = words.index(word)
    rest = tuple(each for each in words if each != word)
    known = [each for other in rest if (term := term_of(other)) for each in _network_of(term)]
    fresh = [_network_word(each) for each in networks if not any(_within(each, other) for other in known)]
    return (*rest[:place], *fresh, *rest[place:])


def _drop_faulty(chain: _Chain) -> None:
    """Includes whose record itself has a syntax error: they end every check, and only their owner can mend them."""
    world = chain.world
    if not world.unmet("SPF-011"):
        return
    faulty: list[int] = []
    for index, word in enumerate(chain.words):
        entry = world.entries.get(word)
        tree = entry.get("tree") if entry else None
        if _plain_include(word) and isinstance(tree, Mapping) and tree.get("status") == "syntax-error":
            faulty.append(index)
    if chain.step("spf-drop-faulty", ("SPF-011",), _without(chain.words, faulty), (chain.words[i] for i in faulty)):
        chain.show(Care.CAREFUL)


def _moved(world: _World, words: Words) -> tuple[Words, Words, tuple[RecordEdit, ...]] | None:
    """Services that send with a Return-Path of a subdomain, which has a record and ten look-ups of its own.

    Gives the words that stay, the includes that go, and the new records; None where that does not suffice. What the
    mailbox provider or a sending address given needs, stays.
    """
    sending = [ip_address(ip) for ip, _ in world.sending()]
    services: dict[str, list[str]] = {}
    kept: set[str] = set()
    for word in dict.fromkeys(words):
        owner = _organisation(world.target(word))
        if not _plain_include(word):
            continue
        in_use = any(ip in each for ip in sending for each in world.ranges(word) or ())
        own = f".{world.target(word)}".endswith(f".{world.domain}")
        if in_use or own or "%" in word or world.status(word) != "ok" or _is_mailbox(world, word):
            kept.add(owner)
        services.setdefault(owner, []).append(word)
    # All includes of one service go together: it sends with one Return-Path.
    costs = {owner: sum(map(world.cost, includes)) for owner, includes in services.items() if owner not in kept}
    candidates = [owner for owner, cost in costs.items() if cost <= MAX_LOOKUPS]
    edits: dict[str, RecordEdit] = {}
    gone: list[str] = []
    while candidates and world.lookups(words) > MAX_LOOKUPS and len(edits) < MAX_MOVED:
        excess = world.lookups(words) - MAX_LOOKUPS
        enough = [owner for owner in candidates if costs[owner] >= excess]
        owner = min(enough, key=costs.__getitem__) if enough else max(candidates, key=costs.__getitem__)
        candidates.remove(owner)
        label = owner.partition(".")[0].strip("_-")
        name = f"{label}.{world.domain}"
        if not label or name_problem(name) or name in edits:
            continue
        words = tuple(each for each in words if each not in services[owner])
        gone += services[owner]
        edits[name] = RecordEdit(name, "TXT", (), (" ".join(("v=spf1", *services[owner], "~all")),))
    if not gone or world.lookups(words) > MAX_LOOKUPS:
        return None
    return words, tuple(gone), tuple(edits.values())


def _organisation(name: str) -> str:
    """The registered part of a service's name, as well as it can be told without the public suffix list."""
    labels = name.split(".")
    count = 3 if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else 2
    return ".".join(labels[-count:])


def _flatten(chain: _Chain, words: Words, steps: _Steps) -> bool:
    """Includes written out as their ranges of today: they become wrong without notice. Says whether it was done."""
    world = chain.world
    gone: list[str] = []
    listed = 0
    choices: list[tuple[float, str, list[Network]]] = []
    for word in dict.fromkeys(words):
        networks = _collapsed(world.ranges(word) or ()) if _plain_include(word) and world.cost(word) else []
        if 0 < len(networks) <= MAX_FLAT_RANGES:
            choices.append((len(networks) / world.cost(word), word, networks))
    for _, word, networks in sorted(choices, key=lambda each: each[0]):
        if world.lookups(words) <= MAX_LOOKUPS:
            break
        before = len(words)
        words = _replaced(words, word, networks)
        listed += len(words) - before + 1
        gone.append(word)
    if not gone or world.lookups(words) > MAX_LOOKUPS or len(" ".join(words)) > MAX_FLAT_OCTETS:
        return False
    seen = world.facts.evidence.get(f"dns:TXT:{world.target(gone[0])}")
    _take(chain, (*steps, ("spf-flatten", tuple(gone))), words)
    values: Mapping[str, Value] = {
        "ranges": listed,
        "measured": seen.at if seen else None,
        "lookups": world.lookups(words),
    }
    chain.show(Care.LAST_RESORT, values=values)
    return True


def _network_of(term: Term) -> Iterator[Network]:
    if isinstance(term, Mechanism) and term.network is not None and term.qualifier == "+":
        yield term.network
