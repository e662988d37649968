"""Sending services: how each is recognised, how it signs, where its settings are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from typing import Annotated, Literal

from msgspec import Struct

from deliverability.model.cited import ServiceSource
from deliverability.model.rules import Confidence
from deliverability.model.schema import OUTSIDE, Field, Words, lower


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
