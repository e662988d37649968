"""The HTML report: one safe page that needs nothing else, in reading order, in both languages."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from deliverability.model.codes import AS_SAID
from deliverability.model.facts import Evidence, EvidenceKind, Reason, Unknown
from deliverability.model.report import Assessment, Consequence, Gain, Note, Outcome, RecordEdit, Verdict, VerdictKind
from deliverability.model.rules import Effect
from deliverability.model.spf import SpfTerm, SpfTree, plain
from deliverability.view.diagrams import diagrams
from deliverability.view.segments import segments
from tests.fixtures_report import FACTS, GUIDE, REMEDIES, assessed, facts, finding, make_report, speaker
from tests.speaking import written

_VOID = {"meta", "link", "br", "hr", "img", "input", "use", "path"}


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


@pytest.fixture(params=["en", "ja"])
def page(request):
    return Page(html_of(lang=request.param))


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


def test_ids_are_unique_and_links_within_the_page_lead_somewhere(page):
    ids = Counter(attrs["id"] for _, attrs in page.elements if "id" in attrs)

    assert [ident for ident, count in ids.items() if count > 1] == []
    inner = {a["href"][1:] for a in page.all("a") if a["href"].startswith("#")}
    assert inner - set(ids) == set()
    labels = {ident for _, attrs in page.elements for ident in attrs.get("aria-labelledby", "").split()}
    assert labels - set(ids) == set()


def test_links_to_sources_tell_them_nothing(page):
    outer = [a for a in page.all("a") if not a["href"].startswith("#")]

    assert outer
    assert all(a["href"].startswith("https://") and "noreferrer" in a["rel"] for a in outer)


def test_the_verdict_comes_first_then_what_to_do_then_everything(page):
    ids = [attrs["id"] for tag, attrs in page.elements if tag == "h2"]

    assert ids == [
        "verdict",
        "todo",
        "waiting",
        "receivers",
        "identity",
        "spf",
        "dkim",
        "dmarc",
        "size",
        "html",
        "unchecked",
        "checked",
        "guide",
        "evidence",
        "glossary",
        "sources",
        "handout",
    ]


def test_it_shows_verdicts_records_and_evidence():
    words = Page(html_of()).words

    assert "At Apple iCloud Mail, this mail is refused." in words
    assert "Apple iCloud Mail: Refused SPF needs more than 10 DNS lookups 554 5.7.1" in words
    assert "Bounce code 554 5.7.1" in words
    assert "Requirement: SPF needs at most 10 DNS lookups" in words
    assert "TXT example.com seen 2026-11-24 10:00 UTC kept for 1 hour" in words
    assert "bh=abc=; b=xyz=" in words
    assert "12 of 10 allowed DNS lookups used" in words
    assert "Demanded by an internet standard (MUST)" in words


def test_another_organization_in_helo_is_no_fault():
    def judged(name):
        row = helo[helo.index(f"<code>{name}</code>") :]
        return row[: row.index("</tr>")]

    helo = html_of(make_report(facts=facts({**FACTS, "alignment.helo": "none"})))

    assert re.search(r'badge bad">.{,99}another organization', judged("bounce.vendor.example"))
    assert "does not count for DMARC" in judged("bounce.vendor.example")
    assert "another organization<small>DMARC does not look at it" in judged("mta.example.com")
    assert "badge" not in judged("mta.example.com")


def test_a_record_to_publish_can_be_copied_whole():
    assert '<code class="record">v=spf1 include:_spf.google.com mx ~all</code>' in html_of()
    assert '<code class="record">v=DMARC1; p=quarantine; rua=mailto:dmarc@example.com</code>' in html_of()


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ('Publish: example.com TXT "v=spf1 -all"', ['example.com TXT "v=spf1 -all"']),
        ("公開します:v=spf1 include:_spf.google.com mx ~all", ["v=spf1 include:_spf.google.com mx ~all"]),
        ('In strings: "v=spf1 a " "mx ~all"', ['"v=spf1 a " "mx ~all"']),
        ("Then `v=DMARC1; p=reject`.", ["v=DMARC1; p=reject"]),
        ("Then v=DMARC1; p=none; rua=mailto:a@b.example.", ["v=DMARC1; p=none; rua=mailto:a@b.example"]),
        ("It begins exactly with v=spf1, without a blank.", []),
    ],
)
def test_records_inside_a_step_are_found(text, codes):
    assert [piece for code, piece in segments(text) if code] == codes
    assert "".join(piece for _, piece in segments(text)) in (
        text,
        text.replace("`", ""),
        text.rstrip("."),
        "Then v=DMARC1; p=reject",
    )


EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b[31m\u202e&amp;{{7*7}}"


def test_hostile_values_stay_text():
    hostile = {
        **FACTS,
        "spf.tree": plain(
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
        "message.attachments": ({"filename": EVIL, "media_type": EVIL, "encoded_octets": EVIL},),
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
            finding("SPF-003", Outcome.UNKNOWN, unknown=Unknown(Reason.TIMEOUT, AS_SAID(text=EVIL))),
            finding("SIZ-001", Outcome.UNKNOWN, unknown=Unknown(Reason.NOT_CONFIGURED, AS_SAID(text=EVIL))),
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


def test_what_could_be_improved_is_folded_behind_what_must_be_fixed():
    source = html_of()
    fold = source.index('<details class="fold minor">')

    assert source.index("SPF needs 12 DNS lookups") < source.index("A DKIM key has fewer than 2048 bits</h3>") < fold
    assert fold < source.index("The DMARC policy is none</a>")


def test_a_step_shows_its_record_what_changes_in_it_and_what_that_brings():
    source = html_of(make_report(remedies=REMEDIES))
    first = source[source.index('<ol class="cards">') : source.index("</article>")]

    assert "<code>v=spf1 include:_spf.google.com ip4:192.0.2.10 mx ~all</code></pre>" in first
    assert re.search(r"<del><span[^>]*>removed </span>include:mail.vendor.example</del>", first)
    assert re.search(r"<ins><span[^>]*>added </span>ip4:192.0.2.10</ins>", first)
    assert "SPF lookups: 12 → 6" in first
    assert "Apple iCloud Mail: Refused → At risk" in first
    assert "<b>Safe</b>" in first


def test_what_an_earlier_remedy_mends_is_no_step_of_its_own():
    both = replace(REMEDIES[0], mends=("SPF-003", "DKIM-002"))
    page = Page(html_of(make_report(remedies=(both,))))

    cards = [attrs for tag, attrs in page.elements if tag == "article"]
    assert [card["aria-labelledby"] for card in cards] == ["SPF-003-first"]
    assert "It also settles: A DKIM key has fewer than 2048 bits" in page.words


def test_a_remedy_that_continues_a_record_comes_after_the_one_that_leaves_it():
    left = REMEDIES[0].edits[0]
    then = replace(left, old=left.new, new=("v=spf1 mx -all",))
    better = replace(REMEDIES[0], rule="DKIM-002", item="example.com/s1", mends=("DKIM-002",), edits=(then,))
    gains = (Gain("gmail", VerdictKind.REJECTED, VerdictKind.ACCEPTED),)
    plain = replace(REMEDIES[0], gains=())
    source = html_of(make_report(remedies=(plain, replace(better, gains=gains))))

    assert source.index('id="SPF-003-first"') < source.index('id="DKIM-002-first"')


def test_all_remedies_are_listed_with_their_care():
    source = html_of(make_report(remedies=REMEDIES))
    listed = source[source.index('id="publish"') : source.index('id="unchecked"')]

    assert 'id="remedy-1"' in listed
    assert "Shown above" in listed
    assert "v=DMARC1; p=quarantine; rua=mailto:dmarc@example.com</code>" in listed
    assert "With care" in listed


def test_hostile_remedies_stay_text():
    edit = RecordEdit(EVIL, "TXT", (EVIL,), (EVIL + " x",))
    values = {"terms": EVIL, "policy": f"a\n{EVIL}"}
    source = html_of(make_report(remedies=(replace(REMEDIES[0], values=values, edits=(edit,)),)))

    assert not {tag for tag, _ in Page(source).elements} & {"script", "img"}
    assert not set(source) & set("\x1b\u202e")


def test_findings_can_be_filtered_without_script(page):
    radios = [attrs for tag, attrs in page.elements if tag == "input"]

    assert {each["type"] for each in radios} == {"radio"}
    assert [each["class"] for each in radios if "checked" in each] == ["f-all"]
    rows = Counter(attrs["class"] for tag, attrs in page.elements if tag == "li" and "row s-" in attrs.get("class", ""))
    assert rows == {"row s-todo": 3, "row s-open": 2, "row s-fine": 2}


def test_sources_stand_once_on_the_page_and_are_referred_to_by_number():
    source = html_of()

    assert source.count("https://www.rfc-editor.org/rfc/rfc7208") == 1
    assert source.count('href="#c1">[1]</a>') > 3


def test_terms_lead_to_the_glossary_where_they_are_used_first(page):
    links = [a["href"] for a in page.all("a") if a.get("class") == "gl"]

    assert links
    assert len(links) == len(set(links))
    assert all(href.startswith("#term-") for href in links)


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
    assert "that is too large for a preview here" in page.words


def test_met_findings_of_one_rule_share_a_line():
    met = tuple(finding("DKIM-002", Outcome.MET, item=i, observed={"item.bits": 2048}) for i in ("a/1", "b/2"))

    assert html_of(make_report(findings=met, assessment=assessed())).count("DKIM keys have at least 2048 bits") == 1


def test_what_could_not_be_checked_is_kept_apart_from_what_waits():
    source = html_of()
    waiting, failed, checked = (source.index(f'id="{name}"') for name in ("waiting", "unchecked", "checked"))

    assert waiting < source.index("--purpose users", waiting) < failed
    assert failed < source.index("did not answer in time") < checked


def test_the_guide_shows_where_each_step_stands():
    words = Page(html_of()).words
    checklist = words[words.index("checklist") :]

    assert re.search(r"G1 *Keep the SPF record up to date.*To do.*G2 *Sign with DKIM", checklist)
    assert re.search(r"G7 *Raise the DMARC policy.*Could improve.*G13 *Send a test *For you to check", checklist)


def test_without_a_guide_or_a_message_those_sections_are_left_out():
    bare = facts({"dmarc.stage": Unknown(Reason.TIMEOUT)}, ())
    source = html_of(make_report(message="", facts=bare, findings=(), assessment=assessed(), notes=()), guide=())

    ids = [attrs["id"] for tag, attrs in Page(source).elements if tag == "h2"]
    assert ids == ["verdict", "todo", "checked", "handout"]


def test_several_subjects_share_one_page_with_a_summary():
    page = Page(html_of([make_report(), make_report(domain="example.org")]))
    ids = Counter(attrs["id"] for _, attrs in page.elements if "id" in attrs)

    assert page.words.startswith("2 subjects audited")
    assert len(page.all("h1")) == 1
    assert max(ids.values()) == 1
    assert {"s1", "s2", "s1-todo", "s2-todo"} <= set(ids)


def test_a_typical_page_stays_small():
    assert len(html_of(html="<p>Hello</p>").encode()) < 100_000


def test_a_huge_record_does_not_blow_up_the_page():
    evidence = (Evidence("dns:TXT:example.com", EvidenceKind.DNS, "TXT example.com", ("x" * 65_000,) * 500, None, 60),)

    assert len(html_of(make_report(facts=facts(FACTS, evidence))).encode()) < 240_000


def test_a_name_that_could_not_be_compared_is_not_said_to_be_left_aside():
    source = html_of(make_report(facts=facts({**FACTS, "alignment.spf": Unknown(Reason.TIMEOUT)})))
    row = source[source.index("<code>bounce.vendor.example</code>") :]

    assert "could not be compared" in row[: row.index("</tr>")]


@pytest.mark.parametrize(
    ("stage", "purpose", "following"),
    [
        ("absent", "bulk", "none"),
        ("none", "bulk", "quarantine"),
        ("quarantine", "bulk", "reject"),
        ("quarantine", "users", None),
        ("absent", "parked", "reject"),
        ("reject", "bulk", None),
    ],
)
def test_the_ladder_names_the_next_step_that_is_safe_for_the_purpose(stage, purpose, following):
    report = make_report(facts=facts({**FACTS, "dmarc.stage": stage}), inputs={"purpose": purpose})
    stages = {each.state: each.key for each in diagrams(report, speaker()).dmarc.stages}

    assert stages["here"] == stage
    assert stages.get("next") == following


@pytest.mark.parametrize(("used", "cells"), [(4, "uuuuffffff"), (12, "uuuuuuuuuuoo"), (0, "ffffffffff")])
def test_the_gauge_has_a_cell_for_every_lookup(used, cells):
    gauge = diagrams(make_report(facts=facts({**FACTS, "spf.lookups": used})), speaker()).spf.cells

    assert "".join(cell[0] for cell in gauge) == cells


def test_without_a_message_the_answer_is_about_dns():
    ready = Verdict("gmail", VerdictKind.DNS_READY)
    words = Page(html_of(make_report(message="", assessment=Assessment((ready,), "A", dns=ready.verdict)))).words

    assert "Nothing in DNS stands in the way of mail from example.com." in words


def test_a_check_that_was_not_made_does_not_read_like_a_finding():
    lost = Consequence("NET-001", "", Effect.REJECT, ("550 5.7.25",), outcome=Outcome.UNKNOWN)
    verdict = Verdict("gmail", VerdictKind.CANNOT_TELL, open=(lost,))
    source = html_of(make_report(assessment=assessed(verdict)))
    answer = source[source.index('class="answers') : source.index("</ul>", source.index('class="answers'))]

    assert "Not checked: Reverse DNS" in answer
    assert "550 5.7.25" not in answer
