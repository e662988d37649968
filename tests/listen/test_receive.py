"""Mail as it comes over SMTP: octet for octet, from well-behaved clients and from others."""

from __future__ import annotations

import asyncio
import datetime
import smtplib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deliverability.listen.receive import NoMailError, ReceivedMail, ReceiveLimits, SmtpReceiver

HOST = "127.0.0.1"
MESSAGE = b"From: a@example.com\r\nSubject: x\r\n\r\nhello\r\n"


@asynccontextmanager
async def receiving(
    limits: ReceiveLimits | None = None,
    takes: Callable[[str], bool] = lambda address: True,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[int, list[ReceivedMail]]]:
    """A receiver on a free port, and what it got."""
    got: list[ReceivedMail] = []

    async def deliver(mail: ReceivedMail) -> str:
        got.append(mail)
        return f"number {len(got)}"

    receiver = SmtpReceiver("mx.example.com", deliver, takes, limits or ReceiveLimits(), tls)
    port = await receiver.start(HOST, 0)
    try:
        yield port, got
    finally:
        await receiver.close()


class Raw:
    """A client that says exactly what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port: int) -> Raw:
        client = cls(*await asyncio.open_connection(HOST, port))
        assert (await client.reply()).startswith("220 ")
        return client

    async def reply(self) -> str:
        """The next reply, its last line; empty where the connection has ended."""
        try:
            while line := (await self.reader.readline()).decode():
                if line[3:4] != "-":
                    return line.rstrip("\r\n")
        except ConnectionResetError:
            pass
        return ""

    async def say(self, octets: bytes) -> str:
        self.writer.write(octets)
        return await self.reply()

    async def in_data(self) -> None:
        """On until the server waits for a message."""
        for command, code in ((b"EHLO client.example.com", "250"), (b"MAIL FROM:<a@example.com>", "250"),
                              (b"RCPT TO:<b@example.com>", "250"), (b"DATA", "354")):  # fmt: skip
            assert (await self.say(command + b"\r\n")).startswith(code)


async def test_a_message_of_smtplib_with_its_envelope() -> None:
    async with receiving() as (port, got):

        def send() -> None:
            with smtplib.SMTP(HOST, port, local_hostname="client.example.com") as client:
                client.sendmail("a@example.com", ["b@example.com", "c@example.com"], MESSAGE)

        await asyncio.to_thread(send)
    assert got[0].octets == MESSAGE
    assert (got[0].peer, got[0].helo, got[0].tls) == (HOST, "client.example.com", None)
    assert (got[0].mail_from, got[0].rcpt) == ("a@example.com", ("b@example.com", "c@example.com"))


async def test_what_is_offered() -> None:
    async with receiving(ReceiveLimits(octets=5000)) as (port, _):

        def ask() -> dict[str, str]:
            with smtplib.SMTP(HOST, port) as client:
                client.ehlo()
                return dict(client.esmtp_features)

        offered = await asyncio.to_thread(ask)
    assert offered["size"] == "5000"
    assert {"8bitmime", "smtputf8", "pipelining"} <= offered.keys()
    assert not {"starttls", "auth"} & offered.keys()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"a: b\r\n\r\n..dot\r\n...\r\n", b"a: b\r\n\r\n.dot\r\n..\r\n"),
        (b"..first\r\n", b".first\r\n"),
        (b"", b""),
        (b"a: b\n\nbare LF\n.\nnot the end\r\n", b"a: b\n\nbare LF\n.\nnot the end\r\n"),
        (b"x\r.\ry\r\n", b"x\r.\ry\r\n"),
        (b"x\n.\r\ny\r\n", b"x\n.\r\ny\r\n"),
        (b"x\r\n.\ny\r\n", b"x\r\n\ny\r\n"),
        (b"\xe3\x81\x82 \x00 \xff\r\n", b"\xe3\x81\x82 \x00 \xff\r\n"),
        (b"L" * 300_000 + b"\r\n", b"L" * 300_000 + b"\r\n"),
    ],
    ids=["stuffed", "stuffed-first", "empty", "bare-lf", "bare-cr", "lf-dot-crlf", "dot-lf", "8bit", "long-line"],
)
async def test_octets_are_kept_as_they_came(sent: bytes, kept: bytes) -> None:
    async with receiving() as (port, got):
        client = await Raw.to(port)
        await client.in_data()
        assert await client.say(sent + b".\r\n") == "250 2.0.0 OK: kept as number 1"
        client.writer.close()
    assert [each.octets for each in got] == [kept]


@pytest.mark.parametrize("shift", range(6))
async def test_dots_at_the_edges_of_what_is_read_at_once(shift: int) -> None:
    """The buffer is 64 KiB: line ends and dots fall before, on and behind its end."""
    body = b"x" * (65_536 - 8 + shift) + b"\r\n..\r\n" * 40_000
    async with receiving() as (port, got):
        client = await Raw.to(port)
        await client.in_data()
        assert (await client.say(body + b".\r\n")).startswith("250 ")
        client.writer.close()
    assert got[0].octets == body.replace(b"\r\n..", b"\r\n.")


async def test_a_message_octet_by_octet() -> None:
    async with receiving() as (port, got):
        client = await Raw.to(port)
        await client.in_data()
        for octet in b"a: b\r\n\r\n..\r\n.\r\n":
            client.writer.write(bytes([octet]))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.reply()).startswith("250 ")
        client.writer.close()
    assert got[0].octets == b"a: b\r\n\r\n.\r\n"


async def test_everything_at_once_is_taken_in_order() -> None:
    transaction = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n%b\r\n.\r\n"
    async with receiving() as (port, got):
        client = await Raw.to(port)
        client.writer.write(b"EHLO c\r\n" + transaction % b"one" + transaction % b"two" + b"QUIT\r\n")
        replies = [await client.reply() for _ in range(10)]
        client.writer.close()
    assert [reply[:3] for reply in replies] == ["250", "250", "250", "354", "250", "250", "250", "354", "250", "221"]
    assert [each.octets for each in got] == [b"one\r\n", b"two\r\n"]


async def test_a_second_message_cannot_hide_behind_a_bare_line_feed() -> None:
    async with receiving() as (port, got):
        client = await Raw.to(port)
        await client.in_data()
        hidden = b"x\n.\nMAIL FROM:<evil@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\ny\r\n.\r\n"
        assert (await client.say(hidden)).startswith("250 ")
        client.writer.close()
    assert [each.mail_from for each in got] == ["a@example.com"]


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("<>", ""),
        ("<a..b.@docomo.example.jp>", "a..b.@docomo.example.jp"),
        ("<用户@例え.example>", "用户@例え.example"),
        ('<"a b>c"@example.com> SIZE=10 BODY=8BITMIME SMTPUTF8', '"a b>c"@example.com'),
        ("<@relay.example.com:a@example.com>", "a@example.com"),
        (" <a@example.com>", "a@example.com"),
        ("a@example.com", "a@example.com"),
    ],
)
async def test_paths(path: str, address: str) -> None:
    async with receiving() as (port, got):
        client = await Raw.to(port)
        assert (await client.say(b"EHLO c\r\n")).startswith("250 ")
        assert (await client.say(f"MAIL FROM:{path}\r\n".encode())).startswith("250 ")
        assert (await client.say(b"RCPT TO:<b@example.com>\r\n")).startswith("250 ")
        await client.say(b"DATA\r\n")
        await client.say(b"x\r\n.\r\n")
        client.writer.close()
    assert [each.mail_from for each in got] == [address]


async def test_a_message_too_large_is_refused_before_or_after_it_was_sent() -> None:
    async with receiving(ReceiveLimits(octets=1000)) as (port, got):
        client = await Raw.to(port)
        assert (await client.say(b"EHLO c\r\n")).startswith("250 ")
        assert (await client.say(b"MAIL FROM:<a@example.com> SIZE=1001\r\n")).startswith("552 ")
        await client.in_data()
        assert (await client.say(b"x" * 998 + b"\r\nx\r\n.\r\n")).startswith("552 ")
        await client.in_data()
        assert (await client.say(b"x" * 998 + b"\r\n.\r\n")).startswith("250 ")
        client.writer.close()
    assert [len(each.octets) for each in got] == [1000]


async def test_recipients_that_are_not_ours_are_refused() -> None:
    async with receiving(ReceiveLimits(recipients=2), takes=lambda address: address.endswith("@mx.example.com")) as (
        port,
        _,
    ):
        client = await Raw.to(port)
        assert (await client.say(b"EHLO c\r\n")).startswith("250 ")
        assert (await client.say(b"MAIL FROM:<a@example.com>\r\n")).startswith("250 ")
        assert (await client.say(b"RCPT TO:<b@example.org>\r\n")).startswith("550 ")
        assert (await client.say(b"DATA\r\n")).startswith("503 ")
        codes = [(await client.say(b"RCPT TO:<%d@mx.example.com>\r\n" % each))[:3] for each in range(3)]
        assert codes == ["250", "250", "452"]
        client.writer.close()


async def test_a_peer_sends_so_many_a_minute() -> None:
    async with receiving(ReceiveLimits(a_minute=2)) as (port, got):
        client = await Raw.to(port)
        for _ in range(2):
            await client.in_data()
            assert (await client.say(b"x\r\n.\r\n")).startswith("250 ")
        another = await Raw.to(port)
        assert (await another.say(b"EHLO c\r\n")).startswith("250 ")
        assert (await another.say(b"MAIL FROM:<a@example.com>\r\n")).startswith("450 ")
        client.writer.close()
        another.writer.close()
    assert len(got) == 2


async def test_idle_connections_give_way_to_who_comes_to_send() -> None:
    async with receiving() as (port, got), asyncio.timeout(30):
        idle = [await asyncio.open_connection(HOST, port) for _ in range(200)]
        client = await Raw.to(port)
        await client.in_data()
        assert (await client.say(b"x\r\n.\r\n")).startswith("250 ")
        for _, writer in idle:
            writer.close()
        client.writer.close()
    assert len(got) == 1


async def test_who_only_says_nothing_much_gives_way_as_well() -> None:
    """NOOP keeps no place: what counts is mail."""
    async with receiving(ReceiveLimits(connections=2)) as (port, _):
        first, second = await Raw.to(port), await Raw.to(port)
        assert (await first.say(b"NOOP\r\n")).startswith("250 ")
        third = await Raw.to(port)
        assert (await first.reply()).startswith("421 ")
        assert (await second.say(b"NOOP\r\n")).startswith("250 ")
        assert (await third.say(b"NOOP\r\n")).startswith("250 ")
        for each in (first, second, third):
            each.writer.close()


async def test_a_stalled_message_gives_way_to_another() -> None:
    async with receiving(ReceiveLimits(messages=1, stalled=0.05)) as (port, got):
        stalled, client = await Raw.to(port), await Raw.to(port)
        await stalled.in_data()
        await client.in_data()
        assert (await client.say(b"x\r\n.\r\n")).startswith("250 ")
        assert (await stalled.reply()).startswith("421 ")
        stalled.writer.close()
        client.writer.close()
    assert len(got) == 1


async def test_a_client_that_drips_is_closed() -> None:
    """An octet now and then buys no time: not within a command, and not within a message."""
    async with receiving(ReceiveLimits(idle=0.3)) as (port, got), asyncio.timeout(30):
        command, message = await Raw.to(port), await Raw.to(port)
        await message.in_data()

        async def drip(client: Raw) -> str:
            async def drops() -> None:
                while True:
                    client.writer.write(b"x")
                    await asyncio.sleep(0.02)

            dripping = asyncio.create_task(drops())
            try:
                return await client.reply()
            finally:
                dripping.cancel()
                client.writer.close()

        replies = await asyncio.gather(drip(command), drip(message))
    assert all(reply == "" or reply.startswith("421 ") for reply in replies)
    assert got == []


async def test_a_message_that_cannot_be_kept_is_deferred() -> None:
    async def full(mail: ReceivedMail) -> str:
        raise OSError(28, "No space left on device")

    receiver = SmtpReceiver("mx.example.com", full)
    client = await Raw.to(await receiver.start(HOST, 0))
    await client.in_data()
    assert (await client.say(b"x\r\n.\r\n")).startswith("452 ")
    client.writer.close()
    await receiver.close()


async def test_what_is_no_message_is_refused_and_the_next_one_taken() -> None:
    async def deliver(mail: ReceivedMail) -> str:
        if b":" not in mail.octets:
            raise NoMailError
        return "1"

    receiver = SmtpReceiver("mx.example.com", deliver)
    client = await Raw.to(await receiver.start(HOST, 0))
    for octets, code in ((b"", "554 5.6.0 "), (b"\x89PNG\r\n", "554 5.6.0 "), (b"a: b\r\n", "250 ")):
        await client.in_data()
        assert (await client.say(octets + b".\r\n")).startswith(code)
    client.writer.close()
    await receiver.close()


def certificate(folder: Path) -> ssl.SSLContext:
    """A certificate of its own for mx.example.com, as a server uses it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mx.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


