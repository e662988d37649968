"""Drafts for DKIM keys, mail hosts, reverse DNS, MTA-STS, TLS-RPT and BIMI; every one here stood its rehearsal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deliverability.core.inputs import Sample, Subject
from deliverability.core.model.report import Remedy
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.rules.judge import Selection
from deliverability.engine.audit import Extras, report_on
from deliverability.engine.remedies.plan import BEGINNINGS
from deliverability.engine.remedies.records import REMEDIES
from deliverability.engine.remedies.transport import policy_text
from deliverability.engine.rules import load_rules
from tests import ROOT
from tests.signing import published, rsa_key, sign

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
RULES = load_rules()
KEY = rsa_key(2048)
RECORD = published(KEY)
OTHER = published(rsa_key(1024))
Records = Mapping[tuple[str, str], list[str | tuple[str, ...]]]
WORLD: Records = {
    ("example.com", "SOA"): ["ns.example.com hostmaster.example.com 1 7200 3600 1209600 300"],
    ("example.com", "MX"): ["10 mail.example.com"],
    ("example.com", "TXT"): ["v=spf1 mx -all"],
    ("mail.example.com", "A"): ["192.0.2.25"],
    ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=quarantine; rua=mailto:d@example.com"],
}
MAIL = (
    b"From: News <news@example.com>\r\nTo: Bob <bob@example.net>\r\nSubject: Picnic\r\n"
    b"Date: Tue, 24 Nov 2026 10:00:00 +0900\r\nMessage-ID: <1@example.com>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nBring bread.\r\n"
)
RECEIVED = (
    b"Received: from mail.example.com (mail.example.com [192.0.2.25])\r\n"
    b"\tby mx.example.net with ESMTPS id 1; Tue, 24 Nov 2026 01:00:03 +0000\r\n"
)
SIGNED = RECEIVED + sign(MAIL, KEY, headers=("from", "to", "subject", "date", "message-id", "mime-version"))


def txt(value: str) -> tuple[str, ...]:
    return tuple(value[start : start + 255] for start in range(0, len(value), 255))


async def remedies(
    more: Records, mail: bytes | None = None, without: tuple[tuple[str, str], ...] = (), **options: object
) -> dict[str, Remedy]:
    records = {key: value for key, value in {**WORLD, **more}.items() if key not in without}
    job = Subject("example.com", Sample("picnic.eml", data=mail) if mail else None, **options)  # type: ignore[arg-type]
    ports = Ports(StaticResolver(records), FixedClock(NOW), sources=("static",))
    got = await report_on(job, ports, RULES, Selection(), Extras(remedies=True))
    assert got.audited.crashes == ()
    return {each.code: each for each in got.report.remedies}


def change(remedy: Remedy) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    (edit,) = remedy.edits
    return edit.name, edit.type, edit.old, edit.new


S1 = "s1._domainkey.example.com"
BODY = RECORD.partition("p=")[2]
KEYS = {
    "test mode": (f"v=DKIM1; k=rsa; t=y; p={BODY}", "dkim-end-test", f"v=DKIM1; k=rsa; p={BODY}"),
    "test mode beside another flag": (f"v=DKIM1; t=y:s; p={BODY}", "dkim-end-test", f"v=DKIM1; t=s; p={BODY}"),
    "SHA-1 only": (f"v=DKIM1; h=sha1; p={BODY}", "dkim-open-key", f"v=DKIM1; p={BODY}"),
    "quoted": (f'"v=DKIM1; k=rsa; p={BODY}"', "dkim-repair-key", f"v=DKIM1; k=rsa; p={BODY}"),
    "armour left in": (
        f"v=DKIM1; k=rsa; p=-----BEGIN PUBLIC KEY-----{BODY}-----END PUBLIC KEY-----",
        "dkim-repair-key",
        f"v=DKIM1; k=rsa; p={BODY}",
    ),
    "semicolon lost": (f"v=DKIM1 k=rsa p={BODY}", "dkim-repair-key", f"v=DKIM1; k=rsa; p={BODY}"),
}


@pytest.mark.parametrize("case", KEYS.values(), ids=KEYS)
async def test_a_key_record_is_edited(case: tuple[str, str, str]) -> None:
    old, code, new = case
    remedy = (await remedies({(S1, "TXT"): [txt(old)]}, selectors=("s1",)))[code]
    assert change(remedy) == (S1, "TXT", (old,), (new,))


async def test_of_two_keys_the_usable_one_stays() -> None:
    broken = "v=DKIM1; k=rsa; p=AAAA"
    remedy = (await remedies({(S1, "TXT"): [broken, txt(RECORD)]}, selectors=("s1",)))["dkim-one-key"]
    assert change(remedy)[3] == (RECORD,)


async def test_of_two_good_keys_none_is_chosen() -> None:
    both = {(S1, "TXT"): [txt(OTHER), txt(RECORD)]}
    assert "dkim-one-key" not in await remedies(both, selectors=("s1",))
    assert "dkim-one-key" not in await remedies(both, mail=SIGNED)


async def test_a_revoked_or_missing_key_is_not_mended_by_an_edit() -> None:
    for records in ({(S1, "TXT"): ["v=DKIM1; p="]}, {}):
        found = await remedies(records, mail=SIGNED)
        assert not [code for code in found if code.startswith("dkim-")]


async def test_a_key_that_a_service_hosts_is_left_to_it() -> None:
    hosted = {
        (S1, "CNAME"): ["s1.dkim.esp.example"],
        ("s1.dkim.esp.example", "TXT"): [txt(f"v=DKIM1; t=y; p={BODY}")],
    }
    assert "dkim-end-test" not in await remedies(hosted, selectors=("s1",))


async def test_mta_sts_begins_in_testing_mode_and_the_policy_names_the_hosts() -> None:
    remedy = (await remedies({}))["mta-sts-begin"]
    name, rdtype, old, (new,) = change(remedy)
    assert (name, rdtype, old) == ("_mta-sts.example.com", "TXT", ())
    assert new.startswith("v=STSv1; id=")
    assert remedy.values["file"] == policy_text(["mail.example.com"])
    assert "mode: testing\nmx: mail.example.com\n" in str(remedy.values["file"])


async def test_a_broken_mta_sts_record_keeps_its_id() -> None:
    stands = {("_mta-sts.example.com", "TXT"): ["v=STSv1; id=20261124; id=; x"]}
    remedy = (await remedies(stands))["mta-sts-repair"]
    assert change(remedy)[2:] == (("v=STSv1; id=20261124; id=; x",), ("v=STSv1; id=20261124;",))


async def test_tls_reports() -> None:
    assert change((await remedies({}))["tls-rpt-begin"]) == (
        "_smtp._tls.example.com",
        "TXT",
        (),
        ("v=TLSRPTv1; rua=mailto:tls-reports@example.com",),
    )


async def test_an_mx_host_without_address_goes_and_an_alias_is_named() -> None:
    dead = {("example.com", "MX"): ["10 mail.example.com", "20 gone.example.com"]}
    assert change((await remedies(dead))["mx-drop-dead"])[3] == ("10 mail.example.com",)
    alias = {("example.com", "MX"): ["10 mx.example.com"], ("mx.example.com", "CNAME"): ["mail.example.com"]}
    assert change((await remedies(alias))["mx-name-alias"])[3] == ("10 mail.example.com",)
    alone = {("example.com", "MX"): ["10 gone.example.com"]}
    assert "mx-drop-dead" not in await remedies(alone)


async def test_reverse_dns_is_proposed_only_where_the_name_is_certain() -> None:
    reverse = "25.2.0.192.in-addr.arpa"
    remedy = (await remedies({}, mail=SIGNED))["ptr-publish"]
    assert change(remedy) == (reverse, "PTR", (), ("mail.example.com",))
    assert "ptr-publish" not in await remedies({}, sending_ips=("192.0.2.25",))
    leads_away = {(reverse, "PTR"): ["out.example.com"], ("out.example.com", "A"): ["192.0.2.99"]}
    confirmed = (await remedies(leads_away, mail=SIGNED))["ptr-confirm"]
    assert change(confirmed) == ("out.example.com", "A", ("192.0.2.99",), ("192.0.2.99", "192.0.2.25"))


async def test_bimi_is_repaired_only_where_logo_and_certificate_are_named() -> None:
    place = ("default._bimi.example.com", "TXT")
    logo, certificate = "https://example.com/logo.svg", "https://example.com/vmc.pem"
    broken = {place: [f"v=BIMI1; l={logo}; a={certificate}; l=x"]}
    assert change((await remedies(broken))["bimi-repair"])[3] == (f"v=BIMI1; l={logo}; a={certificate}",)
    assert "bimi-repair" not in await remedies({place: [f"v=BIMI1; l={logo}; l=x"]})


# --- rules name remedies --------------------------------------------------------------------------------------------


def test_every_remedy_is_named_by_a_rule() -> None:
    assert {rule.remedy for rule in RULES.rules.values() if rule.remedy} == set(REMEDIES)


OWN = """\
- id: OWN-001
  name: own
  since: "0.1"
  scope: hygiene
  severity: info
  level: recommended
  effort: low
  confidence: high
  remedy: {remedy}
  require: {require}
  sources: [{{ref: rfc7208}}]
  text:
    en: {{title: T, short: S, noun: N, met: M, unmet: U, why: W, fix: [F]}}
    ja: {{title: T, short: S, noun: N, met: M, unmet: U, why: W, fix: [F]}}
