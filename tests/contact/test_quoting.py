"""Quoted replies: nobody's address is in them, and their times are read from what holds them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverability.contact.gather import ContactError, RepliesQuoted, load_contacts, masked
from deliverability.core.replies.explain import explain
from deliverability.core.replies.match import load_replies
from deliverability.engine.rules import load_rules, rule_folders
from tests.corpus import corpus

pytestmark = pytest.mark.long

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "recipient", "shown"),
    [
        ("550 <taro@icloud.com>: unknown", "", "550 <t***@icloud.com>: unknown"),
        ("550 Unknown user kijitora", "kijitora@example.jp", "550 Unknown user k***"),
        ("550 KIJITORA... no", "kijitora@example.jp", "550 k***... no"),
        ("550 User unknown", "user@example.jp", "550 u*** unknown"),
        ("550 5.7.1 policy", "", "550 5.7.1 policy"),
    ],
)
def test_what_stands_before_the_at_is_masked(text: str, recipient: str, shown: str) -> None:
    assert masked(text, recipient) == shown


_LOCAL = st.text("abcxyz019._-+", min_size=3, max_size=12)


@given(st.text("ab 1<>@.=", max_size=60), _LOCAL)
def test_no_address_stays_readable(text: str, local: str) -> None:
    shown = masked(f"{text} <{local}@example.jp> {text}", f"{local}@example.jp")
    assert f"<{local}@" not in shown


def test_recipients_of_all_bounces_of_the_corpus_are_masked() -> None:
    rules = load_rules()
    catalogue = load_replies(rule_folders(), rules)
    found = 0
    for path in sorted(corpus("bounces", "sisimai").rglob("*.eml")):
        octets = path.read_bytes()
        explained = explain(octets, catalogue, rules).replies
        recipients = {each.reply.recipient for each in explained} - {""}
        for receiver in {each.receiver for each in explained}:
            quotes = RepliesQuoted(receiver)
            quotes.take(octets, catalogue, rules, NOW)
            for quoted in quotes.replies():
                found += 1
                for recipient in recipients:
                    assert recipient.lower() not in quoted.text.lower(), path.name
    assert found > 80


@pytest.mark.parametrize(
    ("line", "day"),
    [
        ("2026-11-20T23:30:00+09:00 x: host mx01.mail.icloud.com[192.0.2.1] said: 550 5.7.1 no", date(2026, 11, 20)),
        ("2026-11-20T23:30:00Z host mx01.mail.icloud.com[192.0.2.1] said: 550 5.7.1 no", date(2026, 11, 20)),
        ("Nov 20 12:00:00 x: host mx01.mail.icloud.com[192.0.2.1] said: 550 5.7.1 no", date(2026, 11, 20)),
        ("Dec 20 12:00:00 x: host mx01.mail.icloud.com[192.0.2.1] said: 550 5.7.1 no", date(2025, 12, 20)),
    ],
)
def test_the_time_is_that_of_the_line_and_a_time_without_a_year_is_past(line: str, day: date) -> None:
    rules = load_rules()
    quotes = RepliesQuoted("icloud")
    quotes.take(line.encode(), load_replies(rule_folders(), rules), rules, NOW)
    assert quotes.days() == {day: 1}


def test_a_bounce_has_the_time_of_its_own_date() -> None:
    rules = load_rules()
    quotes = RepliesQuoted("icloud")
    notice = (
        b"From: MAILER-DAEMON@example.com\r\nDate: Fri, 20 Nov 2026 08:00:00 +0900\r\nSubject: Undelivered\r\n\r\n"
        b"<a@icloud.com>: host mx01.mail.icloud.com[192.0.2.1] said: 554 5.7.1 no\r\n"
    )
    quotes.take(notice, load_replies(rule_folders(), rules), rules, NOW)
    assert quotes.first() == datetime(2026, 11, 19, 23, tzinfo=UTC)


def test_what_is_about_an_address_is_no_matter_for_a_postmaster() -> None:
    rules = load_rules()
    quotes = RepliesQuoted("docomo")
    line = b"host mfsmax.docomo.ne.jp[192.0.2.5] said: 550 Unknown user someone@docomo.ne.jp"
    quotes.take(line, load_replies(rule_folders(), rules), rules, NOW)
    assert (quotes.replies(), quotes.of_recipients) == ((), 1)


ENTRY = """
- receiver: icloud
  channel: mail
  address: postmaster@example.net
  language: en
  asks: [domain]
  note: {en: Write., ja: 書いてください。}
  sources: [{ref: apple-postmaster}]
"""


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        (ENTRY.replace("icloud", "nobody"), "no receiver nobody"),
        (ENTRY.replace("apple-postmaster", "hearsay"), "no source 'hearsay'"),
        (ENTRY.replace("  asks: [domain]\n", "  asks: [domain]\n  conditions: [NOPE-001]\n"), "no rule NOPE-001"),
        (ENTRY.replace("[domain]", "[]"), "an entry with a contact needs asks"),
        (ENTRY.replace("postmaster@example.net", "https://example.net/"), "not a valid address for the channel mail"),
        (ENTRY.replace("channel: mail", "channel: fax"), "contacts.yaml:3"),
    ],
)
def test_mistakes_in_a_file_are_told_with_their_place(tmp_path, text: str, trouble: str) -> None:
    (tmp_path / "contacts.yaml").write_text(text)
    with pytest.raises(ContactError) as caught:
        load_contacts((*rule_folders(), tmp_path), load_rules())
    assert trouble in str(caught.value)


def test_a_folder_of_the_user_replaces_a_contact(tmp_path) -> None:
    (tmp_path / "contacts.yaml").write_text(ENTRY)
    assert load_contacts((*rule_folders(), tmp_path), load_rules())["icloud"].address == "postmaster@example.net"
