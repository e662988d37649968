"""Addresses as written: characters that receivers refuse, and domains that mix scripts."""

from __future__ import annotations

from typing import Any

import pytest

from deliverability.core.facts.base import FactSet, Reason, Unknown
from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail.addresses import to_a_label
from deliverability.core.mail.reader import read
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.engine.auditors import message
from deliverability.engine.auditors.message import is_highly_restrictive, unicode_labels
from deliverability.engine.base import gather
from tests.engine.auditors.test_message import DeadResolver
from tests.facts_of import NOW, stating


async def audit(raw: str | None, **given: Any) -> FactSet:
    facts: dict[str, Any] = {
        "envelope.mail_from": given.get("mail_from", {"unknown": "not-configured"}),
        "envelope.mail_from_domain": given.get("mail_from_domain", {"unknown": "not-configured"}),
        "dkim.signatures": given.get("signatures", []),
    }
    octets = raw.encode() if raw is not None else None
    gathered = await gather(
        [stating(facts, message.addresses_audit), message.addresses_audit],
        Subject("example.com", sample=Sample("", data=octets)),
        Ports(DeadResolver(), FixedClock(NOW)),
        read(octets) if octets is not None else None,
    )
    assert gathered.crashes == ()
    return gathered.facts


@pytest.mark.parametrize("character", list("$%?{}"))
async def test_characters_that_yahoo_forbids(character: str) -> None:
    facts = await audit(f"From: Taro <ta{character}ro@example.com>\nReply-To: taro@example.com\n\nx")
    assert facts.value("message.forbidden_address_characters") == (f"ta{character}ro@example.com",)
    assert facts.facts["message.forbidden_address_characters"].evidence == ("header:from:1",)


async def test_a_quoted_local_part_may_hold_them_and_is_refused_all_the_same() -> None:
    facts = await audit('From: Taro <"ya,ma"@example.com>\nSender: <"a>b"@example.com>\n\nx')
    assert facts.value("message.forbidden_address_characters") == ('"ya,ma"@example.com', '"a>b"@example.com')


async def test_the_envelope_counts_where_it_is_known() -> None:
    facts = await audit("From: a@example.com\n\nx", mail_from="b%x@example.com", mail_from_domain="example.com")
    assert facts.value("message.forbidden_address_characters") == ("b%x@example.com",)


async def test_what_names_and_common_addresses_hold_is_no_fault() -> None:
    raw = 'From: "100% sale, $5 {now}?" <news+tag_1-x=y.z@example.com>\nTo: <a%b@example.com>\n\nx'
    facts = await audit(raw, mail_from="prvs=12=a/b&c'd@example.com", mail_from_domain="example.com")
    assert facts.value("message.forbidden_address_characters") == ()


@pytest.mark.parametrize(
    ("label", "allowed"),
    [
        ("example", True),
        ("xn--not-punycode-ü", True),
        ("日本語", True),
        ("東京タワーのお店", True),  # Han, katakana, hiragana and the long vowel mark
        ("nippon日本ラーメン", True),  # with Latin: Japanese
        ("abc中文ㄅㄆ", True),
        ("seoul한국漢字", True),
        ("佐々木", True),
        ("пример", True),
        ("пример-2026", True),
        ("ελλάδα", True),
        ("हिन्दी", True),
        ("ไทย", True),
        ("exаmple", False),  # a Cyrillic а among Latin letters
        ("οrange", False),  # a Greek ο
        ("пример日本", False),
        ("한국カナ", False),
        ("ไทยabc", False),  # moderately, not highly restrictive
    ],
)
def test_mixtures_of_scripts(label: str, allowed: bool) -> None:
    assert is_highly_restrictive(label) is allowed


def test_labels_as_people_see_them() -> None:
    assert unicode_labels("XN--wgv71a119e.example") == ("日本語", "example")
    assert unicode_labels("xn--999999999b.example") == ("xn--999999999b", "example")


async def test_domains_of_all_identities() -> None:
    mixed = [to_a_label(f"ex{letter}mple.com") for letter in "аα"]  # Cyrillic, Greek
    facts = await audit(
        "From: Taro <a@exаmple.com>\nReply-To: b@日本語.example\n\nx",
        mail_from=f"c@{mixed[1]}",
        mail_from_domain=mixed[1],
        signatures=[{"domain": mixed[0]}, {"domain": to_a_label("пример.com")}, {"domain": None}],
    )
    # Each label has its scripts: Cyrillic below .com is no mixture.
    assert facts.value("message.mixed_script_domains") == (mixed[0], mixed[1])
    assert facts.facts["message.mixed_script_domains"].evidence == ("header:from:1",)


async def test_without_a_message_nothing_is_known() -> None:
    facts = await audit(None)
    for name in ("forbidden_address_characters", "mixed_script_domains"):
        assert facts.value(f"message.{name}") == Unknown(Reason.NO_MESSAGE)
