"""Sending services: how each is recognised, how it signs, where its settings are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache

from msgspec import Struct

from deliverability.model.rules import Confidence


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


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    """Compiled when a name is first held against it; most patterns never are."""
    return re.compile(expression)


class ServiceSource(Struct, frozen=True):
    """Where something was read, on which day (ISO 8601), and in which form (rules.READ_AS)."""

    url: str
    checked: str
    read_as: str


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

    selectors: tuple[Pattern, ...] = ()
    older: tuple[Pattern, ...] = ()
    own: tuple[Pattern, ...] = ()
    fixed: bool = False
    record: str = ""
    targets: tuple[Pattern, ...] = ()
    fixed_fields: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The selectors that can be asked for as they are, present ones first."""
        return tuple(each.text for each in (*self.selectors, *self.older) if not each.expression)


class Service(Struct, frozen=True):
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
        return_domains: domains of its own that it uses as MAIL FROM.
        return_labels: first labels of the subdomains that it uses as MAIL FROM in its users' domains.
        return_mx: MX hosts of such subdomains.
        headers: header fields that only it adds, in lower case.
        feedback_ids: last parts of its Feedback-ID fields, in lower case.
        helo: hosts that hand its mail over.
        include: see Include.
        alignment: see Alignment.
        console: by language, where in its settings a domain is set up for sending.
        sources: where that was read.
        file: the file that it stands in.

    """

    id: str
    name: Mapping[str, str]
    kind: ServiceKind
    confidence: Confidence
    spf: tuple[Pattern, ...] = ()
    mx: tuple[Pattern, ...] = ()
    dkim: Dkim = Dkim()
    signs_as: tuple[Pattern, ...] = ()
    return_domains: tuple[Pattern, ...] = ()
    return_labels: tuple[Pattern, ...] = ()
    return_mx: tuple[Pattern, ...] = ()
    headers: tuple[str, ...] = ()
    feedback_ids: tuple[str, ...] = ()
    helo: tuple[Pattern, ...] = ()
    include: Include | None = None
    alignment: Alignment | None = None
    console: Mapping[str, str] | None = None
    sources: tuple[ServiceSource, ...] = ()
    file: str = ""
