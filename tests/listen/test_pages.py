"""The pages of `deliv listen` as a browser without script sees them."""

from __future__ import annotations

import html
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from deliverability.core.codes import VERBATIM
from deliverability.core.errors import InputError
from deliverability.core.mail.reader import read
from deliverability.core.phrases import phrases
from deliverability.core.words.sentences import octets as octets_words
from deliverability.listen.pages import ImagePermits
from deliverability.listen.service import CaptureChange, CaptureNews, CaptureService
from deliverability.listen.store import CaughtMail, Reservations
from tests.listen.listening import DEMO, ORIGIN, client, listener

pytestmark = pytest.mark.long

MAIL = (DEMO / "newsletter.eml").read_bytes()
OLD, NEW = (
    b"From: a@sakura-shop.example\r\nSubject: Tea at %s yen\r\n\r\nA price of %s yen.\r\n" % (each, each)
    for each in (b"1000", b"2000")
)
HOSTILE = (
    b"From: a@sakura-shop.example\r\nSubject: <script>alert(1)</script>\r\nContent-Type: text/html\r\n\r\n"
    b"<script>alert(1)</script><img src='http://img.shop.example/a.png'><p onclick=x()>Hello</p>"
)


@pytest.fixture
def service() -> CaptureService:
    return listener(smtp="127.0.0.1:1025")


async def kept(service: CaptureService, octets: bytes = MAIL, name: str = "mail.eml") -> str:
    """The id of a message that was taken and audited."""
    async with service.feed.follow() as news:
        made = await service.take(octets, None, name=name)
        async for each in news:
            if each == CaptureNews(CaptureChange.AUDITED, made.id):
                break
    return made.id


async def test_the_list_says_where_to_send_to_and_what_came(service: CaptureService) -> None:
    async with client(service) as browser:
        empty = await browser.get("/")
        assert "<code>127.0.0.1:1025</code>" in empty.text
        assert "Nothing has arrived yet." in empty.text
        ident = await kept(service)
        page = (await browser.get("/")).text
    assert f'href="/messages/{ident}"' in page
    assert "Autumn sale 秋のセール" in page
    assert service.store.get(ident).summary.leads["en"] in page  # type: ignore[union-attr]


async def test_a_public_listener_offers_addresses_in_place_of_its_server() -> None:
    service = listener(smtp="192.0.2.1:25", public=True, reservations=Reservations("mx.test.example"))
    async with client(service) as browser:
        assert "192.0.2.1" not in (await browser.get("/")).text
        page = (await browser.post("/tests")).text
    address = re.search(r"<code>(t-[0-9a-z]{26}@mx\.test\.example)</code>", page)
    assert address
    assert service.reservations.takes(address[1], datetime.now(UTC))


async def test_a_message_is_listed_while_it_is_still_being_checked(service: CaptureService) -> None:
    made = await service.take(MAIL, None)
    async with client(service) as browser:
        assert "Checking" in (await browser.get("/")).text
        assert (await browser.get(f"/messages/{made.id}")).status_code == 409
    await service.close()


