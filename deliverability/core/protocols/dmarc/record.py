"""DMARC policy records: text -> tags and what is wrong with them (RFC 9989 section 4.7), and their discovery (4.10).

Discovery is the DNS tree walk, which gives the organizational domain and the policy that counts.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.net.base import Answer, Failed, Found, Resolver, unknown_from
from deliverability.core.protocols.psl import is_public_suffix, registrable_domain

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
_WITHIN = re.compile(r"(?<![a-z0-9])v=dmarc1 ?[;,]|; ?v=dmarc1(?![a-z0-9])", re.IGNORECASE | re.ASCII)
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


MAX_QUERIES = 8


class Step(Struct, frozen=True):
    """One name of the tree walk: its DMARC records, near misses, and the answer they come from.

    `record` is the record, where exactly one is there (several are all discarded).
    """

    domain: str
    answer: Answer
    records: tuple[str, ...] = ()
    lookalikes: tuple[str, ...] = ()
    record: DmarcRecord | None = None

    @classmethod
    def of(cls, domain: str, answer: Answer) -> Step:
        """The step as answered; the record is read here, once, since it can be 64 KB long."""
        records, lookalikes = split(answer.values) if isinstance(answer, Found) else ((), ())
        return cls(domain, answer, records, lookalikes, parse(records[0]) if len(records) == 1 else None)

    @property
    def failed(self) -> Unknown | None:
        """Why the name could not be looked up, or None."""
        if isinstance(self.answer, Failed):
            return unknown_from(self.answer)
        return None

    @property
    def answer_is_offline(self) -> bool:
        """Nobody was asked, because the run is offline."""
        return isinstance(self.answer, Failed) and self.answer.reason is Reason.OFFLINE


class Discovery(Struct, frozen=True):
    """What the tree walk found for an author domain.

    Attributes:
        steps: every name asked, from the author domain upwards, ending where the walk stops.
        organizational_domain: by RFC 9989, or Unknown.
        location: domain whose record applies; None: there is none; Unknown: could not be told.
        record: that record.
        ignored: the record that would apply, but has no valid policy and no usable report address, so that receivers
            act as if there were none (section 4.10.1).
        tag: p, sp or np: where the policy was taken from.
        policy: what receivers by RFC 9989 apply, ``t=y`` taken into account.
        legacy_policy: what receivers by RFC 7489 apply (public suffix list, pct, no t, no np); None without a record.
    """

    domain: str
    steps: tuple[Step, ...]
    organizational_domain: str | Unknown
    location: str | Unknown | None
    record: DmarcRecord | None
    ignored: Step | None
    tag: str | None
    policy: str | Unknown | None
    legacy_policy: str | Unknown | None


def walk_names(domain: str) -> tuple[str, ...]:
    """The names a tree walk may ask, at most eight: the domain, then seven labels or fewer, down to one."""
    labels = domain.rstrip(".").lower().split(".")
    rest = labels[1:] if len(labels) < MAX_QUERIES else labels[-(MAX_QUERIES - 1) :]
    return (".".join(labels), *(".".join(rest[start:]) for start in range(len(rest))))


async def walk(domain: str, resolver: Resolver) -> tuple[Step, ...]:
    """Ask every name of the tree walk at once, and cut the result where the walk would have stopped."""
    names = walk_names(domain)
    answers = await asyncio.gather(*(resolver.query(f"_dmarc.{name}", "TXT") for name in names))
    steps: list[Step] = []
    for name, answer in zip(names, answers, strict=True):
        step = Step.of(name, answer)
        steps.append(step)
        if step.record is not None and step.record.psd in ("y", "n"):
            break
    return tuple(steps)


async def organizational_domain(domain: str, resolver: Resolver) -> str | Unknown:
    """The organizational domain of `domain` by the tree walk (RFC 9989 section 4.10.2)."""
    return choose_organizational_domain(await walk(domain, resolver))


def choose_organizational_domain(steps: tuple[Step, ...]) -> str | Unknown:
    """The organizational domain from a finished walk; Unknown where a failed look-up could have changed it."""
    chosen = steps[0].domain
    for index, step in enumerate(steps):
        record = step.record
        if record is None:
            if step.failed is None:
                continue
            # What a public suffix says can only name the domain just below it, which is chosen already where that
            # domain has a record. Suffixes that nobody asked for (offline zones) are taken to say nothing.
            below = steps[index - 1].domain if index else None
            if is_public_suffix(step.domain) and (step.answer_is_offline or chosen == below):
                continue
            return step.failed
        if record.psd == "n":
            return step.domain
        if record.psd == "y" and index > 0:
            return ".".join(steps[0].domain.split(".")[-(step.domain.count(".") + 2) :])
        chosen = step.domain
    return chosen


async def discover_dmarc(domain: str, resolver: Resolver) -> Discovery:
    """Find the record and the policy that apply to mail whose From domain is `domain` (an A-label)."""
    domain = domain.rstrip(".").lower()
    steps = await walk(domain, resolver)
    organizational = choose_organizational_domain(steps)
    step = _policy_step(steps, organizational)
    legacy = await _legacy_policy(domain, resolver)
    if isinstance(step, Unknown):
        return Discovery(domain, steps, organizational, step, None, None, None, step, legacy)
    if step is None or step.record is None or not step.record.usable:
        return Discovery(domain, steps, organizational, None, None, step, None, None, legacy)
    tag, policy = await _policy(domain, step.domain, step.record, resolver)
    return Discovery(domain, steps, organizational, step.domain, step.record, None, tag, policy, legacy)


def _policy_step(steps: tuple[Step, ...], organizational: str | Unknown) -> Step | Unknown | None:
    """Where the record stands that counts: author domain, organizational domain, public suffix domain, in this order.

    The first of these that has a record ends the search, be it usable or not (RFC 9989 section 4.10.1).
    """
    author = steps[0]
    if author.failed is not None:
        return author.failed
    if author.record is not None:
        return author
    if isinstance(organizational, Unknown):
        return organizational
    wanted = [step for step in steps[1:] if step.domain == organizational]
    wanted += [step for step in steps[1:] if step.record is not None and step.record.psd == "y"]
    for step in wanted:
        if step.failed is not None:
            return step.failed
        if step.record is not None:
            return step
    # A failed look-up further up could still hold the record; names nobody asked for (offline suffixes) do not count.
    for step in steps[1:]:
        if step.failed is not None and not (is_public_suffix(step.domain) and step.answer_is_offline):
            return step.failed
    return None


async def _policy(
    domain: str, location: str, record: DmarcRecord, resolver: Resolver
) -> tuple[str | None, str | Unknown | None]:
    """The tag that counts for `domain` under a record found at `location`, and the policy after ``t=y``."""
    tag, value = "p", record.published_policy
    if location != domain and not record.broken_policy:
        if record.subdomain_policy is not None:
            tag, value = "sp", record.subdomain_policy
        if record.nonexistent_policy is not None:
            exists = await name_exists(domain, resolver)
            if isinstance(exists, Unknown):
                if record.nonexistent_policy != value:
                    return None, exists
            elif not exists:
                tag, value = "np", record.nonexistent_policy
    if record.testing and value != "none":
        value = POLICIES[POLICIES.index(value) - 1]
    return tag, value


async def name_exists(domain: str, resolver: Resolver) -> bool | Unknown:
    """Whether the name exists: NXDOMAIN alone says no, and for all types (RFC 9989 section 3.2.13, RFC 8020).

    A name with a TXT record, or with other names below it, exists. So does an alias (CNAME) that leads nowhere.
    """
    answers = await asyncio.gather(*(resolver.query(domain, rdtype) for rdtype in ("A", "AAAA", "MX")))
    known = [answer for answer in answers if not isinstance(answer, Failed)]
    if any(isinstance(answer, Found) or not answer.nxdomain or answer.chain for answer in known):
        return True
    if known:
        return False
    return next(unknown_from(answer) for answer in answers if isinstance(answer, Failed))


async def _legacy_policy(domain: str, resolver: Resolver) -> str | Unknown | None:
    """The policy in the eyes of an RFC 7489 receiver; None where such a receiver finds no usable record."""
    own = registrable_domain(domain)
    for name in dict.fromkeys((domain, own)):
        answer = await resolver.query(f"_dmarc.{name}", "TXT")
        if isinstance(answer, Failed):
            return unknown_from(answer)
        if not isinstance(answer, Found):
            continue
        records, _ = split(answer.values)
        if len(records) != 1:
            continue
        record = parse(records[0])
        value = record.policy if name == domain else record.subdomain_policy or record.policy
        if value is None:
            return "none" if record.rua else None
        # With pct=0 the policy is applied to no message (RFC 7489 section 6.6.4 steps down one level).
        return POLICIES[max(0, POLICIES.index(value) - 1)] if record.pct == 0 else value
    return None
