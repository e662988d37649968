"""What auditors look things up in: data of the rule folders that describe the world and judge nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from ipaddress import ip_network
from typing import TYPE_CHECKING, Annotated

from msgspec import Struct, field

from deliverability.core.codes import VERBATIM, Code, Detail
from deliverability.core.model.schema import Field

if TYPE_CHECKING:
    from deliverability.core.model.blocklists import BlockList
    from deliverability.core.model.services import (
        DnsProvider,
        Reporter,
        SeedReceiver,
        Service,  # which imports rules, and these the knowledge
    )
    from deliverability.core.model.warm_up import WarmUpNumbers


NO_NETWORK = Code("measures-no-network", ("text",))
NO_EXPRESSION = Code("words-no-expression", ("why",))


def _network_problem(text: str) -> Detail | None:
    try:
        ip_network(text)
    except ValueError:
        return NO_NETWORK(text=text)
    return None


def _networks(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(str(ip_network(text)) for text in texts)


def _networks_of(texts: Mapping[str, Iterable[str]]) -> Mapping[str, tuple[str, ...]]:
    return {name: _networks(several) for name, several in texts.items()}


_Network = Annotated[str, Field(check=_network_problem)]
_Needed = Annotated[tuple[str, ...], Field(needed=True)]


class Measures(Struct, frozen=True):
    """By what auditors choose what a fact lists.

    Attributes:
        wide_ip4, wide_ip6: a range with a shorter prefix is listed as wide.
        sending_ranges: ranges wider than that from which only the customers of one large service send.
        rented_ranges: by provider, ranges in which it rents addresses to anybody.
        claimable: by suffix, the services at which anybody can have a host right below it that nobody has.
        registries: by suffix, the registries below a domain of their own, where anybody can register a domain.
        signed_fields: header fields that a DKIM signature should cover where the message has them.
        signed_core: those of them without which a signed text can be shown as another mail.
        signed_one_click: those of them that one-click unsubscription needs.

    """

    wide_ip4: Annotated[int, Field(least=0, most=32, needed=True)] = 0
    wide_ip6: Annotated[int, Field(least=0, most=128, needed=True)] = 0
    sending_ranges: Annotated[tuple[_Network, ...], Field(after=_networks)] = ()
    rented_ranges: Annotated[Mapping[str, tuple[_Network, ...]], Field(after=_networks_of)] = field(
        default_factory=dict
    )
    claimable: Mapping[str, str] = field(default_factory=dict)
    registries: Mapping[str, str] = field(default_factory=dict)
    signed_fields: _Needed = ()
    signed_core: _Needed = ()
    signed_one_click: _Needed = ()


class _Resolver(Struct, frozen=True):
    name: str
    address: str


def _addresses(resolvers: Iterable[_Resolver]) -> Mapping[str, str]:
    return {each.name: each.address for each in resolvers}


class Outside(Struct, frozen=True):
    """Whom to ask where neither the user nor DNS names anybody.

    Attributes:
        resolvers: public ones, address by name.
        mail_domains: domains that have mail servers.
        no_names_below: domains below which no name of ours exists.
        clocks: https addresses whose servers know the time.
        clock_seconds: by how much a clock may differ.
        public_resolvers: networks and hosts of resolvers that many share, whom block lists refuse.

    """

    resolvers: Annotated[Mapping[str, str], Field(written=tuple[_Resolver, ...], after=_addresses, needed=True)] = (
        field(default_factory=dict)
    )
    mail_domains: Annotated[tuple[str, ...], Field(filled=True, needed=True)] = ()
    no_names_below: Annotated[tuple[str, ...], Field(filled=True, needed=True)] = ()
    clocks: _Needed = ()
    clock_seconds: Annotated[int, Field(least=1, needed=True)] = 0
    public_resolvers: tuple[str, ...] = ()


def _expression_problem(text: str) -> Detail | None:
    try:
        re.compile(text)
    except re.error as error:
        return NO_EXPRESSION(why=VERBATIM(text=str(error)))
    return None


_Expression = Annotated[str, Field(filled=True, check=_expression_problem)]
_EAST_ASIAN = "\u2e80"  # the first radical: behind it stand the scripts without blanks


class Expressions:
    """Regular expressions that are looked for together; `(?i)` at the beginning of one is for itself alone.

    Those with Japanese, Chinese or Korean characters are looked for only in text that has such: in other text, most of
    the time would go into them.
    """

    def __init__(self, expressions: Iterable[str]) -> None:
        self._expressions = tuple(expressions)

    @cached_property
    def _every(self) -> re.Pattern[str]:
        return _any_of(self._expressions)

    @cached_property
    def _others(self) -> re.Pattern[str]:
        return _any_of(each for each in self._expressions if max(each) < _EAST_ASIAN)

    def _of(self, text: str) -> re.Pattern[str]:
        return self._every if not text.isascii() and max(text) >= _EAST_ASIAN else self._others

    def search(self, text: str) -> re.Match[str] | None:
        """The first place where one of them fits; of several there, the first expression counts."""
        return self._of(text).search(text)

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        """All places, as `re` finds them."""
        return self._of(text).finditer(text)


def _any_of(expressions: Iterable[str]) -> re.Pattern[str]:
    scoped = (f"(?i:{each[4:]})" if each.startswith("(?i)") else f"(?:{each})" for each in expressions)
    return re.compile("|".join(scoped) or r"(?!)")


class UnsubscribeWords(Struct, frozen=True):
    """By what a link is known to be for unsubscribing: regular expressions for folded text.

    Attributes:
        in_link: in its text or alternative text.
        beside_link: in the text beside it.
        in_address: in its address.

    """

    in_link: tuple[_Expression, ...] = ()
    beside_link: tuple[_Expression, ...] = ()
    in_address: tuple[_Expression, ...] = ()

    def __add__(self, other: UnsubscribeWords) -> UnsubscribeWords:
        """All of both."""
        return UnsubscribeWords(
            self.in_link + other.in_link, self.beside_link + other.beside_link, self.in_address + other.in_address
        )


class ImprintSigns(Struct, frozen=True):
    """By what a text is known to say who sends it and how to refuse it: regular expressions for text in one width.

    Attributes:
        names: of companies and other senders, with their legal form or behind a label.
        postal: what begins or makes a postal address; searched in a line and the one after it.
        not_postal: a line is no address of the sender where one of these is near (a shop, a venue, a delivery).
        phone: a telephone number.
        contact: the text of a link or line that says where questions go.
        opt_out: a statement that the mail can be refused.
        pages: the text of a link to a page that may have the rest.

    """

    names: tuple[_Expression, ...] = ()
    postal: tuple[_Expression, ...] = ()
    not_postal: tuple[_Expression, ...] = ()
    phone: tuple[_Expression, ...] = ()
    contact: tuple[_Expression, ...] = ()
    opt_out: tuple[_Expression, ...] = ()
    pages: tuple[_Expression, ...] = ()


class Knowledge(Struct, frozen=True):
    """All of it, the user's folders laid over the shipped one.

    Attributes:
        services: sending services by id.
        common_selectors: DKIM selectors that every domain is asked for.
        selectors: all DKIM selectors that may be guessed, the common ones first.
        features: HTML and CSS features, by their names at caniemail, and what is lost without them: layout or content.
        measures: see Measures.
        outside: see Outside.
        dns_providers: where zones are kept and how a record is entered there, by id.
        reporters: who sends reports, by id.
        blocklists: lists of addresses and names that mail is refused from, by id.
        warm_up: how volume is raised.
        unsubscribe: see UnsubscribeWords.
        mailboxes: domains at which providers and carriers give addresses to their customers.
        imprint: see ImprintSigns.
        seeds: what is known of test mailboxes, by receiver.

    """

    services: Mapping[str, Service] = field(default_factory=dict)
    common_selectors: tuple[str, ...] = ()
    selectors: tuple[str, ...] = ()
    features: Mapping[str, str] = field(default_factory=dict)
    measures: Measures = Measures()
    outside: Outside = field(default_factory=Outside)
    dns_providers: Mapping[str, DnsProvider] = field(default_factory=dict)
    reporters: Mapping[str, Reporter] = field(default_factory=dict)
    blocklists: Mapping[str, BlockList] = field(default_factory=dict)
    warm_up: WarmUpNumbers | None = None
    mailboxes: frozenset[str] = frozenset()
    unsubscribe: UnsubscribeWords = UnsubscribeWords()
    imprint: ImprintSigns = ImprintSigns()
    seeds: Mapping[str, SeedReceiver] = field(default_factory=dict)
