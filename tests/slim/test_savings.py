"""What would save most of a message's size: ranked, as sent, nothing twice, and silence where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from deliverability.core.facts.base import Fact, FactSet
from deliverability.core.model.report import Report
from deliverability.core.net.clock import SystemClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import OFFLINE
from deliverability.core.phrases import phrases
from deliverability.core.report.savings import SavingsView, changes, savings
from tests.auditing import audit
from tests.facts_of import value_of
from tests.files import mail
from tests.slim_mails import HTML, image_part, newsletter, photo_jpeg, text_part
from tests.speaking import shipped, written

EN, JA = phrases("en"), phrases("ja")
UNKNOWN = {"unknown": "limit"}


def facts(given: Mapping[str, Any]) -> FactSet:
    """Facts stated as JSON values; those not named were never collected."""
    return FactSet({path: Fact(path, value_of(path, value)) for path, value in given.items()})


def part(path: str, encoding: str = "base64", sent: int = 100_000_000, media_type: str = "image/png") -> dict[str, Any]:
    return {"path": path, "transfer_encoding": encoding, "encoded_octets": sent, "media_type": media_type}


def image(path: str, saved: Any, **fields: Any) -> dict[str, Any]:
    return {
        "path": path,
        "filename": f"{path}.png",
        "inline": True,
        "best_format": "jpeg",
        "saving_octets": saved,
        **fields,
    }


def attachment(path: str, sent: int, **fields: Any) -> dict[str, Any]:
    record = {"path": path, "filename": f"{path}.zip", "media_type": "application/zip", "true_type": "application/zip"}
    return {**record, "inline": False, "encoded_octets": sent, **fields}


def told(given: Mapping[str, Any]) -> list[tuple[str, int]]:
    return [(each.kind, each.octets) for each in changes(facts(given))]


def shown(given: Mapping[str, Any]) -> SavingsView | None:
    return savings(facts(given), EN)


def test_the_three_that_save_most_come_first_with_their_share_and_their_sum() -> None:
    view = shown(
        {
            "message.size_octets": 1_000_000,
            "message.images": [image("1.2", 57_000), image("1.3", 228_000), image("1.4", 5_700)],
            "message.parts": [part("1.2"), part("1.3"), part("1.4")],
            "html.minify_saves_octets": 20_000,
        }
    )
    assert view is not None
    assert [(each.words, each.saves, each.percent) for each in view.changes] == [
        ("Convert 1.3.png to JPEG, at its display size", "saves 312 KB (31% of the message)", 31.2),
        ("Convert 1.2.png to JPEG, at its display size", "saves 78 KB (7.8% of the message)", 7.8),
        ("Minify the HTML", "saves 20 KB (2.0% of the message)", 2.0),
    ]
    assert view.total == "Together they save 410 KB, 41% of the message."
    assert "deliv slim MESSAGE.eml" in view.how


def test_octets_are_as_sent_and_never_more_than_the_part_has() -> None:
    given = {
        "message.images": [image("1", 57_000), image("2", 57_000), image("3", 57_000), image("4", 57_000)],
        "message.parts": [part("1"), part("2", "binary"), part("3", sent=60_000)],
    }
    assert {each.path: each.octets for each in changes(facts(given))} == {
        "1": 78_000,  # base64: 57 octets become 78
        "2": 57_000,
        "3": 60_000,
        "4": 57_000,  # how it is encoded handle this mail is not known: the least
    }


@pytest.mark.parametrize(("encodings", "octets"), [(["base64"], 7_800), (["8bit"], 5_700), (["base64", "8bit"], 5_700)])
def test_html_grows_only_where_it_is_sent_in_base64(encodings: list[str], octets: int) -> None:
    parts = [part(f"1.{number}", each, media_type="text/html") for number, each in enumerate(encodings)]
    assert told({"message.parts": parts, "html.minify_saves_octets": 5_700}) == [("minify", octets)]


def test_a_picture_or_pdf_is_not_counted_as_a_file_as_well() -> None:
    given = {
        "message.size_octets": 30_000_000,
        "message.images": [image("1", 2_000_000, inline=False)],
        "message.pdfs": [{"path": "2", "filename": "plan.pdf", "saving_octets": 1_000_000}],
        "message.attachments": [
            attachment("1", 6_000_000, media_type="image/png", true_type="image/png"),
            attachment("2", 6_000_000),  # a PDF by its content, sent as something else
            attachment("3", 6_000_000),
            attachment("4", 900_000),  # too small to matter
            attachment("5", 6_000_000, inline=True),
        ],
    }
    assert told(given) == [("file", 6_000_000), ("attached-image", 2_000_000), ("pdf", 1_000_000)]
    view = shown(given)
    assert view is not None
    assert view.changes[2].saves.endswith("; an estimate)")
    assert view.total.startswith("Together they save roughly 9 MB")
    assert "--attachments" in view.how


async def test_minifying_and_repeated_styles_have_no_octet_in_common() -> None:
    """Setting a style once and then minifying saves at least what the two are said to save."""
    style = "color : #333333 ;  font-family : sans-serif"
    cell = f"""<td   style="{style}" >   x   </td>\n"""
    page = f"<table>{cell * 400}</table>"
    report = await _report(mail(html=page))
    found = {each.kind: each.octets for each in changes(report.facts)}
    bare = page.replace(f' style="{style}"', "")
    after = await _report(mail(html=bare))
    left = report.facts.value("html.octets")
    least = after.facts.value("html.octets")
    rest = after.facts.value("html.minify_saves_octets")
    assert isinstance(left, int)
    assert isinstance(least, int)
    assert isinstance(rest, int)
    assert {"minify", "css"} <= set(found)
    assert found["minify"] + found["css"] <= left - (least - rest)


@pytest.mark.parametrize(
    ("minify", "repeated", "expected"),
    [
        (4_000, 10_000, [("css", 6_000), ("minify", 4_000)]),
        (10_000, 4_000, [("minify", 10_000)]),
        (UNKNOWN, 4_000, [("css", 4_000)]),
    ],
)
def test_repeated_styles_count_only_beyond_minifying(
    minify: Any, repeated: int, expected: list[tuple[str, int]]
) -> None:
    assert told({"html.minify_saves_octets": minify, "html.repeated_css_octets": repeated}) == expected


@pytest.mark.parametrize(("size", "asked"), [(10_000_000, False), (10_000_001, True)])
def test_a_share_link_is_asked_for_only_above_the_recommended_size(size: int, asked: bool) -> None:
    given = {"message.size_octets": size, "message.attachments": [attachment("2", 9_000_000)]}
    assert told(given) == ([("file", 9_000_000)] if asked else [])


def test_an_encrypted_message_is_not_to_be_replaced_by_a_link() -> None:
    given = {
        "message.size_octets": 20_000_000,
        "message.parts": [part("1", media_type="multipart/encrypted")],
        "message.attachments": [attachment("1.2", 19_000_000)],
    }
    assert told(given) == []


@pytest.mark.parametrize(
    ("size", "saved", "is_shown"),
    [(100_000, 4_999, False), (100_000, 5_000, True), (1_000_000, 19_999, False), (1_000_000, 20_000, True)],
)
def test_below_5_kb_or_2_percent_nothing_is_shown(size: int, saved: int, is_shown: bool) -> None:
    view = shown({"message.size_octets": size, "html.minify_saves_octets": saved})
    assert (view is not None) is is_shown


def test_a_single_change_has_no_sum_and_crumbs_are_left_out() -> None:
    view = shown({"message.size_octets": 100_000, "html.minify_saves_octets": 30_000, "html.data_uri_octets": 999})
    assert view is not None
    assert (len(view.changes), view.total) == (1, "")


def test_what_deliv_slim_does_not_do_is_not_promised() -> None:
    view = shown({"message.size_octets": 100_000, "html.data_uri_octets": 30_000})
    assert view is not None
    assert view.how == ""


def test_unknown_is_silence_not_zero() -> None:
    given = {
        "message.size_octets": 1_000_000,
        "message.images": [image("1.2", UNKNOWN), image("1.3", 100_000)],
        "message.pdfs": UNKNOWN,
        "message.attachments": UNKNOWN,
        "html.minify_saves_octets": UNKNOWN,
    }
    assert told(given) == [("image", 100_000)]
    assert shown({**given, "message.size_octets": UNKNOWN}) is None
    assert shown({}) is None


async def _report(raw: bytes) -> Report:
    return await audit(message=raw, ports=Ports(OFFLINE, SystemClock(), sources=("offline",)))


@pytest.mark.long
async def test_the_reports_name_them_in_both_languages() -> None:
    page = text_part(HTML.replace("<tr>", "<tr>" + " " * 30_000), "html", encoding="base64")
    photo = image_part(photo_jpeg(), "photo.jpg", "jpeg", cid="photo@example.com")
    report = await _report(newsletter([photo], page))
    text = written("text", report, shipped("en"), whole=True)
    what, most, rest = (
        text.index(each) for each in ("Start with these", "What would save the most", "1.  Convert photo.jpg")
    )
    assert what < most < rest
    assert "`" not in text[most:][:900]
    html = written("html", report, shipped("ja"))
    assert JA("section.savings") in html
    assert "<code>deliv slim MESSAGE.eml</code>" in html
    assert "photo.jpgを、表示する大きさに合わせてJPEGで保存し直す" in html


async def test_a_light_message_and_a_domain_alone_are_left_in_peace() -> None:
    assert "save most" not in written("text", await _report(mail(html="<p>x</p>")), shipped("en"))
