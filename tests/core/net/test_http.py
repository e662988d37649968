"""Fetching from the web: only public https hosts, small files, no second look-up, nothing followed elsewhere."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deliverability.core.codes import VERBATIM
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Fetched, NoPage, Page
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.http import MAX_OCTETS, WebFetcher
from deliverability.core.net.ports import NOT_RECORDED, Journal, Permissions, Ports
from deliverability.core.net.public import CLOUDS, CloudAddress, NoAnswerError, address_of, has_route, is_public
from deliverability.core.net.recording import replaying, write_recording
from deliverability.core.net.static import StaticResolver
from tests.speaking import english

CLOCK = FixedClock(datetime(2026, 11, 24, 12, 0, tzinfo=UTC))
HOSTS = StaticResolver(
    {
        ("www.example.com", "A"): ["127.0.0.1"],
        ("other.example.com", "A"): ["127.0.0.1"],
        ("lost.example.com", "A"): "servfail",
        ("lost.example.com", "AAAA"): "servfail",
    }
)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for www.example.com with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "www.example.com")])
    start = datetime.now(UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("www.example.com")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path_factory.mktemp("tls") / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return pem


class Site:
    """An https server on loopback that gives canned answers by path and keeps the requests it saw."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        self.answers = answers
        self.requests: list[str] = []
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"(?i)content-length: (\d+)", request)
            request += (await reader.readexactly(int(length[1]))).decode() if length else ""
            self.requests.append(request)
            answer = self.answers.get(request.split()[1], b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            if answer != b"":
                writer.write(answer)
                await writer.drain()
            else:
                await reader.read()  # says nothing until the client goes away
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(certificate: Path, answers: dict[str, bytes]) -> AsyncIterator[tuple[Site, dict[str, Any]]]:
    site = Site(answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(site.handle, "127.0.0.1", 0, ssl=context)
    site.port = server.sockets[0].getsockname()[1]
    trusting = {"context": ssl.create_default_context(cafile=str(certificate)), "port": site.port}
    try:
        yield site, trusting
    finally:
        server.close()


async def fetch(certificate: Path, answers: dict[str, bytes], url: str, **options: Any) -> tuple[Fetched, Site]:
    async with serving(certificate, answers) as (site, trusting):
        redirects = options.pop("redirects", 0)
        fetcher = WebFetcher(CLOCK, **({"allowed": lambda address: True, "seconds": 5.0} | trusting | options))
        return await fetcher.fetch(url, HOSTS, redirects=redirects), site


async def test_a_file_is_fetched(certificate: Path) -> None:
    found, site = await fetch(certificate, {"/a?b=1": OK}, "https://www.example.com/a?b=1")
    assert found == Page(
        "https://www.example.com/a?b=1", 200, "text/plain", b"hello", "2026-11-24T12:00:00Z", "127.0.0.1"
    )
    (request,) = site.requests
    assert request.startswith("GET /a?b=1 HTTP/1.1\r\n")
    assert "host: www.example.com\r\n" in request.lower()
    assert not any(word in request.lower() for word in ("cookie", "authorization", "gzip"))


async def test_what_the_clock_of_the_site_says_comes_with_it(certificate: Path) -> None:
    dated = OK.replace(b"Content-Type", b"Date: Tue, 24 Nov 2026 11:59:00 GMT\r\nContent-Type")
    found, _ = await fetch(certificate, {"/a": dated}, "https://www.example.com/a")
    assert isinstance(found, Page)
    assert found.date == "Tue, 24 Nov 2026 11:59:00 GMT"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://www.example.com/a", "not an https URL"),
        ("file:///etc/passwd", "not a usable URL"),
        ("https://user:secret@www.example.com/a", "a port or a password"),
        ("https://www.example.com:8443/a", "a port or a password"),
        ("https://www.example.com:x/a", "not a usable URL"),
        ("https://", "not a usable URL"),
        ("https://www.example.com/a\r\nX: y", "not a usable URL"),
        ("https://www.example.com/" + "a" * 3000, "not a usable URL"),
        ("https://127.0.0.1/a", "has no address"),
        ("https://[::1]/a", "has no address"),
        ("https://nowhere.example.com/a", "has no address"),
    ],
)
async def test_what_is_never_asked_for(certificate: Path, url: str, words: str) -> None:
    found, site = await fetch(certificate, {}, url)
    assert isinstance(found, NoPage)
    assert (words in english(found.detail), found.certain, site.requests) == (True, True, []), found


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "2001:db8::1"),
        # Private addresses in the clothes of IPv6.
        *(
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::a83f:8110",
            "64:ff9b:1::a00:1",
            "64:ff9b:1:a00:0:100::",
            "64:ff9b:1:a:0:1::",
            "64:ff9b:1:0:a:0:100:0",
            "64:ff9b:1::",
            "64:ff9b:2::808:808",
            "64:ff9b::1:808:808",
            "::ffff:168.63.129.16",
            "::ffff:0:8.8.8.8",
            "2002:a83f:8110::1",
            "2002:7f00:1::",
            "::10.0.0.1",
            "2a00:1450::5efe:10.0.0.1",
            "2a00:1450::200:5efe:10.0.0.1",
            "2001:0:4136:e378::",
            "2001:0:4136:e378:8000:63bf:f5ff:fffe",
            "2001:0:a00:1:8000:63bf:f7f7:f7f7",
            "2a00:1450::5efe:168.63.129.16",
            "fe80::5efe:8.8.8.8",
            "2001:db8::5efe:8.8.8.8",
            "not an address",
        ),
        # What versions of Python, or of their users, take for public.
        *("fec0::1", "5f00::1", "3fff::1", "100::1", "100:0:0:1::1", "2001:20::1", "2620:4f:8000::1", "4000::1"),
        *("192.88.99.1", "192.0.0.9", "192.31.196.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "240.0.0.1"),
        *("fe80::1%eth0", "2a00:1450::1%eth0", "127.1", "0x7f.1", "0177.0.0.1", "2130706433", "8.8.8.8/32", ""),
    ],
)
async def test_private_addresses_are_refused_before_a_connection(certificate: Path, address: str) -> None:
    assert is_public(address) is False
    rdtype = "AAAA" if ":" in address else "A"
    resolver = StaticResolver({("www.example.com", rdtype): [address], ("www.example.com", "TXT"): ["x"]})
    found = await WebFetcher(CLOCK).fetch("https://www.example.com/", resolver)
    assert isinstance(found, NoPage)
    assert (found.reason, found.certain) == (Reason.REFUSED, True)
    assert "not a public address" in english(found.detail)


