"""Drafts of MX, address and PTR records, where the audit leaves no doubt about what they must say.

Pure: reads facts, asks nobody.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from deliverability.model.facts import FactSet, records_of, texts_of
from deliverability.model.names import is_within
from deliverability.model.report import Care, Finding, RecordEdit, Remedy
from deliverability.remedy.records import named, published, unmet
from deliverability.remedy.situation import Situation


def drafts(given: Situation) -> tuple[Remedy, ...]:
    """Drafts for unmet findings about mail hosts and sending addresses."""
    facts, findings = given.facts, given.findings
    domain = facts.value("subject.domain")
    if not isinstance(domain, str) or not domain:
        return ()
    return (*_mx(facts, findings, domain), *_reverse(facts, findings))


def _mx(facts: FactSet, findings: Sequence[Finding], domain: str) -> Iterator[Remedy]:
    place = published(facts, domain, "MX")
    if place is None or place.name != domain:
        return
    hosts = records_of(facts.value("mx.hosts"))
    for finding in unmet(findings, "mx-repair"):
        item = named(finding, hosts, "host")
        if item is None:
            continue
        host, alias = item.get("host"), item.get("alias")
        if isinstance(alias, str) and item.get("public") is True:
            new = tuple(
                f"{value.partition(' ')[0]} {alias}" if value.partition(" ")[2] == host else value
                for value in place.values
            )
            values = {"host": host, "target": alias}
            edit = RecordEdit(domain, "MX", place.values, tuple(dict.fromkeys(new)))
            yield Remedy(finding.rule, finding.item, "mx-name-alias", values, (edit,), Care.CAREFUL)
        elif item.get("public") is False:
            new = tuple(value for value in place.values if value.partition(" ")[2] != host)
            if new and any(each.get("public") is True for each in hosts):
                edit = RecordEdit(domain, "MX", place.values, new)
                yield Remedy(finding.rule, finding.item, "mx-drop-dead", {"host": host}, (edit,), Care.CAREFUL)


def _reverse(facts: FactSet, findings: Sequence[Finding]) -> Iterator[Remedy]:
    addresses = records_of(facts.value("identity.ips"))
    helo = facts.value("envelope.helo")
    home = facts.value("dmarc.organizational_domain_psl")
    for finding in unmet(findings, "ptr-publish", "ptr-confirm"):
        item = named(finding, addresses, "ip")
        if item is None:
            continue
        ip, reverse = str(item.get("ip")), item.get("reverse_name")
        if finding.remedy == "ptr-publish":
            if isinstance(helo, str) and item.get("helo_matches") is True and isinstance(reverse, str):
                name = helo.rstrip(".").lower()
                edit = RecordEdit(reverse, "PTR", (), (name,))
                yield Remedy(finding.rule, finding.item, "ptr-publish", {"ip": ip, "name": name}, (edit,))
            continue
        for name in texts_of(item.get("ptr")):
            if isinstance(home, str) and is_within(name, home):
                rdtype = "A" if ipaddress.ip_address(ip).version == 4 else "AAAA"
                there = published(facts, name, rdtype)
                if there is not None and there.name == name:
                    edit = RecordEdit(name, rdtype, there.values, (*there.values, ip))
                    yield Remedy(finding.rule, finding.item, "ptr-confirm", {"ip": ip, "name": name}, (edit,))
