"""The plan never trades one harm for another: what a step settles, takes away and comes before.

Every plan is carried out here in its order, from the records alone, on made-up zones and on those of the corpus.
"""

from __future__ import annotations

from itertools import product

import pytest
from msgspec.structs import replace

from deliverability.core.facts.base import Purpose
from deliverability.core.inputs import Sample, Subject
from deliverability.core.model.answer import PlanStep
from deliverability.core.model.report import Outcome, Report, Verdict, VerdictKind
from deliverability.core.model.rules import Place
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.overlay import parse_proposal
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.report.records import with_value
from deliverability.core.rules.judge import Selection
from deliverability.engine.audit import Extras, gather_facts, make_report, report_on
from deliverability.engine.remedies.plan import lowers
from deliverability.engine.remedies.spf_passing import lost
from tests.corpus import corpus_root
from tests.engine.test_rehearse import NOW, RULES, zones
from tests.sampled import sampled
from tests.signing import published, rsa_key, sign
from tests.test_corpus_smoke import senders

pytestmark = pytest.mark.long

KEY_512 = (
    "v=DKIM1; k=rsa; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAL6wE7d/SZE69fzFQfTq0XLDsp+c51VP"
    "P0Z1ZU43HsfyygU2xgyeiy9SPtSQhzV+cntoIH1ba8rTZQkvoPdwZ/ECAwEAAQ=="
)
USERS_AT_REJECT: dict[tuple[str, str], list[str | tuple[str, ...]]] = {
    ("example.com", "SOA"): ["ns.example.com hostmaster.example.com 1 7200 3600 1209600 300"],
    ("example.com", "MX"): ["10 mail.example.com"],
    ("example.com", "TXT"): ["v=spf1 ip4:203.0.113.5 -all"],
    ("mail.example.com", "A"): ["203.0.113.5"],
    ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=reject; rua=mailto:dmarc@example.com"],
}
SILENT: dict[tuple[str, str], list[str | tuple[str, ...]]] = {
    ("example.com", "SOA"): ["ns.example.com hostmaster.example.com 1 7200 3600 1209600 300"],
    ("example.com", "TXT"): ["v=spf1 -all"],
}
UNSIGNED = b"""\
Return-Path: <anna@example.com>
Received: from mail.example.com (mail.example.com [203.0.113.5]) by mx.example.net with ESMTPS id 1
 for <bob@example.net>; Tue, 24 Nov 2026 10:00:00 +0000
From: Anna <anna@example.com>
To: bob@example.net
Subject: Minutes
Date: Tue, 24 Nov 2026 10:00:00 +0000
Message-ID: <1@example.com>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Here are the minutes.
"""


def ports_of(records: dict[tuple[str, str], list[str | tuple[str, ...]]]) -> Ports:
    return Ports(StaticResolver(records), FixedClock(NOW), sources=("static",))


async def planned(job: Subject, ports: Ports) -> Report:
    got = await report_on(job, ports, RULES, Selection(), Extras(remedies=True))
    assert got.audited.crashes == ()
    return got.report


async def carried_out(job: Subject, ports: Ports, steps: list[PlanStep]) -> Report:
    """What an audit finds once the records of these steps are published, as `--with` lays them over."""
    final = {(edit.name, edit.type): edit.new for step in steps for edit in step.edits}
    texts = [f"{name} {kind} {with_value(kind, each)}" for (name, kind), values in final.items() for each in values]
    overlaid = replace(ports, proposals=tuple(parse_proposal(each) for each in texts))
    return make_report(await gather_facts(job, overlaid), RULES, Selection())


def by_volume(verdict: Verdict) -> tuple[VerdictKind, VerdictKind]:
    """The verdict for few and for many messages: refused from some number on is worse than at risk for all."""
    small, bulk = (case.verdict if case else verdict.verdict for case in (verdict.if_small, verdict.if_bulk))
    return small, bulk


