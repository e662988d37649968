"""How the verdicts of SPF and DKIM came about, in words, line by line."""

from __future__ import annotations

import re
from itertools import groupby

from msgspec import Struct

from deliverability.core.codes import Detail
from deliverability.core.facts.base import Unknown
from deliverability.core.facts.dkim import Dkim, DkimSignature
from deliverability.core.facts.spf import SpfResult, SpfVerdict, StepOutcome, Trace, TraceStep
from deliverability.core.model.report import Report
from deliverability.core.model.topic import if_known
from deliverability.core.phrases import Phrases, detail_words
from deliverability.core.words.sentences import shortened, unknown_sentence, visible, word_of

MAX_LINES = 400
_MAX_SIGNATURES = 20
_NAME = re.compile(r"[+\-?~]?([A-Za-z0-9]+)")
_RANGES = ("ip4", "ip6")
_PASSED_BY = frozenset({StepOutcome.NOT_REACHED, StepOutcome.DEAD, StepOutcome.IGNORED})


class TraceLine(Struct, frozen=True):
    """One term of a record, or several in a row that came to the same.

    Attributes:
        depth: 0 for the record that was asked for, 1 inside an include, and so on.
        mark: ``match``, ``no-match``, ``error``, ``followed`` or ``skipped``.
        term: as published; joined where there are several.
        words: what came of it.
        cost: look-ups that it took, in words; empty where none.
        detail: it lies inside an include that did not match, and so only matters to who wants all of it.

    """

    depth: int
    mark: str
    term: str
    words: str
    cost: str
    detail: bool


class SpfTrace(Struct, frozen=True):
    """How SPF was evaluated for one address. `more` lines were left out."""

    title: str
    checked: str
    record: str
    conclusion: str
    passed: bool
    lines: tuple[TraceLine, ...]
    more: int


class SignatureTrace(Struct, frozen=True):
    """How one DKIM signature was checked: its name, the result, and why, one sentence each."""

    name: str
    result: str
    state: str
    words: tuple[str, ...]


class Traces(Struct, frozen=True):
    """All of a report; None or empty where nothing was evaluated."""

    spf: SpfTrace | None
    dkim: tuple[SignatureTrace, ...]


def traces(report: Report, say: Phrases) -> Traces:
    """The traces that the facts of `report` hold."""
    return Traces(_spf(report, say), _dkim(report, say))


# --- SPF -----------------------------------------------------------------------------------------------------------


def _spf(report: Report, say: Phrases) -> SpfTrace | None:
    facts = report.facts
    trace, ip = if_known(facts.of(SpfVerdict).trace), word_of(facts.of(SpfVerdict).result_ip)
    if trace is None or not ip:
        return None
    identity = f"trace.identity.{if_known(facts.of(SpfVerdict).result_identity) or ''}"
    lines: list[TraceLine] = []
    _collect(trace, 0, False, ip, lines, say)
    return SpfTrace(
        title=say("trace.spf-title", ip=ip),
        checked=say("trace.checked", domain=word_of(trace.domain), identity=say(identity) if identity in say else ""),
        record=word_of(trace.record),
        conclusion=say(
            "trace.conclusion",
            result=trace.result.value,
            reason=_words(trace.reason, say),
            lookups=say.count("trace.lookups", sum(step.lookups for step in trace.steps)),
        ),
        passed=trace.result is SpfResult.PASS,
        lines=tuple(lines[:MAX_LINES]),
        more=max(0, len(lines) - MAX_LINES),
    )


def _words(detail: Detail | None, say: Phrases) -> str:
    return visible(shortened(detail_words(detail, say))) if detail else ""


def _collect(trace: Trace, depth: int, detail: bool, ip: str, lines: list[TraceLine], say: Phrases) -> None:
    for together, steps in groupby(trace.steps, _kind):
        if together:
            listed = [word_of(step.term) for step in steps]
            lacks = together == "lacks"
            words = _lacks(len(listed), ip, say) if lacks else say(f"trace.{together}")
            mark = "no-match" if lacks else "skipped"
            lines.append(TraceLine(depth, mark, " ".join(listed), words, "", detail))
            continue
        for step in steps:
            lines.append(
                TraceLine(
                    depth,
                    step.outcome.value,
                    word_of(step.term),
                    _outcome(step, ip, trace.result.value, say),
                    say.count("trace.lookups", step.lookups) if step.lookups else "",
                    detail,
                )
            )
            if step.nested:
                _collect(step.nested, depth + 1, detail or step.outcome is StepOutcome.NO_MATCH, ip, lines, say)


def _kind(step: TraceStep) -> str:
    """What several terms in a row have in common, so that one line is enough for them; empty for one of its own."""
    if step.outcome is StepOutcome.NO_MATCH and _name(step) in _RANGES:
        return "lacks"
    return step.outcome.value if step.outcome in _PASSED_BY else ""


def _name(step: TraceStep) -> str:
    match = _NAME.match(step.term)
    return match[1].lower() if match else ""


def _lacks(ranges: int, ip: str, say: Phrases) -> str:
    return say("trace.lacks", ip=ip) if ranges == 1 else say("trace.lack", n=f"{ranges:,}", ip=ip)


def _outcome(step: TraceStep, ip: str, result: str, say: Phrases) -> str:
    """What came of one term."""
    name, nested, detail = _name(step), step.nested, _words(step.detail, say)
    if step.outcome is StepOutcome.ERROR:
        return say("trace.error", detail=detail)
    if nested:
        key = {StepOutcome.FOLLOWED: "trace.followed", StepOutcome.MATCH: "trace.include-match"}
        return say(key.get(step.outcome, "trace.include"), domain=word_of(nested.domain), result=nested.result.value)
    if name == "all":
        return say("trace.all", result=result)
    if name in _RANGES:
        return say("trace.holds", ip=ip, result=result)
    return say("trace.asked-match" if step.outcome is StepOutcome.MATCH else "trace.asked", detail=detail, ip=ip)


# --- DKIM ----------------------------------------------------------------------------------------------------------


def _dkim(report: Report, say: Phrases) -> tuple[SignatureTrace, ...]:
    return tuple(_signature(each, say) for each in (if_known(report.facts.of(Dkim).signatures) or ())[:_MAX_SIGNATURES])


def _signature(found: DkimSignature, say: Phrases) -> SignatureTrace:
    name = say("trace.signature", domain=word_of(found.domain) or "—", selector=word_of(found.selector) or "—")
    if isinstance(found.result, Unknown):
        return SignatureTrace(name, say("trace.not-checked"), "unknown", (unknown_sentence(found.result, say),))
    passed = found.result == "pass"
    words = []
    reason = if_known(found.reason)
    if passed or reason:
        key = f"trace.dkim.{'pass' if passed else reason}"
        words.append(say(key) if key in say else word_of(reason))
    if isinstance(found.bits, int) and isinstance(found.key_type, str):
        bits = str(found.bits)
        words.append(say("trace.key", name=word_of(found.key_name), type=word_of(found.key_type), bits=bits))
    elif found.key_name:
        words.append(say("trace.key-name", name=word_of(found.key_name)))
    if isinstance(found.changed_headers, tuple) and found.changed_headers:
        fields = say("value.separator").join(word_of(each) for each in found.changed_headers[:20])
        words.append(say("trace.changed", fields=fields))
    if isinstance(found.errors, tuple) and found.errors and not passed:
        terms = say("punctuation.clauses").join(
            visible(shortened(detail_words(each, say))) for each in found.errors[:10]
        )
        words.append(say("trace.terms", terms=terms))
    return SignatureTrace(name, found.result, "good" if passed else "bad", tuple(words))
