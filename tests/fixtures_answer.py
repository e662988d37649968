"""Answers made by hand, for the tests of views and renderers: a mail that is refused, a domain alone, a parked one."""

from __future__ import annotations

from msgspec.structs import replace

from deliverability.core.codes import ASKED, Input, needs
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.model.answer import (
    Assumed,
    Because,
    Chip,
    FindingId,
    GuideState,
    GuideStep,
    PlanStep,
    PolicyWait,
    Reach,
    ReceiverEffect,
    ReceiverGroup,
    ReportAnswer,
    Tile,
    TileState,
    TileTopic,
    Unanswered,
    Waits,
)
from deliverability.core.model.report import Care, FactChange, RecordEdit, Report, VerdictKind
from deliverability.core.model.rules import Effect, Place, RuleSet, Scope, Severity
from deliverability.core.rules import plan
from deliverability.core.rules.answering import answer
from tests.fixtures_report import RULES

_OLD = "v=spf1 a mx include:_spf.mailer.example include:_spf.crm.example include:_spf.oldvendor.example ?all"
_NEW = "v=spf1 a mx include:_spf.mailer.example include:_spf.crm.example ?all"
_ALIGNED = FindingId("ALN-001")
_ONE_CLICK = FindingId("UNS-001")
_DEAD = FindingId("SPF-010", "sakura-shop.example")


def answered(report: Report, rules: RuleSet = RULES) -> Report:
    """The report with the answer that its findings give."""
    steps = plan.steps(report, rules)
    steps = plan.with_gains(steps, report.verdicts, plan.by_tally(steps, report, rules))
    return replace(report, answer=answer(report, rules, steps))