async def test_mail_over_tls_tells_its_version(tmp_path: Path) -> None:
    async with receiving(tls=certificate(tmp_path)) as (port, got):

        def send() -> dict[str, str]:
            context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
            context.check_hostname = False
            with smtplib.SMTP(HOST, port) as client:
                client.starttls(context=context)
                client.ehlo("client.example.com")
                client.sendmail("a@example.com", ["b@example.com"], b"x" * 200_000)
                return dict(client.esmtp_features)

        offered = await asyncio.to_thread(send)
    assert (got[0].tls, got[0].helo, len(got[0].octets)) == ("TLSv1.3", "client.example.com", 200_002)
    assert not {"starttls", "auth"} & offered.keys()


async def test_a_broken_handshake_ends_that_connection_alone(tmp_path: Path) -> None:
    async with receiving(ReceiveLimits(connections=1), tls=certificate(tmp_path)) as (port, got):
        broken = await Raw.to(port)
        assert (await broken.say(b"EHLO c\r\n")).startswith("250 ")
        assert (await broken.say(b"STARTTLS\r\n")).startswith("220 ")
        broken.writer.write(b"this is no handshake\r\n" * 100)
        assert await broken.reader.read() is not None
        broken.writer.close()
        client = await Raw.to(port)
        await client.in_data()
        assert (await client.say(b"x\r\n.\r\n")).startswith("250 ")
        client.writer.close()
    assert len(got) == 1