@pytest.mark.parametrize(
    "address",
    [
        *("8.8.8.8", "1.1.1.1", "192.0.1.1", "198.20.0.1", "223.255.255.255", "2606:4700:4700::1111", "2a00::5eff:1:1"),
        *("168.63.129.15", "168.63.129.17", "161.25.255.255", "166.12.0.0"),
        # Public addresses in the clothes of IPv6: what DNS64 answers, with each length of prefix, and transition.
        *("64:ff9b::808:808", "64:ff9b:1::808:808", "64:ff9b:1:808:8:800::", "64:ff9b:1:8:8:808::"),
        *("64:ff9b:1:0:8:808:800::", "::ffff:8.8.8.8", "2002:808:808::1", "2a00:1450::5efe:8.8.8.8"),
        "2001:0:4136:e378:8000:63bf:f7f7:f7f7",
    ],
)
def test_public_addresses(address: str) -> None:
    assert is_public(address) is True


@pytest.mark.parametrize("cloud", CLOUDS, ids=lambda each: each.network)
def test_what_a_cloud_answers_at_inside_is_refused_in_any_clothes(cloud: CloudAddress) -> None:
    network = ip_network(cloud.network)
    assert urlsplit(cloud.source).scheme == "https"
    for address in (network.network_address, network.broadcast_address):
        assert is_public(str(address)) is False
        if isinstance(address, IPv4Address):
            number = int(address)
            for begin, bits in (("64:ff9b::", 0), ("64:ff9b:1::", 0), ("::ffff:0:0", 0), ("2002::", 80)):
                assert is_public(str(IPv6Address(int(IPv6Address(begin)) | number << bits))) is False


