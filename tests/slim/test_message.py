"""A slimmed copy is lighter and otherwise the same message."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms
from selectolax.lexbor import LexborHTMLParser

from deliverability.core.mail.reader import Message, Part, read
from deliverability.core.mail.transfer import Body
from deliverability.slim.message import PartChange, References, Slimmed, Unchanged, Wish, base64_body, slim, text_body
from tests.corpus import corpus_root
from tests.sampled import examples, sampled
from tests.slim_mails import HTML, TOP, image_part, multipart, newsletter, photo, photo_jpeg, saved, text_part


def part_of(raw: bytes, media_type: str) -> Part:
    return next(part for part in read(raw).parts() if part.media_type == media_type)


def picture(raw: bytes, media_type: str = "image/jpeg") -> Image.Image:
    image = Image.open(io.BytesIO(part_of(raw, media_type).decode()))
    image.load()
    return image


def visible(html: str) -> str:
    """The text of a page as a reader sees it, white space aside."""
    tree = LexborHTMLParser(html)
    for node in tree.css("style, script, title, head"):
        node.decompose()
    return " ".join((tree.root.text(separator=" ") if tree.root else "").split())


def kept(slimmed: Slimmed) -> list[tuple[str, Unchanged]]:
    return [(part.path, part.unchanged) for part in slimmed.parts if part.unchanged]


def assert_same_message(before: Message, after: Message, slimmed: Slimmed) -> None:
    """The same parts in the same places; only what was said to change has changed."""
    assert after.size_octets <= before.size_octets
    changed = {part.path: part for part in slimmed.parts if part.change}
    old, new = list(before.parts()), list(after.parts())
    assert [part.path for part in old] == [part.path for part in new]
    for one, other in zip(old, new, strict=True):
        saving = changed.get(one.path)
        assert one.content_id == other.content_id
        assert one.disposition == other.disposition
        if saving is None or saving.change is not PartChange.IMAGE_CONVERTED:
            assert (one.media_type, one.filename) == (other.media_type, other.filename)
        if saving is None and not one.children:
            assert one.raw_body == other.raw_body
            assert one.decode() == other.decode()
        if saving is not None and one.media_type == "text/html":
            assert one.charset == other.charset
            assert visible(one.text()) == visible(other.text())
    gone = {name.lower() for name, _ in slimmed.dropped}
    assert [each.raw for each in before.headers if each.lower not in gone and each.lower[:8] != "content-"] == [
        each.raw for each in after.headers if each.lower[:8] != "content-"
    ]


class TestNewsletter:
    def test_images_and_html_weigh_less_and_all_else_stays(self) -> None:
        raw = newsletter()
        slimmed = slim(raw)
        assert slimmed.before == len(raw)
        assert slimmed.after == len(slimmed.data) < len(raw) / 4
        assert [(part.path, part.change) for part in slimmed.changes] == [
            ("1.2", PartChange.IMAGE),
            ("1.1.2", PartChange.HTML),
        ]
        assert_same_message(read(raw), read(slimmed.data), slimmed)
        assert part_of(slimmed.data, "text/plain").raw_body == part_of(raw, "text/plain").raw_body
        assert slimmed.before - slimmed.after >= sum(part.saved for part in slimmed.changes)

    def test_twice_is_the_same_as_once(self) -> None:
        once = slim(newsletter())
        twice = slim(once.data)
        assert twice.changes == ()
        assert twice.data == once.data

    def test_signatures_that_no_longer_hold_are_left_out_and_named(self) -> None:
        slimmed = slim(newsletter())
        assert slimmed.dropped == (("DKIM-Signature", 1), ("ARC-Seal", 1))
        assert b"DKIM-Signature" not in slimmed.data
        start = slimmed.data.index(b"Content-Type: multipart")
        assert slimmed.data[:start] == b"".join(
            field.raw for field in read(TOP).headers if field.lower not in ("dkim-signature", "arc-seal")
        )

    def test_a_message_with_nothing_to_save_comes_back_octet_for_octet_signatures_included(self) -> None:
        raw = TOP + text_part("Hello\n", "plain")
        assert slim(raw).data == raw
        assert slim(raw).dropped == ()

    def test_lf_files_stay_lf_files(self) -> None:
        raw = newsletter().replace(b"\r\n", b"\n")
        slimmed = slim(raw)
        assert slimmed.changes
        assert b"\r" not in slimmed.data
        assert slimmed.after == slim(newsletter()).after
        assert_same_message(read(raw), read(slimmed.data), slimmed)

    def test_lines_of_base64_have_at_most_76_columns(self) -> None:
        body = part_of(slim(newsletter()).data, "image/jpeg").raw_body
        assert max(map(len, body.split(b"\r\n"))) == 76

    def test_parts_of_the_work_can_be_wished(self) -> None:
        raw = newsletter()
        assert [part.change for part in slim(raw, Wish(html=False)).changes] == [PartChange.IMAGE]
        assert [part.change for part in slim(raw, Wish(images=False)).changes] == [PartChange.HTML]


class TestImages:
    def test_an_image_is_scaled_to_twice_the_width_at_which_the_page_shows_it(self) -> None:
        slimmed = slim(newsletter())
        assert slimmed.changes[0].pixels_before == (1280, 960)
        assert slimmed.changes[0].pixels_after == (640, 480)
        assert picture(slimmed.data).size == (640, 480)

    def test_without_a_certain_width_the_pixels_stay(self) -> None:
        page = text_part(HTML.replace('width="320"', 'width="320" style="width:100%"'), "html")
        assert picture(slim(newsletter(html=page)).data).size == (1280, 960)

    def test_a_gain_below_a_tenth_changes_nothing(self) -> None:
        lean = saved(photo(640, 480), "JPEG", quality=82, optimize=True, progressive=True)
        slimmed = slim(newsletter([image_part(lean, "photo.jpg", "jpeg", cid="photo@example.com")]))
        assert ("1.2", Unchanged.SMALL_GAIN) in kept(slimmed)

    @pytest.mark.long
    def test_a_photograph_saved_as_png_becomes_jpeg_with_a_fitting_name(self) -> None:
        part = image_part(saved(photo(), "PNG"), "photo.png", "png", cid="photo@example.com")
        slimmed = slim(newsletter([part]))
        copy = part_of(slimmed.data, "image/jpeg")
        assert slimmed.changes[0].change is PartChange.IMAGE_CONVERTED
        assert (copy.filename, copy.content_id, copy.parameters["name"]) == (
            "photo.jpg",
            "photo@example.com",
            "photo.jpg",
        )
        assert Image.open(io.BytesIO(copy.decode())).format == "JPEG"

    @pytest.mark.long
    def test_a_png_with_transparency_stays_png(self) -> None:
        part = image_part(saved(photo(mode="RGBA"), "PNG", compress_level=0), "p.png", "png", cid="photo@example.com")
        slimmed = slim(newsletter([part]))
        assert slimmed.changes[0].change is PartChange.IMAGE
        assert picture(slimmed.data, "image/png").mode == "RGBA"

    @pytest.mark.long
    def test_a_png_that_a_page_names_by_its_file_name_stays_png(self) -> None:
        part = image_part(saved(photo(), "PNG"), "photo.png", "png", cid="photo@example.com")
        page = text_part(HTML.replace("</body>", '<img src="photo.png"></body>'), "html")
        assert part_of(slim(newsletter([part], page)).data, "image/png").filename == "photo.png"

    def test_animations_are_left_alone(self) -> None:
        frames = [photo(300, 200).rotate(turn) for turn in (0, 30, 60)]
        moving = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
        slimmed = slim(newsletter([image_part(moving, "a.gif", "gif", cid="photo@example.com")]))
        assert ("1.2", Unchanged.ANIMATED) in kept(slimmed)
        assert part_of(slimmed.data, "image/gif").decode() == moving

    def test_orientation_is_applied(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6  # turned by a quarter
        turned = saved(photo(), "JPEG", quality=97, exif=exif)
        slimmed = slim(newsletter([image_part(turned, "photo.jpg", "jpeg", cid="photo@example.com")]))
        copy = picture(slimmed.data)
        assert copy.size == (640, 853)
        assert 0x0112 not in copy.getexif()

    def test_the_colour_profile_is_kept(self) -> None:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        coloured = saved(photo(), "JPEG", quality=97, icc_profile=profile)
        slimmed = slim(newsletter([image_part(coloured, "photo.jpg", "jpeg", cid="photo@example.com")]))
        assert picture(slimmed.data).info["icc_profile"] == profile

    def test_attached_images_are_originals_unless_one_says_otherwise(self) -> None:
        attached = image_part(photo_jpeg(), "original.jpg", "jpeg", disposition="attachment")
        raw = newsletter(attachments=[attached])
        slimmed = slim(raw)
        assert ("1.2", Unchanged.ATTACHED) in kept(slimmed)
        assert slim(raw, Wish(attached_images=True)).after < slimmed.after - 100_000

    @pytest.mark.parametrize("octets", [b"", b"\xff\xd8\xff", b"GIF89a", photo_jpeg()[:5000], b"<svg/>"])
    def test_what_is_no_image_is_left_alone(self, octets: bytes) -> None:
        part = image_part(octets, "photo.jpg", "jpeg", cid="photo@example.com")
        raw = newsletter([part])
        assert part_of(slim(raw).data, "image/jpeg").raw_body == part_of(raw, "image/jpeg").raw_body


class TestHtml:
    @pytest.mark.parametrize(
        ("charset", "encoding"),
        [("utf-8", "8bit"), ("utf-8", "base64"), ("iso-2022-jp", "7bit"), ("shift_jis", "base64"), ("euc-jp", "8bit")],
    )
    def test_it_is_minified_in_its_own_charset(self, charset: str, encoding: str) -> None:
        page = text_part(HTML.replace("utf-8", charset), "html", charset, encoding)
        raw = newsletter([], page)
        slimmed = slim(raw)
        assert [part.change for part in slimmed.changes] == [PartChange.HTML]
        assert_same_message(read(raw), read(slimmed.data), slimmed)
        text = part_of(slimmed.data, "text/html").text()
        assert "春のお知らせ" in text
        assert "made with" not in text
        assert "<!--[if mso]>" in text

    def test_octets_that_mean_nothing_in_the_charset_leave_it_alone(self) -> None:
        page = text_part(HTML, "html").replace("春".encode(), b"\xff\xfe")
        slimmed = slim(newsletter([], page))
        assert ("1.1.2", Unchanged.CHARSET) in kept(slimmed)
        assert slimmed.changes == ()

    def test_base64_where_it_is_not_needed_gives_way(self) -> None:
        page = text_part(f"<p>{'word ' * 500}</p>", "html", "us-ascii", "base64")
        slimmed = slim(newsletter([], page))
        assert [part.change for part in slimmed.changes] == [PartChange.ENCODING]
        copy = part_of(slimmed.data, "text/html")
        assert copy.transfer_encoding == "quoted-printable"
        assert copy.decode() == part_of(newsletter([], page), "text/html").decode()

    def test_a_message_that_is_nothing_but_html(self) -> None:
        raw = TOP + text_part(HTML, "html")
        slimmed = slim(raw)
        assert slimmed.after < slimmed.before
        assert_same_message(read(raw), read(slimmed.data), slimmed)

    def test_a_field_for_the_transfer_encoding_is_added_where_there_was_none(self) -> None:
        page = b"Content-Type: text/html; charset=us-ascii\r\n\r\n<p>\r\n" + b"<!-- x -->  <b>word</b> \r\n" * 200
        raw = TOP + page
        slimmed = slim(raw)
        assert_same_message(read(raw), read(slimmed.data), slimmed)
        assert max(map(len, slimmed.data.split(b"\r\n"))) <= 998


class TestLeftAlone:
    @pytest.mark.parametrize(
        ("head", "why"),
        [
            (b"Content-Type: multipart/signed; boundary=b; micalg=sha-256\r\n", Unchanged.SIGNED),
            (b"Content-Type: multipart/encrypted; boundary=b\r\n", Unchanged.ENCRYPTED),
            (b"Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n", Unchanged.SIGNED),
            (b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n", Unchanged.ENCRYPTED),
        ],
    )
    def test_signed_and_encrypted_messages(self, head: bytes, why: Unchanged) -> None:
        raw = TOP + head + b"\r\n--b\r\n" + text_part(HTML, "html") + b"\r\n--b--\r\n"
        slimmed = slim(raw)
        assert slimmed.refused is why
        assert slimmed.data == raw

    def test_a_signed_part_stays_while_what_is_beside_it_is_slimmed(self) -> None:
        signed = multipart(
            "signed", "sig", [text_part(HTML, "html"), b"Content-Type: application/pgp-signature\r\n\r\nx"]
        )
        raw = newsletter(attachments=[signed])
        slimmed = slim(raw)
        assert signed in slimmed.data
        assert ("1.2", Unchanged.SIGNED) in kept(slimmed)
        assert len(slimmed.changes) == 2

    def test_attached_messages_stay(self) -> None:
        attached = b"Content-Type: message/rfc822\r\n\r\n" + newsletter()
        slimmed = slim(newsletter(attachments=[attached]))
        assert attached in slimmed.data
        assert len(slimmed.changes) == 2

    @pytest.mark.parametrize("raw", [b"", b"\n", b"no header at all", b"\0" * 100, b"\xff\xfe" * 50])
    def test_what_is_no_message(self, raw: bytes) -> None:
        assert slim(raw).data == raw

    @given(st.data())
    @examples(150)
    def test_however_a_message_is_damaged_it_comes_back_whole(self, data: st.DataObject) -> None:
        raw = bytearray(newsletter([image_part(b"GIF89a", "a.gif", "gif", cid="photo@example.com")]))
        for _ in range(data.draw(st.integers(1, 6))):
            place = data.draw(st.integers(0, len(raw) - 1))
            new = data.draw(st.sampled_from([b"", b"\r\n", b"\n", b"--alt\r\n", b'"', b"\0", b"=", b"<!--", b">"]))
            raw[place : place + data.draw(st.integers(0, 3))] = new
        slimmed = slim(bytes(raw))
        assert_same_message(read(bytes(raw)), read(slimmed.data), slimmed)


class TestEncoding:
    @given(st.binary(max_size=500), st.sampled_from(["7bit", "8bit", "base64", "quoted-printable"]))
    def test_a_text_body_decodes_to_the_very_octets(self, octets: bytes, encoding: str) -> None:
        body, chosen = text_body(octets, encoding, b"\r\n")
        assert Body(body, 0, len(body), chosen).decode() == octets
        if chosen != encoding:
            assert max(map(len, body.split(b"\r\n"))) <= 76

    @given(st.binary(max_size=500))
    def test_base64_is_that_of_the_standard_library(self, octets: bytes) -> None:
        assert base64_body(octets, b"\n") == base64.encodebytes(octets).removesuffix(b"\n")


@pytest.mark.parametrize(
    ("attributes", "width"),
    [
        ('width="300"', 300),
        ('width="300px"', 300),
        ('style="width: 240px"', 240),
        ('width="600" style="width:100%; max-width:600px"', 600),
        ('width="600" style="max-width:100%"', 600),
        ('width="600" style="width:100%"', None),
        ('width="50%"', None),
        ('height="50"', None),
        ("", None),
    ],
)
def test_the_width_of_an_image_in_the_page(attributes: str, width: int | None) -> None:
    assert References.of([f'<img {attributes} src="cid:a%40b">']).widths == {"a@b": width}


def test_an_image_shown_twice_has_the_larger_width_and_one_in_css_has_none() -> None:
    page = '<img src="cid:a" width=10><img src="cid:a" width=30>'
    page += '<b style="background:url(cid:b)"><img src="cid:b" width=1>'
    assert References.of([page]).widths == {"a": 30, "b": None}


def _mails() -> list[Path]:
    root = corpus_root()
    found = [path for name in ("mails", "bounces") for path in (root / name).rglob("*")] if root else []
    return sorted(path for path in found if path.is_file() and path.suffix != ".md")


def _pages() -> list[Path]:
    root = corpus_root()
    return sorted((root / "html").rglob("*.html")) if root else []


@pytest.mark.long
@pytest.mark.parametrize("path", sampled(_mails(), 7), ids=lambda path: path.name)
def test_mails_of_the_corpus_keep_their_parts_and_texts(path: Path) -> None:
    raw = path.read_bytes()
    slimmed = slim(raw, Wish(attached_images=True))
    assert_same_message(read(raw), read(slimmed.data), slimmed)
    assert slim(slimmed.data, Wish(attached_images=True)).changes == ()


@pytest.mark.long
@pytest.mark.parametrize("path", sampled(_pages(), 6), ids=lambda path: path.name)
def test_pages_of_the_corpus_keep_their_text(path: Path) -> None:
    page = re.sub(rb"\r?\n", b"\r\n", path.read_bytes())
    raw = TOP + b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + page
    slimmed = slim(raw)
    assert_same_message(read(raw), read(slimmed.data), slimmed)
    assert slim(slimmed.data).changes == ()
