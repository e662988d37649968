"""Who sends a message, where that is, and how to refuse it, as its text says."""

from __future__ import annotations

import asyncio

import pytest

from deliverability.core.facts.base import FactSet, Unknown
from deliverability.core.inputs import Subject
from deliverability.core.mail.reader import read
from deliverability.core.model.knowledge import Expressions
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.rules.knowledge import shipped
from deliverability.engine.auditors.imprint import text_ends
from deliverability.engine.base import auditor_named, gather
from tests.facts_of import NOW


def facts(body: str, kind: str = "text/plain", charset: str = "utf-8") -> FactSet:
    """The facts of a message with this text."""
    head = f"From: a@example.com\r\nMIME-Version: 1.0\r\nContent-Type: {kind}; charset={charset}\r\n"
    octets = f"{head}Content-Transfer-Encoding: 8bit\r\n\r\n".encode() + body.encode(charset)
    ports = Ports(StaticResolver({}), FixedClock(NOW))
    one = [auditor_named("imprint")]
    return asyncio.run(gather(one, Subject("example.com"), ports, read(octets), knowledge=shipped())).facts


FILLER = "Everything is half the price this week, in every shop of ours. "


@pytest.mark.parametrize(
    "address",
    [
        "〒100-0001 東京都千代田区千代田1-1",
        "〒１００－０００１",
        "大阪府大阪市北区梅田1丁目2番3号",
        "横浜市西区みなとみらい2-2-1",
        "345 Park Avenue, San Jose, CA 95110",
        "548 Market St #28475 · San Francisco, CA 94104",
        "P.O. Box 123, Austin, TX 78701",
        "100 5th Avenue | New York NY | 10011",
        "203 Fake St. Mountain View, California",
        "100 King Street West, Toronto, ON M5X 1A9",
        "10 Downing Street, London SW1A 2AA",
        "Musterstraße 12, 10115 Berlin",
        "12 rue de Rivoli, 75001 Paris",
        "Keizersgracht 123, 1015 CJ Amsterdam",
        "1 Martin Place, Sydney NSW 2000",
    ],
)
def test_postal_addresses(address: str) -> None:
    assert facts(FILLER + address).value("imprint.postal_addresses")


@pytest.mark.parametrize(
    "text",
    [
        "会場：〒100-0001 東京都千代田区千代田1-1",
        "お届け先 〒100-0001 東京都千代田区千代田1-1",
        "Venue: 345 Park Avenue, San Jose, CA 95110",
        "Shipping address: Jane Doe 345 Park Avenue, San Jose, CA 95110",
        "商品番号 1234567",
        "Save 20 percent on 300 items in 2026, order no. 10011",
        "> Acme, 345 Park Avenue, San Jose, CA 95110",
    ],
)
def test_what_is_no_address_of_the_sender(text: str) -> None:
    assert facts(f"{FILLER}\r\n{text}").value("imprint.postal_addresses") == ()


@pytest.mark.parametrize(
    "name",
    ["株式会社サンプル", "サンプル商事㈱", "発行者：山田太郎", "Example Inc.", "Beispiel GmbH", "© 2026 Example"],
)
def test_names(name: str) -> None:
    assert facts(FILLER + name).value("imprint.names")


@pytest.mark.parametrize(
    "text",
    [
        "配信停止はこちら",
        "今後の配信を希望されない方は",
        "メルマガの解除",
        "Unsubscribe",
        "If you no longer wish to receive these emails",
        "Manage your preferences",
        "Newsletter abmelden",
    ],
)
def test_statements_that_the_mail_can_be_refused(text: str) -> None:
    assert facts(FILLER + text).value("imprint.opt_out")


def test_contacts_are_not_addresses_that_nobody_reads() -> None:
    found = facts(f"{FILLER}noreply@example.com info@example.com TEL: 03-1234-5678 お問い合わせ")
    assert found.value("imprint.contact_mails") == ("info@example.com",)
    assert found.value("imprint.phones")
    assert found.value("imprint.contacts") == ("お問い合わせ",)


def test_an_address_over_the_cells_of_a_table_is_one() -> None:
    page = f"<p>{FILLER}</p><table><tr><td>345 Park Avenue</td></tr><tr><td>San Jose, CA<br>95110</td></tr></table>"
    assert facts(page, "text/html").value("imprint.postal_addresses") == ("345 Park Avenue San Jose, CA 95110",)


def test_iso_2022_jp_is_read() -> None:
    assert facts("株式会社サンプル　東京都港区芝公園４丁目２番８号", charset="iso-2022-jp").value(
        "imprint.postal_addresses"
    )


def test_a_message_of_images_tells_nothing() -> None:
    found = facts('<img src="https://example.com/sale.png" alt="">', "text/html")
    assert isinstance(found.value("imprint.names"), Unknown)


def test_links_to_pages_that_may_have_the_rest() -> None:
    page = f'<p>{FILLER}</p><a href="https://example.com/law">特定商取引法に基づく表記</a>'
    assert facts(page, "text/html").value("imprint.linked_pages") == ("特定商取引法に基づく表記",)


@pytest.mark.parametrize("kind", ["text/plain", "text/html"])
def test_a_long_text_is_read_at_its_head_and_its_foot(kind: str) -> None:
    middle = FILLER * 1000
    found = facts(f"Head Inc. {middle} Middle Inc. {middle * 2} 345 Park Avenue, San Jose, CA 95110", kind)
    assert found.value("imprint.names") == ("Head Inc",)
    assert found.value("imprint.postal_addresses") == ("345 Park Avenue, San Jose, CA 95110",)


@pytest.mark.parametrize("pieces", [1, 7, 1000, 30_000])
def test_where_a_text_is_cut_into_pieces_changes_nothing(pieces: int) -> None:
    text = "".join(f"{number} " for number in range(30_000))
    cut = [text[place : place + pieces] for place in range(0, len(text), pieces)]
    assert text_ends(cut) == text_ends([text])
    assert text_ends(cut).startswith("0 1 2 ")
    assert text_ends(cut).endswith(" 29999 ")
    assert len(text_ends(cut)) < len(text) / 2


def test_words_in_another_script_are_looked_for_where_it_is_written() -> None:
    known = Expressions(("(?i)stop mail", "配信停止"))
    assert [match[0] for match in known.finditer("STOP MAIL")] == ["STOP MAIL"]
    assert [match[0] for match in known.finditer("配信停止, Stop mail")] == ["配信停止", "Stop mail"]
    assert known.search("für STOP mail") is not None
    assert Expressions(()).search("anything") is None
