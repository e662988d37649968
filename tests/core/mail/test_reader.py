"""The message reader, its decoders and the trace fields: what is read from which octets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverability.core.mail.addresses import addresses_in_text, parse_addresses, to_a_label
from deliverability.core.mail.html.accounting import Category, HtmlAccount
from deliverability.core.mail.parts import leaves
from deliverability.core.mail.reader import MAX_FIELDS, MAX_PARTS, Message, Part, read, read_head
from deliverability.core.mail.received import (
    client_ip_of,
    parse_authentication_results,
    parse_received,
    parse_received_spf,
    parse_return_path,
)
from deliverability.core.mail.words import decode_base64, decode_octets, decode_words, parse_date, parse_parameters
from tests import TESTS
from tests.sampled import examples

MAILS = TESTS / "mails"

MIXED = b"""From: a@example.com\r
Content-Type: multipart/mixed; boundary=b\r
\r
preamble\r
--b\r
\r
first\r
--b\r
Content-Type: multipart/alternative; boundary="inner b"\r
\r
--inner b\r
Content-Type: text/plain\r
\r
plain\r
--inner b\r
Content-Type: TEXT/HTML; charset="UTF-8"\r
\r
<p>html\r
--inner b--\r
inner epilogue\r
--b--\r
epilogue\r
"""


def part(message: Message, path: str) -> Part:
    return next(each for each in message.parts() if each.path == path)


class TestStructure:
    def test_parts_have_paths_types_and_bodies_without_the_delimiters_line_end(self) -> None:
        message = read(MIXED)
        assert [(each.path, each.media_type) for each in message.parts()] == [
            ("1", "multipart/mixed"),
            ("1.1", "text/plain"),
            ("1.2", "multipart/alternative"),
            ("1.2.1", "text/plain"),
            ("1.2.2", "text/html"),
        ]
        assert part(message, "1.1").decode() == b"first"
        assert part(message, "1.2.2").text() == "<p>html"
        assert part(message, "1.2.2").charset == "utf-8"
        assert (message.defects, message.nesting_depth) == ((), 3)

    def test_crlf_and_lf_files_of_one_message_tell_the_same(self) -> None:
        crlf, lf = read(MIXED), read(MIXED.replace(b"\r\n", b"\n"))
        assert crlf.size_octets == lf.size_octets == len(MIXED)
        assert (crlf.header_octets, crlf.body_octets) == (lf.header_octets, lf.body_octets)
        assert [each.encoded_octets for each in crlf.parts()] == [each.encoded_octets for each in lf.parts()]
        assert [each.decode() for each in crlf.parts()] == [each.decode() for each in lf.parts()]
        assert lf.lines.bare_lf == crlf.lines.bare_lf == 0

    def test_header_fields_keep_their_octets_and_unfold(self) -> None:
        message = read(b"Subject : a\r\n\tb \r\nX: \xe3\x81\x82\r\nSUBJECT: c\r\n\r\nbody")
        first, other, second = message.headers
        assert (first.name, first.lower, first.raw, first.value) == (
            "Subject", "subject", b"Subject : a\r\n\tb \r\n", "a\tb"
        )  # fmt: skip
        assert (first.number, second.number) == (1, 2)
        assert other.value.encode("ascii", "surrogateescape") == b"\xe3\x81\x82"
        assert message.fields("subject") == (first, second)
        assert message.first("nothing") is None
        assert message.body == b"body"

    def test_line_facts_count_what_is_distinct(self) -> None:
        lines = read(b"A: b\r\n\r\n12345\r\nbare\nbare\rcr\x00\r\n").lines
        assert (lines.longest, lines.bare_cr, lines.bare_lf, lines.nul) == (8, 1, 1, 1)

    @pytest.mark.parametrize(
        ("raw", "defect"),
        [
            (b"From x@y Thu Jan  1 00:00:00 1970\nA: b\n\nc", "mbox-line"),
            (b"\xef\xbb\xbfA: b\n\nc", "leading-junk"),
            (b"\n\r\nA: b\n\nc", "leading-junk"),
            (b" A: b\n\nc", "leading-junk"),
            (b"  \n   \nA: b\n\nc", "leading-junk"),
        ],
    )
    def test_what_stands_before_the_first_field_is_noted_and_not_weighed(self, raw: bytes, defect: str) -> None:
        message = read(raw)
        assert [each.raw for each in message.headers] == [b"A: b\n"]
        assert message.defects == (defect,)
        assert message.size_octets == len(b"A: b\r\n\r\nc")

    @pytest.mark.parametrize(
        ("raw", "defect"),
        [
            (b"Content-Type: multipart/mixed\n\n--b\n", "missing-boundary"),
            (b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n", "unclosed-multipart"),
            (b"Content-Type: multipart/mixed; boundary=b\n\nx\n--b--\n", "empty-multipart"),
            (b"Content-Type: text\n\nx", "bad-content-type"),
            (b"Content-Transfer-Encoding: 9bit\n\nx", "bad-transfer-encoding"),
            (b"A: b\nno field\nC: d\n\nx", "bad-header-line"),
            (b"\n\nx", "no-header"),
            (b"A: b\n", "no-body"),
        ],
    )
    def test_defects(self, raw: bytes, defect: str) -> None:
        assert defect in read(raw).defects

    def test_a_sound_message_has_no_defect_even_with_an_empty_body(self) -> None:
        assert read(b"A: b\n\n").defects == ()

    def test_a_line_that_is_no_field_ends_the_header_unless_a_field_follows(self) -> None:
        assert [each.name for each in read(b"A: b\njunk line\nC: d\n\nx").headers] == ["A", "C"]
        message = read(b"A: b\njunk line\nmore junk\nC: d\n")
        assert [each.name for each in message.headers] == ["A"]
        assert message.body == b"junk line\nmore junk\nC: d\n"

    def test_an_outer_delimiter_ends_unclosed_inner_parts(self) -> None:
        raw = (
            b"Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n"
            b"--i\n\nin\n--o\n\nout\n--o--\n"
        )
        message = read(raw)
        assert [(each.path, each.decode()) for each in message.parts() if not each.children] == [
            ("1.1.1", b"in"),
            ("1.2", b"out"),
        ]

    def test_a_delimiter_inside_part_headers_is_never_taken_for_a_field(self) -> None:
        message = read(b"Content-Type: multipart/mixed; boundary=x:y\n\n--x:y\nA: b\n--x:y\n\nz\n--x:y--\n")
        assert [each.decode() for each in message.root.children] == [b"", b"z"]

    def test_a_longer_boundary_is_not_the_shorter_one(self) -> None:
        message = read(b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--bc\ny\n--b  \n\nz\n--b--\n")
        assert [each.decode() for each in message.root.children] == [b"x\r\n--bc\r\ny", b"z"]

    def test_a_delimiter_written_twice_makes_no_empty_part(self) -> None:
        message = read(b"Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\nx\n--b--\n")
        assert [each.decode() for each in message.root.children] == [b"x"]

    def test_a_type_without_semicolon_is_still_the_type(self) -> None:
        message = read(b"Content-Type: application/pdf name=a.pdf\n\nx")
        assert (message.root.media_type, message.defects) == ("application/pdf", ("bad-content-type",))

    def test_an_mbox_line_in_an_attached_message_is_skipped(self) -> None:
        message = read(b"Content-Type: message/rfc822\n\nFrom a@b Tue May 10 2005\nSubject: inner\n\nx")
        assert [each.name for each in part(message, "1.1").headers] == ["Subject"]

    def test_attached_messages_are_opened_and_stay_one_attachment(self) -> None:
        inner = b"Subject: inner\n\nhello"
        raw = (
            b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n" + inner + b"\n--b--\n"
        )
        message = read(raw)
        assert part(message, "1.1.1").headers[0].value == "inner"
        assert part(message, "1.1.1").decode() == b"hello"
        assert [leaf.part.path for leaf in leaves(message) if leaf.is_attachment] == ["1.1"]

    def test_a_message_attached_in_base64_is_opened_too(self) -> None:
        raw = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogaW5uZXIKCmhlbGxv\n"
        assert part(read(raw), "1.1").decode() == b"hello"

    def test_parts_of_a_digest_are_messages(self) -> None:
        raw = b"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: one\n\nx\n--b--\n"
        assert [each.media_type for each in read(raw).parts()] == ["multipart/digest", "message/rfc822", "text/plain"]


@pytest.mark.long
class TestHostileShapes:
    """Sizes at which anything quadratic would not come back."""

    def test_nesting_beyond_the_limit_is_said_and_the_outer_levels_are_read(self) -> None:
        raw = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(20_000))
        message = read(raw)
        assert (message.nesting_depth, message.nesting_limited) == (100, True)
        assert "nesting-limit" in message.defects

    def test_messages_in_messages_stop_at_the_limit(self) -> None:
        message = read(b"Content-Type: message/rfc822\n\n" * 20_000)
        assert (message.nesting_depth, message.nesting_limited) == (100, True)

    def test_a_hundred_levels_are_within_the_limit(self) -> None:
        raw = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(99))
        message = read(raw + b"\nx")
        assert (message.nesting_depth, message.nesting_limited) == (100, False)

    def test_parts_are_limited(self) -> None:
        message = read(b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * 300_000)
        assert len(list(message.parts())) == MAX_PARTS
        assert "part-limit" in message.defects

    def test_fields_are_limited(self) -> None:
        message = read(b"a: b\n" * 1_000_000 + b"\nbody")
        assert len(message.headers) == MAX_FIELDS
        assert "header-limit" in message.defects
        assert message.body == b"body"

    def test_a_file_of_line_ends(self) -> None:
        assert read(b"A: b\n" + b"\n" * 5_000_000).lines.longest == 4

    def test_ten_thousand_fields(self) -> None:
        message = read(b"".join(b"X-%d: y\r\n" % number for number in range(10_000)) + b"\r\nbody")
        assert len(message.headers) == 10_000
        assert message.headers[-1].value == "y"

    @pytest.mark.parametrize(
        "raw",
        [
            b"A: b\n" + b" \n" * 500_000,
            b"A" + b" " * 2_000_000,
            b"junk\n" * 300_000,
            b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--c\n" * 500_000,
            b"Content-Type: a/b; " + b'x="' * 500_000,
            b"Content-Transfer-Encoding: quoted-printable\n\n" + b"= " * 1_000_000,
            b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=" + b" " * 2_000_000 + b"x",
            b"Content-Transfer-Encoding: base64\n\n" + b"=" * 2_000_000,
            b"Subject: " + b"=?a?q?" * 300_000 + b"\n\n",
        ],
    )
    def test_long_runs(self, raw: bytes) -> None:
        message = read(raw)
        assert message.header_octets + message.body_octets == message.size_octets
        for each in message.parts():
            each.decode()
        for each in message.headers:
            decode_words(each.value)

    @pytest.mark.parametrize("piece", ["<", "(", '"\\"', "@", "a ", '<"', "<a>", "[", "a,", "a@"])
    def test_address_lists_of_one_piece_repeated(self, piece: str) -> None:
        parse_addresses(piece * 200_000)
        addresses_in_text(piece * 200_000)

    @pytest.mark.parametrize(
        "piece",
        [
            "<",
            "<a ",
            '<a b="',
            "<div>",
            "<!--",
            "<title>",
            "<a href=x>y",
            "<style>url( ",
            "<script></",
            "&",
            "<p hidden>",
        ],
    )
    def test_html_of_one_piece_repeated(self, piece: str) -> None:
        account = HtmlAccount()
        account.add(piece * 100_000 + "</span>" * 100_000)
        assert account.total == len(piece * 100_000 + "</span>" * 100_000)


class TestAnyOctets:
    @staticmethod
    def check(raw: bytes) -> None:
        message = read(raw)
        assert message.header_octets + message.body_octets == message.size_octets
        assert message.size_octets >= len(raw) - message.start
        assert sum(each.octets for each in message.headers) <= message.header_octets
        for each in message.parts():
            assert each.encoded_octets >= 0
            if each.is_multipart:
                assert sum(child.encoded_octets for child in each.children) <= each.encoded_octets
            each.text().encode("utf-8")
            (each.filename or "").encode("utf-8")
        for field in message.headers:
            decode_words(field.value).encode("utf-8")
            for box in parse_addresses(field.value):
                box.address.encode("utf-8")
            parse_received(field.value)
            parse_received_spf(field.value)
            parse_authentication_results(field.value)
            parse_date(field.value)

    @given(st.binary(max_size=400))
    def test_arbitrary(self, raw: bytes) -> None:
        self.check(raw)

    @examples(300)
    @given(
        st.lists(
            st.sampled_from(
                [
                    b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: multipart/digest; boundary=c\n",
                    b"Content-Type: message/rfc822\n", b"Content-Type: text/plain; charset=utf-7; name*0*=x'y'%41\n",
                    b"Content-Transfer-Encoding: base64\n", b"Content-Transfer-Encoding: quoted-printable\r\n",
                    b"Content-Transfer-Encoding: x-uuencode\n", b"--b\n", b"--b--\r\n", b"--c\r\n", b"--c--\n", b"\r\n",
                    b"\n", b" ", b"\r", b"text=3D=\n", b"+2AA-\n", b"\x00\xff\n", b"begin 644 x\n",
                    b"=?utf-7?q?+2AA-?=\n",
                    b"Received: from a (b [1.2.3.4]) (c) by d; 1 Jan 2020 1:2:3\n", b"\x1b$B",
                    b"From: \"a\" <b@c>, ;:\n",
                ]
            ),
            max_size=40,
        )
    )  # fmt: skip
    def test_pieces_of_mail(self, pieces: list[bytes]) -> None:
        self.check(b"".join(pieces))

    @given(st.text(max_size=300))
    def test_html_octets_add_up(self, text: str) -> None:
        account = HtmlAccount()
        account.add(text)
        assert account.total == len(text.encode("utf-8", "surrogatepass"))


class TestJapanese:
    def test_the_sample_reads_as_a_person_would(self) -> None:
        message = read((MAILS / "japanese.eml").read_bytes())
        sender, subject = message.first("From"), message.first("Subject")
        assert sender is not None
        assert subject is not None
        assert parse_addresses(sender.value)[0].display == "山田 太郎"
        assert decode_words(subject.value) == "請求書 2026/11"
        assert part(message, "1.1").text() == "株式会社①の山田です。\r\n"
        assert part(message, "1.2").filename == "請求書.pdf"

    @pytest.mark.parametrize(
        ("octets", "charset", "text"),
        [
            (b"\x1b$B-!\x1b(B", "iso-2022-jp", "①"),  # NEC row 13, which strict ISO-2022-JP refuses
            (b"\x1b(I1\x1b(B", "ISO-2022-JP", "ｱ"),
            (b"\x87\x40", "Shift_JIS", "①"),
            (b"\xa4\xa2", "euc-jp", "あ"),
            (b'\x1b$B$"\x1b(B', None, "あ"),
        ],
    )
    def test_charsets_as_mailers_use_them(self, octets: bytes, charset: str | None, text: str) -> None:
        assert decode_octets(octets, charset).text == text

    def test_raw_iso_2022_jp_in_a_quoted_file_name_may_hold_quotes(self) -> None:
        # 0x22 and 0x5C are halves of characters here.
        name = "表示あ".encode("iso2022_jp").decode("ascii")
        assert '"' in name
        assert parse_parameters(f'attachment; filename="{name}.txt"')[1] == {"filename": "表示あ.txt"}


class TestWords:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("=?utf-8?Q?=E3=81?= =?UTF-8?Q?=82?=", "あ"),
            ("=?utf-8?B?44E=?=\t=?utf-8?B?gg==?=", "あ"),
            ("=?utf-8*en?Q?a_b?= c", "a b c"),
            ("a =?us-ascii?Q?b?= =?iso-8859-1?Q?=E9?= c", "a bé c"),
            ("=?x-nothing?Q?abc?=", "abc"),
            ("=?utf-8?Q?a", "=?utf-8?Q?a"),
            ("caf\udcc3\udca9", "café"),
        ],
    )
    def test_encoded_words(self, value: str, text: str) -> None:
        assert decode_words(value) == text

    @pytest.mark.parametrize(
        "charset", ["base64", "zlib", "idna", "punycode", "unicode_escape", "a" * 500, "\x00", "../x"]
    )
    def test_names_of_codecs_that_are_no_charsets_are_unknown(self, charset: str) -> None:
        assert decode_octets(b"abc", charset).known is False

    def test_octets_that_mean_nothing_are_told(self) -> None:
        assert decode_octets(b"a\xff", "utf-8").clean is False
        assert decode_octets(b"a\xff", "us-ascii").clean is False
        assert decode_octets(b"abc", "us-ascii").clean is True

    @pytest.mark.parametrize(
        ("octets", "result"),
        [
            (b"YWJj", (b"abc", True)),
            (b"YW\r\nI=\r\n", (b"ab", True)),
            (b"YWI", (b"ab", False)),
            (b"YWJjZ", (b"abc", False)),
            (b"YW*Jj", (b"abc", False)),
            (b"YQ==\nYQ==", (b"a", False)),
            (b"", (b"", True)),
        ],
    )
    def test_base64(self, octets: bytes, result: tuple[bytes, bool]) -> None:
        assert decode_base64(octets) == result


class TestAddresses:
    @pytest.mark.parametrize(
        ("value", "boxes"),
        [
            ('"Doe, John" <j@x.com>, b@y.org (Bob)', [("Doe, John", "j@x.com"), ("Bob", "b@y.org")]),
            ("Doe, John <j@x.com>", [("Doe", ""), ("John", "j@x.com")]),
            ('Team: a@b.c, "x y"@d.e;, q@r.s', [("", "a@b.c"), ("", '"x y"@d.e'), ("", "q@r.s")]),
            ("undisclosed-recipients:;", []),
            ("<@relay,@other:c@d.e>", [("", "c@d.e")]),
            ('"a@bank.example" <x@evil.example>', [("a@bank.example", "x@evil.example")]),
            ("x <a@b.c> <d@e.f>", [("x", "a@b.c"), ("", "d@e.f")]),
            ('"unterminated <a@b.c>', [('"unterminated', "a@b.c")]),
            ("a@b.c (one (nested) comment)", [("one (nested) comment", "a@b.c")]),
            ("MAILER-DAEMON", [("MAILER-DAEMON", "")]),
        ],
    )
    def test_lists(self, value: str, boxes: list[tuple[str, str]]) -> None:
        assert [(box.display, box.address) for box in parse_addresses(value)] == boxes

    @pytest.mark.parametrize(
        ("domain", "label"),
        [
            ("Example.COM.", "example.com"),
            ("例え.jp", "xn--r8jz45g.jp"),
            ("faß.de", "xn--fa-hia.de"),
            ("_dmarc.example.com", "_dmarc.example.com"),
            ("[192.0.2.1]", None),
            ("a..b", None),
            ("-a.com", None),
            ("a" * 64 + ".com", None),
            ("\udcff.com", None),
            ("", None),
        ],
    )
    def test_a_labels(self, domain: str, label: str | None) -> None:
        assert to_a_label(domain) == label

    def test_addresses_a_reader_sees(self) -> None:
        assert addresses_in_text("Support (help＠bank.example) or @me") == ("help@bank.example",)


class TestDates:
    @pytest.mark.parametrize(
        ("value", "iso"),
        [
            ("Tue, 24 Nov 2026 01:02:03 +0900 (JST)", "2026-11-24T01:02:03+09:00"),
            ("24 Nov 26 01:02 GMT", "2026-11-24T01:02:00+00:00"),
            ("Fri, 1 Jan 99 00:00:00 EST", "1999-01-01T00:00:00-05:00"),
            ("Mon, 31 Feb 2020 01:02:03 +0000", None),
            ("Mon, 1 Jan 2020 01:02:03 +9999", None),
            ("2026-11-24T01:02:03Z", None),
            ("", None),
        ],
    )
    def test_dates(self, value: str, iso: str | None) -> None:
        date = parse_date(value)
        assert (date.isoformat() if date else None) == iso


class TestTrace:
    @pytest.mark.parametrize(
        ("value", "helo", "rdns", "ip", "tls"),
        [
            ("from h.example (r.example. [192.0.2.1]) by mx with ESMTPS id 1", "h.example", "r.example",
             "192.0.2.1", True),
            ("from h (unknown [IPv6:2001:db8::1]) by mx (Postfix) with ESMTP", "h", None, "2001:db8::1", False),
            ("from r.example ([192.0.2.1]:59716 helo=h.example) by mx with esmtp (Exim)", "h.example", "r.example",
             "192.0.2.1", False),
            ("from h.example ([192.0.2.1]:59716) by mx with esmtps (Exim 4.98)", "h.example", "h.example", "192.0.2.1",
             True),
            ("from [192.0.2.1] (helo=[10.0.0.9]) by mx with esmtps", "[10.0.0.9]", None, "192.0.2.1", True),
            ("from unknown (HELO h.example) (192.0.2.1) by mx with SMTP", "h.example", None, "192.0.2.1", None),
            ("from A.PROD.OUTLOOK.COM (2001:db8::2) by B with Microsoft SMTP Server (version=TLS1_2, cipher=x) id 15",
             "A.PROD.OUTLOOK.COM", None, "2001:db8::2", True),
            ("from h (r.example [::ffff:192.0.2.1]) by mx with LMTP", "h", "r.example", "192.0.2.1", None),
            ("by 2002:a05:6a10 with SMTP id x", None, None, None, None),
            ("(qmail 1 invoked from network)", None, None, None, None),
        ],
    )  # fmt: skip
    def test_received(self, value: str, helo: str | None, rdns: str | None, ip: str | None, tls: bool | None) -> None:
        hop = parse_received(value + "; Tue, 24 Nov 2026 01:02:03 +0900")
        assert (hop.helo, hop.rdns, hop.ip, hop.tls) == (helo, rdns, ip, tls)
        assert hop.date is not None

    @pytest.mark.parametrize(
        ("value", "tls"),
        [
            # Who would have written it did not.
            ("from h (h [192.0.2.1]) by mx (Postfix) with ESMTP id 1", False),
            ("from h (h [192.0.2.1]) by mx (Postfix, Debian) with SMTP id 1", False),
            ("from h ([192.0.2.1]) by mx with esmtp (Exim 4.96) id 1", False),
            ("from h (h [192.0.2.1]) by mx (8.14.4/8.14.4) with ESMTP id 1", False),
            ("from h (h [192.0.2.1]) by mx (OpenSMTPD) with ESMTP id 1", False),
            ("from h (h. [192.0.2.1]) by mx.google.com with ESMTP id 1", False),
            # qmail, Yahoo! JAPAN, Google's own hops, carriers, gateways, unknown programs: they never do.
            ("from unknown (HELO h) (192.0.2.1) by mx with SMTP", None),
            ("from 192.0.2.1 (EHLO h) (192.0.2.1) by mta0.mail.djm.ynwp.yahoo.co.jp with SMTP", None),
            ("by 2002:a05:6a10:1 with SMTP id 1", None),
            ("from h (h [192.0.2.1]) by mail-sor-f41.google.com with SMTP id 1", None),
            ("from h (h [192.0.2.1]) by mfsmax.docomo.ne.jp with ESMTP id 1", None),
            ("from h (h [192.0.2.1]) by inbound-smtp.us-west-2.amazonaws.com with SMTP id 1", None),
            ("from h (192.0.2.1) by mx with Microsoft SMTP Server id 15.20", None),
            ("from h (h [192.0.2.1]) by mx (8.8.8/8.8.8) with ESMTP id 1", None),
            ("from h (h [192.0.2.1]) by mx with ESMTP id 1", None),
            # All of them may say that it was there.
            ("from h (h [192.0.2.1]) by mx with ESMTPS id 1", True),
            ("from h (192.0.2.1) by mx with Microsoft SMTP Server (TLS) id 14.3", True),
            ("from h ([192.0.2.1]) by mx over TLS secured channel with Microsoft SMTPSVC(7.5)", True),
            ("from h (h [192.0.2.1]) by mx (Postfix) with ESMTPSA id 1", True),
            ("from h (h [192.0.2.1]) by mx with UTF8SMTPS id 1", True),
        ],
    )
    def test_without_tls_says_only_who_would_say_with(self, value: str, tls: bool | None) -> None:
        assert parse_received(value + "; Tue, 24 Nov 2026 01:02:03 +0900").tls is tls

    @pytest.mark.parametrize(
        ("value", "address"),
        [("<>", ""), ("<a@b.c>", "a@b.c"), ("a@b.c", "a@b.c"), ("<@r:a@b.c>", "a@b.c"), ("x", None)],
    )
    def test_return_path(self, value: str, address: str | None) -> None:
        assert parse_return_path(value) == address

    def test_received_spf(self) -> None:
        told = parse_received_spf(
            'Pass (mx: domain of a@b.c designates 192.0.2.1 as permitted sender) envelope-from="a@b.c"; helo=h.b.c;'
        )
        assert (told.result, told.pairs["envelope-from"], told.pairs["helo"], told.ip) == (
            "pass", "a@b.c", "h.b.c", "192.0.2.1"
        )  # fmt: skip

    def test_authentication_results(self) -> None:
        told = parse_authentication_results(
            "mx.example 1; dkim=pass header.d=b.c; spf=fail (mx: domain of a@b.c does not designate 192.0.2.1 as"
            " permitted sender) smtp.mailfrom=a@b.c smtp.helo=h"
        )
        assert told.server == "mx.example"
        assert [(each.method, each.result) for each in told.results] == [("dkim", "pass"), ("spf", "fail")]
        assert told.results[1].properties == {"smtp.mailfrom": "a@b.c", "smtp.helo": "h"}
        assert client_ip_of(told) == "192.0.2.1"


LINE_PARTS = ["\r\n", "\n", "\r", "a", "abcd", "\0", "A: b", "--b", "----", "abcd\r\n" * 9, "abcd\n" * 9]


class TestLines:
    @given(st.lists(st.sampled_from(LINE_PARTS), max_size=40).map(lambda parts: "".join(parts).encode()))
    def test_lines_are_counted_as_they_are(self, body: bytes) -> None:
        raw = b"A: b\r\n" + body
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("deliverability.core.mail.reader._CHUNK", 16)
            message = read(raw)
        crlf = raw.count(b"\r\n")
        lone = raw.count(b"\n") - crlf
        assert message.lines.longest == max(map(len, raw.replace(b"\r\n", b"\n").split(b"\n")))
        assert message.lines.bare_cr == raw.count(b"\r") - crlf
        assert message.lines.bare_lf == (lone if lone <= crlf else 0)
        assert message.lines.nul == raw.count(b"\0")
        assert message.size_octets == len(raw) + lone

    @given(st.lists(st.sampled_from([*LINE_PARTS, "B : c\n", " d\n", "\n\n"]), max_size=20))
    def test_the_header_alone_is_read_alike(self, parts: list[str]) -> None:
        raw = "".join(parts).encode()
        head, message = read_head(raw), read(raw)
        assert (head.start, head.headers, head.body_offset) == (message.start, message.headers, message.body_offset)


class TestHtmlAccount:
    def test_every_octet_has_one_category(self) -> None:
        pieces = {
            Category.MARKUP: ['<!DOCTYPE html><p class="a"', ">", '<img alt="" src="', '">', "</p>"],
            Category.INLINE_CSS: ['style="color:red"'],
            Category.DATA_URI: ["data:image/png;base64,AAAA"],
            Category.STYLE: ["<style>p{}</style>"],
            Category.SCRIPT: ["<script>if (a</b) '<p>'</script>"],
            Category.COMMENT: ["<!-- <p> -->"],
            Category.TEXT: ["あ < b"],
        }
        account = HtmlAccount()
        account.add(
            '<!DOCTYPE html><p class="a" style="color:red"><img alt="" src="data:image/png;base64,AAAA">あ < b</p>'
            "<style>p{}</style><script>if (a</b) '<p>'</script><!-- <p> -->"
        )
        expected = {key: sum(len(piece.encode()) for piece in value) for key, value in pieces.items()}
        expected[Category.MARKUP] += 1  # the space before style
        assert account.octets == expected

    def test_data_uris_in_css_are_no_css(self) -> None:
        account = HtmlAccount()
        account.add("<style>a{background:url(data:x,1234)}</style>")
        assert account.octets[Category.DATA_URI] == len("data:x,1234")

    @pytest.mark.parametrize(
        ("html", "octets"),
        [
            ("<div style='display:none'>pre</div>shown<p hidden>secret</p>", len("secret")),
            ("<div style='display: none'>" + "x" * 301 + "</div>", 301),
            ("<div style='display:none'>" + "x" * 300 + "&zwnj;&nbsp;" * 200 + "</div>", 0),
            ("<b hidden>a</b><span style='font-size:0px'>zero</span><span style='font-size:0.5em'>half</span>", 4),
            ("<b hidden>a</b><p style='visibility:HIDDEN'>one<p>two", 3),
            ("<b hidden>a</b><div hidden><p>in</p></span></div>out", 2),
        ],
    )
    def test_hidden_text_without_the_preheader(self, html: str, octets: int) -> None:
        account = HtmlAccount()
        account.add(html)
        assert account.hidden_octets == octets

    @pytest.mark.parametrize(
        ("html", "words"),
        [
            ("<title>no</title><p>one two<p>three&nbsp;four", 4),
            ("日本語の文", 3),
            ("日本 and <b>bold</b>er", 3),
            ("<style>x y</style><!-- z --> - !", 0),
        ],
    )
    def test_visible_words(self, html: str, words: int) -> None:
        account = HtmlAccount()
        account.add(html)
        assert account.visible_words == words
