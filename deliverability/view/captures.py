"""The messages that `deliv listen` caught, as rows of a list."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from deliverability.model.codes import Detail
from deliverability.words.dates import moment_words
from deliverability.words.details import detail_words
from deliverability.words.sentences import Phrases, octets, shortened, visible

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


def capture_row(
    ident: str,
    at: str,
    size: int,
    say: Phrases,
    *,
    subject: str = "",
    sender: str = "",
    recipients: Sequence[str] = (),
    name: str = "",
    tone: str = "",
    lead: str = "",
    grade: str = "",
    problems: Sequence[Detail] = (),
) -> CaptureRow:
    """A row. `tone` and `lead` are the answer's, empty while there is none; `problems` are why there will be none."""
    route = ""
    if recipients:
        rest = len(recipients) - 1
        route = say("listen.to", to=_short(recipients[0]) + (say("value.more", n=f"{rest:,}") if rest else ""))
    elif name:
        route = say("listen.file", file=_short(name))
    wrong = say("value.separator").join(_short(detail_words(each, say)) for each in problems)
    audited = bool(lead)
    return CaptureRow(
        id=ident,
        subject=_short(subject) or say("listen.no-subject"),
        sender=_short(sender),
        route=route,
        at=at,
        moment=moment_words(at, say),
        size=octets(size, say),
        tone=tone if audited else "unknown" if problems else "wait",
        verdict=visible(lead) if audited else wrong or say("listen.checking"),
        grade=say("verdict.grade", grade=grade) if grade and audited else "",
        audited=audited,
    )


def _short(text: str) -> str:
    return visible(shortened(text, _LENGTH))
