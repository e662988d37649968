"""Tests in words: as text, as lines of JSON, and the matrix as text, Markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from deliverability.core.codec import encode, encode_fields, encode_texts, json_text
from deliverability.core.model.rules import RuleSet
from deliverability.core.phrases import Phrases, detail_words
from deliverability.core.report.paper import Paper
from deliverability.core.report.wrap import pad, width_of
from deliverability.core.words.sentences import capital, duration, visible
from deliverability.seeds.kept import OTHERS, Matrix, Said, Share, is_unexplained
from deliverability.seeds.values import HEADER, Folder, Placed, Seed, tagged

_METHODS = ("spf", "dkim", "dmarc")
MATRIX_SCHEMA = "1.0"
_RULES_SHOWN = 5


class PlacedView(Struct, frozen=True):
    """One mailbox of a test in words; plain text.

    Attributes:
        mailbox: its name, and the receiver.
        where: folder, tab and delay.
        tone: good, risk or none, for its colour: by the folder alone.
        lines: what the receiver recorded, what its filter wrote, our verdict, and remarks.

    """

    mailbox: str
    where: str
    tone: str
    lines: tuple[str, ...]


class PlacementView(Struct, frozen=True):
    """A test in words: the mailboxes, and how much that tells."""

    title: str
    rows: tuple[PlacedView, ...]
    caution: str


_TONES = {Folder.INBOX: "good", Folder.SPAM: "risk", Folder.OTHER: "risk", Folder.MISSING: "risk"}


def placement_view(rows: Sequence[Placed], rules: RuleSet, say: Phrases) -> PlacementView:
    """The mailboxes of one test, in their order."""
    known = sum(row.folder is not Folder.UNREACHABLE for row in rows)
    arrived = sum(row.folder in (Folder.INBOX, Folder.SPAM, Folder.OTHER) for row in rows)
    test = rows[0].test if rows else ""
    number = say.count("seeds.mailboxes", known)
    title = say("seeds.title", test=visible(test), arrived=f"{arrived:,}", n=number)
    return PlacementView(
        title if known else say("seeds.title-none", test=visible(test)),
        tuple(_placed_view(row, rules, say) for row in rows),
        say("seeds.caution", n=number) if known else "",
    )


def _placed_view(row: Placed, rules: RuleSet, say: Phrases) -> PlacedView:
    receiver = receiver_words(row.receiver, rules, say)
    parts = [say(f"seeds.folder.{row.folder.value}")]
    parts += [say(f"seeds.tab.{row.tab}")] if row.tab and f"seeds.tab.{row.tab}" in say else []
    parts += [say("seeds.after", time=duration(row.delay_s, say))] if row.delay_s is not None else []
    lines = []
    if row.auth:
        results = say("punctuation.list").join(
            f"{name.upper()} {row.auth[name]}" for name in _METHODS if name in row.auth
        )
        lines.append(say("seeds.recorded", receiver=receiver, results=visible(results)))
    if row.signs:
        signs = say("punctuation.list").join(f"{name} {value}" for name, value in row.signs.items())
        lines.append(say("seeds.signs", signs=visible(signs)))
    if row.verdict is not None:
        by = say("punctuation.aside", text=_rules(row.rules, say)) if row.rules else ""
        lines.append(say("seeds.verdict", verdict=say(f"verdict.{row.verdict.value}")) + by)
    if is_unexplained(row):
        failed = row.auth.get("dmarc") == "fail"
        lines.append(say("seeds.contradicted", receiver=receiver) if failed else say("seeds.unexplained"))
    lines += [capital(visible(detail_words(each, say))) for each in row.remarks]
    named = visible(row.mailbox)
    return PlacedView(
        named if row.receiver == row.mailbox or not row.receiver else named + say("punctuation.aside", text=receiver),
        say("punctuation.list").join(parts),
        _TONES.get(row.folder, "none"),
        tuple(lines),
    )


def _rules(rules: Sequence[str], say: Phrases) -> str:
    more = len(rules) - _RULES_SHOWN
    shown = say("punctuation.list").join(rules[:_RULES_SHOWN])
    return shown + say("value.more", n=f"{more:,}") if more > 0 else shown


def receiver_words(receiver: str, rules: RuleSet, say: Phrases) -> str:
    """The receiver as it is called; where it is none of the rules, that."""
    known = rules.receivers.get(receiver)
    return (
        known.called(say.lang)
        if known is not None
        else visible(receiver.removeprefix(OTHERS)) or say("seeds.other-receiver")
    )


def placement_text(view: PlacementView, paper: Paper, say: Phrases) -> str:
    """For a terminal."""
    lines = [*paper.paragraph(view.title, style="bold"), ""]
    colours = {"good": "met", "risk": "warning"}
    for row in view.rows:
        lines += paper.hang(paper.ink(row.where, colours.get(row.tone, "")), row.mailbox + say("punctuation.colon"))
        for text in row.lines:
            lines += paper.paragraph(text, 2)
    return paper.text([*lines, "", *(paper.paragraph(view.caution, style="dim") if view.caution else ())])


def placed_json(row: Placed) -> str:
    """A mailbox of a test as one line."""
    shape: dict[str, Any] = {
        "test": encode(row.test),
        **encode_texts(row, "receiver"),
        "mailbox": encode(row.mailbox),
        **encode_texts(row, "domain"),
        **encode_fields(row, "sent", "found", "folder"),
        **encode_texts(row, "tab"),
        **encode_fields(row, "delay_s", "auth", "signs", "verdict"),
        "deciding": list(row.rules),
        "explained": not is_unexplained(row),
        "remarks": [each.code for each in row.remarks],
    }
    return json_text(shape) + "\n"


def list_text(seeds: Sequence[Seed], token: str, left: int, rules: RuleSet, paper: Paper, say: Phrases) -> str:
    """The addresses, the mark, and how many tests of today are left."""
    lines = [*paper.paragraph(say("seeds.list.title", n=say.count("seeds.mailboxes", len(seeds)))), ""]
    width = max((width_of(visible(each.name)) for each in seeds), default=0)
    for each in seeds:
        receiver = receiver_words(each.receiver, rules, say)
        address = visible(each.address)
        lines.append(f"  {pad(visible(each.name), width)}  {address}" + say("punctuation.aside", text=receiver))
    lines += ["", *paper.paragraph(say("seeds.list.header")), "", f"  {HEADER}: {token}", ""]
    if seeds:
        lines += paper.paragraph(say("seeds.list.plus", address=visible(tagged(seeds[0].address, token))))
    lines += ["", *paper.paragraph(say("seeds.list.then")), "", f"  {say('seeds.list.command', token=token)}", ""]
    return paper.text([*lines, *paper.paragraph(say("seeds.list.left", n=say.count("seeds.tests", left)), style="dim")])


def list_json(seeds: Sequence[Seed], token: str, left: int) -> str:
    """The same for programs."""
    shape = {
        "token": token,
        "header": {"name": HEADER, "value": token},
        "tests_left_today": left,
        "mailboxes": [
            encode_fields(each, "name")
            | encode_texts(each, "receiver")
            | {"address": each.address, "tagged": tagged(each.address, token)}
            for each in seeds
        ],
    }
    return json_text(shape, indent=2) + "\n"


# --- the matrix ---


class MatrixView(Struct, frozen=True):
    """One matrix in words: `rows` begin with what we said; `figures` are the two that count."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    figures: tuple[str, ...]


