"""What a reply means, and whether the next DMARC policy is safe, as programs see it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import msgspec

from deliverability.api.report import copied, language
from deliverability.console.judging import UNKNOWN_RECEIVER
from deliverability.core.errors import InputError
from deliverability.core.model.replies import About, Fit, ReplyCatalogue, Retry
from deliverability.core.model.report import Report as Judged
from deliverability.core.model.rules import RuleSet
from deliverability.core.replies.explain import explain
from deliverability.core.report.report import ReportView
from deliverability.core.rules.gate import earliest
from deliverability.core.words.speaker import Speaker
from deliverability.dmarc_reports.gate import gate_view, gates_json
from deliverability.engine.base import catalogue
from deliverability.explanations.report import explanation_json


@dataclass(frozen=True, slots=True)
class ExplainedReply:
    """One reply and what it means.

    Attributes:
        text: the receiver's own words.
        code, enhanced: reply code and enhanced status code, such as ``550`` and ``5.7.26``; or empty.
        receiver: id of the receiver, or empty.
        fit: how closely the meaning fits: receiver, wording, code or none.
        about: address, mailbox, host, message, sender, rate or unknown; None: the meaning is not known.
        retry: whether sending again helps: later, after-fix or no; None: the meaning is not known.
        rules: ids of the rules behind it, the most telling first.
        count: how often it was found.

    """

    text: str
    code: str
    enhanced: str
    receiver: str
    fit: Fit
    about: About | None
    retry: Retry | None
    rules: tuple[str, ...]
    count: int
    _words: Mapping[str, _Words] = field(repr=False, hash=False)
    _lang: str = field(repr=False, compare=False)

    def means(self, lang: str = "") -> str:
        """What it means, in English (``en``) or Japanese (``ja``); empty where that is not known."""
        words = self._words.get(language("lang", lang) if lang != "" else self._lang)
        return words.means if words is not None else ""

    def todo(self, lang: str = "") -> tuple[str, ...]:
        """What to do about it, step by step; empty where it is not known what it means."""
        words = self._words.get(language("lang", lang) if lang != "" else self._lang)
        return words.do if words is not None else ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was found in a text, and what it means.

    Attributes:
        kind: what the text is: text, json, message or mailbox.
        replies: in the order of the text.
        problem: why there are none, as a word; else empty.
        sender_domain: author domain of the message that came back, where the text holds it.

    """

    kind: str
    replies: tuple[ExplainedReply, ...]
    problem: str
    sender_domain: str
    _document: dict[str, Any] = field(repr=False, hash=False)

    def to_dict(self) -> dict[str, Any]:
        """The same as `deliv explain --format json` writes it, as plain data."""
        return dict(copied(self._document))


class _Words(msgspec.Struct, frozen=True):
    means: str
    do: tuple[str, ...]


class _Meaning(msgspec.Struct, frozen=True):
    retry: Retry
    about: About
    text: dict[str, _Words]


class _Receiver(msgspec.Struct, frozen=True):
    id: str


class _Reply(msgspec.Struct, frozen=True):
    text: str
    fit: Fit
    rules: tuple[str, ...]
    count: int
    code: str | None = None
    enhanced: str | None = None
    receiver: _Receiver | None = None
    meaning: _Meaning | None = None


class _Explanation(msgspec.Struct, frozen=True):
    kind: str
    replies: tuple[_Reply, ...]
    problem: str | None = None
    sender_domain: str | None = None


def explanation_of(reply: str, replies: ReplyCatalogue, rules: RuleSet, receiver: str, lang: str) -> Explanation:
    """What a reply means. Raises InputError where no such receiver is known."""
    if receiver and receiver not in replies.hosts:
        known = tuple(sorted(replies.hosts))
        raise InputError(UNKNOWN_RECEIVER(where="receiver", name=receiver, known=known))
    found = explain(reply.encode("utf-8", "surrogatepass"), replies, rules, receiver)
    document: dict[str, Any] = json.loads(explanation_json(found, (), Speaker(rules, catalogue(), lang)))
    shape = msgspec.convert(document, _Explanation)
    return Explanation(
        shape.kind,
        tuple(_explained(each, lang) for each in shape.replies),
        shape.problem or "",
        shape.sender_domain or "",
        document,
    )


def _explained(shape: _Reply, lang: str) -> ExplainedReply:
    meaning = shape.meaning
    return ExplainedReply(
        shape.text,
        shape.code or "",
        shape.enhanced or "",
        shape.receiver.id if shape.receiver is not None else "",
        shape.fit,
        meaning.about if meaning is not None else None,
        meaning.retry if meaning is not None else None,
        shape.rules,
        shape.count,
        meaning.text if meaning is not None else {},
        lang,
    )


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether the next DMARC policy is safe.

    Attributes:
        domain: whose policy it is.
        to: the policy that was asked about; empty: there is no next one.
        answer: safe, not-yet or cannot-tell; where there is no next policy stay, hits or cannot-tell.
        text: the answer in words, in the session's language.
        missing: ids of the rules that are not met, or could not be checked.
        earliest: the first day on which it can be safe; None: that cannot be told, or it is safe now.

    """

    domain: str
    to: str
    answer: str
    text: str
    missing: tuple[str, ...]
    earliest: date | None
    _document: dict[str, Any] = field(repr=False, hash=False)

    def to_dict(self) -> dict[str, Any]:
        """The same as `deliv gate --format json` writes it, as plain data."""
        return dict(copied(self._document))


def gate_of(report: Judged, rules: RuleSet, lang: str) -> Gate:
    """The gate's answer in a report."""
    answer = report.answer.gate
    today = date.fromisoformat(report.run.started[:10])
    day = earliest(answer, report.facts, rules, today=today) if answer is not None else None
    view = gate_view(ReportView(report, Speaker(rules, catalogue(), lang)), answer, day)
    document: dict[str, Any] = json.loads(gates_json([(view, answer, report.facts)]))
    missing = tuple(dict.fromkeys(each["rule"] for each in document["gates"][0]["missing"]))
    return Gate(report.domain, view.to, view.kind, view.headline, missing, day, document)
