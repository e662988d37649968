"""Services of others: which send mail, which host DNS, which send reports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from typing import Annotated, Literal

from msgspec import Struct

from deliverability.core.model.rules import Confidence, ServiceSource, Sources
from deliverability.core.model.schema import OUTSIDE, Either, Field, Text, Words, lower
from deliverability.core.names import is_within


class ServiceKind(StrEnum):
    """What somebody uses the service for. GATEWAY: mail passes through it; HOSTING: web space with mailboxes."""

    MAILBOX = "mailbox"
    HOSTING = "hosting"
    TRANSACTIONAL = "transactional"
    NEWSLETTER = "newsletter"
    CRM = "crm"
    HELPDESK = "helpdesk"
    SHOP = "shop"
    GATEWAY = "gateway"
    OTHER = "other"


class Include(StrEnum):
    """Whether SPF of the From domain has to list the service.

    AT_RETURN_PATH: only at the subdomain that its mail carries as Return-Path. NOT_NEEDED: its Return-Path lies in a
    domain of its own or below a CNAME to it, so that SPF of the From domain is never asked.
    """

    NEEDED = "needed"
    AT_RETURN_PATH = "at-return-path"
    NOT_NEEDED = "not-needed"


class Alignment(StrEnum):
    """How SPF can be aligned with the From domain. NONE: with the usual setup it cannot, DKIM has to be."""

    FROM_DOMAIN = "from-domain"
    CUSTOM_RETURN_PATH = "custom-return-path"
    NONE = "none"


class Pattern(Struct, frozen=True):
    """The name of a host or a selector: ``#`` stands for a digit, ``*`` for anything within one label, also nothing.

    `suffix`: names below a host are meant too (``sendgrid.net`` and ``u1.wl.sendgrid.net``, not ``notsendgrid.net``).
    `expression`: the same as a regular expression, where the text has such signs.
    """

    text: str
    suffix: bool
    expression: str = ""

    def fits(self, name: str) -> bool:
        """Whether `name` (any case, with or without a trailing dot) is meant."""
        name = name.rstrip(".").lower()
        if self.expression:
            return _compiled(self.expression).fullmatch(name) is not None
        return name == self.text or (self.suffix and name.endswith(f".{self.text}"))


def pattern(text: str, *, suffix: bool) -> Pattern:
    """The pattern that a text of lower case stands for."""
    if "#" not in text and "*" not in text:
        return Pattern(text, suffix)
    pieces = {"#": "[0-9]", "*": "[a-z0-9_-]*"}
    return Pattern(text, suffix, "".join(pieces.get(char) or re.escape(char) for char in text))


def hosts(texts: Iterable[str]) -> tuple[Pattern, ...]:
    """The patterns of hosts, with the names below them."""
    return tuple(pattern(each.lower(), suffix=True) for each in texts)


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    """Compiled when a name is first held against it; most patterns never are."""
    return re.compile(expression)


def _labels(texts: Iterable[str]) -> tuple[Pattern, ...]:
    return tuple(pattern(each.lower(), suffix=False) for each in texts)


_HOST = r"(?=.{1,253}\Z)[a-z0-9_#*-]{1,63}(\.[a-z0-9_#*-]{1,63})+"
_LABEL = "[a-z0-9_#*-]{1,63}"
_FIELD = "[!-9;-~]{1,76}"
Hosts = Annotated[tuple[Pattern, ...], Field(written=tuple[Annotated[str, Field(pattern=_HOST)], ...], after=hosts)]
Labels = Annotated[tuple[Pattern, ...], Field(written=tuple[Annotated[str, Field(pattern=_LABEL)], ...], after=_labels)]
Fields = Annotated[tuple[Annotated[str, Field(pattern=_FIELD)], ...], Field(after=lower)]


class Dkim(Struct, frozen=True):
    """How the service signs with a key of its user's domain.

    Attributes:
        selectors: names of the keys that it asks for.
        older: names that it asked for in the past.
        own: those that by themselves tell the service; other names are used by several.
        fixed: it asks everybody for these names, so that their absence says something.
        record: ``cname`` or ``txt``, the type of record that it asks for.
        targets: hosts that its CNAME records lead to.
        fixed_fields: which header fields it signs (h=) is the same for everybody, and no setting changes it.

    """

    selectors: Labels = ()
    older: Labels = ()
    own: Labels = ()
    fixed: bool = False
    record: Annotated[str, Field(written=Literal["cname", "txt"])] = ""
    targets: Hosts = ()
    fixed_fields: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The selectors that can be asked for as they are, present ones first."""
        return tuple(each.text for each in (*self.selectors, *self.older) if not each.expression)