async def test_a_message_that_comes_while_the_listener_starts_is_audited_once(
    service: CaptureService, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def call(wanted: str, mail: CaughtMail) -> None:
        asked.append((wanted, mail.capture.id))
        raise InputError(VERBATIM(text="no"))

    monkeypatch.setattr(service.worker, "run", call)
    async with service.feed.follow() as news:
        made = await service.take(MAIL, None)
        service.resume()
        assert [(await anext(news)).change for _ in range(2)] == [CaptureChange.CAME, CaptureChange.AUDITED]
    assert asked == [("audit", made.id)]


async def test_an_uploaded_file_is_taken_and_the_browser_led_back_to_the_list(service: CaptureService) -> None:
    async with client(service, headers={"origin": ORIGIN}) as browser:
        answer = await browser.post("/messages", files={"message": ("sale.eml", MAIL, "message/rfc822")})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert "file sale.eml" in (await browser.get("/")).text
    assert [service.store.raw(each.id) for each in service.store] == [MAIL]
    await service.close()


@pytest.mark.parametrize(
    ("octets", "status", "words"),
    [
        (b"  \r\n", 400, "No file was chosen, or the file is empty."),
        (MAIL * 3, 413, "The file is larger than this listener's limit of 50 KB"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, 422, "a.eml is not an email but a PNG image. Save the message as .eml"),
        (b"$ORIGIN example.com.\n@ IN A 192.0.2.1\n", 422, "a.eml looks like a zone file"),
    ],
    ids=["empty", "large", "picture", "zone"],
)
async def test_an_upload_that_is_no_message_or_too_large_is_refused_in_words(
    octets: bytes, status: int, words: str
) -> None:
    service = listener(max_octets=50_000)
    async with client(service) as browser:
        answer = await browser.post("/messages?lang=en", files={"message": ("a.eml", octets)})
    assert answer.status_code == status
    assert 'role="alert"' in answer.text
    assert words in html.unescape(answer.text)
    assert len(service.store) == 0


async def test_another_site_can_neither_send_nor_delete_nor_load_images(service: CaptureService) -> None:
    ident = await kept(service)
    async with client(service, headers={"origin": "https://evil.example"}) as browser:
        for path in ("/messages", f"/messages/{ident}/delete", f"/messages/{ident}/images"):
            assert (await browser.post(path)).status_code == 403
    assert service.store.get(ident) is not None


async def test_delete_removes_it_and_leads_back(service: CaptureService) -> None:
    ident = await kept(service)
    async with client(service) as browser:
        answer = await browser.post(f"/messages/{ident}/delete")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        for path in ("", "/report", "/preview", "/raw.eml", "/slim.eml", "/picture"):
            gone = await browser.get(f"/messages/{ident}{path}")
            assert gone.status_code == 404
            assert "This message doesn't exist or was deleted." in html.unescape(gone.text)


async def test_a_message_whose_file_was_removed_is_not_there(tmp_path: Path) -> None:
    service = listener(tmp_path)
    ident = await kept(service)
    shutil.rmtree(tmp_path / ident)
    async with client(service) as browser:
        for path in ("", "/report", "/preview", "/raw.eml", "/slim.eml"):
            assert (await browser.get(f"/messages/{ident}{path}")).status_code == 404
        for path in ("raw", "report.json"):
            assert (await browser.get(f"/api/messages/{ident}/{path}")).status_code == 404
        assert (await browser.post(f"/messages/{ident}/delete")).status_code == 303
    assert len(service.store) == 0


async def test_the_language_is_asked_for_kept_or_preferred(service: CaptureService) -> None:
    ident = await kept(service)
    async with client(service, headers={"accept-language": "ja,en;q=0.5"}) as browser:
        assert '<html lang="ja">' in (await browser.get("/")).text
        assert '<html lang="en">' in (await browser.get("/?lang=en")).text
        assert '<html lang="en">' in (await browser.get(f"/messages/{ident}")).text
        assert '<html lang="en">' in (await browser.get(f"/messages/{ident}/report")).text
        assert '<html lang="ja">' in (await browser.get("/?lang=ja")).text


async def test_the_report_is_the_one_of_the_audit(service: CaptureService) -> None:
    ident = await kept(service)
    async with client(service) as browser:
        page = await browser.get(f"/messages/{ident}/report")
        api = await browser.get(f"/api/messages/{ident}/report.html")
    assert page.content == api.content
    assert page.text.startswith("<!doctype html>")


async def test_size_and_look_has_every_limit_a_frame_for_each_device_and_the_source(service: CaptureService) -> None:
    ident = await kept(service)
    async with client(service) as browser:
        page = (await browser.get(f"/messages/{ident}?lang=en")).text
    for limit in ("3 MB", "10 MB", "20 MB", "25 MB", "50 MB"):
        assert f"<b>{limit}</b>" in page
    assert "Clipping, 102 KB of HTML" in page
    frames = re.findall(r"<iframe ([^>]*)>", page)
    assert len(frames) == 4
    for each in frames:
        assert 'sandbox=""' in each
        assert f'src="/messages/{ident}/preview?scheme=' in each
    assert "Subject: " in page


async def test_the_preview_runs_nothing_whoever_opens_it(service: CaptureService) -> None:
    ident = await kept(service, HOSTILE)
    async with client(service) as browser:
        answer = await browser.get(f"/messages/{ident}/preview?scheme=light")
        page = (await browser.get(f"/messages/{ident}")).text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "; sandbox;" in policy
    assert policy.count("img-src data:") == 1
    assert "https:" not in policy
    assert not re.search(r"script|onclick|shop\.example", answer.text)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


async def test_images_on_the_web_are_loaded_once_and_only_after_the_button(service: CaptureService) -> None:
    ident = await kept(service, HOSTILE)
    async with client(service) as browser:
        unasked = await browser.get(f"/messages/{ident}/preview?scheme=light&once=x.light-phone")
        assert "shop.example" not in unasked.text
        page = (await browser.post(f"/messages/{ident}/images")).text
        frames = [each.replace("&amp;", "&") for each in re.findall(r'<iframe [^>]*src="([^"]*)"', page)]
        assert len(frames) == 4
        first, again = [await browser.get(frames[0]) for _ in range(2)]
        assert "shop.example" in first.text
        assert "img-src data: https: http:" in first.headers["content-security-policy"]
        assert "shop.example" not in again.text
        for path, place in ((f"/messages/{ident}/images", f"/messages/{ident}"), ("/messages", "/"), ("/tests", "/")):
            assert (await browser.get(f"{path}?lang=ja")).headers["location"] == f"{place}?lang=ja"


def test_a_permit_is_for_one_message_and_ends() -> None:
    permits = ImagePermits()
    token = permits.grant("a")
    assert not permits.use("b", f"{token}.x")
    assert permits.use("a", f"{token}.x")
    assert not permits.use("a", f"{token}.x")
    assert [permits.use("a", f"{token}.{each}") for each in range(5)] == [True, True, True, False, False]
    assert not permits.use("a", "")
    for _ in range(200):
        permits.grant("c")
    assert not permits.use("a", f"{token}.y")


async def test_a_lighter_copy_can_be_taken_away(service: CaptureService) -> None:
    ident = await kept(service)
    async with client(service) as browser:
        page = (await browser.get(f"/messages/{ident}?lang=en")).text
        raw, slim = [await browser.get(f"/messages/{ident}/{each}.eml") for each in ("raw", "slim")]
    assert raw.content == MAIL
    assert len(slim.content) < len(raw.content)
    made = [octets_words(read(each.content).size_octets, phrases("en")) for each in (slim, raw)]
    assert f"from {made[1]} to {made[0]}, a measured saving" in page
    assert slim.headers["content-disposition"].startswith("attachment")


async def test_two_messages_are_compared_the_older_first(service: CaptureService) -> None:
    old = await kept(service, OLD)
    new = await kept(service, NEW)
    async with client(service) as browser:
        page = (await browser.get(f"/compare?id={new}&id={old}")).text
        assert page.count("<del> 1000</del><ins> 2000</ins> yen") == 2
        for ids in ((old,), (old, old), (old, "x"), (old, new, "x")):
            refused = await browser.get("/compare", params=[("id", each) for each in ids])
            assert refused.status_code == (200 if len(ids) == 3 else 400)


async def test_what_was_sent_again_is_offered_first_for_a_comparison(service: CaptureService) -> None:
    first, again, other = [await kept(service, octets) for octets in (MAIL, MAIL, NEW)]
    async with client(service) as browser:
        page = (await browser.get(f"/messages/{again}")).text
    assert re.findall(r'<option value="([^"]*)"', page) == [first, other]


async def test_a_message_that_cannot_be_audited_says_why(service: CaptureService) -> None:
    ident = (await service.take(MAIL, None)).id
    await service.close()  # before its audit
    service.store.failed(ident, [VERBATIM(text="no room left")])
    async with client(service) as browser:
        page = await browser.get("/")
        assert "no room left" in page.text
        assert f'href="/messages/{ident}"' not in page.text
        assert (await browser.get(f"/messages/{ident}")).status_code == 409


async def test_pages_allow_nothing_but_themselves(service: CaptureService) -> None:
    ident = await kept(service)
    async with client(service) as browser:
        answers = [await browser.get(each) for each in ("/", f"/messages/{ident}", "/compare")]
    for each in answers:
        policy = each.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "frame-ancestors 'none'" in policy
        # With no-referrer a browser sends "Origin: null" with forms, which the guard refuses.
        assert each.headers["referrer-policy"] == "same-origin"
        assert '<meta name="referrer" content="same-origin">' in each.text
        assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
        assert not re.search(r"<script(?! src=)|\son[a-z]+=", each.text)


async def test_assets_are_served(service: CaptureService) -> None:
    async with client(service) as browser:
        style, script = [await browser.get(f"/assets/listen.{each}") for each in ("css", "js")]
    assert style.headers["content-type"].startswith("text/css")
    assert script.headers["content-type"].startswith("text/javascript")
    assert isinstance(style, httpx2.Response)
    assert ".l-row" in style.text
    assert "EventSource" in script.text
