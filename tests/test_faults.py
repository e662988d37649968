"""The fault walk: each question of an audit fails once, and nothing that was there is ever called missing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import replace

import deliverability.demo
from deliverability.core.codes import VERBATIM
from deliverability.core.facts.base import FactType, Purpose, Reason, Unknown, Value
from deliverability.core.inputs import Sample, Subject
from deliverability.core.model.report import Outcome, Report, VerdictKind
from deliverability.core.model.rules import Severity
from deliverability.core.net.base import Absent, Answer, Failed, Found, Resolver
from deliverability.core.net.clock import Budget, FixedClock
from deliverability.core.net.dns import LiveResolver
from deliverability.core.net.names import canonical
from deliverability.core.net.overlay import OverlayResolver, Proposal
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.net.zone import ZoneResolver
from deliverability.core.protocols.psl import is_public_suffix
from deliverability.core.rules.judge import Selection
from deliverability.core.rules.knowledge import shipped
from deliverability.engine.audit import Audited, Extras, full_report, gather_facts, make_report
from deliverability.engine.base import catalogue, gather
from deliverability.engine.rehearse import edit_place, proposals_for
from deliverability.engine.rules import exit_code, load_rules
from tests.dnsserver import DnsServer, Reply
from tests.facts_of import by_fields
from tests.hostiledns import HOSTILE
from tests.sampled import some, some_or_every
from tests.signing import published, rsa_key, sign

pytestmark = pytest.mark.long

Question = tuple[str, str]

ARRIVED = datetime(2026, 11, 24, 1, 0, 5, tzinfo=UTC)
KEY = rsa_key(2048)
KEY_RECORD = (published(KEY)[:200], published(KEY)[200:])

# A domain at which nothing is missing: whatever is "missing" in a faulted run was lost by us.
RECORDS: dict[Question, list[str | tuple[str, ...]]] = {
    ("example.com", "SOA"): ["ns.example.com hostmaster.example.com 1 7200 3600 1209600 300"],
    ("example.com", "A"): ["192.0.2.10"],
    ("example.com", "MX"): ["10 mail.example.com", "20 mail2.example.com"],
    ("example.com", "TXT"): ["v=spf1 mx a:out.example.com include:_spf.esp.example redirect=_spf.example.com"],
    ("_spf.example.com", "TXT"): ["v=spf1 ip4:192.0.2.0/26 include:_spf2.example.com -all"],
    ("_spf2.example.com", "TXT"): ["v=spf1 ip6:2001:db8:2::/48 -all"],
    ("_spf.esp.example", "TXT"): ["v=spf1 a:pool.esp.example ip4:198.51.100.0/25 -all"],
    ("pool.esp.example", "A"): ["198.51.100.200"],
    ("mail.example.com", "A"): ["192.0.2.25"],
    ("mail.example.com", "AAAA"): ["2001:db8::25"],
    ("mail2.example.com", "A"): ["192.0.2.26"],
    ("out.example.com", "A"): ["192.0.2.70"],
    ("bounce.example.com", "MX"): ["10 mail.example.com"],
    ("bounce.example.com", "TXT"): ["v=spf1 include:_spf.esp.example a:out.example.com -all"],
    ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=reject; rua=mailto:d@reports.example.net,mailto:own@example.com"],
    ("example.com._report._dmarc.reports.example.net", "TXT"): ["v=DMARC1"],
    ("reports.example.net", "MX"): ["10 mx.example.net"],
    ("mx.example.net", "A"): ["203.0.113.25"],
    ("s1._domainkey.example.com", "CNAME"): ["s1.dkim.esp.example"],
    ("s1.dkim.esp.example", "TXT"): [KEY_RECORD],
    ("s2._domainkey.example.com", "TXT"): [KEY_RECORD],
    ("_mta-sts.example.com", "TXT"): ["v=STSv1; id=20261124"],
    ("_smtp._tls.example.com", "TXT"): ["v=TLSRPTv1; rua=mailto:tls@example.com"],
    ("70.2.0.192.in-addr.arpa", "PTR"): ["out.example.com"],
    ("25.2.0.192.in-addr.arpa", "PTR"): ["mail.example.com"],
}
MAIL = (
    b"From: News <news@example.com>\r\n"
    b"To: Bob <bob@example.net>\r\n"
    b"Subject: Picnic\r\n"
    b"Date: Tue, 24 Nov 2026 10:00:00 +0900\r\n"
    b"Message-ID: <1@example.com>\r\n"
    b"List-Unsubscribe: <https://example.com/leave/1>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"\r\n"
    b"Bring bread.\r\n"
    b"Unsubscribe: https://example.com/leave/1\r\n"
)
RECEIVED = (
    b"Return-Path: <bounce-1@bounce.example.com>\r\n"
    b"Received: from out.example.com (out.example.com [192.0.2.70])\r\n"
    b"\tby mx.example.net (Postfix) with ESMTPS id 1; Tue, 24 Nov 2026 01:00:03 +0000\r\n"
)
SIGNED = ("from", "to", "subject", "date", "message-id", "mime-version", "content-type")
MESSAGE = RECEIVED + sign(MAIL, KEY, headers=(*SIGNED, "list-unsubscribe", "list-unsubscribe-post"))
JOB = Subject(
    "example.com", Sample("picnic.eml", data=MESSAGE), selectors=("s2",), purpose=Purpose.BULK, daily_volume=10_000
)
DEMO = Path(deliverability.demo.__file__).parent
RULES = load_rules()


def demo() -> Resolver:
    return ZoneResolver.load([DEMO / "example.zone"])


class ParkedResolver:
    """A parked domain, with a wildcard that revokes whatever DKIM key is asked for."""

    def __init__(self) -> None:
        self._base = StaticResolver(
            {
                ("parked.example", "MX"): ["0 ."],
                ("parked.example", "TXT"): ["v=spf1 -all"],
                ("_dmarc.parked.example", "TXT"): ["v=DMARC1; p=reject"],
            }
        )

    async def query(self, name: str, rdtype: str) -> Answer:
        if name.endswith("._domainkey.parked.example") and rdtype == "TXT":
            return Found(name, rdtype, ("v=DKIM1; p=",), 300, string_octets=((11,),))
        return await self._base.query(name, rdtype)

    async def close(self) -> None:
        pass


# In the demo much is wrong: there a failure must not make anything look right either.
WORLDS: dict[str, tuple[Callable[[], Resolver], Subject]] = {
    "complete": (lambda: StaticResolver(RECORDS), JOB),
    "no message": (lambda: StaticResolver(RECORDS), Subject("example.com")),
    "demo": (demo, Subject("sakura-shop.example", Sample("newsletter.eml", path=DEMO / "newsletter.eml"))),
    "parked": (ParkedResolver, Subject("parked.example", purpose=Purpose.PARKED)),
    "nothing there": (lambda: StaticResolver({}), Subject("nowhere.example")),
}


class FaultyResolver:
    """Answers from a base, except for the questions that fail; notes everything asked."""

    def __init__(self, base: Resolver, failing: Mapping[Question, Reason] | Reason | None = None) -> None:
        self._base = base
        self._failing = failing
        self.asked: list[Question] = []

    async def query(self, name: str, rdtype: str) -> Answer:
        question = (canonical(name), rdtype.upper())
        self.asked.append(question)
        reason = self._failing if isinstance(self._failing, Reason) else (self._failing or {}).get(question)
        return (
            Failed(*question, reason, VERBATIM(text="by the test")) if reason else await self._base.query(name, rdtype)
        )

    async def close(self) -> None:
        pass


class Result(Struct, frozen=True):
    audited: Audited
    report: Report

    @property
    def facts(self) -> dict[str, Value]:
        return {fact.path: by_fields(fact.value) for fact in self.audited.facts}

    @property
    def outcomes(self) -> dict[tuple[str, str], Outcome]:
        return {(finding.rule, finding.item): finding.outcome for finding in self.report.findings}


async def audit(resolver: Resolver, job: Subject = JOB, seconds: float = 60.0, *, staged: bool = False) -> Result:
    world = Ports(resolver, FixedClock(ARRIVED), sources=("test",), budget=Budget(seconds))
    audited = await gather_facts(job, world, Extras(remedies=staged))
    return Result(audited, make_report(audited, RULES, Selection()))


async def audit_again(before: Audited, resolver: Resolver) -> Result:
    """The audit of a staged one under other answers, as a rehearsal does it."""
    basis = before.basis
    assert basis is not None
    gathered = await gather(
        basis.auditors, basis.subject, replace(basis.ports, dns=resolver), basis.message, before=basis.executions
    )
    audited = replace(before, facts=gathered.facts, crashes=gathered.crashes)
    return Result(audited, make_report(audited, RULES, Selection()))


def lost(clean: Value, faulted: Value, path: str) -> list[str]:
    """What the clean run saw and the faulted run denies; Unknown denies nothing."""
    if path in TELLS_OF_FAILURES or path.endswith(LOWER_BOUNDS):
        return []
    if isinstance(faulted, Unknown) or clean in (None, False, "", (), "none", "absent"):
        return []
    if faulted in (None, False, "", (), "none", "absent"):
        return [f"{path}: {clean!r} became {faulted!r}"]
    if path == "dkim.keys":
        clean, faulted = without_guesses(clean), without_guesses(faulted)
    if path in PROTOCOLS:
        return [] if clean == faulted or says_that_it_failed(faulted) else [f"{path}: changed without saying why"]
    if isinstance(clean, Mapping) and isinstance(faulted, Mapping):
        return [
            each for key in set(clean) - {"evidence"} for each in lost(clean[key], faulted.get(key), f"{path}.{key}")
        ]
    if isinstance(clean, tuple) and isinstance(faulted, tuple):
        if any(isinstance(item, Unknown) for item in faulted):
            return []
        if len(faulted) < len(clean):
            return [f"{path}: {clean!r} shrank to {faulted!r}"]
        pairs = zip(clean, faulted, strict=False)
        return [each for n, (one, two) in enumerate(pairs) for each in lost(one, two, f"{path}[{n}]")]
    if isinstance(clean, int) and isinstance(faulted, int) and faulted < clean and not path.startswith(AT_LEAST):
        return [f"{path}: {clean} sank to {faulted}"]
    return []


def without_guesses(keys: Value) -> Value:
    """The keys of selectors that somebody named: a guess that misses is not listed, for whatever reason it missed."""
    assert isinstance(keys, tuple)
    return tuple(key for key in keys if isinstance(key, Mapping) and key["found_by"] != "probe")


# False says that a lookup failed; that is what it is for.
# What is certain although a part could not be looked at.
LOWER_BOUNDS = ("lookups_at_least", "void_at_least")
TELLS_OF_FAILURES = {"senders.complete", "dkim.guessed", "dkim.failed_probes"}
# Lists of what was found, each item proven; that some may be missing, other facts tell. Empty they claim too much.
PROVEN_ONE_BY_ONE = {
    *("dkim.keys", "senders.services", "takeover.names"),
    *("spf.overlaps", "spf.void_names", "spf.void_names_ip6", "spf.broken_includes", "spf.include_costs"),
}
# Of pairs that are known to overlap, the ranges that were seen.
AT_LEAST = ("spf.overlaps",)
# What was walked through, step by step, with the failure at the step where it happened.
PROTOCOLS = {"spf.tree", "spf.used_tree", "spf.trace"}


def says_that_it_failed(value: Value) -> bool:
    if isinstance(value, Mapping):
        return any(says_that_it_failed(each) for each in value.values())
    if isinstance(value, tuple):
        return any(says_that_it_failed(each) for each in value)
    return isinstance(value, Unknown) or value == "temperror"


@pytest.fixture(scope="module")
def clean() -> tuple[Result, tuple[Question, ...]]:
    resolver = FaultyResolver(StaticResolver(RECORDS))
    result = asyncio.run(audit(resolver))
    return result, tuple(dict.fromkeys(resolver.asked))


def test_the_little_world_is_complete(clean: tuple[Result, tuple[Question, ...]]) -> None:
    result, questions = clean
    assert result.audited.crashes == ()
    facts = result.facts
    assert facts["spf.result"] == facts["dmarc.result"] == "pass"
    assert (facts["alignment.spf"], facts["alignment.dkim"]) == ("relaxed", "strict")
    assert facts["dmarc.stage"] == "reject"
    assert [finding.rule for finding in result.report.findings if finding.severity is Severity.ERROR] != []
    unmet = [f for f in result.report.findings if f.outcome is Outcome.UNMET and f.severity is Severity.ERROR]
    assert unmet == []
    # What the world is for: all of it is looked at.
    assert set(RECORDS) - {("s1._domainkey.example.com", "CNAME"), ("s1.dkim.esp.example", "TXT")} <= {
        *questions,
        *UNASKED,
    }
    assert ("s1._domainkey.example.com", "TXT") in questions


# Published for completeness; no auditor has a reason to ask.
UNASKED = {("25.2.0.192.in-addr.arpa", "PTR"), ("mx.example.net", "A")}


@pytest.mark.parametrize(
    ("reason", "apart"),
    [
        pytest.param(Reason.TIMEOUT, 20, id="some time out"),
        *(
            pytest.param(each, 1, id=f"every {each.value}", marks=pytest.mark.slow)
            for each in (Reason.TIMEOUT, Reason.SERVFAIL, Reason.REFUSED)
        ),
    ],
)
@pytest.mark.parametrize("world", WORLDS)
async def test_no_single_failure_makes_anything_missing(world: str, reason: Reason, apart: int) -> None:
    make_resolver, job = WORLDS[world]
    watched = FaultyResolver(make_resolver())
    baseline = await audit(watched, job, staged=True)
    problems: list[str] = []
    for question in some([*dict.fromkeys(watched.asked)], apart):
        failing = FaultyResolver(make_resolver(), {question: reason})
        # The whole way for one reason; for the others only what the failure reaches is done again.
        result = await (audit(failing, job) if reason is Reason.TIMEOUT else audit_again(baseline.audited, failing))
        where = " ".join(question)
        problems += [f"{where}: crash {crash}" for crash in result.audited.crashes]
        for path, value in baseline.facts.items():
            problems += [f"{where}: {each}" for each in lost(value, result.facts[path], path)]
        for key, outcome in result.outcomes.items():
            before = baseline.outcomes.get(key)
            if outcome is Outcome.UNMET and before is not Outcome.UNMET:
                problems.append(f"{where}: {key} turned from {before} to unmet")
            if outcome is Outcome.MET and before is Outcome.UNMET:
                problems.append(f"{where}: {key} passes only because a look-up failed")
    assert not problems, "\n".join(problems)


# Records that a name may have as well, by type, and of TXT by what the name is for.
OTHERS = {
    "A": "198.51.100.77",
    "AAAA": "2001:db8::77",
    "MX": "0 .",
    "PTR": "pool-77.dsl.isp.example",
    "SOA": "ns.example.net hostmaster.example.net 1 7200 3600 1209600 300",
    "TLSA": f"3 1 1 {'ab' * 32}",
    "TXT": "v=spf1 -all",
}
OTHER_TXT = {
    "._report._dmarc.": "v=DMARC1",
    "_dmarc.": "v=DMARC1; p=reject; np=none",
    "._domainkey.": "v=DKIM1; p=",
    "_mta-sts.": "v=STSv1; id=1",
    "_tls.": "v=TLSRPTv1; rua=mailto:t@example.net",
    "._bimi.": "v=BIMI1; l=https://example.net/l.svg",
}


async def other_answers(question: Question, world: Resolver, asked: Iterable[Question]) -> list[Answer]:
    """What might as well have been answered where the question failed, given all other answers.

    A name that does not exist for one type has no records of another (RFC 8020). What a public suffix says of DMARC is
    left out: it names the domain just below it at most, see dmarc.discover.
    """
    name, rdtype = question
    if name.startswith("_dmarc.") and is_public_suffix(name.removeprefix("_dmarc.")):
        return []
    beside = [await world.query(*each) for each in asked if each[0] == name and each != question]
    gone = any(isinstance(answer, Absent) and answer.nxdomain for answer in beside)
    answers: list[Answer] = [Absent(name, rdtype, nxdomain=gone)]
    record = OTHERS.get(rdtype)
    if record is not None and not gone:
        if rdtype == "TXT":
            record = next((text for mark, text in OTHER_TXT.items() if mark in name), record)
        octets = ((len(record),),) if rdtype == "TXT" else ()
        answers.append(Found(name, rdtype, (record,), 300, string_octets=octets))
    return answers


class AnsweringResolver:
    """Answers one question in its own way, all others from a base."""

    def __init__(self, base: Resolver, answer: Answer) -> None:
        self._base = base
        self._answer = answer

    async def query(self, name: str, rdtype: str) -> Answer:
        asked = (canonical(name), rdtype.upper())
        mine = asked == (canonical(self._answer.name), self._answer.rdtype)
        return self._answer if mine else await self._base.query(name, rdtype)

    async def close(self) -> None:
        pass


def open_somewhere(value: Value) -> bool:
    """Unknown as a whole or in one of its parts, or told to have failed."""
    if isinstance(value, Mapping):
        return any(open_somewhere(each) for each in value.values())
    if isinstance(value, tuple):
        return any(open_somewhere(each) for each in value)
    return isinstance(value, Unknown) or says_that_it_failed(value)


def definite(value: Value, path: str) -> bool:
    """Whether the value claims to be all there is to say."""
    return not open_somewhere(value) and not (path in PROVEN_ONE_BY_ONE and value)


YES_OR_NO_OR_LIST = {
    path
    for path, spec in catalogue().items()
    if "[]" not in path and path not in TELLS_OF_FAILURES and (spec.type is FactType.BOOL or spec.type.is_list)
}


@some_or_every(18, "question")
@pytest.mark.parametrize("world", WORLDS)
async def test_what_another_answer_would_change_is_unknown_where_the_question_fails(world: str, apart: int) -> None:
    """No list and no yes or no rests on a question that failed: "[]" and "no" are proven or not said."""
    make_resolver, job = WORLDS[world]
    watched = FaultyResolver(make_resolver())
    baseline = await audit(watched, job, staged=True)
    problems: list[str] = []
    questions = list(dict.fromkeys(watched.asked))
    guesses = {f"{selector}._domainkey.{job.domain}" for selector in shipped().selectors[3:]}  # all alike
    different = [each for each in questions if each[0] not in guesses or each[0].startswith("s1.")]
    for question in some(different, apart):
        failing = FaultyResolver(make_resolver(), {question: Reason.SERVFAIL})
        failed = (await audit_again(baseline.audited, failing)).facts
        for answer in await other_answers(question, make_resolver(), questions):
            changed = (await audit_again(baseline.audited, AnsweringResolver(make_resolver(), answer))).facts
            for path in YES_OR_NO_OR_LIST:
                if changed[path] != baseline.facts[path] and definite(failed[path], path):
                    problems.append(f"{' '.join(question)}: {path} is {failed[path]!r}, could be {changed[path]!r}")
    assert not problems, "\n".join(dict.fromkeys(problems))


@pytest.mark.parametrize("world", WORLDS)
async def test_in_an_outage_no_list_is_empty_and_nothing_is_denied_that_dns_would_tell(world: str) -> None:
    """Where the records make a difference, an outage leaves it open, whichever way it shows."""
    make_resolver, job = WORLDS[world]
    worlds = [(await audit(each, job)).facts for each in (make_resolver(), StaticResolver({}), StaticResolver(RECORDS))]
    for reason in (Reason.TIMEOUT, Reason.SERVFAIL, Reason.REFUSED, Reason.OFFLINE):
        outage = (await audit(FaultyResolver(StaticResolver({}), reason), job)).facts
        concluded = {
            path: outage[path]
            for path in YES_OR_NO_OR_LIST
            if not open_somewhere(outage[path]) and any(each[path] != outage[path] for each in worlds)
        }
        assert concluded == {}, reason


@some_or_every(20, "question")
async def test_what_is_advised_while_a_look_up_fails_is_right_all_the_same(apart: int) -> None:
    """Every remedy mends what is really unmet, replaces what is really published, and harms nobody once it is known."""
    make_resolver, job = WORLDS["demo"]
    watched = FaultyResolver(make_resolver())
    baseline = await advised(watched, job)
    unmet = {(each.rule, each.item) for each in baseline.findings if each.outcome is Outcome.UNMET}
    assert len(baseline.remedies) > 5
    published_before: set[tuple[Proposal, ...]] = set()
    # Selectors that were guessed and are not there are all alike: the first few stand for them.
    guesses = [each for each in dict.fromkeys(watched.asked) if "._domainkey." in each[0]][3:]
    for question in some([each for each in dict.fromkeys(watched.asked) if each not in guesses], apart):
        report = await advised(FaultyResolver(make_resolver(), {question: Reason.TIMEOUT}), job)
        assert not {note.code for note in report.notes} & {"remedies-failed"}, question
        assert {(each.rule, each.item) for each in report.remedies} <= unmet, question
        laid: dict[Question, tuple[Proposal, ...]] = {}
        for edit in (edit for remedy in report.remedies for edit in remedy.edits):
            place = edit_place(edit)
            there = await OverlayResolver(make_resolver(), laid.get(place, ())).query(*place)
            kinds = {version(each) for each in (*edit.old, *edit.new)}
            published = [each for each in there.values if version(each) in kinds] if isinstance(there, Found) else []
            assert sorted(published) == sorted(edit.old), (question, edit)
            laid |= proposals_for([edit])
        together = tuple(each for proposals in laid.values() for each in proposals)
        if together in published_before:
            continue
        published_before.add(together)
        overlay = OverlayResolver(make_resolver(), together)
        mended = (await audit(overlay, job)).report.assessment
        after = {each.receiver: each for each in mended.verdicts}
        for before in baseline.verdicts:
            assert after[before.receiver].verdict.rank <= before.verdict.rank, (question, before.receiver)
        assert mended.grade <= baseline.assessment.grade, question


def version(record: str) -> str:
    """What tells an SPF record from others at the same name: its first word."""
    return re.split(r"[\s;]", record.lower())[0]


async def advised(resolver: Resolver, job: Subject) -> Report:
    """The report with remedies."""
    audited = await gather_facts(
        job, Ports(resolver, FixedClock(ARRIVED), sources=("test",), budget=Budget(60.0)), Extras(remedies=True)
    )
    return (await full_report(audited, RULES, Selection())).report


async def test_a_wildcard_is_not_taken_for_keys_where_asking_for_it_failed() -> None:
    make_resolver, job = WORLDS["parked"]
    watched = FaultyResolver(make_resolver())
    assert (await audit(watched, job)).facts["dkim.wildcard"] is True
    for question in dict.fromkeys(watched.asked):
        if "._domainkey." in question[0]:
            result = await audit(FaultyResolver(make_resolver(), {question: Reason.SERVFAIL}), job)
            keys = result.facts["dkim.keys"]
            assert keys == () or isinstance(keys, Unknown), question


async def test_a_failure_that_decides_gives_exit_code_3(clean: tuple[Result, tuple[Question, ...]]) -> None:
    assert exit_code(clean[0].report, Severity.ERROR) == 0
    for question in (("_dmarc.example.com", "TXT"), ("example.com", "TXT"), ("s1._domainkey.example.com", "TXT")):
        result = await audit(FaultyResolver(StaticResolver(RECORDS), {question: Reason.SERVFAIL}))
        assert exit_code(result.report, Severity.ERROR) == 3, question
        assert any(f.unknown is not None and f.unknown.reason is Reason.SERVFAIL for f in result.report.findings)


@pytest.mark.parametrize("reason", [Reason.TIMEOUT, Reason.SERVFAIL, Reason.REFUSED, Reason.OFFLINE])
async def test_with_no_dns_at_all_nothing_is_concluded(
    reason: Reason, clean: tuple[Result, tuple[Question, ...]]
) -> None:
    result = await audit(FaultyResolver(StaticResolver({}), reason))
    assert result.audited.crashes == ()
    turned = {key for key, outcome in result.outcomes.items() if outcome is Outcome.UNMET}
    assert turned <= {key for key, outcome in clean[0].outcomes.items() if outcome is Outcome.UNMET}
    assert {verdict.verdict for verdict in result.report.verdicts} == {VerdictKind.CANNOT_TELL}
    assert exit_code(result.report, Severity.ERROR) == 3
    assert exit_code(result.report, None) == 0


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("servfail", Reason.SERVFAIL),
        ("refused", Reason.REFUSED),
        ("silent", Reason.TIMEOUT),
        ("garbage", Reason.TIMEOUT),
        ("truncated-no-tcp", None),
    ],
)
async def test_a_real_server_that_misbehaves_at_one_name(
    behaviour: str, reason: Reason | None, clean: tuple[Result, tuple[Question, ...]]
) -> None:
    loop = asyncio.get_running_loop()
    async with DnsServer(StaticResolver(RECORDS), {"_dmarc.example.com": behaviour}) as server:
        resolver = LiveResolver([server.server], timeout=1.0, retries=1)
        began = loop.time()
        result = await audit(resolver, seconds=120.0)
        await resolver.close()
    assert loop.time() - began < 100
    present = result.facts["dmarc.present"]
    assert isinstance(present, Unknown)
    assert reason is None or present.reason is reason
    assert result.facts["spf.result"] == "pass"
    assert [each for path, value in clean[0].facts.items() for each in lost(value, result.facts[path], path)] == []


async def facts_where_every_name(behaviour: str | Reply) -> dict[str, Value]:
    """The facts that are found where a real server does that at every name that is asked."""
    watched = FaultyResolver(StaticResolver(RECORDS))
    await audit(watched, Subject("example.com"))
    async with DnsServer(StaticResolver(RECORDS), {name: behaviour for name, _ in watched.asked}) as server:
        resolver = LiveResolver([server.server], timeout=0.2, retries=1)
        facts = (await audit(resolver, Subject("example.com"), seconds=5.0)).facts
        await resolver.close()
    return facts


@pytest.mark.parametrize("behaviour", ["servfail", "refused", "silent", "truncated-no-tcp", "garbage", "referral"])
async def test_a_real_server_that_misbehaves_at_every_name(behaviour: str) -> None:
    facts = await facts_where_every_name(behaviour)
    for path in ("dkim.keys", "senders.services", "subject.purpose", "subject.parked", "domain.mx", "spf.includes"):
        assert isinstance(facts[path], Unknown), path


@pytest.mark.parametrize(
    "behaviour",
    ["TC everywhere", "A record of the name", "SOA of another zone", "extended error 17", "aliases in a circle"],
)
async def test_where_a_server_answers_beside_the_question_nothing_is_missing(behaviour: str) -> None:
    """Before, such a server had "no SPF record" and "no MX" said of a domain that has both, and a grade with it."""
    reply = HOSTILE[behaviour]
    async with DnsServer(StaticResolver(RECORDS), {"*": reply}) as server:
        resolver = LiveResolver([server.server], timeout=5.0)
        result = await audit(resolver, Subject("example.com"), seconds=30.0)
        await resolver.close()
    for path in ("spf.present", "dmarc.present", "domain.mx", "dkim.keys"):
        assert isinstance(result.facts[path], Unknown), path
    assert [key for key, outcome in result.outcomes.items() if outcome is Outcome.UNMET] == []
    assert {verdict.verdict for verdict in result.report.verdicts} == {VerdictKind.CANNOT_TELL}
    assert exit_code(result.report, Severity.ERROR) == 3


@pytest.mark.parametrize(
    "behaviour", ["silent-once", "truncated", "garbage-first", "forged-first", "no-edns", "cname-only"]
)
async def test_a_real_server_that_stumbles_at_every_name_never_makes_keys_an_empty_list(behaviour: str) -> None:
    """These are mended or not, by the time that is left; "no keys" is never what is concluded."""
    facts = await facts_where_every_name(behaviour)
    assert facts["dkim.keys"] != ()


async def test_a_truncated_answer_is_asked_again_over_tcp(clean: tuple[Result, tuple[Question, ...]]) -> None:
    async with DnsServer(StaticResolver(RECORDS), {"_dmarc.example.com": "truncated"}) as server:
        resolver = LiveResolver([server.server])
        result = await audit(resolver)
        await resolver.close()
        assert ("_dmarc.example.com", "TXT", "tcp") in server.log
    assert result.outcomes == clean[0].outcomes


async def test_the_time_budget_ends_an_audit_of_a_silent_world() -> None:
    names = {name for name, _ in RECORDS} | {"com", "example", "_dmarc.com"}
    async with DnsServer(StaticResolver(RECORDS), dict.fromkeys(names, "silent")) as server:
        resolver = LiveResolver([server.server], timeout=60.0)
        result = await asyncio.wait_for(audit(resolver, seconds=0.5), 300)
        await resolver.close()
    assert result.audited.crashes == ()
    assert {verdict.verdict for verdict in result.report.verdicts} == {VerdictKind.CANNOT_TELL}
    spf = result.facts["spf.present"]
    assert isinstance(spf, Unknown)
    assert spf.reason is Reason.TIMEOUT
