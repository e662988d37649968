"""The sentence over all: who does what and why, and why there is no answer."""

from __future__ import annotations

import itertools
import re

import pytest
from msgspec.structs import replace

from deliverability.core.codes import Code, Input, needs
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.model.answer import FindingId, Reach, ReceiverEffect, ReceiverGroup, ReportAnswer, Unanswered
from deliverability.core.model.report import Outcome, VerdictKind
from deliverability.core.model.rules import Effect
from deliverability.core.phrases import phrases
from deliverability.core.report.answer import group_tone, number_words
from deliverability.core.report.findings import effect_words
from deliverability.core.report.report import ReportView
from tests import speaking
from tests.fixtures_answer import example_answer
from tests.fixtures_report import make_report
from tests.test_golden import audited


def lead(answer: ReportAnswer, lang: str = "en") -> str:
    return ReportView(make_report(answer=answer), speaking.shipped(lang)).answer.lead


def at_risk(*groups: tuple[ReceiverEffect, str]) -> ReportAnswer:
    """A mail of which each of those receivers does something else, for the same reason."""
    made = example_answer()
    cause = made.groups[0].deciding[:1]
    return replace(
        made,
        groups=tuple(ReceiverGroup(VerdictKind.AT_RISK, (said,), (name,), cause, steps=(1,)) for said, name in groups),
    )


def test_each_receiver_is_said_to_do_what_it_does() -> None:
    answer = at_risk(
        (ReceiverEffect(Effect.REJECT, contested=True), "outlook"),
        (ReceiverEffect(Effect.SPAM), "icloud"),
        (ReceiverEffect(Effect.WARN), "docomo"),
    )
    assert lead(answer).startswith(
        "No receiver is known to reject this mail outright. Outlook.com may reject it, "
        "iCloud sends it to the spam folder, and docomo shows it with a warning. The reason is that "
    )
    assert "Outlook.comでは拒否、iCloudでは迷惑メール扱い、ドコモでは警告表示のおそれがあります。" in lead(answer, "ja")


def test_where_one_receiver_has_more_reasons_the_first_is_one_of_them() -> None:
    answer = at_risk((ReceiverEffect(Effect.WARN), "docomo"), (ReceiverEffect(Effect.SPAM), "yahoo"))
    both = replace(answer.groups[1], deciding=example_answer().groups[0].deciding, steps=(1, 2))
    answer = replace(answer, groups=(answer.groups[0], both))
    view = ReportView(make_report(answer=answer), speaking.shipped("en")).answer

    assert "One reason is that " in lead(answer)
    assert [each.step_words.replace("\u00a0", " ") for each in view.groups] == ["step 1", "steps 1 and 2"]
    assert "理由の1つは、" in lead(answer, "ja")


def test_those_that_do_the_same_share_a_clause() -> None:
    answer = at_risk(
        (ReceiverEffect(Effect.SPAM), "icloud"),
        (ReceiverEffect(Effect.SPAM), "yahoo"),
        (ReceiverEffect(Effect.WARN), "docomo"),
    )
    assert "iCloud and Yahoo send it to the spam folder, and docomo shows it with a warning" in lead(answer)


def test_three_names_are_joined_as_each_language_joins_them() -> None:
    said = ReceiverEffect(Effect.SPAM)
    answer = at_risk(*((said, name) for name in ("icloud", "yahoo", "gmail")))
    assert "iCloud, Yahoo and Gmail send it to the spam folder" in lead(answer)
    assert "iCloud、米国Yahoo、Gmailでは迷惑メール扱い" in lead(answer, "ja")


def unanswered(reach: Reach, *unknown: Unknown) -> ReportAnswer:
    lost = tuple(Unanswered("TXT", f"n{number}.example", each) for number, each in enumerate(unknown))
    return replace(example_answer(), reach=reach, unanswered=lost, groups=(), tiles=())


