"""Drafts of the records that protect mail to the domain: MTA-STS (RFC 8461) and TLS-RPT (RFC 8460).

Pure: reads facts, asks nobody.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

from deliverability.model.facts import FactSet, texts_of
from deliverability.model.report import Care, Finding, RecordEdit, Remedy
from deliverability.remedy.records import own_place, published, unmet
from deliverability.remedy.situation import Situation

TESTING_MAX_AGE = 86_400
"""Seconds that senders may keep a policy in testing mode: a day, so that a mistake is soon forgotten."""

_STS = re.compile(r"\s*+[\"']?\s*+v\s*+=\s*+sts", re.IGNORECASE)
_TLS_RPT = re.compile(r"\s*+[\"']?\s*+v\s*+=\s*+tls", re.IGNORECASE)
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_REPORT_URI = re.compile(r"(?:mailto:[^\s@,;]+@[^\s@,;]+|https://[^\s,;]+)")


def drafts(given: Situation) -> tuple[Remedy, ...]:
    """Drafts for what is unmet about MTA-STS and TLS-RPT."""
    facts, findings = given.facts, given.findings
    domain = facts.value("subject.domain")
    if not isinstance(domain, str) or not domain:
        return ()
    return (*_mta_sts(facts, findings, domain), *_tls_rpt(facts, findings, domain))


def policy_text(mx: Sequence[str]) -> str:
    """The policy file for these MX hosts, in testing mode: senders report, and deliver all the same."""
    lines = ["version: STSv1", "mode: testing", *(f"mx: {host}" for host in mx), f"max_age: {TESTING_MAX_AGE}"]
    return "\n".join(lines) + "\n"


def _mta_sts(facts: FactSet, findings: Sequence[Finding], domain: str) -> Iterator[Remedy]:
    finding = next(unmet(findings, "mta-sts-repair", "mta-sts-begin"), None)
    place = published(facts, f"_mta-sts.{domain}", "TXT")
    hosts = texts_of(facts.value("domain.mx"))
    if finding is None or place is None or not own_place(place, domain) or not hosts or "." in hosts:
        return
    policy = policy_text(hosts)
    stated = facts.value("mta_sts.id")
    begins = finding.remedy == "mta-sts-begin"
    # It has to change with the policy and may be any word: so it is made from the policy.
    ident = stated if isinstance(stated, str) and _ID.fullmatch(stated) else _ident(policy)
    old = tuple(value for value in place.values if _STS.match(value))
    edit = RecordEdit(place.name, "TXT", old, (f"v=STSv1; id={ident};",))
    values = {
        "domain": domain,
        "host": f"mta-sts.{domain}",
        "url": f"https://mta-sts.{domain}/.well-known/mta-sts.txt",
        "file": policy,
    }
    if begins:
        yield Remedy(finding.rule, finding.item, "mta-sts-begin", values, (edit,), Care.CAREFUL)
    else:
        yield Remedy(finding.rule, finding.item, "mta-sts-repair", {"domain": domain}, (edit,))


def _ident(policy: str) -> str:
    return hashlib.sha256(policy.encode("utf-8", "replace")).hexdigest()[:16]


def _tls_rpt(facts: FactSet, findings: Sequence[Finding], domain: str) -> Iterator[Remedy]:
    finding = next(unmet(findings, "tls-rpt-repair"), None)
    place = published(facts, f"_smtp._tls.{domain}", "TXT")
    if finding is None or place is None or not own_place(place, domain):
        return
    old = tuple(value for value in place.values if _TLS_RPT.match(value))
    usable = [uri for uri in texts_of(facts.value("tls_rpt.rua")) if _REPORT_URI.fullmatch(uri)]
    address = "" if usable else f"tls-reports@{domain}"
    text = f"v=TLSRPTv1; rua={','.join(usable) or 'mailto:' + address}"
    edit = RecordEdit(place.name, "TXT", old, (text,))
    code = "tls-rpt-repair" if usable else "tls-rpt-begin"
    yield Remedy(finding.rule, finding.item, code, {"domain": domain, "address": address or ", ".join(usable)}, (edit,))
