"""--probe-smtp: STARTTLS, certificate and DANE of the MX hosts, against servers on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deliverability.core.codes import VERBATIM, Input, needs
from deliverability.core.errors import InputError
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.inputs import Subject
from deliverability.core.net.base import MailHost, NoMailHost, Probed, Resolver
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.ports import Journal, Permissions, Ports
from deliverability.core.net.public import NOT_PUBLIC
from deliverability.core.net.recording import replaying, write_recording
from deliverability.core.net.smtp import LiveProber
from deliverability.core.net.static import OFFLINE, StaticResolver
from deliverability.engine.auditors import envelope, mx, transport
from deliverability.engine.auditors.mx import certificate_names
from deliverability.engine.base import gather
from tests import TESTS
from tests.facts_of import by_fields

NOW = datetime(2026, 11, 25, tzinfo=UTC)
HOST = "mx.example.com"
DNS = {(HOST, "A"): ["127.0.0.1"]}


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A self-signed certificate for the host with its key as one PEM file, and the certificate as DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    begin = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "host.pem"
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return path, certificate.public_bytes(serialization.Encoding.DER)


class Server:
    """A mail server that answers EHLO, STARTTLS and QUIT, and remembers what it was told."""

    def __init__(self, pem: Path | None, *, banner: bytes = b"220 mx ready\r\n", version: Any = None) -> None:
        self.banner = banner
        self.said: list[str] = []
        self.open: list[asyncio.Task[Any]] = []
        self.context: ssl.SSLContext | None = None
        if pem is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(pem)
            if version is not None:
                self.context.maximum_version = version

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.open.append(task)
        try:
            await self.talk(reader, writer)
        except (OSError, ValueError):
            pass  # the other side left, or what it said makes no sense
        finally:
            writer.transport.abort()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.banner)
        while line := (await reader.readline()).decode("ascii", "replace").strip():
            self.said.append(line.split()[0].upper())
            match self.said[-1]:
                case "EHLO":
                    writer.write(b"250-mx\r\n250-STARTTLS\r\n250 SIZE 1\r\n" if self.context else b"250 mx\r\n")
                case "STARTTLS" if self.context:
                    writer.write(b"220 go\r\n")
                    await writer.drain()
                    await writer.start_tls(self.context)
                case _:
                    writer.write(b"221 bye\r\n")


@contextlib.asynccontextmanager
async def serving(server: Server) -> AsyncIterator[int]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await asyncio.wait_for(asyncio.gather(*server.open, return_exceptions=True), 60)


async def probe(server: Server, **options: Any) -> Probed:
    async with serving(server) as port:
        prober = LiveProber(FixedClock(NOW), port=port, allowed=lambda _: True, **options)
        return await prober.probe(HOST, StaticResolver(DNS))


async def test_a_self_signed_certificate_is_seen_and_not_valid(identity: tuple[Path, bytes]) -> None:
    pem, der = identity
    server = Server(pem)
    found = await probe(server)
    assert isinstance(found, MailHost)
    assert (found.reachable, found.starttls, found.tls_version) == (True, True, "TLSv1.3")
    assert found.certificate == der
    assert "self" in found.certificate_problem
    # Once checking the certificate, which ends in the handshake, and once taking any.
    assert server.said == ["EHLO", "STARTTLS", "EHLO", "STARTTLS", "EHLO", "QUIT"]


async def test_a_trusted_certificate_is_valid(identity: tuple[Path, bytes]) -> None:
    found = await probe(Server(identity[0]), authorities=str(identity[0]))
    assert isinstance(found, MailHost)
    assert (found.certificate, found.certificate_problem) == (identity[1], "")


async def test_a_host_without_starttls() -> None:
    found = await probe(Server(None))
    assert isinstance(found, MailHost)
    assert (found.reachable, found.starttls, found.tls_version, found.certificate) == (True, False, None, None)


@pytest.mark.parametrize(
    "banner", [b"554 no\r\n", b"hello\r\n", b"220 " + b"x" * 100_000, b"220-a\r\n" * 200, b"\xff\r\n"]
)
async def test_answers_that_are_no_welcome_leave_us_not_knowing(banner: bytes) -> None:
    found = await probe(Server(None, banner=banner))
    assert isinstance(found, NoMailHost)
    assert found.reason is Reason.REFUSED


async def test_a_server_that_stays_silent_costs_the_time_limit_and_no_more() -> None:
    found = await probe(Server(None, banner=b""), seconds=0.2)
    assert isinstance(found, NoMailHost)
    assert found.reason is Reason.TIMEOUT


async def test_a_port_that_nobody_listens_on_is_not_reachable() -> None:
    async with serving(Server(None)) as port:
        pass
    prober = LiveProber(FixedClock(NOW), port=port, allowed=lambda _: True)
    found = await prober.probe(HOST, StaticResolver(DNS))
    assert isinstance(found, MailHost)
    assert found.reachable is False


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fe80::1"])
async def test_private_addresses_are_never_called(address: str) -> None:
    records = {(HOST, "AAAA" if ":" in address else "A"): [address]}
    found = await LiveProber(FixedClock(NOW)).probe(HOST, StaticResolver(records))
    assert isinstance(found, NoMailHost)
    assert NOT_PUBLIC.matches(found.detail)


async def test_a_recording_gives_back_what_was_seen(identity: tuple[Path, bytes], tmp_path: Path) -> None:
    journal, allowed = Journal(), Permissions(probe_smtp=True)
    async with serving(Server(identity[0])) as port:
        prober = LiveProber(FixedClock(NOW), port=port, allowed=lambda _: True)
        ports = Ports(StaticResolver(DNS), FixedClock(NOW), smtp=prober, permissions=allowed, journal=journal).under(
            journal
        )
        seen = await ports.smtp.probe(HOST, ports.dns)
        lost = await ports.smtp.probe("lost.example", ports.dns)
    write_recording(tmp_path / "run.json", ports, "1")
    replayed = replaying(tmp_path / "run.json")
    assert [await replayed.smtp.probe(host, replayed.dns) for host in (HOST, "lost.example")] == [seen, lost]
    other = await replayed.smtp.probe("other.example", replayed.dns)
    assert isinstance(other, NoMailHost)
    assert other.reason is Reason.OFFLINE


@pytest.mark.parametrize("other", [{"offline": True}, {"zones": (TESTS / "golden" / "good.zone",)}])
def test_it_contradicts_asking_nobody(other: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="use only one of these: probe_smtp, "):
        open_ports(PortSettings(permissions=Permissions(probe_smtp=True), **other))


# --- facts ---------------------------------------------------------------------------------------------------------


class Seen:
    """A prober with fixed answers."""

    def __init__(self, *answers: Probed) -> None:
        self.answers = {each.host: each for each in answers}

    async def probe(self, host: str, resolver: Resolver) -> Probed:
        return self.answers[host]


async def facts(prober: Seen | None, **tlsa: str) -> dict[str, Any]:
    records: dict[tuple[str, str], Any] = {
        ("example.com", "MX"): [f"10 {HOST}", "20 mx2.example.com"],
        **{(f"_25._tcp.{HOST}", "TLSA"): [value] for value in tlsa.values()},
    }
    found = await gather(
        [envelope.audit, transport.audit, mx.smtp_audit],
        Subject("example.com"),
        Ports(
            StaticResolver(records),
            FixedClock(NOW),
            smtp=prober or OFFLINE,
            permissions=Permissions(probe_smtp=prober is not None),
        ),
        None,
    )
    assert found.crashes == ()
    return {fact.path: by_fields(fact.value) for fact in found.facts}


async def test_without_the_option_nobody_is_called_and_nothing_known() -> None:
    found = await facts(None)
    assert found["transport.mx_tls"] == Unknown(Reason.NOT_CONFIGURED, needs(Input.PERMISSION_PROBE_SMTP))
    assert found["dane.certificates"] == Unknown(Reason.NOT_CONFIGURED, needs(Input.PERMISSION_PROBE_SMTP))


async def test_what_one_host_showed_and_another_did_not(identity: tuple[Path, bytes]) -> None:
    der = identity[1]
    first = MailHost(HOST, "192.0.2.1", True, "mx", True, "TLSv1.3", "", der, "self-signed certificate")
    second = NoMailHost("mx2.example.com", Reason.TIMEOUT, VERBATIM(text="no answer"))
    digest = hashlib.sha256(der).hexdigest()
    found = await facts(Seen(first, second), tlsa=f"3 0 1 {digest}")
    one, two = found["transport.mx_tls"]
    assert (one["starttls"], one["tls_version"], one["certificate_valid"]) == (True, "TLSv1.3", False)
    assert one["certificate_names"] == (HOST,)
    assert isinstance(two["reachable"], Unknown)
    assert isinstance(two["tls_version"], Unknown)
    assert [(each["host"], each["matches"]) for each in found["dane.certificates"]] == [(HOST, True)]


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x00" * 1000])
def test_certificates_that_cannot_be_read_have_no_names(der: bytes) -> None:
    assert certificate_names(der) == ()
