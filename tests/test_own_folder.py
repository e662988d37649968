"""A folder of the user's own is read like the shipped one: senders, replies, file types, client features, measures."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest

from deliverability.core.facts.base import FactSet, Purpose, records_of
from deliverability.core.inputs import Sample, Subject
from deliverability.core.model.report import Outcome, Report
from deliverability.core.model.rules import RuleSet
from deliverability.core.model.services import reporter_named
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.rules.judge import Selection
from deliverability.core.words.sentences import sentences
from deliverability.engine.audit import Audited, Extras, full_report, gather_facts
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from tests.console.test_cli import Deliv, deliv  # noqa: F401 - a fixture
from tests.sampled import sampled
from tests.signing import ed25519_key, published

pytestmark = pytest.mark.long

NOW = datetime(2026, 11, 24, tzinfo=UTC)
SENDER = """\
- id: acme
  name: {en: Acme Mail, ja: アクメメール}
  kind: mailbox
  confidence: high
  spf: [spf.acme.example]
  mx: [mx.acme.example]
  dkim: {selectors: [acme-own], own: [acme-own], fixed: true, record: txt}
  console: {en: Settings → Domains, ja: 設定 → ドメイン}
  sources: [{url: "https://acme.example/help", checked: "2026-11-24", read_as: original}]
