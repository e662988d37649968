"""What attachments are by their content: types, macros, PDFs; and that nothing they hold does harm."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import random
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from deliverability.core.facts.base import Reason, Unknown, records_of
from deliverability.core.mail.files import archives
from deliverability.core.mail.files.archives import open_archive
from deliverability.core.mail.files.documents import read_ole, read_ooxml, weigh
from deliverability.core.mail.files.listing import MAX_ENTRIES, TooManyEntriesError
from deliverability.core.mail.files.types import identify
from tests.corpus import corpus_root
from tests.files import (
    AES_7Z,
    attached,
    audit,
    drawing,
    header_7z,
    mail,
    office,
    ole,
    pdf_of,
    photograph,
    rar4,
    rar5,
    seven_zip,
    streams_7z,
    zip_of,
    zip_with_flags,
)
from tests.sampled import sampled

PROGRAM = b"MZ\x90\x00" + bytes(100)


def tar_of(*names: str) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    return written.getvalue()


class TestTrueType:
    @pytest.mark.parametrize(
        ("octets", "kind"),
        [
            (b"%PDF-1.7\n", "pdf"),
            (b"\r\n%PDF-1.7\n", "pdf"),
            (PROGRAM, "exe"),
            (drawing(10, 10), "png"),
            (zip_of({"a.txt": b"x"}), "zip"),
            (office("word/document.xml"), "docx"),
            (office("xl/workbook.xml"), "xlsx"),
            (office("ppt/presentation.xml"), "pptx"),
            (zip_of({"META-INF/MANIFEST.MF": b"", "A.class": b""}), "jar"),
            (ole({"WordDocument": b"x"}), "doc"),
            (ole({"__properties_version1.0": b"x"}), "msg"),
            (tar_of("a"), "tar"),
            (bytes(0x8001) + b"CD001", "iso"),
            (b"just text", None),
            (b"", None),
        ],
    )
    def test_by_content(self, octets: bytes, kind: str | None) -> None:
        assert identify(octets).kind == kind

    @pytest.mark.parametrize(
        ("octets", "name", "media_type", "mismatch"),
        [
            (b"%PDF-1.7\n", "offer.pdf", "application/pdf", False),
            (b"%PDF-1.7\n", "offer.pdf", "application/octet-stream", False),
            (PROGRAM, "offer.pdf", "application/pdf", True),
            (b"<html>", "offer.pdf", "application/pdf", True),
            (drawing(10, 10), "photo.jpg", "image/jpeg", True),
            (drawing(10, 10), "photo.png", "image/jpeg", True),
            (office("xl/workbook.xml"), "list.xlsx", "application/vnd.ms-excel", False),
            (office("xl/workbook.xml"), "list.zip", "application/zip", False),
            # Browsers on Windows declare comma-separated text as Excel.
            (b"a,b\r\n", "list.csv", "application/vnd.ms-excel", False),
            (zip_of({"a": b"x"}), "thing.kmz", "application/vnd.google-earth.kmz", False),
            (b"", "offer.pdf", "application/pdf", False),
            (b"text", "notes.txt", "text/plain", False),
        ],
    )
    async def test_against_name_and_declared_type(
        self, octets: bytes, name: str, media_type: str, mismatch: bool
    ) -> None:
        assert (await attached(octets, name, media_type))["type_mismatch"] is mismatch


class TestTypes:
    @pytest.mark.parametrize(
        ("octets", "name", "types"),
        [
            (b"x", "setup.EXE", ("exe",)),
            (PROGRAM, "letter.txt", ("txt", "exe")),
            (b"x", "letter.txt", ("txt",)),
            (zip_of({"doc/a.txt": b"", "doc/run.js": b""}), "a.zip", ("zip", "txt", "js")),
            (zip_of({"a.txt": b""}), "a.zip", ("zip", "txt")),
            # The names in an encrypted archive can be read all the same.
            (zip_with_flags("setup.exe", 0x1), "a.zip", ("zip", "exe")),
            (zip_of({"in.zip": zip_of({"in2.zip": zip_of({"x.scr": b""})})}), "a.zip", ("zip", "scr")),
            (seven_zip(header_7z("run.vbs", AES_7Z)), "a.7z", ("7z", "vbs")),
            (rar4("run.bat"), "a.rar", ("rar", "bat")),
            (rar5("run.bat"), "a.rar", ("rar", "bat")),
            (tar_of("bin/run.exe", "a"), "a.tar", ("tar", "exe")),
            (gzip.compress(tar_of("run.exe"), mtime=0), "a.tgz", ("tgz", "gzip", "exe")),
            (bz2.compress(tar_of("run.exe")), "a.tbz2", ("tbz2", "bzip2", "exe")),
            (lzma.compress(tar_of("run.exe")), "a.txz", ("txz", "xz", "exe")),
            (gzip.compress(b"x", mtime=0), "run.exe.gz", ("gz", "gzip", "exe")),
        ],
    )
    async def test_by_name_content_and_inside_archives(self, octets: bytes, name: str, types: tuple[str, ...]) -> None:
        assert (await attached(octets, name))["types"] == types

    async def test_deeper_archives_than_are_read_leave_it_unknown(self) -> None:
        octets = zip_of({"a.txt": b""})
        for level in range(archives.MAX_LEVELS + 1):
            octets = zip_of({f"{level}.zip": octets})
        *known, lost = (await attached(octets, "a.zip"))["types"]
        assert known[:1] == ["zip"]
        assert isinstance(lost, Unknown)
        assert lost.reason is Reason.LIMIT


class TestMacros:
    @pytest.mark.parametrize(
        ("octets", "name", "macros"),
        [
            (office("word/document.xml", macros=True), "a.docx", True),
            (office("word/document.xml"), "a.docx", False),
            (office("word/document.xml"), "a.docm", True),
            (ole({"WordDocument": b"x"}, ["Macros", "VBA"]), "a.doc", True),
            (ole({"Workbook": b"x"}, ["_VBA_PROJECT_CUR"]), "a.xls", True),
            (ole({"Workbook": b"x"}), "a.xls", False),
            (b"%PDF-1.7", "a.pdf", None),
        ],
    )
    async def test_by_content_or_ending(self, octets: bytes, name: str, macros: bool | None) -> None:
        assert (await attached(octets, name))["macros"] is macros


class TestPdf:
    def test_where_the_octets_are(self) -> None:
        image = b"/Type /XObject /Subtype /Image /Width 4000 /Height 5000 /BitsPerComponent 8 /Filter /DCTDecode"
        octets = pdf_of((image, b"x" * 9_000_000), (b"/Length1 5", b"f" * 5000), (b"", b"BT ET"))
        facts = weigh(octets)
        assert facts is not None
        assert (facts.images, facts.image_octets, facts.font_octets) == (1, 9_000_001, 5001)
        assert facts.image_octets + facts.font_octets + facts.other_octets == len(octets)
        # 1240 of 4000 pixels a line are left, at a quarter of an octet for each pixel.
        assert facts.saving_octets == pytest.approx(9_000_001 - 1240 * 1550 / 4, abs=1)

    @pytest.mark.parametrize("kind", [b"/Filter /CCITTFaxDecode", b"/ImageMask true", b"/Filter/JBIG2Decode"])
    def test_scanned_faxes_are_left_alone(self, kind: bytes) -> None:
        facts = weigh(pdf_of((b"/Subtype /Image /Width 4000 /Height 5000 " + kind, b"x" * 9_000_000)))
        assert facts is not None
        assert facts.saving_octets == 0

    async def test_fact(self) -> None:
        pdfs = (await audit(mail(("a.pdf", "application/octet-stream", pdf_of((b"", b"x")))))).value("message.pdfs")
        assert [item["filename"] for item in records_of(pdfs)] == ["a.pdf"]


async def test_the_size_of_a_message_is_the_sum_of_its_parts() -> None:
    facts = await audit(mail(("inline:a", "image/png", drawing(50, 50)), ("b.bin", "application/zip", b"x" * 999)))
    plain, html, inline, files = (
        facts.value(f"message.{name}_octets") for name in ("plain", "html", "inline", "attachment")
    )
    assert (plain, html) == (0, 0)
    assert isinstance(inline, int)
    assert files == inline + 999 // 57 * 78 + 999 % 57 // 3 * 4


PACKERS = (gzip.compress, bz2.compress, lzma.compress, lambda octets: zip_of({"a.zip": octets}))


class TestHostile:
    def test_a_hundred_thousand_entries(self) -> None:
        entry = zip_with_flags("x", 0)[36:-22]
        with pytest.raises(TooManyEntriesError):
            open_archive(b"PK\x03\x04" + entry * 100_000)
        with pytest.raises(TooManyEntriesError):
            open_archive(tar_of("a")[:512] * (MAX_ENTRIES + 1))

    @pytest.mark.long
    async def test_too_many_entries_are_unknown_not_none(self) -> None:
        record = await attached(zip_of({f"{number}": b"" for number in range(MAX_ENTRIES + 1)}), "a.zip")
        assert all(isinstance(record[name], Unknown) for name in ("encrypted", "archive_members"))
        assert isinstance(record["types"][-1], Unknown)

    @pytest.mark.long
    @pytest.mark.parametrize(
        "pack", sampled([gzip.compress, bz2.compress, lzma.compress, lambda x: zip_of({"a.zip": x})], 4)
    )
    def test_bombs_are_not_inflated_beyond_the_limit(self, pack: object) -> None:
        bomb = pack(b"PK\x03\x04" + bytes(200_000_000))  # type: ignore[operator]
        tracemalloc.start()
        try:
            found = open_archive(bomb, "a.gz")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert found is not None
        assert peak < 3 * archives.MAX_NESTED_OCTETS

    @pytest.mark.long
    def test_many_nested_bombs_share_one_budget(self, monkeypatch: pytest.MonkeyPatch) -> None:
        inner = gzip.compress(bytes(10_000_000))
        read: list[int] = []
        original = archives._inflated

        def counted(octets: bytes, limit: int) -> tuple[bytes | None, bool]:
            content, whole = original(octets, limit)
            read.append(len(content or b""))
            return content, whole

        monkeypatch.setattr(archives, "_inflated", counted)
        found = open_archive(zip_of({f"{number}.gz": inner for number in range(50)}))
        assert found is not None
        assert not found.complete
        assert sum(read) <= archives.MAX_UNPACKED_OCTETS

    def test_an_archive_that_holds_itself_by_offsets_ends(self) -> None:
        octets = bytearray(zip_with_flags("a.zip", 0))
        octets[18:22] = octets[22:26] = len(octets).to_bytes(4, "little")
        open_archive(bytes(octets))

    def test_compound_files_with_looping_chains(self) -> None:
        octets = bytearray(ole({"WordDocument": b"x", "Workbook": b"y"}))
        for place in range(0, len(octets) - 4, 64):
            looped = octets.copy()
            looped[place : place + 4] = (1).to_bytes(4, "little")
            read_ole(bytes(looped))

    def test_pdfs_that_never_end(self) -> None:
        for unit in (
            b"stream\n",
            b"stream\nendstream",
            b"1 0 obj<<",
            b"trailer<<",
            b"/Encrypt 1 0 R ",
            b"/XRef /Encrypt<<",
        ):
            weigh(b"%PDF-1.7\n" + unit * (2_000_000 // len(unit)))

    @pytest.mark.parametrize(
        "octets",
        [
            zip_of({"a.txt": b"hello", "b.zip": zip_of({"c": b"d"})}),
            zip_with_flags("a", 0x1, 99, b"\x01\x99\x07\x00\x02\x00AE\x03\x00\x00"),
            seven_zip(header_7z("a.txt", AES_7Z)),
            seven_zip(b"\x17" + streams_7z(AES_7Z)),
            rar4("a.txt"),
            rar5("a.txt", encrypted=True),
            ole({"Workbook": b"x"}),
            office("word/document.xml"),
            pdf_of((b"/Subtype/Image/Width 9/Height 9", b"x"), trailer=b"/Encrypt 5 0 R"),
            gzip.compress(tar_of("a"), mtime=0),
            tar_of("a", "b"),
        ],
        ids=lambda octets: octets[:4].hex(),
    )
    def test_truncated_and_garbled_files_raise_nothing(self, octets: bytes) -> None:
        chance = random.Random(7)
        for round_ in range(400):
            broken = bytearray(octets[: chance.randrange(len(octets) + 1)] if round_ % 2 else octets)
            for _ in range(chance.randrange(6)):
                if broken:
                    broken[chance.randrange(len(broken))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
            with contextlib.suppress(TooManyEntriesError):
                open_archive(bytes(broken), "a.gz")
            identify(bytes(broken))
            read_ooxml(bytes(broken))
            weigh(bytes(broken))

    async def test_a_message_full_of_photos_and_archives(self) -> None:
        photo = photograph(200, 150)
        raw = mail(
            *[(f"{number}.png", "image/png", photo) for number in range(20)], ("a.zip", "application/zip", zip_of({}))
        )
        facts = await audit(raw)
        assert len(facts.value("message.images")) == 20  # type: ignore[arg-type]


_ROOT = corpus_root()
_FILES = (
    [
        path
        for folder in ("mails", "bounces", "archives")
        for path in sorted((_ROOT / folder).rglob("*"))
        if path.is_file()
    ]
    if _ROOT
    else []
)


def _octets(path: Path) -> bytes:
    return path.read_bytes()


@pytest.mark.parametrize("path", sampled(_FILES, 8), ids=lambda path: path.name)
async def test_every_file_of_the_corpus_is_audited_and_stated(path: Path) -> None:
    octets = _octets(path)
    facts = await audit(mail((path.name, "application/octet-stream", octets)) if "archives" in path.parts else octets)
    for fact in facts:
        assert not isinstance(fact.value, Unknown), fact.path
        json.dumps(fact.value, ensure_ascii=False, default=str).encode("utf-8")
