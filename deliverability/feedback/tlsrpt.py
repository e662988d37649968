"""TLS reports (RFC 8460 section 4), read within limits."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from deliverability.feedback import limits
from deliverability.feedback.limits import NotReadError
from deliverability.feedback.values import is_period, line, utc_day, word
from deliverability.mail.addresses import to_a_label
from deliverability.model.observed import TlsFailure, TlsPolicyResult, TlsReport

_MAX_POLICIES = 1_000
_MAX_FAILURES = 1_000


def is_tls_report(document: Any) -> bool:
    """Whether a JSON value is meant to be one."""
    return isinstance(document, dict) and "policies" in document and "report-id" in document


def tls_report(document: Any, now: int) -> TlsReport:
    """The report that a JSON value is. `now`: seconds since 1970. Raises NotReadError where it is none.

    Where a policy's sum of failures is smaller than its details, as some reporters write, the details count.
    """
    if not is_tls_report(document):
        raise NotReadError(limits.NOT_FEEDBACK())
    period = document.get("date-range")
    period = period if isinstance(period, dict) else {}
    begin, end = _second(period.get("start-datetime")), _second(period.get("end-datetime"))
    if begin is None or end is None:
        raise NotReadError(limits.NOT_STATED(what="date-range"))
    problems = []
    if not is_period(begin, end, now):
        problems.append(limits.BAD_PERIOD(begin=utc_day(begin), end=utc_day(end)))
    policies = document["policies"]
    policies = policies if isinstance(policies, list) else []
    return TlsReport(
        reporter=_text(document.get("organization-name"), 253),
        report_id=_text(document["report-id"], 255),
        begin=begin,
        end=end,
        policies=tuple(_policy(each) for each in policies[:_MAX_POLICIES] if isinstance(each, dict)),
        problems=tuple(problems),
    )


def _policy(given: dict[str, Any]) -> TlsPolicyResult:
    policy, summary = given.get("policy"), given.get("summary")
    policy = policy if isinstance(policy, dict) else {}
    summary = summary if isinstance(summary, dict) else {}
    details = given.get("failure-details")
    failures: Counter[tuple[str, str]] = Counter()
    for each in details[:_MAX_FAILURES] if isinstance(details, list) else ():
        if isinstance(each, dict):
            failures[word(_text(each.get("result-type"), 40)), _mx(each, policy)] += _count(
                each.get("failed-session-count")
            )
    counted = tuple(TlsFailure(kind, mx, count) for (kind, mx), count in failures.most_common() if count)
    return TlsPolicyResult(
        domain=to_a_label(_text(policy.get("policy-domain"), 253)) or "",
        type=word(_text(policy.get("policy-type"), 40)),
        succeeded=_count(summary.get("total-successful-session-count")),
        failed=max(_count(summary.get("total-failure-session-count")), sum(each.count for each in counted)),
        failures=counted,
    )


def _mx(failure: dict[str, Any], policy: dict[str, Any]) -> str:
    """The host that was connected to; else the one pattern of the policy, which is text or a list."""
    written = failure.get("receiving-mx-hostname") or policy.get("mx-host")
    if isinstance(written, list):
        written = written[0] if len(written) == 1 else ""
    host = _text(written, 253)
    name = to_a_label(host.removeprefix("*."))
    return "" if name is None else f"*.{name}" if host.startswith("*.") else name


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value <= limits.MAX_COUNT else 0


def _text(value: Any, most: int) -> str:
    return line(value, most) if isinstance(value, str) else ""


def _second(value: Any) -> int | None:
    """A time of RFC 3339; some reporters leave the seconds out."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
