"""What the auditors of the message state: identity, form, weight, attachments, HTML, envelope."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from deliverability.core.codes import Input, needs
from deliverability.core.facts.base import FactSet, Reason, Unknown, Value, records_of
from deliverability.core.facts.content import LinkMismatch
from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail.reader import read
from deliverability.core.net.base import Answer, Failed
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.engine.auditors import attachments, clients, envelope, html, message
from deliverability.engine.auditors import format as form
from deliverability.engine.auditors.html import HTML_APART
from deliverability.engine.base import gather
from tests import TESTS
from tests.corpus import corpus

MAILS = TESTS / "mails"
AUDITORS = (
    *(module.audit for module in (message, form, html, clients, envelope)),
    form.japanese_audit,
    html.weight_audit,
    attachments.attachments_audit,
)


class DeadResolver:
    """A resolver that fails every query: these auditors must not depend on DNS."""

    async def query(self, name: str, rdtype: str) -> Answer:
        return Failed(name, rdtype, Reason.TIMEOUT)

    async def close(self) -> None:
        return None


async def audit(raw: bytes | None, **given: object) -> FactSet:
    """All facts about a message, with every promised fact stated and no auditor crashed."""
    subject = Subject("example.com", sample=Sample("", data=raw), **given)  # type: ignore[arg-type]
    parsed = read(raw) if raw is not None else None
    gathered = await gather(
        AUDITORS, subject, Ports(DeadResolver(), FixedClock(datetime(2026, 11, 24, tzinfo=UTC))), parsed
    )
    assert gathered.crashes == ()
    return gathered.facts


def record(value: Value, index: int = 0) -> Mapping[str, Value]:
    return records_of(value)[index]


def with_file(octets: bytes, name: str, media_type: str = "application/octet-stream") -> bytes:
    """A message with one attachment in base64."""
    head = f'Content-Type: {media_type}; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n'
    head += f'Content-Disposition: attachment; filename="{name}"\r\n\r\n'
    body = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    return (
        b"From: a@example.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
        + head.encode()
        + body
        + b"--b--\r\n"
    )


class TestWithoutMessage:
    async def test_nothing_is_known_but_that_there_is_none(self) -> None:
        facts = await audit(None)
        assert facts.value("message.present") is False
        others = [fact for fact in facts if fact.path != "message.present"]
        assert len(others) > 60
        assert [fact.path for fact in others if not isinstance(fact.value, Unknown)] == []
        assert {fact.value.reason for fact in others if isinstance(fact.value, Unknown)} == {Reason.NO_MESSAGE}

    async def test_options_tell_the_envelope(self) -> None:
        facts = await audit(None, mail_from="bounce@News.example.com", sending_ips=("2001:DB8::1", "192.0.2.9"))
        assert facts.value("envelope.mail_from") == "bounce@News.example.com"
        assert facts.value("envelope.mail_from_domain") == "news.example.com"
        assert facts.value("envelope.mail_from_source") == "option"
        assert facts.value("envelope.ip") == "2001:db8::1"
        assert facts.value("envelope.ip_source") == "option"
        assert facts.value("envelope.helo") == Unknown(Reason.NO_MESSAGE)
        assert facts.value("envelope.helo_fqdn") == Unknown(Reason.NO_MESSAGE)

    async def test_the_null_reverse_path_takes_the_domain_of_helo(self) -> None:
        facts = await audit(None, mail_from="", helo="Out.example.com")
        assert facts.value("envelope.mail_from") == ""
        assert facts.value("envelope.mail_from_domain") == "out.example.com"
        unknown_helo = await audit(None, mail_from="")
        assert unknown_helo.value("envelope.mail_from_domain") == Unknown(Reason.NO_MESSAGE)


class TestIdentity:
    async def test_the_japanese_sample(self) -> None:
        facts = await audit((MAILS / "japanese.eml").read_bytes())
        expected = {
            "message.from_count": 1,
            "message.from_addresses": ("taro@example.jp",),
            "message.from_domain": "example.jp",
            "message.from_display": "山田 太郎",
            "message.subject": "請求書 2026/11",
            "message.date": "2026-11-24T10:00:00+09:00",
            "message.date_valid": True,
            "message.date_skew_seconds": -5,
            "message.message_id": "<20261124.1@example.jp>",
            "message.message_id_valid": True,
            "message.message_id_octets": 23,
            "message.auto_submitted": False,
            "message.headers_only": False,
            "message.defects": (),
            "envelope.mail_from": "bounce@mail.example.jp",
            "envelope.helo": "mail.example.jp",
            "envelope.ip": "192.0.2.25",
            "envelope.tls": True,
        }
        assert {path: facts.value(path) for path in expected} == expected
        assert record(facts.value("message.attachments"))["filename"] == "請求書.pdf"

    async def test_facts_cite_the_header_lines_they_rest_on(self) -> None:
        facts = await audit((MAILS / "japanese.eml").read_bytes())
        assert facts.facts["envelope.mail_from"].evidence == ("header:return-path:1",)
        assert facts.evidence["header:return-path:1"].got == ("Return-Path: <bounce@mail.example.jp>",)
        assert facts.facts["message.date_skew_seconds"].evidence == ("header:date:1", "header:received:1")
        assert facts.evidence["header:received:1"].got[0].startswith("Received: from mail.example.jp")
        assert facts.facts["message.attachments"].evidence == ("mime:1.2",)

    async def test_two_from_fields_and_no_address_are_stated_as_they_are(self) -> None:
        facts = await audit(b"From: a@b.example\nFrom: c@d.example, e@f.example\n\nx")
        assert facts.value("message.from_count") == 2
        assert facts.value("message.from_addresses") == ("a@b.example", "c@d.example", "e@f.example")
        nobody = await audit(b"From: Nobody\n\nx")
        assert nobody.value("message.from_domain") is None
        assert nobody.value("message.from_display") == "Nobody"

    async def test_an_idn_author_domain_becomes_an_a_label(self) -> None:
        facts = await audit("From: a@例え.jp\n\nx".encode())
        assert facts.value("message.from_domain") == "xn--r8jz45g.jp"
        assert facts.value("message.from_addresses") == ("a@例え.jp",)

    @pytest.mark.parametrize(
        ("sender", "other"),
        [
            ('"help@bank.example" <x@evil.example>', "help@bank.example"),
            ('"x@evil.example" <X@evil.example>', None),
            ("Bank <x@evil.example>", None),
            # A domain name of others; one's own, the same name under another suffix, and names of things are none.
            ('"www.bank.co.jp" <x@evil.example>', "www.bank.co.jp"),
            ('"Bank (bank.com)" <x@mail.evil.com>', "bank.com"),
            ('"Shop.com News" <x@mail.shop.com>', None),
            ('"Amazon.co.jp" <x@amazon.com>', None),
            ('"Dr.Smith, Node.js and setup.py" <x@evil.example>', None),
            ('"x@evil.example" <x@evil.example>', None),
            # As a reader sees it, however it is written: wide letters and dots, hidden characters, other scripts.
            ('"bank．com" <x@evil.example>', "bank.com"),
            ('"ＢＡＮＫ。ＣＯ。ＪＰ" <x@evil.example>', "BANK.CO.JP"),
            ('"bank․com" <x@evil.example>', "bank.com"),
            ('"bank\u200b.com" <x@evil.example>', "bank.com"),
            ('"例え.jp" <x@evil.example>', "例え.jp"),
            ('"ニュース.コム" <x@evil.example>', "ニュース.コム"),
            ('"b\u0430nk.com" <x@evil.example>', "b\u0430nk.com"),
            ('"bank.xn--tckwe" <x@evil.example>', "bank.xn--tckwe"),
            # Beside other text, and beside a name or an address of the sender's own.
            ('"三井銀行bank.co.jpからのお知らせ" <x@evil.example>', "bank.co.jp"),
            ('"bank.com-support" <x@evil.example>', "bank.com"),
            ('"evil.example via bank.com" <x@evil.example>', "bank.com"),
            ('"x@evil.example (bank.com)" <x@evil.example>', "bank.com"),
            ('"bank.com" <x@bank.secure-login.com>', "bank.com"),
            # The own name, a name above or below it, in any of these forms.
            ('"shop.com" <x@mail.shop.com>', None),
            ('"mail.shop.com" <x@shop.com>', None),
            ('"株式会社shop.co.jp" <x@shop.co.jp>', None),
            ('"ｓｈｏｐ．ｃｏｍ 通信" <x@shop.com>', None),
            ('"例え.jp" <x@mail.例え.jp>', None),
            ('"日本shop.jp" <x@日本shop.jp>', None),
            # No domain names: titles, initials, sentences, products, versions, files.
            ('"Dr.House, St.Pub, Mr.Pizza" <x@evil.example>', None),
            ('"J.Law, J.P.Morgan, U.S.A." <x@evil.example>', None),
            ('"Acme Inc.Support" <x@evil.example>', None),
            ('"Acme Ltd. Team, Sales Dept.Team" <x@evil.example>', None),
            ('"ASP.NET, Socket.IO and Vue.js 3.5" <x@evil.example>', None),
            ('"v2.0, No.1, 山田.太郎, 登録完了。jobs" <x@evil.example>', None),
        ],
    )
    async def test_another_address_in_the_display_name(self, sender: str, other: str | None) -> None:
        facts = await audit(f"From: {sender}\n\nx".encode())
        assert facts.value("message.display_name_address") == other

    @pytest.mark.parametrize(
        ("subject", "claims"),
        [
            ("Re: a", True),
            ("FWD: a", True),
            ("RE[2]: a", True),
            ("転送：a", True),
            ("Regarding: a", False),
            ("Area: a", False),
        ],
    )
    async def test_subjects_that_claim_to_be_replies(self, subject: str, claims: bool) -> None:
        facts = await audit(f"Subject: {subject}\n\nx".encode())
        assert facts.value("message.subject_claims_reply") is claims

    @pytest.mark.parametrize("written", ["no-brackets@example.com", "<no-at>", "<a b@c>", "<a@b> <c@d>", ""])
    async def test_message_ids_of_another_form(self, written: str) -> None:
        assert (await audit(f"Message-ID: {written}\n\nx".encode())).value("message.message_id_valid") is False

    @pytest.mark.parametrize(
        ("header", "automatic"),
        [
            ("Auto-Submitted: auto-replied", True),
            ("Auto-Submitted: no", False),
            ("Return-Path: <>", True),
            ("X: y", False),
        ],
    )
    async def test_automatic_messages(self, header: str, automatic: bool) -> None:
        assert (await audit(f"{header}\n\nx".encode())).value("message.auto_submitted") is automatic

    async def test_arc_sets_are_counted_by_instance(self) -> None:
        facts = await audit(b"ARC-Seal: i=2; cv=pass\nARC-Seal: cv=none; i=1\nARC-Seal: i=1\n\nx")
        assert facts.value("message.arc_sets") == 2


class TestForm:
    async def test_fields_that_may_occur_once(self) -> None:
        facts = await audit(b"To: a@b\nSubject: x\nsubject: y\nReceived: z\nReceived: z\n\nx")
        assert facts.value("message.duplicate_headers") == ("Subject",)

    async def test_raw_octets_and_misplaced_encoded_words(self) -> None:
        facts = await audit(
            "Subject: あ\nFrom: =?utf-8?Q?a?= <a@b.c>\nTo: =?utf-8?Q?a?=@b.c\nCc: <=?utf-8?Q?a=40b.c?=>\n"
            "Reply-To: =?utf-8?B?QSA8YUBiLmM+?=\nMessage-ID: <=?utf-8?Q?a?=@b>\n\nx".encode()
        )
        assert facts.value("message.raw_8bit_headers") == ("Subject",)
        assert facts.value("message.misplaced_encoded_words") == ("To", "Cc", "Reply-To", "Message-ID")

    async def test_the_largest_field(self) -> None:
        facts = await audit(b"To: " + b"x" * 500 + b"\nX-Big: 1\n 2345678\nA: b\n\nx")
        assert facts.value("message.largest_header") == "X-Big"
        assert facts.value("message.largest_header_octets") == len(b"X-Big: 1\r\n 2345678\r\n")
        assert facts.value("message.header_count") == 3

    async def test_defects_that_decoding_shows(self) -> None:
        parts = [
            b"Content-Type: text/plain; charset=x-none\n\nx",
            b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n\xff",
            b"Content-Transfer-Encoding: base64\n\n!!!!",
            b"Content-Transfer-Encoding: quoted-printable\n\na=xy",
        ]
        body = b"".join(b"--b\n" + part + b"\n" for part in parts) + b"--b--\n"
        facts = await audit(b"Content-Type: multipart/mixed; boundary=b\n\n" + body)
        assert facts.value("message.defects") == (
            "unknown-charset",
            "undecodable-charset",
            "bad-base64",
            "bad-quoted-printable",
        )

    @pytest.mark.parametrize("raw", [b"", b"\x00" * 100, b"\xff\xfe", b"no mail at all\nreally", b"\n\n\n"])
    async def test_what_is_no_mail_is_audited_all_the_same(self, raw: bytes) -> None:
        facts = await audit(raw)
        assert facts.value("message.present") is True
        assert "no-header" in facts.value("message.defects")  # type: ignore[operator]
        unknown = [fact for fact in facts if isinstance(fact.value, Unknown)]
        assert all(fact.path.startswith("envelope.") and fact.value.reason.waits_for_input for fact in unknown)


class TestWeight:
    """Figures counted by hand."""

    LINE = b"A" * 76 + b"\r\n"
    RAW = (
        b"From: a@example.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"  # 21 + 43 + 2
        b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n"  # 5 + 26 + 2 + 5 + 2
        b"--b\r\nContent-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: base64\r\n\r\n"  # 5 + 37 + 35 + 2
        + LINE
        * 2
        + b"AAA=\r\n"  # 2 * 78 + 4, and the line end that belongs to the delimiter: 2
        b"--b--\r\n"  # 7
    )

    @pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
    async def test_the_same_in_crlf_and_lf_files(self, line_end: bytes) -> None:
        facts = await audit(self.RAW.replace(b"\r\n", line_end))
        expected = {
            "message.size_octets": 66 + 40 + 79 + 162 + 7,
            "message.header_octets": 66,
            "message.body_octets": 40 + 79 + 162 + 7,
            "message.text_octets": 5,
            "message.attachment_octets": 2 * 78 + 4,
            "message.image_octets": 57 * 2 + 2,
            "message.encoding_overhead_octets": 160 - 116,
        }
        assert {path: facts.value(path) for path in expected} == expected
        attached = record(facts.value("message.attachments"))
        assert (attached["encoded_octets"], attached["decoded_octets"]) == (160, 116)

    async def test_quoted_printable_costs_three_octets_for_one(self) -> None:
        facts = await audit(b"Content-Transfer-Encoding: quoted-printable\n\n=E3=81=82=\nx\n")
        assert facts.value("message.encoding_overhead_octets") == 6 + 3
        assert record(facts.value("message.parts"))["decoded_octets"] == 6


class TestAttachments:
    async def test_what_counts_as_attachment(self) -> None:
        parts = {
            "body": b"Content-Type: text/plain\n\nx",
            "named": b"Content-Type: text/plain; name=a.TXT\n\nx",
            "asked": b"Content-Type: text/html\nContent-Disposition: attachment\n\nx",
            "picture": b"Content-Type: image/png\nContent-ID: <i>\n\nx",
            "message": b"Content-Type: message/rfc822\n\nContent-Type: image/png; name=inner.png\n\nx",
            "report": b"Content-Type: message/delivery-status\n\nx",
        }
        body = b"".join(b"--b\n" + part + b"\n" for part in parts.values()) + b"--b--\n"
        facts = await audit(b"Content-Type: multipart/mixed; boundary=b\n\n" + body)
        found = facts.value("message.attachments")
        assert isinstance(found, tuple)
        assert [record(found, index)["path"] for index in range(len(found))] == ["1.2", "1.3", "1.4", "1.5"]
        assert record(found, 0)["extension"] == "txt"
        assert [record(found, index)["inline"] for index in range(4)] == [False, False, True, False]
        assert record(found, 2)["image"] is True

    @pytest.mark.parametrize(
        ("name", "extension"), [("a.tar.GZ", "gz"), ("setup.exe. .", "exe"), ("README", ""), (".htaccess", "htaccess")]
    )
    async def test_extensions(self, name: str, extension: str) -> None:
        facts = await audit(with_file(b"x", name))
        assert record(facts.value("message.attachments"))["extension"] == extension

    @pytest.mark.parametrize(
        ("file", "encrypted", "members"),
        [
            ("encrypt-none.zip", "none", ("plain", "encrypted")),
            ("encrypt.zip", "some", ("encrypted", "plain")),
            ("encrypt-aes256.zip", "some", ("plain", "encrypted")),
            ("encrypt-1234.zip", "all", ("sample.txt",)),
            ("test-utf8-unmarked.zip", "none", ("ÄÖÜäöüßćçĉéèêëē",)),
            ("testfile-cp437.zip", "none", ("üéâäàåçêëèïîìÄÅÉ",)),
        ],
    )
    async def test_real_archives(self, file: str, encrypted: str, members: tuple[str, ...]) -> None:
        facts = await audit(with_file(corpus("archives", "libzip", file).read_bytes(), "x.bin"))
        attached = record(facts.value("message.attachments"))
        assert (attached["encrypted"], attached["archive_members"]) == (encrypted, members)

    async def test_japanese_windows_names_in_archives(self) -> None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as writer:
            writer.writestr("PLACEHOLDER.txt", b"x")
        octets = archive.getvalue().replace(b"PLACEHOLDER", "請求書_v1__".encode("cp932")[:11].ljust(11, b"_"))
        attached = record((await audit(with_file(octets, "x.zip"))).value("message.attachments"))
        assert attached["archive_members"] == ("請求書_v1__.txt",)

    async def test_only_a_thousand_names_are_listed_and_huge_directories_refused(self) -> None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as writer:
            for number in range(1200):
                writer.writestr(f"{number}.txt", b"")
        attached = record((await audit(with_file(archive.getvalue(), "x.zip"))).value("message.attachments"))
        assert len(attached["archive_members"]) == 1000  # type: ignore[arg-type]
        facts = await audit(with_file(b"PK\x03\x04" + b"PK\x01\x02" * 30_000, "x.zip"))
        refused = record(facts.value("message.attachments"))["archive_members"]
        assert isinstance(refused, Unknown)
        assert refused.reason is Reason.LIMIT

    @pytest.mark.parametrize("octets", [b"", b"PK\x03\x04", b"PK\x05\x06" + b"\xff" * 18, b"not a zip"])
    async def test_broken_archives_are_no_archives(self, octets: bytes) -> None:
        attached = record((await audit(with_file(octets, "x.zip", "application/zip"))).value("message.attachments"))
        assert (attached["encrypted"], attached["archive_members"]) == (None, None)


ALTERNATIVE = (
    b"Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\nx\n"
    b"--b\nContent-Type: text/html; charset=utf-8\n\n%s\n--b--\n"
)


class TestHtml:
    async def test_without_html(self) -> None:
        facts = await audit(b"From: a@b\n\nx")
        assert facts.value("html.present") is False
        assert facts.value("html.octets") == 0
        assert facts.value("html.text_alternative") is False
        assert facts.value("html.active_elements") == ()

    async def test_octets_are_those_of_utf8_whatever_the_charset_on_the_way(self) -> None:
        body = base64.b64encode("<p>あ".encode("iso2022_jp"))
        facts = await audit(
            b"Content-Type: text/html; charset=iso-2022-jp\nContent-Transfer-Encoding: base64\n\n" + body
        )
        assert facts.value("html.octets") == len("<p>あ".encode())
        assert facts.value("html.markup_octets") == 3
        assert facts.value("html.text_octets") == 3

    async def test_the_alternative_and_its_order(self) -> None:
        facts = await audit(ALTERNATIVE % b"<p>x")
        assert (facts.value("html.text_alternative"), facts.value("html.text_alternative_order")) == (True, True)
        swapped = ALTERNATIVE.replace(b"text/plain", b"text/tmp").replace(b"text/html", b"text/plain")
        facts = await audit(swapped.replace(b"text/tmp", b"text/html") % b"x")
        assert (facts.value("html.text_alternative"), facts.value("html.text_alternative_order")) == (True, False)

    async def test_text_that_only_stands_before_html_is_no_alternative(self) -> None:
        facts = await audit(ALTERNATIVE.replace(b"/alternative", b"/mixed") % b"<p>x")
        assert facts.value("html.text_alternative") is False

    async def test_html_of_absurd_size_is_weighed_but_not_taken_apart(self) -> None:
        facts = await audit(b"Content-Type: text/html\n\n" + b"<p>" * (4 << 20))
        assert facts.value("html.octets") == 3 * (4 << 20)
        assert facts.value("html.links") == Unknown(Reason.LIMIT, HTML_APART(n=10))

    async def test_an_attached_html_file_is_not_the_body(self) -> None:
        facts = await audit(with_file(b"<p>", "page.html", "text/html"))
        assert facts.value("html.present") is False

    async def test_links_images_and_active_elements(self) -> None:
        facts = await audit(
            ALTERNATIVE % b"<a href='https://a.example/'>x</a><a href=HTTP://b.example>y</a><a name=z>"
            b"<a href='http://192.0.2.1/x'>z</a><a href='https://[2001:db8::1]/'>6</a>"
            b"<img src='DATA:image/png;base64,AA' alt=''><img src=x><form><iframe></iframe><object>"
        )
        expected = {
            "html.links": 4,
            "html.plain_http_links": 2,
            "html.ip_links": ("192.0.2.1", "2001:db8::1"),
            "html.images": 2,
            "html.images_without_alt": 1,
            "html.data_images": 1,
            "html.active_elements": ("form", "iframe", "object"),
        }
        assert {path: facts.value(path) for path in expected} == expected

    @pytest.mark.parametrize(
        ("link", "mismatch"),
        [
            (b"<a href='https://evil.example.net/'>www.bank.com</a>", ("www.bank.com", "evil.example.net")),
            (b"<a href='https://evil.net/'>Go to https://bank.com/login now</a>", ("bank.com", "evil.net")),
            (b"<a href='https://a.co.uk/'>b.co.uk</a>", ("b.co.uk", "a.co.uk")),
            ("<a href='https://evil.net'>例え.jp</a>".encode(), ("xn--r8jz45g.jp", "evil.net")),
            (b"<a href='https://click.bank.com/'>www.<b>bank.com</b></a>", None),
            (b"<a href='https://evil.net/'>our terms. see below</a>", None),
            (b"<a href='https://evil.net/'>version 1.2</a>", None),
            (b"<a href='https://evil.net/'>file.docx</a>", None),
            (b"<a href='mailto:a@evil.net'>bank.com</a>", None),
            (b"<a href='https://evil.net/'>me@bank.com</a>", None),
        ],
    )
    async def test_links_that_show_another_domain(self, link: bytes, mismatch: tuple[str, str] | None) -> None:
        found = (await audit(ALTERNATIVE % link)).value("html.link_mismatches")
        assert found == ((LinkMismatch(text=mismatch[0], target=mismatch[1]),) if mismatch else ())


RECEIVED = b"Received: from h.example (r.example [192.0.2.1]) by mx with ESMTP; Tue, 24 Nov 2026 01:02:03 +0900\n"
RECEIVED_SPF = b"Received-SPF: pass client-ip=192.0.2.2; envelope-from=<spf@s.example>; helo=s.example\n"
RESULTS = b"Authentication-Results: mx; spf=pass smtp.mailfrom=ar.example smtp.helo=ar.example; "
RESULTS += b"iprev=pass policy.iprev=192.0.2.3\n"


class TestEnvelope:
    """Options go before the trace fields, and these have an order too."""

    @pytest.mark.parametrize(
        ("head", "mail_from", "helo", "ip"),
        [
            (b"Return-Path: <rp@r.example>\n" + RECEIVED + RECEIVED_SPF + RESULTS, ("rp@r.example", "return-path"),
             ("h.example", "received"), ("192.0.2.1", "received")),
            (RECEIVED_SPF + RESULTS, ("spf@s.example", "received-spf"), ("s.example", "received-spf"),
             ("192.0.2.2", "received-spf")),
            (RESULTS, ("ar.example", "authentication-results"), ("ar.example", "authentication-results"),
             ("192.0.2.3", "authentication-results")),
            (b"Return-Path: not an address\n" + RESULTS, ("ar.example", "authentication-results"),
             ("ar.example", "authentication-results"), ("192.0.2.3", "authentication-results")),
        ],
    )  # fmt: skip
    async def test_sources(
        self,
        head: bytes,
        mail_from: tuple[str | None, str | None],
        helo: tuple[str | None, str | None],
        ip: tuple[str | None, str | None],
    ) -> None:
        facts = await audit(head + b"\nx")
        stated = {name: (facts.value(f"envelope.{name}"), facts.value(f"envelope.{name}_source"))
                  for name in ("mail_from", "helo", "ip")}  # fmt: skip
        assert stated == {"mail_from": mail_from, "helo": helo, "ip": ip}

    @pytest.mark.parametrize(
        ("name", "wanted"), [("mail_from", Input.MAIL_FROM), ("helo", Input.HELO), ("ip", Input.SENDING_IP)]
    )
    async def test_what_nothing_tells_waits_for_its_input(self, name: str, wanted: Input) -> None:
        """A saved draft has no trace fields: not told is not the same as not there."""
        facts = await audit(b"X: y\n\nx")
        expected = Unknown(Reason.NOT_CONFIGURED, needs(wanted))
        assert (facts.value(f"envelope.{name}"), facts.value(f"envelope.{name}_source")) == (expected, expected)

    async def test_options_win(self) -> None:
        facts = await audit(RECEIVED + b"\nx", mail_from="o@o.example", helo="o.example", sending_ips=("192.0.2.99",))
        assert [facts.value(f"envelope.{name}_source") for name in ("mail_from", "helo", "ip")] == ["option"] * 3
        assert facts.value("envelope.mail_from_domain") == "o.example"
        assert facts.value("envelope.tls") is None  # the system is not known to record it

    async def test_a_bare_domain_is_the_domain(self) -> None:
        facts = await audit(RESULTS + b"\nx")
        assert facts.value("envelope.mail_from_domain") == "ar.example"

    async def test_a_bounce_has_the_null_reverse_path_and_the_domain_of_helo(self) -> None:
        facts = await audit(b"Return-Path: <>\n" + RECEIVED + b"\nx")
        assert facts.value("envelope.mail_from") == ""
        assert facts.value("envelope.mail_from_domain") == "h.example"
        assert facts.facts["envelope.mail_from_domain"].evidence == ("header:return-path:1", "header:received:1")

    @pytest.mark.parametrize(
        ("helo", "fqdn"),
        [("mail.example.com", True), ("localhost", False), ("192.0.2.1", False), ("[192.0.2.1]", True),
         ("[IPv6:2001:db8::1]", True), ("[nothing]", False), ("a b", False)],
    )  # fmt: skip
    async def test_fully_qualified_helo_names(self, helo: str, fqdn: bool) -> None:
        assert (await audit(None, helo=helo)).value("envelope.helo_fqdn") is fqdn


class TestInternationalizedMail:
    """Mail that was taken with SMTPUTF8 has header fields and addresses in UTF-8 (RFC 6531, RFC 6532)."""

    HEADER = "From: 用户 <用户@例え.jp>\nTo: Ünal <b@example.net>\nSubject: 你好\n"

    @staticmethod
    def hop(protocol: str) -> str:
        client = "from mail.example.com (mail.example.com [192.0.2.25])"
        return f"Received: {client} by mx.example.net with {protocol} id 1; Tue, 24 Nov 2026 01:00:00 +0000\n"

    @pytest.mark.parametrize("protocol", ["UTF8SMTP", "UTF8SMTPS", "utf8esmtps", "UTF8SMTPSA", "ESMTPS (SMTPUTF8)"])
    async def test_is_right_as_it_is(self, protocol: str) -> None:
        facts = await audit((self.hop(protocol) + self.HEADER + "\nx").encode())
        assert facts.value("message.smtputf8") is True
        assert facts.value("message.raw_8bit_headers") == ()
        assert facts.value("message.from_domain") == "xn--r8jz45g.jp"

    async def test_also_where_it_went_into_the_mailbox_by_lmtp(self) -> None:
        facts = await audit((self.hop("UTF8LMTPS") + self.hop("UTF8SMTPS") + self.HEADER + "\nx").encode())
        assert facts.value("message.smtputf8") is True

    async def test_what_is_no_utf_8_is_still_wrong(self) -> None:
        facts = await audit(self.hop("UTF8SMTPS").encode() + b"From: a@example.com\nSubject: \xe9t\xe9\n\nx")
        assert facts.value("message.raw_8bit_headers") == ("Subject",)

    @pytest.mark.parametrize("above", ["", "with ESMTPS"])
    async def test_the_senders_own_word_does_not_count(self, above: str) -> None:
        header = (self.hop("ESMTPS") if above else "") + self.HEADER
        below = self.hop("UTF8SMTPS") if above else "X-Received: with UTF8SMTPS\n"
        facts = await audit((header + below + "\nx").encode())
        assert facts.value("message.smtputf8") is False
        assert facts.value("message.raw_8bit_headers") == ("From", "To", "Subject")
