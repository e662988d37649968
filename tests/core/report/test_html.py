"""The HTML report: one safe page that needs nothing else, in reading order, in both languages."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from deliverability.core.codes import VERBATIM
from deliverability.core.facts.base import Evidence, EvidenceKind, Reason, Unknown, Waiver
from deliverability.core.facts.spf import SpfTerm, SpfTree
from deliverability.core.model.report import Note, Outcome, RecordEdit
from deliverability.core.phrases import LANGUAGES
from deliverability.core.report.diagrams import diagrams
from deliverability.core.report.parts import laid_out, segments
from deliverability.core.report.report import ReportView
from deliverability.core.rules.grade import assess
from tests.fixtures_answer import example_answer, example_parked, example_posture, example_unreached
from tests.fixtures_report import FACTS, GUIDE, assessed, facts, finding, make_report, speaker
from tests.speaking import shipped, written
from tests.test_golden import audited as report_of

_VOID = {"meta", "link", "br", "hr", "img", "input", "use", "path", "wbr"}


class Page(HTMLParser):
    """What the tests ask of a page: its elements in order, that they nest, and its text."""

    def __init__(self, source):
        super().__init__()
        self.elements = []
        self.text = []
        self.open = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text.append(data)

    def all(self, name):
        return [attrs for tag, attrs in self.elements if tag == name]

    @property
    def words(self):
        return " ".join("".join(self.text).split())


def html_of(report=None, lang="en", guide=GUIDE, **options):
    return written("html", report or make_report(), speaker(lang, guide=guide), **options)


def answered(answer=None, **changes):
    """A report with an answer made by hand."""
    return make_report(answer=answer or example_answer(), **changes)


def page_of(answer, lang="en", **changes):
    """A page with the words of the shipped rules."""
    return written("html", answered(answer, **changes), shipped(lang, guided=True))


@pytest.fixture(params=["en", "ja"])
def page(request):
    return Page(page_of(example_answer(), request.param))


def test_it_needs_no_script_and_nothing_from_outside(page):
    tags = {tag for tag, _ in page.elements}

    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "video", "audio", "base"}
    assert not [attrs for _, attrs in page.elements if any(name.startswith("on") or name == "src" for name in attrs)]
    assert not re.search(r"url\(|@import", html_of())


def test_the_policy_forbids_everything_but_its_own_style(page):
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")

    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


def test_language_landmarks_and_headings_are_in_order(page):
    assert page.all("html")[0]["lang"] in ("en", "ja")
    assert [len(page.all(tag)) for tag in ("main", "h1")] == [1, 1]
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


@pytest.mark.parametrize("format_name", ["html", "markdown", "text"])
def test_no_blank_stands_between_two_japanese_sentences(format_name):
    report = report_of("demo")
    waiver = Waiver("", "handled-elsewhere", note="来週直します。")
    findings = tuple(
        replace(each, waiver=waiver if each.outcome is Outcome.UNMET else None) for each in report.findings
    )
    for each in (report, replace(report, findings=findings)):
        text = re.sub(r"<[^>]+>", "", written(format_name, each, shipped("ja", guided=True), whole=True))
        assert re.findall(r".{0,20}。 (?![ \[|]).{0,20}", text) == []


@pytest.mark.parametrize("whole", [False, True], ids=["short", "whole"])
@pytest.mark.parametrize("subjects", [("demo",), ("good",), ("faulty",), ("demo", "broken")], ids="-".join)
def test_ids_are_unique_and_links_within_the_page_lead_somewhere(subjects, whole):
    page = Page(written("html", [report_of(each) for each in subjects], shipped("en", guided=True), whole=whole))
    ids = Counter(attrs["id"] for _, attrs in page.elements if "id" in attrs)

    assert [ident for ident, count in ids.items() if count > 1] == []
    inner = {a["href"][1:] for a in page.all("a") if a["href"].startswith("#")}
    assert inner - set(ids) == set()
    labels = {ident for _, attrs in page.elements for ident in attrs.get("aria-labelledby", "").split()}
    assert labels - set(ids) == set()


def test_links_to_sources_tell_them_nothing(page):
    outer = [a for a in page.all("a") if not a["href"].startswith("#")]

    assert outer
    assert all(a["href"].startswith("https://") for a in outer)
    assert {"name": "referrer", "content": "no-referrer"} in page.all("meta")


def test_another_organization_in_helo_is_no_fault():
    def judged(name):
        row = helo[helo.index(f"<code>{name}</code>") :]
        return row[: row.index("</tr>")]

    helo = html_of(make_report(facts=facts({**FACTS, "alignment.helo": "none"}))).replace("<wbr>", "")

    assert re.search(r'badge bad">.{,99}another organization', judged("bounce.vendor.example"))
    assert "does not count for DMARC" in judged("bounce.vendor.example")
    assert "another organization<small>not used by DMARC" in judged("mta.example.com")
    assert "badge" not in judged("mta.example.com")


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ('Publish: example.com TXT "v=spf1 -all"', ['example.com TXT "v=spf1 -all"']),
        ("公開します:v=spf1 include:_spf.google.com mx ~all", ["v=spf1 include:_spf.google.com mx ~all"]),
        ('In strings: "v=spf1 a " "mx ~all"', ['"v=spf1 a " "mx ~all"']),
        ("Then `v=DMARC1; p=reject`.", ["v=DMARC1; p=reject"]),
        ("Then v=DMARC1; p=none; rua=mailto:a@b.example.", ["v=DMARC1; p=none; rua=mailto:a@b.example"]),
        ("現在のレコード：v=DMARC1; p=none; rua=mailto:a@b.example。", ["v=DMARC1; p=none; rua=mailto:a@b.example"]),
        ("公開します（v=STSv1; id=1）。", ["v=STSv1; id=1"]),
        ("It begins exactly with v=spf1, without a blank.", []),
    ],
)
def test_records_inside_a_step_are_found(text, codes):
    assert [piece for code, piece in segments(text) if code] == codes
    assert "".join(piece for _, piece in segments(text)) in (
        text,
        text.replace("`", ""),
        text.rstrip(".。"),
        "Then v=DMARC1; p=reject",
    )


LONG = 'example.com TXT "v=spf1 include:_spf.example.net ip4:203.0.113.5 ~all"'


@pytest.mark.parametrize(
    ("text", "behind"),
    [
        (f"{LONG}。現在のレコード：-", "現在のレコード：-"),
        (f"Publish {LONG}. Current record: -", "Current record: -"),
        (f"Publish {LONG}.example or", ".example or"),
        ("Run `deliv sources`. Then wait", ". Then wait"),
    ],
)
def test_no_line_begins_with_the_stop_of_a_sentence_whose_record_stands_apart(text, behind):
    assert laid_out(text, 24)[-1] == ("text", behind)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_step_of_a_rule_begins_a_line_with_a_stop(lang):
    """On pages and in the terminal, with the values that real domains have."""
    shown = [
        (rule.id, shape, piece)
        for rule in shipped().rules.rules.values()
        for step in rule.text[lang].steps
        for shape, piece in laid_out(step.replace("{item.record}", LONG).replace("{dmarc.record}", LONG), 24)
    ]
    found = [
        f"{rule}: {piece}"
        for (same, shape, _), (rule, _, piece) in itertools.pairwise(shown)
        if same == rule and shape == "block" and piece.lstrip()[:1] in (".", "。") and not piece.startswith("...")
    ]
    assert found == []


EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b[31m\u202e&amp;{{7*7}}"


def test_hostile_values_stay_text():
    hostile = {
        **FACTS,
        "spf.tree": (
            SpfTree(
                EVIL,
                record=EVIL,
                terms=(
                    SpfTerm(EVIL, lookups=1, total_lookups=1, tree=SpfTree(EVIL, terms=(SpfTerm(EVIL, lookups=1),))),
                ),
            )
        ),
        "dmarc.record": EVIL,
        "dmarc.location": EVIL,
        "alignment.author_domain": EVIL,
        "envelope.helo": EVIL,
        "message.attachments": ({"filename": EVIL, "media_type": EVIL, "encoded_octets": 5},),
    }
    evidence = (Evidence("dns:TXT:example.com", EvidenceKind.DNS, EVIL, (EVIL, "a\r\nb"), EVIL, 5),)
    report = make_report(
        domain=EVIL,
        message=EVIL,
        facts=facts(hostile, evidence),
        notes=(Note(EVIL, {EVIL: EVIL}), Note("domain-nonexistent", {"domain": EVIL})),
        findings=(
            finding(
                "DKIM-002",
                Outcome.UNMET,
                item=EVIL,
                observed={"item.bits": EVIL, EVIL: EVIL},
                evidence=("dns:TXT:example.com",),
            ),
            finding("SPF-003", Outcome.UNKNOWN, unknown=Unknown(Reason.TIMEOUT, VERBATIM(text=EVIL))),
            finding("SIZ-001", Outcome.UNKNOWN, unknown=Unknown(Reason.NOT_CONFIGURED, VERBATIM(text=EVIL))),
        ),
    )
    for lang in ("en", "ja"):
        source = html_of(report, lang=lang)
        page = Page(source)
        assert not {tag for tag, _ in page.elements} & {"script", "img"}
        assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
        assert not set(source) & set("\x1b\u202e")
        assert "<script>alert(1)</script>" in page.words
        assert "\\u202e" in page.words
        assert "{{7*7}}" in page.words


def test_the_message_is_shown_in_a_frame_that_can_do_nothing():
    source = html_of(
        html='<p onclick="x()">Hello <a href="https://shop.example/">shop</a><script>alert(1)</script></p>'
    )
    frame = Page(source).all("iframe")[0]

    assert frame["sandbox"] == ""
    assert "default-src 'none'" in frame["srcdoc"]
    assert "<p>Hello <a>shop</a></p>" in frame["srcdoc"]
    assert not re.search(r"script>|onclick|shop\.example", frame["srcdoc"])


def test_a_message_too_large_for_a_preview_is_told_of():
    page = Page(html_of(html="<p>" + "word " * 100_000))

    assert not page.all("iframe")
    assert "which is too large for a preview" in page.words


def test_met_findings_of_one_rule_share_a_line():
    met = tuple(finding("DKIM-002", Outcome.MET, item=i, observed={"item.bits": 2048}) for i in ("a/1", "b/2"))
    report = make_report(findings=met, assessment=assessed())

    assert html_of(report, whole=True).count("DKIM keys have at least 2048 bits") == 1
    assert html_of(report).count("<b>1 check passed</b>: DKIM key length") == 1


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_is_met_is_a_line_a_topic_that_names_it_and_what_was_looked_up(lang):
    met = re.findall(r'<p class="met">.*?</p>', written("html", report_of("domain"), shipped(lang, guided=True)))

    assert met
    spf = next(each for each in met if "TXT kk.dk" in each or "TXT " in each)
    assert {"en": "SPF record", "ja": "SPFレコード"}[lang] in "".join(met)
    assert {"en": "<small>Evidence: ", "ja": "<small>根拠"}[lang] in spf


@pytest.mark.parametrize("subject", ["demo", "broken", "faulty"])
def test_what_is_unmet_or_open_keeps_its_evidence_and_its_sources(subject):
    report = report_of(subject)
    view = ReportView(report, shipped("en", guided=True))
    source = written("html", report, view.speaker)
    ids = set(re.findall(r' id="([^"]+)"', source))

    asked = [each for each in view.checks if each.outcome in ("unmet", "unknown", "waived")]
    assert asked
    for each in asked:
        row = source[source.index(f'<details id="{each.anchor}">') :].split("</details></li>")[0]
        assert {evidence.anchor for evidence in each.evidence} <= ids
        assert each.level in unescape(row)
        # Why it matters is said of what was found; of what could not be checked, it would be no more than a guess.
        assert ('<p class="why">' in row) is (each.outcome != "unknown")
        assert all(name.title in unescape(row) for name in each.sources[:3])


@pytest.mark.parametrize("subject", ["demo", "broken", "faulty", "good"])
def test_each_receiver_has_its_problems_with_their_sources_and_what_the_rest_rests_on(subject):
    report = report_of(subject)
    source = written("html", report, shipped("en", guided=True))
    for each in ReportView(report, shipped("en", guided=True)).receiver_lists:
        part = source[source.index(f'id="receiver-{each.id}"') :].split("</details>")[0]
        links = part.count("<li class=")
        assert links == sum(row.outcome in ("unmet", "unknown") for row in each.rows)
        assert all(row.name in unescape(part) for row in each.rows if row.outcome in ("unmet", "unknown"))
        met = sum(row.outcome == "met" for row in each.rows)
        assert f"{met} requirement{'s' * (met != 1)} met: " in part or not met
        assert part.count('<a href="https://') >= 1
        whole = written("html", report, shipped("en", guided=True), whole=True)
        part = whole[whole.index(f'id="receiver-{each.id}"') :].split("</ul>")[0]
        assert part.count("<li class=") == len(each.rows)


def test_a_page_says_how_to_get_all_of_it_and_all_of_it_does_not():
    assert "<code>--all</code>" in html_of()
    assert "<code>--all</code>" not in html_of(whole=True)


def test_a_typical_page_stays_small():
    """70 kB is the aim for a domain, of which a third is the style sheet; what is to be fixed comes on top."""
    assert len(html_of(html="<p>Hello</p>").encode()) < 60_000
    assert len(written("html", report_of("domain"), shipped("en", guided=True)).encode()) < 70_000


def test_a_huge_record_does_not_blow_up_the_page():
    evidence = (Evidence("dns:TXT:example.com", EvidenceKind.DNS, "TXT example.com", ("x" * 65_000,) * 500, None, 60),)

    assert len(html_of(make_report(facts=facts(FACTS, evidence))).encode()) < 240_000


def test_a_name_that_could_not_be_compared_is_not_said_to_be_left_aside():
    report = make_report(facts=facts({**FACTS, "alignment.spf": Unknown(Reason.TIMEOUT)}))
    source = html_of(report).replace("<wbr>", "")
    row = source[source.index("<code>bounce.vendor.example</code>") :]

    assert "could not be compared" in row[: row.index("</tr>")]


@pytest.mark.parametrize(("used", "cells"), [(4, "uuuuffffff"), (12, "uuuuuuuuuuoo"), (0, "ffffffffff")])
def test_the_gauge_has_a_cell_for_every_lookup(used, cells):
    gauge = diagrams(make_report(facts=facts({**FACTS, "spf.lookups": used})), speaker()).spf[0].cells

    assert "".join(cell[0] for cell in gauge) == cells


@pytest.mark.parametrize(
    ("lang", "begins", "repeats"),
    [
        ("en", "Gmail can't scan encrypted archives", r"(iCloud|Gmail|Yahoo|docomo)\b[^:.]*: \1\b"),
        ("ja", "Gmailは暗号化された圧縮ファイル", "(iCloud|Gmail|Yahoo|ドコモ)[^：。]*：(?:米国)?\\1"),
    ],
)
def test_the_note_of_a_receiver_names_it_once(lang, begins, repeats):
    view = ReportView(report_of("demo"), shipped(lang))
    notes = [note for each in view.todo for note in each.notes]
    assert any(note.startswith(begins) for note in notes)
    assert [note for note in notes if re.match(repeats, note)] == []
    assert any(note.startswith(("Gmail: ", "Gmail：")) for note in notes), "where the note begins otherwise"


@pytest.mark.parametrize("subject", ["demo", "broken", "faulty", "good", "domain"])
@pytest.mark.parametrize("change", [{}, {"used": False}, {"waiver": Waiver("", "handled-elsewhere")}])
def test_every_count_of_a_receiver_is_of_the_same_rules(subject, change):
    report, rules = report_of(subject), shipped("en").rules
    findings = tuple(replace(each, **change) if each.outcome is Outcome.UNMET else each for each in report.findings)
    judged = assess(findings, [each.receiver for each in report.verdicts], report.facts, rules)
    view = ReportView(replace(report, findings=findings, assessment=judged), shipped("en"))
    for each in view.receiver_lists:
        met, unmet = (sum(row.outcome == outcome for row in each.rows) for outcome in ("met", "unmet"))
        assert each.count == f"{met} of {met + unmet}"
        assert each.rests_on.startswith(f"{met} requirement{'s' * (met != 1)} met: ")


@pytest.mark.parametrize(("lang", "counted"), [("en", r"Observations <span>\d+</span>"), ("ja", r"<span>\d+件</span>")])
def test_a_heading_says_its_name_once(lang, counted):
    source = written("html", report_of("demo"), shipped(lang, guided=True))
    heads = re.findall(r"<summary>(?:<[^>]+>)*(\w+) <span>(.*?)</span></summary>", source)
    assert re.search(counted, source)
    assert [(name, about) for name, about in heads if name.lower() in about.lower() and name != "HTML"] == []


# --- the answer ---


def test_the_page_is_answer_plan_guide_and_closed_evidence(page):
    assert [attrs["id"] for tag, attrs in page.elements if tag == "h2"] == ["plan", "guide", "evidence"]
    assert not [attrs for attrs in page.all("details") if "open" in attrs]
    folds = [attrs["id"] for attrs in page.all("details") if attrs.get("class") == "fold" and "id" in attrs]
    assert folds == ["how", "receivers", "checks"]


def test_the_answer_is_one_sentence_then_groups_with_their_replies_and_step():
    words = Page(page_of(example_answer())).words

    assert words.index("reject this mail because") < words.index("550 5.7.26 · 550 5.7.515 → step 1")
    assert "Shown with a warning or may be rejected docomo for the same reason → step 1" in words
    assert "at about 5,000 messages per day or more: delayed; otherwise: no known obstacle" in words
    assert "36 requirements" not in words
    assert "27 published requirements checked, 9 findings that don't change this verdict" in words


def test_the_chain_has_a_text_of_the_same_content():
    chain = next(attrs for attrs in Page(html_of(answered())).all("div") if attrs.get("class") == "chain")

    assert chain["role"] == "img"
    assert "DKIM passes for vendor.example (another organization)" in chain["aria-label"]
    assert chain["aria-label"].startswith("From example.com: SPF")


def test_a_receiver_leads_to_its_own_list():
    page = Page(written("html", answered(), speaker("en")))

    links = [attrs["href"] for attrs in page.all("a")]
    assert "#receiver-gmail" in links
    assert {"receiver-gmail", "receiver-icloud"} <= {attrs.get("id") for attrs in page.all("details")}


def test_without_a_message_the_records_are_the_answer():
    source = page_of(example_posture(), message="", domain="kk.dk", findings=())
    words = Page(source).words

    assert "We found no DNS problem for mail from kk.dk." in words
    assert "v=DMARC1; p=reject" in words
    assert "more checks need a sample message: deliv audit kk.dk --eml message.eml" in words
    assert "Nothing to fix." in words
    assert 'class="groups"' not in source
    assert 'class="chain"' not in source


def test_a_parked_domain_is_told_to_be_closed_and_asked_for_no_message():
    report = answered(example_parked(), message="", domain="parked.example", findings=())
    assessment = replace(report.assessment, verdicts=(), parked=True, closed=True)
    words = Page(written("html", replace(report, assessment=assessment), shipped("en", guided=True))).words

    assert "Protected: receivers can reject forged mail from parked.example." in words
    assumption = (
        "We assume that parked.example sends no mail, because it has a null MX and its SPF record allows no sender"
    )
    assert assumption in words
    assert "--eml" not in words
    assert "guide" not in words.lower()


def test_where_nothing_was_answered_nothing_else_is_shown():
    page = Page(page_of(example_unreached(), message="", findings=(), assessment=assessed()))

    assert "No DNS server returned a usable answer. Nothing was checked." in page.words
    assert not page.all("details")
    assert not page.all("h2")


# --- the plan ---


def test_a_step_has_its_number_place_gain_and_a_text_to_send():
    source = page_of(example_answer())
    first = source[source.index('id="step-1"') : source.index('id="step-2"')]

    assert 'value="1"' in source[source.index('<li class="card') : source.index('id="step-1"') + 30]
    assert "at Mailchimp" in first
    assert "Gmail and Outlook.com: rejected → no known obstacle (together with step\u00a02)" in first
    assert "docomo: shown with a warning → unknown until all checks are completed" in first
    assert "deliv audit example.com --eml message.eml" in first


def test_old_and_new_record_stand_whole_and_tell_what_changes():
    source = page_of(example_answer())
    third = source[source.index('id="step-3"') : source.index("</ol>", source.index('id="step-3"'))]
    old, new = (re.sub("<[^>]*>", "", line) for line in re.findall(r'<p class="(?:old|new)">(.*?)</p>', third))

    edit = example_answer().plan[2].edits[0]
    assert old.endswith(edit.old[0])
    assert new.endswith(edit.new[0])
    assert "<del> include:_spf.oldvendor.example</del>" in third
    assert "The problem didn&#39;t affect this message, because SPF was checked for bounce.mailer.example." in third


def test_the_rest_is_folded_and_what_is_for_mail_received_comes_last():
    source = page_of(example_answer())

    more, received = source.index("2 more improvement"), source.index("Optional, for incoming mail")
    assert source.index('id="step-3"') < more < source.index('id="step-4"') < source.index('id="step-5"') < received
    assert received < source.index('id="step-6"') < source.index('id="guide"')


def test_hostile_records_of_a_step_stay_text():
    answer = example_answer()
    edit = RecordEdit(EVIL, "TXT", (EVIL,), (EVIL + " x",))
    values = {"include": EVIL, "policy": f"a\n{EVIL}"}
    plan = tuple(replace(step, edits=(edit,), values=values, at=EVIL, checked_at=EVIL) for step in answer.plan)
    source = page_of(replace(answer, plan=plan))

    assert not {tag for tag, _ in Page(source).elements} & {"script", "img"}
    assert not set(source) & set("\x1b\u202e")


# --- guide and evidence ---


def test_the_guide_has_a_row_a_step_with_its_state_and_the_step_that_settles_it():
    source = page_of(example_answer())
    rows = re.findall(r"<tr>.*?</tr>", source[source.index('id="guide"') : source.index('id="evidence"')], re.DOTALL)
    words = [" ".join(re.sub("<[^>]*>", " ", row).split()) for row in rows[1:]]

    assert len(words) == 16
    assert words[0].startswith("Keep the SPF record up to date to do → step 3 Compare the record")
    assert "not checked daily numbers: deliv intake" in words[3]


def test_a_finding_tells_its_step_and_not_the_steps_again():
    source = page_of(example_answer(), findings=(finding("SPF-003", Outcome.UNMET),))
    opened = source[source.index('<details id="SPF-003">') :]
    opened = opened[: opened.index("</details>")]

    assert "In the plan: step\u00a03" in opened
    assert '<ol class="steps">' not in opened


def test_terms_explain_themselves_without_script(page):
    targets = [each["popovertarget"] for each in page.all("button")]

    assert targets
    assert len(targets) == len(set(targets))
    assert set(targets) == {attrs["id"] for tag, attrs in page.elements if "popover" in attrs}


def test_what_is_printed_of_the_evidence_is_a_block_of_numbers(page):
    printed = next(attrs for attrs in page.all("section") if attrs.get("class") == "printed")
    assert printed["aria-hidden"] == "true"


# --- several ---


def test_several_subjects_are_a_table_with_a_closed_fold_each():
    reports = [answered(domain="a.example"), answered(domain="b.example", message="")]
    page = Page(written("html", reports, shipped("en", guided=True)))
    ids = Counter(attrs["id"] for _, attrs in page.elements if "id" in attrs)

    assert "2 domains, 1 message" in page.words
    assert len(page.all("h1")) == 1
    assert max(ids.values()) == 1
    assert {"s1", "s2", "s1-plan", "s2-plan", "s1-checks"} <= set(ids)


def test_many_subjects_leave_their_evidence_to_pages_of_their_own():
    reports = [answered(domain=f"d{number}.example") for number in range(11)]
    page = Page(written("html", reports, shipped("en", guided=True)))

    assert not [attrs for attrs in page.all("section") if attrs.get("class") == "evidence"]
    assert "Evidence: deliv audit d7.example -o d7.example.html" in page.words
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    assert {a["href"][1:] for a in page.all("a") if a["href"].startswith("#")} - ids == set()


def test_the_spf_picture_names_its_domain_and_marks_only_what_this_mail_was_checked_by():
    (used, other), (own,) = (diagrams(report_of(subject), shipped("en")).spf for subject in ("demo", "broken"))

    assert used.domain == "bounce.mailer.example"
    assert used.about == "This mail was checked against this record."
    assert [term.text for term in used.root.terms if term.matched] == ["include:_spf.mailer.example"]
    assert other.domain == "sakura-shop.example"
    assert other.about == "This mail was not checked against this record."
    assert not any(term.matched for term in other.root.terms)
    assert own.about == "This mail was checked against this record."


def test_a_page_is_the_same_whatever_pages_were_made_before() -> None:
    first = [written("html", report_of("demo"), shipped(lang)) for lang in LANGUAGES]
    written("html", report_of("broken"), shipped("en"))
    assert [written("html", report_of("demo"), shipped(lang)) for lang in LANGUAGES] == first


def test_what_sources_disagree_about_follows_the_words_that_announce_it():
    """With no note of a receiver nothing is announced."""
    say = shipped("en").say
    for each in ("demo", "broken"):
        page = written("html", report_of(each), shipped("en"), whole=True)
        announced = unescape(page).count(say("label.contested"))
        assert announced == len(re.findall(r'<p class="contested">[^<]*:</p>\n<ul class="quiet"><li>', page)), each
        assert announced or each != "demo"


def test_what_one_record_meets_and_another_does_not_is_met_by_name():
    """Of two SPF records in one audit, one may need too many lookups and the other few."""
    words = Page(written("html", report_of("demo"), shipped("en", guided=True))).words
    assert "Number of SPF DNS lookups (bounce.mailer.example)" in words
    assert "Number of SPF records, " in words, "no name where all that was checked meets it"


def test_a_record_leads_to_the_step_that_settles_the_problem_beside_it():
    """The first step about SPF drops one lookup of twelve; it takes the second to come down to ten."""
    view = ReportView(report_of("faulty"), shipped("en", guided=True))
    (spf,) = [each for each in view.answer.tiles if each.topic == "spf"]
    assert spf.problem == "broken.example's SPF record needs more than 10 DNS lookups"
    assert view.steps_by_rule["SPF-003"] == spf.step == 2


def test_a_receiver_that_requires_nothing_unmet_says_why_its_filter_decides():
    view = ReportView(report_of("demo"), shipped("en", guided=True))
    (au,) = [each for each in view.receiver_lists if each.id == "au"]
    assert not au.problems
    assert au.because.startswith("Neither SPF nor DKIM passes for the domain in From")
    assert f"<p>{au.because}</p>" in unescape(written("html", report_of("demo"), view.speaker))
