"""A public listener over real connections: who may write, who may read, and what is known of who connected.

The client is on this machine, where no address is one that receivers would see; so the server is told another.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec import Struct

from deliverability.core.net.open import PortSettings
from deliverability.listen.serve import A_MINUTE, ListenAddress, Listening, ListenSettings, PublicListener, listen
from deliverability.listen.service import CaptureService, RoomSettings
from deliverability.listen.store import LIFE, CaptureStore, Reservations
from tests.console.test_cli import GOLDEN
from tests.listen.listening import RoomHere
from tests.listen.test_receive import certificate

pytestmark = pytest.mark.long

HOST, TOKEN = "mx.test.example", "correct-horse-battery-staple"
MAIL = (GOLDEN / "good.eml").read_bytes()
ROOM = RoomSettings(ports=PortSettings(zones=(GOLDEN / "good.zone",)))
OWN, STRANGE = "192.0.2.25", "198.51.100.9"  # the first one is in SPF and has a name in reverse DNS


class Public(Struct):
    """A public listener, and a browser that knows its token."""

    service: CaptureService
    smtp: int
    web: httpx2.AsyncClient
    trusted: ssl.SSLContext

    async def reserved(self) -> str:
        return str((await self.web.post("/api/tests")).json()["address"])

    async def send(self, *rcpt: str, tls: bool = True, octets: bytes = MAIL) -> dict[str, tuple[int, bytes]]:
        """Send a message as the good domain does; gives the recipients that were refused."""

        def go() -> dict[str, tuple[int, bytes]]:
            with smtplib.SMTP("127.0.0.1", self.smtp, local_hostname="mx.good.example") as client:
                if tls:
                    client.starttls(context=self.trusted)
                return client.sendmail("bounce@good.example", rcpt, octets)

        return await asyncio.to_thread(go)

    async def facts(self, address: str) -> Callable[[str], Any]:
        """What was found of the message that came to an address: the value of a fact, or why it is unknown."""
        made = (await self.web.get("/api/wait", params={"match": address, "timeout": 30})).json()
        facts = self.service.store.facts(made["id"])
        assert facts is not None

        def fact(path: str) -> Any:
            return facts["facts"][path].get("value", facts["facts"][path].get("unknown"))

        return fact


@asynccontextmanager
async def public(folder: Path, web: str = "127.0.0.1") -> AsyncIterator[Public]:
    certificate(folder)
    trusted = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    trusted.check_hostname = False  # the name of the certificate leads to no machine
    listener = PublicListener(HOST, folder / "cert.pem", folder / "key.pem", TOKEN)
    settings = ListenSettings(ListenAddress("127.0.0.1", 0), ListenAddress(web, 0), listener)
    service = CaptureService(CaptureStore(None), RoomHere(ROOM), reservations=Reservations(HOST))
    begun: asyncio.Future[Listening] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(listen(service, settings, begun.set_result, lambda news: None))
    try:
        where = await asyncio.wait_for(begun, 600)
        assert where.web is not None
        url = f"{'https' if where.tls else 'http'}://127.0.0.1:{where.web.port}"
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx2.AsyncClient(base_url=url, headers=headers, verify=trusted, timeout=600) as browser:
            yield Public(service, where.smtp.port, browser, trusted)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@pytest.fixture
def come_from(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def patch(address: str) -> None:
        monkeypatch.setattr("deliverability.listen.receive._peer", lambda transport: address)

    return patch


async def test_who_connects_is_checked_as_a_receiver_checks_it(
    tmp_path: Path, come_from: Callable[[str], None]
) -> None:
    come_from(OWN)
    async with public(tmp_path) as found:
        address = await found.reserved()
        assert await found.send(address) == {}
        fact = await found.facts(address)
    assert [fact(f"envelope.{each}") for each in ("ip", "helo", "mail_from")] == [
        OWN,
        "mx.good.example",
        "bounce@good.example",
    ]
    assert {fact(f"envelope.{each}_source") for each in ("ip", "helo", "mail_from")} == {"smtp"}
    assert (fact("spf.result"), fact("spf.result_ip")) == ("pass", OWN)
    (seen,) = fact("identity.ips")
    assert (seen["ip"], seen["ptr"], seen["confirmed"]) == (OWN, ["mx.good.example"], True)
    assert fact("transport.delivery_tls_version") == "TLSv1.3"
    assert (fact("dkim.result"), fact("dmarc.result")) == ("pass", "pass")


async def test_a_stranger_in_the_name_of_the_domain_fails_spf_and_has_no_name(
    tmp_path: Path, come_from: Callable[[str], None]
) -> None:
    come_from(STRANGE)
    async with public(tmp_path) as found:
        address = await found.reserved()
        assert await found.send(address, tls=False) == {}
        fact = await found.facts(address)
    assert (fact("spf.result"), fact("spf.result_ip")) == ("fail", STRANGE)
    (seen,) = fact("identity.ips")
    assert (seen["ip"], seen["confirmed"] is True) == (STRANGE, False)
    assert fact("transport.delivery_tls_version") is None


async def test_mail_goes_to_reserved_addresses_alone(tmp_path: Path) -> None:
    async with public(tmp_path) as found:
        address = await found.reserved()
        local = address.partition("@")[0]
        for other in (
            "victim@example.org",
            f"postmaster@{HOST}",
            f"{local}@example.org",
            f"{local}%example.org@{HOST}",
            f"@{HOST}:victim@example.org",
            f"t-{'a' * 26}@{HOST}",
            local,
        ):
            with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
                await found.send(other)
            assert refused.value.recipients[other][0] == 550
        assert [*await found.send("victim@example.org", address.upper())] == ["victim@example.org"]
        fact = await found.facts(local)
        assert fact("envelope.mail_from") == "bounce@good.example"
        assert [each.envelope and each.envelope.rcpt for each in found.service.store] == [(address.upper(),)]


async def test_an_address_takes_mail_for_an_hour(tmp_path: Path) -> None:
    async with public(tmp_path) as found:
        old = found.service.reservations.reserve(datetime.now(UTC) - LIFE - timedelta(seconds=1))
        assert old is not None
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            await found.send(old.address)


async def test_nobody_logs_in_or_asks_who_is_there(tmp_path: Path) -> None:
    async with public(tmp_path) as found:

        def ask() -> tuple[set[str], list[int]]:
            with smtplib.SMTP("127.0.0.1", found.smtp) as client:
                client.starttls(context=found.trusted)
                client.ehlo()
                codes = [client.docmd(each)[0] for each in ("AUTH PLAIN AGEAYg==", "EXPN all", "VRFY root", "ETRN x")]
                return set(client.esmtp_features), codes

        features, codes = await asyncio.to_thread(ask)
    assert not {"auth", "starttls"} & features
    assert [code >= 500 for code in codes] == [True, True, False, True]
    assert codes[2] == 252


async def test_one_address_sends_so_many_a_minute(tmp_path: Path, come_from: Callable[[str], None]) -> None:
    come_from("2001:db8::1")
    async with public(tmp_path) as found:
        address = await found.reserved()
        for _ in range(A_MINUTE):
            await found.send(address)
        come_from("2001:db8::2")
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            await found.send(address)
        assert refused.value.smtp_code == 450
        come_from("2001:db8:0:1::1")
        assert await found.send(address) == {}


async def test_pages_that_others_reach_are_encrypted_and_ask_for_the_token(tmp_path: Path) -> None:
    async with public(tmp_path, web="0.0.0.0") as found:
        assert found.web.base_url.scheme == "https"
        paths = ("/", "/api/messages", "/api/openapi.json", "/assets/listen.css", "/events", "/api/tests")
        for path in paths:
            assert (await found.web.get(path, headers={"authorization": "Bearer no"})).status_code == 401
        assert (await found.web.get("/")).status_code == 200
        assert (await found.web.get("/", headers={"host": HOST})).status_code == 200
        assert (await found.web.get("/", headers={"host": "other.example"})).status_code == 421
        with pytest.raises(httpx2.RemoteProtocolError):
            await found.web.get(str(found.web.base_url).replace("https", "http"))
