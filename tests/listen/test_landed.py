"""One page for one message: its size, its look and its verdict, and where it landed in mailboxes of the user."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pytest

from deliverability.core.model.report import VerdictKind
from deliverability.core.net.open import PortSettings
from deliverability.core.phrases import LANGUAGES, phrases
from deliverability.core.store.store import History
from deliverability.listen.service import CaptureService, RoomSettings
from deliverability.listen.store import CaptureStore
from deliverability.seeds.kept import SeedHistory
from deliverability.seeds.values import Folder, Placed
from tests.listen.listening import DEMO, RoomHere, client
from tests.listen.test_pages import kept

pytestmark = pytest.mark.long

TOKEN = "k3m9xq2pw7ab"
MAIL = b"X-Deliv-Seed: %b\r\n" % TOKEN.encode() + (DEMO / "newsletter.eml").read_bytes()
AT = "2026-11-29T08:00:00Z"


def service_over(folder: Path, **how: Any) -> CaptureService:
    settings = RoomSettings(
        ports=PortSettings(zones=(DEMO / "example.zone",)), history="sqlite:///history.sqlite3", home=folder
    )
    return CaptureService(CaptureStore(None), RoomHere(settings), **how)


def keep(folder: Path, *rows: Placed) -> None:
    history = History.open("sqlite:///history.sqlite3", folder=folder)
    SeedHistory(history).keep(rows)
    history.close()


def row(mailbox: str, folder: Folder, test: str = TOKEN) -> Placed:
    return Placed(
        test,
        "gmail",
        mailbox,
        "example.com",
        AT,
        AT,
        folder,
        delay_s=41,
        auth={"spf": "pass", "dmarc": "fail"},
        verdict=VerdictKind.ACCEPTED,
    )


async def page(service: CaptureService, octets: bytes = MAIL, lang: str = "en") -> str:
    ident = await kept(service, octets)
    async with client(service) as browser:
        return html.unescape((await browser.get(f"/messages/{ident}?lang={lang}")).text)


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_where_it_landed_stands_beside_size_look_and_verdict(tmp_path: Path, lang: str) -> None:
    keep(tmp_path, row("<b>g1</b>", Folder.SPAM), row("g2", Folder.INBOX), row("other", Folder.OTHER, "another-test"))
    say = phrases(lang)
    text = await page(service_over(tmp_path), lang=lang)
    for heading in ("look.limits", "look.previews", "seeds.heading", "look.todo"):
        assert say(heading) in text
    assert say("seeds.folder.spam") in text
    assert (
        say("seeds.recorded", receiver="Gmail", results=say("punctuation.list").join(("SPF pass", "DMARC fail")))
        in text
    )
    assert say("seeds.contradicted", receiver="Gmail") in text
    assert say("seeds.folder.other") not in text, "that was another message"


async def test_nothing_in_the_name_of_a_mailbox_is_markup(tmp_path: Path) -> None:
    keep(tmp_path, row("<b>g1</b>", Folder.SPAM))
    service = service_over(tmp_path)
    ident = await kept(service, MAIL)
    async with client(service) as browser:
        assert "&lt;b&gt;g1&lt;/b&gt;" in (await browser.get(f"/messages/{ident}")).text


async def test_a_marked_message_that_was_not_read_yet_says_how(tmp_path: Path) -> None:
    assert f"deliv seeds await {TOKEN}" in await page(service_over(tmp_path))


async def test_a_message_without_a_mark_says_nothing_of_it(tmp_path: Path) -> None:
    octets = (DEMO / "newsletter.eml").read_bytes()
    assert phrases("en")("seeds.heading") not in await page(service_over(tmp_path), octets)


async def test_a_history_that_cannot_be_read_is_told_and_the_page_stays(tmp_path: Path) -> None:
    (tmp_path / "history.sqlite3").write_bytes(b"no database" * 1000)
    text = await page(service_over(tmp_path))
    assert "history.sqlite3" in text
    assert phrases("en")("look.previews") in text
