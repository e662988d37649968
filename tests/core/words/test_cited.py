"""Sources in the reader's language: Japanese titles and pages where there are any, and the language of all others."""

from __future__ import annotations

import re

from msgspec.structs import replace

from deliverability.core.model.rules import LANGUAGE, Edition, Source
from deliverability.core.phrases import phrases
from deliverability.core.words.speaker import cited, read_day_words, read_words, titled
from deliverability.engine.rules import load_rules

EN, JA = phrases("en"), phrases("ja")
PAGE = Source(
    title="Sender guidelines",
    url="https://receiver.example/en",
    publisher="Receiver",
    checked="2026-11-24",
    read_as="archive 2026-06",
)
TRANSLATED = replace(PAGE, ja=Edition("送信者のガイドライン", "https://receiver.example/ja"))
OF_JAPAN = replace(PAGE, language="ja", ja=Edition("送信者の方へ"))


def test_a_page_with_a_japanese_edition_is_shown_in_it() -> None:
    assert cited(TRANSLATED, EN) == Edition("Sender guidelines", "https://receiver.example/en")
    assert cited(TRANSLATED, JA) == Edition("送信者のガイドライン", "https://receiver.example/ja")


def test_what_was_read_is_never_said_to_be_the_japanese_edition() -> None:
    assert read_words(TRANSLATED, EN) == "archived copy from Jun 2026, accessed 24 Nov 2026"
    assert read_words(TRANSLATED, JA) == "2026年6月の保存版、2026年11月24日に確認、英語版による"
    assert read_day_words(TRANSLATED, JA) == "2026年11月24日に確認、英語版による"


def test_a_page_in_another_language_is_named_as_such() -> None:
    assert cited(PAGE, JA).title == "Sender guidelines"
    assert read_day_words(PAGE, JA) == "英語、2026年11月24日に確認"
    assert read_day_words(replace(PAGE, language="fr"), EN) == "in French, accessed 24 Nov 2026"


def test_a_japanese_page_has_its_japanese_title_for_japanese_readers_alone() -> None:
    assert cited(OF_JAPAN, JA) == Edition("送信者の方へ", "https://receiver.example/en")
    assert read_day_words(OF_JAPAN, JA) == "2026年11月24日に確認"
    assert cited(OF_JAPAN, EN).title == "Sender guidelines"
    assert read_day_words(OF_JAPAN, EN) == "in Japanese, accessed 24 Nov 2026"


def test_every_language_of_a_page_has_a_name() -> None:
    for language in LANGUAGE.split("|"):
        assert EN(f"read.language.{language}")
        assert JA(f"read.language.{language}")


def test_every_shipped_page_that_exists_in_japanese_is_shown_so() -> None:
    """Google's and Microsoft's help and Apple's support pages; and the title of every Japanese page is Japanese."""
    localized = re.compile(r"https://(support\.google\.com|learn\.microsoft\.com|support\.apple\.com)/")
    japanese = re.compile(r"hl=ja|/ja-jp/")
    for source in load_rules().sources.values():
        shown = cited(source, JA)
        if localized.match(source.url) and source.language == "en":
            assert japanese.search(shown.url), source.key
        if source.language == "ja":
            assert re.search("[ぁ-んァ-ヶ一-龠]|：", shown.title), source.key


def test_sections_are_named_with_their_source() -> None:
    assert titled("RFC 7208", "", EN) == "RFC 7208"
    assert titled("RFC 7208", "5.2", EN) == "RFC 7208, section 5.2"
    assert titled("RFC 7208", "4.6.4, 5, 5.7", EN) == "RFC 7208, sections 4.6.4, 5 and 5.7"
    assert titled("RFC 7208", "4.6, 12", JA) == "RFC 7208、4.6、12節"
    assert titled("Sisimai", "rhost/google", EN) == "Sisimai, rhost/google"