"""


@pytest.mark.parametrize(
    ("remedy", "require", "more", "new"),
    [
        (
            "spf-drop-dead",
            "{fact: spf.dead_terms, empty: true}",
            {("example.com", "TXT"): ["v=spf1 mx -all a"]},
            "v=spf1 mx -all",
        ),
        (
            "dmarc-add-reports",
            "{fact: dmarc.rua, empty: false}",
            {("_dmarc.example.com", "TXT"): ["v=DMARC1; p=none"]},
            "v=DMARC1; p=none; rua=mailto:dmarc-reports@example.com",
        ),
    ],
)
async def test_a_rule_of_the_users_own_gets_the_remedy_that_it_names(
    tmp_path: Path, remedy: str, require: str, more: Records, new: str
) -> None:
    (tmp_path / "own.yaml").write_text(OWN.format(remedy=remedy, require=require), "utf-8")
    resolver = StaticResolver({**WORLD, **more})
    ports, selection = Ports(resolver, FixedClock(NOW), sources=("static",)), Selection(select=("OWN",))
    got = await report_on(Subject("example.com"), ports, load_rules([tmp_path]), selection, Extras(remedies=True))
    report = got.report
    (found,) = report.remedies
    assert (found.rule, found.code, found.mends) == ("OWN-001", remedy, ("OWN-001",))
    assert change(found)[3] == (new,)


@pytest.mark.parametrize("name", REMEDIES)
def test_every_remedy_is_drafted_by_one_topic(name: str) -> None:
    (entry,) = [entry for beginnings, entry in BEGINNINGS.items() if name.startswith(beginnings)]
    module = entry.partition(":")[0]
    assert f'"{name}"' in (ROOT / f"deliverability/engine/remedies/{module}.py").read_text("utf-8")
