"""Drafts of BIMI records, only where the logo and its certificate are there and the record around them is broken.

Where they are to be found is not ours to invent; without enforcement of DMARC no receiver shows them.
Pure.
"""

from __future__ import annotations

import re

from deliverability.model.report import RecordEdit, Remedy
from deliverability.remedy.records import own_place, plain, published, unmet
from deliverability.remedy.situation import Situation

_BIMI = re.compile(r"\s*+[\"']?\s*+v\s*+=\s*+bimi", re.IGNORECASE)


def drafts(given: Situation) -> tuple[Remedy, ...]:
    """The record with its logo and certificate, written as receivers read it."""
    facts, findings = given.facts, given.findings
    finding = next(unmet(findings, "bimi-repair"), None)
    name, domain = facts.value("bimi.name"), facts.value("subject.domain")
    logo, certificate = facts.value("bimi.logo"), facts.value("bimi.certificate")
    enforced = facts.value("dmarc.stage") in ("quarantine", "reject")
    if finding is None or not enforced or not isinstance(name, str) or not isinstance(domain, str):
        return ()
    place = published(facts, name, "TXT")
    if place is None or not own_place(place, domain) or not isinstance(logo, str) or not isinstance(certificate, str):
        return ()
    text = f"v=BIMI1; l={logo}; a={certificate}"
    if not plain(text) or ";" in logo + certificate:
        return ()
    old = tuple(value for value in place.values if _BIMI.match(value))
    edit = RecordEdit(place.name, "TXT", old, (text,))
    return (Remedy(finding.rule, finding.item, "bimi-repair", {"name": place.name}, (edit,)),)
