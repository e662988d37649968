"""What an intake did and what a report says, in words, as text and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import structs, to_builtins

from deliverability.core.codec import encode, json_text
from deliverability.core.model.deliveries import DeliveryResult
from deliverability.core.model.observed import (
    AggregateReport,
    AggregateRow,
    FailureReport,
    FeedbackKind,
    TlsReport,
    address_of,
)
from deliverability.core.phrases import Phrases, detail_words, joined
from deliverability.core.report.paper import HistoryCellView, Paper, TableView, history_text
from deliverability.core.words.sentences import full_day_words, visible
from deliverability.intake.run import IntakeResult

_NAMES = 3


def intake_text(result: IntakeResult, paper: Paper, say: Phrases) -> str:
    """What an intake did, for a terminal: sentences, the reports by reporter, and what went wrong."""
    parts = [paper.text(line for each in _sentences(result, say) for line in paper.paragraph(each))]
    if result.tallies:
        parts.append(history_text(_tallies(result, say), paper, say))
    if result.problems or result.more_problems:
        parts.append(paper.text(_problems(result, paper, say)))
    return "\n".join(parts)


def _sentences(result: IntakeResult, say: Phrases) -> Iterator[str]:
    yield say.count("intake.items", result.items)
    for name, n in (("seen", result.seen), ("others", result.others), ("old", result.old)):
        if n:
            yield say.count(f"intake.{name}", n)
    results = [
        say.count(f"intake.result.{each.value}", result.results[each])
        for each in DeliveryResult
        if result.results[each]
    ]
    if results:
        yield say("intake.results", results=say("punctuation.clauses").join(results))
    unproven = [say.count(f"intake.counted.{kind.value}", n) for kind in FeedbackKind if (n := result.unproven[kind])]
    if unproven:
        yield say("intake.unproven", what=joined(unproven, say))


def _tallies(result: IntakeResult, say: Phrases) -> TableView:
    rows = [
        (
            _reporter(kind, reporter, say),
            say(f"intake.kind.{kind.value}"),
            f"{tally.new:,}",
            f"{tally.known:,}",
            f"{tally.messages:,}",
            say.count("intake.untrusted", tally.untrusted) if tally.untrusted else "",
        )
        for (kind, reporter), tally in sorted(result.tallies.items(), key=lambda each: (-each[1].messages, each[0]))
    ]
    new = Counter[FeedbackKind]()
    for (kind, _), tally in result.tallies.items():
        new[kind] += tally.new
    counted = [say.count(f"intake.counted.{kind.value}", new[kind]) for kind in FeedbackKind if new[kind]]
    title = say("intake.new", what=joined(counted, say)) if counted else say("intake.nothing-new")
    if known := sum(each.known for each in result.tallies.values()):
        title += say("punctuation.clauses") + say.count("intake.known", known)
    return _table(title, "", ("reporter", "kind", "new", "known", "messages", "note"), rows, say)


def _reporter(kind: FeedbackKind, reporter: str, say: Phrases) -> str:
    """The name of a reporter: as it calls itself; of what the user brings, where it is from."""
    if kind in (FeedbackKind.EVENT, FeedbackKind.LOG, FeedbackKind.NUMBERS):
        return say(f"intake.origin.{reporter}")
    return visible(reporter) or say("intake.nobody")


def _problems(result: IntakeResult, paper: Paper, say: Phrases) -> Iterator[str]:
    """What went wrong, each once, with some of the files and mails."""
    names: dict[str, list[str]] = {}
    for each in result.problems:
        names.setdefault(detail_words(each.detail, say), []).append(visible(each.name))
    for words, found in names.items():
        yield from paper.paragraph(words)
        rest = len(found) - _NAMES
        for name in (*found[:_NAMES], *((say.count("intake.more-names", rest),) if rest > 0 else ())):
            yield from paper.paragraph(name, 2)
    if result.more_problems:
        yield from paper.paragraph(say.count("intake.more-problems", result.more_problems))


def aggregate_table(report: AggregateReport, rows: Sequence[AggregateRow], most: int, say: Phrases) -> TableView:
    """The rows of an aggregate report by their number of messages, at most so many (0: all); the rest as one sum."""
    ordered = sorted(rows, key=lambda row: (-row.messages, row.ip))
    shown = ordered[:most] if most else ordered
    made = [
        (
            address_of(row.ip),
            f"{row.messages:,}",
            visible(row.facet.header_from),
            _result(row.facet.aligned, say),
            _checked(row.facet.aligned_spf, f"{row.facet.spf_domain} {row.facet.spf_result}".strip(), say),
            _checked(
                row.facet.aligned_dkim,
                say("punctuation.list").join(
                    f"{each.domain}/{each.selector or '-'} {each.result}" for each in row.facet.dkim
                ),
                say,
            ),
            " ".join(each for each in (row.facet.disposition, row.facet.reason) if each),
        )
        for row in shown
    ]
    if len(shown) < len(ordered):
        rest = ordered[len(shown) :]
        label = say.count("intake.more-rows", len(rest))
        made.append((label, f"{sum(row.messages for row in rest):,}", "", "", "", "", ""))
    heads = ("address", "messages", "from", "dmarc", "spf", "dkim", "policy")
    aligned = sum(row.messages for row in rows if row.facet.aligned)
    title = say(
        "intake.report-title",
        domain=visible(report.domain),
        reporter=visible(report.reporter) or visible(report.email) or say("intake.nobody"),
        messages=say.count("intake.messages", report.messages),
        aligned=f"{aligned:,}",
    )
    left_out = any(
        (facet.spf_result and not facet.aligned_spf) or (facet.dkim and not facet.aligned_dkim)
        for facet in (row.facet for row in shown)
    )
    table = _table(title, _period(report.begin, report.end, say), heads, made, say)
    return structs.replace(table, note=say("intake.not-aligned-note")) if left_out else table


def tls_table(report: TlsReport, say: Phrases) -> TableView:
    """A TLS report: a row for each policy, and one for each kind of failure."""
    made = []
    for policy in report.policies:
        made.append((visible(policy.domain), policy.type, f"{policy.succeeded:,}", f"{policy.failed:,}", ""))
        made += [("", "", "", f"{each.count:,}", f"{each.type} {visible(each.mx)}") for each in policy.failures]
    title = say("intake.tls-title", reporter=visible(report.reporter) or say("intake.nobody"))
    heads = ("domain", "tls", "succeeded", "failed", "failure")
    return _table(title, _period(report.begin, report.end, say), heads, made, say)


def failure_table(report: FailureReport, say: Phrases) -> TableView:
    """A failure report: one row."""
    signature = f"{report.signature.domain}/{report.signature.selector or '-'}" if report.signature else ""
    row = (address_of(report.ip) if report.ip else "", visible(report.domain), report.failed, visible(signature))
    title = say("intake.failure-title", reporter=visible(report.reporter) or say("intake.nobody"))
    day = "" if report.arrived is None else _date(report.arrived, say)
    return _table(title, day, ("address", "domain", "failed-checks", "signature"), [row], say)


def _table(title: str, period: str, heads: Iterable[str], rows: Iterable[tuple[str, ...]], say: Phrases) -> TableView:
    cells = tuple(tuple(HistoryCellView(text) for text in row) for row in rows)
    return TableView(title, period, tuple(say(f"intake.head.{each}") for each in heads), cells, moments=False)


def _result(passed: bool, say: Phrases) -> str:
    return say("intake.pass" if passed else "intake.fail")


def _checked(aligned: bool, result: str, say: Phrases) -> str:
    """What a receiver checked; in brackets where it does not count, for it is of another domain or did not pass."""
    return visible(result) if aligned else say("intake.not-aligned", what=visible(result)) if result else ""


def _period(begin: int, end: int, say: Phrases) -> str:
    first, last = _date(begin, say), _date(max(begin, end - 1), say)
    return first if first == last else say("date.period", begin=first, end=last)


def _date(second: int, say: Phrases) -> str:
    return full_day_words(datetime.fromtimestamp(second, UTC).date().isoformat(), say)


_KINDS = {
    AggregateReport: FeedbackKind.AGGREGATE,
    FailureReport: FeedbackKind.FAILURE,
    TlsReport: FeedbackKind.TLS,
}


def intake_json(result: IntakeResult, say: Phrases) -> str:
    """For programs."""
    return json_text(
        {
            "items": result.items,
            "seen": result.seen,
            "without_report": result.others,
            "too_old": result.old,
            "new": sum(each.new for each in result.tallies.values()),
            "duplicates": sum(each.known for each in result.tallies.values()),
            "reports": [
                {"kind": kind.value, "reporter": reporter, **structs.asdict(tally)}
                for (kind, reporter), tally in sorted(result.tallies.items())
            ],
            "unproven": {each.value: result.unproven[each] for each in FeedbackKind if result.unproven[each]},
            "results": {each.value: result.results[each] for each in DeliveryResult if result.results[each]},
            "problems": [
                {
                    "name": each.name,
                    "code": each.detail.code,
                    "detail": encode(each.detail),
                    "text": detail_words(each.detail, say),
                    "lost": each.lost,
                }
                for each in result.problems
            ],
            "more_problems": result.more_problems,
        }
    )


def report_json(report: AggregateReport | TlsReport | FailureReport, rows: Sequence[AggregateRow]) -> dict[str, Any]:
    """A report as values for JSON."""
    kind = _KINDS[type(report)]
    data = to_builtins(report)
    data["problems"] = [encode(each) for each in getattr(report, "problems", ())]
    if isinstance(report, FailureReport):
        data["ip"] = address_of(report.ip) if report.ip else ""
        data["signature"] = report.signature._asdict() if report.signature else None
        del data["problems"]
    if isinstance(report, AggregateReport):
        data["rows"] = [
            {
                "ip": address_of(row.ip),
                "messages": row.messages,
                **row.facet._asdict(),
                "dkim": [each._asdict() for each in row.facet.dkim],
                "aligned": row.facet.aligned,
            }
            for row in rows
        ]
    return {"kind": kind.value, **data}