def example_answer() -> ReportAnswer:
    """A newsletter that Gmail and Outlook.com refuse: three steps, two folded, one for mail received."""
    return ReportAnswer(
        assumed=(
            Assumed(Input.PURPOSE, "bulk", ("list-unsubscribe",)),
            Assumed(Input.DAILY_VOLUME, "small-or-bulk"),
            Assumed(Input.MAIL_FROM, "bounce@bounce.mailer.example", ("return-path",)),
        ),
        groups=(
            ReceiverGroup(
                VerdictKind.REJECTED,
                (ReceiverEffect(Effect.REJECT),),
                ("gmail", "outlook"),
                (_ALIGNED, _ONE_CLICK),
                ("550 5.7.26", "550 5.7.515"),
                steps=(1,),
                checked=24,
                met=20,
            ),
            ReceiverGroup(
                VerdictKind.AT_RISK,
                (ReceiverEffect(Effect.SPAM),),
                ("icloud", "yahoo"),
                (_ALIGNED,),
                ("554 5.7.1",),
                steps=(1,),
                same_cause=True,
                checked=21,
                met=20,
            ),
            ReceiverGroup(
                VerdictKind.AT_RISK,
                (ReceiverEffect(Effect.WARN), ReceiverEffect(Effect.REJECT, contested=True)),
                ("docomo",),
                (_ALIGNED,),
                steps=(1,),
                same_cause=True,
                checked=4,
                met=3,
            ),
            ReceiverGroup(
                VerdictKind.DEPENDS,
                (ReceiverEffect(Effect.DEFER),),
                ("naver",),
                (_ONE_CLICK,),
                steps=(2,),
                small=VerdictKind.ACCEPTED,
                bulk=VerdictKind.AT_RISK,
                bulk_from=5000,
                checked=9,
                met=8,
            ),
            ReceiverGroup(
                VerdictKind.ACCEPTED, receivers=("au", "softbank", "yahoo-japan"), checked=27, met=18, remarks=9
            ),
        ),
        tiles=(
            Tile(
                TileTopic.SPF,
                TileState.BROKEN,
                {"spf.record": _OLD, "spf.lookups": 11, "spf.all": "?"},
                ("mailchimp",),
                (_DEAD,),
                step=3,
            ),
            Tile(TileTopic.DKIM, TileState.UNKNOWN, why=Unknown(Reason.NOT_FOUND, needs(Input.SELECTOR))),
            Tile(
                TileTopic.DMARC,
                TileState.FLAWED,
                {"dmarc.record": "v=DMARC1; p=none", "dmarc.stage": "none"},
                findings=(FindingId("DMARC-005"),),
                step=4,
            ),
            Tile(TileTopic.MX, TileState.FINE, {"mx.hosts": ({"preference": 10, "host": "mx.sakura-shop.example"},)}),
            Tile(TileTopic.TLS_RPT, TileState.NOTHING, inbound=True),
            Tile(TileTopic.MTA_STS, TileState.NOTHING, inbound=True),
        ),
        plan=(
            PlanStep(
                1,
                Place.SERVICE,
                (_ALIGNED, FindingId("ALN-003"), FindingId("DKIM-001", "sakura-shop.example")),
                Care.SAFE,
                Scope.DELIVERY,
                Severity.ERROR,
                task="own-signing-domain",
                values={"alignment.author_domain": "sakura-shop.example"},
                at="mailchimp",
                services=("mailchimp",),
                gains=(
                    Chip(
                        ("gmail", "outlook"),
                        VerdictKind.REJECTED,
                        (ReceiverEffect(Effect.REJECT),),
                        VerdictKind.ACCEPTED,
                        with_steps=(2,),
                    ),
                    Chip(
                        ("icloud", "yahoo"), VerdictKind.AT_RISK, (ReceiverEffect(Effect.SPAM),), VerdictKind.ACCEPTED
                    ),
                    Chip(("docomo",), VerdictKind.AT_RISK, (ReceiverEffect(Effect.WARN),), None),
                ),
            ),
            PlanStep(
                2,
                Place.MESSAGE,
                (_ONE_CLICK,),
                Care.SAFE,
                Scope.DELIVERY,
                Severity.ERROR,
                task="one-click",
                gains=(Chip(("naver",), VerdictKind.DEPENDS, (ReceiverEffect(Effect.DEFER),), VerdictKind.ACCEPTED),),
            ),
            PlanStep(
                3,
                Place.DNS,
                (_DEAD, FindingId("SPF-003", "sakura-shop.example"), FindingId("SPF-017", "sakura-shop.example")),
                Care.SAFE,
                Scope.DELIVERY,
                Severity.ERROR,
                remedy="spf-drop-dead",
                values={"include": "_spf.oldvendor.example"},
                edits=(RecordEdit("sakura-shop.example", "TXT", (_OLD,), (_NEW,)),),
                changes=(FactChange("spf.lookups", 11, 10),),
                beside=True,
                checked_at="bounce.mailer.example",
            ),
            PlanStep(
                4,
                Place.DNS,
                (FindingId("DMARC-005"),),
                Care.SAFE,
                Scope.REPORTS,
                Severity.WARNING,
                remedy="dmarc-rua",
                edits=(
                    RecordEdit(
                        "_dmarc.sakura-shop.example",
                        "TXT",
                        ("v=DMARC1; p=none",),
                        ("v=DMARC1; p=none; rua=mailto:dmarc@sakura-shop.example",),
                    ),
                ),
                folded=True,
            ),
            PlanStep(
                5,
                Place.DNS,
                (FindingId("DKIM-005", "mailer.example/k1"),),
                Care.CAREFUL,
                Scope.DELIVERY,
                Severity.INFO,
                task="new-key",
                values={"item": "mailer.example/k1"},
                folded=True,
            ),
            PlanStep(
                6,
                Place.DNS,
                (FindingId("TLS-005"),),
                Care.SAFE,
                Scope.INBOUND,
                Severity.INFO,
                remedy="tls-rpt",
                edits=(
                    RecordEdit(
                        "_smtp._tls.sakura-shop.example",
                        "TXT",
                        (),
                        ("v=TLSRPTv1; rua=mailto:tls@sakura-shop.example",),
                    ),
                ),
                folded=True,
            ),
        ),
        policy_waits=(PolicyWait.ADDRESS, PolicyWait.PASSES),
        guide=(
            GuideStep("G1", GuideState.TO_DO, Because.UNMET, (3,), (_DEAD,)),
            GuideStep("G2", GuideState.NOT_KNOWN, Because.WAITS, unknown=Unknown(Reason.NOT_FOUND)),
            GuideStep("G3", GuideState.TO_DO, Because.UNMET, (1,), (_ALIGNED,)),
            GuideStep("G4", GuideState.NOT_KNOWN, Because.UNSEEN),
            *(GuideStep(f"G{n}", GuideState.DONE, Because.SEEN) for n in range(5, 10)),
            GuideStep("G10", GuideState.DONE, Because.NEEDLESS),
            *(GuideStep(f"G{n}", GuideState.DONE, Because.SEEN) for n in range(11, 15)),
            GuideStep("G15", GuideState.TO_DO, Because.UNMET, (2,), (_ONE_CLICK,)),
            GuideStep("G16", GuideState.NOT_KNOWN, Because.WAITS, unknown=Unknown(Reason.NOT_CONFIGURED)),
        ),
        reach=Reach.PARTLY,
        unanswered=(
            Unanswered(
                "TXT",
                "_dmarc.bounce.mailer.example",
                Unknown(Reason.TIMEOUT, ASKED(type="TXT", name="_dmarc.bounce.mailer.example")),
            ),
        ),
        waits=(Waits(Input.PERMISSION_FETCH, 3), Waits(Input.SENDING_IPS, 1)),
    )


