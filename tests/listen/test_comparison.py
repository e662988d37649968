"""Two messages side by side: what of the second is another thing than in the first."""

from __future__ import annotations

from deliverability.core.report.records import Piece, PieceKind
from deliverability.core.report.report import ReportView
from deliverability.listen.look import MessageContents
from deliverability.listen.templates import ComparisonView, LineDiff, comparison_view
from tests.speaking import shipped
from tests.test_golden import audited as report_of

SAME = MessageContents(fields=(("From", "a@example.com"), ("Received", "one"), ("Received", "two")), text="a\nb\n")


def compared(
    old: MessageContents, new: MessageContents, *, subjects: tuple[str, str] = ("demo", "demo"), lang: str = "en"
) -> ComparisonView:
    views = [ReportView(report_of(each), shipped(lang)) for each in subjects]
    return comparison_view(views[0], views[1], (old, new))


def texts(lines: tuple[LineDiff, ...]) -> list[str]:
    marks = {PieceKind.SAME: "", PieceKind.ADDED: "+", PieceKind.REMOVED: "-"}
    return [each.left_out or "".join(f"{marks[piece.kind]}{piece.text}" for piece in each.pieces) for each in lines]


def test_a_message_differs_in_nothing_from_itself() -> None:
    found = compared(SAME, SAME)

    assert (found.settled, found.new, found.fields, found.text, found.html) == ((), (), (), (), ())
    assert found.same_fields == "3 fields are the same"
    assert found.verdicts
    assert not any(each.changed for each in (*found.verdicts, *found.sizes))


def test_what_another_message_settles_and_what_is_new_in_it() -> None:
    there = compared(SAME, SAME, subjects=("demo", "good"))
    back = compared(SAME, SAME, subjects=("good", "demo"))

    assert there.settled == back.new != ()
    assert there.new == back.settled
    gmail = next(each for each in there.verdicts if each.label == "Gmail")
    assert gmail.changed
    assert gmail.tones[1] == "good"


def test_fields_of_one_name_are_paired_in_their_order() -> None:
    new = MessageContents(fields=(("from", "b@example.com"), ("Received", "one"), ("received", "2"), ("Subject", "Hi")))

    fields = {each.name: each.pieces for each in compared(SAME, new).fields}
    assert fields["from"] == (Piece(PieceKind.REMOVED, "a@example.com"), Piece(PieceKind.ADDED, "b@example.com"))
    assert fields["received"] == (Piece(PieceKind.REMOVED, "two"), Piece(PieceKind.ADDED, "2"))
    assert fields["Subject"] == (Piece(PieceKind.ADDED, "Hi"),)


def test_the_words_of_a_changed_line_and_the_lines_around_it() -> None:
    old = MessageContents(text="\n".join(["one", "two", "three", "price 1000 yen", "five", "six", "seven"]))
    new = MessageContents(text="\n".join(["one", "two", "three", "price 2000 yen", "five", "six", "seven", "eight"]))

    assert texts(compared(old, new).text) == [
        "2 lines are the same",
        "three",
        "price- 1000+ 2000 yen",
        "five",
        "six",
        "seven",
        "+eight",
    ]


def test_a_long_change_is_cut_and_says_so() -> None:
    new = MessageContents(html_text="\n".join(f"line {number}" for number in range(100)))

    lines = texts(compared(MessageContents(), new).html)
    assert lines[:2] == ["+line 0", "+line 1"]
    assert lines[-1] == "80 more lines"
    assert len(lines) == 21


def test_what_hides_or_steers_is_written_out() -> None:
    new = MessageContents(fields=(("Subject", "a\u202eb"),), text="x\u202ey")

    found = compared(MessageContents(), new)
    assert "\u202e" not in found.fields[0].pieces[0].text
    assert "\u202e" not in found.text[0].pieces[0].text
