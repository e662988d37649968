"""What a reply means, and whether the next DMARC policy is safe, as programs see it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from deliverability.api.report import copied, language
from deliverability.console.judging import UNKNOWN_RECEIVER
from deliverability.core.codec import printable
from deliverability.core.errors import InputError
from deliverability.core.model.replies import About, Explained, Fit, Meaning, ReplyCatalogue, Retry
from deliverability.core.model.replies import Explanation as Found
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
    _meaning: Meaning | None = field(repr=False, hash=False)
    _lang: str = field(repr=False, compare=False)

    def means(self, lang: str = "") -> str:
        """What it means, in English (``en``) or Japanese (``ja``); empty where that is not known."""
        spoken = language("lang", lang) if lang != "" else self._lang
        return self._meaning.meaning[spoken] if self._meaning is not None else ""

    def todo(self, lang: str = "") -> tuple[str, ...]:
        """What to do about it, step by step; empty where it is not known what it means."""
        spoken = language("lang", lang) if lang != "" else self._lang
        return self._meaning.steps[spoken] if self._meaning is not None else ()


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


def explanation_of(reply: str, replies: ReplyCatalogue, rules: RuleSet, receiver: str, lang: str) -> Explanation:
    """What a reply means. Raises InputError where no such receiver is known."""
    if receiver and receiver not in replies.hosts:
        known = tuple(sorted(replies.hosts))
        raise InputError(UNKNOWN_RECEIVER(where="receiver", name=receiver, known=known))
    found = explain(reply.encode("utf-8", "surrogatepass"), replies, rules, receiver)
    document: dict[str, Any] = json.loads(explanation_json(found, (), Speaker(rules, catalogue(), lang)))
    explained = tuple(_explained(each, found, lang) for each in found.replies)
    return Explanation(found.kind, explained, found.problem, printable(found.sender_domain), document)


def _explained(each: Explained, found: Found, lang: str) -> ExplainedReply:
    meaning, host = each.meaning, found.hosts.get(each.receiver)
    return ExplainedReply(
        printable(each.reply.text),
        each.reply.code,
        each.reply.enhanced,
        host.id if host is not None else "",
        each.fit,
        meaning.about if meaning is not None else None,
        meaning.retry if meaning is not None else None,
        each.rules,
        each.count,
        meaning,
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
