"""The HTML report: one safe page that needs nothing else, in reading order, in both languages."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from deliverability.model.facts import Evidence, EvidenceKind, Reason, Unknown
from deliverability.model.report import Note, Outcome
from deliverability.render.html import render_html
from deliverability.render.view import segments
from tests.fixtures_report import CATALOGUE, FACTS, GUIDE, facts, finding, make_report

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


def html_of(report=None, lang="en", **options):
    options.setdefault("guide", GUIDE)
    return render_html(report or make_report(), lang=lang, catalogue=CATALOGUE, **options)


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
    labels = {attrs["aria-labelledby"] for _, attrs in page.elements if "aria-labelledby" in attrs}
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
        "identity",
        "spf",
        "dkim",
        "dmarc",
        "size",
        "html",
        "unchecked",
        "waiting",
        "checked",
        "guide",
        "evidence",
    ]


def test_it_shows_verdicts_records_and_evidence():
    words = Page(html_of()).words

    assert "Apple iCloud Mail would refuse this mail." in words
    assert "Bounce code 554 5.7.1" in words
    assert "SPF needs 12 DNS lookups; 10 are allowed Requirement: SPF needs at most 10 DNS lookups" in words
    assert "TXT example.com seen 2026-11-24 10:00 UTC kept for 1 hour" in words
    assert "bh=abc=; b=xyz=" in words
    assert "12 of 10 allowed DNS lookups used" in words
    assert "Demanded by an internet standard (MUST)" in words


def test_another_organization_in_helo_is_no_fault():
    row = re.compile(
        r'another organization</span>|<td data-label="Matches the author domain">another organization</td>'
    )
    helo = html_of(make_report(facts=facts({**FACTS, "alignment.helo": "none"})))

    assert row.findall(helo)[-1].startswith("<td")
    assert row.findall(helo)[0] == "another organization</span>"


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
        "spf.tree": {
            "domain": EVIL,
            "record": EVIL,
            "terms": (
                {"text": EVIL, "lookups": 1, "total_lookups": 1, "status": EVIL, "tree": {"terms": ({"text": EVIL},)}},
            ),
        },
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
            finding("SPF-003", Outcome.UNKNOWN, unknown=Unknown(Reason.TIMEOUT, EVIL)),
            finding("SIZ-001", Outcome.UNKNOWN, unknown=Unknown(Reason.NOT_CONFIGURED, EVIL)),
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
    fold = source.index('<details class="minor">')

    assert source.index("SPF needs 12 DNS lookups") < source.index("The key has 1024 bits") < fold
    assert fold < source.index("The policy is none: forged mail still arrives</h3>")


def test_met_findings_of_one_rule_share_a_line():
    met = tuple(finding("DKIM-002", Outcome.MET, item=i, observed={"item.bits": 2048}) for i in ("a/1", "b/2"))

    assert html_of(make_report(findings=met, verdicts=())).count("DKIM keys have at least 2048 bits") == 1


def test_what_could_not_be_checked_is_kept_apart_from_what_waits():
    source = html_of()
    failed, waiting, checked = (source.index(f'id="{name}"') for name in ("unchecked", "waiting", "checked"))

    assert failed < source.index("did not answer in time") < waiting < source.index("--purpose users") < checked


def test_the_guide_shows_where_each_step_stands():
    words = Page(html_of()).words
    checklist = words[words.index("The guide's checklist") :]

    assert re.search(r"G1 *Keep the SPF record up to date.*To do.*G2 *Sign with DKIM", checklist)
    assert re.search(r"G7 *Raise the DMARC policy.*Could improve.*G13 *Send a test *Yours to check", checklist)


def test_without_a_guide_or_a_message_those_sections_are_left_out():
    bare = facts({"dmarc.stage": Unknown(Reason.TIMEOUT)}, ())
    source = html_of(make_report(message="", facts=bare, findings=(), verdicts=(), notes=()), guide=())

    assert [attrs["id"] for tag, attrs in Page(source).elements if tag == "h2"] == ["verdict", "todo", "checked"]


def test_several_subjects_share_one_page_with_a_summary():
    page = Page(html_of([make_report(), make_report(domain="example.org")]))
    ids = Counter(attrs["id"] for _, attrs in page.elements if "id" in attrs)

    assert page.words.startswith("2 subjects audited")
    assert len(page.all("h1")) == 1
    assert max(ids.values()) == 1
    assert {"s1", "s2", "s1-todo", "s2-todo"} <= set(ids)


def test_a_typical_page_stays_small():
    assert len(html_of().encode()) < 100_000


def test_a_huge_record_does_not_blow_up_the_page():
    evidence = (Evidence("dns:TXT:example.com", EvidenceKind.DNS, "TXT example.com", ("x" * 65_000,) * 500, None, 60),)

    assert len(html_of(make_report(facts=facts(FACTS, evidence))).encode()) < 220_000