async def assert_no_harm(job: Subject, ports: Ports) -> Report:
    report = await planned(job, ports)
    before = report
    done: list[PlanStep] = []
    for steps in (report.answer.shown, report.answer.folded):
        # Nothing comes behind a step that lets through what is stopped today.
        less = [lowers(each.edits) or (each.task != "" and RULES.tasks[each.task].lowers) for each in steps]
        assert less == sorted(less), steps
    for step in report.answer.plan:
        if not step.edits:
            continue
        done.append(step)
        after = await carried_out(job, ports, done)
        found = {(each.rule, each.item): each.outcome for each in after.findings}
        removed = {value for edit in step.edits for value in set(edit.old) - set(edit.new)}
        for each in step.findings:
            outcome = found.get((each.rule, each.item))
            # What the step is for may be gone with what it removes, or apply no longer; nothing else may.
            gone = outcome is None and any(each.item in value for value in removed)
            own = each == step.findings[0] and (gone or outcome is Outcome.NOT_APPLICABLE)
            assert outcome is Outcome.MET or own, (step.code, each)
        if lowers(step.edits):
            names = {each.rule: RULES.rules[each.rule].remedy for each in step.findings}
            assert len(set(names.values())) == 1, names
            assert all(
                each.rule in step.findings[0].rule or not chip.after for chip in step.gains for each in step.findings
            )
        if lost(before.facts, after.facts, ()):
            assert step.condition in ("senders-lost", "sends-nothing"), step
        for was, now in zip(before.verdicts, after.verdicts, strict=False):
            for former, latter in zip(by_volume(was), by_volume(now), strict=True):
                assert latter.rank <= former.rank, (step.code, was, now)
        before = after
    return report


# --- a domain that sends nothing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [False, True], ids=["nothing else", "with a DKIM key"])
@pytest.mark.parametrize("mx", [(), ("10 mail.example.com",), ("0 .",)], ids=["no MX", "MX", "Null MX"])
@pytest.mark.parametrize("purpose", sampled([None, *Purpose], 3), ids=str)
async def test_a_domain_that_sends_nothing_has_a_plan(purpose: Purpose | None, mx: tuple[str, ...], key: bool) -> None:
    """A draft after which the domain counts as parked is a result like any other: no receiver has a verdict then."""
    records = dict(SILENT)
    if mx:
        records |= {("example.com", "MX"): list(mx), ("mail.example.com", "A"): ["203.0.113.5"]}
    if key:
        records["default._domainkey.example.com", "TXT"] = [KEY_512]
    report = await assert_no_harm(Subject("example.com", purpose=purpose), ports_of(records))
    assert "remedies-failed" not in {note.code for note in report.notes}
    codes = [each.code for each in report.answer.plan]
    # One that takes mail, or has a key to sign with, is meant to send: closing it would cost that mail.
    meant = mx[:1] == ("10 mail.example.com",) or key
    assert "dmarc-closed" in codes or (purpose is not Purpose.PARKED and (purpose is not None or meant))
    assert not ("dmarc-closed" in codes and "spf-name-senders" in codes), "nothing is opened and closed in one plan"


async def test_a_step_that_closes_the_domain_leaves_no_step_for_its_mail() -> None:
    report = await planned(Subject("example.com"), ports_of(SILENT))
    assert [each.code for each in report.answer.plan if not each.inbound] == ["dmarc-closed"]
    assert report.answer.plan[0].gains == ()


# --- protection ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [0, 512])
@pytest.mark.parametrize("mail", [None, UNSIGNED], ids=["DNS alone", "an unsigned message"])
async def test_a_policy_is_lowered_last_and_for_nothing_else(bits: int, mail: bytes | None) -> None:
    records = dict(USERS_AT_REJECT)
    if bits:
        records["default._domainkey.example.com", "TXT"] = [KEY_512]
    job = Subject("example.com", Sample("a.eml", data=mail) if mail else None, purpose=Purpose.USERS)
    report = await assert_no_harm(job, ports_of(records))
    own = [each for each in report.answer.plan if not each.inbound]
    assert own[-1].remedy == "dmarc-below-reject"
    assert own[-1].rules == ("DMARC-011",)
    assert own[-1].gains == ()
    assert len(own) > 1 or not (bits or mail)


# --- those who send --------------------------------------------------------------------------------------------------

SERVICES: dict[tuple[str, str], list[str | tuple[str, ...]]] = {
    ("example.com", "SOA"): ["ns.example.com hostmaster.example.com 1 7200 3600 1209600 300"],
    ("example.com", "MX"): ["10 mail.example.com"],
    ("mail.example.com", "A"): ["203.0.113.5"],
    ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=none; rua=mailto:dmarc@example.com"],
    ("servers.mcsv.net", "TXT"): ["v=spf1 ip4:198.51.100.0/24 ip4:192.0.2.0/24 ?all"],
    ("spf.mandrillapp.com", "TXT"): ["v=spf1 ip4:198.51.100.0/24 ?all"],
}


