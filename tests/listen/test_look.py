"""Size and look of a message on one screen."""

from __future__ import annotations

import pytest

from deliverability.core.report.preview import ColourScheme
from deliverability.core.report.report import ReportView
from deliverability.listen.look import LighterCopy, LookView, MessageContents, look_view, message_preview
from tests.speaking import shipped
from tests.test_golden import audited as report_of


def view(subject: str = "demo", lang: str = "en") -> ReportView:
    return ReportView(report_of(subject), shipped(lang))


def look(contents: MessageContents, subject: str = "demo", lang: str = "en") -> LookView:
    return look_view(view(subject, lang), contents)


def test_every_size_limit_is_a_bar_and_the_smallest_comes_first() -> None:
    size = look(MessageContents()).size

    assert size is not None
    assert [each.words for each in size.limits] == ["3 MB", "10 MB", "20 MB", "25 MB", "50 MB"]
    assert size.limits[0].who == "au mail"
    assert "Gmail" in size.limits[-1].who
    assert not any(each.over for each in size.limits)


def test_the_clipping_line_is_the_one_of_the_rules() -> None:
    clip = look(MessageContents(html="<p>a</p>")).clip

    assert clip is not None
    assert clip.limit == "102 KB"
    assert clip.words.startswith("Gmail shows all of it")
    assert not clip.over


def test_the_preview_marks_where_it_is_clipped() -> None:
    long = MessageContents(html="<p>tea</p>" * 11_000)

    marked = message_preview(view(lang="ja"), long, ColourScheme.LIGHT).document
    assert marked.count("Gmailに表示されるのは、ここまでです") == 1
    assert marked.index("deliv-clip", marked.index("<body")) - marked.index("<body") > 100_000
    short = message_preview(view(), MessageContents(html="<p>tea</p>"), ColourScheme.LIGHT).document
    assert "deliv-clip" not in short.partition("<body")[2]


def test_what_the_report_says_of_size_and_look_is_listed_with_its_place() -> None:
    found, places = look(MessageContents()), {each.anchor for each in view().checks}

    assert found.todo
    assert {anchor for _, anchor in found.todo} <= places
    assert not any("SPF" in text for text, _ in found.todo)


def test_a_message_without_html_says_so_and_without_images_on_the_web_offers_none() -> None:
    assert look(MessageContents()).preview is None
    assert look(MessageContents(html="<p>a</p>")).remote == ""
    assert look(MessageContents(html='<img src="https://shop.example/a.png">')).remote.startswith("1 image is")


def test_text_keeps_its_lines_and_loses_what_steers() -> None:
    found = look(MessageContents(text="one\ntwo\u202e", source="\x1b[31m", source_cut=2_000))

    assert found.contents.text == "one\ntwo\\u202e"
    assert "\x1b" not in found.contents.source
    assert found.source_cut.startswith("2 KB more")


@pytest.mark.parametrize(
    ("copy", "words", "slims"),
    [
        (LighterCopy(20_000, 15_010), "from 20 KB to 15 KB, a measured saving of 24%", True),
        (LighterCopy(20_000, 20_000), "20 KB: the message can't be made smaller without loss", False),
        (LighterCopy(20_000, 20_000, "signed"), "it is signed", False),
        (None, "not measured", True),
    ],
    ids=["lighter", "same", "refused", "large"],
)
def test_what_a_lighter_copy_saves_is_measured_or_said_not_to_be(
    copy: LighterCopy | None, words: str, slims: bool
) -> None:
    found = look_view(view(), MessageContents(), copy)
    assert words in found.lighter
    assert found.slims == slims
