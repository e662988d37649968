"""Where the envelope of a message comes from: options, then our own SMTP server, then the trace fields of the file."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from deliverability.core.codes import SENT_TO_YOURSELF, Input, needed
from deliverability.core.facts.base import FactSet, Reason, Unknown
from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail.reader import read
from deliverability.core.mail.received import SmtpEnvelope
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import OFFLINE
from deliverability.engine.audit import notes_on
from deliverability.engine.auditors import envelope, recorded, transport
from deliverability.engine.base import gather
from tests.engine.auditors.test_recorded import given

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
TRACED = (
    b"Return-Path: <old@example.org>\r\n"
    b"Authentication-Results: mx.example.org; spf=pass smtp.mailfrom=example.org\r\n"
    b"Received: from out.example.org (out.example.org [198.51.100.9]) by mx.example.org with ESMTPS (TLSv1.0)\r\n"
    b"From: a@example.com\r\n\r\nhello\r\n"
)


def smtp(*, public: bool, tls: str | None = None, mail_from: str = "bounce@example.com") -> SmtpEnvelope:
    return SmtpEnvelope("192.0.2.1", "out.example.com", mail_from, ("t-x@mx.example.net",), tls, public)


async def facts_of(seen: SmtpEnvelope | None, ips: tuple[str, ...] = (), mail_from: str | None = None) -> FactSet:
    subject = Subject(
        "example.com", sample=Sample("", data=TRACED, envelope=seen), sending_ips=ips, mail_from=mail_from
    )
    auditors = [given({}), envelope.audit, recorded.audit, transport.audit]
    gathered = await gather(auditors, subject, Ports(OFFLINE, FixedClock(NOW)), read(TRACED))
    assert gathered.crashes == ()
    return gathered.facts


async def test_what_our_server_saw_goes_before_the_trace_fields_of_the_file() -> None:
    facts = await facts_of(smtp(public=True, tls="TLSv1.3"))
    for name, value in {"mail_from": "bounce@example.com", "helo": "out.example.com", "ip": "192.0.2.1"}.items():
        assert facts.value(f"envelope.{name}") == value
        assert facts.value(f"envelope.{name}_source") == "smtp"
        assert facts.facts[f"envelope.{name}"].evidence
    assert facts.value("envelope.tls") is True
    assert facts.value("transport.delivery_tls_version") == "TLSv1.3"


async def test_mail_without_tls_came_without_tls() -> None:
    facts = await facts_of(smtp(public=True))
    assert facts.value("envelope.tls") is False
    assert facts.value("transport.delivery_tls_version") is None


async def test_an_option_goes_before_what_our_server_saw() -> None:
    facts = await facts_of(smtp(public=True), ips=("203.0.113.5",), mail_from="x@example.net")
    assert facts.value("envelope.ip") == "203.0.113.5"
    assert facts.value("envelope.mail_from") == "x@example.net"
    assert facts.value("envelope.helo") == "out.example.com"


async def test_who_sends_to_themselves_shows_no_way() -> None:
    """Neither the connection nor an older journey's fields in the file are what a receiver would see."""
    facts = await facts_of(smtp(public=False, tls="TLSv1.3"))
    assert facts.value("envelope.mail_from") == "bounce@example.com"
    for name, wanted in {"ip": Input.SENDING_IP, "helo": Input.HELO}.items():
        value = facts.value(f"envelope.{name}")
        assert isinstance(value, Unknown)
        assert value.reason is Reason.NOT_CONFIGURED
        assert SENT_TO_YOURSELF.matches(value.detail)
        assert needed(value.detail) is wanted
    assert facts.value("envelope.tls") is None
    assert facts.value("transport.delivery_tls_version") is None
    assert facts.value("recorded.spf") is None
    assert "sent-to-yourself" in [note.code for note in notes_on("example.com", facts, "", ())]


async def test_the_address_that_the_user_names_is_no_longer_missing() -> None:
    facts = await facts_of(smtp(public=False), ips=("203.0.113.5",))
    assert facts.value("envelope.ip") == "203.0.113.5"
    assert "sent-to-yourself" not in [note.code for note in notes_on("example.com", facts, "", ())]


async def test_a_null_sender_is_one() -> None:
    facts = await facts_of(smtp(public=True, mail_from=""))
    assert facts.value("envelope.mail_from") == ""
    assert facts.value("envelope.mail_from_domain") == "out.example.com"


async def test_a_file_alone_tells_by_its_fields() -> None:
    facts = await facts_of(None)
    assert facts.value("envelope.ip") == "198.51.100.9"
    assert facts.value("envelope.mail_from_source") == "return-path"
    assert facts.value("transport.delivery_tls_version") == "TLSv1.0"


def test_an_envelope_as_json() -> None:
    seen = smtp(public=True, tls="TLSv1.2")
    assert SmtpEnvelope.of(seen.document()) == seen
    for wrong in (None, [], {}, seen.document() | {"rcpt": "x"}, seen.document() | {"public": 1}):
        with pytest.raises(ValueError, match="envelope"):
            SmtpEnvelope.of(wrong)
