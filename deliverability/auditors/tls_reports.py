"""How TLS to the domain's mail servers went, by the TLS reports that were read. Asks nothing."""

from __future__ import annotations

from collections import Counter

from deliverability.auditors.base import Context, auditor, spec
from deliverability.model.codes import Input, needs
from deliverability.model.facts import FactType, Reason, Unknown

MAX_FAILURES = 50

PROVIDES = (
    spec("tls_reports.reports", FactType.INT, "TLS reports.", unit="reports"),
    spec("tls_reports.sessions", FactType.INT, "TLS connections that they tell of.", unit="connections"),
    spec("tls_reports.failed", FactType.INT, "Those that failed.", unit="connections"),
    spec("tls_reports.failures", FactType.LIST_RECORD, "How they failed, the most first.", key=["type", "mx"]),
    spec("tls_reports.failures[].type", FactType.STR, "Result type of RFC 8460 section 4.3."),
    spec("tls_reports.failures[].mx", FactType.STR, "MX host; none: not told.", optional=True),
    spec("tls_reports.failures[].count", FactType.INT, "Connections.", unit="connections"),
    spec("tls_reports.failures[].policy", FactType.STR, "Type of the policy: sts, tlsa or no-policy-found."),
)
_PATHS = tuple(each.path for each in PROVIDES if "[]" not in each.path)


@auditor("tls_reports", provides=PROVIDES)
async def audit(ctx: Context) -> None:
    """Add up the reports; without any that were read, all waits for them."""
    observed = ctx.subject.observed
    if observed is None or not observed.tls:
        ctx.put_all(dict.fromkeys(_PATHS, Unknown(Reason.NOT_CONFIGURED, needs(Input.REPORTS))))
        return
    domain = ctx.subject.domain
    policies = [each for report in observed.tls for each in report.policies if each.domain in ("", domain)]
    failures: Counter[tuple[str, str, str]] = Counter()
    for policy in policies:
        for each in policy.failures:
            failures[each.type, each.mx, policy.type] += each.count
    failed = sum(each.failed for each in policies)
    ctx.put("tls_reports.reports", len(observed.tls))
    ctx.put("tls_reports.sessions", failed + sum(each.succeeded for each in policies))
    ctx.put("tls_reports.failed", failed)
    listed = (
        {"type": kind, "mx": mx or None, "count": count, "policy": policy}
        for (kind, mx, policy), count in failures.most_common(MAX_FAILURES)
    )
    ctx.put("tls_reports.failures", tuple(listed))
