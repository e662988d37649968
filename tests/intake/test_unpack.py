"""Containers around reports: peeled by content, within limits, and harmless whatever they hold."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverability.core.replies import limits
from deliverability.core.replies.limits import NotReadError
from deliverability.intake.places import DocumentKind, Enclosed, Unreadable, documents
from tests.intake.reports import record, report
from tests.sampled import examples

REPORT = report(record())


def zipped(*files: tuple[str, bytes], stored: bool = False) -> bytes:
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return octets.getvalue()


def mailed(content: bytes, media_type: str = "application/octet-stream") -> bytes:
    import base64

    return (
        b"From: a@example.com\r\nSubject: Report Domain: example.com\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee there.\r\n--b\r\n"
        b"Content-Type: "
        + media_type.encode()
        + b"; name=r\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(content).replace(b"\n", b"\r\n")
        + b"\r\n--b--\r\n"
    )


def inside(octets: bytes) -> list[bytes | str]:
    """The XML documents in it, and the codes of what could not be read."""
    found: list[bytes | str] = []
    for each in documents(octets):
        if isinstance(each, Unreadable):
            found.append(each.detail.code)
        elif each.kind is DocumentKind.XML:
            try:
                found.append(b"".join(each.pieces()))
            except NotReadError as error:
                found.append(error.detail.code)
    return found


@pytest.mark.parametrize(
    "octets",
    [
        REPORT,
        b"\xef\xbb\xbf \r\n" + REPORT,
        gzip.compress(REPORT),
        gzip.compress(gzip.compress(REPORT)),
        gzip.compress(REPORT[:50]) + gzip.compress(REPORT[50:]),
        gzip.compress(REPORT) + b"\0\0rest",
        zipped(("a.xml", REPORT)),
        zipped(("a.xml", REPORT), stored=True),
        zipped(("a.xml.gz", gzip.compress(REPORT))),
        mailed(REPORT, "text/xml"),
        mailed(gzip.compress(REPORT), "text/plain"),
        mailed(zipped(("a.xml", REPORT)), "application/x-zip-compressed"),
        b"From a@example.com Tue Apr 30 02:09:16 2019\n" + mailed(REPORT),
    ],
)
def test_the_report_is_found_whatever_is_around_it(octets: bytes) -> None:
    (found,) = inside(octets)
    assert isinstance(found, bytes)
    assert found.removeprefix(b"\xef\xbb\xbf").strip() == REPORT


def test_every_entry_of_an_archive_and_every_mail_of_a_mailbox() -> None:
    other = report(record("192.0.2.2"))
    assert inside(zipped(("a", REPORT), ("b", b"none"), ("c", other))) == [REPORT, other]
    mailbox = b"".join(b"From a Tue Apr 30 02:09:16 2019\n" + mailed(each) + b"\n\n" for each in (REPORT, other))
    assert inside(mailbox) == [REPORT, other]


def test_documents_can_be_read_again() -> None:
    (document,) = documents(gzip.compress(REPORT))
    assert isinstance(document, Enclosed)
    assert b"".join(document.pieces()) == b"".join(document.pieces()) == REPORT


def test_the_page_of_a_mail_is_no_report() -> None:
    assert inside(mailed(b"<html></html>", "text/html")) == []


class TestLimits:
    def test_a_bomb_is_left_when_it_shows(self) -> None:
        bomb = gzip.compress(REPORT[:100] + b" " * 30_000_000, 9)
        assert len(bomb) < 40_000
        assert inside(bomb) == [limits.BOMB.name]

    def test_genuine_reports_compress_a_hundred_times(self) -> None:
        large = report(*[record(f"192.0.2.{n % 256}", n) for n in range(20_000)])
        assert inside(gzip.compress(large, 9)) == [large]

    def test_nesting(self) -> None:
        octets = REPORT
        for _ in range(limits.MAX_NESTING):
            octets = gzip.compress(octets)
        assert inside(octets) == [REPORT]
        assert inside(gzip.compress(octets)) == [limits.TOO_NESTED.name]

    def test_entries(self) -> None:
        files = [(str(n), REPORT) for n in range(limits.MAX_ENTRIES + 1)]
        assert inside(zipped(*files[1:])) == [REPORT] * limits.MAX_ENTRIES
        assert inside(zipped(*files)) == [limits.TOO_MANY_ENTRIES.name]

    def test_encrypted(self) -> None:
        octets = bytearray(zipped(("a.xml", REPORT)))
        at = octets.index(b"PK\x01\x02")
        octets[at + 8] |= 1
        assert inside(bytes(octets)) == [limits.ENCRYPTED.name]

    def test_sizes_of_the_archive_are_not_believed(self) -> None:
        octets = bytearray(zipped(("a.xml", b"<feedback>" + b" " * 30_000_000)))
        at = octets.index(b"PK\x01\x02")
        octets[at + 24 : at + 28] = (10).to_bytes(4, "little")
        assert inside(bytes(octets)) == [limits.BOMB.name]

    def test_too_large(self) -> None:
        assert inside(b" " * (limits.MAX_COMPRESSED + 1)) == [limits.TOO_LARGE.name]

    @pytest.mark.parametrize("octets", [gzip.compress(REPORT)[:-20], b"\x1f\x8bnothing", b"PK\x03\x04" + b"\0" * 40])
    def test_damaged(self, octets: bytes) -> None:
        found = inside(octets)
        assert found == [limits.DAMAGED.name]


@examples(200)
@given(st.binary(max_size=400), st.sampled_from([bytes, gzip.compress, zlib.compress, mailed]))
def test_any_octets(octets: bytes, wrap: object) -> None:
    assert callable(wrap)
    assert inside(wrap(octets)) is not None


@given(st.data())
def test_changed_octets(data: st.DataObject) -> None:
    octets = bytearray(data.draw(st.sampled_from([gzip.compress(REPORT), zipped(("a", REPORT)), mailed(REPORT)])))
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    assert inside(bytes(octets)) is not None