class ReturnPath(Struct, frozen=True):
    """By what the Return-Path of a service's mail is known.

    Attributes:
        domains: domains of its own that it uses as MAIL FROM.
        labels: first labels of the subdomains that it uses as MAIL FROM in its users' domains.
        mx: MX hosts of such subdomains.

    """

    domains: Hosts = ()
    labels: Labels = ()
    mx: Hosts = ()


class Service(Struct, frozen=True, rename={"feedback_ids": "feedback_id"}):
    """One sending service. What could not be found out is empty or None.

    Attributes:
        id: stable name.
        name: by language.
        kind: see ServiceKind.
        confidence: how sure what is said of the service is.
        spf: hosts that SPF records name for it.
        mx: hosts that take mail for its users' domains.
        dkim: see Dkim.
        signs_as: domains that it signs with as itself (d=).
        return_path: see ReturnPath.
        headers: header fields that only it adds, in lower case.
        feedback_ids: last parts of its Feedback-ID fields, in lower case.
        helo: hosts that hand its mail over.
        include: see Include.
        alignment: see Alignment.
        console: by language, where in its settings a domain is set up for sending.
        sources: where that was read.
        file: the file that it stands in.

    """

    id: Annotated[str, Field(pattern="[a-z0-9]+(-[a-z0-9]+)*")]
    name: Words
    kind: ServiceKind
    confidence: Confidence
    spf: Hosts = ()
    mx: Hosts = ()
    dkim: Dkim = Dkim()
    signs_as: Hosts = ()
    return_path: ReturnPath = ReturnPath()
    headers: Fields = ()
    feedback_ids: Fields = ()
    helo: Hosts = ()
    include: Include | None = None
    alignment: Alignment | None = None
    console: Words | None = None
    sources: tuple[ServiceSource, ...] = ()
    file: Annotated[str, OUTSIDE] = ""


class HostField(StrEnum):
    """What the field for the name takes. RELATIVE: the part before the zone's own name; FULL: all of the name; UNKNOWN:
    nobody could read that anywhere.
    """

    RELATIVE = "relative"
    FULL = "full"
    UNKNOWN = "unknown"


class Quotes(StrEnum):
    """How a TXT value is entered. WITHOUT: without quotation marks; WITH: within them."""

    WITHOUT = "without"
    WITH = "with"


class LongText(StrEnum):
    """How a TXT value of more than 255 octets is entered. WHOLE: as one; STRINGS: as quoted strings on one line."""

    WHOLE = "whole"
    STRINGS = "strings"


class FieldNames(Struct, frozen=True):
    """By language, how the fields for a record's name and value are called."""

    name: Either
    value: Either


