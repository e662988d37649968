"""The second opinion: what checkdmarc and dkimpy say on our answers and octets, and why where it is something else.

Every known reason has a case of its own here. Over the corpus the two are an oracle: a difference without a reason, or
one that is not listed, fails.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from dkim.canonicalization import Relaxed
from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.cli import deliv
from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail.reader import read
from deliverability.core.model.report import SECTIONS, Difference, SecondOpinion, Unheard
from deliverability.core.net.base import Absent, Answer, Found, Resolver
from deliverability.core.net.clock import Budget, FixedClock
from deliverability.core.net.names import labels_of
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.phrases import phrases
from deliverability.core.report.formats.json import SCHEMA, render_json
from deliverability.core.rules.judge import Selection
from deliverability.engine.audit import Extras, gather_facts, make_report
from deliverability.engine.auditors import dkim, dmarc, spf
from deliverability.engine.base import Auditor
from deliverability.engine.rules import load_rules
from deliverability.engine.second_opinion.ask import second_opinion
from deliverability.engine.second_opinion.bridge import MAX_TEXT
from tests.core.protocols.test_dkim_verify import vectors, zone
from tests.core.protocols.test_spf_suites import openspf_zone
from tests.corpus import corpus, suite
from tests.facts_of import facts_of
from tests.signing import MESSAGE, TableResolver, published, rsa_key, sign
from tests.speaking import shipped, written
from tests.test_corpus_smoke import mails, senders, zones

pytestmark = pytest.mark.long

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
KEY = rsa_key(1024)
HERE = ("example.com", "TXT")
POLICY = ("_dmarc.example.com", "TXT")
SIGNER = ("s1._domainkey.example.com", "TXT")
GOOD: Mapping[tuple[str, str], Any] = {
    HERE: ["v=spf1 mx -all"],
    ("example.com", "MX"): ["10 mx.example.com"],
    ("mx.example.com", "A"): ["192.0.2.25"],
    POLICY: ["v=DMARC1; p=reject; rua=mailto:d@example.com"],
    SIGNER: [(published(KEY)[:200], published(KEY)[200:])],
    ("_mta-sts.example.com", "TXT"): ["v=STSv1; id=20261124"],
    ("_smtp._tls.example.com", "TXT"): ["v=TLSRPTv1; rua=mailto:t@example.com"],
}


async def opinion(
    records: Mapping[tuple[str, str], Any], domain: str = "example.com", message: bytes | None = None
) -> SecondOpinion:
    """The second opinion on a domain whose records are the good ones with these laid over."""
    ports = Ports(StaticResolver({**GOOD, **records}), FixedClock(NOW), sources=("static",))
    sample = Sample("message", data=message) if message else None
    got = await gather_facts(Subject(domain, sample), ports, Extras(second_opinion=True))
    assert got.crashes == ()
    assert got.opinion is not None
    return got.opinion


def signature(tags: str, *, covered: tuple[str, ...] = ("from", "subject"), received: str = "") -> bytes:
    """The message with a signature of any tags; dkimpy itself makes none that it holds wrong."""
    head, _, body = MESSAGE.partition(b"\r\n\r\n")
    fields = dict(line.split(b":", 1) for line in head.replace(b"\r\n\t", b" \t").split(b"\r\n"))
    digest = base64.b64encode(hashlib.sha256(Relaxed.canonicalize_body(body)).digest()).decode()
    start = f" v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=s1; {tags}h={':'.join(covered)};"
    start += f" bh={digest}; b="
    named = [(name, value + b"\r\n") for name, value in fields.items() if name.lower().decode() in covered]
    pairs = Relaxed.canonicalize_headers([*named, (b"DKIM-Signature", start.encode() + b"\r\n")])
    data = b"".join(name + b":" + value for name, value in pairs).removesuffix(b"\r\n")
    made = base64.b64encode(KEY.sign(data, PKCS1v15(), SHA256())).decode()
    return f"{received}DKIM-Signature:{start}{made}\r\n".encode() + MESSAGE


class Case(Struct, frozen=True):
    """Records (and a message) on which the other program says something else, and what the two say."""

    aspect: str
    ours: Any
    theirs: Any
    records: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    message: bytes | None = None
    domain: str = "example.com"


def spf_record(text: str, **more: Any) -> dict[tuple[str, str], Any]:
    return {HERE: [text]} | {tuple(key.split("|")): value for key, value in more.items()}  # type: ignore[misc]


RECEIVED_IN_TIME = "Received: from a.example.com by b.example.net; Tue, 1 Oct 2024 10:00:00 +0000\r\n"

CASES: Mapping[str, Case] = {
    "spf-version-case": Case("status", "valid", "permerror", spf_record("V=SPF1 mx -all")),
    "spf-same-record-twice": Case("status", "permerror", "valid", {HERE: ["v=spf1 -all", "v=spf1 -all"]}),
    "spf-syntax-anywhere": Case("status", "permerror", "valid", spf_record("v=spf1 mx -all ip6")),
    "spf-slash-in-name": Case("status", "valid", "permerror", spf_record("v=spf1 a:foo.example/baz.example.com")),
    "spf-temperror": Case(
        "status",
        "temperror",
        "permerror",
        spf_record("v=spf1 include:i.example.net -all", **{"i.example.net|TXT": "servfail"}),
    ),
    "spf-void-ptr": Case("void-lookups", 0, 1, spf_record("v=spf1 ptr -all")),
    "spf-void-terms": Case(
        "void-lookups",
        1,
        0,
        spf_record("v=spf1 a:v6.example.com -all", **{"v6.example.com|AAAA": ["2001:db8::1"]}),
    ),
    "spf-macro-target": Case(
        "lookups",
        2,
        1,
        spf_record("v=spf1 redirect=%{d}.m.example", **{"example.com.m.example|TXT": ["v=spf1 a:mx.example.com -all"]}),
    ),
    "dmarc-unrelated": Case("status", "valid", "permerror", {POLICY: ["v=DMARC1; p=reject", "v=spf1 -all"]}),
    "dmarc-rest-counts": Case("status", "valid", "permerror", {POLICY: ["v=DMARC1; p=reject; rua=example.com"]}),
    "dmarc-no-policy": Case("status", "permerror", "valid", {POLICY: ["v=DMARC1; sp=reject"]}),
    "dmarc-nonexistent": Case("status", "valid", "none", domain="gone.example.com"),
    "dkim-sha1": Case("result", "fail", "pass", message=sign(MESSAGE, KEY, algorithm="rsa-sha1")),
    "dkim-key-tags": Case(
        "result",
        "fail",
        "pass",
        {SIGNER: [published(KEY, "t=s; ")]},
        sign(MESSAGE, KEY, identity="a@sub.example.com"),
    ),
    "dkim-expiry": Case(
        "result",
        "pass",
        "fail",
        message=signature("t=1727776000; x=1727780000; ", received=RECEIVED_IN_TIME.replace("10:00", "10:10")),
    ),
    "dkim-length": Case("result", "fail", "pass", message=signature("l=9999; ")),
    "dkim-key-multiple": Case(
        "result", "fail", "pass", {SIGNER: [published(KEY), published(rsa_key(1024), "n=other; ")]}, sign(MESSAGE, KEY)
    ),
    "dkim-from": Case("result", "fail", "pass", message=signature("", covered=("subject", "date"))),
}


def test_every_known_reason_has_a_case_and_words() -> None:
    assert set(CASES) == set(SECTIONS)
    for lang in ("en", "ja"):
        assert all(f"opinion.reason.{code}" in phrases(lang) for code in SECTIONS)


@pytest.mark.parametrize("code", CASES)
async def test_a_difference_carries_its_reason(code: str) -> None:
    case = CASES[code]
    found = await opinion(case.records, case.domain, case.message)
    (difference,) = [each for each in found.differences if each.topic == code.partition("-")[0]]
    assert (difference.reason, difference.aspect) == (code, case.aspect)
    assert (difference.ours, difference.theirs) == (case.ours, case.theirs)


async def test_they_agree_on_what_is_in_order() -> None:
    found = await opinion({}, message=sign(MESSAGE, KEY))
    assert found.differences == ()
    assert found.unheard == ()
    # SPF: status, look-ups, void ones, all; DMARC: status and eight tags; a signature, MTA-STS, TLS-RPT.
    assert found.compared == 4 + 9 + 1 + 1 + 1


async def test_they_agree_on_what_is_broken() -> None:
    """An error that both see is no difference, whatever words each has for it."""
    loop = {HERE: ["v=spf1 include:example.com -all"], POLICY: ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}
    found = await opinion(loop, message=sign(MESSAGE, KEY).replace(b"bread", b"wine"))
    assert found.differences == ()
    assert found.compared == 1 + 1 + 1 + 1 + 1


async def test_a_difference_nobody_explained_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import checkdmarc.dmarc

    parse = checkdmarc.dmarc.parse_dmarc_record

    def strange(*args: Any, **kwargs: Any) -> Any:
        parsed = parse(*args, **kwargs)
        parsed["tags"]["p"]["value"] = "quarantine"
        return parsed

    monkeypatch.setattr(checkdmarc.dmarc, "parse_dmarc_record", strange)
    found = await opinion({})
    assert found.differences == (Difference("dmarc", "example.com", "p", "reject", "quarantine"),)


class Asked(StaticResolver):
    """Keeps what was asked."""

    def __init__(self, records: Mapping[tuple[str, str], Any]) -> None:
        super().__init__(records)
        self.asked: list[tuple[str, str]] = []

    async def query(self, name: str, rdtype: str) -> Answer:
        self.asked.append((name, rdtype))
        return await super().query(name, rdtype)


async def test_every_question_goes_to_our_resolver_and_none_twice() -> None:
    """The explanation of SPF too, for which checkdmarc passes no resolver on: by itself it would ask the system's."""
    resolver = Asked({**GOOD, HERE: ["v=spf1 mx -all exp=why.example.com"], ("why.example.com", "TXT"): ["no"]})
    ports = Ports(resolver, FixedClock(NOW), sources=("static",))
    await gather_facts(Subject("example.com"), ports)
    ours = set(resolver.asked)
    resolver.asked.clear()
    await gather_facts(Subject("example.com"), ports, Extras(second_opinion=True))
    more = set(resolver.asked) - ours
    assert ("why.example.com", "TXT") in resolver.asked
    assert {rdtype for _, rdtype in more} <= {"TXT", "MX", "A", "AAAA"}
    assert max(Counter(resolver.asked).values()) == 1


