"""What SNDS of Outlook.com says of the domain's addresses, by the exports that were read. Asks DNS for SPF ranges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from ipaddress import ip_address
from typing import Final

from deliverability.auditors.base import Context, auditor, spec
from deliverability.auditors.gmail import WEEK, published_evidence
from deliverability.model.codes import Input, needs
from deliverability.model.deliveries import ValueDay
from deliverability.model.facts import FactType, Reason, Unknown, Value, number_of

MAX_ADDRESSES: Final = 200
_GREEN, _YELLOW, _RED = 0, 1, 2
_NAMES = {_GREEN: "green", _YELLOW: "yellow", _RED: "red"}
_STR, _INT, _FLOAT = FactType.STR, FactType.INT, FactType.FLOAT

PROVIDES = (
    spec("snds.addresses", FactType.LIST_RECORD, "What is said of each address that sends for the domain.", key=["ip"]),
    spec("snds.addresses[].ip", _STR, "Address."),
    spec("snds.addresses[].day", _STR, "Newest day that is told of (ISO date)."),
    spec("snds.addresses[].recipients", _INT, "Messages of that day.", unit="messages", optional=True),
    spec("snds.addresses[].result", _STR, "Filter result of it.", optional=True, values=list(_NAMES.values())),
    spec("snds.addresses[].red_days", _INT, "Red ones among the seven days that end with it.", unit="days"),
    spec("snds.addresses[].bad_days", _INT, "Red and yellow ones among them.", unit="days"),
    spec("snds.addresses[].traps", _INT, "Hits of spam traps in them.", unit="messages"),
    spec(
        "snds.addresses[].complaints_low",
        _FLOAT,
        "Highest complaint rate in them, at least.",
        unit="percent",
        optional=True,
    ),
    spec("snds.addresses[].complaints_high", _FLOAT, "And at most.", unit="percent", optional=True),
    spec(
        "snds.addresses[].blocked", FactType.BOOL, "Outlook.com takes no mail from it; none: not told.", optional=True
    ),
)
_NO_SNDS = Unknown(Reason.NOT_CONFIGURED, needs(Input.SNDS))


@auditor("snds", provides=PROVIDES)
async def audit(ctx: Context) -> None:
    """State what is said of our own addresses; without anything that was read, it waits for it."""
    deliveries = ctx.subject.deliveries
    if deliveries is None or not deliveries.snds:
        ctx.put("snds.addresses", _NO_SNDS)
        return
    is_ours = await _owner(ctx)
    if isinstance(is_ours, Unknown):
        ctx.put("snds.addresses", is_ours)
        return
    by_address: defaultdict[str, list[ValueDay]] = defaultdict(list)
    for each in deliveries.snds:
        by_address[each.subject].append(each)
    ours = {ip: values for ip, values in by_address.items() if is_ours(ip)}
    if not ours:
        ctx.put("snds.addresses", _NO_SNDS)
        return
    rows = [_address(ip, values) for ip, values in ours.items()]
    rows.sort(key=lambda row: (-number_of(row["red_days"]), -number_of(row["bad_days"]), str(row["ip"])))
    cited = ctx.cite(published_evidence("snds", "SNDS", [each for values in ours.values() for each in values]))
    ctx.put("snds.addresses", tuple(rows[:MAX_ADDRESSES]), cited)


async def _owner(ctx: Context) -> Callable[[str], bool] | Unknown:
    """What tells whether an address sends for the domain: the user, or its SPF record."""
    from deliverability.protocols.spf.coverage import measure
    from deliverability.protocols.spf.tree import walk_tree

    given = {str(ip_address(each)) for each in ctx.subject.sending_ips}
    if given:
        return given.__contains__
    coverage = await measure(await walk_tree(ctx.subject.domain, ctx.ports.dns), ctx.ports.dns)
    if coverage.gap is not None and coverage.gap.reason is not Reason.LIMIT:
        return coverage.gap
    # SNDS tells of addresses only whom they belong to, so none of them is a stranger's.
    return lambda ip: any(group.covers(ip) for group in coverage.groups)


def _address(ip: str, values: Sequence[ValueDay]) -> dict[str, Value]:
    newest = max(each.day for each in values)
    week = [each for each in values if each.day > newest - timedelta(days=WEEK)]
    results = {each.day: int(each.high) for each in week if each.metric == "result"}
    rates = [each for each in week if each.metric == "complaints"]
    blocked = [each for each in week if each.metric == "blocked"]
    return {
        "ip": ip,
        "day": newest.isoformat(),
        "recipients": _value_on(values, "recipients", newest),
        "result": _NAMES.get(results.get(newest, -1)),
        "red_days": sum(result == _RED for result in results.values()),
        "bad_days": sum(result in (_RED, _YELLOW) for result in results.values()),
        "traps": int(sum(each.high for each in week if each.metric == "traps")),
        "complaints_low": max((each.low for each in rates), default=None),
        "complaints_high": max((each.high for each in rates), default=None),
        "blocked": any(each.high > 0 for each in blocked) if blocked else None,
    }


def _value_on(values: Sequence[ValueDay], metric: str, day: date) -> int | None:
    return next((int(each.high) for each in values if each.metric == metric and each.day == day), None)