class DnsProvider(Struct, frozen=True):
    """One DNS provider. What could not be found out is empty or None.

    Attributes:
        id: stable name.
        name: by language.
        name_servers: the servers of its users' zones.
        console: by language, where records are added.
        host: see HostField.
        apex: what stands in the field for the name of the zone itself; empty: the field is left empty; None: not known.
        fields: see FieldNames.
        quotes: see Quotes.
        long: see LongText.
        longest: characters that a TXT value may have.
        ttl: by language, what to choose as TTL.
        note: by language, what else to look out for.
        sources: where that was read.

    """

    id: Annotated[str, Field(pattern="[a-z0-9]+(-[a-z0-9]+)*")]
    name: Either
    name_servers: Annotated[tuple[Pattern, ...], Field(written=tuple[Text, ...], filled=True, after=hosts)]
    console: Either
    host: HostField = HostField.RELATIVE
    apex: str | None = "@"
    fields: FieldNames | None = None
    quotes: Quotes | None = None
    long: LongText | None = None
    longest: Annotated[int | None, Field(least=255)] = None
    ttl: Either | None = None
    note: Either | None = None
    sources: Sources = ()

    def host_of(self, name: str, zone: str) -> str | None:
        """What to enter for a name of the zone; empty: nothing; None: that is not known."""
        if self.host is HostField.UNKNOWN:
            return None
        if self.host is HostField.FULL:
            return name
        return self.apex if name == zone else name.removesuffix(f".{zone}")


def provider_of(name_servers: Iterable[str], providers: Iterable[DnsProvider]) -> DnsProvider | None:
    """The provider whose all name servers of a zone are; None where one of them is of somebody else."""
    servers = tuple(name_servers)
    if not servers:
        return None
    return next(
        (
            each
            for each in providers
            if all(any(pattern.fits(server) for pattern in each.name_servers) for server in servers)
        ),
        None,
    )


def _folded(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.casefold() for name in names)


class Reporter(Struct, frozen=True, rename={"senders": "from"}):
    """An entry of rules/reporters.yaml, or a table of the user's settings.

    Attributes:
        id: lower case.
        names: as it calls itself in reports, in lower case.
        senders: the exact addresses that its reports come from; a host stands for all addresses there and below, and is
            one that nobody has a mailbox at.
        receiver: the receiver of the rules that it is; empty: none of them.
        large: it takes so much of the world's mail that an answer may rest on its reports alone.
        sources: where that was read.

    """

    id: Annotated[str, Field(pattern="[a-z0-9]+(-[a-z0-9]+)*")]
    names: Annotated[tuple[Text, ...], Field(filled=True, after=_folded)]
    senders: Annotated[tuple[str, ...], Field(filled=True, after=lower)]
    receiver: str = ""
    large: bool = False
    sources: Sources = ()

    def sends_from(self, address: str) -> bool:
        """Whether its reports come from that address (lower case, with an A-label)."""
        host = address.rpartition("@")[2]
        return any(address == each if "@" in each else is_within(host, each) for each in self.senders)


def reporter_named(name: str, known: Mapping[str, Reporter]) -> Reporter | None:
    """The reporter of that id, that calls itself so (as a report has it), or that sends from that address."""
    wanted = name.casefold()
    if found := known.get(wanted):
        return found
    fits = Reporter.sends_from if "@" in wanted else _calls_itself
    return next((each for each in known.values() if fits(each, wanted)), None)


def reporters_listed(known: Mapping[str, Reporter], own: Mapping[str, Reporter]) -> Mapping[str, Reporter]:
    """All whose reports count: those that are known, and the user's own under names that none of these has."""
    return {**known, **{name: each for name, each in own.items() if reporter_named(name, known) is None}}


def _calls_itself(reporter: Reporter, name: str) -> bool:
    return name in reporter.names


class SeedReceiver(Struct, frozen=True):
    """An entry of rules/seeds.yaml: what is known of test mailboxes at a receiver.

    Attributes:
        id: the receiver of the rules.
        host: of its IMAP server; empty: its pages do not say enough to leave it out of the settings.
        authserv: the hosts whose Authentication-Results are its own.
        unnamed: its own Authentication-Results name no host.
        fields: header fields of its filter, with the names in them whose values are shown.
        sources: where that was read.

    """

    id: Annotated[str, Field(pattern="[a-z0-9]+(-[a-z0-9]+)*")]
    host: str = ""
    authserv: Annotated[tuple[str, ...], Field(after=lower)] = ()
    unnamed: bool = False
    fields: Mapping[str, tuple[Annotated[str, Field(pattern="[A-Za-z0-9-]+")], ...]] = {}
    sources: Sources = ()