async def test_hundreds_of_report_addresses_are_not_asked_about() -> None:
    addresses = ",".join(f"mailto:a@r{number}.example.net" for number in range(150))
    resolver = Asked({**GOOD, POLICY: [f"v=DMARC1; p=none; rua={addresses}"]})
    facts = await facts_of([dmarc.audit], resolver, {})
    resolver.asked.clear()
    found = await second_opinion(facts, None, Ports(resolver, budget=Budget(60)))
    assert (found.differences, found.unheard) == ((), ())
    assert set(resolver.asked) == {POLICY, HERE}


async def test_another_world_is_not_answered_from_the_first() -> None:
    """checkdmarc keeps answers by name and type for half an hour, whoever gave them."""
    strict, open_ = await opinion({}), await opinion({HERE: ["v=spf1 ?all"], POLICY: ["v=DMARC1; p=none"]})
    assert strict.differences == open_.differences == ()


class Endless:
    """Answers nothing in time."""

    async def query(self, name: str, rdtype: str) -> Answer:
        raise AssertionError("nobody should ask when the time is over")

    async def close(self) -> None: ...


async def test_what_could_not_be_compared_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = await facts_of([spf.audit], StaticResolver(GOOD), {})
    over = Budget(0)
    assert over.spent
    assert (await second_opinion(facts, None, Ports(Endless(), budget=over))).unheard == (Unheard("", "", "time"),)
    # An explanation that cannot be looked up changes nothing; a part of the tree that only they ask for does.
    failing = StaticResolver({**GOOD, HERE: "servfail"})
    assert (await second_opinion(facts, None, Ports(failing, budget=Budget(60)))).unheard == (
        Unheard("spf", "example.com", "dns"),
    )
    long = {HERE: ["v=spf1 " + "ip4:192.0.2.1 " * MAX_TEXT + "-all"]}
    assert Unheard("spf", "example.com", "size") in (await opinion(long)).unheard
    blanks = sign(MESSAGE, KEY) + b" " * 100_000 + b"x\r\n"
    assert (await opinion({}, message=blanks)).unheard == (Unheard("dkim", "", "size"),)
    import checkdmarc.spf

    monkeypatch.setattr(checkdmarc.spf, "parse_spf_record", lambda *_, **__: 1 / 0)
    assert (await opinion({})).unheard == (Unheard("spf", "example.com", "crash"),)


