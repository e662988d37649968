"""Notifications against a real SMTP and a real web server on loopback: taken, refused, put off, and never lost."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import hmac
import http.server
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from deliverability.console.settings import EmailSettings, WebhookSettings
from deliverability.core.inputs import VARIABLE_UNSET, SecretError, secret
from deliverability.core.phrases import detail_words, phrases
from deliverability.weekly.notify import mail
from deliverability.weekly.notify.mail import SmtpChannel
from deliverability.weekly.notify.notifier import WebhookChannel, signature
from deliverability.weekly.notify.outbox import MAX_ATTEMPTS, Attempt, Notification, Outbox
from tests.core.net.test_http import certificate  # noqa: F401 - a fixture
from tests.core.net.test_http import serving as site

LOOPBACK = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")


def notification(
    name: str = "2026-11-23-mail", *, to: tuple[str, ...] = ("ops@example.com",), **more: Any
) -> Notification:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "deliv@example.com", ", ".join(to), "週次レポート"
    message.set_content("すべて良好です。\n.\nA line with a dot above.\n")
    values: dict[str, Any] = {"kind": "email", "created": "2026-11-23T06:00:00Z", "body": message.as_bytes(), **more}
    return Notification(name, to=to, **values)


class Server:
    """A mail server that answers as told: `script` maps a command or an address to replies, one after another."""

    def __init__(self, script: dict[str, list[str]] | None = None, seconds: float = 0.0) -> None:
        self.script = script or {}
        self.seconds = seconds
        self.taken: list[Any] = []

    def _next(self, key: str) -> str:
        replies = self.script.get(key, [])
        return replies.pop(0) if len(replies) > 1 else replies[0] if replies else "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        reply = self._next(address)
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        await asyncio.sleep(self.seconds)
        reply = self._next("DATA")
        if reply.startswith("250"):
            self.taken.append((envelope.rcpt_tos, envelope.content))
        return reply


@contextmanager
def serving(handler: Server) -> Iterator[SmtpChannel]:
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        settings = EmailSettings(
            ("ops@example.com",), "deliv@example.com", host="127.0.0.1", port=controller.port, security="none"
        )
        yield SmtpChannel(settings, "")
    finally:
        controller.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


def test_a_notification_that_is_taken_is_gone(outbox: Outbox) -> None:
    server = Server()
    outbox.put(notification())
    with serving(server) as channel:
        ((sent, attempt),) = outbox.flush({"email": channel})
    assert (sent.attempts, attempt) == (1, Attempt())
    assert list(outbox.waiting()) == []
    assert list(outbox.folder.iterdir()) == []
    ((recipients, content),) = server.taken
    assert recipients == ["ops@example.com"]
    assert "=?utf-8?" in content.decode("ascii"), "seven bits only: not every server takes eight"


def test_greylisting_is_tried_again_at_the_next_run(outbox: Outbox) -> None:
    server = Server({"ops@example.com": ["451 4.7.1 Greylisted, try again later", "250 OK"]})
    outbox.put(notification())
    with serving(server) as channel:
        ((_, first),) = outbox.flush({"email": channel})
        assert first.later == ("ops@example.com",)
        assert "451 4.7.1 Greylisted" in first.problem
        (waiting,) = outbox.waiting()
        assert (waiting.attempts, waiting.body) == (1, notification().body)
        outbox.flush({"email": channel})
    assert list(outbox.waiting()) == []
    assert len(server.taken) == 1


def test_what_was_refused_for_good_is_kept_for_a_person(outbox: Outbox) -> None:
    server = Server({"ops@example.com": ["550 5.1.1 No such user"]})
    outbox.put(notification())
    with serving(server) as channel:
        ((_, attempt),) = outbox.flush({"email": channel})
    assert attempt.refused == ("ops@example.com",)
    assert list(outbox.waiting()) == []
    (kept,) = Outbox(outbox.folder / "refused").waiting()
    assert "550 5.1.1 No such user" in kept.problem
    assert kept.body == notification().body


def test_who_took_it_does_not_get_it_twice(outbox: Outbox) -> None:
    server = Server({"b@example.com": ["450 4.2.1 busy", "250 OK"], "c@example.com": ["550 5.1.1 gone"]})
    outbox.put(notification(to=("a@example.com", "b@example.com", "c@example.com")))
    with serving(server) as channel:
        outbox.flush({"email": channel})
        assert [each.to for each in outbox.waiting()] == [("b@example.com",)]
        assert [each.to for each in Outbox(outbox.folder / "refused").waiting()] == [("c@example.com",)]
        outbox.flush({"email": channel})
    assert [recipients for recipients, _ in server.taken] == [["a@example.com"], ["b@example.com"]]


@pytest.mark.parametrize(("reply", "again"), [("452 4.3.1 disk full", True), ("554 5.6.0 rejected", False)])
def test_a_refusal_after_the_text(outbox: Outbox, reply: str, again: bool) -> None:
    outbox.put(notification())
    with serving(Server({"DATA": [reply]})) as channel:
        outbox.flush({"email": channel})
    assert bool(list(outbox.waiting())) is again


def test_a_server_that_does_not_answer_is_tried_again(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "TIMEOUT_SECONDS", 0.2)
    outbox.put(notification())
    with serving(Server(seconds=2.0)) as channel:
        ((_, attempt),) = outbox.flush({"email": channel})
    assert attempt.later
    assert "timed out (0.2 s)" in attempt.problem
    assert len(list(outbox.waiting())) == 1


def test_a_server_that_is_not_there_is_tried_again(outbox: Outbox) -> None:
    outbox.put(notification())
    settings = EmailSettings(("a@b.example",), "d@b.example", host="127.0.0.1", port=free_port(), security="none")
    ((_, attempt),) = outbox.flush({"email": SmtpChannel(settings, "")})
    assert "Connection refused" in attempt.problem
    assert len(list(outbox.waiting())) == 1


def test_never_in_clear_text_where_starttls_was_asked_for(outbox: Outbox) -> None:
    server = Server()
    outbox.put(notification())
    with serving(server) as plain:
        settings = EmailSettings(
            ("a@b.example",), "d@b.example", host="127.0.0.1", port=plain.settings.port, username="u"
        )
        ((_, attempt),) = outbox.flush({"email": SmtpChannel(settings, "secret")})
    assert "STARTTLS" in attempt.problem
    assert server.taken == []
    assert len(list(outbox.waiting())) == 1


def test_after_many_attempts_a_person_has_to_look(outbox: Outbox) -> None:
    outbox.put(notification(attempts=MAX_ATTEMPTS - 1))
    with serving(Server({"ops@example.com": ["451 4.7.1 later"]})) as channel:
        outbox.flush({"email": channel})
    assert list(outbox.waiting()) == []
    assert len(list(Outbox(outbox.folder / "refused").waiting())) == 1


DAMAGED = (
    "",
    "{",
    "[" * 100_000,
    "7",
    '{"kind": "email"}',
    '{"kind": ["email"], "to": ["a@example.com"], "created": "", "attempts": 0, "problem": ""}',
    '{"kind": "pigeon", "to": ["a@example.com"], "created": "", "attempts": 0, "problem": ""}',
    '{"kind": "email", "to": [], "created": "", "attempts": 0, "problem": ""}',
    '{"kind": "email", "to": [7], "created": "", "attempts": 0, "problem": ""}',
    '{"kind": "email", "to": ["a@example.com"], "created": 7, "attempts": 0, "problem": ""}',
    '{"kind": "email", "to": ["a@example.com"], "created": "", "attempts": "many", "problem": ""}',
)


@pytest.mark.parametrize("head", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_notification_is_set_aside_and_told_and_the_others_go(outbox: Outbox, head: str) -> None:
    """Before, it was passed over without a word, or broke off every run before the others were sent."""
    outbox.put(notification())
    (outbox.folder / "2026-11-16-mail.json").write_text(head)
    (outbox.folder / "2026-11-16-mail.body").write_text("what was to be sent")
    server = Server()
    with serving(server) as channel:
        (damage,) = outbox.set_aside()
        assert len(outbox.flush({"email": channel})) == 1
    assert detail_words(damage, phrases("en")).startswith("the notification 2026-11-16-mail.json is damaged")
    assert len(server.taken) == 1
    assert (outbox.folder / "damaged" / "2026-11-16-mail.body").read_text() == "what was to be sent"
    assert outbox.set_aside() == (), "told once"


def test_a_notification_without_its_text_is_damaged(outbox: Outbox) -> None:
    outbox.put(notification())
    (outbox.folder / "2026-11-23-mail.body").unlink()
    (damage,) = outbox.set_aside()
    assert "2026-11-23-mail.body is missing" in detail_words(damage, phrases("en"))
    assert list(outbox.waiting()) == []


class Bursting:
    """A channel with a fault of its own."""

    def send(self, notification: Notification, seconds: float) -> Attempt:
        raise RuntimeError("no such luck")


def test_whatever_one_notification_meets_the_others_are_sent(outbox: Outbox) -> None:
    outbox.put(notification())
    outbox.put(notification("2026-11-16-webhook", kind="webhook", to=("https://hooks.example.com/x",)))
    server = Server()
    with serving(server) as channel:
        outbox.flush({"webhook": Bursting(), "email": channel})
    assert len(server.taken) == 1
    (waiting,) = outbox.waiting()
    assert (waiting.kind, waiting.problem) == ("webhook", "RuntimeError: no such luck")


def test_on_a_full_disk_a_notification_stands_as_it_stood_and_the_others_are_tried(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.put(notification("2026-11-16-mail", to=("later@example.com",)))
    outbox.put(notification())
    server = Server({"later@example.com": ["451 4.7.1 Greylisted"]})

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("deliverability.weekly.notify.outbox.write_whole", full)
    with serving(server) as channel:
        (_, first), (_, second) = outbox.flush({"email": channel})
    assert "No space left on device" in first.problem
    assert second == Attempt()
    assert [each.to for each in outbox.waiting()] == [("later@example.com",)]
    assert len(server.taken) == 1


@pytest.mark.parametrize(
    "url", ["https://exa mple.com/", "https://[::1/x", "https://hooks.example.com:99999/", "https://x\n/"]
)
def test_an_address_that_nothing_can_be_posted_to_is_no_traceback(outbox: Outbox, url: str) -> None:
    outbox.put(Notification("x", "webhook", (url,), "2026-11-23T06:00:00Z", b"{}"))
    ((_, attempt),) = outbox.flush({"webhook": WebhookChannel(WebhookSettings(url), "")})
    assert attempt.later == (url,)


def test_only_the_user_may_read_what_waits(outbox: Outbox) -> None:
    outbox.put(notification())
    assert outbox.folder.stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in outbox.folder.iterdir())


# --- Webhook ---


@contextmanager
def web(status: int) -> Iterator[tuple[str, list[Any]]]:
    got: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()

        def log_message(self, *args: Any) -> None: ...

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "waits", "refused"),
    [(204, False, False), (500, True, False), (429, True, False), (302, True, False), (404, False, True)],
)
@pytest.mark.long
def test_a_webhook(outbox: Outbox, status: int, waits: bool, refused: bool) -> None:
    with web(status) as (url, got):
        outbox.put(notification(kind="webhook", to=(url,), body=b'{"a": 1}'))
        outbox.flush({"webhook": WebhookChannel(WebhookSettings(url), "key")})
    ((headers, body),) = got
    assert body == b'{"a": 1}'
    at = headers["X-Deliv-Timestamp"]
    expected = hmac.new(b"key", at.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Deliv-Signature"] == f"sha256={expected}"
    assert bool(list(outbox.waiting())) is waits
    assert bool(list(Outbox(outbox.folder / "refused").waiting())) is refused


def test_a_webhook_whose_answer_never_ends_has_taken_it(outbox: Outbox) -> None:
    """Before, all of the answer was read, however long it was and however slowly it came."""
    stop = threading.Event()

    def answer(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client:
            client.recv(65536)
            client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            with contextlib.suppress(OSError):
                while not stop.wait(0.01):
                    client.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        outbox.put(Notification("x", "webhook", (url,), "2026-11-23T06:00:00Z", b"{}"))
        ((_, attempt),) = outbox.flush({"webhook": WebhookChannel(WebhookSettings(url), "")})
        stop.set()
    assert attempt == Attempt()
    assert list(outbox.waiting()) == []


def test_each_attempt_to_post_a_document_carries_its_key(outbox: Outbox) -> None:
    """Where an answer is lost, the receiver can tell that it has the document already."""
    with web(503) as (url, got):
        outbox.put(notification("a-webhook", kind="webhook", to=(url,), body=b"{}"))
        outbox.put(notification("b-webhook", kind="webhook", to=(url,), body=b"{}"))
        for _ in range(2):
            outbox.flush({"webhook": WebhookChannel(WebhookSettings(url), "")})
    first, second, again, again_second = (headers["Idempotency-Key"] for headers, _ in got)
    assert (first, second) == (again, again_second)
    assert first != second
    # A string as RFC 9651 writes it, which the draft of the header asks for.
    assert re.fullmatch(r'"[0-9a-f]{32}"', first)


def test_without_a_key_nothing_is_signed() -> None:
    assert signature("", b"x", 1) == {}


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_webhook_is_posted_to_where_this_machine_trusts_the_certificate(
    trusted: bool,
    certificate: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr(socket, "getaddrinfo", lambda _host, port, *_, **__: [(*LOOPBACK, ("127.0.0.1", port))])
    async with site(certificate, {"/hook": b"HTTP/1.1 204 No Content\r\n\r\n"}) as (server, _):
        url = f"https://www.example.com:{server.port}/hook"
        channel = WebhookChannel(WebhookSettings(url), "")
        attempt = await asyncio.to_thread(channel.send, notification(kind="webhook", to=(url,), body=b"{}"), 10.0)
    assert (attempt == Attempt(), len(server.requests)) == (trusted, int(trusted)), attempt
    assert trusted or "CERTIFICATE_VERIFY_FAILED" in attempt.problem


def test_a_webhook_that_is_not_there_is_tried_again(outbox: Outbox) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    outbox.put(notification(kind="webhook", to=(url,), body=b"{}"))
    outbox.flush({"webhook": WebhookChannel(WebhookSettings(url), "")})
    assert len(list(outbox.waiting())) == 1


# --- Secrets ---


def test_secrets_come_from_the_environment_or_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DELIV_PW", "aus der Umgebung")
    (tmp_path / "pw").write_text("from a file\n")
    assert secret("DELIV_PW", "", tmp_path) == "aus der Umgebung"
    assert secret("", "pw", tmp_path) == "from a file"
    assert secret("", "", tmp_path) == ""
    monkeypatch.delenv("DELIV_PW")
    with pytest.raises(SecretError, match=VARIABLE_UNSET.name):
        secret("DELIV_PW", "", tmp_path)
    with pytest.raises(SecretError) as caught:
        secret("", "no", tmp_path)
    assert detail_words(caught.value.detail, phrases("en")) == "no: No such file or directory"
