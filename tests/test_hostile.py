"""What somebody else writes to keep a reader busy: twice the length takes twice the time.

Every reader of outside text meets what means something in its format, repeated, behind beginnings that get it further.
Besides, records of DNS are read in 50 ms of processor time. (More on DMARC records in a file of their own.)
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext

import pytest
from msgspec import Struct

from deliverability.core.mail import addresses, received, words
from deliverability.core.mail import words as dates
from deliverability.core.mail.html import markup
from deliverability.core.mail.html import markup as css
from deliverability.core.mail.html.accounting import HtmlAccount, link_host, shown_hosts
from deliverability.core.mail.reader import read
from deliverability.core.mail.words import parse_parameters
from deliverability.core.net.base import Found, Page
from deliverability.core.net.names import labels_of
from deliverability.core.protocols.bimi import logo_errors, parse_bimi
from deliverability.core.protocols.dane import parse_tlsa
from deliverability.core.protocols.dkim import key, signature
from deliverability.core.protocols.dkim.canonical import empty_b, relaxed_field, signed_data
from deliverability.core.protocols.dmarc.record import parse as parse_dmarc
from deliverability.core.protocols.dmarc.record import split
from deliverability.core.protocols.mta_sts import parse_mta_sts, parse_mta_sts_policy, parse_tls_rpt
from deliverability.core.protocols.mx import mx_entries
from deliverability.core.protocols.spf import record as spf
from deliverability.core.protocols.spf.repair import repair
from deliverability.core.replies.match import fold
from deliverability.core.replies.notice import find
from deliverability.core.replies.text import accepted, field_reply, replies_in
from deliverability.core.report.parts import segments
from deliverability.core.report.preview import preview
from deliverability.engine.auditors import identity, transport, unsubscribe
from deliverability.engine.auditors.message import unicode_labels
from deliverability.slim.message import References
from tests.growth import LONGEST, Text, assert_at_most, assert_linear, repeated, seconds
from tests.sampled import sampled

pytestmark = pytest.mark.long

MOST_FOR_A_RECORD = 40  # times a loop in Python over the same 64 KB; the slowest takes 10

# Pieces that mean something in one of the formats, and what comes between them.
PIECES = {
    "spaces": " ",
    "tabs": "\t",
    "line ends": "\n",
    "folds": "\r\n ",
    "no-break spaces": "\u00a0",
    "letters": "a",
    "capitals": "A",
    "digits": "1",
    "wide letters": "あ",
    "raw octets": "\udc80",
    "semicolons": ";",
    "colons": ":",
    "commas": ",",
    "dots": ".",
    "equals signs": "=",
    "slashes": "/",
    "backslashes": "\\",
    "hyphens": "-",
    "underscores": "_",
    "asterisks": "*",
    "at signs": "@",
    "quotes": '"',
    "apostrophes": "'",
    "opening brackets": "(",
    "closing brackets": ")",
    "opening square brackets": "[",
    "opening angles": "<",
    "closing angles": ">",
    "braces": "{",
    "closing braces": "}",
    "percent signs": "%",
    "macros": "%{d}",
    "words": "a ",
    "quoted words": '"a" ',
    "tags": "a=b;",
    "pairs": "a=b ",
    "lines": "a: b\n",
    "labels": "a.",
    "addresses": "a@b.c,",
    "angle addresses": "<a@b.c>",
    "comments": "(a)",
    "encoded words": "=?utf-8?q?a?= ",
    "open encoded words": "=?utf-8?q?",
    "closed brackets of nothing": "()",
    "shifts": "\x1b$B",
    "shifts back": "\x1b(B",
    "replies": "550 5.1.1 a\n",
    "open replies": "550-5.1.1 a\n",
    "hosts": "host a.b [1.2.3.4] said: ",
    "quoted lines": "> ",
    "transcript lines": ">>> ",
}


def numbered(piece: str, head: str = "", tail: str = "") -> Text:
    """As `repeated`, with a number in each piece, so that no two are alike."""

    def text(size: int) -> str:
        count = (size - len(head) - len(tail)) // (len(piece) + 3)
        return head + "".join(piece.replace("#", str(number)) for number in range(count)) + tail

    return text


class Reader(Struct, frozen=True):
    """A function over outside text, the beginnings that get a text further into it, and pieces of its own."""

    work: Callable[[str], object]
    heads: tuple[str, ...] = ("",)
    pieces: tuple[str, ...] = ()
    numbered: tuple[str, ...] = ()


def octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def page(text: str) -> Page:
    return Page("https://mta-sts.example.com/.well-known/mta-sts.txt", 200, "text/plain", octets(text))


def message(head: str) -> Callable[[str], object]:
    """Read a message whose header ends with the text: its parts, its text, and what its fields say."""

    def work(text: str) -> object:
        found = read(octets(head + text))
        return [(part.text(), part.filename) for part in found.parts()], [field.value for field in found.headers]

    return work


def sheet(text: str) -> object:
    return list(css.read_sheet(text)), list(css.read_attribute(text)), markup.minify_css(text)


def account(text: str) -> HtmlAccount:
    found = HtmlAccount()
    found.add(text)
    return found


RECORDS: Mapping[str, Reader] = {
    "SPF": Reader(
        lambda text: (spf.select([text]), spf.lookalikes([text]), spf.parse(text)),
        (
            "v=spf1 ",
            "v=spf1 include:",
            "v=spf1 a:a/",
            "v=spf1 exists:%{",
            "v=spf1 redirect=",
            "v=spf1 x=",
            "v",
            "spf =",
            "v=spf1 ip6:",
        ),
        ("ip4:1.2.3.4 ", "include:a.b ", "%{ir}.", "/24 ", "+all ", "redirect=a.b "),
        ("ip4:10.0.0.# ", "include:a#.b ", "x#=y "),
    ),
    "SPF, mended": Reader(
        repair,
        ("v=spf1 ", "v", "v=spf1", "spf =", "v=spf1 include:", "v=spf1 ip4"),
        ("ip4:1.2.3.4 ", "ip4:1.2.3.4", "include:a.b,", "ip4 : 1.2.3.4 ", "+all", "a;", "include;:="),
        ("ip4:10.0.0.# ", "include:a#.b"),
    ),
    "DMARC": Reader(
        lambda text: (split([text]), parse_dmarc(text)),
        ("v=DMARC1; rua=", "v", "v="),
        ("mailto:a@b.c,",),
        ("a#=b;", "mailto:a@b#.c,"),
    ),
    "DKIM key": Reader(
        lambda text: (key.parse_key(text), key.choose_key([text]), key.looks_like_key(text)),
        (
            "",
            "v=DKIM1; p=",
            "v=DKIM1; k=ed25519; p=",
            "v=DKIM1; h=",
            "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA",
        ),
        ("p=;", "sha256:"),
        ("a#=b;", "h#:"),
    ),
    "BIMI": Reader(
        lambda text: parse_bimi([text]),
        ("", "v=BIMI1; l=", "v=BIMI1; l=https://", '" v'),
        ("l=https://a/;",),
        ("a#=b;",),
    ),
    "MTA-STS": Reader(
        lambda text: parse_mta_sts([text]),
        ("", "v", "v=STSv1", "v=STSv1; id=", '" v ='),
        ("id=1;",),
        ("a#=b;",),
    ),
    "TLS-RPT": Reader(
        lambda text: parse_tls_rpt([text]),
        ("", "v", "v=TLSRPTv1", "v=TLSRPTv1; rua=", "v=TLSRPTv1; rua=mailto:"),
        ("mailto:a@b.c,", "https://a,"),
        ("a#=b;", "mailto:a#@b.c,"),
    ),
    "TLSA": Reader(parse_tlsa, ("", "3 1 1 ")),
    "MX": Reader(
        lambda text: mx_entries(Found("example.com", "MX", tuple(text.split("|")))), ("10 ",), ("10 a.b|",), ("# a.b|",)
    ),
    "name": Reader(lambda text: (labels_of(text), unicode_labels(text)), ("", "xn--"), ("xn--a.",)),
}

OTHERS: Mapping[str, Reader] = {
    "MTA-STS policy": Reader(
        lambda text: parse_mta_sts_policy(page(text)),
        (
            "",
            "version: STSv1\nmode: enforce\nmax_age: 86400\nmx: a.b\n",
            "version: STSv1\nmode: enforce\nmax_age: 86400\nmx: ",
        ),
        ("mx: a.b\n",),
        ("mx: a#.b\n", "a#: b\n"),
    ),
    "BIMI logo": Reader(
        lambda text: logo_errors(octets(text)),
        ("", '<svg xmlns="http://www.w3.org/2000/svg"><', '<svg xmlns="http://www.w3.org/2000/svg" a="', "<!DOCTYPE "),
        ("<a>", "<a/>", '<a href="b"/>', "&amp;", "<!---->", "<![CDATA[]]>"),
        ("<a x#='b'/>", " a#='b'"),
    ),
    "DKIM signature": Reader(
        signature.parse_signature,
        ("", "v=1; a=rsa-sha256; d=example.com; s=a; h=", "v=1; b=", "v=1; bh=", "d=", "s=", "i=", "z=", "t=", "c="),
        ("from:", "from:a|", "=41"),
        ("a#=b;", "h#:"),
    ),
    "DKIM signature, its own field": Reader(
        lambda text: (empty_b(octets(text)), relaxed_field(b"DKIM-Signature", octets(text))),
        ("", "v=1; b=", "v=1; b"),
        ("b=a;",),
    ),
    "signed fields": Reader(
        lambda text: signed_data(read(octets(f"From: {text}\r\n")).headers, ["from"] * 1000, 0, True),
        ("From: ",),
        ("From: a\r\n", "a: b\r\n"),
    ),
    "Received": Reader(
        received.parse_received,
        ("from a (", "from a (b [1.2.3.4]) by c with ", "from a by b; ", "from ", "(Exim 4) from "),
        ("from a ", "by b ", "(a [1.2.3.4]) ", "with ESMTPS ", "[", "; Mon, 1 Jan 2026 "),
    ),
    "Return-Path": Reader(received.parse_return_path, ("", "<", "a@")),
    "Received-SPF": Reader(
        received.parse_received_spf, ("pass ", "pass (", "pass client-ip="), ("client-ip=1.2.3.4;",), ("a#=b;",)
    ),
    "Authentication-Results": Reader(
        lambda text: received.client_ip_of(received.parse_authentication_results(text)),
        ("a; ", "a; spf=pass (", "a 1; dkim=pass header.d=", "i=1; a; spf=pass smtp.remote-ip="),
        ("spf=pass;", "; dkim=pass (a) header.d=b ", "a=b/1 ", "reason=", "policy.a=b "),
        ("dkim=pass header.d=a#;", "a#=b;"),
    ),
    "TLS version": Reader(transport.tls_version, ("with ESMTPS (", "version=TLS", "using TLSv1")),
    "addresses": Reader(
        addresses.parse_addresses,
        ("", "a <", "a: ", '"', "<@", "=?utf-8?b?"),
        ("a <b@c.d>,", "g:a@b.c;", '"a"@b,', "@a,@b:"),
    ),
    "addresses in text": Reader(addresses.addresses_in_text, ("", "a@")),
    "parameters": Reader(
        parse_parameters,
        ("", "a/b; name=", 'a/b; name="', "a/b; name*0*=utf-8''", "a/b; filename*="),
        ("; a*0=b", "; name*=utf-8''%41", '; a="b"', "%41"),
        ("; a*#=b", "; a#=b", "; a*#*=%41"),
    ),
    "encoded words": Reader(
        lambda text: (
            words.decode_words(text),
            list(words.encoded_words(text)),
            words.has_encoded_word(text),
            words.printable(text),
        ),
        ("", "=?", "=?utf-8?b?", "=?iso-2022-jp?q?"),
        ("=?utf-8?b?YQ==?=", "=?utf-8?b?YQ==?= ", "=?", "?=", "=?x?q?a?=\r\n "),
    ),
    "base64": Reader(lambda text: words.decode_base64(octets(text)), ("", "YQ==")),
    "date": Reader(dates.parse_date, ("", "Mon, ", "1 Jan 2026 00:00:00 ")),
    "List-Unsubscribe": Reader(unsubscribe.unsubscribe_uris, ("", "<"), ("<mailto:a@b>,", "<https://a>, ")),
    "host name": Reader(lambda text: identity.looks_generic(text, "192.0.2.1"), ("", "host-192-0-2-1.")),
    "address of a link": Reader(
        lambda text: (link_host(text), list(shown_hosts(text))), ("", "https://", "//"), ("https://a.b ", "www.")
    ),
    "header of a message": Reader(
        message(""),
        ("", "Subject: ", "Content-Type: ", "Content-Type: multipart/mixed; boundary=", "From: "),
        ("a: b\r\n", "a: b\n", "a:\r\n b\r\n", "Content-Type: a/b\r\n"),
        ("a#: b\r\n",),
    ),
    "body of a message": Reader(
        message("Content-Type: multipart/mixed; boundary=a\r\n\r\n"),
        ("", "--a\r\n", "--a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"),
        (
            "--a\r\n",
            "--a--\r\n",
            "--a\r\n\r\n",
            "--a\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n",
            "\r\n--",
            "--",
        ),
        ("--a\r\nContent-Type: multipart/mixed; boundary=b#\r\n\r\n--b#\r\n",),
    ),
    "encoded body": Reader(
        message("Content-Transfer-Encoding: quoted-printable\r\n\r\n"), ("", "="), ("=41", "=\r\n", " \r\n", "= ")
    ),
    "base64 body": Reader(message("Content-Transfer-Encoding: base64\r\n\r\n"), ("", "YQ=="), ("YQ==", "Y Q = =\r\n")),
    "HTML": Reader(
        account,
        (
            "",
            "<",
            "<a href=",
            '<a href="',
            "<a ",
            "<!--",
            "<style>",
            "<p style=",
            "</",
            "<meta charset=",
            "<div style='display:none'>",
        ),
        (
            "<p>",
            "</p>",
            "<a>",
            "</a>",
            "<a href=//a.b>a</a>",
            "<!--",
            "-->",
            "<!",
            "&",
            "&#",
            "&amp",
            "<b><i></b></i>",
            "<p ",
            "a=b ",
            "<style>",
            "</style",
        ),
        ("<a#>", " a#=b", "<a href=//a#.b>"),
    ),
    "CSS": Reader(
        sheet,
        ("", "a{", "@media a{", "@font-face{src:", "/*", "@import ", "a{b:", '"', "url("),
        (
            "a{b:c}",
            "a{",
            "}",
            "/*",
            "*/",
            "/**/",
            "b:c;",
            "url(",
            "url(a)",
            "\\",
            "@media a{",
            "!important;",
            "<!--",
            "-->",
        ),
        ("a#{b:c}", "a#:b;"),
    ),
    "HTML, made smaller": Reader(
        markup.minify, ("", "<", "<pre>", "<a ", "<!--", "<style>"), ("<p>", "</p>", "<!--", "-->", "<b> ", " a=b")
    ),
    "HTML, shown": Reader(
        preview,
        ("", "<", "<a ", "<!--", "<style>", "<p style=", "<img "),
        ("<p>", "</p>", "<!--", "-->", "<img>", " a=b", "<svg>", "</svg>", "<style>"),
    ),
    "references": Reader(
        lambda text: References.of([text]),
        ("", "<img width=", "<img style=", "<img src=cid:"),
        ("<img width=1>", ";width:1px", "cid:a ", "<img "),
        ("cid:a# ",),
    ),
    "reply": Reader(
        lambda text: (replies_in(text), field_reply(text), accepted(text), fold(text)),
        ("", "550 5.1.1 ", "550-", "smtp; 550 ", "host a said: ", "250 ", "  "),
        (
            "450 4.2.0 ",
            "550-5.1.1 a ",
            "\n  a",
            "to=<a@b.c> ",
            "dsn=5.0.0, stat=",
            "\\n",
            "_",
            "delivery 1: failure: ",
            '"',
            "};{AB=",
            "\n>>> DATA\n",
        ),
        ("55# a\n",),
    ),
    "notice of non-delivery": Reader(
        lambda text: find(octets(text)),
        (
            "",
            "From: a@b\r\n\r\n",
            "Content-Type: multipart/report; boundary=a\r\n\r\n--a\r\nContent-Type: message/delivery-status\r\n\r\n",
        ),
        (
            "Action: failed\r\n",
            "\r\n",
            "Final-Recipient: rfc822; a@b.c\r\nStatus: 5.1.1\r\n\r\n",
            "<a@b.c>: 550 a\n",
            "--- a ---\n",
        ),
        ("X-#: a\r\n",),
    ),
    "sentence with records": Reader(
        segments, ("", "`", 'a TXT "', '"v=', "v=spf1", "v=DMARC1"), (' "a"', " a:b", "; a=b", " TXT", 'a TXT "b" '), ()
    ),
}


EVERY = bool(os.environ.get("DELIV_EVERY_TEXT"))
LONGEST_OTHER = LONGEST if EVERY else LONGEST // 4  # what does not come from DNS, and of which more is read


def texts(reader: Reader) -> dict[str, Text]:
    """The hostile texts for a reader, with an end that does not fit: its own pieces behind every beginning of it.

    The pieces that all readers meet take turns at the beginnings; `make fuzz` has every pair.
    """
    found: dict[str, Text] = {}
    for turn, head in enumerate(reader.heads):
        general = list(PIECES.values()) if EVERY else list(PIECES.values())[turn :: len(reader.heads)]
        for piece in (*general, *reader.pieces):
            found[f"{head!r} {piece!r}"] = repeated(piece, head, "\x00" if head else "")
        for piece in reader.numbered:
            found[f"{head!r} {piece!r}"] = numbered(piece, head)
    return found


@pytest.mark.parametrize(
    ("reader", "longest"),
    sampled([*((each, LONGEST) for each in RECORDS.values()), *((each, LONGEST_OTHER) for each in OTHERS.values())], 3),
    ids=[*RECORDS, *OTHERS],
)
def test_reading_takes_time_in_proportion(reader: Reader, longest: int) -> None:
    for name, text in texts(reader).items():
        assert_linear(reader.work, text, name, longest)


@pytest.mark.parametrize("reader", sampled([*RECORDS.values()], 4), ids=RECORDS)
def test_a_record_of_64_kb_is_read_at_once(reader: Reader) -> None:
    for name, text in texts(reader).items():
        assert_at_most(MOST_FOR_A_RECORD, reader.work, text(LONGEST), name)


class Counted(Struct):
    """A clock that goes on by the operations of the work, and on a busy machine now and then by many more."""

    cost: Callable[[int], float]
    busy: random.Random
    now: float = 0.0

    def work(self, text: str) -> None:
        self.now += self.cost(len(text)) / 1_000_000 * self.busy.choice((1, 2, 3, 50))

    def clock(self) -> float:
        return self.now


GROWTHS = {
    "linear": (lambda size: size, False),
    "linear and much of it": (lambda size: size * 1000, False),
    "sorting": (lambda size: size * math.log2(size), False),
    "the square": (lambda size: size**2, True),
    "the square of a part": (lambda size: size + size**2 / 100, True),
    "the cube": (lambda size: size**3, True),
}


@pytest.mark.parametrize(("cost", "found"), GROWTHS.values(), ids=GROWTHS)
@pytest.mark.parametrize("seed", range(5))
def test_quadratic_work_is_found_and_a_busy_machine_is_not(
    cost: Callable[[int], float], seed: int, *, found: bool
) -> None:
    counted = Counted(cost, random.Random(seed))
    with pytest.raises(AssertionError, match="times the time for 16") if found else nullcontext():
        assert_linear(counted.work, repeated(";"), clock=counted.clock)


def test_time_is_that_of_the_processor() -> None:
    def work(text: str) -> None:
        end = time.thread_time() + 0.01
        while time.thread_time() < end:
            pass

    assert seconds(work, "") >= 0.01
