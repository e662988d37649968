"""Aggregate reports: what is read, what is repaired, what is refused, and that nothing else ever happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverability.core.model.observed import Facet, SignatureSeen
from deliverability.core.replies import limits
from deliverability.core.replies.limits import NotReadError
from deliverability.intake.records import SeenRecords
from tests.growth import assert_linear, repeated
from tests.intake.reports import BEGIN, NOW, metadata, read, record, report

FAIL = "<disposition>none</disposition><dkim>fail</dkim><spf>fail</spf>"


def codes(octets: bytes) -> list[str]:
    return [each.code for each in read(octets)[0].problems]


def refused(octets: bytes) -> str:
    with pytest.raises(NotReadError) as caught:
        read(octets)
    return caught.value.detail.code


class TestRow:
    def test_says_who_sent_what_from_where(self) -> None:
        head, rows = read(report(record("2001:db8::1", 7)))
        assert (head.domain, head.reporter, head.email) == ("example.com", "Example", "receiver.example")
        assert (head.begin, head.end, head.records, head.messages) == (BEGIN, BEGIN + 86399, 1, 7)
        (row,) = rows
        assert (row.ip, row.messages) == (bytes.fromhex("20010db8000000000000000000000001"), 7)
        seen = (SignatureSeen("example.com", "s1", "pass"),)
        assert row.facet == Facet("example.com", "", seen, "", "", True, False, "none", "")

    def test_ipv4_inside_ipv6_is_ipv4(self) -> None:
        assert read(report(record("::ffff:192.0.2.9")))[1][0].ip == bytes([192, 0, 2, 9])

    def test_words_are_lower_case_and_names_a_labels(self) -> None:
        results = "<spf><domain>例え.JP.</domain><scope>MFROM</scope><result>Pass</result></spf>"
        evaluated = "<disposition>None</disposition><dkim>Fail</dkim><spf>Pass</spf>"
        facet = read(report(record(author="Example.COM", evaluated=evaluated, results=results)))[1][0].facet
        assert facet == Facet("example.com", "", (), "xn--r8jz45g.jp", "pass", False, True, "none", "")

    def test_any_namespace_and_prefix(self) -> None:
        plain = report(record(results="<dkim><domain>example.com</domain><result>fail</result></dkim>"))
        prefixed = plain.replace(b"</", b"</ns1:").replace(b"<", b"<ns1:").replace(b"<ns1:/ns1:", b"</ns1:")
        prefixed = prefixed.replace(b"<ns1:feedback>", b'<ns1:feedback xmlns:ns1="urn:ietf:params:xml:ns:dmarc-2.0">')
        assert read(prefixed)[1] == read(plain)[1]

    def test_of_many_signatures_three_say_something(self) -> None:
        signed = [("example.com", "fail"), ("esp.example", "pass"), ("mail.example.com", "pass"), ("x.example", "pass")]
        results = "".join(f"<dkim><domain>{d}</domain><result>{r}</result></dkim>" for d, r in signed)
        facet = read(report(record(results=results)))[1][0].facet
        assert [(each.domain, each.result) for each in facet.dkim] == [
            ("mail.example.com", "pass"),
            ("example.com", "fail"),
            ("esp.example", "pass"),
        ]

    def test_mail_from_counts_before_helo(self) -> None:
        helo = "<spf><domain>host.example</domain><scope>helo</scope><result>pass</result></spf>"
        mfrom = "<spf><domain>b.example</domain><scope>mfrom</scope><result>fail</result></spf>"
        assert read(report(record(results=helo + mfrom)))[1][0].facet.spf_domain == "b.example"
        assert read(report(record(results=helo)))[1][0].facet.spf_domain == "host.example"

    @pytest.mark.parametrize(
        ("reason", "expected"),
        [
            ("<reason><type>mailing_list</type><comment>a@example.com</comment></reason>", "mailing_list"),
            ("<reason><type>local_policy</type><comment>arc=pass as.1.x=pass</comment></reason>", "local_policy/arc"),
            ("<reason><type></type><comment></comment></reason>", ""),
            ("<reason><type>forwarded</type></reason><reason><type>other</type></reason>", "forwarded,other"),
        ],
    )
    def test_reasons_are_kept_without_their_comments(self, reason: str, expected: str) -> None:
        assert read(report(record(evaluated=FAIL + reason)))[1][0].facet.reason == expected


class TestProblem:
    """One record that cannot be used never costs the report."""

    @pytest.mark.parametrize(
        ("bad", "code"),
        [
            (record(ip=""), limits.BAD_ADDRESS.name),
            (record(ip="192.0.2.256"), limits.BAD_ADDRESS.name),
            (record(count=-1), limits.BAD_COUNT.name),
            (record(count="1e3"), limits.BAD_COUNT.name),
            (record(count=10**9 + 1), limits.BAD_COUNT.name),
            (record(evaluated="<disposition>none</disposition>"), limits.NO_EVALUATION.name),
        ],
    )
    def test_of_a_record(self, bad: str, code: str) -> None:
        head, rows = read(report(record(count=2), bad, record(count=3)))
        assert [row.messages for row in rows] == [2, 3]
        assert (head.messages, head.unread) == (5, 1)
        assert [each.code for each in head.problems] == [code]

    def test_a_name_that_dns_cannot_hold_is_no_name(self) -> None:
        head, rows = read(report(record(author="a b c")))
        assert rows[0].facet.header_from == ""
        assert [each.code for each in head.problems] == [limits.BAD_NAME.name]

    @pytest.mark.parametrize(
        ("begin", "end"),
        [(BEGIN, BEGIN - 1), (302832000, 302918399), (NOW, NOW + 5 * 86400), (BEGIN - 9 * 86400, BEGIN)],
    )
    def test_a_period_that_cannot_be(self, begin: int, end: int) -> None:
        assert codes(report(record(), head=metadata(begin=begin, end=end))) == [limits.BAD_PERIOD.name]

    def test_no_published_policy_leaves_the_author_domain(self) -> None:
        head, _ = read(report(record(author="mail.example.com"), policy=""))
        assert head.domain == "example.com"
        assert [each.code for each in head.problems] == [limits.NOT_STATED.name]


class TestRepair:
    def test_octets_that_are_no_utf8(self) -> None:
        head, rows = read(report(record("192.0.2.1"), record("192.0.2.2")).replace(b"Example", b"Ex\xe4mple", 1))
        assert (len(rows), head.complete) == (2, False)
        assert [each.code for each in head.problems] == [limits.REPAIRED.name]

    def test_markup_in_an_address(self) -> None:
        head, rows = read(report(record()).replace(b"dmarc@receiver.example", b"<dmarc@receiver.example>"))
        assert (len(rows), head.email, head.complete) == (1, "receiver.example", False)

    @pytest.mark.parametrize("cut", range(20, len(report(record(), record())) - 1, 37))
    def test_cut_off_anywhere(self, cut: int) -> None:
        """Whole records before the cut are read, and the report is known to be a part."""
        octets = report(record(), record())[:cut]
        if b"</date_range>" not in octets or b"</domain>" not in octets:
            assert refused(octets) in (limits.NOT_FEEDBACK.name, limits.NOT_STATED.name)
            return
        head, rows = read(octets)
        assert not head.complete
        assert head.records == len(rows) <= 2
        assert limits.CUT_OFF.name in [each.code for each in head.problems]

    def test_what_follows_the_report_does_not_matter(self) -> None:
        head, _ = read(report(record()) + b"</xs:schema>\x00")
        assert head.complete


ENCODINGS = (
    *("Big5", "Big5-HKSCS", "GB2312", "GBK", "GB18030", "HZ-GB-2312", "Shift_JIS", "Windows-31J", "EUC-JP", "EUC-KR"),
    *("ISO-2022-JP", "KS_C_5601-1987", "KOI8-R", "KOI8-U", "TIS-620", "macintosh", "IBM866"),
    *("UTF-16", "UTF-16LE", "UTF-16BE", "UTF-32", "UTF-32LE", "UTF-32BE"),
    *(f"windows-{number}" for number in range(1250, 1259)),
    *(f"ISO-8859-{number}" for number in (*range(1, 12), 13, 14, 15, 16)),
)
CODECS = {"Windows-31J": "cp932", "HZ-GB-2312": "hz", "macintosh": "mac_roman", "KS_C_5601-1987": "cp949"}
NAMES = {
    "日本語": ("jp", "jis", "gbk", "gb18030", "utf", "31j", "big5"),
    "中文": ("gb2312",),
    "Привет": ("koi8", "1251", "utf", "866", "8859-5"),
}


def declared(encoding: str, document: bytes, name: str = "Example") -> str:
    return f'<?xml version="1.0" encoding="{encoding}"?>\n' + document.decode().replace("Example", name, 1)


class TestEncoding:
    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_what_reporters_may_write_in_is_read(self, encoding: str) -> None:
        codec = CODECS.get(encoding, encoding)
        texts = [text for text, kinds in NAMES.items() if any(each in encoding.lower() for each in kinds)]
        for name in (*texts, "Example"):
            octets = declared(encoding, report(record("192.0.2.1"), record("192.0.2.2")), name).encode(codec)
            head, rows = read(octets)
            assert (head.reporter, head.domain, len(rows), head.complete) == (name, "example.com", 2, True)

    @pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
    def test_without_a_byte_order_mark(self, codec: str) -> None:
        assert len(read(declared(codec[:6], report(record()), "日本語").encode(codec))[1]) == 1

    def test_with_one_in_utf8(self) -> None:
        head, rows = read(declared("utf-8", report(record()), "日本語").encode("utf-8-sig"))
        assert (head.reporter, len(rows), head.complete) == ("日本語", 1, True)

    @pytest.mark.parametrize(
        "encoding",
        [
            *("x-made-up", "utf-16", "utf-32", "ucs-4", "rot13", "base64", "zlib", "bz2", "hex", "uu", "punycode"),
            *("idna", "utf-7", "unicode_escape", "undefined", "mbcs", "cp037", "os", "encodings", "a" * 300),
        ],
    )
    def test_one_that_cannot_be_true_is_passed_over(self, encoding: str) -> None:
        head, rows = read(declared(encoding, report(record()), "日本語").encode())
        assert (head.reporter, len(rows), head.complete) == ("日本語", 1, True)

    @pytest.mark.parametrize(
        "encoding", ["big5", "gb18030", "shift_jis", "euc-jp", "iso-2022-jp", "utf-16", "us-ascii"]
    )
    def test_octets_that_it_does_not_have_are_replaced(self, encoding: str) -> None:
        octets = declared(encoding, report(record()), "Ex\x7fmple").encode(encoding)
        bad = octets.replace(
            "\x7f".encode(encoding).removeprefix(b"\xff\xfe"), b"\x00\xd8" if "16" in encoding else b"\x81\xff"
        )
        head, rows = read(bad)
        assert (len(rows), head.complete) == (1, False)
        assert [each.code for each in head.problems] == [limits.REPAIRED.name]

    def test_a_document_type_is_refused_in_every_encoding(self) -> None:
        bomb = '<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
        for encoding in ("big5", "shift_jis", "iso-2022-jp", "utf-16", "utf-32", "koi8-r"):
            text = declared(encoding, report(record())).replace("?>\n", f"?>\n{bomb}")
            assert refused(text.encode(encoding)) == limits.DOCTYPE.name


class TestHostile:
    def test_doctype(self) -> None:
        entities = b'<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
        assert refused(entities + report(record())) == limits.DOCTYPE.name

    def test_a_page_is_no_report(self) -> None:
        assert refused(b"<!DOCTYPE html><html><body>none</body></html>") == limits.NOT_FEEDBACK.name

    def test_depth(self) -> None:
        assert refused(b"<feedback>" + b"<a>" * 200_000) == limits.TOO_DEEP.name
        assert refused(b"<feedback>" + b"<p>" * 200_000) == limits.TOO_DEEP.name

    def test_text_without_end_is_not_kept(self) -> None:
        head, _ = read(report(record(), head=metadata(reporter="x" * 3_000_000)))
        assert len(head.reporter) == 253

    def test_many_signatures(self) -> None:
        results = "<dkim><domain>example.com</domain><result>pass</result></dkim>" * 101
        assert codes(report(record(results=results))) == [limits.TOO_MANY_SIGNATURES.name]

    def test_time_grows_with_size(self) -> None:
        reason = "<reason><type>a</type></reason>"
        for shape in (record(), reason, "<a/>", " ", "<record/>", "</record>", "<!-- -->", "&lt;"):
            text = repeated(shape, report()[: -len("</feedback>")].decode(), "</feedback>")
            assert_linear(lambda each: _outcome(each.encode()), text, shape)

    def test_ends_of_records_in_a_comment(self) -> None:
        text = repeated("</record>", report(record()).decode().replace("</feedback>", "<!--"))
        assert_linear(lambda each: _outcome(each.encode()), text, longest=1 << 18)

    @given(st.binary(max_size=300))
    def test_any_octets(self, octets: bytes) -> None:
        _outcome(octets)
        _outcome(b"<feedback>" + octets + b"</feedback>")


def _outcome(octets: bytes, piece: int = 1 << 16, seen: SeenRecords | None = None) -> object:
    try:
        return read(octets, piece, seen=seen)
    except NotReadError as error:
        return error.detail.code


@given(st.integers(1, 400))
def test_pieces_make_no_difference(piece: int) -> None:
    octets = report(record("192.0.2.1", 3), record("192.0.2.2", 4, evaluated=FAIL))
    assert read(octets, piece) == read(octets)


class Forgetful(SeenRecords):
    """Knows no record, so that each is parsed."""

    def look_up(self, octets: bytes, begin: int, end: int) -> None:
        return None


def odd(ip: str) -> dict[str, str]:
    """Records that a reader by their octets could take for what they are not."""
    plain = record(ip)
    return {
        "plain": plain,
        "no address": record(ip.replace("192", "999")),
        "no number": record(ip, 10**9 + 1),
        "no evaluation": record(ip, evaluated="<disposition>none</disposition>"),
        "no name": record(ip, author="a%b"),
        "not ASCII": record(ip, author="例え.jp"),
        "reference": record(ip, author="&#97;.example"),
        "address twice": record(ip, results="<source_ip>192.0.2.7</source_ip>"),
        "number twice": record(ip, results="<a:count>7</a:count>"),
        "signature in signature": record(ip, results="<dkim><dkim><result>pass</result></dkim></dkim>"),
        "white space": plain.replace("><", ">\r\n\t<"),
        "comment inside": plain.replace("</count>", "</count><!-- </record> -->"),
        "in a comment": f"<!-- {plain} -->",
        "comment begins": f"{plain}<!-- ",
        "section": f"<![CDATA[{plain}]]>",
        "instruction": f"<?a {plain}?>",
        "attribute": f"<a b='>{plain}'/>",
        "deeper": f"<a>{plain}</a>",
        "as deep as may be": record(ip, results="<b>" * 13 + "</b>" * 13),
        "record in record": f"<record>{plain}</record>",
        "end only": "</record>",
        "behind": f"</feedback>{plain}",
    }


HEADS = ("", *(f'<?xml version="1.0" encoding="{each}"?>' for each in ("UTF-8", "ISO-8859-1", "KOI8-R")), "<a>")


class TestSeenRecords:
    """What was parsed once is not parsed again, which nobody can tell."""

    @pytest.mark.parametrize("name", odd(""))
    @pytest.mark.parametrize("before", HEADS)
    def test_a_report_is_read_the_same_whatever_was_read_before(self, name: str, before: str) -> None:
        seen = SeenRecords()
        _outcome(before.encode() + report(record(), odd("192.0.2.1")[name], record()), seen=seen)
        for head in HEADS:
            for piece in (90, 1 << 16):
                octets = head.encode() + report(record(), odd("192.0.2.2")[name], record(), odd("192.0.2.3")[name])
                assert _outcome(octets, piece, seen) == _outcome(octets, piece, Forgetful())

    def test_what_stands_in_a_comment_is_not_learnt(self) -> None:
        hidden = record().replace("</count>", "</count> --><record><row>")
        begin = report().replace(b"</feedback>", b"<!-- " + b" " * 1000)
        seen = SeenRecords()
        _outcome(begin + hidden.encode() + b"</feedback>", len(begin), seen)
        later = report(record(), hidden)
        assert _outcome(later, seen=seen) == _outcome(later, seen=Forgetful())

    def test_the_second_of_its_kind_is_not_parsed(self) -> None:
        seen = SeenRecords()
        read(report(record()), seen=seen)
        octets = record("2001:db8::1", 5).encode()
        found = seen.look_up(octets, 0, len(octets))
        assert found
        assert found[:2] == ("2001:db8::1", "5")
        assert read(report(record("2001:db8::1", 5)), seen=seen)[1][0].facet is found[2].facet

    @pytest.mark.long
    def test_only_some_are_remembered(self) -> None:
        """Of what a stranger wrote: neither long ones nor any number."""
        seen = SeenRecords()
        read(
            report(*(record(author=f"{number}.example") for number in range(5_000)), record(author="a" * 3_000)),
            seen=seen,
        )
        assert len(seen) <= 2_048


def test_equal_rows_have_equal_digests_and_others_do_not() -> None:
    one, same = report(record(count=3)), report(record(count=3), head=metadata(report_id="other"))
    assert read(one)[0].digest == read(same)[0].digest
    assert read(one)[0].digest != read(report(record(count=4)))[0].digest
    assert read(one)[0].digest != read(report(record(count=3, author="mail.example.com")))[0].digest
