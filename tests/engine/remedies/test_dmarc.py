"""DMARC drafts: the smallest edit of the record, and never further than is safe. Every one here stood its rehearsal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from deliverability.core.facts.base import FactSet, Purpose
from deliverability.core.inputs import Sample, Subject
from deliverability.core.model.report import Care, Remedy
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.phrases import phrases, placeholders
from deliverability.core.rules.judge import Selection
from deliverability.engine.audit import Extras, report_on
from deliverability.engine.remedies.dmarc import MAX_RECORD_OCTETS, Tags, drafts, recognised, repaired, usable_uris
from deliverability.engine.remedies.records import Situation
from deliverability.engine.rules import load_rules
from tests.signing import published, rsa_key, sign

pytestmark = pytest.mark.long

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
RULES = load_rules()
KEY = rsa_key(2048)
KEY_RECORD = (published(KEY)[:200], published(KEY)[200:])
Records = Mapping[tuple[str, str], list[str | tuple[str, ...]]]
SENDS: Records = {
    ("example.com", "SOA"): ["ns.example.com hostmaster.example.com 1 7200 3600 1209600 300"],
    ("example.com", "MX"): ["10 mail.example.com"],
    ("example.com", "TXT"): ["v=spf1 mx -all"],
    ("mail.example.com", "A"): ["192.0.2.25"],
    ("s1._domainkey.example.com", "TXT"): [KEY_RECORD],
    ("s2._domainkey.news.example.com", "TXT"): [KEY_RECORD],
}
SILENT: Records = {("example.com", "TXT"): ["v=spf1 -all"], ("example.com", "MX"): ["0 ."]}
MAIL = (
    b"Return-Path: <news@example.com>\r\n"
    b"Received: from mail.example.com (mail.example.com [192.0.2.25])\r\n"
    b"\tby mx.example.net with ESMTPS id 1; Tue, 24 Nov 2026 01:00:03 +0000\r\n"
)
UNSIGNED = (
    b"From: News <news@example.com>\r\nTo: Bob <bob@example.net>\r\nSubject: Picnic\r\n"
    b"Date: Tue, 24 Nov 2026 10:00:00 +0900\r\nMessage-ID: <1@example.com>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nBring bread.\r\n"
)
SIGNED = MAIL + sign(UNSIGNED, KEY, headers=("from", "to", "subject", "date", "message-id", "mime-version"))


async def remedies(
    *dmarc: str | tuple[str, ...],
    ports: Records = SENDS,
    purpose: Purpose | None = None,
    mail: bytes | None = None,
    more: Records | None = None,
    domain: str = "example.com",
    volume: int | None = 10_000,
) -> dict[str, Remedy]:
    """Remedies by code, where these are the DMARC records of example.com."""
    records = {**ports, **(more or {})}
    if dmarc:
        records["_dmarc.example.com", "TXT"] = list(dmarc)
    sample = Sample("picnic.eml", data=mail) if mail else None
    job = Subject(domain, sample, purpose=purpose, daily_volume=volume)
    ports = Ports(StaticResolver(records), FixedClock(NOW), sources=("static",))
    got = await report_on(job, ports, RULES, Selection(), Extras(remedies=True))
    assert got.audited.crashes == ()
    report = got.report
    return {each.code: each for each in report.remedies if each.code.startswith("dmarc-")}


def new(remedy: Remedy) -> str:
    (edit,) = remedy.edits
    (value,) = edit.new
    return value


# What stands there -> the code of the remedy and the record that it proposes.
EDITS = {
    "size limits, rf and ri": (
        "v=DMARC1;p=none;rf=afrf;ri=86400;rua=mailto:d@example.com!10m",
        "dmarc-tidy",
        "v=DMARC1;p=none;rua=mailto:d@example.com",
    ),
    "unknown tag, its spacing kept": (
        "v=DMARC1; p=none;  x=1; rua=mailto:d@example.com;",
        "dmarc-tidy",
        "v=DMARC1; p=none; rua=mailto:d@example.com;",
    ),
    "pct without effect": (
        "v=DMARC1; p=none; pct=50; rua=mailto:d@example.com",
        "dmarc-tidy",
        "v=DMARC1; p=none; rua=mailto:d@example.com",
    ),
    "pct that new receivers ignore": (
        "v=DMARC1; p=quarantine; pct=10; rua=mailto:d@example.com",
        "dmarc-drop-pct",
        "v=DMARC1; p=quarantine; rua=mailto:d@example.com",
    ),
    "policy misspelt, reports named": (
        "v=DMARC1; p=rejct; rua=mailto:d@example.com",
        "dmarc-repair",
        "v=DMARC1; p=none; rua=mailto:d@example.com",
    ),
    "subdomain policy misspelt: what p says was never in force": (
        "v=DMARC1; p=reject; sp=strict; rua=mailto:d@example.com",
        "dmarc-repair",
        "v=DMARC1; p=none; rua=mailto:d@example.com",
    ),
    "alignment mode misspelt, twice p": (
        "v=DMARC1; p=none; p=reject; adkim=relaxed; rua=mailto:d@example.com",
        "dmarc-repair",
        "v=DMARC1; p=none; rua=mailto:d@example.com",
    ),
    "semicolon between report addresses": (
        "v=DMARC1; p=none; rua=mailto:d@example.com; mailto:e@example.com",
        "dmarc-repair",
        "v=DMARC1; p=none; rua=mailto:d@example.com,mailto:e@example.com",
    ),
    "no p": (
        "v=DMARC1; rua=mailto:d@example.com",
        "dmarc-state-policy",
        "v=DMARC1; p=none; rua=mailto:d@example.com",
    ),
    "neither p nor reports": ("v=DMARC1; fo=1", "dmarc-state-policy", "v=DMARC1; p=none; fo=1"),
    "address without mailto": (
        "v=DMARC1; p=none; rua=d@example.com",
        "dmarc-mend-reports",
        "v=DMARC1; p=none; rua=mailto:d@example.com",
    ),
    "report domain that takes no mail": (
        "v=DMARC1; p=none; rua=mailto:d@gone.example.com,mailto:d@example.com",
        "dmarc-mend-reports",
        "v=DMARC1; p=none; rua=mailto:d@example.com",
    ),
    "nobody gets reports": (
        "v=DMARC1; p=none",
        "dmarc-add-reports",
        "v=DMARC1; p=none; rua=mailto:dmarc-reports@example.com",
    ),
    "weaker np": (
        "v=DMARC1; p=quarantine; np=none; rua=mailto:d@example.com",
        "dmarc-subdomains",
        "v=DMARC1; p=quarantine; rua=mailto:d@example.com",
    ),
}


@pytest.mark.parametrize("case", EDITS.values(), ids=EDITS)
async def test_edit(case: tuple[str, str, str]) -> None:
    record, code, expected = case
    remedy = (await remedies(record))[code]
    assert remedy.edits[0].name == "_dmarc.example.com"
    assert remedy.edits[0].old == (record,)
    assert new(remedy) == expected


async def test_a_first_record_only_watches() -> None:
    remedy = (await remedies())["dmarc-begin"]
    assert new(remedy) == "v=DMARC1; p=none; rua=mailto:dmarc-reports@example.com"
    assert remedy.edits[0].old == ()
    assert remedy.values["address"] == "dmarc-reports@example.com"
    assert remedy.care is Care.SAFE
    assert remedy.opens == ("DMARC-006",)


async def test_a_sender_that_takes_no_mail_begins_without_reports() -> None:
    silent: Records = {**SENDS, ("example.com", "MX"): []}
    found = await remedies(ports=silent, purpose=Purpose.BULK)
    assert new(found["dmarc-begin-silent"]) == "v=DMARC1; p=none"
    assert "dmarc-begin-silent" not in await remedies(purpose=Purpose.BULK)
    assert "dmarc-begin-silent" not in await remedies(ports=silent, volume=None), "it may send nothing"


async def test_a_domain_that_sends_nothing_is_closed() -> None:
    parked = (await remedies(ports=SILENT, purpose=Purpose.PARKED))["dmarc-closed"]
    assert new(parked) == "v=DMARC1; p=reject"
    assert parked.care is Care.SAFE
    supposed = (await remedies(ports=SILENT, volume=None))["dmarc-closed"]
    assert supposed.care is Care.CAREFUL
    watched = await remedies("v=DMARC1; p=none; sp=none; pct=100", ports=SILENT, purpose=Purpose.PARKED)
    assert new(watched["dmarc-closed"]) == "v=DMARC1; p=reject"


@pytest.mark.parametrize(
    ("purpose", "volume"),
    [(Purpose.USERS, None), (Purpose.BULK, None), (Purpose.TRANSACTIONAL, None), (None, 500)],
)
async def test_what_is_said_to_send_is_never_closed(purpose: Purpose | None, volume: int | None) -> None:
    for record in ((), ("v=DMARC1; p=none; t=y",), ("v=DMARC1; p=rejct",)):
        found = await remedies(*record, ports=SILENT, purpose=purpose, volume=volume)
        assert not [each for each in found.values() if "reject" in new(each)]


async def test_of_several_records_the_mildest_stays_with_all_report_addresses() -> None:
    records = ("v=DMARC1; p=reject; rua=mailto:a@example.com", "v=DMARC1; p=none; rua=mailto:b@example.com")
    remedy = (await remedies(*records))["dmarc-one-record"]
    assert remedy.edits[0].old == records
    assert new(remedy) == "v=DMARC1; p=none; rua=mailto:b@example.com,mailto:a@example.com"
    assert remedy.care is Care.SAFE


async def test_a_record_that_nobody_recognised_begins_with_watching() -> None:
    remedy = (await remedies("v=dmarc1; p=reject; pct=20; rua=mailto:d@example.com"))["dmarc-recognised"]
    assert new(remedy) == "v=DMARC1; p=none; rua=mailto:d@example.com"


async def test_an_ignored_record_beside_the_one_that_counts_is_removed() -> None:
    good = "v=DMARC1; p=none; rua=mailto:d@example.com"
    remedy = (await remedies(good, "v=DMARC 1; p=reject"))["dmarc-drop-lookalike"]
    assert set(remedy.edits[0].old) == {good, "v=DMARC 1; p=reject"}
    assert new(remedy) == good


async def test_a_foreign_report_host_has_to_agree() -> None:
    host = {("reports.example.net", "MX"): ["10 mx.example.net"], ("mx.example.net", "A"): ["192.0.2.99"]}
    remedy = (await remedies("v=DMARC1; p=none; rua=mailto:d@reports.example.net", more=host))["dmarc-report-consent"]
    assert remedy.edits[0].name == "example.com._report._dmarc.reports.example.net"
    assert new(remedy) == "v=DMARC1"
    assert remedy.item == "reports.example.net"


async def test_a_record_above_that_states_nothing_is_mended_where_it_stands() -> None:
    below = {("news.example.com", "MX"): ["10 mail.example.com"]}
    drafted = await remedies("v=DMARC1", domain="news.example.com", more=below)
    # The record above is not the subdomain's to edit; one of its own is.
    assert {code: remedy.edits[0].name for code, remedy in drafted.items()} == {
        "dmarc-begin": "_dmarc.news.example.com"
    }
    sent = await remedies("v=DMARC1", mail=SIGNED.replace(b"@example.com>", b"@news.example.com>"), more=below)
    assert new(sent["dmarc-state-policy"]) == "v=DMARC1; p=none"
    assert sent["dmarc-state-policy"].edits[0].name == "_dmarc.example.com"


async def test_the_domain_above_a_subdomain_agrees_to_take_its_reports() -> None:
    own = {("_dmarc.news.example.com", "TXT"): ["v=DMARC1; p=none; rua=mailto:d@example.com"]}
    mail = SIGNED.replace(b"@example.com>", b"@news.example.com>")
    remedy = (await remedies(mail=mail, more=own))["dmarc-report-consent"]
    assert (remedy.rule, remedy.item) == ("DMARC-027", "example.com")
    assert remedy.edits[0].name == "news.example.com._report._dmarc.example.com"


async def test_a_long_text_that_was_meant_as_a_record_is_left_alone() -> None:
    """Nobody wrote it by hand, and reading it to mend it could take as long as its author likes."""
    text = "dmarc; p=none; " + ";".join(f"a{number}=b" for number in range(8_000))
    assert len(text) > MAX_RECORD_OCTETS
    assert "dmarc-recognised" not in await remedies(text)
    assert "dmarc-recognised" in await remedies(text[:40])


NONE = "v=DMARC1; p=none; rua=mailto:d@example.com"
QUARANTINE = "v=DMARC1; p=quarantine; rua=mailto:d@example.com"


async def test_the_policy_is_raised_only_for_mail_that_passes_by_dkim() -> None:
    assert "dmarc-quarantine" not in await remedies(NONE)
    assert "dmarc-quarantine" not in await remedies(NONE, mail=MAIL + UNSIGNED)
    remedy = (await remedies(NONE, mail=SIGNED))["dmarc-quarantine"]
    assert new(remedy) == QUARANTINE
    assert remedy.care is Care.CAREFUL


@pytest.mark.parametrize("purpose", [None, Purpose.USERS])
async def test_a_domain_of_people_is_not_led_to_reject(purpose: Purpose | None) -> None:
    assert "dmarc-reject" not in await remedies(QUARANTINE, mail=SIGNED, purpose=purpose)
    found = await remedies(NONE, mail=SIGNED, purpose=purpose)
    assert all("p=reject" not in new(each) for each in found.values())


async def test_automatic_mail_that_passes_may_go_to_reject() -> None:
    remedy = (await remedies(QUARANTINE, mail=SIGNED, purpose=Purpose.TRANSACTIONAL))["dmarc-reject"]
    assert new(remedy) == "v=DMARC1; p=reject; rua=mailto:d@example.com"


async def test_people_at_reject_are_led_back() -> None:
    remedy = await remedies("v=DMARC1; p=reject; t=y; rua=mailto:d@example.com", purpose=Purpose.USERS, mail=SIGNED)
    assert new(remedy["dmarc-below-reject"]) == QUARANTINE


async def test_strict_alignment_that_breaks_this_mail_is_relaxed() -> None:
    signed = MAIL + sign(UNSIGNED, KEY, domain="news.example.com", selector="s2")
    remedy = (
        await remedies(
            "v=DMARC1; p=reject; adkim=s; rua=mailto:d@example.com",
            mail=signed,
            ports={**SENDS, ("example.com", "TXT"): ["v=spf1 -all"]},
        )
    )["dmarc-relax-alignment"]
    assert new(remedy) == "v=DMARC1; p=reject; rua=mailto:d@example.com"
    assert remedy.gains


async def test_a_record_that_somebody_else_hosts_is_left_alone() -> None:
    hosted: Records = {
        ("_dmarc.example.com", "CNAME"): ["example.com.dmarc.esp.example"],
        ("example.com.dmarc.esp.example", "TXT"): ["v=DMARC1; p=none; pct=50"],
    }
    assert await remedies(more=hosted) == {}


async def test_a_record_behind_a_name_of_its_own_is_edited_there() -> None:
    own: Records = {
        ("_dmarc.example.com", "CNAME"): ["dmarc.example.com"],
        ("dmarc.example.com", "TXT"): ["v=DMARC1; p=none; x=1; rua=mailto:d@example.com"],
    }
    remedy = (await remedies(more=own))["dmarc-tidy"]
    assert remedy.edits[0].name == "dmarc.example.com"


HOSTILE = [
    "",
    ";",
    "v=DMARC1",
    "v=DMARC1;;;=;p",
    "p=\x00",
    "v=DMARC1; p=none; rua=" + "," * 5000,
    "\\010\"'“v=DMARC1 p=reject",
    "=" * 3000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_breaks_the_editing(text: str) -> None:
    Tags.of(text).without("p").with_value("p", "none")
    repaired(text, "none")
    recognised(text)
    usable_uris(text)


@pytest.mark.parametrize("text", HOSTILE)
async def test_no_record_breaks_the_drafting(text: str) -> None:
    for remedy in (await remedies(text, "v=DMARC1; p=none")).values():
        assert all(value.isprintable() for edit in remedy.edits for value in edit.new)


def test_nothing_is_drafted_from_no_facts() -> None:
    assert drafts(Situation(FactSet(), (), {})) == ()


def test_every_code_has_words_in_both_languages() -> None:
    import re
    from pathlib import Path

    import deliverability.engine.remedies as package

    folder = Path(package.__file__).parent
    codes = {
        code
        for name in ("dmarc", "dkim", "transport")
        for code in re.findall(
            r'"((?:dmarc|dkim|mta-sts|tls-rpt|mx|ptr|bimi)-[a-z-]+)"', (folder / f"{name}.py").read_text()
        )
    }
    english, japanese = phrases("en"), phrases("ja")
    assert codes
    codes.discard("mx-repair")  # the name of two drafts
    for code in codes:
        for part in ("title", "note"):
            key = f"remedies.{code}.{part}"
            assert key in english, key
            assert placeholders(english.texts[key]) == placeholders(japanese.texts[key]), key
