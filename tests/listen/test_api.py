"""The API of `deliv listen`: what it gives, whom it refuses, and that its description is true."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from deliverability.core.files import locate
from deliverability.core.mail.received import SmtpEnvelope
from deliverability.listen.api import DESCRIPTION, MEDIA_TYPES, api_routes
from deliverability.listen.guard import GuardSettings
from tests.listen.rooms import client_of, service_at

MAIL = b"From: A <a@example.com>\r\nSubject: =?utf-8?q?h=C3=A9llo?=\r\n\r\nhi\r\n"
ENVELOPE = SmtpEnvelope("127.0.0.1", "c", "bounce@example.com", ("t-abc@localhost",), None, False)
DOCUMENT = json.loads((locate("reports") / DESCRIPTION).read_text("utf-8"))


def check(name: str, value: Any) -> None:
    """Against a schema of the description."""
    jsonschema.validate(value, {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]})


def test_the_description_names_exactly_what_is_there() -> None:
    described = {
        (path, method.upper())
        for path, item in DOCUMENT["paths"].items()
        for method in item
        if method in ("get", "post", "delete", "put", "patch")
    }
    there = {
        (route.path, method)
        for route in api_routes()
        for method in route.methods - {"HEAD"}
    }  # fmt: skip
    assert described == there
    assert DOCUMENT["components"]["parameters"]["ending"]["schema"]["enum"] == list(MEDIA_TYPES)


@pytest.mark.long
async def test_a_message_handed_in_is_audited_and_can_be_read_again(tmp_path: Path) -> None:
    service = service_at(tmp_path)
    async with client_of(service) as client:
        made = await client.post("/api/messages", content=MAIL)
        assert made.status_code == 201
        check("Message", made.json())
        found = (await client.get("/api/wait", params={"match": "HÉLLO", "timeout": 30})).json()
        check("Message", found)
        assert found["id"] == made.json()["id"]
        assert found["summary"]["domain"] == "example.com"
        where = made.headers["location"]
        assert (await client.get(where)).json() == found
        assert (await client.get("/api/messages")).json() == {"messages": [found]}
        raw = await client.get(f"{where}/raw")
        assert raw.content == MAIL
        assert raw.headers["content-disposition"].startswith("attachment")
        for ending, kind in MEDIA_TYPES.items():
            report = await client.get(f"{where}/report.{ending}", params={"lang": "ja"})
            assert (report.status_code, report.headers["content-type"].split(";")[0]) == (200, kind.split(";")[0])
        assert 'lang="ja"' in (await client.get(f"{where}/report.html", params={"lang": "ja"})).text
        assert (await client.delete(where)).status_code == 204
        for gone in (where, f"{where}/raw", f"{where}/report.html"):
            assert (await client.get(gone)).status_code == 404
        assert (await client.delete(where)).status_code == 404
    assert not any(os.scandir(tmp_path))
    await service.close()


async def test_a_file_of_a_form() -> None:
    service = service_at(None)
    async with client_of(service) as client:
        made = await client.post("/api/messages", files={"message": ("news.eml", MAIL, "message/rfc822")})
        assert (made.status_code, made.json()["name"]) == (201, "news.eml")
        assert (await client.post("/api/messages", data={"message": "x"}, files={"x": b""})).status_code == 400
        assert (await client.post("/api/messages", content=b" \r\n")).status_code == 400
    await service.close()


NO_MAILS = {
    "picture": (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "no-mail-but"),
    "zone": (b"$ORIGIN example.com.\n@ 3600 IN TXT v=spf1\n", "zone-for-mail"),
    "prose": (b"Dear all,\r\n\r\nFrom: nobody\r\n", "no-mail"),
    "mailbox": (b"From a@b x\nTo: c\n\n1\n\nFrom a@b y\nTo: c\n\n2\n", "mbox-for-mail"),
}


@pytest.mark.parametrize(("octets", "code"), NO_MAILS.values(), ids=NO_MAILS)
async def test_what_is_no_message_is_refused_as_audit_refuses_it(octets: bytes, code: str) -> None:
    service = service_at(None)
    async with client_of(service) as client:
        answer = await client.post("/api/messages", files={"message": ("a.eml", octets)})
        assert (answer.status_code, answer.json()["error"]) == (422, "unusable")
        (detail,) = answer.json()["details"]
        assert (detail["code"], detail["args"]["name"]) == (code, "a.eml")
        check("Error", answer.json())
    assert len(service.store) == 0


async def test_a_message_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("deliverability.listen.store.write_whole", full)
    async with client_of(service_at(tmp_path)) as client:
        answer = await client.post("/api/messages", content=MAIL)
        page = await client.post("/messages", files={"message": ("a.eml", MAIL)})
    assert (answer.status_code, answer.json()) == (507, {"error": "not-kept"})
    assert (page.status_code, 'role="alert"' in page.text) == (507, True)


async def test_waiting_for_a_message_that_comes_later() -> None:
    service = service_at(None)
    async with client_of(service) as client:
        old = await service.take(MAIL, ENVELOPE)
        waiting = asyncio.create_task(client.get("/api/wait", params={"match": "t-abc@", "since": old.id}))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        new = await service.take(MAIL, ENVELOPE)
        assert (await waiting).json()["id"] == new.id
        for wrong in ("x", "-1", "301", "nan"):
            assert (await client.get("/api/wait", params={"timeout": wrong})).status_code == 400
        none = await client.get("/api/wait", params={"match": "nobody", "timeout": 0.01})
        assert (none.status_code, none.json()) == (408, {"error": "timeout"})
    await service.close()


async def test_a_domain_is_audited() -> None:
    service = service_at(None)
    async with client_of(service) as client:
        report = await client.post("/api/audits", json={"domain": "example.com"})
        assert report.json()["subject"]["domain"] == "example.com"
        wrong = await client.post("/api/audits", json={"domain": "no domain"})
        assert (wrong.status_code, wrong.json()["error"]) == (422, "unusable")
        check("Error", wrong.json())
        for content in (b"", b"[]", b'{"domain": 1}', b'{"domain": "example.com", "format": "pdf"}', b"[" * 200_000):
            assert (await client.post("/api/audits", content=content)).status_code == 400
    await service.close()


async def test_an_address_for_a_test() -> None:
    service = service_at(None)
    async with client_of(service) as client:
        made = (await client.post("/api/tests")).json()
    assert made["address"].startswith("t-")
    assert made["address"].endswith("@localhost")
    await service.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "127.0.0.1:8025"}, 200),
        ({"host": "LocalHost:1"}, 200),
        ({"host": "[::1]:8025"}, 200),
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": "localhost:8025@evil.example"}, 421),
        ({"host": ""}, 421),
    ],
)
async def test_only_our_own_names_reach_it(headers: dict[str, str], status: int) -> None:
    async with client_of(service_at(None)) as client:
        assert (await client.get("/api/messages", headers=headers)).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"origin": "http://127.0.0.1:8025"}, 201),
        ({"origin": "http://127.0.0.1:8025", "sec-fetch-site": "same-origin"}, 201),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
async def test_pages_of_others_change_nothing(headers: dict[str, str], status: int) -> None:
    service = service_at(None)
    async with client_of(service) as client:
        assert (await client.post("/api/messages", content=MAIL, headers=headers)).status_code == status
    await service.close()


TOKEN = "correct horse battery staple"


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("", 401),
        (f"Bearer {TOKEN}", 200),
        ("Bearer wrong", 401),
        (f"Token {TOKEN}", 401),
        ("Basic " + base64.b64encode(f"anybody:{TOKEN}".encode()).decode(), 200),
        ("Basic " + base64.b64encode(b"anybody:wrong").decode(), 401),
        ("Basic ???", 401),
        ("Basic " + base64.b64encode(b"\xff:\xff").decode(), 401),
    ],
)
async def test_a_token_is_asked_for(authorization: str, status: int) -> None:
    async with client_of(service_at(None), GuardSettings(token=TOKEN)) as client:
        answer = await client.get("/api/messages", headers={"authorization": authorization} if authorization else {})
    assert answer.status_code == status
    assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_bodies_are_bounded_whether_they_say_their_size_or_not() -> None:
    service = service_at(None)

    async def endless() -> Any:
        for _ in range(100):
            yield b"x" * 100_000

    async with client_of(service, GuardSettings(max_octets=1000)) as client:
        assert (await client.post("/api/messages", content=b"x" * 2_000_000)).status_code == 413
        assert (await client.post("/api/messages", content=endless())).status_code == 413
    assert len(service.store) == 0
    await service.close()


async def test_the_answer_to_what_is_too_large_comes_when_all_of_it_was_sent() -> None:
    """A browser that still sends does not read it."""
    sent = 0

    async def body() -> Any:
        nonlocal sent
        for _ in range(30):
            sent += 100_000
            yield b"x" * 100_000

    async with client_of(service_at(None), GuardSettings(max_octets=1000)) as client:
        assert (await client.post("/api/messages", content=body())).status_code == 413
    assert sent == 3_000_000


REFUSALS = {
    "host": (421, "GET", {"host": "evil.example"}, "起動時に表示されたアドレス"),
    "token": (401, "GET", {}, "トークンが必要です"),
    "origin": (403, "POST", {"origin": "https://evil.example", "authorization": "Bearer t"}, "別のサイト"),
    "too-large": (413, "POST", {"content-length": "99999999", "authorization": "Bearer t"}, "1 KB"),
    "no-such-page": (404, "GET", {"authorization": "Bearer t"}, "このページはありません"),
}


@pytest.mark.parametrize("code", REFUSALS)
async def test_programs_are_refused_in_json_and_people_on_a_page_in_their_language(code: str) -> None:
    status, method, headers, words = REFUSALS[code]
    service = service_at(None)
    service.max_octets = 1000
    async with client_of(service, GuardSettings(token="t", max_octets=1000)) as client:
        answers = [
            await client.request(method, f"{place}/nothing", headers={"accept-language": "ja", **headers}, content=b"")
            for place in ("/api", "")
        ]
    assert [each.status_code for each in answers] == [status, status]
    assert answers[0].json() == {"error": code}
    assert words in answers[1].text
    assert '<html lang="ja">' in answers[1].text
    assert ["www-authenticate" in each.headers for each in answers] == [code == "token"] * 2


async def test_every_answer_says_how_a_browser_may_use_it() -> None:
    async with client_of(service_at(None)) as client:
        for path in ("/api/messages", "/api/nothing"):
            headers = (await client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
            assert "frame-ancestors" in headers["content-security-policy"]
