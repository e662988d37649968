"""Images are measured by re-encoding them, within limits, whatever they claim to be."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping

import pytest

from deliverability.core.facts.base import Reason, Unknown, Value, records_of
from deliverability.core.mail.files import images
from deliverability.core.mail.files.images import measure, recompress, sniff
from tests.files import audit, drawing, encoded_image, mail, photograph


def _png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG whose header claims that many pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


async def _records(raw: bytes) -> list[Mapping[str, Value]]:
    value = (await audit(raw)).value("message.images")
    assert isinstance(value, tuple)
    return list(records_of(value))


class TestMeasure:
    def test_a_photograph_saved_as_png(self) -> None:
        facts = measure(photograph(400, 300))
        assert facts is not None
        assert (facts.format, facts.width, facts.height, facts.frames, facts.photo) == ("png", 400, 300, 1, True)
        assert {way.format for way in facts.savings} == {"jpeg", "webp"}
        assert facts.savings[0].octets < facts.octets / 4

    def test_a_drawing_stays_lossless(self) -> None:
        facts = measure(drawing(400, 300))
        assert facts is not None
        assert not facts.photo
        assert {way.format for way in facts.savings} == {"png", "webp"}

    def test_transparency_is_kept(self) -> None:
        facts = measure(drawing(400, 300, transparent=True))
        assert facts is not None
        assert "jpeg" not in {way.format for way in facts.savings}

    def test_wider_than_twice_the_shown_width_is_scaled_down(self) -> None:
        facts = measure(photograph(400, 300), display_width=100)
        assert facts is not None
        assert {(way.width, way.height) for way in facts.savings} == {(200, 150)}

    def test_what_is_stated_is_what_recompressing_gives(self) -> None:
        octets = photograph(400, 300)
        facts = measure(octets, 100)
        assert facts is not None
        best = next(way for way in facts.savings if way.format == "jpeg")
        smaller, kind = recompress(octets, 100)
        assert (kind, len(smaller)) == ("jpeg", best.octets)
        again = measure(smaller)
        assert again is not None
        assert (again.format, again.width, again.height) == ("jpeg", 200, 150)

    def test_what_cannot_be_made_smaller_is_given_back(self) -> None:
        smaller, kind = recompress(photograph(400, 300))
        assert recompress(smaller) == (smaller, kind)
        assert recompress(b"no image") == (b"no image", "")

    def test_a_lower_quality_is_lighter(self) -> None:
        octets = photograph(400, 300)
        coarse, usual, fine = (recompress(octets, quality=quality)[0] for quality in (20, 82, 95))
        assert len(coarse) < len(usual)
        assert usual == recompress(octets)[0]
        assert len(usual) < len(fine)

    def test_colour_profile_and_orientation_survive(self) -> None:
        from PIL import Image

        exif = Image.Exif()
        exif[0x0112] = 6  # turned by 90 degrees
        source = Image.open(io.BytesIO(photograph(400, 300)))
        octets = encoded_image(source, "JPEG", quality=97, exif=exif, icc_profile=b"profile" * 20)
        facts = measure(octets)
        assert facts is not None
        assert facts.metadata_octets > 0
        smaller, _ = recompress(octets)
        result = Image.open(io.BytesIO(smaller))
        assert result.size == (300, 400)
        assert result.info["icc_profile"] == b"profile" * 20
        assert not result.getexif()

    def test_frames_of_an_animation_are_counted_and_it_is_left_alone(self) -> None:
        from PIL import Image

        frames = [Image.new("RGB", (60, 40), colour) for colour in ("red", "blue", "white", "black", "green")]
        octets = encoded_image(frames[0], "GIF", save_all=True, append_images=frames[1:], comment=b"made by hand")
        facts = measure(octets)
        assert facts is not None
        assert (facts.frames, facts.savings) == (5, ())
        assert facts.metadata_octets > len(b"made by hand")
        assert recompress(octets) == (octets, "gif")


class TestHostileImages:
    @pytest.mark.parametrize("side", [20_000, 100_000, 2**31 - 1])
    def test_giant_dimensions_are_refused_before_decoding(self, side: int) -> None:
        facts = measure(_png(side, side))
        assert facts is None or (facts.refused, facts.savings) == ("pixels", ())
        octets = _png(side, side)
        assert recompress(octets) == (octets, "png")

    def test_files_above_the_limit_are_not_opened(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(images, "MAX_OCTETS", 1000)
        facts = measure(photograph(100, 100))
        assert facts is not None
        assert (facts.refused, facts.width) == ("octets", None)

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
    def test_truncated_at_every_place(self, kind: str) -> None:
        from PIL import Image

        whole = encoded_image(Image.new("RGB", (64, 64), "red"), kind)
        assert sniff(whole) == kind.lower()
        for size in range(0, len(whole), max(1, len(whole) // 60)):
            measure(whole[:size])
            assert recompress(whole[:size])[0] == whole[:size] or size

    @pytest.mark.long
    def test_runs_of_blocks_end(self) -> None:
        gif = b"GIF89a\x01\x00\x01\x00\x00\x00\x00"
        for tail in (b",", b"!\xfe", b"!\xff\x01a" * 9999, b"," + bytes(9) + b"\x01" + b"\x01a" * 99_999):
            measure(gif + tail)
        measure(b"\xff\xd8\xff" + b"\xff\xe1\x00\x00" * 99_999)
        measure(b"\x89PNG\r\n\x1a\n" + bytes(4) + b"tEXt" + b"\xff" * 99_999)
        measure(b"RIFF\0\0\0\0WEBP" + b"EXIF\0\0\0\0" * 99_999)


class TestFacts:
    async def test_shown_width_comes_from_the_html(self) -> None:
        octets = photograph(400, 300)
        for html, width in (
            ('<img src="cid:a" width="120">', 120),
            ("<IMG style='width: 90px' src='cid:a'>", 90),
            ('<img src="cid:a" width="100%">', 640),
            ("<p>no image</p>", 640),
        ):
            (record,) = await _records(mail(("inline:a", "image/png", octets), html=html))
            assert record["display_width"] == width, html

    async def test_savings_add_up(self) -> None:
        raw = mail(("inline:a", "image/png", photograph(400, 300)), ("b.png", "image/png", drawing(300, 300)))
        shown, attached = await _records(raw)
        assert (shown["best_format"], attached["best_format"]) == ("jpeg", "png")
        assert attached["display_width"] is None
        saving = (await audit(raw)).value("message.image_saving_octets")
        assert saving == shown["saving_octets"] + attached["saving_octets"]  # type: ignore[operator]

    async def test_an_image_is_known_by_its_content(self) -> None:
        (record,) = await _records(mail(("scan.bin", "application/octet-stream", drawing(100, 100))))
        assert record["format"] == "png"

    async def test_what_was_not_decoded_is_unknown_not_nothing(self) -> None:
        (record,) = await _records(mail(("a.png", "image/png", _png(9000, 9000))))
        assert (record["width"], record["height"]) == (9000, 9000)
        lost = record["saving_octets"]
        assert isinstance(lost, Unknown)
        assert lost.reason is Reason.LIMIT

    async def test_work_for_one_message_is_bounded(self) -> None:
        from deliverability.engine.auditors import attachments as auditor

        files = [(f"{number}.png", "image/png", drawing(20, 20)) for number in range(auditor._MAX_IMAGES + 5)]
        records = await _records(mail(*files))
        assert [isinstance(record["saving_octets"], Unknown) for record in records[-6:]] == [False] + [True] * 5

    async def test_tags_without_end_are_read_once(self) -> None:
        await audit(mail(("inline:a", "image/png", drawing(20, 20)), html="<img " * 200_000))