OUTSIDE = Unknown(Reason.OFFLINE, Code("zone-outside", ("name",))(name="n"))
UNRECORDED = Unknown(Reason.OFFLINE, Code("not-recorded")())
UNASKED = Unknown(Reason.OFFLINE, Code("offline")())
NAMELESS = Unknown(Reason.NOT_CONFIGURED, Code("no-domain")())
TIMEOUT = Unknown(Reason.TIMEOUT)
ALIAS = Unknown(Reason.ALIAS)


@pytest.mark.parametrize(
    ("unknown", "said"),
    [
        (
            (TIMEOUT,),
            "1 lookup had no answer (no answer in time): TXT n0.example. Run the audit again, or use another",
        ),
        (
            (OUTSIDE, OUTSIDE),
            "(not in your zone files): TXT n0.example, TXT n1.example. Add more zone files with",
        ),
        ((ALIAS,), "(the CNAME records lead to no answer): TXT n0.example. Correct the CNAME records at your DNS"),
        ((TIMEOUT, ALIAS), "--resolver. Correct the CNAME records that lead to no answer."),
        ((UNRECORDED,), "(not in the recording): TXT n0.example. Record it again with --record."),
        ((TIMEOUT, OUTSIDE), ": TXT n0.example (no answer in time), TXT n1.example (not in your zone files). Run"),
    ],
)
def test_lookups_without_an_answer_are_told_with_what_helps(unknown: tuple[Unknown, ...], said: str) -> None:
    """Another resolver does not know what the given files leave out."""
    view = ReportView(make_report(answer=unanswered(Reach.PARTLY, *unknown)), speaking.shipped())
    assert said in view.answer.unanswered


@pytest.mark.parametrize(("lang", "said"), [("en", ": A “unknown”."), ("ja", "：A「unknown」。")])
def test_a_name_of_one_label_is_no_word_of_the_sentence(lang: str, said: str) -> None:
    """The name of a record may be one word, such as “unknown”: the report says that it is a name."""
    answer = replace(unanswered(Reach.PARTLY, TIMEOUT), unanswered=(Unanswered("A", "unknown", TIMEOUT),))
    assert said in ReportView(make_report(answer=answer), speaking.shipped(lang)).answer.unanswered


@pytest.mark.parametrize(
    ("unknown", "said", "hint", "tone"),
    [
        (TIMEOUT, "No DNS server returned a usable answer.", "--resolver 1.1.1.1", "bad"),
        # What nobody wanted to ask was not checked, and is no failure.
        (OUTSIDE, "is outside the given zone files.", "Add its zone file with --zone", "unknown"),
        (UNRECORDED, "The recording has no answers for", "--record answers.json", "unknown"),
        (UNASKED, "No DNS server was queried (--offline).", "Use live DNS:", "unknown"),
        (NAMELESS, "The message contains no domain to look up.", "deliv audit DOMAIN --eml", "unknown"),
    ],
)
def test_where_nothing_was_answered_the_reason_is_told(unknown: Unknown, said: str, hint: str, tone: str) -> None:
    view = ReportView(make_report(answer=unanswered(Reach.NONE, unknown)), speaking.shipped()).answer
    assert view.tone == tone
    assert said in view.lead
    assert hint in view.hint


def test_a_refusal_that_depends_on_the_volume_is_not_denied() -> None:
    made = at_risk((ReceiverEffect(Effect.SPAM), "icloud"))
    cause, refusal = made.groups[0].deciding, (ReceiverEffect(Effect.REJECT),)
    depends = ReceiverGroup(
        VerdictKind.DEPENDS,
        refusal,
        ("gmail",),
        cause,
        steps=(1,),
        small=VerdictKind.AT_RISK,
        bulk=VerdictKind.REJECTED,
    )
    told = replace(made, groups=(*made.groups, depends))
    assert lead(told).startswith(
        "Whether Gmail rejects this mail depends on the volume. iCloud sends it to the spam folder"
    )
    assert lead(told, "ja").startswith("Gmailがこのメールを拒否するかどうかは、送信数によります。")


