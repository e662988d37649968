"""A report made by hand, for the tests of the renderers: one domain with a bit of everything, in both languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from deliverability.core.codes import ASKED, Input, needs
from deliverability.core.facts.base import (
    Catalogue,
    Evidence,
    EvidenceKind,
    Fact,
    FactSet,
    FactSpec,
    FactType,
    Reason,
    Unknown,
    Value,
)
from deliverability.core.facts.spf import SpfStatus, SpfTerm, SpfTree
from deliverability.core.model.report import (
    SCHEMA_VERSION,
    Assessment,
    Care,
    Consequence,
    FactChange,
    Finding,
    Gain,
    Judgement,
    Note,
    Outcome,
    RecordEdit,
    Remedy,
    Report,
    Requirements,
    Run,
    Verdict,
    VerdictKind,
)
from deliverability.core.model.rules import (
    Compare,
    Confidence,
    Effect,
    Effort,
    Level,
    Op,
    Receiver,
    Rule,
    RuleSet,
    Scope,
    Sentence,
    Severity,
    Source,
    SourceRef,
    Statement,
    Texts,
)
from deliverability.core.words.speaker import Speaker
from tests.facts_of import value_of

CATALOGUE: Catalogue = {
    spec.path: spec
    for spec in (
        FactSpec("spf.lookups", FactType.INT, "Terms that query DNS.", unit="lookups", optional=True),
        FactSpec("spf.record", FactType.STR, "The SPF record.", optional=True),
        FactSpec("spf.tree", FactType.TREE, "The tree.", optional=True),
        FactSpec("spf.includes", FactType.LIST_STR, "Targets."),
        FactSpec("dkim.signatures", FactType.LIST_RECORD, "Signatures.", key=("domain", "selector")),
        FactSpec("dkim.signatures[].bits", FactType.INT, "Key size.", unit="bits"),
        FactSpec("dkim.signatures[].expires", FactType.INT, "x=, seconds since 1970.", unit="seconds"),
        FactSpec("message.size_octets", FactType.INT, "The message as sent.", unit="octets"),
        FactSpec("message.date_offset_seconds", FactType.INT, "Off by.", unit="seconds"),
        FactSpec("dmarc.policy", FactType.STR, "p=", optional=True),
    )
}

SPF_RECORD = "v=spf1 include:_spf.google.com include:mail.vendor.example a mx ~all"

SPF_TREE = SpfTree(
    "example.com",
    record=SPF_RECORD,
    lookups=12,
    void_lookups=1,
    terms=(
        SpfTerm(
            "include:_spf.google.com",
            mechanism="include",
            lookups=1,
            total_lookups=4,
            target="_spf.google.com",
            tree=SpfTree(
                "_spf.google.com",
                record="v=spf1 include:_netblocks.google.com ~all",
                lookups=3,
                terms=(
                    SpfTerm(
                        "include:_netblocks.google.com",
                        mechanism="include",
                        lookups=1,
                        total_lookups=1,
                        target="_netblocks.google.com",
                    ),
                ),
            ),
        ),
        SpfTerm(
            "include:mail.vendor.example",
            SpfStatus.BROKEN,
            mechanism="include",
            lookups=1,
            total_lookups=6,
            target="mail.vendor.example",
        ),
        SpfTerm("a", mechanism="a", lookups=1, total_lookups=1),
        SpfTerm("~all", mechanism="all"),
    ),
)

FACTS: Mapping[str, Value] = {
    "subject.domain": "example.com",
    "spf.lookups": 12,
    "spf.void_lookups": 1,
    "spf.record": SPF_RECORD,
    "spf.tree": SPF_TREE,
    "spf.result": "softfail",
    "dkim.signatures": (
        {"domain": "example.com", "selector": "s1", "bits": 1024, "result": "pass", "aligned": True},
        {"domain": "vendor.example", "selector": "k1", "bits": 2048, "result": "pass", "aligned": False},
    ),
    "dmarc.stage": "none",
    "dmarc.location": "example.com",
    "dmarc.record": "v=DMARC1; p=none; rua=mailto:dmarc@example.com",
    "alignment.author_domain": "example.com",
    "alignment.mail_from_domain": "bounce.vendor.example",
    "alignment.spf": "none",
    "alignment.helo": "relaxed",
    "envelope.helo": "mta.example.com",
    "envelope.ip": "192.0.2.10",
    "message.size_octets": 12_345_678,
    "message.text_octets": 145_678,
    "message.attachment_octets": 12_100_000,
    "message.attachments": (
        {
            "filename": "見積書.pdf",
            "media_type": "application/pdf",
            "encoded_octets": 12_100_000,
            "decoded_octets": 8_842_105,
        },
    ),
    "html.present": True,
    "html.octets": 120_400,
    "html.markup_octets": 40_000,
    "html.inline_css_octets": 30_400,
    "html.style_octets": 10_000,
    "html.data_uri_octets": 20_000,
    "html.comment_octets": 0,
    "html.script_octets": 0,
    "html.text_octets": 20_000,
}

EVIDENCE = (
    Evidence(
        "dns:TXT:example.com",
        EvidenceKind.DNS,
        "TXT example.com",
        (SPF_RECORD, "site-verification=abc"),
        "2026-11-24T10:00:00Z",
        3600,
    ),
    Evidence(
        "header:dkim-signature:1",
        EvidenceKind.HEADER,
        "DKIM-Signature (1)",
        ("DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=s1;\r\n\tbh=abc=; b=xyz=",),
    ),
)


def worded(title: str, short: str, noun: str, met: str, unmet: str, why: str, fix: tuple[str, ...]) -> Texts:
    return Texts(title, (Sentence(short),), noun, met, (Sentence(unmet),), why, tuple(map(Sentence, fix)))


def texts(en: Texts, ja: Texts) -> Mapping[str, Texts]:
    return {"en": en, "ja": ja}


def rule(ident: str, topic: str, text: Mapping[str, Texts], **fields: object) -> Rule:
    """A rule with the fields that renderers read; what it requires plays no part here."""
    plain = Rule(
        id=ident,
        name=f"rule-{ident.lower()}",
        topic=topic,
        since="0.1",
        scope=Scope.DELIVERY,
        severity=Severity.ERROR,
        level=Level.MUST,
        effort=Effort.MEDIUM,
        confidence=Confidence.HIGH,
        require=Compare("spf.lookups", Op.LE, 10),
        sources=(SourceRef("rfc7208", "4.6.4"),),
        text=text,
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


SPF_LIMIT = rule(
    "SPF-003",
    "spf",
    texts(
        worded(
            "SPF needs at most {max_lookups} DNS lookups",
            "SPF needs more than {max_lookups} DNS lookups",
            "SPF lookups",
            "SPF needs {spf.lookups} DNS lookups.",
            "SPF needs {spf.lookups} DNS lookups; {max_lookups} are allowed.",
            "A receiver that reaches the limit stops with a permanent error, and no mail of the domain passes SPF.",
            (
                "Remove the includes of services that no longer send for you.",
                "Publish the shorter record at example.com: v=spf1 include:_spf.google.com mx ~all",
            ),
        ),
        worded(
            "SPFのDNS参照は{max_lookups}回までにする",
            "SPFのDNS参照が上限の{max_lookups}回を超えている",
            "SPFのDNS参照",
            "SPFのDNS参照は{spf.lookups}回です。",
            "SPFのDNS参照が{spf.lookups}回あります。上限は{max_lookups}回です。",
            "上限に達すると受信側は恒久的なエラーとして評価を打ち切るため、このドメインのメールはすべてSPFに合格しません。",
            (
                "送信に使っていないサービスのincludeを削除します。",
                "短くしたレコードをexample.comに公開します:v=spf1 include:_spf.google.com mx ~all",
            ),
        ),
    ),
    guide=("G1",),
    limits={"max_lookups": 10},
)
DKIM_BITS = rule(
    "DKIM-002",
    "dkim",
    texts(
        worded(
            "DKIM keys have at least 2048 bits",
            "a DKIM key has fewer than 2048 bits",
            "DKIM key length",
            "The key has {item.bits} bits.",
            "The key has {item.bits} bits.",
            "Short keys can be broken, and receivers ask for longer ones.",
            ("Make a new key of 2048 bits at the service that signs and publish it under a new selector.",),
        ),
        worded(
            "DKIMの鍵は2048ビット以上にする",
            "DKIMの鍵が2048ビットに満たない",
            "DKIMの鍵の長さ",
            "鍵の長さは{item.bits}ビットです。",
            "鍵の長さは{item.bits}ビットです。",
            "短い鍵は破られる恐れがあり、受信側はより長い鍵を求めています。",
            ("署名するサービスで2048ビットの鍵を作り、新しいセレクターで公開します。",),
        ),
    ),
    severity=Severity.WARNING,
    level=Level.SHOULD,
    effort=Effort.LOW,
    each="dkim.signatures",
    guide=("G2",),
)
DMARC_STAGE = rule(
    "DMARC-006",
    "dmarc",
    texts(
        worded(
            "DMARC asks receivers to act on forged mail",
            "the DMARC policy is {dmarc.policy}",
            "DMARC policy",
            "The policy is {dmarc.policy}.",
            "The policy is {dmarc.policy}: forged mail still arrives.",
            "With p=none anybody can send in your name.",
            ("Read the reports for a month, then publish `v=DMARC1; p=quarantine; rua=mailto:dmarc@example.com`.",),
        ),
        worded(
            "DMARCポリシーでなりすましメールへの対処を求める",
            "DMARCポリシーが{dmarc.policy}である",
            "DMARCポリシー",
            "ポリシーは{dmarc.policy}です。",
            "ポリシーが{dmarc.policy}のため、なりすましメールも届きます。",
            "p=noneのままでは、だれでもこのドメインを名乗ってメールを送れます。",
            ("1か月ほどレポートを読んでから、`v=DMARC1; p=quarantine; rua=mailto:dmarc@example.com` を公開します。",),
        ),
    ),
    severity=Severity.INFO,
    level=Level.RECOMMENDED,
    guide=("G7",),
)
SIZE = rule(
    "SIZ-001",
    "size",
    texts(
        worded(
            "The message has at most {max_octets}",
            "the message is larger than {max_octets}",
            "size of the message",
            "The message has {message.size_octets}.",
            "The message has {message.size_octets}; at most {max_octets} arrive.",
            "Larger messages are refused.",
            ("Share large files by link.",),
        ),
        worded(
            "メールの大きさは{max_octets}までにする",
            "メールが{max_octets}を超えている",
            "メールの大きさ",
            "メールの大きさは{message.size_octets}です。",
            "メールの大きさは{message.size_octets}です。上限は{max_octets}です。",
            "大きすぎるメールは拒否されます。",
            ("大きなファイルはリンクで共有します。",),
        ),
    ),
    limits={"max_octets": 20_000_000},
)
PTR = rule(
    "NET-001",
    "network",
    texts(
        worded(
            "The sending address has a name",
            "the sending address has no name",
            "reverse DNS",
            "It has.",
            "It has none.",
            "Receivers ask for it.",
            ("Ask the host.",),
        ),
        worded(
            "送信元IPアドレスに名前がある",
            "送信元IPアドレスに名前がない",
            "逆引き",
            "あります。",
            "ありません。",
            "受信側が求めています。",
            ("事業者に依頼します。",),
        ),
    ),
)
UNSUBSCRIBE = rule(
    "MSG-010",
    "unsubscribe",
    texts(
        worded(
            "Bulk mail can be unsubscribed",
            "bulk mail cannot be unsubscribed",
            "unsubscribing",
            "It can.",
            "It cannot.",
            "Gmail asks for it.",
            ("Add the header.",),
        ),
        worded(
            "大量送信メールは配信停止できる",
            "大量送信メールを配信停止できない",
            "配信停止",
            "できます。",
            "できません。",
            "Gmailの条件です。",
            ("ヘッダーを追加します。",),
        ),
    ),
)

RULES = RuleSet(
    rules={each.id: each for each in (SPF_LIMIT, DKIM_BITS, DMARC_STAGE, SIZE, PTR, UNSUBSCRIBE)},
    receivers={
        "icloud": Receiver(
            "icloud",
            {"en": "Apple iCloud Mail", "ja": "iCloudメール"},
            ("mail.icloud.com",),
            (),
            {
                "SPF-003": (
                    Statement(
                        Severity.ERROR,
                        Effect.REJECT,
                        (SourceRef("apple-postmaster"),),
                        codes=("554 5.7.1",),
                        note={"en": "Apple asks bulk senders for SPF.", "ja": "Appleは大量送信者にSPFを求めています。"},
                    ),
                )
            },
        ),
        "gmail": Receiver("gmail", {"en": "Gmail", "ja": "Gmail"}, ("google.com",), (), {}, bulk_from=5000),
    },
    sources={
        "rfc7208": Source(
            key="rfc7208",
            title="RFC 7208: SPF",
            url="https://www.rfc-editor.org/rfc/rfc7208",
            publisher="RFC Editor",
            checked="2026-11-24",
            read_as="not re-read",
        ),
        "apple-postmaster": Source(
            key="apple-postmaster",
            title="Postmaster information for iCloud Mail",
            url="https://support.apple.com/en-us/102322",
            publisher="Apple",
            checked="2026-11-24",
            read_as="archive 2026-03-02",
        ),
    },
    digest="rules-digest-0123456789",
)


def finding(ident: str, outcome: Outcome, **fields: object) -> Finding:
    """A finding of `ident` with the rule's own severity and limits."""
    judged = RULES.rules[ident]
    plain = Finding(
        rule=ident,
        item="",
        outcome=outcome,
        severity=judged.severity,
        observed={},
        limits=judged.limits,
        evidence=(),
        judgements=(),
        fingerprint=f"fp-{ident}",
        name=judged.name,
        topic=judged.topic,
        guide=judged.guide,
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


PTR_LOST = Unknown(Reason.TIMEOUT, ASKED(type="PTR", name="10.2.0.192.in-addr.arpa"))
FINDINGS = (
    finding(
        "SPF-003",
        Outcome.UNMET,
        observed={"spf.lookups": 12, "spf.tree": SPF_TREE},
        evidence=("dns:TXT:example.com",),
        judgements=(
            Judgement("icloud", Outcome.UNMET, Severity.ERROR, Effect.REJECT, ("554 5.7.1",)),
            Judgement("gmail", Outcome.UNMET, Severity.ERROR, Effect.SPAM),
        ),
    ),
    finding(
        "DKIM-002",
        Outcome.UNMET,
        item="example.com/s1",
        observed={"item.bits": 1024},
        evidence=("header:dkim-signature:1",),
        judgements=(Judgement("gmail", Outcome.UNMET, Severity.WARNING, Effect.SPAM),),
    ),
    finding("DKIM-002", Outcome.MET, item="vendor.example/k1", observed={"item.bits": 2048}),
    finding("DMARC-006", Outcome.UNMET, observed={"dmarc.policy": "none"}),
    finding("SIZ-001", Outcome.MET, observed={"message.size_octets": 12_345_678}),
    finding(
        "NET-001", Outcome.UNKNOWN, unknown=Unknown(Reason.TIMEOUT, ASKED(type="PTR", name="10.2.0.192.in-addr.arpa"))
    ),
    finding("MSG-010", Outcome.UNKNOWN, unknown=Unknown(Reason.NOT_CONFIGURED, needs(Input.PURPOSE))),
)

GUIDE = (
    {
        "key": "G1",
        "step": {"en": "Keep the SPF record up to date", "ja": "SPFレコードを最新に保つ"},
        "correction": {"en": "At most ten DNS lookups.", "ja": "DNS参照は10回までです。"},
    },
    {"key": "G2", "step": {"en": "Sign with DKIM", "ja": "DKIM署名を付ける"}},
    {"key": "G7", "step": {"en": "Raise the DMARC policy", "ja": "DMARCポリシーを強める"}},
    {"key": "G13", "step": {"en": "Send a test", "ja": "テスト送信をする"}},
)


def facts(values: Mapping[str, Value] = FACTS, evidence: Sequence[Evidence] = EVIDENCE) -> FactSet:
    return FactSet(
        {path: Fact(path, value_of(path, value)) for path, value in values.items()},
        {each.id: each for each in evidence},
    )


VERDICTS = (
    Verdict(
        "icloud",
        VerdictKind.REJECTED,
        (Consequence("SPF-003", "", Effect.REJECT, ("554 5.7.1",)),),
        Requirements(3, 2, 1, 0),
    ),
    Verdict(
        "gmail",
        VerdictKind.AT_RISK,
        (Consequence("SPF-003", "", Effect.SPAM), Consequence("DKIM-002", "example.com/s1", Effect.SPAM)),
        Requirements(4, 1, 2, 1),
        remarks=(Consequence("DMARC-006", "", Effect.NOTE),),
        open=(Consequence("NET-001", "", Effect.SPAM, outcome=Outcome.UNKNOWN),),
    ),
)


def assessed(*verdicts: Verdict, grade: str = "A", open: int = 0) -> Assessment:  # noqa: A002
    """An answer of these verdicts."""
    return Assessment(verdicts, grade, open)


def speaker(lang: str = "en", **fields: object) -> Speaker:
    """What puts it into words."""
    return replace(Speaker(RULES, CATALOGUE, lang), **fields)  # type: ignore[arg-type]


def make_report(**fields: object) -> Report:
    """The report, with fields replaced as a test needs."""
    plain = Report(
        schema_version=SCHEMA_VERSION,
        domain="example.com",
        message="welcome.eml",
        inputs={"purpose": None, "ip": ("192.0.2.10",)},
        facts=facts(),
        rules_digest=RULES.digest,
        findings=FINDINGS,
        assessment=Assessment(VERDICTS, "F", open=1),
        notes=(Note("author-domain-differs", {"author": "news.example.com", "domain": "example.com"}),),
        run=Run("0.1.0", "2026-11-24T10:00:00Z", ("system resolver",)),
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


REMEDIES = (
    Remedy(
        rule="SPF-003",
        item="",
        code="spf-drop-dead",
        values={"terms": ("include:mail.vendor.example",)},
        edits=(
            RecordEdit("example.com", "TXT", (SPF_RECORD,), ("v=spf1 include:_spf.google.com ip4:192.0.2.10 mx ~all",)),
        ),
        mends=("SPF-003",),
        changes=(FactChange("spf.lookups", 12, 6),),
        gains=(Gain("icloud", VerdictKind.REJECTED, VerdictKind.AT_RISK),),
    ),
    Remedy(
        rule="DMARC-006",
        item="",
        code="dmarc-quarantine",
        values={"domain": "example.com"},
        edits=(
            RecordEdit(
                "_dmarc.example.com",
                "TXT",
                ("v=DMARC1; p=none; rua=mailto:dmarc@example.com",),
                ("v=DMARC1; p=quarantine; rua=mailto:dmarc@example.com",),
            ),
        ),
        care=Care.CAREFUL,
        mends=("DMARC-006",),
        changes=(FactChange("dmarc.policy", "none", "quarantine"),),
    ),
)
"""Two remedies for the report, as the rehearsal would have found them."""
