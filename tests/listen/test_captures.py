"""A caught message as a row of the list."""

from __future__ import annotations

from deliverability.core.codes import VERBATIM
from deliverability.core.phrases import phrases
from deliverability.listen.look import CaptureRow, capture_row


def row(**given: object) -> CaptureRow:
    return capture_row("id", "2026-11-26T09:00:00Z", 21_100, phrases("en"), **given)  # type: ignore[arg-type]


def test_a_message_whose_audit_is_not_finished_is_being_checked() -> None:
    found = row(subject="Sale", recipients=("a@example.com", "b@example.com", "c@example.com"))

    assert (found.tone, found.verdict, found.audited) == ("wait", "Being checked …", False)
    assert found.route == "to a@example.com and 2 more"
    assert found.size == "21.1 KB"


def test_an_audited_message_says_its_answer() -> None:
    found = row(tone="bad", lead="au refuses this mail.", grade="F", name="mail.eml")

    assert (found.tone, found.verdict, found.grade, found.audited) == ("bad", "au refuses this mail.", "Grade F", True)
    assert found.route == "file mail.eml"


def test_what_went_wrong_is_said_in_place_of_the_answer() -> None:
    found = row(problems=(VERBATIM(text="no message"),))

    assert (found.tone, found.verdict, found.audited) == ("unknown", "no message", False)


def test_words_of_strangers_hide_and_steer_nothing() -> None:
    found = row(subject="a\u202eb", sender="x\x1b[0m", name="\u2066.eml")

    assert (found.subject, found.sender, found.route) == ("a\\u202eb", "x\\x1b[0m", "file \\u2066.eml")
    assert row().subject == "(no subject)"
