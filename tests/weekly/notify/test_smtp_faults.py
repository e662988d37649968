"""The weekly mail under every fault of a submission server: nothing is lost, and nothing is sent twice.

The server is a script: what it says to each command, and when it closes or falls silent.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.console.settings import EmailSettings
from deliverability.weekly.notify import mail
from deliverability.weekly.notify.mail import SmtpChannel
from deliverability.weekly.notify.outbox import Notification, Outbox
from tests.sampled import sampled
from tests.weekly.notify.test_outbox import notification

CLOSE, SILENCE, DRIP = "close", "silence", "drip"
ALL = ("a@example.com", "b@example.com", "c@example.com")
GOOD = {
    "CONNECT": "220 hello",
    "EHLO": "250 hello",
    "HELO": "250 hello",
    "MAIL": "250 OK",
    "RCPT": "250 OK",
    "DATA": "354 go on",
    ".": "250 taken",
    "RSET": "250 OK",
    "QUIT": "221 bye",
}


class Script(Struct):
    """A server: each step's answer, and for RCPT also by address. `taken` holds the recipients of what it took."""

    answers: dict[str, str] = field(default_factory=dict)
    taken: list[list[str]] = field(default_factory=list)

    def serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            self._talk(client, client.makefile("rb"))

    def _talk(self, client: socket.socket, lines: object) -> None:
        rcpt: list[str] = []
        if not self._say(client, "CONNECT"):
            return
        for line in iter(lines.readline, b""):  # type: ignore[attr-defined]
            command = line.split(b" ")[0].strip().upper().decode("latin-1")
            step = command
            if command == "RCPT":
                address = line.decode().partition("<")[2].partition(">")[0]
                step = address if address in self.answers else "RCPT"
                if self._answer(step).startswith("250"):
                    rcpt.append(address)
            if not self._say(client, step):
                return
            if command == "DATA" and self._answer("DATA").startswith("354"):
                if self.answers.get("text") == CLOSE:
                    lines.readline()  # type: ignore[attr-defined]
                    return
                while lines.readline() not in (b".\r\n", b""):  # type: ignore[attr-defined]
                    pass
                if self._answer(".").startswith("250"):
                    self.taken.append(rcpt)
                if not self._say(client, "."):
                    return
                rcpt = []

    def _answer(self, step: str) -> str:
        return self.answers.get(step, GOOD.get(step, GOOD["RCPT"] if "@" in step else "502 what?"))

    def _say(self, client: socket.socket, step: str) -> bool:
        """Answer; false where the connection is over."""
        said = self._answer(step)
        if said == CLOSE:
            return False
        if said == SILENCE:
            client.recv(1)  # until the other side gives up
            return False
        if said == DRIP:
            while True:
                client.sendall(b"2")
                threading.Event().wait(0.05)
        client.sendall(said.encode() + b"\r\n")
        return not said.startswith("421")


@contextmanager
def serving(script: Script, security: str = "none") -> Iterator[SmtpChannel]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=script.serve, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        settings = EmailSettings(
            ALL,
            "deliv@example.com",
            host="127.0.0.1",
            port=listener.getsockname()[1],
            security=security,  # type: ignore[arg-type]
        )
        yield SmtpChannel(settings, "")
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


@contextmanager
def patience_for(fault: dict[str, str], seconds: float = 0.7) -> Iterator[None]:
    """So long where the server says nothing or does not end; as usual with one that answers, however busy we are."""
    with pytest.MonkeyPatch.context() as patch:
        if {SILENCE, DRIP} & {*fault.values()}:
            patch.setattr(mail, "TIMEOUT_SECONDS", seconds)
            patch.setattr(mail, "TOTAL_SECONDS", seconds)
        yield


def weeks(
    outbox: Outbox, fault: dict[str, str], security: str = "none", patience: float = 0.7
) -> tuple[list[list[str]], list[Notification]]:
    """A week with a fault and one without; gives who got the notification, and what was refused for good."""
    outbox.put(notification(to=ALL))
    script = Script(fault)
    with serving(script, security) as channel:
        with patience_for(fault, patience):
            outbox.flush({"email": channel})
        script.answers = {}
        outbox.flush({"email": replace(channel, settings=replace(channel.settings, security="none"))})
    assert list(outbox.waiting()) == [], "the second week leaves nothing behind"
    return script.taken, list(Outbox(outbox.folder / "refused").waiting())