def matrix_view(matrix: Matrix, rules: RuleSet, say: Phrases) -> MatrixView:
    """The matrix of one receiver, or of all."""
    receiver = receiver_words(matrix.receiver, rules, say) if matrix.receiver else say("seeds.matrix.all")
    return MatrixView(
        say("seeds.matrix.of", receiver=receiver, n=say.count("seeds.mails", matrix.n)),
        (say("seeds.matrix.verdict"), *(say(f"seeds.folder.{folder.value}") for folder in Folder)),
        tuple(
            (say(f"seeds.said.{kind.value}"), *(f"{matrix.cells[kind][folder]:,}" for folder in Folder))
            for kind in Said
            if any(matrix.cells[kind].values())
        ),
        (
            _figure("seeds.matrix.yet-inbox", "seeds.matrix.yet-inbox-none", matrix.yet_inbox, say),
            _figure("seeds.matrix.yet-spam", "seeds.matrix.yet-spam-none", matrix.yet_spam, say),
        ),
    )


def _figure(key: str, none: str, share: Share, say: Phrases) -> str:
    if share.low is None or share.high is None:
        return say(none)
    values = {"k": f"{share.k:,}", "n": f"{share.n:,}"}
    bounds = say("seeds.matrix.bounds", low=f"{100 * share.low:.0f}", high=f"{100 * share.high:.0f}")
    return say(key, **values) + bounds