def test_what_could_not_be_checked_for_bulk_mail_is_no_reason_against_it() -> None:
    report = make_report()
    finding = next(each for each in report.findings if each.outcome is Outcome.UNMET)
    cause = (FindingId(finding.rule, finding.item),)
    group = ReceiverGroup(
        VerdictKind.DEPENDS, (), ("icloud",), cause, small=VerdictKind.ACCEPTED, bulk=VerdictKind.CANNOT_TELL
    )
    view = ReportView(replace(report, answer=replace(example_answer(), groups=(group,))), speaking.shipped())
    noun = next(each.words.noun for each in view.findings if each.finding == finding)
    assert view.answer.lead.startswith("If this mail is sent in bulk, deliv could not check what iCloud does: ")
    assert view.answer.lead.endswith(f": {noun}.")
    assert view.answer.groups[0].because == noun


@pytest.mark.parametrize(
    ("said", "bulk_only", "tone"),
    [
        (ReceiverEffect(Effect.REJECT), False, "bad"),
        (ReceiverEffect(Effect.REJECT, contested=True), False, "risk"),
        (ReceiverEffect(Effect.REJECT), True, "risk"),
        (ReceiverEffect(Effect.SPAM), False, "risk"),
    ],
)
def test_without_a_message_the_mark_says_no_more_than_the_sentence(
    said: ReceiverEffect, bulk_only: bool, tone: str
) -> None:
    group = ReceiverGroup(VerdictKind.DNS_NOT_READY, (said,), ("gmail",), (), bulk_only=bulk_only)
    assert group_tone(group) == tone


@pytest.mark.parametrize(
    ("lang", "lead"),
    [
        (
            "en",
            "iCloud, Gmail and Outlook.com may reject bulk mail from broken.example because broken.example's SPF "
            "record refers to a domain with no valid SPF record, among other reasons. At SoftBank, this applies to all "
            "mail, not only bulk mail. Yahoo sends your bulk mail to the spam folder.",
        ),
        (
            "ja",
            "iCloud、Gmail、Outlook.comでは、broken.exampleからの一斉配信メールが拒否の対象となるおそれがあります。"
            "理由の1つは、broken.exampleのSPFの参照先に有効なSPFレコードがないことです。"
            "ソフトバンクでは、一斉配信以外のメールにも同じおそれがあります。"
            "一斉配信メールは、米国Yahooでは迷惑メール扱いのおそれがあります。",
        ),
    ],
)
def test_what_dns_does_to_bulk_mail_names_every_receiver_that_does_something(lang: str, lead: str) -> None:
    assert ReportView(audited("faulty"), speaking.shipped(lang)).answer.lead == lead


@pytest.mark.parametrize(
    ("lang", "lead"),
    [
        (
            "en",
            "Gmail defers or rejects this mail because neither SPF nor DKIM passes for sakura-shop.example.",
        ),
        (
            "ja",
            "Gmailは、このメールの受信を遅らせるか、拒否します。"
            "理由は、sakura-shop.exampleでSPFもDKIMも合格していないことです。",
        ),
    ],
)
def test_a_receiver_with_temporary_codes_defers_or_rejects(lang: str, lead: str) -> None:
    view = ReportView(audited("demo"), speaking.shipped(lang)).answer
    assert view.groups[0].codes == ("421 4.7.32", "421 5.7.32")
    assert view.lead == lead


