"""What pages show of a caught message: its row, body texts and images, and on one screen its size and look.

Size is that of its octets against every limit; look is what its readers see of it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.facts.base import Value, texts_of
from deliverability.core.facts.content import Clients, Html
from deliverability.core.mail.files.images import sniff
from deliverability.core.mail.html.markup import TokenKind, tokens, unescape
from deliverability.core.mail.parts import body_texts
from deliverability.core.mail.reader import Message, read
from deliverability.core.mail.words import decode_words, printable
from deliverability.core.model.report import Report
from deliverability.core.model.topic import if_known
from deliverability.core.net.names import octets_text
from deliverability.core.phrases import Phrases, detail_words
from deliverability.core.report.diagrams import BarView, clip_octets
from deliverability.core.report.findings import receiver_short
from deliverability.core.report.preview import ColourScheme, Preview, Showing, preview
from deliverability.core.report.report import ReportView
from deliverability.core.report.savings import SavingsView, savings
from deliverability.core.words.sentences import full_day_words, moment_words, octets, shortened, visible
from deliverability.listen.store import Capture

_TEXT, _HEADER, _SOURCE = 200_000, 100_000, 200_000
_IMAGES = 20_000_000  # octets of all images together
_FIELDS = 500
_PAGE = 2_000_000  # characters of HTML whose words are compared
_BLOCKS = frozenset(
    (
        *("address", "article", "blockquote", "body", "br", "center", "dd", "div", "dt", "footer", "h1", "h2", "h3"),
        *("h4", "h5", "h6", "header", "hr", "li", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul"),
    )
)
_SHOWN = frozenset({"jpeg", "png", "gif", "webp", "bmp", "avif"})


def contents_of(raw: bytes) -> MessageContents:
    """Never raises; what is too long is cut."""
    message = read(raw)
    html, plain = (body_texts(message, media_type) for media_type in ("text/html", "text/plain"))
    text = plain[0].part.text() if plain else ""
    header, body = raw[message.start : message.body_offset], raw[message.body_offset :]
    page = html[0].part.text() if html else ""
    return MessageContents(
        html=page,
        html_text=_words_of(page),
        images=_images(message),
        text=text[:_TEXT],
        text_cut=len(text[_TEXT:].encode("utf-8", "replace")),
        fields=tuple((printable(each.name), _unfolded(each.value)) for each in message.headers[:_FIELDS]),
        header=octets_text(header[:_HEADER]),
        source=octets_text(body[:_SOURCE]),
        source_cut=max(0, len(header) - _HEADER) + max(0, len(body) - _SOURCE),
    )


def _unfolded(value: str) -> str:
    """A field as it is read: where it was folded with a tab, a space."""
    return printable(decode_words(value.replace("\t", " ")))


def _words_of(html: str) -> str:
    """What the HTML says, a line for each block or cell."""
    lines = [""]
    for token in tokens(html[:_PAGE]):
        if token.kind is TokenKind.TEXT:
            lines[-1] += unescape(html[token.start : token.end])
        elif token.name in _BLOCKS and lines[-1]:
            lines.append("")
    return "\n".join(filter(None, (" ".join(line.split()) for line in lines)))


def _images(message: Message) -> dict[str, str]:
    """What the HTML can refer to, in formats that browsers read as pictures and nothing else."""
    found: dict[str, str] = {}
    left = _IMAGES
    for part in message.parts():
        if part.content_id is None or part.content_id in found or part.encoded_octets > left * 4 // 3 + 100:
            continue
        if part.media_type.startswith(("image/", "application/octet-stream")) and sniff(part.head(64)) in _SHOWN:
            data = part.decode()
            left -= len(data)
            found[part.content_id] = f"data:image/{sniff(data)};base64,{base64.b64encode(data).decode('ascii')}"
    return found


_LENGTH = 120


class CaptureRow(Struct, frozen=True):
    """A caught message in the words of one language.

    Attributes:
        id: of the capture.
        subject: its Subject, or that there is none.
        sender: From.
        route: how it came: to whom over SMTP, or from which file.
        at: when, in ISO 8601.
        moment: the same in words.
        size: as sent.
        tone: good, bad, risk, unknown or none; wait: its audit is not finished.
        verdict: the answer in a line, or that it is being checked, or what went wrong.
        grade: of the subject; empty: none.
        audited: there is a report.

    """

    id: str
    subject: str
    sender: str
    route: str
    at: str
    moment: str
    size: str
    tone: str
    verdict: str
    grade: str
    audited: bool


def row_of(capture: Capture, say: Phrases) -> CaptureRow:
    """The capture in the words of a language."""
    recipients, summary, problems = capture.envelope.rcpt if capture.envelope else (), capture.summary, capture.problems
    lead = summary.leads.get(say.lang, "") if summary else ""
    route = ""
    if recipients:
        rest = len(recipients) - 1
        route = say("listen.to", to=_short(recipients[0]) + (say("value.more", n=f"{rest:,}") if rest else ""))
    elif capture.name:
        route = say("listen.file", file=_short(capture.name))
    wrong = say("value.separator").join(_short(detail_words(each, say)) for each in problems)
    return CaptureRow(
        id=capture.id,
        subject=_short(capture.subject) or say("listen.no-subject"),
        sender=_short(capture.author),
        route=route,
        at=capture.at,
        moment=moment_words(capture.at, say),
        size=octets(capture.octets, say),
        tone=summary.tone if summary and lead else "unknown" if problems else "wait",
        verdict=visible(lead) if lead else wrong or say("listen.checking"),
        grade=say("verdict.grade", grade=summary.grade) if summary and summary.grade and lead else "",
        audited=bool(lead),
    )


def _short(text: str) -> str:
    return visible(shortened(text, _LENGTH))


_FEATURES_SHOWN = 12
_PROGRAMS_SHOWN = 6
_LOOKS = ("html", "clients", "size")


class MessageContents(Struct, frozen=True):
    """What is shown of a message beside its report; plain text, read without trust.

    Attributes:
        html: its HTML body; empty: none.
        images: the images in the text, as ``data:`` addresses by their Content-ID.
        html_text: the words of the HTML, a line a block.
        text: its plain text body.
        text_cut: octets of the text that are left out.
        fields: the header, each field with its value decoded.
        header: the header as sent.
        source: the body as sent.
        source_cut: octets of header and body that are left out.

    """

    html: str = ""
    images: Mapping[str, str] = field(default_factory=dict)
    html_text: str = ""
    text: str = ""
    text_cut: int = 0
    fields: tuple[tuple[str, str], ...] = ()
    header: str = ""
    source: str = ""
    source_cut: int = 0

    def __repr__(self) -> str:
        return f"MessageContents({self.fields!r})"


class LighterCopy(Struct, frozen=True):
    """What `deliv slim` makes of a message.

    Attributes:
        before: octets of the message as sent.
        after: octets of the copy; the same where nothing was changed.
        refused: the code of why the message was left alone; empty: it was tried.

    """

    before: int
    after: int
    refused: str = ""


class ClipView(Struct, frozen=True):
    """How much of the HTML a mail program shows before it hides the rest.

    Attributes:
        words: what becomes of this message.
        limit: where it is clipped.
        used: how much of that is used.
        filled: the same as a length, 100 at most.
        over: some of the message is hidden.

    """

    words: str
    limit: str
    used: str
    filled: float
    over: bool


class FeatureView(Struct, frozen=True):
    """Something of HTML or CSS that not every mail program shows."""

    title: str
    uses: str
    unsupported: str
    partial: str
    aside: str


class LookView(Struct, frozen=True):
    """The screen, in reading order.

    Attributes:
        size: the message against the limits; None: nothing was measured.
        clip: the clipping line; None: there is no HTML.
        html: what the HTML is made of.
        todo: what is unmet of size and look: sentence, and place in the report.
        savings: what would make it lighter.
        lighter: what `deliv slim` saves of it, as measured, or that it was not measured.
        slims: there may be a lighter copy to take away.
        features: of HTML and CSS, those that fewest programs show first; `more_features` are left out.
        html_size: octets of the HTML, in words.
        compared: with how many programs, and as of when; empty: not compared.
        preview: in the colours of a light screen.
        dark: what the dark preview shows.
        remote: about images on the web; empty: there are none.
        contents: text and source.
        text_cut, source_cut: that some of it is left out; empty: all is shown.

    """

    size: BarView | None
    clip: ClipView | None
    html: BarView | None
    html_size: str
    todo: tuple[tuple[str, str], ...]
    savings: SavingsView | None
    lighter: str
    slims: bool
    features: tuple[FeatureView, ...]
    more_features: int
    compared: str
    preview: Preview | None
    dark: str
    remote: str
    contents: MessageContents
    text_cut: str
    source_cut: str


def look_view(view: ReportView, contents: MessageContents, copy: LighterCopy | None = None) -> LookView:
    """The screen of an audited message; `copy` None: it was not measured."""
    say, report = view.speaker.say, view.report
    features = tuple(_features(report, say))
    shown = message_preview(view, contents, ColourScheme.LIGHT) if contents.html else None
    clip = clip_octets(report)
    return LookView(
        size=view.diagrams.size,
        clip=_clip(report, clip[0], clip[1], view) if clip else None,
        html=view.diagrams.html,
        html_size=octets(shown.octets, say) if shown else "",
        todo=tuple((each.headline, each.anchor) for each in view.todo if each.topic in _LOOKS),
        savings=savings(view.report.facts, view.speaker.say),
        lighter=_lighter(copy, say),
        slims=copy is None or copy.after < copy.before,
        features=features[:_FEATURES_SHOWN],
        more_features=max(0, len(features) - _FEATURES_SHOWN),
        compared=_compared(report, say),
        preview=shown,
        dark=say("look.dark-own" if shown and shown.own_dark else "look.dark-inverted"),
        remote=say.count("look.remote", shown.remote) if shown and shown.remote else "",
        contents=replace(
            contents,
            text=_lines(contents.text),
            header=_lines(contents.header),
            source=_lines(contents.source),
        ),
        text_cut=say("look.cut", size=octets(contents.text_cut, say)) if contents.text_cut else "",
        source_cut=say("look.cut", size=octets(contents.source_cut, say)) if contents.source_cut else "",
    )


def message_preview(
    view: ReportView, contents: MessageContents, scheme: ColourScheme, *, remote: bool = False
) -> Preview:
    """The message as a document of its own, with the place marked where it is clipped."""
    showing = Showing(images=contents.images, remote=remote, scheme=scheme)
    clip = clip_octets(view.report)
    if clip and len(contents.html.encode("utf-8", "replace")) > clip[0]:
        mark = view.speaker.say("look.clip-mark", receiver=_named(clip[1], view))
        showing = replace(showing, clipped_at=clip[0], clip_mark=mark)
    return preview(contents.html, showing)


def _named(receiver: str, view: ReportView) -> str:
    return receiver_short(receiver, view.speaker)


def _clip(report: Report, limit: int, receiver: str, view: ReportView) -> ClipView | None:
    say, total = view.speaker.say, report.facts.of(Html).octets
    if not isinstance(total, int) or not total:
        return None
    share = 100 * total / limit
    over = total > limit
    key = "look.clip-over" if over else "look.clip-under"
    return ClipView(
        words=say(key, receiver=_named(receiver, view), size=octets(abs(total - limit), say)),
        limit=octets(limit, say),
        used=say("size.used", percent=f"{share:.1f}" if share < 10 else f"{share:,.0f}"),
        filled=min(100.0, round(share, 1)),
        over=over,
    )


def _lighter(copy: LighterCopy | None, say: Phrases) -> str:
    if copy is None:
        return say("look.not-measured")
    before, saved = octets(copy.before, say), copy.before - copy.after
    if copy.refused:
        return say("slim.refused", size=before, why=say(f"slim.kept.{copy.refused}"))
    if saved <= 0:
        return say("slim.nothing", size=before)
    # Rounded down, as `deliv slim` does it.
    return say("look.measured", before=before, after=octets(copy.after, say), percent=f"{100 * saved // copy.before:,}")


def _features(report: Report, say: Phrases) -> Iterator[FeatureView]:
    """Those with no plainer form beside them first."""
    for each in sorted(if_known(report.facts.of(Clients).features) or (), key=lambda each: each.conditional):
        uses = each.uses
        yield FeatureView(
            title=visible(shortened(each.title)),
            uses=f"{uses:,}" if isinstance(uses, int) else "",
            unsupported=_programs(each.unsupported, say),
            partial=_programs(each.partial, say),
            aside=say("look.provided") if each.conditional is True else "",
        )


def _programs(value: Value, say: Phrases) -> str:
    names = [visible(shortened(each)) for each in texts_of(value)]
    text = say("value.separator").join(names[:_PROGRAMS_SHOWN])
    return text + (say("value.more", n=f"{len(names) - _PROGRAMS_SHOWN:,}") if len(names) > _PROGRAMS_SHOWN else "")


def _compared(report: Report, say: Phrases) -> str:
    programs, date = report.facts.of(Clients).programs, report.facts.of(Clients).data_date
    if not isinstance(programs, int) or not isinstance(date, str):
        return ""
    return say("look.compared", n=f"{programs:,}", date=full_day_words(date, say))


def _lines(text: str) -> str:
    """Text of several lines with what hides or steers written out."""
    return "\n".join(visible(line.replace("\t", "    ")) for line in text.splitlines())