def matrix_text(found: Sequence[Matrix], days: int, rules: RuleSet, paper: Paper, say: Phrases) -> str:
    """For a terminal."""
    if not found:
        return paper.text(paper.paragraph(say("seeds.matrix.none", days=say.count("unit.day", days))))
    lines = paper.paragraph(say("seeds.matrix.title", days=say.count("unit.day", days)), style="bold")
    for matrix in found:
        view = matrix_view(matrix, rules, say)
        table = [view.head, *view.rows]
        widths = [max(width_of(row[at]) for row in table) for at in range(len(view.head))]
        lines += ["", paper.ink(view.title, "bold")]
        for row in table:
            cells = [
                pad(row[0], widths[0]),
                *(" " * (widths[at] - width_of(row[at])) + row[at] for at in range(1, len(row))),
            ]
            lines.append("  ".join(cells))
        for text in view.figures:
            lines += paper.hang(text, f"{paper.symbol('bullet')} ")
    return paper.text([*lines, "", *paper.paragraph(say("seeds.matrix.caution"), style="dim")])


def matrix_markdown(found: Sequence[Matrix], days: int, rules: RuleSet, say: Phrases) -> str:
    """As tables that hosts of repositories show."""
    if not found:
        return say("seeds.matrix.none", days=say.count("unit.day", days)) + "\n"
    lines = [f"# {_marked(say('seeds.matrix.title', days=say.count('unit.day', days)))}"]
    for matrix in found:
        view = matrix_view(matrix, rules, say)
        lines += ["", f"## {_marked(view.title)}", ""]
        lines.append("| " + " | ".join(map(_marked, view.head)) + " |")
        lines.append("|" + "---|" + "---:|" * (len(view.head) - 1))
        lines += ["| " + " | ".join(map(_marked, row)) + " |" for row in view.rows]
        lines += ["", *(f"- {_marked(text)}" for text in view.figures)]
    return "\n".join([*lines, "", say("seeds.matrix.caution"), ""])


def _marked(text: str) -> str:
    """Text in which nothing is markup: a receiver may be called anything."""
    return "".join(f"\\{char}" if char in "\\`*_[]<>|#" else char for char in text)


def matrix_json(found: Sequence[Matrix], days: int) -> str:
    """For programs."""
    shape = {
        "schema_version": MATRIX_SCHEMA,
        "days": days,
        "all": next((_matrix_shape(each) for each in found if not each.receiver), None),
        "receivers": [
            {"receiver": None if each.receiver == OTHERS else each.receiver, **_matrix_shape(each)}
            for each in found
            if each.receiver
        ],
    }
    return json_text(shape, indent=2) + "\n"


def _matrix_shape(matrix: Matrix) -> dict[str, Any]:
    return {
        "n": matrix.n,
        "cells": encode(matrix.cells),
        "refused_or_at_risk_yet_inbox": _share_shape(matrix.yet_inbox),
        "no_obstacle_yet_spam_or_missing": _share_shape(matrix.yet_spam),
    }


def _share_shape(share: Share) -> dict[str, Any]:
    return {name: round(each, 4) if isinstance(each, float) else each for name, each in encode(share).items()}
