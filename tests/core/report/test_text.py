"""The terminal report: order, width, Japanese line breaking, colour only where asked."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from deliverability.core.codes import VERBATIM
from deliverability.core.facts.base import Purpose, Reason, Unknown
from deliverability.core.inputs import Subject
from deliverability.core.model.answer import Tile, TileState, TileTopic
from deliverability.core.model.claims import Lack
from deliverability.core.model.report import Note, Outcome
from deliverability.core.model.rules import Effect, Source
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.phrases import LANGUAGES, phrases
from deliverability.core.report import paper
from deliverability.core.report.findings import effect_words, read_words
from deliverability.core.report.formats.text import LINES
from deliverability.core.report.report import ReportView
from deliverability.core.report.wrap import width_of, wrap
from deliverability.core.rules.judge import Selection
from deliverability.core.words.sentences import FindingWords
from deliverability.engine.audit import gather_facts
from deliverability.engine.audit import make_report as make_real_report
from deliverability.engine.rules import load_rules
from tests.fixtures_answer import answered
from tests.fixtures_report import GUIDE, RULES, assessed, finding, make_report, speaker
from tests.speaking import shipped, written
from tests.test_golden import SUBJECTS
from tests.test_golden import audited as report_of


def text_of(report=None, lang="en", rules=None, **options):
    made = answered(report or make_report(), rules or RULES)
    return written("text", made, speaker(lang, guide=GUIDE), **options)


def golden(subject, lang, **options):
    return written("text", report_of(subject), shipped(lang, guided=True), **options)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_is_met_names_its_item_once_and_before_its_full_stop(lang, monkeypatch):
    monkeypatch.setattr(paper, "MAX_WIDTH", 10_000)
    met = [line for line in golden("demo", lang, whole=True, width=10_000).splitlines() if line.endswith("]")]
    ends = ("(mailer.example/k1). [DKIM-025]", "（mailer.example/k1）。 [DKIM-025]")
    assert sum(line.endswith(ends) for line in met) == 1
    assert sum("(checked: mailer.example/k1 and sakura-shop.example/s1) [DKIM-004]" in line for line in met) == (
        lang == "en"
    )
    assert not [line for line in met if re.search(r"[.。] ?[（(][^()（）]*[）)] \[", line)]
    assert not [line for line in met if re.search(r"(bounce\.mailer\.example).*[（(]\1[）)] \[", line)]


# --- limits ---


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_report_is_limited_by_its_content_however_that_wraps_and_ends_with_its_summary(subject, lang, monkeypatch):
    monkeypatch.setattr(paper, "MAX_WIDTH", 10_000)
    lines = golden(subject, lang, width=10_000).splitlines()

    assert len(lines) <= LINES
    if subject == "dead":
        assert len(lines) <= 4
    else:
        assert phrases(lang)("verdict.grade", grade=report_of(subject).assessment.grade) in lines[-1]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_both_languages_show_the_same_steps_records_and_gains(subject, monkeypatch):
    monkeypatch.setattr(paper, "MAX_WIDTH", 10_000)
    english, japanese = (golden(subject, lang, width=10_000).splitlines() for lang in LANGUAGES)

    assert len(english) == len(japanese)
    marks = re.compile(r"^ *([-+✓✗▲?] |\d+  )")
    assert [marks.match(line) and marks.match(line)[0] for line in english] == [
        marks.match(line) and marks.match(line)[0] for line in japanese
    ]


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.long
def test_lines_keep_the_width(lang, width, whole):
    unbreakable = re.compile(r"^\s*([-+] )?(v=|https?://|List-Un)|v=(spf1|DMARC1|STS|TLS|DKIM1)|deliv audit")
    for subject in ("demo", "domain"):
        lines = golden(subject, lang, width=width, whole=whole, trace=whole).splitlines()
        kept = [line for line in lines if not unbreakable.search(line)]
        assert max(map(width_of, kept)) <= min(width, 100)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("The message is 7.3 MB as sent", "7.3 MB"),
        ("Checked on 29 Nov 2026, 09:00 JST by deliv", "29 Nov 2026, 09:00 JST"),
        ("診断は2026年11月29日 9:00（JST）に行いました", "2026年11月29日 9:00"),
        ("添付ファイルの大きさは7.3 MBです", "7.3 MB"),
        ("Set the server to imap.mail.me.com now", "imap.mail.me.com"),
    ],
)
def test_a_number_stays_with_its_unit_and_a_name_in_one_piece(text, kept):
    for width in range(24, 44):
        assert any(kept in line for line in wrap(text, width)), width


@pytest.mark.parametrize("subject", SUBJECTS)
def test_rule_ids_stand_only_among_the_evidence(subject):
    ids = re.compile(r"\b[A-Z]{3}-\d{3}\b")

    assert not ids.search(golden(subject, "en"))
    if subject != "dead":
        assert ids.search(golden(subject, "en", whole=True))


@pytest.mark.parametrize("subject", SUBJECTS)
def test_no_sentence_of_a_finding_stands_more_than_twice(subject):
    shorts = {each.words.short for each in ReportView(report_of(subject), shipped("en")).findings if each.is_unmet}
    text = " ".join(golden(subject, "en", width=100).split()).lower()

    assert all(text.count(short.lower()) <= 2 for short in shorts if len(short) > 20)


def test_what_is_needed_and_met_is_read_from_the_answer_to_the_summary():
    text = golden("demo", "en")
    order = [
        "sakura-shop.example · newsletter.eml · 25 Nov 2026",
        "✗ Deferred or rejected by Gmail",
        "because neither SPF nor DKIM passes for sakura-shop.example → step 1",
        "? Depends on the filter at au",
        "for the same reason → step 1",
        "From sakura-shop.example ─✗─ SPF",
        "⇒ DMARC fails",
        "Start with these 3 steps ─",
        "\n1  Sign with DKIM for sakura-shop.example at your mail server",
        "Gmail: deferred or rejected → no known obstacle (together with step 2)",
        "\n2  ",
        "\n3  ",
        "more improvements: ",
        "Deliverability guide: ",
        "Full report: --all",
        "Grade F",
    ]
    positions = [text.index(part) for part in order]
    assert positions == sorted(positions)


# --- domains ---


@pytest.mark.parametrize("lang", LANGUAGES)
def test_of_a_domain_alone_its_records_are_the_answer(lang):
    text, say = golden("domain", lang), phrases(lang)

    assert say("answer.dns-ready", domain="good.example") in text
    for part in ("v=spf1 mx -all", "v=DMARC1; p=quarantine; rua=mailto:dmarc@good.example", "mx.good.example", "s1"):
        assert part in text
    assert say("verdict.cannot-tell") not in text
    assert "deliv audit good.example --eml message.eml" in text
    assert say("plan.none") in text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_parked_domain_is_closed_and_nobody_asks_for_its_mail(lang):
    text, say = golden("parked", lang), phrases(lang)

    assert say("answer.parked-closed", domain="parked.example") in text.replace("\n  ", "")
    assert "--eml" not in text
    assert "Gmail" not in text
    assert say("text.guide", summary="").strip() not in text


def test_where_nobody_answers_nothing_is_said_but_that():
    assert golden("dead", "en").splitlines()[1:] == [
        "✗ No DNS server returned a usable answer. Nothing was checked.",
        "  Try another resolver:",
        "  deliv audit good.example --resolver 1.1.1.1",
    ]


# --- several ---


def several(lang, **options):
    reports = [report_of(subject) for subject in ("domain", "dead", "faulty", "parked")]
    return written("text", reports, shipped(lang, guided=True), **options)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_several_domains_are_a_table_the_worst_on_top(lang):
    lines, say = several(lang, width=100).splitlines(), phrases(lang)
    rows = [line for line in lines if line[:2] in ("✗ ", "▲ ", "? ", "✓ ")]

    assert [row.split()[:2] for row in rows] == [
        ["✗", "broken.example"],
        ["?", "good.example"],
        ["✓", "good.example"],
        ["✓", "parked.example"],
    ]
    assert say("domains.closed") in rows[-1]
    assert say("domains.lost") in rows[1]
    assert lines[0].startswith(say.count("domains.count", 3))
    assert lines[-1].startswith(say("domains.kind.fix", n="1"))
    columns = {width_of(row[: row.index(mark)]) for row in rows[2:] for mark in ("  ✓",)}
    assert len(columns) == 1, "the marks stand below each other"


def test_a_message_has_columns_of_its_own():
    text = written("text", [report_of("demo"), report_of("domain")], shipped("en", guided=True), width=100)
    lines = text.splitlines()

    assert re.search(r"Rejected  At risk  SPF  DKIM  DMARC  MX  First step", lines[2])
    assert re.match(r"✗ sakura-shop\.example newsletter\.eml +1 +4 ", lines[3])
    assert lines[0].startswith("2 domains, 1 message")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_table_keeps_the_width(width):
    assert max(map(width_of, several("ja", width=width).splitlines())) <= min(width, 100)


def test_with_all_each_of_several_follows_in_full():
    text = several("en", whole=True)

    assert text.index("broken.example") < text.index("good.example · DNS only")
    assert text.count("Requirements by receiver") == 2
    assert "Requirements by receiver" not in several("en")


# --- marks, colour, width ---


@pytest.mark.parametrize("width", range(16, 60))
def test_no_japanese_line_begins_or_ends_with_a_forbidden_character(width):
    text = "上限に達すると、受信側は「恒久的なエラー」(permerror)として評価を打ち切ります。メールサーバーに届きません。"

    for line in wrap(text, width):
        assert line[0] not in "、。」)ー"
        assert line[-1] not in "「("
    assert "".join(wrap(text, width)).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("width", [48, 80])
@pytest.mark.parametrize(
    "word", ["メールサーバー", "迷惑メール扱い", "送信元認証", "ゾーンファイル", "3件", "SPFレコード"]
)
def test_a_japanese_line_ends_between_phrases(width, word):
    """A word is not broken, and a particle stays with its word, wherever the word comes to stand in the line."""
    for start in range(width):
        lines = wrap("あ" * start + "、" + f"{word}の設定を確認します。", width)

        assert any(f"{word}の" in line for line in lines), lines


def test_a_phrase_that_takes_much_of_a_line_is_broken_between_its_words():
    text = "example.comに適用される有効なDMARCレコードがないため受信側のサーバーで拒否されます"
    for width in range(16, 40):
        lines = wrap(text, width)
        assert "".join(lines) == text
        assert all(any(word in line for line in lines) for word in ("適用", "レコード", "受信側", "サーバー", "拒否"))


@pytest.mark.parametrize(
    ("read_as", "en", "ja"),
    [
        ("original", "accessed 24 Nov 2026", "英語、2026年11月24日に確認"),
        (
            "archive 2026-06-15",
            "archived copy from 15 Jun 2026, accessed 24 Nov 2026",
            "英語、2026年6月15日の保存版、2026年11月24日に確認",
        ),
        (
            "archive undated",
            "undated archived copy, accessed 24 Nov 2026",
            "英語、日付のない保存版、2026年11月24日に確認",
        ),
        (
            "not re-read",
            "recorded 24 Nov 2026, not verified against the source",
            "英語、再確認なし、2026年11月24日の記録による",
        ),
    ],
)
def test_a_source_is_cited_as_it_was_read(read_as, en, ja):
    source = Source(key="key", title="Title", url="", publisher="", checked="2026-11-24", read_as=read_as)
    assert (read_words(source, phrases("en")), read_words(source, phrases("ja"))) == (en, ja)


@pytest.mark.parametrize(
    ("lang", "words"), [("en", "May be rejected or shown with a warning"), ("ja", "拒否の可能性・警告表示")]
)
def test_several_effects_read_as_one_phrase(lang, words):
    assert effect_words([(Effect.REJECT, True), (Effect.WARN, False), (Effect.REJECT, True)], phrases(lang)) == words


def test_a_word_that_fits_no_line_is_cut():
    assert wrap("a" * 25, 10) == ["a" * 10, "a" * 10, "a" * 5]


def test_there_is_no_colour_unless_asked_for():
    assert "\x1b" not in golden("demo", "en")
    assert "\x1b[31m" in golden("demo", "en", color=True)


def test_colour_changes_nothing_but_colour():
    for options in ({}, {"whole": True}):
        coloured = golden("demo", "en", color=True, **options)
        assert re.sub(r"\x1b\[\d+m", "", coloured) == golden("demo", "en", **options)


def test_symbols_have_ascii_stand_ins():
    for subject in SUBJECTS:
        assert golden(subject, "en", unicode=False).isascii()
    text = golden("demo", "en", unicode=False)
    assert "x Deferred or rejected by Gmail" in text
    assert "! Shown with a warning" in text
    assert "=> DMARC fails" in text


def test_a_record_that_could_not_be_looked_up_is_not_shown_as_none():
    report = report_of("domain")
    ptr = Tile(TileTopic.PTR, TileState.NEUTRAL, lack=Lack("tile-ptr", "nothing-open"))
    nothing = Tile(TileTopic.TLS_RPT, TileState.NOTHING)
    answer = replace(report.answer, tiles=(ptr, nothing))
    lines = written("text", replace(report, answer=answer), shipped("en"), width=80).splitlines()
    assert "PTR     – not everything about it could be checked" in lines
    assert "TLS-RPT –" in lines


def test_hostile_values_cannot_write_to_the_terminal():
    evil = "\x1b]0;pwned\x07\u202e"
    report = make_report(
        domain=f"example{evil}.com",
        message=evil,
        notes=(Note("domain-nonexistent", {"domain": evil}), Note(evil, {evil: evil})),
        findings=(
            finding("DKIM-002", Outcome.UNMET, item=evil, observed={"item.bits": evil}),
            finding("SPF-003", Outcome.UNKNOWN, unknown=Unknown(Reason.TIMEOUT, VERBATIM(text=evil))),
            finding("SIZ-001", Outcome.UNKNOWN, unknown=Unknown(Reason.NOT_CONFIGURED, VERBATIM(text=evil))),
        ),
    )
    for lang in ("en", "ja"):
        shown = text_of(report, lang=lang, whole=True)
        assert "\\x1b]0;pwned\\x07\\u202e" in shown.replace("\n", "").replace(" ", "")
        assert not set(shown) & set("\x1b\x07\u202e")


def test_findings_of_one_rule_are_told_once():
    twice = tuple(
        finding("DKIM-002", Outcome.UNMET, item=item, observed={"item.bits": 1024})
        for item in ("a.example/1", "b.example/2")
    )
    text = text_of(make_report(findings=twice, assessment=assessed()), whole=True)

    assert "a.example/1: The key has 1024 bits." in text
    assert "b.example/2: The key has 1024 bits." in text


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
    text = text_of(make_report(notes=(Note(code, values),)), lang=lang, width=100, whole=True)

    assert code not in text
    shown = text.replace("\n", "")
    assert all(str(value) in shown for name, value in values.items() if name not in ("source", "date"))


def test_the_envelope_is_told_in_one_sentence():
    notes = (
        Note("envelope-mail-from", {"value": "a@b.example", "source": "return-path"}),
        Note("envelope-ip", {"value": "192.0.2.1", "source": "option"}),
    )

    sentence = "Envelope used: MAIL FROM a@b.example (from Return-Path), sending IP address 192.0.2.1 (as given)."
    assert sentence in " ".join(text_of(make_report(notes=notes), width=100, whole=True).split())


def test_an_unknown_note_is_shown_as_it_is():
    assert "brand-new: count 3" in text_of(make_report(notes=(Note("brand-new", {"count": 3}),)), whole=True)


@pytest.mark.parametrize(
    ("receivers", "readings"), [((), ["Gmail:", "Outlook.com:"]), (("outlook",), ["Outlook.com:"])]
)
async def test_where_sources_contradict_each_other_both_readings_are_told(receivers, readings):
    resolver = StaticResolver({("example.com", "MX"): ["10 mx.example.com"], ("mx.example.com", "A"): ["192.0.2.1"]})
    job = Subject("example.com", purpose=Purpose.BULK, daily_volume=10_000)
    audited = await gather_facts(
        job, Ports(resolver, FixedClock(datetime(2026, 11, 24, tzinfo=UTC)), sources=("static",))
    )
    report = make_real_report(audited, load_rules(), Selection(select=("DMARC-001",), receivers=receivers))

    text = written("text", report, shipped("en"), width=100, whole=True)

    told = text.partition(phrases("en")("label.contested"))[2].partition("\n\n")[0]
    assert re.findall(r"^    ([A-Z][\w. ]+:) ", told, re.M) == readings
    assert "Microsoft's blog" in " ".join(told.split())
    assert "Microsoft's policies page" in " ".join(told.split())


@pytest.mark.long
async def test_nothing_is_contested_by_a_receiver_that_is_not_judged():
    resolver = StaticResolver({("example.com", "MX"): ["10 mx.example.com"], ("mx.example.com", "A"): ["192.0.2.1"]})
    job = Subject("example.com", purpose=Purpose.BULK, daily_volume=10_000)
    audited = await gather_facts(
        job, Ports(resolver, FixedClock(datetime(2026, 11, 24, tzinfo=UTC)), sources=("static",))
    )
    report = make_real_report(audited, load_rules(), Selection(select=("DMARC-001",), receivers=("docomo",)))

    assert phrases("en")("label.contested") not in written("text", report, shipped("en"), width=100, whole=True)


def test_only_what_is_shown_is_put_into_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of some two hundred findings, each with seven texts or more, a short report shows a few."""
    filled: list[str] = []
    fill = FindingWords._filled
    monkeypatch.setattr(FindingWords, "_filled", lambda self, text: filled.append(text) or fill(self, text))
    report = report_of("domain")
    written("text", report, shipped("en"))
    assert len(filled) < len(report.findings)


