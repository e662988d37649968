"""DMARC policy records: text -> tags and what is wrong with them (RFC 9989 section 4.7)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from msgspec import Struct

from deliverability.core.codes import Code, Detail

POLICIES = ("none", "quarantine", "reject")
KNOWN_TAGS = frozenset({"v", "p", "sp", "np", "t", "psd", "adkim", "aspf", "rua", "ruf", "fo"})
OBSOLETE_TAGS = frozenset({"pct", "rf", "ri"})

VALUE = Code("dmarc-value", ("text",))  # a tag with a value that it cannot have
TWICE = Code("dmarc-twice", ("text",))  # a tag that was there before
ODD = Code("dmarc-odd", ("text",))  # no tag at all

# The tag name is a literal of ABNF, so either case will do; the value is marked as case-sensitive (section 4.8).
_VERSION = re.compile(r"[vV][ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
# Possessive, so that a text of nothing but spaces is looked at once and not in every way to divide it.
_MEANT = re.compile(r"""[\s"'“”(=@]*+v?\s*+[=:]*+\s*+dmarc""", re.IGNORECASE)
_WITHIN = re.compile(r"(?<![a-z0-9])v=dmarc1 ?[;,]|; ?v=dmarc1(?![a-z0-9])", re.IGNORECASE)
_TAG_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_URI = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<rest>[^\s,!;]+)(?:!(?P<size>[0-9]+[kmgtKMGT]?))?\Z")
_MAILBOX = re.compile(r"[^\s@<>]+@(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:\?.*)?\Z")


class ReportUri(Struct, frozen=True):
    """One report address: the URI without its obsolete size limit, and the mail domain (A-label, lower case)."""

    uri: str
    host: str


class DmarcRecord(Struct, frozen=True):
    """A policy record as published. A policy is None where its tag is absent or not one of the three words.

    Attributes:
        text: the record.
        tags: every tag as written, first occurrence, names lower case.
        errors: what is wrong, each with the piece of text that it is about.
        obsolete: pct, rf, ri and ``!size`` where used.
    """

    text: str
    tags: Mapping[str, str]
    policy: str | None
    subdomain_policy: str | None
    nonexistent_policy: str | None
    testing: bool
    psd: str
    adkim: str
    aspf: str
    pct: int | None
    rua: tuple[ReportUri, ...]
    ruf: tuple[ReportUri, ...]
    invalid_uris: tuple[str, ...]
    errors: tuple[Detail, ...]
    unknown_tags: tuple[str, ...]
    obsolete: tuple[str, ...]

    @property
    def broken_policy(self) -> bool:
        """A policy tag is there but says none of the three words (RFC 9989 section 4.10.1)."""
        return any(tag in self.tags and self.tags[tag].lower() not in POLICIES for tag in ("p", "sp", "np"))

    @property
    def usable(self) -> bool:
        """Whether receivers apply it at all (RFC 9989 section 4.10.1).

        Without a valid ``p``, or with a broken ``sp`` or ``np``, it counts as ``p=none`` if reports can be sent, else
        as no record.
        """
        return bool(self.rua) or (self.policy is not None and not self.broken_policy)

    @property
    def published_policy(self) -> str:
        """The policy for the record's own domain; absent or (with rua) broken counts as none."""
        return "none" if self.broken_policy else self.policy or "none"

    @property
    def weaker(self) -> dict[str, str]:
        """The tags for subdomains (sp, np) that ask for less than the policy of the domain itself."""
        rank = POLICIES.index(self.published_policy)
        pairs = (("sp", self.subdomain_policy), ("np", self.nonexistent_policy))
        return {tag: value for tag, value in pairs if value is not None and POLICIES.index(value) < rank}


def is_dmarc(text: str) -> bool:
    """Whether a TXT record is a DMARC record: ``v=DMARC1`` stands first, as a tag of its own (RFC 9989 section 4.8)."""
    return _VERSION.match(text) is not None


