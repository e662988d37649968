"""Drafts of records about transport and hosts: MTA-STS, TLS-RPT, MX, addresses, PTR, BIMI."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterator, Sequence

from deliverability.core.facts.base import FactSet, texts_of
from deliverability.core.facts.dmarc import Bimi, Dmarc, DmarcDiscovery
from deliverability.core.facts.domain import Declared, Domain, Mx
from deliverability.core.facts.envelope import Envelope, SendingHosts
from deliverability.core.facts.transport import MtaSts, TlsRpt
from deliverability.core.model.report import Care, Finding, RecordEdit, Remedy
from deliverability.core.model.topic import if_known
from deliverability.core.names import is_within
from deliverability.engine.remedies.records import Situation, named, own_place, plain, published, unmet

_BIMI = re.compile(r"\s*+[\"']?\s*+v\s*+=\s*+bimi", re.IGNORECASE)


def bimi_drafts(given: Situation) -> tuple[Remedy, ...]:
    """The record with its logo and certificate, written as receivers read it."""
    facts, findings = given.facts, given.findings
    finding = next(unmet(findings, "bimi-repair"), None)
    name, domain = facts.of(Bimi).name, facts.of(Declared).domain
    logo, certificate = facts.of(Bimi).logo, facts.of(Bimi).certificate
    enforced = facts.of(Dmarc).stage in ("quarantine", "reject")
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


TESTING_MAX_AGE = 86_400
"""Seconds that senders may keep a policy in testing mode: a day, so that a mistake is soon forgotten."""

_STS = re.compile(r"\s*+[\"']?\s*+v\s*+=\s*+sts", re.IGNORECASE)
_TLS_RPT = re.compile(r"\s*+[\"']?\s*+v\s*+=\s*+tls", re.IGNORECASE)
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_REPORT_URI = re.compile(r"(?:mailto:[^\s@,;]+@[^\s@,;]+|https://[^\s,;]+)")


def transport_drafts(given: Situation) -> tuple[Remedy, ...]:
    """Drafts for what is unmet about MTA-STS and TLS-RPT."""
    facts, findings = given.facts, given.findings
    domain = facts.of(Declared).domain
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
    hosts = if_known(facts.of(Domain).mx) or ()
    if finding is None or place is None or not own_place(place, domain) or not hosts or "." in hosts:
        return
    policy = policy_text(hosts)
    stated = facts.of(MtaSts).id
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
    usable = [uri for uri in (if_known(facts.of(TlsRpt).rua) or ()) if _REPORT_URI.fullmatch(uri)]
    address = "" if usable else f"tls-reports@{domain}"
    text = f"v=TLSRPTv1; rua={','.join(usable) or 'mailto:' + address}"
    edit = RecordEdit(place.name, "TXT", old, (text,))
    code = "tls-rpt-repair" if usable else "tls-rpt-begin"
    yield Remedy(finding.rule, finding.item, code, {"domain": domain, "address": address or ", ".join(usable)}, (edit,))


def hosts_drafts(given: Situation) -> tuple[Remedy, ...]:
    """Drafts for unmet findings about mail hosts and sending addresses."""
    facts, findings = given.facts, given.findings
    domain = facts.of(Declared).domain
    if not isinstance(domain, str) or not domain:
        return ()
    return (*_mx(facts, findings, domain), *_reverse(facts, findings))


def _mx(facts: FactSet, findings: Sequence[Finding], domain: str) -> Iterator[Remedy]:
    place = published(facts, domain, "MX")
    if place is None or place.name != domain:
        return
    hosts = if_known(facts.of(Mx).hosts) or ()
    for finding in unmet(findings, "mx-drop-null"):
        named_hosts = tuple(value for value in place.values if value.partition(" ")[2] != ".")
        edit = RecordEdit(domain, "MX", place.values, named_hosts)
        yield Remedy(finding.rule, finding.item, "mx-drop-null", {"domain": domain}, (edit,), Care.CAREFUL)
    for finding in unmet(findings, "mx-repair"):
        item = named(finding, hosts, "host")
        if item is None:
            continue
        host, alias = item.host, item.alias
        if isinstance(alias, str) and item.public is True:
            new = tuple(
                f"{value.partition(' ')[0]} {alias}" if value.partition(" ")[2] == host else value
                for value in place.values
            )
            values = {"host": host, "target": alias}
            edit = RecordEdit(domain, "MX", place.values, tuple(dict.fromkeys(new)))
            yield Remedy(finding.rule, finding.item, "mx-name-alias", values, (edit,), Care.CAREFUL)
        elif item.public is False:
            new = tuple(value for value in place.values if value.partition(" ")[2] != host)
            if new and any(each.public is True for each in hosts):
                edit = RecordEdit(domain, "MX", place.values, new)
                yield Remedy(finding.rule, finding.item, "mx-drop-dead", {"host": host}, (edit,), Care.CAREFUL)


def _reverse(facts: FactSet, findings: Sequence[Finding]) -> Iterator[Remedy]:
    addresses = if_known(facts.of(SendingHosts).ips) or ()
    helo = facts.of(Envelope).helo
    home = facts.of(DmarcDiscovery).organizational_domain_psl
    for finding in unmet(findings, "ptr-publish", "ptr-confirm"):
        item = named(finding, addresses, "ip")
        if item is None:
            continue
        ip, reverse = item.ip, item.reverse_name
        if finding.remedy == "ptr-publish":
            if isinstance(helo, str) and item.helo_matches is True and isinstance(reverse, str):
                name = helo.rstrip(".").lower()
                edit = RecordEdit(reverse, "PTR", (), (name,))
                yield Remedy(finding.rule, finding.item, "ptr-publish", {"ip": ip, "name": name}, (edit,))
            continue
        for name in texts_of(item.ptr):
            if isinstance(home, str) and is_within(name, home):
                rdtype = "A" if ipaddress.ip_address(ip).version == 4 else "AAAA"
                there = published(facts, name, rdtype)
                if there is not None and there.name == name:
                    edit = RecordEdit(name, rdtype, there.values, (*there.values, ip))
                    yield Remedy(finding.rule, finding.item, "ptr-confirm", {"ip": ip, "name": name}, (edit,))