@pytest.mark.parametrize(
    ("lang", "place"), [("en", "mail server or sending service"), ("ja", "メールサーバーまたは配信サービス")]
)
def test_a_place_that_the_title_names_is_not_told_again(lang, place):
    told = written("text", report_of("demo"), shipped(lang), width=100, whole=True)
    steps = told.partition("\n1  ")[2].partition("\n2  ")[0]
    assert steps.replace("\n", "").count(place) == 1, steps


@pytest.mark.parametrize("width", [40, 100])
def test_a_command_in_a_step_stands_out(width):
    assert list(paper.Paper(width).step("To list them, run `deliv sources`.", "- "))[-1].endswith("`deliv sources`.")


# --- lists of steps ---


@pytest.mark.parametrize(
    ("lang", "listed"),
    [
        (
            "en",
            "4. Turn off test mode for the key at s1._domainkey.sakura-shop.example; "
            "5. Add the report address dmarc-reports@sakura-shop.example to the DMARC record; "
            "6. End the SPF record with ~all; ",
        ),
        (
            "ja",
            "4. s1._domainkey.sakura-shop.exampleの鍵のテストモード（t=y）を解除する／"
            "5. DMARCレコードにレポートの宛先を加える／6. SPFレコードの末尾を~allにする／",
        ),
    ],
)
def test_further_steps_are_listed_by_what_to_do_without_what_follows_a_colon(lang, listed):
    names = ReportView(report_of("demo"), shipped(lang)).plan.more_names
    assert names.replace("\u00a0", " ").startswith(listed)