EFFECTS = [
    ReceiverEffect(Effect.REJECT),
    ReceiverEffect(Effect.REJECT, contested=True),
    ReceiverEffect(Effect.DEFER),
    ReceiverEffect(Effect.SPAM),
    ReceiverEffect(Effect.WARN),
]
NAMES = {
    "en": {"outlook": "Outlook.com", "icloud": "iCloud", "docomo": "docomo"},
    "ja": {"outlook": "Outlook.com", "icloud": "iCloud", "docomo": "ドコモ"},
}
CERTAIN = {"en": r"(?<!may )\brejects?\b", "ja": "拒否します"}


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("one_cause", [True, False])
@pytest.mark.parametrize("kind", [VerdictKind.AT_RISK, VerdictKind.DNS_NOT_READY])
def test_no_receiver_is_counted_among_those_that_do_worse(kind: VerdictKind, one_cause: bool, lang: str) -> None:
    """Every combination of what three receivers do, to all mail or only in bulk: a certain refusal is its own."""
    speaker = speaking.shipped(lang)
    unmet = [FindingId(each.rule, each.item) for each in make_report().findings if each.outcome is Outcome.UNMET]
    causes = [(each,) for each in unmet]
    bulks = (False, True) if kind is VerdictKind.DNS_NOT_READY else (False,)
    for effects in itertools.product(EFFECTS, repeat=3):
        if kind is VerdictKind.AT_RISK and EFFECTS[0] in effects:
            continue  # it would be a refusal
        for bulk_only in itertools.product(bulks, repeat=3):
            made = [
                ReceiverGroup(
                    kind, (effect,), (name,), causes[0 if one_cause else n % len(causes)], steps=(1,), bulk_only=bulk
                )
                for n, (name, effect, bulk) in enumerate(zip(NAMES[lang], effects, bulk_only, strict=True))
            ]
            made.sort(key=lambda each: (each.effects[0].effect.rank, not each.effects[0].contested), reverse=True)
            report = make_report(answer=replace(example_answer(), groups=tuple(made)))
            if kind is VerdictKind.DNS_NOT_READY:
                report = replace(report, message=None)
            told = ReportView(report, speaker).answer.lead
            assert not re.search(r" \.|\.\.|  |(?:receivers?|では)[.。]|、。|。。", told), told
            for each in made:
                name = NAMES[lang][each.receivers[0]]
                certain = [
                    part for part in told.split(". " if lang == "en" else "。") if re.search(CERTAIN[lang], part)
                ]
                certain = [part for part in certain if not part.startswith("No receiver is known")]
                subject = [re.split(CERTAIN[lang] + "|は、", part)[0] for part in certain]
                assert EFFECTS[0] in each.effects or not any(name in part for part in subject), (
                    told,
                    effects,
                    bulk_only,
                )


@pytest.mark.parametrize(
    ("numbers", "en", "ja"),
    [
        ((2,), "2", "2"),
        ((2, 3), "2 and 3", "2と3"),
        ((2, 3, 4, 5), "2 to 5", "2〜5"),
        ((1, 4, 5, 6, 9), "1, 4 to 6 and 9", "1、4〜6、9"),
    ],
)
def test_three_or_more_steps_in_a_row_are_a_range(numbers: tuple[int, ...], en: str, ja: str) -> None:
    assert number_words(numbers, phrases("en")) == en
    assert number_words(numbers, phrases("ja")) == ja


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", "needed for a verdict: the sending IP address"),
        ("ja", "判定に足りない情報："),
    ],
)
def test_what_an_open_verdict_needs_is_listed_and_is_no_reason(lang: str, said: str) -> None:
    report = make_report()
    old = next(each for each in report.findings if each.outcome is Outcome.UNMET)
    new = replace(old, outcome=Outcome.UNKNOWN, unknown=Unknown(Reason.NOT_CONFIGURED, needs(Input.SENDING_IP)))
    group = ReceiverGroup(VerdictKind.CANNOT_TELL, (), ("icloud",), (FindingId(old.rule, old.item),))
    answer = replace(example_answer(), groups=(group,))
    view = ReportView(replace(report, findings=(new,), answer=answer), speaking.shipped(lang)).answer
    assert view.groups[0].clause.startswith(said)


@pytest.mark.parametrize(
    ("lang", "may"), [("en", "May be rejected or go to spam"), ("ja", "拒否・迷惑メール扱いの可能性")]
)
def test_what_may_happen_is_said_once_of_all_effects(lang: str, may: str) -> None:
    assert effect_words([(Effect.REJECT, True), (Effect.SPAM, True)], phrases(lang)) == may
