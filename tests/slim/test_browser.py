"""A slimmed page looks in a browser as the original does: screenshots are compared pixel by pixel."""

from __future__ import annotations

import base64
import re
from itertools import product

import pytest
from PIL import Image, ImageChops, ImageStat

from deliverability.core.mail.reader import read
from deliverability.slim.message import slim
from tests.corpus import NO_CORPUS, corpus_root
from tests.devtools import Tab
from tests.sampled import sampled
from tests.slim_mails import TOP, image_part, newsletter, photo, photo_jpeg, saved

PAGES = (
    "adobe-newsletter/91Nov2025.html",
    "cerberus/cerberus-responsive.html",
    "colorlib/10__index.html",
    "konsav/promotional.html",
    "mailgun/inlined__billing.html",
)

pytestmark = pytest.mark.system


def page_of(raw: bytes) -> str:
    """The HTML of a message with its images inside, in UTF-8."""
    message = read(raw)
    by_id = {part.content_id: part for part in message.parts() if part.content_id}
    html = next(part.text() for part in message.parts() if part.media_type == "text/html")

    def data(match: re.Match[str]) -> str:
        part = by_id[match[1]]
        return f"data:{part.media_type};base64,{base64.b64encode(part.decode()).decode()}"

    return re.sub(r"cid:([\w.@-]+)", data, html)


def shown(tab: Tab, raw: bytes, width: int) -> Image.Image:
    """A message as a browser shows it."""
    tab.show(page_of(raw), width, 1600)
    return tab.image()


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of the pixels, of 255."""
    assert one.size == other.size
    return float(sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(image_part(photo_jpeg(), "photo.jpg", "jpeg", cid="photo@example.com"), id="jpeg"),
        pytest.param(image_part(saved(photo(), "PNG"), "photo.png", "png", cid="photo@example.com"), id="png-to-jpeg"),
        pytest.param(
            image_part(saved(photo(mode="RGBA"), "PNG", compress_level=0), "photo.png", "png", cid="photo@example.com"),
            id="transparent-png",
        ),
    ],
)
def test_a_newsletter_with_a_photograph(tab: Tab, image: bytes) -> None:
    raw = newsletter([image])
    slimmed = slim(raw)
    assert slimmed.after < slimmed.before * 0.7
    before = shown(tab, raw, 800)
    after = shown(tab, slimmed.data, 800)
    assert ImageStat.Stat(before).stddev[0] > 10, "the browser showed an empty page"
    assert difference(before, after) < 1.0


@pytest.mark.parametrize(("name", "width"), sampled([*product(PAGES, (800, 380))], 4))
def test_pages_of_the_corpus(tab: Tab, name: str, width: int) -> None:
    root = corpus_root()
    if root is None:
        pytest.skip(NO_CORPUS)
    page = re.sub(rb"\r?\n", b"\r\n", (root / "html" / name).read_bytes())
    raw = TOP + b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + page
    slimmed = slim(raw)
    assert slimmed.after < slimmed.before
    # Late fonts and animations make two pictures of one page differ now and then; what slimming breaks differs always.
    differences: list[float] = []
    while len(differences) < 4 and (not differences or differences[-1] >= 0.5):
        before = shown(tab, raw, width)
        after = shown(tab, slimmed.data, width)
        differences.append(difference(before, after))
    assert differences[-1] < 0.5, differences
