"""Encryption of attachments is told for every format, from the headers alone."""

from __future__ import annotations

import pytest

from deliverability.core.mail.files.archives import open_archive
from deliverability.core.mail.files.documents import is_encrypted, read_ole
from deliverability.core.mail.files.listing import read_7z, read_rar
from tests.corpus import corpus, corpus_root
from tests.files import (
    AES_7Z,
    COPY_7Z,
    attached,
    header_7z,
    office,
    ole,
    pdf_of,
    rar4,
    rar5,
    seven_zip,
    streams_7z,
    zip_of,
    zip_with_flags,
)

_ROOT = corpus_root()
_ARCHIVES = sorted(path.name for path in (_ROOT / "archives" / "libzip").iterdir()) if _ROOT else []
# Of the corpus, those whose files are all locked; in the others that are named so the first entry is plain.
_ALL_LOCKED = {"encrypt-1234.zip"}


def _expected(name: str) -> tuple[str, str | None]:
    """What the name of an archive of the corpus says about it."""
    if not name.startswith("encrypt") or name == "encrypt-none.zip":
        return "none", None
    return ("all" if name in _ALL_LOCKED else "some"), ("zip-aes" if "aes" in name else "zip-pkware")


@pytest.mark.parametrize("name", _ARCHIVES)
async def test_the_archives_of_the_corpus_are_what_their_names_say(name: str) -> None:
    octets = corpus("archives", "libzip", name).read_bytes()
    record = await attached(octets, name, "application/zip")
    assert (record["encrypted"], record["encryption_kind"]) == _expected(name)
    assert record["container"] == "archive"
    assert record["type_mismatch"] is False


class TestZip:
    @pytest.mark.parametrize(
        ("flags", "method", "extra", "kind"),
        [
            (0x0, 0, b"", None),
            (0x1, 0, b"", "zip-pkware"),
            (0x1, 99, b"\x01\x99\x07\x00\x02\x00AE\x03\x00\x00", "zip-aes"),
            # The AES field without the encryption bit is a leftover, not encryption.
            (0x0, 0, b"\x01\x99\x07\x00\x02\x00AE\x03\x00\x00", None),
            (0x41, 0, b"", "zip-strong"),
            (0x2041, 0, b"", "zip-strong"),
        ],
    )
    async def test_each_cipher(self, flags: int, method: int, extra: bytes, kind: str | None) -> None:
        record = await attached(zip_with_flags("a.txt", flags, method, extra), "a.zip")
        assert (record["encrypted"], record["encryption_kind"]) == ("all" if kind else "none", kind)
        assert record["archive_members"] == ("a.txt",)

    def test_an_archive_cut_off_before_its_directory_is_read_by_its_local_headers(self) -> None:
        found = open_archive(zip_with_flags("a.txt", 0x1)[:40])
        assert found is not None
        assert (found.encrypted, found.members, found.complete) == ("all", ("a.txt",), False)

    def test_folders_do_not_count(self) -> None:
        archive = zip_of({"folder/": b"", "folder/a.txt": b"x"})
        assert open_archive(archive).encrypted == "none"  # type: ignore[union-attr]


class TestSevenZip:
    def test_plain(self) -> None:
        found = read_7z(seven_zip(header_7z("a.txt", COPY_7Z)))
        assert found is not None
        assert [(each.name, each.encryption) for each in found.entries] == [("a.txt", None)]

    def test_encrypted_content_with_readable_names(self) -> None:
        found = read_7z(seven_zip(header_7z("秘密.txt", AES_7Z)))
        assert found is not None
        assert [(each.name, each.encryption) for each in found.entries] == [("秘密.txt", "7z-aes")]

    async def test_encrypted_header_hides_the_names(self) -> None:
        record = await attached(seven_zip(b"\x17" + streams_7z(AES_7Z)), "a.7z")
        assert (record["encrypted"], record["encryption_kind"], record["archive_members"]) == ("all", "7z-aes", ())

    def test_header_packed_with_a_copied_stream(self) -> None:
        inner = header_7z("a.txt", AES_7Z)
        found = read_7z(seven_zip(b"\x17" + streams_7z(COPY_7Z, len(inner)), packed=inner))
        assert found is not None
        assert [each.encryption for each in found.entries] == ["7z-aes"]


