"""The pages of `deliv listen` as HTML; their look is in reports/: listen_*.html, style.css, message.css, listen.css."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from deliverability.core.phrases import LANGUAGES, phrases
from deliverability.core.report.templates import environment
from deliverability.core.resources import locate

if TYPE_CHECKING:
    from deliverability.core.report.answer import AnswerView
    from deliverability.listen.comparison import ComparisonView
    from deliverability.listen.look import CaptureRow, LookView
    from deliverability.seeds.report import PlacementView

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'"
)
SCRIPT, SHEETS = "listen.js", ("style.css", "message.css", "listen.css")


class PagePlace(Struct, frozen=True):
    """Where a page is shown.

    Attributes:
        lang: of the page.
        root: what stands in front of every path.
        query: the query of the page without the language, ending in ``&`` where there is one.

    """

    lang: str
    root: str = ""
    query: str = ""


def list_page(
    place: PagePlace,
    rows: Sequence[CaptureRow],
    *,
    smtp: str = "",
    public: bool = False,
    reserved: tuple[str, str] = ("", ""),
    note: str = "",
) -> str:
    """The messages that were caught.

    Args:
        place: where it is shown.
        rows: the messages.
        smtp: the server to send more to; empty: none, or it takes mail to reserved addresses alone.
        public: addresses can be reserved.
        reserved: the address that was reserved just now, and until when in words.
        note: what went wrong with the last wish.

    """
    address, until = reserved
    values = {"smtp": smtp, "public": public, "address": address, "until": until, "note": note}
    return _page("listen_list.html", place, rows=rows, **values)


def note_page(place: PagePlace, heading: str, lines: Sequence[str]) -> str:
    """A page of a few sentences."""
    return _page("listen_note.html", place, heading=heading, lines=lines)


def look_page(
    place: PagePlace,
    row: CaptureRow,
    answer: AnswerView,
    look: LookView,
    landed: Sequence[PlacementView],
    others: Sequence[CaptureRow],
    *,
    screenshots: bool,
    once: str,
    unread: str = "",
) -> str:
    """Size and look of a message.

    Args:
        place: where it is shown.
        row: the message.
        answer: of its report.
        look: what is shown.
        landed: where it landed in mailboxes of the user, by test.
        others: messages that it can be compared with.
        screenshots: whether a browser is there that takes pictures.
        once: what lets the previews load images on the web; empty: they load none.
        unread: what cannot be said of where it landed; empty: nothing.

    """
    values = {"look": look, "landed": landed, "unread": unread, "screenshots": screenshots, "once": once}
    return _page("listen_look.html", place, row=row, answer=answer, others=others, **values)


def compare_page(
    place: PagePlace, rows: tuple[CaptureRow, CaptureRow], answers: tuple[AnswerView, AnswerView], found: ComparisonView
) -> str:
    """Two messages side by side."""
    return _page("listen_compare.html", place, before=rows[0], after=rows[1], answers=answers, found=found)


@cache
def style_sheet() -> str:
    """The style sheet of all pages."""
    return "\n".join((locate("reports") / name).read_text("utf-8") for name in SHEETS)


@cache
def script() -> str:
    """The script of the list."""
    return (locate("reports") / SCRIPT).read_text("utf-8")


def _page(template: str, place: PagePlace, **values: Any) -> str:
    other = next(lang for lang in LANGUAGES if lang != place.lang)
    return (
        environment()
        .get_template(template)
        .render(
            say=phrases(place.lang),
            lang=place.lang,
            other=phrases(other),
            root=place.root,
            query=place.query,
            policy=POLICY,
            **values,
        )
    )