async def test_behind_dns64_a_page_is_fetched_where_there_is_a_way_to_it() -> None:
    """On a network without IPv4, each host has an address with a translated one in it beside its own."""
    hosts = StaticResolver({("www.example", "A"): ["8.8.8.8"], ("www.example", "AAAA"): ["64:ff9b::808:808"]})
    assert await address_of("www.example", hosts, is_public, lambda address: ":" in address) == "64:ff9b::808:808"
    assert await address_of("www.example", hosts, is_public, lambda _: True) == "8.8.8.8"
    assert await address_of("www.example", hosts, is_public, lambda _: False) == "8.8.8.8"
    mixed = StaticResolver({("www.example", "A"): ["8.8.8.8"], ("www.example", "AAAA"): ["64:ff9b::a00:1"]})
    with pytest.raises(NoAnswerError):
        await address_of("www.example", mixed, is_public, lambda _: True)


def test_whether_there_is_a_route_is_looked_up_without_sending() -> None:
    assert has_route("127.0.0.1")


async def test_one_private_address_refuses_the_host() -> None:
    """A host that is public and private at once would let chance decide."""
    resolver = StaticResolver({("www.example.com", "A"): ["8.8.8.8", "10.0.0.1"]})
    found = await WebFetcher(CLOCK).fetch("https://www.example.com/", resolver)
    assert isinstance(found, NoPage)
    assert "10.0.0.1" in english(found.detail)


async def test_a_failed_look_up_is_not_a_missing_host(certificate: Path) -> None:
    found, _ = await fetch(certificate, {}, "https://lost.example.com/")
    assert isinstance(found, NoPage)
    assert (found.reason, found.certain) == (Reason.SERVFAIL, False)


async def test_a_certificate_for_another_name_is_the_fault_of_the_site(certificate: Path) -> None:
    found, site = await fetch(certificate, {"/a": OK}, "https://other.example.com/a")
    assert isinstance(found, NoPage)
    assert (found.certain, site.requests) == (True, [])
    assert "the certificate is not valid for other.example.com" in english(found.detail)


def redirect(target: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode()


async def test_redirects_stay_on_the_host_and_are_counted(certificate: Path) -> None:
    answers = {"/1": redirect("/2"), "/2": redirect("https://www.example.com/3"), "/3": OK}
    found, _ = await fetch(certificate, answers, "https://www.example.com/1", redirects=2)
    assert isinstance(found, Page)
    assert (found.status, found.url) == (200, "https://www.example.com/1")
    found, _ = await fetch(certificate, answers, "https://www.example.com/1", redirects=1)
    assert isinstance(found, Page)
    assert found.status == 302
    loop, site = await fetch(certificate, {"/1": redirect("/1")}, "https://www.example.com/1", redirects=3)
    assert isinstance(loop, Page)
    assert (loop.status, len(site.requests)) == (302, 4)


@pytest.mark.parametrize(
    "target", ["https://other.example.com/a", "http://www.example.com/a", "//other.example.com/", "https://127.0.0.1/"]
)
async def test_redirects_elsewhere_are_refused(certificate: Path, target: str) -> None:
    found, site = await fetch(certificate, {"/1": redirect(target)}, "https://www.example.com/1", redirects=3)
    assert isinstance(found, NoPage)
    assert (found.certain, len(site.requests)) == (True, 1)


async def test_large_and_compressed_files_are_refused(certificate: Path) -> None:
    full = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MAX_OCTETS + b"x" * MAX_OCTETS
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_OCTETS + 1)
    packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"
    answers = {"/full": full, "/endless": endless, "/packed": packed}
    found, _ = await fetch(certificate, answers, "https://www.example.com/full")
    assert isinstance(found, Page)
    assert len(found.body) == MAX_OCTETS
    for path, reason in (("endless", Reason.LIMIT), ("packed", Reason.REFUSED)):
        found, _ = await fetch(certificate, answers, f"https://www.example.com/{path}")
        assert isinstance(found, NoPage), path
        assert (found.reason, found.certain) == (reason, True)