LATER = ("451 4.7.1 Greylisted", "421 4.3.2 Shutting down", CLOSE, SILENCE, DRIP)


@pytest.mark.parametrize("answer", sampled([*LATER], 3))
@pytest.mark.parametrize("step", ["CONNECT", "MAIL", "RCPT", "DATA", "."])
@pytest.mark.long
def test_what_a_server_puts_off_everybody_gets_once_a_week_later(outbox: Outbox, step: str, answer: str) -> None:
    taken, refused = weeks(outbox, {step: answer})
    assert taken == [[*ALL]]
    assert refused == []


@pytest.mark.parametrize("answer", ["550 5.7.1 No", "554 5.7.1 No"])
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "."])
def test_what_a_server_refuses_for_good_is_kept_for_a_person(outbox: Outbox, step: str, answer: str) -> None:
    taken, (refused,) = weeks(outbox, {step: answer})
    assert taken == []
    assert refused.to == ALL
    assert answer in refused.problem


@pytest.mark.parametrize(
    "fault",
    [
        {"CONNECT": "554 5.3.2 Not here"},
        {"EHLO": "550 5.7.1 Who?", "HELO": "550 5.7.1 Who?"},
        {"MAIL": "530 5.7.0 Log in first"},
    ],
)
def test_what_settings_mend_waits_for_that(outbox: Outbox, fault: dict[str, str]) -> None:
    assert weeks(outbox, fault) == ([[*ALL]], [])


@pytest.mark.parametrize("goodbye", sampled(["451 not now", "550 no", "what?", CLOSE, SILENCE, "421 bye"], 2))
@pytest.mark.long
def test_what_was_taken_is_taken_however_the_server_says_goodbye(outbox: Outbox, goodbye: str) -> None:
    """Before, a reply other than 221 to QUIT had the notification sent again each week."""
    assert weeks(outbox, {"QUIT": goodbye}, patience=3.0) == ([[*ALL]], [])


def test_a_server_that_leaves_between_two_recipients_loses_none_of_them(outbox: Outbox) -> None:
    """Before, those that came after the 421 never got the notification."""
    taken, refused = weeks(outbox, {"b@example.com": "421 4.3.2 Shutting down"})
    assert sorted(taken[0]) == [*ALL]
    assert len(taken) == 1
    assert refused == []


def test_each_recipient_gets_what_is_its_own(outbox: Outbox) -> None:
    taken, (refused,) = weeks(outbox, {"b@example.com": "451 4.7.1 Greylisted", "c@example.com": "550 5.1.1 Unknown"})
    assert taken == [["a@example.com"], ["b@example.com"]]
    assert refused.to == ("c@example.com",)


def test_a_server_that_closes_amid_the_text_gets_it_again(outbox: Outbox) -> None:
    assert weeks(outbox, {"text": CLOSE}) == ([[*ALL]], [])


@pytest.mark.parametrize(
    "fault",
    [
        {"EHLO": "250-hello\r\n250 STARTTLS", "STARTTLS": "454 4.7.0 TLS not available"},
        {"EHLO": "250-hello\r\n250 STARTTLS", "STARTTLS": "554 5.7.0 TLS broken"},
        {
            "EHLO": "250-hello\r\n250 STARTTLS",
            "STARTTLS": "220 go\r\nnot TLS at all, but some text that is long enough",
        },
        {"EHLO": "250-hello\r\n250 STARTTLS", "STARTTLS": CLOSE},
        {"EHLO": "250-hello\r\n250 STARTTLS", "STARTTLS": SILENCE},
        {},
    ],
    ids=["454", "554", "no TLS", "closed", "silent", "not offered"],
)
@pytest.mark.long
def test_broken_tls_never_leads_to_clear_text(outbox: Outbox, fault: dict[str, str]) -> None:
    outbox.put(notification(to=ALL))
    script = Script(fault)
    with serving(script, "starttls") as channel, patience_for(fault):
        ((_, attempt),) = outbox.flush({"email": channel})
    assert attempt.later == ALL
    assert attempt.problem
    assert script.taken == []


def test_a_server_without_tls_at_its_port_is_tried_again(outbox: Outbox) -> None:
    outbox.put(notification(to=ALL))
    with serving(Script(), "tls") as channel:
        ((_, attempt),) = outbox.flush({"email": channel})
    assert attempt.later == ALL