class Stuck:
    """Never answers."""

    async def query(self, name: str, rdtype: str) -> Answer:
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self) -> None: ...


async def test_time_ends_it_and_the_next_subject_is_not_held_up() -> None:
    facts = await facts_of([spf.audit, dmarc.audit], StaticResolver(GOOD), {})
    found = await second_opinion(facts, None, Ports(Stuck(), budget=Budget(0.2)))
    assert found.unheard == (Unheard("", "", "time"),)
    after = await second_opinion(facts, None, Ports(StaticResolver(GOOD), budget=Budget(60)))
    assert (after.differences, after.unheard) == ((), ())


def test_nobody_waits_for_what_was_not_asked_for() -> None:
    """checkdmarc takes 0.3 s to import."""
    code = (
        "import sys; from deliverability.cli import deliv; deliv.main(['audit', 'example.com', '--offline'],"
        " standalone_mode=False); print('checkdmarc' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True)
    assert done.stderr == "False\n"


# Reports


def report_with(found: SecondOpinion) -> Any:
    async def made() -> Any:
        ports = Ports(StaticResolver(GOOD), FixedClock(NOW), sources=("static",))
        return make_report(await gather_facts(Subject("example.com"), ports), load_rules(), Selection())

    return replace(asyncio.run(made()), second_opinion=found)


EVERYTHING = SecondOpinion(
    40,
    (
        *(Difference(code.partition("-")[0], "example.com", "status", "valid", "permerror", code) for code in SECTIONS),
        Difference("dmarc", "example.com", "rua", ("mailto:a@example.com",), (), None, "<b>said\x1b</b>"),
    ),
    (*(Unheard("spf", "example.com", why) for why in ("dns", "size", "crash")), Unheard("", "", "time")),
)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_every_report_tells_it(lang: str) -> None:
    report, say = report_with(EVERYTHING), phrases(lang)
    wanted = [say("section.opinion"), "mailto:a@example.com", say("opinion.unexplained")]
    text = written("text", report, shipped(lang), width=100)
    html = written("html", report, shipped(lang))
    page = written("markdown", report, shipped(lang))
    for each in wanted:
        assert each in text
        assert each in html
        assert each.replace("@", "@&#8203;") in page
    for shown in (text, html, page):
        assert "\x1b" not in shown
        assert {"en": "sections 4.6 and 12", "ja": "4.6、12節"}[lang] in shown
    assert "<b>said" not in html
    assert "<b>said" not in page


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_agreement_is_one_sentence(lang: str) -> None:
    report, say = report_with(SecondOpinion(16)), phrases(lang)
    sentence = say.count("opinion.lead-agree", 16)
    assert sentence in written("html", report, shipped(lang))
    assert sentence in written("markdown", report, shipped(lang))
    assert "16" in written("text", report, shipped(lang))


def test_json_has_it_where_it_was_asked_for() -> None:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    shape = json.loads(render_json(report_with(EVERYTHING)))
    jsonschema.validate(shape, schema)
    assert shape["second_opinion"]["compared"] == 40
    assert len(shape["second_opinion"]["differences"]) == len(SECTIONS) + 1
    assert shape["second_opinion"]["differences"][-1]["reason"] is None


def test_the_command_ends_as_without_it(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    zone_file = tmp_path / "example.com.zone"
    zone_file.write_text('$ORIGIN example.com.\n@ 60 IN SOA a. b. 1 1 1 1 1\n@ 60 IN TXT "V=SPF1 +all"\n')
    args = ["audit", "example.com", "--zone", str(zone_file), "--format", "json"]
    plain, asked = (
        CliRunner().invoke(deliv, [*args, *more], standalone_mode=False) for more in ([], ["--second-opinion"])
    )
    assert plain.return_value == asked.return_value == 1
    without, shape = json.loads(plain.stdout), json.loads(asked.stdout)
    (difference,) = shape.pop("second_opinion")["differences"]
    assert difference["reason"] == "spf-version-case"
    without["run"] = shape["run"]
    assert {**without, "evidence": None} == {**shape, "evidence": None}


# The suites and the corpus


def told(found: SecondOpinion) -> list[tuple[str, ...]]:
    """The differences in short; one without a reason fails at once."""
    for each in found.differences:
        assert each.reason is not None, each
    return [(each.subject, each.aspect, str(each.reason)) for each in found.differences]


async def asked(
    auditors: list[Auditor], resolver: Resolver, domain: str, message: bytes | None = None
) -> SecondOpinion:
    facts = await facts_of(auditors, resolver, {}, domain, read(message) if message else None)
    found = await second_opinion(facts, message, Ports(resolver, budget=Budget(60)))
    assert not [each for each in found.unheard if each.why in ("time", "crash")]
    return found


# How often each reason counts in the suites for SPF: records made to be read wrongly.
IN_SUITES = {
    "spf-syntax-anywhere": 18,
    "spf-void-ptr": 2,
    "spf-void-terms": 2,
    "spf-slash-in-name": 2,
    "spf-temperror": 2,
    "spf-macro-target": 2,
    "spf-same-record-twice": 1,
    "spf-version-case": 1,
}


def suite_domains() -> Iterator[tuple[StaticResolver, str]]:
    for name in ("rfc4408-tests.yml", "test.yml"):
        for document in yaml.safe_load_all(suite("spf", "pyspf", name).read_text("utf-8")):
            resolver = StaticResolver(openspf_zone(document["zonedata"]))
            cases = document.get("tests", {}).values()
            for domain in sorted({case["mailfrom"].rpartition("@")[2] or case["helo"] for case in cases}):
                # No audit is of a name that cannot exist, or of a top-level domain.
                if "." in domain and labels_of(domain) is not None:
                    yield resolver, domain


@pytest.mark.slow
async def test_suites_for_spf() -> None:
    found: Counter[str] = Counter()
    for resolver, domain in suite_domains():
        found.update(reason for _, _, reason in told(await asked([spf.audit], resolver, domain)))
    assert found == IN_SUITES


class Hospitable(StaticResolver):
    """Of names that are not in the collection nothing is known: all of them have addresses and take mail."""

    async def query(self, name: str, rdtype: str) -> Answer:
        answer = await super().query(name, rdtype)
        usual = {"A": "192.0.2.1", "AAAA": "2001:db8::1", "MX": "10 mx.example"}
        if isinstance(answer, Absent) and answer.nxdomain and rdtype in usual:
            return Found(answer.name, rdtype, (usual[rdtype],), 60)
        return answer


def collected(name: str, *columns: int) -> list[tuple[str, ...]]:
    lines = corpus("dns-records", name).read_text("utf-8", "replace").splitlines()[1:]
    return [tuple(line.split("\t")[column] for column in columns) for line in lines]


@pytest.mark.slow
async def test_real_dmarc_records() -> None:
    """Every policy of the collection, through discovery: what an audit of the domain would find."""
    records = dict(collected("dmarc.tsv", 0, 1))
    resolver = Hospitable({(f"_dmarc.{domain}", "TXT"): [record] for domain, record in records.items()})
    found: Counter[str] = Counter()
    for domain in records:
        found.update(reason for _, _, reason in told(await asked([dmarc.audit], resolver, domain)))
    assert found == {"dmarc-rest-counts": 12, "dmarc-unrelated": 6}


@pytest.mark.slow
async def test_real_spf_records() -> None:
    """One in twelve of the collection, with the records that they include."""
    records = dict([*collected("spf-includes.tsv", 0, 1), *collected("spf.tsv", 0, 2)])
    resolver = Hospitable({(domain, "TXT"): [record] for domain, record in records.items()})
    found: Counter[str] = Counter()
    compared = 0
    for (domain,) in collected("spf.tsv", 0)[::12]:
        got = await asked([spf.audit], resolver, domain)
        found.update(reason for _, _, reason in told(got))
        compared += got.compared
    assert compared > 600
    assert set(found) <= {"spf-void-ptr"}


@pytest.mark.slow
async def test_sender_zones() -> None:
    corpus("zones")
    found: list[tuple[str, ...]] = []
    for domain in senders():
        got = await gather_facts(Subject(domain), zones(), Extras(second_opinion=True))
        assert got.opinion is not None
        found += told(got.opinion)
        assert {each.why for each in got.opinion.unheard} <= {"dns"}  # the zones end where the collection does
    assert found == [(name, "status", "spf-temperror") for name in ("bellinzona.ch", "chamoson.net")]


# Signatures on which dkimpy says something else.
SIGNATURES = {
    ("blaze/001.mail", "github.com/s20150108", "dkim-sha1"),
    ("blaze/001.mail", "sendgrid.info/smtpapi", "dkim-sha1"),
    ("dkim_verifier/dkim__flags_s-auid_is_subdomain_of_sdid.eml", "example.com/s.flags", "dkim-key-tags"),
    (
        "dkim_verifier/original__Fastmail_from_Fastmail_-_How_to_keep_your_email_private.eml",
        "fastmail.com/fm3",
        "dkim-expiry",
    ),
    (
        "dkim_verifier/original__Fastmail_from_Fastmail_-_Welcome!_Get_set_up_in_3_steps..eml",
        "fastmail.com/fm3",
        "dkim-expiry",
    ),
}


async def test_signed_messages() -> None:
    found = set()
    for name in vectors():
        folder, _, file = name.partition("/")
        message = suite("dkim", folder, file).read_bytes()
        got = await asked([dkim.audit], TableResolver(zone(folder)), "example.com", message)
        found |= {(name, subject, reason) for subject, _, reason in told(got)}
    assert found == SIGNATURES


@pytest.mark.slow
async def test_mails_are_read_without_a_crash() -> None:
    """One in eight of the corpus, signed or not, on the zones of the corpus."""
    corpus("mails")
    for path in mails()[::8]:
        got = await gather_facts(Subject(sample=Sample(path.name, path=path)), zones(), Extras(second_opinion=True))
        if got.opinion is not None:
            assert told(got.opinion) == []
            assert {each.why for each in got.opinion.unheard} <= {"dns"}