async def test_an_include_that_goes_settles_nothing_about_its_service() -> None:
    """Eleven look-ups: the include that no Return-Path needs goes, and first it is asked how that mail passes."""
    hosts = {(f"h{n}.example.com", "A"): [f"203.0.113.{n}"] for n in range(10, 20)}
    words = " ".join(f"a:h{n}.example.com" for n in range(10, 20))
    records = SERVICES | hosts | {("example.com", "TXT"): [f"v=spf1 {words} include:servers.mcsv.net -all"]}
    report = await assert_no_harm(Subject("example.com", purpose=Purpose.BULK), ports_of(records))
    (removing,) = (each for each in report.answer.plan if each.remedy == "spf-drop-unneeded")
    (signing,) = (each for each in report.answer.plan if each.services == ("mailchimp",))
    assert not any(each.rule.startswith("SND-") for each in removing.findings)
    assert removing.condition == "senders-lost"
    assert removing.follows == (signing.number,)
    assert not any(each.task == "spf-unused" for each in report.answer.plan)


async def test_of_two_includes_neither_goes_because_of_the_other() -> None:
    """All that Mandrill sends from stands in the include of Mailchimp, which by another finding may go."""
    records = SERVICES | {
        ("example.com", "TXT"): ["v=spf1 mx include:spf.mandrillapp.com include:servers.mcsv.net -all"]
    }
    report = await assert_no_harm(Subject("example.com", purpose=Purpose.BULK), ports_of(records))
    assert {"SPF-023", "SND-002"} <= {each.rule for each in report.findings if each.outcome is Outcome.UNMET}
    named = [term for each in report.answer.plan for edit in each.edits for term in edit.new if "spf1" in term]
    assert named == []
    (unused,) = (each for each in report.answer.plan if each.task == "spf-unused")
    assert unused.condition == "senders-lost"
    assert "spf-spare" not in {each.task for each in report.answer.plan}


# --- one cause, one step ---------------------------------------------------------------------------------------------

SIGNED_HEAD = b"""\
From: Anna <anna@example.com>\r
To: bob@example.net\r
Subject: Minutes\r
Date: Tue, 24 Nov 2026 10:00:00 +0000\r
Message-ID: <1@example.com>\r
MIME-Version: 1.0\r
Content-Type: text/plain; charset=utf-8\r
\r
Here are the minutes.\r
"""
TRACE = b"""\
Return-Path: <anna@example.com>\r
Received: from mail.example.com (mail.example.com [203.0.113.5]) by mx.example.net with ESMTPS id 1\r
 for <bob@example.net>; Tue, 24 Nov 2026 10:00:00 +0000\r
"""
REVERSE: dict[tuple[str, str], list[str | tuple[str, ...]]] = {
    ("5.113.0.203.in-addr.arpa", "PTR"): ["mail.example.com"]
}


@pytest.mark.parametrize(("bits", "step"), [(512, "new-key"), (1024, "new-key"), (0, "publish-key")])
@pytest.mark.parametrize("purpose", [None, Purpose.USERS], ids=str)
async def test_one_key_is_one_step(bits: int, step: str, purpose: Purpose | None) -> None:
    """A short or missing key: what fails because of it is settled with it, where the mail is signed."""
    key = rsa_key(bits or 2048)
    records = USERS_AT_REJECT | REVERSE
    if bits:
        records["s1._domainkey.example.com", "TXT"] = [published(key)]
    mail = TRACE + sign(SIGNED_HEAD, key, domain="example.com", selector="s1")
    job = Subject("example.com", Sample("a.eml", data=mail), purpose=purpose)
    report = await assert_no_harm(job, ports_of(records))
    about_dkim = [
        each for each in report.answer.plan if any(rule.startswith(("DKIM-", "ALN-", "DMARC-0")) for rule in each.rules)
    ]
    own = [each for each in about_dkim if not each.remedy]
    assert [each.task for each in own] == [step]
    assert own[0].place is (Place.SERVER if bits else Place.DNS)
    alone = await assert_no_harm(Subject("example.com", purpose=purpose, selectors=("s1",)), ports_of(records))
    assert [each.task for each in alone.answer.plan if any(rule.startswith("DKIM-") for rule in each.rules)] == [step]


@pytest.mark.parametrize(
    ("records", "place"),
    [
        (USERS_AT_REJECT | REVERSE, Place.SERVER),
        (USERS_AT_REJECT, Place.SERVICE),
    ],
    ids=["a reverse name of one's own", "whose host it is is not known"],
)
async def test_an_own_host_is_no_service(
    records: dict[tuple[str, str], list[str | tuple[str, ...]]], place: Place
) -> None:
    report = await planned(Subject("example.com", Sample("a.eml", data=UNSIGNED)), ports_of(records))
    (step,) = (each for each in report.answer.plan if each.task == "own-signing-domain")
    assert (step.place, step.at) == (place, "")
    assert "own-return-path" not in {each.task for each in report.answer.plan}, "the Return-Path is the domain's own"
    assert RULES.rules[step.rules[0]].task == "own-signing-domain"