def split(values: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """TXT records at a _dmarc name as (DMARC records, records that were meant as DMARC but are none)."""
    found = tuple(values)
    records = tuple(text for text in found if is_dmarc(text))
    return records, tuple(text for text in found if not is_dmarc(text) and is_meant(text))


def is_meant(text: str) -> bool:
    """Whether a TXT record was meant as DMARC, recognized or not: the version is mistyped, or stands further behind."""
    begin = text[:200]
    return bool(_MEANT.match(begin) or _WITHIN.search(begin))


@lru_cache(maxsize=16)  # the same record is met on the walk, by the older rules and for other domains of the mail
def parse(text: str) -> DmarcRecord:
    """Read a record for which `is_dmarc` holds. Never raises; what cannot be read is in `errors`."""
    tags: dict[str, str] = {}
    errors: list[Detail] = []
    for piece in text.split(";"):
        piece = piece.strip(" \t\r\n")
        if not piece:
            continue
        name, equals, value = piece.partition("=")
        name = name.strip(" \t").lower()
        value = value.strip(" \t\r\n")
        if not equals or not _TAG_NAME.match(name):
            errors.append(ODD(text=piece))
        elif name in tags:
            errors.append(TWICE(text=piece))
        else:
            tags[name] = value

    def word(tag: str, allowed: tuple[str, ...]) -> str | None:
        if tag not in tags:
            return None
        value = tags[tag].lower()
        if value not in allowed:
            errors.append(VALUE(text=f"{tag}={tags[tag]}"))
            return None
        return value

    policy, subdomain, nonexistent = (word(tag, POLICIES) for tag in ("p", "sp", "np"))
    testing = word("t", ("y", "n")) == "y"
    psd = word("psd", ("y", "n", "u")) or "u"
    adkim, aspf = word("adkim", ("r", "s")) or "r", word("aspf", ("r", "s")) or "r"
    pct: int | None = None
    if "pct" in tags:
        if re.fullmatch(r"[0-9]{1,3}", tags["pct"]) and int(tags["pct"]) <= 100:
            pct = int(tags["pct"])
        else:
            errors.append(VALUE(text=f"pct={tags['pct']}"))
    if "fo" in tags and not re.fullmatch(r"[01dsDS]([ \t]*:[ \t]*[01dsDS])*", tags["fo"]):
        errors.append(VALUE(text=f"fo={tags['fo']}"))
    obsolete = [tag for tag in tags if tag in OBSOLETE_TAGS]
    rua, bad_rua, sized_rua = _uris(tags.get("rua"))
    ruf, bad_ruf, sized_ruf = _uris(tags.get("ruf"))
    if sized_rua or sized_ruf:
        obsolete.append("!size")
    return DmarcRecord(
        text=text,
        tags=tags,
        policy=policy,
        subdomain_policy=subdomain,
        nonexistent_policy=nonexistent,
        testing=testing,
        psd=psd,
        adkim=adkim,
        aspf=aspf,
        pct=pct,
        rua=rua,
        ruf=ruf,
        invalid_uris=bad_rua + bad_ruf,
        errors=tuple(errors),
        unknown_tags=tuple(tag for tag in tags if tag not in KNOWN_TAGS | OBSOLETE_TAGS),
        obsolete=tuple(obsolete),
    )


def _uris(text: str | None) -> tuple[tuple[ReportUri, ...], tuple[str, ...], bool]:
    """A list of report URIs as (usable ones, others, whether any has the obsolete ``!size``)."""
    good: list[ReportUri] = []
    bad: list[str] = []
    sized = False
    if text is None:
        return (), (), False
    for piece in text.split(","):
        piece = piece.strip()
        match = _URI.match(piece)
        mailbox = _MAILBOX.match(match["rest"]) if match and match["scheme"].lower() == "mailto" else None
        if match is None or mailbox is None or "." not in mailbox["host"] or ".." in mailbox["host"]:
            bad.append(piece)
            continue
        sized = sized or match["size"] is not None
        good.append(ReportUri(f"mailto:{match['rest']}", mailbox["host"].lower()))
    return tuple(good), tuple(bad), sized
