"""The terminal report: order, width, Japanese line breaking, colour only where asked."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from deliverability.judge.engine import Selection
from deliverability.model.codes import AS_SAID, ASKED
from deliverability.model.facts import Purpose, Reason, Unknown
from deliverability.model.report import Assessment, Case, Consequence, Note, Outcome, Requirements, Verdict, VerdictKind
from deliverability.model.rules import Effect, Sentence, Source
from deliverability.ports.clock import FixedClock
from deliverability.ports.ports import Ports
from deliverability.ports.static import StaticResolver
from deliverability.render.wrap import width_of, wrap
from deliverability.runs.engine import gather_facts
from deliverability.runs.engine import make_report as make_real_report
from deliverability.runs.job import Job, Options
from deliverability.runs.rules import load_rules
from deliverability.view.findings import effect_words, read_words
from deliverability.words.sentences import phrases
from tests.fixtures_report import GUIDE, RULES, SPF_LIMIT, assessed, finding, make_report, speaker
from tests.speaking import shipped, written


def text_of(report=None, lang="en", **options):
    return written("text", report or make_report(), speaker(lang, guide=GUIDE), **options)


def test_it_is_read_from_the_verdict_to_what_is_in_order():
    text = text_of()
    order = [
        "example.com",
        "What receivers would do",
        "Apple iCloud Mail  ✗ Refused",
        "Bounce code 554 5.7.1",
        "What to do ",
        "1.  SPF needs more than 10 DNS lookups",
        "2.  A DKIM key has fewer than 2048 bits",
        "example.com/s1: The key has 1024 bits.",
        "3.  The DMARC policy is none [DMARC-006]",
        "Could not be checked",
        "Waiting for input",
        "In order",
    ]

    positions = [text.index(part) for part in order]
    assert positions == sorted(positions)


def test_what_to_do_says_what_was_found_why_and_how_with_rule_and_source():
    text = text_of(width=100)

    assert "1.  SPF needs more than 10 DNS lookups\n" in text
    assert "Must fix · SPF-003 · G1\n" in text
    assert "    SPF needs 12 DNS lookups; 10 are allowed.\n" in text
    assert "no mail of the domain passes SPF." in " ".join(text.split())
    assert "1) Remove the includes" in text
    assert "SPF-003" in text
    assert "RFC 7208: SPF, section 4.6.4, not read again, cited 2026-11-24" in text


def test_a_record_stands_on_its_own_line_unbroken():
    assert "\n       v=spf1 include:_spf.google.com mx ~all\n" in text_of(width=40)


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_lines_keep_the_width(lang, width):
    lines = text_of(lang=lang, width=width).splitlines()
    unbreakable = re.compile(r"v=|https://")

    assert max(width_of(line) for line in lines if not unbreakable.search(line)) <= min(width, 100)


@pytest.mark.parametrize("width", range(16, 60))
def test_no_japanese_line_begins_or_ends_with_a_forbidden_character(width):
    text = "上限に達すると、受信側は「恒久的なエラー」(permerror)として評価を打ち切ります。メールサーバーに届きません。"

    for line in wrap(text, width):
        assert line[0] not in "、。」)ー"
        assert line[-1] not in "「("
    assert "".join(wrap(text, width)).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    ("read_as", "en", "ja"),
    [
        ("original", "read 2026-11-24", "2026-11-24に確認"),
        ("archive 2026-06-15", "copy of 2026-06-15, read 2026-11-24", "2026-06-15の写し、2026-11-24に確認"),
        ("archive undated", "undated copy, read 2026-11-24", "日付のない写し、2026-11-24に確認"),
        ("not re-read", "not read again, cited 2026-11-24", "再確認なし、2026-11-24の記録による"),
    ],
)
def test_a_source_is_cited_as_it_was_read(read_as, en, ja):
    source = Source("key", "Title", "", "", "2026-11-24", read_as)
    assert (read_words(source, phrases("en")), read_words(source, phrases("ja"))) == (en, ja)


@pytest.mark.parametrize(
    ("lang", "words"), [("en", "May be refused or shown with a warning"), ("ja", "拒否の可能性・警告表示")]
)
def test_several_effects_read_as_one_phrase(lang, words):
    assert effect_words([(Effect.REJECT, True), (Effect.WARN, False), (Effect.REJECT, True)], phrases(lang)) == words


def test_a_word_that_fits_no_line_is_cut():
    assert wrap("a" * 25, 10) == ["a" * 10, "a" * 10, "a" * 5]


def test_there_is_no_colour_unless_asked_for():
    assert "\x1b" not in text_of()
    assert "\x1b[31m" in text_of(color=True)


def test_colour_changes_nothing_but_colour():
    assert re.sub(r"\x1b\[\d+m", "", text_of(color=True)) == text_of()


def test_symbols_have_ascii_stand_ins():
    text = text_of(unicode=False)

    assert text.isascii()
    assert "x Refused" in text


def test_hostile_values_cannot_write_to_the_terminal():
    evil = "\x1b]0;pwned\x07\u202e"
    report = make_report(
        domain=f"example{evil}.com",
        message=evil,
        notes=(Note("domain-nonexistent", {"domain": evil}), Note(evil, {evil: evil})),
        findings=(
            finding("DKIM-002", Outcome.UNMET, item=evil, observed={"item.bits": evil}),
            finding("SPF-003", Outcome.UNKNOWN, unknown=Unknown(Reason.TIMEOUT, AS_SAID(text=evil))),
            finding("SIZ-001", Outcome.UNKNOWN, unknown=Unknown(Reason.NOT_CONFIGURED, AS_SAID(text=evil))),
        ),
    )
    for lang in ("en", "ja"):
        shown = text_of(report, lang=lang)
        assert "\\x1b]0;pwned\\x07\\u202e" in shown.replace("\n", "").replace(" ", "")
        assert not set(shown) & set("\x1b\x07\u202e")


def test_what_failed_is_told_from_what_waits_for_input():
    text = text_of()
    failed, waiting = text.index("Could not be checked ─"), text.index("Waiting for input ─")

    assert failed < text.index("did not answer in time (PTR") < waiting
    assert waiting < text.index("--purpose users, bulk")
    assert "missing." in text[failed:waiting]


def test_checks_that_failed_for_one_reason_are_told_together():
    lost = Unknown(Reason.SERVFAIL, ASKED(type="TXT", name="example.com"))
    report = make_report(findings=tuple(finding(i, Outcome.UNKNOWN, unknown=lost) for i in ("SPF-003", "SIZ-001")))

    assert text_of(report).count("reported a failure") == 1


def test_nothing_to_do_is_said():
    met = make_report(findings=(finding("SPF-003", Outcome.MET),), assessment=assessed())
    lost = finding("SIZ-001", Outcome.UNKNOWN, unknown=Unknown(Reason.TIMEOUT))

    assert "There is nothing to fix." in text_of(met)
    assert "Nothing that could be checked needs fixing." in text_of(replace(met, findings=(*met.findings, lost)))


def test_findings_of_one_rule_are_told_once():
    twice = tuple(
        finding("DKIM-002", Outcome.UNMET, item=item, observed={"item.bits": 1024})
        for item in ("a.example/1", "b.example/2")
    )
    text = text_of(make_report(findings=twice, assessment=assessed()))

    assert text.count("A DKIM key has fewer than 2048 bits") == 1
    assert "a.example/1: The key has 1024 bits." in text
    assert "b.example/2: The key has 1024 bits." in text


def test_what_the_heading_says_is_not_said_again():
    def lines(unmet):
        said = (Sentence(None, unmet),)
        text = {lang: replace(each, unmet=said) for lang, each in SPF_LIMIT.text.items()}
        rules = replace(RULES, rules=dict(RULES.rules) | {"SPF-003": replace(SPF_LIMIT, text=text)})
        found = finding("SPF-003", Outcome.UNMET, observed={"spf.lookups": 12})
        shown = written("text", make_report(findings=(found,), assessment=assessed()), speaker("en", rules=rules))
        return [line.strip() for line in shown.splitlines() if "needs" in line or "loop" in line]

    assert lines("SPF needs more than 10 DNS lookups.") == ["1.  SPF needs more than 10 DNS lookups"]
    assert lines("SPF needs more than 10 DNS lookups. It has a loop.")[1:] == ["It has a loop."]
    assert lines("SPF needs more than 10 DNS lookups, 12.")[1:] == ["SPF needs more than 10 DNS lookups, 12."]


def test_several_subjects_end_with_a_summary():
    text = text_of([make_report(), make_report(domain="example.org", findings=(), assessment=assessed())])
    summary = text[text.index("Summary ─") :]

    assert "example.com  1 must fix, 1 should fix" in summary
    assert "Apple iCloud Mail Refused, Gmail Spam folder" in summary
    assert "example.org  nothing to fix" in summary


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize(
    ("code", "values"),
    [
        ("author-domain-differs", {"author": "a.example", "domain": "b.example"}),
        ("domain-nonexistent", {"domain": "b.example"}),
        ("envelope-helo", {"value": "mx.example", "source": "received"}),
        ("envelope-ip", {"value": "192.0.2.1", "source": "option"}),
        ("envelope-mail-from", {"value": "a@b.example", "source": "return-path"}),
        ("nesting-limited", {}),
        ("no-author-domain", {}),
        ("no-from", {"domain": "b.example"}),
        ("no-message", {}),
        ("probes-missed", {}),
        ("replayed", {"date": "2026-11-24T10:00:00Z"}),
        ("with-proposals", {}),
        ("zone-only", {}),
    ],
)
def test_every_note_has_a_sentence(lang, code, values):
    text = text_of(make_report(notes=(Note(code, values),)), lang=lang, width=100)

    assert code not in text
    shown = text.replace("\n", "")
    assert all(str(value) in shown for name, value in values.items() if name not in ("source", "date"))


def test_the_envelope_is_told_in_one_sentence():
    notes = (
        Note("envelope-mail-from", {"value": "a@b.example", "source": "return-path"}),
        Note("envelope-ip", {"value": "192.0.2.1", "source": "option"}),
    )

    sentence = "Envelope used: MAIL FROM a@b.example (from Return-Path), sending address 192.0.2.1 (as given)."
    assert sentence in " ".join(text_of(make_report(notes=notes), width=100).split())


def test_an_unknown_note_is_shown_as_it_is():
    assert "brand-new: count 3" in text_of(make_report(notes=(Note("brand-new", {"count": 3}),)))


def text_with(*verdicts, lang="en"):
    """The text of a report whose receivers are those that the rules ship with."""
    everyone = replace(RULES, receivers=load_rules().receivers)
    return written("text", make_report(assessment=assessed(*verdicts)), speaker(lang, rules=everyone, guide=GUIDE))


def refusal(receiver, *codes):
    return Verdict(receiver, VerdictKind.REJECTED, (Consequence("SPF-003", "", Effect.REJECT, codes),))


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_eight_receivers_are_a_table_of_one_line_each_at_80_columns(lang):
    lines = text_with(*(refusal(each) for each in load_rules().receivers), lang=lang).splitlines()
    table = [line for line in lines if "✗ " in line]

    assert len(table) == len(load_rules().receivers)
    assert len({width_of(line[: line.index("✗")]) for line in table}) == 1, "the marks stand below each other"
    assert all(width_of(line) <= 80 for line in table)


def test_receivers_that_decide_alike_share_the_reasons_and_the_replies():
    text = text_with(refusal("yahoo", "550 5.7.9"), refusal("docomo"), refusal("au"), refusal("outlook", "550 1"))

    assert "At docomo mail, au mail, this mail is refused." in text
    assert "At Yahoo Mail, this mail is refused." in text
    assert text.count("[SPF-003] Bounce code 550 1") == 1


def test_only_what_decides_is_given_as_the_reason():
    minor = Consequence("DKIM-002", "example.com/s1", Effect.NOTE)
    spam = Consequence("SPF-003", "", Effect.SPAM)
    verdict = Verdict("gmail", VerdictKind.AT_RISK, (spam,), remarks=(minor,))
    shown = text_of(make_report(assessment=assessed(verdict)))
    reasons = shown[shown.index("At Gmail, this mail is at risk") : shown.index("What to do ")]

    assert "SPF-003" in reasons
    assert "DKIM-002" not in reasons


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("en", "At Gmail, from about 5,000 messages a day: Refused. Below that: No known obstacle."),
        ("ja", "Gmailでは、1日約5,000通以上：拒否。それ未満：既知の支障なし。"),
    ],
)
def test_a_verdict_that_depends_on_the_volume_tells_both_cases_and_how_to_say_it(lang, words):
    refused = (Consequence("SPF-003", "", Effect.REJECT),)
    verdict = Verdict(
        "gmail",
        VerdictKind.DEPENDS,
        refused,
        Requirements(3, 2, 1, 0),
        if_small=Case(VerdictKind.ACCEPTED, ()),
        if_bulk=Case(VerdictKind.REJECTED, refused),
    )
    report = make_report(assessment=assessed(verdict, grade="C"), assumed={"volume": "small-or-bulk"})
    shown = "".join(text_of(report, lang=lang).split())

    assert "".join(words.split()) in shown
    assert "--daily-volume" in shown


@pytest.mark.parametrize(
    ("receivers", "readings"), [((), ["Gmail:", "Outlook.com:"]), (("outlook",), ["Outlook.com:"])]
)
async def test_where_sources_contradict_each_other_both_readings_are_told(receivers, readings):
    resolver = StaticResolver({("example.com", "MX"): ["10 mx.example.com"], ("mx.example.com", "A"): ["192.0.2.1"]})
    job = Job("example.com", None, Options(purpose=Purpose.BULK, daily_volume=10_000))
    audited = await gather_facts(
        job, Ports(resolver, FixedClock(datetime(2026, 11, 24, tzinfo=UTC)), sources=("static",))
    )
    report = make_real_report(audited, load_rules(), Selection(select=("DMARC-001",), receivers=receivers))

    text = written("text", report, shipped("en"), width=100)

    told = text.partition(phrases("en")("label.contested"))[2].partition("Effort")[0]
    assert re.findall(r"^    ([A-Z][\w. ]+:) ", told, re.M) == readings
    assert "Microsoft's blog" in " ".join(told.split())
    assert "its policies page" in " ".join(told.split())


async def test_nothing_is_contested_by_a_receiver_that_is_not_judged():
    resolver = StaticResolver({("example.com", "MX"): ["10 mx.example.com"], ("mx.example.com", "A"): ["192.0.2.1"]})
    job = Job("example.com", None, Options(purpose=Purpose.BULK, daily_volume=10_000))
    audited = await gather_facts(
        job, Ports(resolver, FixedClock(datetime(2026, 11, 24, tzinfo=UTC)), sources=("static",))
    )
    report = make_real_report(audited, load_rules(), Selection(select=("DMARC-001",), receivers=("docomo",)))

    assert phrases("en")("label.contested") not in written("text", report, shipped("en"), width=100)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_of_a_domain_that_sends_nothing_nobody_asks_whether_its_mail_arrives(lang: str) -> None:
    say = phrases(lang)
    answer = Assessment((), "A", closed=True, parked=True)
    parked = make_report(message="", inputs={"purpose": "parked"}, assessment=answer)
    text = written("text", parked, speaker(lang))
    assert say("answer.title-parked") in text
    assert say("section.verdict") not in text
    page = written("html", parked, speaker(lang))
    assert say("answer.parked-closed", domain="example.com") in page
    assert 'class="answers' not in page
    with_mail = written("text", make_report(inputs={"purpose": "parked"}), speaker(lang))
    assert say("section.verdict") in with_mail, "a message shows that it does send"
