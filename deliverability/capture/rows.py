"""A capture as a row of the list."""

from __future__ import annotations

from deliverability.capture.store import Capture
from deliverability.view.captures import CaptureRow, capture_row
from deliverability.words.phrases import Phrases


def row_of(capture: Capture, say: Phrases) -> CaptureRow:
    """The capture in the words of a language."""
    summary = capture.summary
    return capture_row(
        capture.id,
        capture.at,
        capture.octets,
        say,
        subject=capture.subject,
        sender=capture.author,
        recipients=capture.envelope.rcpt if capture.envelope else (),
        name=capture.name,
        tone=summary.tone if summary else "",
        lead=summary.leads.get(say.lang, "") if summary else "",
        grade=(summary.grade or "") if summary else "",
        problems=capture.problems,
    )
