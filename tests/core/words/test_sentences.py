"""Rule texts filled with values: units, languages, unknown values, and characters that hide something."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from deliverability.core.codes import ASKED
from deliverability.core.facts.base import FactSpec, FactType, Reason, Unknown
from deliverability.core.model.report import Outcome
from deliverability.core.model.rules import Compare, LimitRef, Op, RuleSet, Sentence
from deliverability.core.phrases import LANGUAGES, phrases, placeholders
from deliverability.core.words.sentences import (
    capital,
    duration,
    format_value,
    limit_spec,
    moment_words,
    octets,
    sentences,
    visible,
)
from deliverability.core.words.steps import rule_short
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from tests.fixtures_report import CATALOGUE, DKIM_BITS, SIZE, SPF_LIMIT, facts, finding

EN, JA = phrases("en"), phrases("ja")
RULES = load_rules()


def words(found, rule, lang="en"):
    return sentences(found, RuleSet({found.rule: rule}, {}, {}, ""), lang, CATALOGUE, facts())


def test_the_unmet_sentence_shows_what_was_observed_and_the_limit():
    found = finding("SPF-003", Outcome.UNMET, observed={"spf.lookups": 12})

    assert words(found, SPF_LIMIT).title == "SPF needs at most 10 DNS lookups"
    assert words(found, SPF_LIMIT).message == "SPF needs 12 DNS lookups; 10 are allowed."
    assert words(found, SPF_LIMIT, "ja").message == "SPFのDNS参照が12回あります。上限は10回です。"


def test_a_field_of_the_item_is_read_from_the_finding():
    found = finding("DKIM-002", Outcome.UNMET, item="example.com/s1", observed={"item.bits": 1024})

    assert words(found, DKIM_BITS).message == "The key has 1024 bits."


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1_234, "messages", "1,234"),
        (12_345, "addresses", "12,345"),
        (999, "messages", "999"),
        (2_048, "bits", "2048"),
        (2_525, "", "2525"),
        (16_777_216, "", "16,777,216"),
        ("2026-11-25", "date", "25 Nov 2026"),
        ("2026-11", "date", "Nov 2026"),
    ],
)
def test_what_is_counted_has_separators_and_a_day_its_name(value, unit, shown):
    kind = FactType.STR if isinstance(value, str) else FactType.INT
    assert format_value(value, FactSpec("x", kind, "", unit), phrases("en")) == shown


@pytest.mark.parametrize(
    ("name", "shown"), [("least_messages", "5,000"), ("max_headers", "5,000"), ("min_bits", "5000")]
)
def test_a_limit_is_written_like_what_it_limits(name, shown):
    assert format_value(5_000, limit_spec(name), phrases("en")) == shown


def test_every_fact_that_is_a_day_or_a_time_says_so():
    """By its name; else it would be shown as programs write it."""
    ends = re.compile(r"(?:^|_)(day|date|since|until|begin|end|last|seen|unaligned)$")
    days = [each for each in catalogue().values() if each.type is FactType.STR and ends.search(_name_of(each.path))]
    assert len(days) > 20
    assert [each.path for each in days if each.unit not in ("date", "time")] == []


def _name_of(path):
    return path.rpartition(".")[2]


def test_a_finding_goes_by_what_is_wrong_and_by_a_name_where_nothing_is_known_to_be():
    unmet = words(finding("SPF-003", Outcome.UNMET, observed={"spf.lookups": 12}), DKIM_BITS)
    unknown = words(finding("SPF-003", Outcome.UNKNOWN, unknown=Unknown(Reason.TIMEOUT)), DKIM_BITS)

    assert (unmet.short, unmet.heading) == (
        "a DKIM key has fewer than 2048 bits",
        "A DKIM key has fewer than 2048 bits",
    )
    assert (unknown.noun, unknown.heading) == ("DKIM key length", "DKIM key length")


def test_a_heading_names_the_case_where_it_is_known():
    def heading(count):
        found = replace(finding("SPF-003", Outcome.UNMET, observed={"unsubscribe.https_count": count}), rule="UNS-003")
        return sentences(found, RULES, "en", catalogue(), facts()).heading

    assert heading(0) == "List-Unsubscribe has no https URL"
    assert heading(2) == "List-Unsubscribe has more than one https URL"
    assert rule_short(RULES.rules["UNS-003"], "en") == "List-Unsubscribe doesn't have exactly one https URL"


@pytest.mark.parametrize(
    ("text", "heading"),
    [
        ("a key is short", "A key is short"),
        ("dot-separated names", "Dot-separated names"),
        ("alignment", "Alignment"),
        *((text, text) for text in ("ptr in SPF", "https only", "pct, which is obsolete", "rua is missing", "mx")),
        ("spam is reported", "Spam is reported"),
        ("{item.host} is down", "{item.host} is down"),
        ("<meta> differs", "<meta> differs"),
        ("p=none is left", "p=none is left"),
        ("alt属性がない", "alt属性がない"),
    ],
)
def test_a_heading_begins_with_a_capital_unless_a_value_or_a_tag_does(text, heading):
    assert capital(text) == heading


def test_the_first_sentence_that_holds_is_told():
    several = (
        Sentence("There is no key.", Compare("item.bits", Op.EXISTS, False)),
        Sentence("{item.bits} bits.", Compare("item.bits", Op.LT, LimitRef("least"))),
        Sentence("A key of {item.bits}."),
    )
    rule = replace(DKIM_BITS, text={lang: replace(each, unmet=several) for lang, each in DKIM_BITS.text.items()})

    def says(bits):
        found = finding("DKIM-002", Outcome.UNMET, item="a/b", observed={"item.bits": bits}, limits={"least": 512})
        return words(found, rule).message

    assert says(None) == "There is no key."
    assert says(511) == "511 bits."
    assert says(512) == "A key of 512."
    # What could not be looked up is no reason to say that there is none.
    assert says(Unknown(Reason.TIMEOUT)) == "A key of could not be checked."


def test_a_step_is_left_out_where_it_certainly_does_not_apply():
    steps = (
        Sentence("Publish a key.", Compare("item.bits", Op.EXISTS, False)),
        Sentence("Make it longer than {item.bits}.", Compare("item.bits", Op.EXISTS, True)),
        Sentence("Audit again."),
    )
    rule = replace(DKIM_BITS, text={lang: replace(each, fix=steps) for lang, each in DKIM_BITS.text.items()})

    def says(bits):
        return words(finding("DKIM-002", Outcome.UNMET, item="a/b", observed={"item.bits": bits}), rule).fix

    assert says(None) == ("Publish a key.", "Audit again.")
    assert says(512) == ("Make it longer than 512.", "Audit again.")
    # What could not be looked up may be so or not.
    assert says(Unknown(Reason.TIMEOUT))[0] == "Publish a key."
    assert len(says(Unknown(Reason.TIMEOUT))) == 3


def test_a_code_of_a_closed_list_is_told_in_words():
    path = "dkim.signatures[].reason"
    catalogue = {path: FactSpec(path, FactType.STR, "", values=("body-changed", "new-code"))}
    text = {lang: replace(each, unmet=(Sentence("Fails: {item.reason}."),)) for lang, each in DKIM_BITS.text.items()}
    rule = replace(DKIM_BITS, each="dkim.signatures", text=text)

    def says(value, lang):
        found = finding("DKIM-002", Outcome.UNMET, item="a/b", observed={"item.reason": value})
        return sentences(found, RuleSet({found.rule: rule}, {}, {}, ""), lang, catalogue, facts()).message

    assert says("body-changed", "en") == "Fails: the body was changed."
    assert says("body-changed", "ja") == "Fails: 本文が変更されています."
    assert says("new-code", "ja") == "Fails: new-code."
    assert says("not listed", "ja") == "Fails: not listed."


def test_a_fact_that_was_not_observed_is_taken_from_the_report():
    assert words(finding("SPF-003", Outcome.MET), SPF_LIMIT).message == "SPF needs 12 DNS lookups."


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        (Reason.TIMEOUT, "did not answer in time (TXT example.com). This says nothing about your records"),
        (Reason.SERVFAIL, "reported a failure (TXT example.com). This says nothing about your records"),
        (Reason.REFUSED, "refused to answer (TXT example.com). This says nothing about your records"),
        (Reason.OFFLINE, "deliv didn't look this up (TXT example.com). Use live DNS"),
        (Reason.NO_MESSAGE, "--eml FILE"),
        (Reason.NOT_CONFIGURED, "more input (TXT example.com)"),
        (Reason.LIMIT, "exceeds deliv's safety limits"),
        (Reason.BUG, "Report it. Other results are not affected"),
    ],
)
def test_what_could_not_be_checked_says_why_and_never_that_something_is_missing(reason, says):
    found = finding("SPF-003", Outcome.UNKNOWN, unknown=Unknown(reason, ASKED(type="TXT", name="example.com")))

    assert says in words(found, SPF_LIMIT).message
    assert "missing" not in words(found, SPF_LIMIT).message
    assert words(found, SPF_LIMIT, "ja").message


def test_an_unknown_value_inside_a_sentence_reads_could_not_be_checked():
    found = finding("SPF-003", Outcome.UNMET, observed={"spf.lookups": Unknown(Reason.TIMEOUT)})

    assert words(found, SPF_LIMIT).message == "SPF needs could not be checked DNS lookups; 10 are allowed."


def test_sizes_that_round_to_the_same_words_are_written_out():
    close = finding("SIZ-001", Outcome.UNMET, observed={"message.size_octets": 20_000_300})
    far = finding("SIZ-001", Outcome.UNMET, observed={"message.size_octets": 24_000_000})

    assert words(close, SIZE).message == "The message has 20,000,300 bytes; at most 20,000,000 bytes arrive."
    assert words(far, SIZE).message == "The message has 24 MB; at most 20 MB arrive."


@pytest.mark.parametrize(
    ("number", "en", "ja"),
    [
        (0, "0 bytes", "0バイト"),
        (1, "1 byte", "1バイト"),
        (999, "999 bytes", "999バイト"),
        (9_999, "10 KB", "10 KB"),
        (104_448, "104.4 KB", "104.4 KB"),
        (20_000_000, "20 MB", "20 MB"),
    ],
)
def test_sizes(number, en, ja):
    assert (octets(number, EN), octets(number, JA)) == (en, ja)


@pytest.mark.parametrize(
    ("seconds", "en", "ja"),
    [
        (1, "1 second", "1秒"),
        (90, "1 minute 30 seconds", "1分30秒"),
        (3_600, "1 hour", "1時間"),
        (5_400, "1 hour 30 minutes", "1時間30分"),
        (259_200, "3 days", "3日"),
        (-259_200, "3 days", "3日"),
    ],
)
def test_spans_of_time(seconds, en, ja):
    assert (duration(seconds, EN), duration(seconds, JA)) == (en, ja)


def test_a_day_is_written_as_the_reader_writes_it():
    spec = FactSpec("x.day", FactType.STR, "A day.", "date")
    assert format_value("2026-10-21", spec, EN) == "21 Oct 2026"
    assert format_value("2026-10-21", spec, JA) == "2026年10月21日"
    assert format_value("2026-10", spec, EN) == "Oct 2026"
    assert format_value("2026-10-21", None, EN) == "2026-10-21", "a selector or a campaign may be called so"


def test_a_moment_is_a_date_and_not_a_span():
    spec = FactSpec("x", FactType.INT, "When it ends.", "moment")

    assert format_value(1_790_000_000, spec, EN) == moment_words("2026-09-21T14:13:20+00:00", EN)
    assert format_value(10**20, spec, EN) == f"{10**20:,}"


def test_the_description_of_a_span_makes_it_no_moment():
    spec = FactSpec("x", FactType.INT, "How long it takes, not seconds since 1970.", "seconds")

    assert format_value(5_400, spec, EN) == "1 hour 30 minutes"


def test_lists_are_joined_and_cut_with_a_count():
    assert format_value(("a", "b"), None, EN) == "a, b"
    assert format_value(("a", "b"), None, JA) == "a、b"
    assert format_value(tuple("abcdefgh"), None, EN) == "a, b, c, d, e, f and 2 more"
    assert format_value((), None, EN) == "—"


def test_plain_values():
    assert [format_value(value, None, EN) for value in (None, "", True, False, 512, 65_536)] == [
        "—",
        "—",
        "yes",
        "no",
        "512",
        "65,536",
    ]


def test_records_are_named_by_their_key():
    spec = FactSpec("dkim.signatures", FactType.LIST_RECORD, "", key=("domain", "selector"))

    assert format_value(({"domain": "a.example", "selector": "s"},), spec, EN) == "a.example/s"
    assert format_value({"pref": 10, "host": "mx"}, None, EN) == "pref=10 host=mx"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("invoice\u202efdp.exe", "invoice\\u202efdp.exe"),
        ("pay\u200bpal", "pay\\u200bpal"),
        ("a\u00a0b", "a\\xa0b"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("a\r\nb\tc", "a\\r\\nb\\tc"),
        ("見積書\u3000一式", "見積書\u3000一式"),
        ("naïve ✓ 😀", "naïve ✓ 😀"),
    ],
)
def test_hidden_characters_are_written_out_and_others_stay(raw, shown):
    assert visible(raw) == shown
    assert visible(shown) == shown


def test_a_hostile_record_cannot_steer_the_terminal_through_a_sentence():
    found = finding("SPF-003", Outcome.UNMET, observed={"spf.lookups": "\x1b]0;pwned\x07\u202e"})

    assert words(found, SPF_LIMIT).message.startswith("SPF needs \\x1b]0;pwned\\x07\\u202e DNS lookups")


@given(st.text())
def test_whatever_is_shown_is_printable_and_can_be_encoded(text):
    shown = visible(text)

    shown.encode("utf-8")
    assert all(char.isprintable() or char == "\u3000" for char in shown)


def test_a_long_value_is_cut():
    assert len(format_value("x" * 70_000, None, EN)) == 300


def test_braces_in_values_are_not_read_as_placeholders():
    found = finding("SPF-003", Outcome.UNMET, observed={"spf.lookups": "{spf.record}"})

    assert "{spf.record}" in words(found, SPF_LIMIT).message


def test_both_languages_have_the_same_phrases_with_the_same_placeholders():
    assert LANGUAGES == ("en", "ja")
    assert EN.texts.keys() == JA.texts.keys()
    assert {k: placeholders(v) for k, v in EN.texts.items()} == {k: placeholders(v) for k, v in JA.texts.items()}


def test_japanese_phrases_are_japanese():
    english = re.compile(r"[a-z]{3,} [a-z]{2,}")
    left = {
        key
        for key, text in JA.texts.items()
        if english.search(re.sub(r"\{.*?\}|--\S+|`[^`]*`|deliv [a-z]+|void lookup", "", text))
    }

    assert left == set()
