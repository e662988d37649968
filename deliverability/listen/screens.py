"""Pages of a caught message that need its report; made in the worker, which has it at hand.

Each is called by its name through AuditWorker.run, with the room first.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence

from deliverability.core.net.browser import browser_here, take_screenshot
from deliverability.core.phrases import Phrases, detail_words, phrases
from deliverability.core.report.preview import ColourScheme
from deliverability.core.report.report import ReportView
from deliverability.core.store.store import HistoryError
from deliverability.core.words.sentences import visible
from deliverability.listen.look import LighterCopy, MessageContents, contents_of, look_view, message_preview, row_of
from deliverability.listen.service import CaptureRoom
from deliverability.listen.store import Capture, CaughtMail
from deliverability.listen.templates import PagePlace, compare_page, comparison_view, look_page
from deliverability.seeds.kept import kept_of_message, token_of
from deliverability.seeds.report import PlacementView, placement_view
from deliverability.slim.message import slim

_MEASURED_OCTETS = 5_000_000  # of a message whose lighter copy is made for the page: about a second


async def look(room: CaptureRoom, mail: CaughtMail, place: PagePlace, others: Sequence[Capture], once: str) -> str:
    """The screen "size and look". Raises InputError where the message cannot be audited."""
    view, contents = await _opened(room, mail, place.lang)
    say = phrases(place.lang)
    landed, unread = _landed(room, mail.octets(), say)
    return look_page(
        place,
        row_of(mail.capture, say),
        view.answer,
        look_view(view, contents, _measured(mail.octets())),
        landed,
        [row_of(each, say) for each in others],
        screenshots=browser_here() is not None,
        once=once,
        unread=unread,
    )


async def preview(
    room: CaptureRoom, mail: CaughtMail, lang: str, scheme: ColourScheme, remote: bool
) -> tuple[str, str]:
    """The message for a frame, and the policy it is to be shown under. Raises InputError as `look`."""
    view, contents = await _opened(room, mail, lang)
    made = message_preview(view, contents, scheme, remote=remote)
    return made.document, made.policy


async def screenshot(room: CaptureRoom, mail: CaughtMail, lang: str, scheme: ColourScheme, width: int) -> bytes | None:
    """The same as a PNG picture; None where there is nothing to show or no browser. Raises InputError."""
    document, _ = await preview(room, mail, lang, scheme, False)
    browser = browser_here()
    if browser is None or not document:
        return None
    return _trimmed(await asyncio.to_thread(take_screenshot, browser, document, width), width)


async def compare(room: CaptureRoom, mails: tuple[CaughtMail, CaughtMail], place: PagePlace) -> str:
    """Two messages side by side. Raises InputError as `look`."""
    (before, first), (after, second) = [await _opened(room, each, place.lang) for each in mails]
    say = phrases(place.lang)
    rows = row_of(mails[0].capture, say), row_of(mails[1].capture, say)
    found = comparison_view(before, after, (first, second))
    return compare_page(place, rows, (before.answer, after.answer), found)


async def lighter(room: CaptureRoom, mail: CaughtMail) -> bytes:
    """The copy that `deliv slim` writes."""
    return slim(mail.octets()).data


def _landed(room: CaptureRoom, octets: bytes, say: Phrases) -> tuple[list[PlacementView], str]:
    """Where the same message landed in mailboxes of the user, by test; and what of that cannot be said."""
    settings = room.settings
    if settings.home is None:
        return [], ""
    try:
        rows = kept_of_message(settings.history, settings.home, octets)
    except HistoryError as error:
        return [], say("punctuation.clauses").join(visible(detail_words(each, say)) for each in error.details)
    tests = dict.fromkeys(row.test for row in rows)
    views = [placement_view([row for row in rows if row.test == test], room.rules, say) for test in tests]
    token = token_of(octets)
    return views, say("seeds.not-read", token=visible(token)) if token and not views else ""


def _measured(raw: bytes) -> LighterCopy | None:
    """What the copy would save; None where making it could keep the page waiting."""
    if len(raw) > _MEASURED_OCTETS:
        return None
    made = slim(raw)
    return LighterCopy(made.before, made.after, made.refused or "")


async def _opened(room: CaptureRoom, mail: CaughtMail, lang: str) -> tuple[ReportView, MessageContents]:
    reported = await room.reported(mail)
    contents = contents_of(mail.octets())
    return ReportView(reported.report, room.speaker(lang)), contents


def _trimmed(png: bytes, width: int) -> bytes:
    """A picture cut to its width, and to where the page ends: what follows is of one colour."""
    from PIL import Image, ImageChops

    with Image.open(io.BytesIO(png)) as opened:
        image = opened.convert("RGB").crop((0, 0, width, opened.height))
    ground = Image.new("RGB", image.size, image.getpixel((0, image.height - 1)))
    box = ImageChops.difference(image, ground).getbbox()
    if box:
        image = image.crop((0, 0, width, min(image.height, box[3] + 16)))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
