"""The pages of `deliv listen` as HTML, with two captures of one mailing side by side, word by word.

Their look is in reports/: listen_*.html, style.css, message.css, listen.css.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from functools import cache
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from deliverability.core.facts.base import FactSet
from deliverability.core.facts.content import Html
from deliverability.core.facts.message import Weight
from deliverability.core.files import locate
from deliverability.core.model.topic import Maybe, if_known
from deliverability.core.phrases import LANGUAGES, Phrases, phrases
from deliverability.core.report.records import Piece, PieceKind, diff
from deliverability.core.report.report import ReportView
from deliverability.core.report.templates import environment
from deliverability.core.words.sentences import octets, shortened, visible
from deliverability.listen.look import CaptureRow, LookView, MessageContents

if TYPE_CHECKING:
    from deliverability.core.report.answer import AnswerView
    from deliverability.seeds.report import PlacementView

_FIELDS, _FIELD = 200, 2_000
_LINES, _LINE = 500, 2_000
_AROUND, _RUN = 1, 20  # equal lines beside a change, lines of one change


class PairView(Struct, frozen=True):
    """A value before and after; `changed` where they differ. `tones` are those of the two where they have one."""

    label: str
    before: str
    after: str
    changed: bool
    tones: tuple[str, str] = ("", "")


class LineDiff(Struct, frozen=True):
    """A line of the text with what changed in it; `left_out`: that some lines are left out here instead."""

    pieces: tuple[Piece, ...] = ()
    left_out: str = ""


class FieldDiff(Struct, frozen=True):
    """A header field with what changed in it."""

    name: str
    pieces: tuple[Piece, ...]


class ComparisonView(Struct, frozen=True):
    """What became of the second message against the first.

    Attributes:
        verdicts: a row a receiver.
        settled: what is wrong in the first and no longer in the second.
        new: what is wrong in the second only.
        sizes: a row a size.
        fields: header fields that differ; `same_fields` are alike.
        html: the words of the HTML; empty: they are the same.
        text: the plain text; empty: it is the same.

    """

    verdicts: tuple[PairView, ...]
    settled: tuple[str, ...]
    new: tuple[str, ...]
    sizes: tuple[PairView, ...]
    fields: tuple[FieldDiff, ...]
    same_fields: str
    html: tuple[LineDiff, ...]
    text: tuple[LineDiff, ...]


def comparison_view(
    before: ReportView, after: ReportView, contents: tuple[MessageContents, MessageContents]
) -> ComparisonView:
    """Two audited messages, the older first."""
    say = after.speaker.say
    old, new = _problems(before), _problems(after)
    fields, same = _fields(contents[0].fields, contents[1].fields)
    return ComparisonView(
        verdicts=tuple(_verdicts(before, after)),
        settled=tuple(text for rule, text in old.items() if rule not in new),
        new=tuple(text for rule, text in new.items() if rule not in old),
        sizes=tuple(_sizes(before, after)),
        fields=fields,
        same_fields=say.count("compare.same-fields", same) if same else "",
        html=_text(contents[0].html_text, contents[1].html_text, say),
        text=_text(contents[0].text, contents[1].text, say),
    )


def _problems(view: ReportView) -> dict[tuple[str, str], str]:
    """What is to do, by rule and item."""
    return {(each.finding.rule, each.item): each.words.heading for each in view.findings if each.is_unmet}


def _verdicts(before: ReportView, after: ReportView) -> Iterator[PairView]:
    """Receivers in the order of the second answer, the worst first."""
    old, new = _by_receiver(before), _by_receiver(after)
    none = after.speaker.say("value.none")
    for name in {**new, **old}:
        (one, tone), (other, other_tone) = old.get(name, (none, "none")), new.get(name, (none, "none"))
        yield PairView(name, one, other, one != other, (tone, other_tone))


def _by_receiver(view: ReportView) -> dict[str, tuple[str, str]]:
    return {name: (group.heading, group.tone) for group in view.answer.groups for name in group.names}


_SIZES = ("message", "html", "plain", "attachments")


def _sizes_of(facts: FactSet) -> tuple[Maybe[int], ...]:
    weight = facts.of(Weight)
    return weight.size_octets, facts.of(Html).octets, weight.plain_octets, weight.attachment_octets


def _sizes(before: ReportView, after: ReportView) -> Iterator[PairView]:
    say = after.speaker.say
    old, new = (_sizes_of(each.report.facts) for each in (before, after))
    for key, *found in zip(_SIZES, old, new, strict=True):
        known = [if_known(each) or 0 for each in found]
        if any(known):
            words = [octets(each, say) if each else say("value.none") for each in known]
            yield PairView(say(f"compare.size.{key}"), words[0], words[1], known[0] != known[1])


def _fields(old: Sequence[tuple[str, str]], new: Sequence[tuple[str, str]]) -> tuple[tuple[FieldDiff, ...], int]:
    """The fields that differ, those of one name paired in their order, and the number of those that do not."""
    before, after = _named(old), _named(new)
    different: list[FieldDiff] = []
    same = 0
    for key in {**after, **before}:
        for one, other in zip_longest(before.get(key, ()), after.get(key, ())):
            if one == other:
                same += 1
            else:
                pieces = diff(one[1] if one else "", other[1] if other else "")
                different.append(FieldDiff((other or one or ("", ""))[0], _safe(pieces)))
    return tuple(different), same


def _named(fields: Sequence[tuple[str, str]]) -> Mapping[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for name, value in fields[:_FIELDS]:
        found.setdefault(name.lower(), []).append((shortened(name, 80), shortened(value, _FIELD)))
    return found


def _text(old: str, new: str, say: Phrases) -> tuple[LineDiff, ...]:
    """The lines around each change; in those that changed, the words."""
    before, after = _lines(old), _lines(new)
    if before == after:
        return ()
    found: list[LineDiff] = []
    changes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    for place, (change, first, last, start, end) in enumerate(changes):
        if change != "equal":
            pairs = list(zip_longest(before[first:last], after[start:end]))
            found += [LineDiff(_safe(_changed(one, other))) for one, other in pairs[:_RUN]]
            if len(pairs) > _RUN:
                found.append(LineDiff(left_out=say.count("label.more-lines", len(pairs) - _RUN)))
            continue
        lines = after[start:end]
        head = lines[: _AROUND if place else 0]
        tail = lines[len(lines) - (_AROUND if place + 1 < len(changes) else 0) :]
        left = len(lines) - len(head) - len(tail)
        if left <= 1:
            head, tail, left = lines, [], 0
        found += [LineDiff(_safe((Piece(PieceKind.SAME, each),))) for each in head]
        if left:
            found.append(LineDiff(left_out=say.count("compare.same-lines", left)))
        found += [LineDiff(_safe((Piece(PieceKind.SAME, each),))) for each in tail]
    return tuple(found)


def _changed(old: str | None, new: str | None) -> tuple[Piece, ...]:
    """A line with what changed in it; None: there is none on that side."""
    if old is None or new is None:
        return (Piece(PieceKind.ADDED if old is None else PieceKind.REMOVED, old or new or ""),)
    return diff(old, new)


def _lines(text: str) -> list[str]:
    return [shortened(each.rstrip(), _LINE) for each in text.splitlines()[:_LINES] if each.strip()]


def _safe(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    return tuple(Piece(each.kind, visible(each.text)) for each in pieces)


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
