"""Terms of an SPF record as words, and the ranges of addresses that they name. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from deliverability.core.names import Network
from deliverability.core.protocols.spf.record import BadTerm, Mechanism, Modifier, Term
from deliverability.core.protocols.spf.repair import term_of

_SECOND_LEVEL = frozenset({"ac", "co", "com", "ed", "edu", "go", "gov", "gr", "ne", "net", "or", "org"})
Words = tuple[str, ...]
Span = tuple[int, int, int]
"""Addresses from the first to the last: IP version, first, last."""


def is_term(term: Term | None, name: str) -> bool:
    """Whether the term is a readable mechanism or modifier of that name."""
    return term is not None and not isinstance(term, BadTerm) and term.name == name


def is_ipv4(address: str) -> bool:
    """Whether an address, which is known to be one, is of IPv4."""
    return ":" not in address


def lets_pass(term: Mechanism) -> bool:
    """Whether what matches passes; `all` names no sender."""
    return term.qualifier == "+" and term.name != "all"


def names_sender(word: str) -> bool:
    """Whether the word lets somebody pass, or may have been meant to."""
    term = term_of(word)
    return not isinstance(term, (Mechanism, Modifier)) or (
        lets_pass(term) if isinstance(term, Mechanism) else term.name == "redirect"
    )


def ip_word(address: str) -> str:
    """The mechanism for one address."""
    return f"ip{4 if is_ipv4(address) else 6}:{address}"


def key_of(term: Term | None) -> object:
    """Equal for terms that say the same."""
    if not isinstance(term, Mechanism):
        return term.text.lower() if term else ""
    domain = term.domain_spec.lower().removesuffix(".") if term.domain_spec else None
    return term.qualifier, term.name, domain, term.network, term.prefix4, term.prefix6


def without(words: Words, indexes: Iterable[int]) -> Words:
    """The words but for those at these places."""
    gone = set(indexes)
    return tuple(word for index, word in enumerate(words) if index not in gone)


def end_of(words: Words) -> int | None:
    """Index of the first `all`."""
    return next((index for index, word in enumerate(words) if is_term(term_of(word), "all")), None)


def has_redirect(words: Words) -> bool:
    """Whether one of them is a redirect."""
    return any(is_term(term_of(word), "redirect") for word in words)


def dead_terms(words: Words) -> list[int]:
    """Terms that are never evaluated: mechanisms behind `all`, a redirect beside it."""
    end = end_of(words)
    if end is None:
        return []
    terms = [term_of(word) for word in words]
    return [
        index
        for index, term in enumerate(terms)
        if (index > end and isinstance(term, Mechanism)) or is_term(term, "redirect")
    ]


def plain_include(word: str) -> bool:
    """Whether it is an include that lets pass."""
    term = term_of(word)
    return isinstance(term, Mechanism) and term.name == "include" and term.qualifier == "+"


def shortened(words: Words) -> Words:
    """Ranges that lie in one another or side by side as one. Terms that deny keep all as it is: order counts then."""
    terms = [term_of(word) for word in words]
    end = end_of(words)
    last = len(words) if end is None else end
    if any(isinstance(term, Mechanism) and term.qualifier != "+" and term.name != "all" for term in terms):
        return words
    own: dict[int, Network] = {
        index: term.network
        for index, term in enumerate(terms)
        if index < last and isinstance(term, Mechanism) and term.network is not None
    }
    unions = collapsed(own.values())
    written = {network: words[index] for index, network in reversed(own.items())}
    result: list[str] = []
    placed: set[Network] = set()
    for index, word in enumerate(words):
        if index not in own:
            result.append(word)
            continue
        union = next(each for each in unions if _within(own[index], each))
        if union not in placed:
            placed.add(union)
            result.append(written.get(union) or _network_word(union))
    return tuple(result)


def collapsed(networks: Iterable[Network]) -> list[Network]:
    """The same ranges in as few as possible, IPv4 first."""
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


def before_modifiers(words: Words, word: str) -> Words:
    """The words with one more at the end, in front of the modifiers that stand there."""
    place = len(words)
    while place and isinstance(term_of(words[place - 1]), Modifier):
        place -= 1
    return (*words[:place], word, *words[place:])


def spans(networks: Iterable[Network]) -> list[Span]:
    """Networks as spans in order, those that touch put together."""
    return joined((each.version, int(each.network_address), int(each.broadcast_address)) for each in networks)


def joined(found: Iterable[Span]) -> list[Span]:
    """Spans in order, those that overlap or touch put together."""
    merged: list[Span] = []
    for version, first, last in sorted(found):
        if merged and merged[-1][0] == version and first <= merged[-1][2] + 1:
            merged[-1] = (version, merged[-1][1], max(last, merged[-1][2]))
        else:
            merged.append((version, first, last))
    return merged


def minus(found: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """What the first spans hold and the others do not, in order."""
    rest: list[Span] = []
    holes = joined(others)
    place = 0
    for version, start, last in joined(found):
        while place < len(holes) and holes[place][::2] < (version, start):
            place += 1
        first = start
        for hole in range(place, len(holes)):
            other, low, high = holes[hole]
            if (other, low) > (version, last):
                break
            if low > first:
                rest.append((version, first, low - 1))
            first = high + 1
        if first <= last:
            rest.append((version, first, last))
    return rest


def replaced(words: Words, word: str, networks: Iterable[Network]) -> Words:
    """The words with ranges in the place of one of them; what other ip4 and ip6 terms hold already is left out."""
    place = words.index(word)
    rest = tuple(each for each in words if each != word)
    known = [each for other in rest if (term := term_of(other)) for each in _network_of(term)]
    fresh = [_network_word(each) for each in networks if not any(_within(each, other) for other in known)]
    return (*rest[:place], *fresh, *rest[place:])


def organisation(name: str) -> str:
    """The registered part of a service's name, as well as it can be told without the public suffix list."""
    labels = name.split(".")
    count = 3 if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else 2
    return ".".join(labels[-count:])


def _network_of(term: Term) -> Iterator[Network]:
    if isinstance(term, Mechanism) and term.network is not None and term.qualifier == "+":
        yield term.network
