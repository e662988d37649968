"""A second opinion as values: where other programs say something else than an audit, and why."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from deliverability.model.facts import Value

SECTIONS: Mapping[str, tuple[str, str]] = {
    "spf-version-case": ("RFC 7208", "12"),
    "spf-same-record-twice": ("RFC 7208", "4.5"),
    "spf-syntax-anywhere": ("RFC 7208", "4.6, 12"),
    "spf-slash-in-name": ("RFC 7208", "7.1, 12"),
    "spf-temperror": ("RFC 7208", "2.6.6, 5.2"),
    "spf-void-ptr": ("RFC 7208", "4.6.4, 5.5"),
    "spf-void-terms": ("RFC 7208", "4.6.4, 5, 5.7"),
    "spf-macro-target": ("RFC 7208", "7.2"),
    "dmarc-unrelated": ("RFC 9989", "4.10"),
    "dmarc-rest-counts": ("RFC 9989", "4.7"),
    "dmarc-no-policy": ("RFC 9989", "4.10.1"),
    "dmarc-nonexistent": ("RFC 9989", "4.10"),
    "dkim-sha1": ("RFC 8301", "3.1"),
    "dkim-key-tags": ("RFC 6376", "3.6.1, 6.1.2"),
    "dkim-expiry": ("RFC 6376", "3.5"),
    "dkim-length": ("RFC 6376", "3.5"),
    "dkim-key-multiple": ("RFC 6376", "3.6.2.2"),
    "dkim-from": ("RFC 6376", "5.4, 6.1.1"),
}
"""Code of a known reason (strings, ``opinion.reason``) -> the standard and its sections that decide for us."""


class Difference(Struct, frozen=True):
    """One point on which another program says something else than this audit, on the same answers and octets.

    Attributes:
        topic: ``spf``, ``dmarc``, ``dkim``, ``mta-sts`` or ``tls-rpt``; tells which program it is.
        subject: the domain or signature (``domain/selector``) that it is about.
        aspect: what is said of it: ``status``, ``lookups``, ``policy`` ... (strings, ``opinion.aspect``).
        ours: what this audit says.
        theirs: what the other program says.
        reason: code of the known reason (strings, ``opinion.reason``); None: nobody has explained it yet.
        words: the other program's own words, where it gave any.

    """

    topic: str
    subject: str
    aspect: str
    ours: Value
    theirs: Value
    reason: str | None = None
    words: str = ""


class Unheard(Struct, frozen=True):
    """What the other program could not be asked about; `why`: ``time``, ``dns``, ``size`` or ``crash``."""

    topic: str
    subject: str
    why: str


class SecondOpinion(Struct, frozen=True):
    """What other programs make of the same answers and octets. `compared`: how many points were."""

    compared: int
    differences: tuple[Difference, ...] = ()
    unheard: tuple[Unheard, ...] = ()