async def test_a_silent_or_babbling_server_is_no_answer(certificate: Path) -> None:
    answers = {"/silent": b"", "/babble": b"\x00\x01 nonsense\r\n\r\n"}
    silent, _ = await fetch(certificate, answers, "https://www.example.com/silent", seconds=0.3)
    babble, _ = await fetch(certificate, answers, "https://www.example.com/babble")
    assert isinstance(silent, NoPage)
    assert isinstance(babble, NoPage)
    assert (silent.reason, silent.certain, babble.certain) == (Reason.TIMEOUT, False, False)


async def test_nobody_listening_is_no_answer(certificate: Path) -> None:
    async with serving(certificate, {}) as (site, _):
        port = site.port
    found = await WebFetcher(CLOCK, port=port, allowed=lambda address: True).fetch("https://www.example.com/", HOSTS)
    assert isinstance(found, NoPage)
    assert found.certain is False


# --- forms ---------------------------------------------------------------------------------------------------------

FORM = "List-Unsubscribe=One-Click"


async def post(certificate: Path, answers: dict[str, bytes], url: str, **options: Any) -> tuple[Fetched, Site]:
    async with serving(certificate, answers) as (site, trusting):
        fetcher = WebFetcher(CLOCK, **({"allowed": lambda address: True, "seconds": 5.0} | trusting | options))
        return await fetcher.post(url, FORM, HOSTS), site


async def test_a_form_is_posted_as_rfc_8058_says(certificate: Path) -> None:
    url = "https://www.example.com/u?id=1"
    found, site = await post(certificate, {"/u?id=1": OK}, url)
    assert found == Page(url, 200, "text/plain", b"", "2026-11-24T12:00:00Z", "127.0.0.1")
    (request,) = site.requests
    head, _, body = request.partition("\r\n\r\n")
    assert head.startswith("POST /u?id=1 HTTP/1.1\r\n")
    assert body == FORM
    assert "content-type: application/x-www-form-urlencoded" in head.lower().split("\r\n")
    assert not any(word in head.lower() for word in ("cookie", "authorization", "referer"))


async def test_a_redirect_is_the_answer_to_a_form(certificate: Path) -> None:
    answers = {"/1": redirect("https://www.example.com/2"), "/2": OK}
    found, site = await post(certificate, answers, "https://www.example.com/1")
    assert isinstance(found, Page)
    assert (found.status, len(site.requests)) == (302, 1)


async def test_the_page_that_follows_a_form_may_be_of_any_size(certificate: Path) -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + b"x" * (MAX_OCTETS + 1)
    found, _ = await post(certificate, {"/u": large}, "https://www.example.com/u")
    assert isinstance(found, Page)
    assert (found.status, found.body) == (200, b"")


async def test_forms_are_not_sent_to_private_addresses_nor_without_tls(certificate: Path) -> None:
    private, site = await post(certificate, {"/u": OK}, "https://www.example.com/u", allowed=is_public)
    assert isinstance(private, NoPage)
    assert "127.0.0.1, which is not a public address" in english(private.detail)
    assert site.requests == []
    for url in ("http://www.example.com/u", "https://www.example.com:8443/u", "https://other.example.com/u"):
        found, site = await post(certificate, {"/u": OK}, url)
        assert isinstance(found, NoPage)
        assert site.requests == []


