"""Posts to mailing lists and forwarded mail: what shows them, and what only looks so."""

from __future__ import annotations

from typing import Any

import pytest

from deliverability.core.facts.base import FactSet, Reason, Unknown
from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail.reader import read
from deliverability.core.mail.received import parse_return_path
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.engine.auditors import forwarding, message
from deliverability.engine.base import gather
from tests.engine.auditors.test_message import DeadResolver
from tests.facts_of import NOW, stating

FROM = "From: Taro <taro@example.jp>\nTo: bob@example.net\n"
# The way of a forwarded mail: from 192.0.2.10 to the forwarder, from there (the connecting hop) to the recipient.
HOP = "Received: from fwd (fwd.other.example [198.51.100.9]) by mx.example.net; 24 Nov 2026 01:00:00 +0000\n"
FIRST = "Received: from mail (mail.example.jp [192.0.2.10]) by mx.other.example; 24 Nov 2026 00:59:00 +0000\n"


async def audit(raw: str | None) -> FactSet:
    """The facts of a message that the connecting hop (198.51.100.9) brought."""
    octets = raw.encode() if raw is not None else None
    parsed = read(octets) if octets is not None else None
    path = parsed.first("Return-Path") if parsed else None
    given: dict[str, Any] = {
        "envelope.mail_from": parse_return_path(path.value) if path else {"unknown": "not-configured"},
        "envelope.mail_from_source": "return-path",
        "envelope.ip": "198.51.100.9",
        "envelope.passed_on_signs": [],
    }
    auditors = [message.audit, stating(given, message.audit, forwarding.audit), forwarding.audit]
    gathered = await gather(
        auditors,
        Subject("example.jp", sample=Sample("", data=octets)),
        Ports(DeadResolver(), FixedClock(NOW)),
        parsed,
    )
    assert gathered.crashes == ()
    return gathered.facts


# --- lists ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "owner", "list_post"),
    [
        ("", None, False),
        # Mailman; Linux's vger says Precedence: bulk, but the mail is addressed to the list; old ezmlm; Google Groups.
        ("List-Id: Dev <dev.list.example.org>\nPrecedence: list\n", "other", True),
        ("List-Id: <dev.list.example.org>\nPrecedence: bulk\nCc: dev@list.example.org\n", "other", True),
        (
            "List-Id: <dev.list.example.org>\nMailing-List: contact dev-help@list.example.org; run by ezmlm\n",
            "other",
            True,
        ),
        ("List-Post: <https://groups.example.org/p>, <mailto:dev@groups.example.org>\n", None, True),
        # Majordomo and others that write no List-Id: the Return-Path is the list's, and the list is in To or Cc.
        ("Return-Path: <owner-dev@list.example.org>\nCc: Dev@list.example.org\nPrecedence: bulk\n", None, True),
        ("Return-Path: <dev-bounces+bob=example.net@list.example.org>\nCc: dev@list.example.org\n", None, True),
        ("Return-Path: <owner-dev@list.example.org>\nPrecedence: bulk\n", None, False),
        ("Return-Path: <dev-bounces@list.example.jp>\nCc: dev@list.example.jp\n", None, False),
        # A newsletter whose service names the list, as Mailchimp does.
        ("List-Id: x mc list <3f21.1409.list-id.mcsv.net>\nList-Unsubscribe: <https://mcsv.net/u>\n", "other", False),
        # The author's own list, at another name of the organization.
        ("List-Id: <news.mail.example.jp>\nPrecedence: list\nList-Post: <mailto:news@example.jp>\n", "own", False),
        ("List-Id: <announce.list.example.org>\nList-Post: NO\n", "other", False),
        ("List-Id: <no name at all>\nPrecedence: list\n", None, False),
    ],
)
async def test_posts_to_lists(headers: str, owner: str | None, list_post: bool) -> None:
    facts = await audit(FROM + headers + "\nx")
    assert (facts.value("message.list_owner"), facts.value("message.list_post")) == (owner, list_post)
    assert facts.value("message.indirect") is list_post
    assert facts.value("message.forwarded") is False


async def test_a_list_is_known_by_its_header_lines() -> None:
    facts = await audit(FROM + "List-Id: <dev.list.example.org>\nPrecedence: list\n\nx")
    for path in ("message.list_post", "message.indirect"):
        assert facts.facts[path].evidence == ("header:list-id:1", "header:precedence:1")