class TestRar:
    @pytest.mark.parametrize("build", [rar4, rar5])
    def test_plain_encrypted_and_hidden(self, build: type[bytes]) -> None:
        plain, locked, hidden = (
            read_rar(build("a.txt", **options))  # type: ignore[arg-type]
            for options in ({}, {"encrypted": True}, {"hidden": True})
        )
        assert plain
        assert locked
        assert hidden
        assert [(each.name, each.encryption) for each in plain.entries] == [("a.txt", None)]
        assert [(each.name, each.encryption) for each in locked.entries] == [("a.txt", "rar")]
        assert plain.complete
        assert locked.complete
        assert hidden.hidden == "rar"


class TestPdf:
    def test_encryption_dictionary_in_the_trailer(self) -> None:
        assert is_encrypted(pdf_of(trailer=b"/Encrypt 5 0 R"))
        assert is_encrypted(pdf_of(trailer=b"/Encrypt <</Filter/Standard>>"))

    def test_encryption_dictionary_in_a_cross_reference_stream(self) -> None:
        assert is_encrypted(
            b"%PDF-1.7\n9 0 obj\n<</Type/XRef/W[1 2 1]/Encrypt 5 0 R/Length 3>>\nstream\nabc\nendstream"
        )
        assert is_encrypted(b"%PDF-1.7\n9 0 obj\n<</Encrypt 5 0 R/W[1 2 1]/Type /XRef>>\nstream\nabc\nendstream")

    def test_the_word_in_a_text_is_no_encryption(self) -> None:
        assert not is_encrypted(pdf_of((b"", b"A PDF trailer may hold /Encrypt 5 0 R and more.")))
        assert not is_encrypted(pdf_of((b"", b"/Encrypt 5 0 R /Type /XRef")))

    async def test_fact(self) -> None:
        record = await attached(pdf_of(trailer=b"/Encrypt 5 0 R"), "a.pdf", "application/pdf")
        assert (record["container"], record["encrypted"], record["encryption_kind"]) == ("pdf", "all", "pdf")


class TestOffice:
    async def test_encrypted_package(self) -> None:
        record = await attached(ole({"EncryptionInfo": b"x", "EncryptedPackage": b"x"}), "a.xlsx")
        assert (record["container"], record["encrypted"], record["encryption_kind"]) == ("office", "all", "office")
        assert record["macros"] is None
        assert record["type_mismatch"] is False

    @pytest.mark.parametrize(
        ("streams", "kind", "encrypted"),
        [
            ({"WordDocument": bytes(10) + b"\x00\x00"}, "doc", False),
            ({"WordDocument": bytes(10) + b"\x00\x01"}, "doc", True),
            ({"Workbook": b"\x09\x08\x04\x00abcd\x2f\x00\x02\x00ab"}, "xls", True),
            ({"Workbook": b"\x09\x08\x04\x00abcd\x0a\x00\x00\x00"}, "xls", False),
            # A record with the number as data is none.
            ({"Workbook": b"\x09\x08\x04\x00\x2f\x00\x02\x00\x0a\x00\x00\x00"}, "xls", False),
            ({"PowerPoint Document": b"x", "Current User": bytes(12) + b"\xdf\xc4\xd1\xf3"}, "ppt", True),
            ({"PowerPoint Document": b"x", "Current User": bytes(12) + b"\x5f\xc0\x91\xe3"}, "ppt", False),
        ],
    )
    def test_formats_before_2007(self, streams: dict[str, bytes], kind: str, encrypted: bool) -> None:
        found = read_ole(ole(streams))
        assert found is not None
        assert found.office is not None
        assert (found.kind, found.office.encrypted) == (kind, encrypted)

    async def test_packages_of_today_without_a_password(self) -> None:
        record = await attached(office("word/document.xml"), "a.docx")
        assert (record["container"], record["encrypted"], record["archive_members"]) == ("office", "none", None)


class TestNested:
    async def test_encryption_inside_a_plain_archive(self) -> None:
        inner = zip_with_flags("secret.txt", 0x1)
        record = await attached(zip_of({"inner.zip": inner}), "outer.zip")
        assert (record["encrypted"], record["nested_archive"]) == ("all", True)
        assert record["archive_members"] == ("inner.zip", "inner.zip/secret.txt")

    async def test_part_of_the_files(self) -> None:
        record = await attached(zip_of({"readme.txt": b"x", "inner.7z": seven_zip(header_7z("a", AES_7Z))}), "o.zip")
        assert (record["encrypted"], record["encryption_kind"]) == ("some", "7z-aes")

    async def test_an_archive_named_in_an_encrypted_one(self) -> None:
        record = await attached(zip_with_flags("inner.zip", 0x1), "outer.zip")
        assert (record["encrypted"], record["nested_archive"]) == ("all", True)
