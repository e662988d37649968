"""A caught message as a row of the list."""

from __future__ import annotations

from typing import Any

from deliverability.core.codes import VERBATIM
from deliverability.core.mail.received import SmtpEnvelope
from deliverability.core.phrases import phrases
from deliverability.listen.look import CaptureRow, row_of
from deliverability.listen.store import AuditSummary, Capture


def row(name: str = "", recipients: tuple[str, ...] = (), **given: Any) -> CaptureRow:
    envelope = SmtpEnvelope("127.0.0.1", "c", "", recipients, None, False) if recipients else None
    return row_of(Capture("id", "2026-11-26T09:00:00Z", 21_100, name, envelope, **given), phrases("en"))


def test_a_message_whose_audit_is_not_finished_is_being_checked() -> None:
    found = row(subject="Sale", recipients=("a@example.com", "b@example.com", "c@example.com"))

    assert (found.tone, found.verdict, found.audited) == ("wait", "Checking …", False)
    assert found.route == "to a@example.com and 2 more"
    assert found.size == "21.1 KB"


def test_an_audited_message_says_its_answer() -> None:
    found = row(summary=AuditSummary("F", 1, "example.com", {"en": "au refuses this mail."}, "bad"), name="mail.eml")

    assert (found.tone, found.verdict, found.grade, found.audited) == ("bad", "au refuses this mail.", "Grade F", True)
    assert found.route == "file mail.eml"


def test_what_went_wrong_is_said_in_place_of_the_answer() -> None:
    found = row(problems=(VERBATIM(text="no message"),))

    assert (found.tone, found.verdict, found.audited) == ("unknown", "no message", False)


def test_words_of_strangers_hide_and_steer_nothing() -> None:
    found = row(subject="a\u202eb", author="x\x1b[0m", name="\u2066.eml")

    assert (found.subject, found.sender, found.route) == ("a\\u202eb", "x\\x1b[0m", "file \\u2066.eml")
    assert row().subject == "(no subject)"