async def test_a_server_that_says_nothing_to_a_form(certificate: Path) -> None:
    found, _ = await post(certificate, {"/u": b""}, "https://www.example.com/u", seconds=0.3)
    assert isinstance(found, NoPage)
    assert (found.reason, found.certain) == (Reason.TIMEOUT, False)


# --- recordings ----------------------------------------------------------------------------------------------------


class Canned:
    def __init__(self, answers: dict[str, Fetched]) -> None:
        self.answers = answers
        self.asked = 0

    async def fetch(self, url: str, resolver: Any, *, redirects: int = 0) -> Fetched:
        self.asked += 1
        return self.answers[url]

    async def post(self, url: str, form: str, resolver: Any) -> Fetched:
        self.asked += 1
        return self.answers[url]


PAGE = Page("https://a.example/", 200, "text/plain", b"\x00\xffbody", "2026-11-24T12:00:00Z", "192.0.2.1")
LOST = NoPage("https://b.example/", Reason.TIMEOUT, VERBATIM(text="no answer within 8 s"), at="2026-11-24T12:00:00Z")
WRONG = NoPage("https://c.example/", Reason.REFUSED, VERBATIM(text="the certificate is not valid"), certain=True)


def recording(canned: Canned) -> Ports:
    """Ports over the canned web that keep a journal."""
    journal, allowed = Journal(), Permissions(fetch=True, one_click=True)
    return Ports(HOSTS, CLOCK, canned, permissions=allowed, journal=journal).under(journal)


async def test_a_replay_answers_as_the_web_did(tmp_path: Path) -> None:
    canned = Canned({each.url: each for each in (PAGE, LOST, WRONG)})
    ports = recording(canned)
    recorded = [await ports.http.fetch(each.url, HOSTS) for each in (PAGE, LOST, WRONG, PAGE)]
    assert canned.asked == 3  # a file asked for again is the recorded one
    write_recording(tmp_path / "run.json", ports, "1")
    replayed = replaying(tmp_path / "run.json")
    assert [await replayed.http.fetch(each.url, HOSTS) for each in (PAGE, LOST, WRONG, PAGE)] == recorded
    missing = await replayed.http.fetch("https://d.example/", HOSTS)
    assert missing == NoPage("https://d.example/", Reason.OFFLINE, NOT_RECORDED())


async def test_a_replay_of_a_form_sends_nothing(tmp_path: Path) -> None:
    accepted = Page(PAGE.url, 204, "", b"", "2026-11-24T12:00:00Z", "192.0.2.1")
    canned = Canned({PAGE.url: accepted, LOST.url: LOST})
    ports = recording(canned)
    for _ in range(2):  # once in a run, however often it is asked for
        assert [await ports.http.post(url, FORM, HOSTS) for url in (PAGE.url, LOST.url)] == [accepted, LOST]
    assert canned.asked == 2
    write_recording(tmp_path / "run.json", ports, "1")
    replayed = replaying(tmp_path / "run.json")
    assert [await replayed.http.post(url, FORM, HOSTS) for url in (PAGE.url, LOST.url)] == [accepted, LOST]
    # What was got is one thing, what was answered to a form another.
    assert await replayed.http.fetch(PAGE.url, HOSTS) == NoPage(PAGE.url, Reason.OFFLINE, NOT_RECORDED())
    unasked = await replayed.http.post("https://d.example/", FORM, HOSTS)
    assert unasked == NoPage("https://d.example/", Reason.OFFLINE, NOT_RECORDED())


async def test_one_recording_for_all_domains_of_a_run(tmp_path: Path) -> None:
    run = recording(Canned({PAGE.url: PAGE, LOST.url: LOST}))
    for url in (PAGE.url, LOST.url):
        await run.of_subject().http.fetch(url, HOSTS)
    write_recording(tmp_path / "run.json", run, "1")
    replayed = replaying(tmp_path / "run.json")
    assert [await replayed.http.fetch(url, HOSTS) for url in (PAGE.url, LOST.url)] == [PAGE, LOST]