def example_posture() -> ReportAnswer:
    """A domain without a message in whose DNS nothing stands in the way, and nothing is to do."""
    return ReportAnswer(
        earned=frozenset({"domain-ready", "nothing-to-fix", "exit-0", "grade"}),
        groups=(ReceiverGroup(VerdictKind.DNS_READY, receivers=("gmail", "icloud"), checked=14, met=14),),
        tiles=(
            Tile(TileTopic.SPF, TileState.FINE, {"spf.record": "v=spf1 mx -all", "spf.lookups": 1}),
            Tile(TileTopic.DKIM, TileState.FINE, {"dkim.published": 2}, ("microsoft-365",)),
            Tile(TileTopic.DMARC, TileState.FINE, {"dmarc.record": "v=DMARC1; p=reject", "dmarc.stage": "reject"}),
            Tile(TileTopic.MX, TileState.FINE),
            Tile(TileTopic.TLS_RPT, TileState.NOTHING, inbound=True),
            Tile(TileTopic.MTA_STS, TileState.NOTHING, inbound=True),
        ),
        guide=(GuideStep("G1", GuideState.DONE, Because.SEEN),),
        waits=(Waits(None, 97),),
    )


def example_parked() -> ReportAnswer:
    """A domain that sends no mail and is closed: tiles, no groups, no guide, nothing to do."""
    return ReportAnswer(
        assumed=(Assumed(Input.PURPOSE, "parked", ("null-mx", "spf-all-fails")),),
        tiles=(
            Tile(TileTopic.SPF, TileState.FINE, {"spf.record": "v=spf1 -all"}),
            Tile(TileTopic.DKIM, TileState.FINE),
            Tile(TileTopic.DMARC, TileState.FINE, {"dmarc.stage": "reject"}),
            Tile(TileTopic.MX, TileState.FINE, {"mx.null": True}),
        ),
    )


def example_unreached() -> ReportAnswer:
    """No name server answered."""
    lost = Unknown(Reason.TIMEOUT, ASKED(type="TXT", name="kk.dk"))
    return ReportAnswer(reach=Reach.NONE, unanswered=(Unanswered("TXT", "kk.dk", lost),))
