"""Fewer DNS look-ups for an SPF record that needs too many: the least intrusive way that suffices.

In this order: what repeats other terms or serves nobody goes, own hosts are written out as addresses, services move to
subdomains of their own, and at last includes are written out as the ranges of today.

The include of whoever hosts the domain's mailboxes, or sends for them, is never moved, dropped or written out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from deliverability.core.facts.base import Value
from deliverability.core.facts.domain import Senders
from deliverability.core.facts.spf import Spf, SpfCoverage, SpfStatus
from deliverability.core.model.report import Care, RecordEdit
from deliverability.core.model.topic import if_known
from deliverability.core.names import Network
from deliverability.core.protocols.spf.record import LOOKUP_MECHANISMS, Mechanism, name_problem
from deliverability.core.protocols.spf.repair import term_of
from deliverability.engine.remedies.records import RemedyName
from deliverability.engine.remedies.spf_facts import (
    MAX_LOOKUPS,
    SpfFacts,
    Words,
    collapsed,
    is_term,
    key_of,
    organisation,
    plain_include,
    replaced,
    spans,
)
from deliverability.engine.remedies.spf_passing import Chain, Steps, taken_by

MAX_ADDRESSES = 16
"""Addresses that one a or mx is replaced by; more would make the record longer than it is worth."""
MAX_MOVED = 3
"""Includes that one draft moves to subdomains."""
MAX_FLAT_OCTETS = 2000
"""A flattened record longer than this fits into no answer that receivers like; then there is no such draft."""
MAX_FLAT_RANGES = 150
_REMEDIES: tuple[RemedyName, ...] = ("spf-fewer-lookups", "spf-drop-spare")


def lookups_short(chain: Chain) -> bool:
    """Whether the record as edited so far still costs more than it should."""
    return chain.spf.lookups(chain.words) > chain.spf.allowed


def repeated(spf: SpfFacts, words: Words) -> list[int]:
    """Terms that cost look-ups and only repeat others: the same again, an include inside another, a covered a or mx."""
    found: list[int] = []
    seen: set[object] = set()
    for index, word in enumerate(words):
        key = key_of(term_of(word))
        term = term_of(word)
        if isinstance(term, Mechanism) and term.name in LOOKUP_MECHANISMS and key in seen:
            found.append(index)
        seen.add(key)
    for index in reversed(range(len(words))):
        if index in found or not plain_include(words[index]):
            continue
        others = [word for other, word in enumerate(words) if other != index and other not in found]
        target = spf.target(words[index])
        # In a record of the same owner it stays; what a third party includes may go any day.
        owned = [word for word in others if _related(spf, target, spf.target(word))]
        if spf.carries_mailboxes(words[index]):
            owned = [word for word in owned if organisation(spf.target(word)) == organisation(target)]
        if target and _nested(spf, target, owned):
            found.append(index)
    spare = set(if_known(spf.facts.of(SpfCoverage).spare_terms) or ())
    wide = set(if_known(spf.facts.of(Spf).wide_ranges) or ()) if spf.wants("spf-narrow") else set()
    for index in reversed(range(len(words))):
        word, term = words[index], term_of(words[index])
        if index in found or not (is_term(term, "a") or is_term(term, "mx")) or spf.status(word) is not SpfStatus.OK:
            continue
        # A range that is far too wide ought to go itself.
        others = [
            other for place, other in enumerate(words) if place != index and place not in found and other not in wide
        ]
        # Of two equal terms the later is spare, and gone already; that says nothing about the first.
        twice = any(key_of(term_of(words[place])) == key_of(term) for place in found)
        if (word in spare and not twice and not wide) or _all_covered(spf, word, others):
            found.append(index)
    return sorted(found)


def _related(spf: SpfFacts, target: str, other: str) -> bool:
    own = f".{other}".endswith(f".{spf.domain}")
    return own or organisation(target) == organisation(other)


def _nested(spf: SpfFacts, target: str, words: Iterable[str]) -> bool:
    """Whether one of the terms is an include that itself includes `target`."""
    return any(plain_include(word) and target in spf.reached(word) for word in words)


def save_lookups(chain: Chain) -> None:
    """The least intrusive way that brings the look-ups down; where none suffices, what can be saved is shown."""
    spf, before = chain.spf, chain.words
    if not lookups_short(chain):
        return
    idle, unneeded = _without_unneeded(chain, before)
    covered, dropped = without_covered(chain, idle, spf.allowed, unneeded)
    listed, addresses = _with_addresses(spf, covered, spf.allowed)
    fewer: Steps = (("spf-drop-unneeded", unneeded), ("spf-drop-covered", dropped))
    written_out: Steps = (*fewer, ("spf-addresses", addresses))
    ways: list[tuple[Words, Steps]] = [(covered, fewer)]
    if spf.wants("spf-fewer-lookups"):
        # Addresses of one's own hosts first, they are known to their owner; then what rests on the addresses given.
        ways.append((listed, written_out))
        unmatched = set(if_known(spf.facts.of(SpfCoverage).unmatched_includes) or ())
        for words, steps in tuple(ways):
            unused = tuple(word for word in words if word in unmatched and not spf.carries_mailboxes(word))
            ways.append((tuple(word for word in words if word not in unused), (*steps, ("spf-drop-unmatched", unused))))
    for words, steps in ways:
        if spf.lookups(words) <= spf.allowed and chain.keeps(words, taken_by(steps)):
            chain.take(steps, words, _REMEDIES)
            chain.show(Care.CAREFUL, values={"lookups": spf.lookups(words)})
            return
    if not spf.wants("spf-fewer-lookups"):
        chain.back(before)
        return
    for words, steps in ((covered, fewer), (listed, written_out)):
        moved = _moved(chain, words, taken_by(steps))
        if moved is not None:
            left, gone, edits = moved
            chain.take((*steps, ("spf-subdomain", gone)), left, _REMEDIES)
            names = tuple(edit.name for edit in edits)
            values: Mapping[str, Value] = {"names": names, "lookups": spf.lookups(left)}
            chain.show(Care.CAREFUL, values=values, more=edits)
            return
    if not _flatten(chain, listed, written_out) and chain.keeps(listed, taken_by(written_out)):
        chain.take(written_out, listed, _REMEDIES)
        chain.show(Care.CAREFUL, values={"lookups": spf.lookups(listed)})


def without_covered(chain: Chain, words: Words, allowed: int, taken: Words = ()) -> tuple[Words, Words]:
    """Includes go whose addresses all stand in other terms today, until the look-ups are few enough.

    Tomorrow the service may change its addresses, and so may whoever else lists them. `taken` are terms that other
    steps took away to come to `words`.
    """
    spf = chain.spf
    spare = set(if_known(spf.facts.of(SpfCoverage).spare_terms) or ())
    gone: list[str] = []
    candidates = [
        word for word in words if plain_include(word) and words.count(word) == 1 and not spf.carries_mailboxes(word)
    ]

    def place(word: str) -> tuple[bool, int]:
        enough = spf.cost(word) >= excess
        return not enough, spf.cost(word) if enough else -spf.cost(word)

    while candidates and (excess := spf.lookups(words) - allowed) > 0:
        word = min(candidates, key=place)
        # What is not covered now will not be once other terms are gone.
        candidates.remove(word)
        if spf.status(word) is not SpfStatus.OK:
            continue
        rest = tuple(each for each in words if each != word)
        lasting = tuple(each for each in rest if each not in spf.doubtful)
        covered = _nested(spf, spf.target(word), lasting) or (word in spare and _all_covered(spf, word, lasting))
        if covered and chain.keeps(rest, taken):
            words = rest
            gone.append(word)
    return words, tuple(gone)


def _all_covered(spf: SpfFacts, word: str, others: Iterable[str]) -> bool:
    """Whether other terms let every address pass that the term lets pass."""
    own = spf.ranges(word)
    if not own:
        return False
    known = spans(each for other in others for each in spf.ranges(other) or ())
    for network in own:
        place = bisect_right(known, (network.version, int(network.network_address), 1 << 128)) - 1
        version, first, last = known[place] if place >= 0 else (0, 0, 0)
        inside = first <= int(network.network_address) and int(network.broadcast_address) <= last
        if version != network.version or not inside:
            return False
    return True


def _without_unneeded(chain: Chain, words: Words) -> tuple[Words, Words]:
    """Includes go whose service sends with a Return-Path elsewhere, until the look-ups are few enough."""
    spf = chain.spf
    unneeded = {
        term
        for each in if_known(spf.facts.of(Senders).services) or ()
        if each.include_needed is False
        for term in each.spf_terms
    }
    gone: list[str] = []
    sending = [ip_address(ip) for ip, _ in spf.sending()]
    for word in sorted(dict.fromkeys(words), key=lambda each: -spf.cost(each)):
        if word not in unneeded or not plain_include(word) or spf.lookups(words) <= spf.allowed:
            continue
        if spf.carries_mailboxes(word) or any(ip in each for ip in sending for each in spf.ranges(word) or ()):
            continue
        rest = tuple(each for each in words if each != word)
        if chain.keeps(rest, (*gone, word)):
            words = rest
            gone.append(word)
    return words, tuple(gone)


def _with_addresses(spf: SpfFacts, words: Words, allowed: int) -> tuple[Words, Words]:
    """Terms a and mx as the addresses behind them today, those with the fewest first, until look-ups are few enough."""
    choices: list[tuple[int, str, list[Network]]] = []
    for word in dict.fromkeys(words):
        term = term_of(word)
        if isinstance(term, Mechanism) and term.name in ("a", "mx") and term.qualifier == "+":
            networks = collapsed(spf.ranges(word) or ())
            if 0 < len(networks) <= MAX_ADDRESSES:
                choices.append((len(networks), word, networks))
    gone: list[str] = []
    for _, word, networks in sorted(choices, key=lambda each: each[0]):
        if spf.lookups(words) <= allowed:
            break
        words = replaced(words, word, networks)
        gone.append(word)
    return words, tuple(gone)


def _moved(chain: Chain, words: Words, taken: Words) -> tuple[Words, Words, tuple[RecordEdit, ...]] | None:
    """Services that send with a Return-Path of a subdomain, which has a record and ten look-ups of its own.

    Gives the words that stay, the includes that go, and the new records; None where that does not suffice. What the
    mailboxes or a sending address given need, stays, and so does a term that justified an earlier drop.
    """
    spf = chain.spf
    sending = [ip_address(ip) for ip, _ in spf.sending()]
    services: dict[str, list[str]] = {}
    remaining: set[str] = set()
    for word in dict.fromkeys(words):
        owner = organisation(spf.target(word))
        if not plain_include(word):
            continue
        in_use = any(ip in each for ip in sending for each in spf.ranges(word) or ())
        own = f".{spf.target(word)}".endswith(f".{spf.domain}")
        if in_use or own or "%" in word or spf.status(word) is not SpfStatus.OK or spf.carries_mailboxes(word):
            remaining.add(owner)
        services.setdefault(owner, []).append(word)
    # All includes of one service go together: it sends with one Return-Path.
    costs = {owner: sum(map(spf.cost, includes)) for owner, includes in services.items() if owner not in remaining}
    candidates = [owner for owner, cost in costs.items() if cost <= MAX_LOOKUPS]
    edits: dict[str, RecordEdit] = {}
    gone: list[str] = []
    while candidates and spf.lookups(words) > MAX_LOOKUPS and len(edits) < MAX_MOVED:
        excess = spf.lookups(words) - MAX_LOOKUPS
        enough = [owner for owner in candidates if costs[owner] >= excess]
        owner = min(enough, key=costs.__getitem__) if enough else max(candidates, key=costs.__getitem__)
        candidates.remove(owner)
        label = owner.partition(".")[0].strip("_-")
        name = f"{label}.{spf.domain}"
        rest = tuple(each for each in words if each not in services[owner])
        if not label or name_problem(name) or name in edits:
            continue
        if not chain.keeps(rest, (*taken, *gone, *services[owner])):
            continue
        words = rest
        gone += services[owner]
        edits[name] = RecordEdit(name, "TXT", (), (" ".join(("v=spf1", *services[owner], "~all")),))
    if not gone or spf.lookups(words) > MAX_LOOKUPS:
        return None
    return words, tuple(gone), tuple(edits.values())


def _flatten(chain: Chain, words: Words, steps: Steps) -> bool:
    """Includes written out as their ranges of today: they become wrong without notice. Says whether it was done."""
    spf = chain.spf
    gone: list[str] = []
    listed = 0
    choices: list[tuple[float, str, list[Network]]] = []
    for word in dict.fromkeys(words):
        plain = plain_include(word) and spf.cost(word) and not spf.carries_mailboxes(word)
        networks = collapsed(spf.ranges(word) or ()) if plain else []
        if 0 < len(networks) <= MAX_FLAT_RANGES:
            choices.append((len(networks) / spf.cost(word), word, networks))
    for _, word, networks in sorted(choices, key=lambda each: each[0]):
        if spf.lookups(words) <= MAX_LOOKUPS:
            break
        before = len(words)
        words = replaced(words, word, networks)
        listed += len(words) - before + 1
        gone.append(word)
    if not gone or spf.lookups(words) > MAX_LOOKUPS or len(" ".join(words)) > MAX_FLAT_OCTETS:
        return False
    if not chain.keeps(words, taken_by(steps)):
        return False
    seen = spf.facts.evidence.get(f"dns:TXT:{spf.target(gone[0])}")
    chain.take((*steps, ("spf-flatten", tuple(gone))), words, _REMEDIES)
    values: Mapping[str, Value] = {
        "ranges": listed,
        "measured": seen.at if seen else None,
        "lookups": spf.lookups(words),
    }
    chain.show(Care.LAST_RESORT, values=values)
    return True
