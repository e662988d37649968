"""The history keeps no words of a message: grepped in the database, its log and its export."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import stat
import zlib
from pathlib import Path

import pytest

from deliverability.core.facts.base import FactType
from deliverability.core.store.store import History, HistoryError
from deliverability.core.store.texts import TEXTS, hidden
from deliverability.engine.base import catalogue
from tests.files import zip_of
from tests.weekly.test_stories import Life

pytestmark = pytest.mark.long

KEY = bytes(range(32))
# Each word that begins with "zq" stands in the message and nowhere else.
WORDS = re.compile(rb"zq[a-z0-9]{2,}", re.IGNORECASE)
MAIL = b"""\
Return-Path: <zqbounce@shop.example>\r
Received: from mx.shop.example (mx.shop.example [192.0.2.1])\r
\tby mx.example.net with ESMTPS id zqqueue for <zqrcpt@example.net>; Mon, 5 Oct 2026 06:00:00 +0000\r
Authentication-Results: mx.example.net; spf=pass smtp.mailfrom=zqbounce@shop.example; dkim=fail (zqreason)\r
DKIM-Signature: v=1; a=rsa-sha256; d=shop.example; s=s1; i=zqagent@shop.example; h=from:subject;\r
\tzqtag=1; bh=zqbodyhash; b=zqsignature\r
ARC-Seal: i=1; a=rsa-sha256; cv=zqcv; d=shop.example; s=s1; b=zqseal\r
From: "zqname zqname2@other.example \xe2\x9c\x85" <zqfrom@shop.example>\r
Reply-To: zqreply@shop.example\r
To: zqfriend <zqto@example.net>\r
Subject: zqsubject =?utf-8?Q?zqencoded?=\r
Message-ID: <zqmessageid@shop.example>\r
Date: zqdate\r
List-Unsubscribe: <https://shop.example/leave/zqtoken>, <mailto:zqleave@shop.example>\r
List-Unsubscribe-Post: zqpost\r
X-Campaign: zqcampaign\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary="zqboundary"\r
\r
zqpreamble\r
--zqboundary\r
Content-Type: text/html; charset=utf-8\r
\r
<html><head><base href="https://shop.example/zqbase/"><link rel="stylesheet" href="https://shop.example/zqsheet.css">\r
<title>zqtitle</title></head><body><p class="zqclass">zqtext</p><a href="https://192.0.2.9/zqpath">zqlink</a>\r
<a href="https://shop.example/unsubscribe/zqleave2">unsubscribe zqwords</a>\r
<img src="cid:zqcid" alt="zqalt"></body></html>\r
--zqboundary\r
Content-Type: application/zip; name="zqarchive.zip"\r
Content-Disposition: attachment; filename="zqarchive.zip"\r
Content-Transfer-Encoding: base64\r
\r
%ARCHIVE%\r
--zqboundary\r
Content-Type: image/png; name="zqimage.png"\r
Content-ID: <zqcid>\r
Content-Transfer-Encoding: base64\r
\r
iVBORw0KGgozqpng\r
--zqboundary--\r
zqepilogue\r
"""


ARCHIVE = {"zqmember.exe": b"zqcontent", "zqnested/zqother.txt": b"zqcontent"}


def message() -> bytes:
    import base64

    archive = zip_of(ARCHIVE)
    return MAIL.replace(b"%ARCHIVE%", base64.encodebytes(archive).replace(b"\n", b"\r\n"))


def test_no_word_of_a_message_is_in_the_database_its_log_or_its_export(tmp_path: Path) -> None:
    """Before, the Subject, names, addresses, file names and the token of List-Unsubscribe were."""
    history = History.open(f"sqlite:///{tmp_path / 'h.db'}")
    life = Life(tmp_path, history, message=message())
    for _ in range(2):
        asyncio.run(life.week())
    (first, second) = history.export()
    assert first["facts"]["message.subject"]["value"].startswith("hmac:"), "the message was read"
    assert str(first).count("hmac:") > 30
    found = set(WORDS.findall(repr((first, second)).encode()))
    for file in tmp_path.glob("h.db*"):
        found |= set(WORDS.findall(file.read_bytes()))
    with history._reading() as connection:
        for (data,) in connection.exec_driver_sql("SELECT data FROM blobs"):
            found |= set(WORDS.findall(zlib.decompress(data)))
    history.close()
    # Compressed octets spell four letters now and then, but none of these words.
    words = {each for each in WORDS.findall(MAIL + repr(ARCHIVE).encode()) if len(each) > 4}
    assert len(words) > 30
    assert {each.lower() for each in found} & words == set()


def test_a_message_that_stayed_the_same_gives_no_news_although_its_texts_are_digests(tmp_path: Path) -> None:
    history = History.open(f"sqlite:///{tmp_path / 'h.db'}")
    life = Life(tmp_path, history, message=message())
    asyncio.run(life.week())
    summary = asyncio.run(life.week())
    (entry,) = summary.entries
    assert entry.news == ()
    assert entry.comparison is not None
    assert len(entry.comparison.changes) > 5
    history.close()


def test_an_attachment_that_is_gone_is_told_without_its_name(tmp_path: Path) -> None:
    history = History.open(f"sqlite:///{tmp_path / 'h.db'}")
    life = Life(tmp_path, history, message=message())
    asyncio.run(life.week())
    life.message = b"From: zqfrom@shop.example\r\nSubject: x\r\n\r\nx\r\n"
    (entry,) = asyncio.run(life.week()).entries
    history.close()
    gone = [each for each in entry.news if each.rule == "SIZ-006"]
    assert [each.kind.value for each in gone] == ["gone"]
    assert not WORDS.search(repr(gone).encode())


def test_a_text_as_it_is_kept() -> None:
    assert hidden("", KEY) == ""
    once = hidden("会議", KEY)
    assert re.fullmatch(r"hmac:[0-9a-f]{64}:2", once)
    assert hidden(once, KEY) == once, "so that what was kept once may be kept again"
    assert hidden("会議", bytes(32)) != once


def test_no_guess_can_be_held_against_a_history_or_its_export(tmp_path: Path) -> None:
    """Neither the plain digest of a guessed address nor one with another key stands in it."""
    file = tmp_path / "h.db"
    history = History.open(f"sqlite:///{file}")
    asyncio.run(Life(tmp_path, history, message=message()).week())
    exported = [*history.export()]
    key = history.key
    history.close()
    assert stat.S_IMODE((tmp_path / "h.db.key").stat().st_mode) == 0o600
    assert (tmp_path / "h.db.key").read_bytes() == key
    digests = set(re.findall(r"[0-9a-f]{64}", repr([each["facts"] for each in exported])))
    for guess in ("zqfrom@shop.example", "<zqfrom@shop.example>", "zqsubject"):
        assert hashlib.sha256(guess.encode()).hexdigest() not in digests
        assert hidden(guess, bytes(32)).split(":")[1] not in digests
    assert digests, "they are there"
    again = History.open(f"sqlite:///{file}")
    assert again.key == key
    again.close()


def test_a_key_that_is_damaged_is_told(tmp_path: Path) -> None:
    (tmp_path / "h.db.key").write_bytes(b"short")
    history = History.open(f"sqlite:///{tmp_path / 'h.db'}")
    with pytest.raises(HistoryError, match=r"h\.db\.key is damaged"):
        _ = history.key
    history.close()


# What the history keeps of a message as it is: codes, types, names of header fields, of hosts and of domains.
KEPT = {
    "alignment.author_domain",
    "alignment.policy_location",
    "alignment.policy_record",
    "alignment.mail_from_domain",
    "alignment.signing_domains",
    "alignment.strict_breaks",
    "arc.sets[].domain",
    "arc.sets[].selector",
    "charset.body",
    "charset.half_width_kana",
    "charset.header",
    "charset.lossy_headers",
    "charset.machine_dependent_places",
    "charset.parts[].declared",
    "charset.parts[].media_type",
    "charset.parts[].path",
    "charset.split_characters",
    "clients.data_date",
    "clients.features[].feature",
    "clients.features[].partial",
    "clients.features[].title",
    "clients.features[].unsupported",
    "dkim.signatures[].algorithm",
    "dkim.signatures[].alias",
    "dkim.signatures[].canonicalization",
    "dkim.signatures[].changed_headers",
    "dkim.signatures[].domain",
    "dkim.signatures[].key_name",
    "dkim.signatures[].selector",
    "dkim.signatures[].signed_headers",
    "dkim.signatures[].unsigned_core",
    "dkim.signatures[].unsigned_headers",
    "dkim.signatures[].unsigned_list",
    "envelope.connecting_ip",
    "envelope.helo",
    "envelope.passed_on_by",
    "envelope.ip",
    "envelope.mail_from_domain",
    "html.active_elements",
    "html.link_hosts[].host",
    "html.link_mismatches[].target",
    "html.link_mismatches[].text",
    "html.meta_charset",
    "identity.chain[].authenticated",
    "identity.chain[].by",
    "identity.chain[].name",
    "identity.ips[].evidence",
    "identity.ips[].ip",
    "identity.ips[].name",
    "identity.ips[].ptr",
    "identity.ips[].reverse_name",
    "message.attachments[].extension",
    "message.attachments[].media_type",
    "message.attachments[].path",
    "message.attachments[].true_type",
    "message.attachments[].types",
    "message.control_headers",
    "message.date",
    "message.duplicate_headers",
    "message.forward_signs",
    "message.from_domain",
    "message.from_domains",
    "message.images[].path",
    "message.largest_header",
    "message.misplaced_encoded_words",
    "message.mixed_script_domains",
    "message.parts[].charset",
    "message.parts[].disposition",
    "message.parts[].media_type",
    "message.parts[].path",
    "message.parts[].transfer_encoding",
    "message.password_mails",
    "message.pdfs[].path",
    "message.raw_8bit_headers",
    "recorded.by",
    "recorded.compauth",
    "recorded.differences[].ours",
    "recorded.differences[].recorded",
    "recorded.dkim",
    "recorded.dmarc",
    "recorded.ip",
    "recorded.spf",
    "recorded.spf_domain",
    "transport.hops[].by",
    "transport.hops[].from_ip",
    "transport.hops[].protocol",
    "transport.hops[].tls_version",
}
OF_MESSAGE = (
    "alignment",
    "arc",
    "charset",
    "clients",
    "envelope",
    "html",
    "identity",
    "message",
    "recorded",
    "transport.hops",
    "unsubscribe",
    "dkim.signatures",
)


def test_every_text_that_facts_take_from_a_message_is_a_digest_or_named_here() -> None:
    texts = {
        path
        for path, spec in catalogue().items()
        if spec.type in (FactType.STR, FactType.LIST_STR) and not spec.values and path.startswith(OF_MESSAGE)
    }
    assert texts - TEXTS == KEPT
    assert {path for path in TEXTS if path not in catalogue()} == set()


# --- Who may read what a run writes ---


@pytest.mark.parametrize("public", [False, True])
def test_pages_are_the_users_own_unless_a_web_server_shows_them(tmp_path: Path, public: bool) -> None:
    history = History.open(f"sqlite:///{tmp_path / 'h.db'}")
    old = os.umask(0)
    try:
        asyncio.run(Life(tmp_path, history, message=message(), public=public).week())
    finally:
        os.umask(old)
        history.close()
    modes = {
        str(each.relative_to(tmp_path / "out")): stat.S_IMODE(each.lstat().st_mode)
        for each in (tmp_path / "out").rglob("*")
        if not each.is_symlink()
    }
    pages = {name: mode for name, mode in modes.items() if name.endswith(".html")}
    folders = {stat.S_IMODE((tmp_path / "out").stat().st_mode), modes.pop("2026-10-05")}
    assert set(pages.values()) == ({0o644} if public else {0o600})
    assert folders == ({0o755} if public else {0o700})
    assert {mode for name, mode in modes.items() if name not in pages} == {0o600}, "the JSON is nobody's page"
    assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.glob("h.db*")} == {0o600}
