"""What became of the domain's mail, by the bounces, complaints, events and logs that were read. Asks nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date

from deliverability.core.codes import Code, Input, needs
from deliverability.core.facts.base import Evidence, EvidenceKind, FactType, Reason, Unknown, Value
from deliverability.core.model.deliveries import (
    COUNTS,
    CauseDay,
    Deliveries,
    DeliveryDay,
    DeliveryOrigin,
    DeliveryResult,
)
from deliverability.core.model.replies import About
from deliverability.core.names import is_within
from deliverability.deliveries.providers import SPAM_RATE
from deliverability.engine.base import Context, auditor, spec

MAX_BOUNCES = 100
OTHER = "other"
"""All receivers together that have no id."""

COUNTED = Code("evidence-deliveries", ("messages",))

_INT, _STR, _FLOAT, _TEXTS = FactType.INT, FactType.STR, FactType.FLOAT, FactType.LIST_STR
_COUNTS = {
    "delivered": "Mails that were delivered.",
    "deferred": "Mails put off, each once a day.",
    "hard": "Mails refused for good: there is no such address or domain.",
    "soft": "Mails that came back for another reason.",
    "policy": "Mails refused for the sender, the content or the rate.",
    "complaints": "Complaints of recipients.",
}

PROVIDES = (
    spec("deliveries.begin", _STR, "First day of the window (ISO date, UTC)."),
    spec("deliveries.end", _STR, "Its last day: the newest that was over."),
    spec("deliveries.days", _INT, "Days with any result of a mail.", unit="days"),
    spec("deliveries.known", FactType.BOOL, "It is known how many mails were delivered."),
    *(spec(f"deliveries.{name}", _INT, text, unit="messages") for name, text in _COUNTS.items()),
    spec("deliveries.ended", _INT, "Mails delivered, returned or refused.", unit="messages"),
    spec("deliveries.hard_percent", _FLOAT, "Mails refused for good, of those.", unit="percent", optional=True),
    spec(
        "deliveries.to_suppress",
        _INT,
        "Addresses that `deliv suppress` takes off a list now, before it asks DNS; of all domains together. Unknown "
        "where no file of addresses is kept.",
        unit="addresses",
    ),
    spec("deliveries.loops", _TEXTS, "Receivers whose complaints or numbers were read: gmail, outlook, yahoo."),
    spec("deliveries.receivers", FactType.LIST_RECORD, "How mail to each receiver fared.", key=["receiver"]),
    spec("deliveries.receivers[].receiver", _STR, "Its id; other: all that have none."),
    *(spec(f"deliveries.receivers[].{name}", _INT, text, unit="messages") for name, text in _COUNTS.items()),
    spec("deliveries.receivers[].ended", _INT, "Mails delivered, returned or refused.", unit="messages"),
    spec("deliveries.receivers[].attempted", _INT, "The same and those put off.", unit="messages"),
    spec("deliveries.receivers[].hard_percent", _FLOAT, "Refused for good, of those ended.", unit="percent"),
    spec("deliveries.receivers[].complaint_percent", _FLOAT, "Complaints, of those delivered.", unit="percent"),
    spec("deliveries.receivers[].days", _INT, "Days with any result.", unit="days"),
    spec("deliveries.receivers[].origins", _TEXTS, "Where that is known from."),
    spec(
        "deliveries.receivers[].rate_percent",
        _FLOAT,
        "Mails put off for the rate, of those attempted on that day; of the day with the largest share.",
        unit="percent",
    ),
    spec("deliveries.receivers[].rate_messages", _INT, "Mails attempted on that day.", unit="messages"),
    spec("deliveries.receivers[].rate_day", _STR, "That day; none: nothing was put off for the rate.", optional=True),
    spec(
        "deliveries.bounces",
        FactType.LIST_RECORD,
        "Why mail was not delivered, the most frequent first.",
        key=["meaning", "receiver", "class"],
    ),
    spec("deliveries.bounces[].meaning", _STR, "Id in the catalogue of replies."),
    spec("deliveries.bounces[].receiver", _STR, "Receiver; other: one without an id."),
    spec("deliveries.bounces[].class", _STR, "What it came to.", values=["deferred", "hard", "soft", "policy"]),
    spec("deliveries.bounces[].count", _INT, "Mails.", unit="messages"),
    spec("deliveries.bounces[].last", _STR, "Last day with one."),
    spec("deliveries.bounces[].about", _STR, "What the reply is about.", values=[each.value for each in About]),
    spec("deliveries.bounces[].retry", _STR, "Whether sending again helps.", values=["later", "after-fix", "no"]),
    spec("deliveries.bounces[].rules", _TEXTS, "Rules behind it."),
    spec(
        "deliveries.bounces[].unmet",
        _TEXTS,
        "Those of them that are unmet now; known once all others are judged.",
        optional=True,
    ),
    spec("deliveries.bounces[].used", FactType.BOOL, "False: it is about the domain, not about the mail at hand."),
)
_PATHS = tuple(each.path for each in PROVIDES if "[]" not in each.path)
_NOTHING = Unknown(Reason.NOT_CONFIGURED, needs(Input.DELIVERIES))
_NO_ADDRESSES = Unknown(Reason.NOT_CONFIGURED, needs(Input.ADDRESSES))
_NO_SENT = Unknown(Reason.NOT_CONFIGURED, needs(Input.DELIVERED))


@auditor("deliveries", provides=PROVIDES)
async def audit(ctx: Context) -> None:
    """Add up what became of mails; without any that was read, all waits for it."""
    deliveries = ctx.subject.deliveries
    if deliveries is None:
        ctx.put_all(dict.fromkeys(_PATHS, _NOTHING))
        return
    domain = ctx.subject.domain
    days = [each for each in deliveries.days if is_within(each.sender, domain)]
    causes = [each for each in deliveries.causes if is_within(each.sender, domain)]
    values: dict[str, Value] = {
        "deliveries.begin": deliveries.begin.isoformat(),
        "deliveries.end": deliveries.end.isoformat(),
        "deliveries.loops": _loops(days, deliveries),
    }
    if not days:
        ctx.put_all({**dict.fromkeys(_PATHS, _NOTHING), **values})
        return
    sums = _added(days)
    known = sums["delivered"] > 0
    ended = _ended(sums)
    values |= {
        "deliveries.days": len({each.day for each in days}),
        "deliveries.known": known,
        **{f"deliveries.{name}": sums[name] for name in _COUNTS},
        "deliveries.ended": ended,
        "deliveries.hard_percent": _percent(sums["hard"], ended) if known else _NO_SENT,
        "deliveries.receivers": tuple(_receivers(days, causes, deliveries)),
        "deliveries.bounces": tuple(_bounces(causes, deliveries)),
        "deliveries.to_suppress": _NO_ADDRESSES if deliveries.to_suppress is None else deliveries.to_suppress,
    }
    ctx.put_all(values, ctx.cite(_evidence(deliveries, sum(sums.values()))))


def _added(days: Iterable[DeliveryDay]) -> Counter[str]:
    """Mails by what became of them.

    A bounce tells of a mail that a log or an event may tell of, too, on another day and under another name of ours: of
    each receiver the larger number counts.
    """
    reported: defaultdict[str, Counter[str]] = defaultdict(Counter)
    bounced: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for each in days:
        into = bounced if each.origin is DeliveryOrigin.BOUNCES else reported
        for name in COUNTS.values():
            into[each.receiver][name] += getattr(each, name)
    sums: Counter[str] = Counter()
    for receiver in {**reported, **bounced}:
        sums.update(reported[receiver] | bounced[receiver])
    return sums


def _ended(sums: Counter[str]) -> int:
    return sums["delivered"] + sums["hard"] + sums["soft"] + sums["policy"]


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 4) if whole else None


def _receivers(days: Sequence[DeliveryDay], causes: Sequence[CauseDay], deliveries: Deliveries) -> Iterable[Value]:
    """Those with most mails first."""
    by_receiver: defaultdict[str, list[DeliveryDay]] = defaultdict(list)
    for each in days:
        by_receiver[each.receiver or OTHER].append(each)
    rows: list[tuple[int, str, Value]] = []
    for receiver, own in by_receiver.items():
        sums = _added(own)
        ended, known = _ended(sums), sums["delivered"] > 0
        share, attempted, day = _rate(receiver, own, causes, deliveries)
        row: Value = {
            "receiver": receiver,
            **{name: sums[name] for name in _COUNTS},
            "ended": ended,
            "attempted": ended + sums["deferred"],
            "hard_percent": _percent(sums["hard"], ended) if known else _NO_SENT,
            "complaint_percent": _percent(sums["complaints"], sums["delivered"]) if known else _NO_SENT,
            "days": len({each.day for each in own}),
            "origins": tuple(sorted({each.origin.value for each in own})),
            "rate_percent": share if known else _NO_SENT,
            "rate_messages": attempted,
            "rate_day": day.isoformat() if day else None,
        }
        rows.append((-ended - sums["deferred"] - sums["complaints"], receiver, row))
    return (row for _, _, row in sorted(rows, key=lambda each: each[:2]))


def _rate(
    receiver: str, days: Iterable[DeliveryDay], causes: Iterable[CauseDay], deliveries: Deliveries
) -> tuple[float, int, date | None]:
    """The largest share of a day that was put off for the rate, the mails attempted on that day, and the day."""
    put_off: Counter[date] = Counter()
    for each in causes:
        seen = deliveries.known.get((each.meaning, each.receiver))
        limited = seen is not None and seen.about == About.RATE.value and each.result is DeliveryResult.DEFERRED
        if limited and (each.receiver or OTHER) == receiver:
            put_off[each.day] += each.count
    attempted: defaultdict[date, list[DeliveryDay]] = defaultdict(list)
    for day_ in days:
        attempted[day_.day].append(day_)
    best: tuple[float, int, date | None] = (0.0, 0, None)
    for day, count in sorted(put_off.items()):
        sums = _added(attempted[day])
        whole = _ended(sums) + sums["deferred"]
        if whole and count / whole > best[0] / 100:
            best = round(100 * count / whole, 4), whole, day
    return best


def _bounces(causes: Iterable[CauseDay], deliveries: Deliveries) -> Iterable[Value]:
    counts: Counter[tuple[str, str, DeliveryResult]] = Counter()
    last: dict[tuple[str, str, DeliveryResult], date] = {}
    by_origin: defaultdict[tuple[str, str, DeliveryResult], Counter[bool]] = defaultdict(Counter)
    for each in causes:
        key = each.meaning, each.receiver, each.result
        by_origin[key][each.origin is DeliveryOrigin.BOUNCES] += each.count
        last[key] = max(each.day, last.get(key, each.day))
    for key, parts in by_origin.items():
        counts[key] = max(parts.values())  # a bounce and a line of the log may tell of the same mail
    for key, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:MAX_BOUNCES]:
        meaning, receiver, result = key
        seen = deliveries.known.get((meaning, receiver))
        yield {
            "meaning": meaning,
            "receiver": receiver or OTHER,
            "class": result.value,
            "count": count,
            "last": last[key].isoformat(),
            "about": seen.about if seen else About.UNKNOWN.value,
            "retry": seen.retry if seen else "later",
            "rules": seen.rules if seen else (),
            "unmet": None,
            "used": False,
        }


def _loops(days: Iterable[DeliveryDay], deliveries: Deliveries) -> tuple[str, ...]:
    """Receivers that told of complaints, one by one or as numbers."""
    found = {each.receiver for each in days if each.complaints}
    if any(each.metric == SPAM_RATE for each in deliveries.gmail):
        found.add("gmail")
    if deliveries.snds:
        found.add("outlook")
    return tuple(sorted(found & {"gmail", "outlook", "yahoo"}))


def _evidence(deliveries: Deliveries, messages: int) -> Evidence:
    period = f"{deliveries.begin.isoformat()}/{deliveries.end.isoformat()}"
    got = COUNTED(messages=messages)
    return Evidence(
        f"report:deliveries:{period}",
        EvidenceKind.REPORT,
        f"deliveries {period}",
        (got,),
        f"{deliveries.end.isoformat()}T23:59:59Z",
    )