async def test_organizations_are_told_by_the_public_suffix_list() -> None:
    """Two companies below co.jp are two, though they share a suffix of two labels."""
    raw = "From: a@one.co.jp\nTo: dev@two.co.jp\nList-Id: <dev.two.co.jp>\n\nx"
    assert (await audit(raw)).value("message.list_post") is True


# --- forwarding ----------------------------------------------------------------------------------------------------

PASSED = "spf=pass (sender ip is {ip}) smtp.mailfrom={sender}"


def results(ip: str, sender: str = "taro@example.jp", server: str = "mx.other.example") -> str:
    return f"Authentication-Results: {server}; {PASSED.format(ip=ip, sender=sender)}\n"


def seal(ip: str, sender: str = "taro@example.jp") -> str:
    return f"ARC-Authentication-Results: i=1; mx.other.example; {PASSED.format(ip=ip, sender=sender)}\n"


@pytest.mark.parametrize(
    ("above", "below", "signs"),
    [
        ("", "Resent-From: ann@other.example\n", ("resent",)),
        ("X-Forwarded-To: a@gmail.com\nX-Forwarded-For: b@other.example a@gmail.com\n", "", ("x-forwarded",)),
        ("Delivered-To: bob@example.net\n", "Delivered-To: taro@other.example\n", ("delivered-to",)),
        ("Return-Path: <SRS0=hash=ab=example.jp=taro@other.example>\n", "", ("rewritten-sender",)),
        ("Return-Path: <SRS1=h=x.example==h=ab=example.jp=taro@other.example>\n", "", ("rewritten-sender",)),
        ("Return-Path: <ann+SRS=a1b2=XY=example.jp=taro@other.example>\n", "", ("rewritten-sender",)),
        ("Return-Path: <ann+caf_=bob=example.net@gmail.com>\n", "", ("rewritten-sender",)),
    ],
)
async def test_signs_of_forwarding(above: str, below: str, signs: tuple[str, ...]) -> None:
    facts = await audit(above + HOP + below + FIRST + FROM + "\nx")
    assert facts.value("message.forward_signs") == signs
    assert facts.value("message.forwarded") is facts.value("message.indirect") is True
    assert facts.facts["message.forwarded"].evidence
    assert facts.value("message.list_post") is False


@pytest.mark.parametrize(
    ("above", "below"),
    [
        ("", ""),
        # A relay of the sender's records what it takes from the sender's own server, and may seal it.
        ("", seal("192.0.2.10")),
        ("", results("192.0.2.10")),
        ("", "Received-SPF: pass client-ip=192.0.2.10; envelope-from=taro@example.jp\n"),
        # A mailbox of the author's own organization that passes on to one elsewhere.
        ("Delivered-To: bob@example.net\n", "Delivered-To: team@example.jp\n"),
        # Google and Microsoft seal what they receive and what they send.
        (seal("198.51.100.9"), ""),
        ("", "ARC-Authentication-Results: i=1; mx.microsoft.com 1; spf=pass smtp.mailfrom=example.jp; dkim=pass\n"),
        # Gmail writes its own records below its Received field.
        ("", results("198.51.100.9", server="mx.google.com")),
        # An earlier server that is the sender's own way out: SPF passed at the last hop as well.
        (results("198.51.100.9", server="mx.example.net"), results("192.0.2.10")),
        # Inside somebody's network, not passed, of another domain, or above the hop.
        ("", results("10.0.0.5")),
        ("", results("192.0.2.10").replace("spf=pass", "spf=softfail")),
        ("", results("192.0.2.10", "b@esp.example")),
        (results("192.0.2.10"), ""),
        # One mailbox after the other of one receiver; a web form behind a proxy; a tagged bounce address.
        ("Delivered-To: bob@example.net\n", "Delivered-To: info@mail.example.net\n"),
        ("X-Forwarded-For: 203.0.113.5\n", ""),
        ("Return-Path: <prvs=1234=taro@example.jp>\n", ""),
        ("Return-Path: <taro+shop@example.jp>\n", ""),
    ],
)
async def test_what_only_looks_like_forwarding(above: str, below: str) -> None:
    facts = await audit(above + HOP + below + FIRST + FROM + "\nx")
    assert facts.value("message.forward_signs") == ()
    assert facts.value("message.forwarded") is False


async def test_without_a_message_nothing_is_known() -> None:
    facts = await audit(None)
    for name in ("list_owner", "list_post", "forward_signs", "forwarded", "indirect"):
        assert facts.value(f"message.{name}") == Unknown(Reason.NO_MESSAGE)