"""
RECORDS: dict[tuple[str, str], list[str | tuple[str, ...]]] = {
    ("example.com", "SOA"): ["ns.example.com hostmaster.example.com 1 7200 3600 1209600 300"],
    ("example.com", "MX"): ["10 mx.acme.example"],
    ("example.com", "TXT"): ["v=spf1 include:spf.acme.example -all"],
    ("spf.acme.example", "TXT"): ["v=spf1 ip4:192.0.2.0/25 -all"],
}


def own(folder: Path, name: str, text: str) -> RuleSet:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return load_rules([folder])


async def audit(rules: RuleSet, message: EmailMessage | None = None) -> tuple[Audited, Report]:
    sample = Sample("mail.eml", data=message.as_bytes()) if message else None
    ports = Ports(StaticResolver(RECORDS), FixedClock(NOW), sources=("static",))
    got = await gather_facts(Subject("example.com", sample), ports, Extras(remedies=True), rules.knowledge)
    assert got.crashes == ()
    return got, (await full_report(got, rules, Selection())).report


def ids(facts: FactSet) -> list[object]:
    return [each["id"] for each in records_of(facts.value("senders.services"))]


async def test_a_sender_of_ones_own_is_recognised_and_its_settings_are_named(tmp_path: Path) -> None:
    before, _ = await audit(load_rules())
    assert ids(before.facts) == []
    rules = own(tmp_path, "senders/acme.yaml", SENDER)
    got, report = await audit(rules)
    (item,) = records_of(got.facts.value("senders.services"))
    assert (item["id"], item["receives"], item["has_key"]) == ("acme", True, False)
    # Its fixed selector was asked for: that nothing is there counts, and the step names where to change that.
    (finding,) = (each for each in report.findings if each.rule == "SND-003" and each.outcome is Outcome.UNMET)
    assert sentences(finding, rules, "en", catalogue(), got.facts).fix[0].startswith("In Acme Mail: Settings → Domains")


async def test_a_remedy_knows_a_sender_of_ones_own(tmp_path: Path) -> None:
    rules = own(tmp_path, "senders/acme.yaml", SENDER + "  include: needed\n")
    key = {("acme-own._domainkey.example.com", "TXT"): [published(ed25519_key())]}
    records = {name: values for name, values in RECORDS.items() if name != ("example.com", "TXT")}
    ports = Ports(StaticResolver(records | key), FixedClock(NOW), sources=("static",))
    job = Subject("example.com", purpose=Purpose.USERS)
    got = await gather_facts(job, ports, Extras(remedies=True), rules.knowledge)
    report = (await full_report(got, rules, Selection())).report
    (remedy,) = (each for each in report.remedies if each.rule == "SPF-001")
    assert remedy.edits[0].new == ("v=spf1 include:spf.acme.example ~all",)


async def test_file_types_of_ones_own_are_refused(tmp_path: Path) -> None:
    message = EmailMessage()
    message["From"] = "a@example.com"
    message.set_content("Hello.")
    message.add_attachment(b"x", "application", "octet-stream", filename="plan.dwg")

    async def outcome(rules: RuleSet) -> Outcome:
        _, report = await audit(rules, message)
        return next(each.outcome for each in report.findings if each.rule == "SIZ-006")

    assert await outcome(load_rules()) is Outcome.MET
    types = "gmail: {sources: [{ref: gmail-blocked}], types: [dwg]}\n"
    assert await outcome(own(tmp_path, "attachments.yaml", types)) is Outcome.UNMET


async def test_features_and_measures_of_ones_own_are_gone_by(tmp_path: Path) -> None:
    message = EmailMessage()
    message["From"] = "a@example.com"
    message.set_content('<p style="text-shadow: 1px 1px 1px #000">Hello</p>', subtype="html")

    def kinds(got: Audited) -> dict[object, object]:
        return {each["feature"]: each["kind"] for each in records_of(got.facts.value("clients.features"))}

    got, _ = await audit(load_rules(), message)
    assert kinds(got) == {"css-text-shadow": "look"}
    assert got.facts.value("spf.wide_ranges_in_tree") == ()
    own(tmp_path, "clients/features.yaml", "content: [css-text-shadow]\n")
    measures = "wide_ip4: 28\nwide_ip6: 32\nsigned_fields: [from]\nsigned_core: [from]\nsigned_one_click: []\n"
    got, _ = await audit(own(tmp_path, "measures.yaml", measures), message)
    assert kinds(got) == {"css-text-shadow": "content"}
    assert got.facts.value("spf.wide_ranges_in_tree") == ("spf.acme.example: 192.0.2.0/25",)


def test_whom_to_ask_is_said_by_ones_own_file(tmp_path: Path) -> None:
    text = (
        "resolvers: [{name: Ours, address: 192.0.2.53}]\nmail_domains: [acme.example]\n"
        "no_names_below: [invalid]\nclocks: []\nclock_seconds: 60\n"
    )
    outside = own(tmp_path, "outside.yaml", text).knowledge.outside
    assert (outside.resolvers, outside.clocks, outside.clock_seconds) == ({"Ours": "192.0.2.53"}, (), 60)


def test_a_dns_provider_of_ones_own_is_known(tmp_path: Path) -> None:
    text = (
        "- id: acme\n  name: Acme DNS\n  name_servers: [ns.acme.example]\n  console: {en: Zones, ja: ゾーン}\n"
        '  host: full\n  sources: [{url: "https://acme.example/dns", checked: "2026-11-26", read_as: original}]\n'
    )
    known = own(tmp_path, "dns-providers.yaml", text).knowledge.dns_providers
    assert known["acme"].name == {"en": "Acme DNS", "ja": "Acme DNS"}
    assert known["acme"].host_of("_dmarc.example.com", "example.com") == "_dmarc.example.com"
    assert "cloudflare" in known


def test_a_reporter_of_ones_own_is_known(tmp_path: Path) -> None:
    text = (
        "- id: acme\n  names: [ACME Mail]\n  from: [acme.example, dmarc@mail.example]\n  receiver: gmail\n"
        '  sources: [{url: "https://acme.example/dmarc", checked: "2026-11-26", read_as: original}]\n'
    )
    known = own(tmp_path, "reporters.yaml", text).knowledge.reporters
    found = reporter_named("Acme mail", known)
    assert found is known["acme"]
    assert found.sends_from("reports@mx.acme.example")
    assert found.sends_from("dmarc@mail.example")
    for other in ("dmarc@notacme.example", "somebody@mail.example", "dmarc@mx.mail.example"):
        assert not found.sends_from(other)
    assert reporter_named("dmarc@mail.example", known) is found
    assert reporter_named("Google.com", known) is known["google"]


def test_a_reply_of_ones_own_is_explained(deliv: Deliv) -> None:  # noqa: F811
    Path("own/replies").mkdir(parents=True)
    Path("own/replies/acme.yaml").write_text(
        "receiver: acme\nname: {en: Acme Mail, ja: アクメメール}\nhosts: [mx.acme.example]\nreplies:\n"
        '  - id: acme-moon\n    says: ["the moon is full"]\n    example: "550 5.7.1 The moon is full"\n'
        "    retry: later\n    about: host\n    rules: []\n    sources: [{ref: rfc5321}]\n    text:\n"
        "      en: {means: Acme takes no mail at full moon., do: [Wait a day.]}\n"
        "      ja: {means: 満月の日は受信しません。, do: [1日待ちます。]}\n",
        "utf-8",
    )
    done = deliv("explain", "550 5.7.1 The moon is full", "--rules", "own", "--receiver", "acme")
    assert "Acme takes no mail at full moon." in done.out


@pytest.mark.parametrize(
    ("name", "text", "words"),
    sampled(
        [
            ("senders/acme.yaml", "- id: Acme\n", "senders/acme.yaml:1: 0: name is missing"),
            ("measures.yaml", "wide_ip4: 33\n", "measures.yaml:1: wide_ip4: at most 32 is allowed here"),
            ("outside.yaml", "mail_domains: []\n", "outside.yaml:1: mail_domains: "),
            ("dns-providers.yaml", "- id: acme\n", "dns-providers.yaml:1: 0: name is missing"),
            ("reporters.yaml", "- id: acme\n  names: [Acme]\n", "reporters.yaml:1: 0: from is missing"),
            ("clients/features.yaml", "style: [css-gap]\n", "clients/features.yaml:1: style"),
            ("attachments.yaml", "gmail: {types: [exe]}\n", "attachments.yaml:1: gmail: sources is missing"),
            ("verdicts.yaml", "bulk_from: many\n", "verdicts.yaml:1: bulk_from: a number is needed here"),
        ],
        3,
    ),
)
def test_what_is_wrong_there_is_told_with_its_line(deliv: Deliv, name: str, text: str, words: str) -> None:  # noqa: F811
    path = Path("own") / name
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")
    for command in (["rules", "--check"], ["audit", "example.com", "--offline"]):
        done = deliv(*command, "--rules", "own")
        assert (done.code, done.out) == (2, "")
        assert words in done.err
        # Beside the place, and what libraries say, no word of it is English in Japanese.
        said = deliv(*command, "--rules", "own", "--lang", "ja").err
        assert not {"missing", "needed", "allowed", "cannot", "Error"} & set(re.findall(r"[A-Za-z]+", said)), said