# --- figures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "receivers", "rule"),
    [
        (4_000_000, (), "SIZ-027"),
        (10_500_000, (), "SIZ-027"),
        (30_000_000, (), "SIZ-027"),
        (10_500_000, ("gmail",), "SIZ-001"),
        (30_000_000, ("icloud", "yahoo"), "SIZ-001"),
    ],
)
async def test_a_smaller_message_satisfies_all_who_are_claimed(
    octets: int, receivers: tuple[str, ...], rule: str
) -> None:
    """The words of the step are those of the smallest limit among what it settles: au takes 3 MB, not 10."""
    mail = UNSIGNED + b"x" * 70 + b"\n" + (b"y" * 70 + b"\n") * (octets // 71)
    job = Subject("example.com", Sample("a.eml", data=mail))
    got = await report_on(job, ports_of(USERS_AT_REJECT), RULES, Selection(receivers=receivers), Extras(remedies=True))
    (step,) = (each for each in got.report.answer.plan if each.task == "smaller-message")
    assert step.rules[0] == rule
    limits = {each.rule: each.limits["max_octets"] for each in got.report.findings if each.rule in step.rules}
    assert limits[rule] == min(map(int, map(str, limits.values())))


# --- everywhere ------------------------------------------------------------------------------------------------------

SPF_RECORDS = (
    "v=spf1 -all",
    "v=spf1 +all",
    "v=spf1 mx ptr include:gone.example ip4:203.0.113.5",
    "v=spf1 include:servers.mcsv.net include:spf.mandrillapp.com include:spf.protection.outlook.com -all",
    f"v=spf1 {' '.join(f'a:h{n}.example.com' for n in range(11))} include:servers.mcsv.net -all",
    "v=spf1 ip4:0.0.0.0/1 ipv4:203.0.113.5 -all mx",
)
DMARC_RECORDS = (
    "v=DMARC1; p=none",
    "v=DMARC1; p=reject; rua=mailto:dmarc@example.com",
    "v=DMARC1; p=reject; sp=none; pct=20; rua=mailto:dmarc@gone.example",
    "v=DMARC1; p=reject; adkim=s; aspf=s; rua=mailto:dmarc@example.com",
    "v=DMARC1; p=quarantine; t=y; rua=dmarc@example.com",
    "v=dmarc1; p=rejct",
)


@pytest.mark.parametrize(
    ("first", "second"), sampled([*product(range(len(SPF_RECORDS)), range(len(DMARC_RECORDS)))], 8)
)
async def test_no_plan_for_broken_records_harms(first: int, second: int) -> None:
    """Every broken SPF record with every DMARC record, purposes, messages and keys in turn."""
    number = first + second
    records = SERVICES | REVERSE | {(f"h{n}.example.com", "A"): [f"203.0.113.{n}"] for n in range(11)}
    records |= {
        ("example.com", "TXT"): [SPF_RECORDS[first]],
        ("_dmarc.example.com", "TXT"): [DMARC_RECORDS[second]],
        ("spf.protection.outlook.com", "TXT"): ["v=spf1 ip4:40.92.0.0/15 -all"],
    }
    if number % 2:
        records["default._domainkey.example.com", "TXT"] = [KEY_512]
    signer = "news.example.com" if number % 3 == 1 else "mailer.example"
    records[f"s1._domainkey.{signer}", "TXT"] = [published(rsa_key(2048))]
    signed = TRACE + sign(SIGNED_HEAD, rsa_key(2048), domain=signer, selector="s1")
    sample = (None, Sample("a.eml", data=UNSIGNED), Sample("a.eml", data=signed))[(first * second) % 3]
    purpose = (None, *Purpose)[number % 5]
    await assert_no_harm(Subject("example.com", sample, purpose=purpose), ports_of(records))


def _every_zone() -> tuple[str, ...]:
    root = corpus_root()
    return () if root is None else tuple(sorted(path.stem for path in (root / "zones").glob("*.zone")))


@pytest.mark.parametrize("domain", sampled(_every_zone(), 12))
async def test_no_plan_of_a_zone_harms(domain: str) -> None:
    """Senders with the purposes in turn, services and what is no domain of mail as they are."""
    purposes = [None, *Purpose]
    of_senders = (None, purposes[1 + _every_zone().index(domain) % len(Purpose)])
    for purpose in of_senders if domain in senders() else (None,):
        await assert_no_harm(Subject(domain, purpose=purpose), zones())
