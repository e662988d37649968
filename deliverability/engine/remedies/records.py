"""What remedies are drafted from: what stands in DNS at a name as the audit saw it, the findings to mend, and the names
of all records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from msgspec import Struct

from deliverability.core.facts.base import EvidenceKind, FactSet, Record, aliases, texts
from deliverability.core.model.report import Finding, GateAnswer, Outcome
from deliverability.core.model.services import Service
from deliverability.core.names import is_within

if TYPE_CHECKING:
    from deliverability.engine.remedies.spf_passing import Earlier


RemedyName = Literal[
    "bimi-repair",
    "dkim-end-test",
    "dkim-one-key",
    "dkim-open-key",
    "dkim-repair-key",
    "dmarc-add-reports",
    "dmarc-begin",
    "dmarc-below-reject",
    "dmarc-closed",
    "dmarc-drop-pct",
    "dmarc-end-test",
    "dmarc-mend-reports",
    "dmarc-one-record",
    "dmarc-own-record",
    "dmarc-quarantine",
    "dmarc-recognised",
    "dmarc-reject",
    "dmarc-relax-alignment",
    "dmarc-repair",
    "dmarc-report-consent",
    "dmarc-state-policy",
    "dmarc-subdomains",
    "dmarc-tidy",
    "mta-sts-begin",
    "mta-sts-repair",
    "mx-drop-null",
    "mx-repair",
    "ptr-confirm",
    "ptr-publish",
    "spf-add-all",
    "spf-add-sender",
    "spf-addresses",
    "spf-close-open",
    "spf-drop-broken",
    "spf-drop-covered",
    "spf-drop-dead",
    "spf-drop-loop",
    "spf-drop-spare",
    "spf-drop-void",
    "spf-fewer-lookups",
    "spf-fix-syntax",
    "spf-merge",
    "spf-name-senders",
    "spf-narrow",
    "spf-park",
    "spf-park-unused",
    "spf-publish",
    "spf-recognise",
    "spf-replace-ptr",
    "spf-shorten",
    "spf-split",
    "tls-rpt-repair",
]

REMEDIES: tuple[RemedyName, ...] = get_args(RemedyName)


class Published(Struct, frozen=True):
    """A record set: where it stands (a CNAME may lead there) and its values; no values: there is none."""

    name: str
    values: tuple[str, ...]


def published(facts: FactSet, name: str, rdtype: str) -> Published | None:
    """The record set that answers for a name; None where nobody asked, or nobody could say."""
    item = facts.evidence.get(f"dns:{rdtype}:{name}")
    if item is None or item.kind is not EvidenceKind.DNS or item.ttl is None:
        return None  # a failure has no time to live
    return Published([name, *aliases(item.got)][-1], tuple(texts(item.got)))


def own_place(place: Published | None, domain: str) -> bool:
    """Whether a record set stands at the domain, or at a name above or below it: where its owner can edit it."""
    if place is None:
        return False
    return is_within(place.name, domain) or is_within(domain, place.name)


def unmet(findings: Iterable[Finding], *remedies: RemedyName) -> Iterator[Finding]:
    """The unmet findings whose rules name these remedies, in the order of the remedies."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.outcome is Outcome.UNMET and finding.remedy in remedies:
            found.setdefault(finding.remedy, []).append(finding)
    for remedy in remedies:
        yield from found.get(remedy, ())


R = TypeVar("R", bound=Record)


def named(finding: Finding, items_: Sequence[R], *key: str) -> R | None:
    """The item that a finding is about, by the fields that name it; None where that is not clear."""
    found = [each for each in items_ if "/".join(str(getattr(each, part) or "-") for part in key) == finding.item]
    return found[0] if len(found) == 1 else None


def plain(text: str) -> bool:
    """Whether a value can be typed as it is shown: printable ASCII without a backslash."""
    return text.isascii() and text.isprintable() and "\\" not in text


class Situation(Struct, frozen=True):
    """The facts and (at least the unmet) findings of an audit, and the sending services that are known.

    `earlier`: the remedies that these build on, where `facts` are those that the earlier ones lead to. `gate`: whether
    the next DMARC policy is safe by what receivers report, as the domain is now; None where no reports were read.
    """

    facts: FactSet
    findings: Sequence[Finding]
    services: Mapping[str, Service]
    earlier: Earlier | None = None
    gate: GateAnswer | None = None
