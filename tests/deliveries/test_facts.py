"""What bounces, complaints, logs, Postmaster Tools and SNDS add up to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from deliverability.core.facts.base import FactSet, Reason, Unknown, Value, records_of
from deliverability.core.inputs import Subject
from deliverability.core.model.deliveries import (
    CampaignDay,
    CauseDay,
    CauseSeen,
    Deliveries,
    DeliveryDay,
    DeliveryOrigin,
    DeliveryResult,
    ValueDay,
)
from deliverability.core.net.base import Resolver
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.deliveries import facts as deliveries
from deliverability.engine.base import gather
from tests.signing import TableResolver

BEGIN, END = date(2025, 10, 27), date(2025, 11, 23)
LOG, BOUNCES, SES = DeliveryOrigin.LOG, DeliveryOrigin.BOUNCES, DeliveryOrigin.SES
NOTHING = Deliveries(BEGIN, END)
AUDITORS = (deliveries.audit, deliveries.postmaster_audit, deliveries.snds_audit)


def facts(seen: Deliveries | None, domain: str = "example.com", dns: Resolver | None = None, **how: Any) -> FactSet:
    clock = FixedClock(datetime(2025, 11, 24, tzinfo=UTC))
    subject = Subject(domain, deliveries=seen, **how)
    gathered = asyncio.run(gather(AUDITORS, subject, Ports(dns or TableResolver({}), clock), None))
    assert gathered.crashes == ()
    return gathered.facts


def items(found: FactSet, path: Any) -> list[Mapping[str, Value]]:
    value = found.value(path)
    assert isinstance(value, tuple), value
    return list(records_of(value))


def day(
    receiver: str, origin: DeliveryOrigin = LOG, sender: str = "example.com", on: date = END, **n: int
) -> DeliveryDay:
    return DeliveryDay(on, receiver, sender, origin, **n)


def waits_for(found: FactSet, path: Any) -> object:
    value = found.value(path)
    assert isinstance(value, Unknown)
    assert value.reason is Reason.NOT_CONFIGURED
    assert value.detail is not None
    return value.detail.arg("input")


def test_without_anything_read_all_waits_for_it() -> None:
    found = facts(None)
    assert waits_for(found, "deliveries.receivers") == "deliveries"
    assert waits_for(found, "gmail.spam_rate_latest") == "postmaster-tools"
    assert waits_for(found, "gmail.compliance") == "postmaster-tools"
    assert waits_for(found, "snds.addresses") == "snds"
    found = facts(NOTHING)
    assert waits_for(found, "deliveries.hard_percent") == "deliveries"
    assert found.value("deliveries.loops") == (), "that nobody tells of complaints is known"


def test_how_many_addresses_are_due_is_stated_as_it_was_counted() -> None:
    found = facts(replace(NOTHING, days=(day("gmail", delivered=1),), to_suppress=3))
    assert found.value("deliveries.to_suppress") == 3
    found = facts(replace(NOTHING, days=(day("gmail", delivered=1),)))
    assert waits_for(found, "deliveries.to_suppress") == "addresses"


def test_results_are_added_up_by_receiver() -> None:
    seen = replace(
        NOTHING,
        days=(
            day("gmail", delivered=90, hard=5, soft=3, policy=2, deferred=10),
            day("gmail", SES, "news.example.com", END - timedelta(days=1), delivered=100, complaints=1),
            day("", delivered=10),
            day("gmail", sender="example.net", delivered=1000),
            day("gmail", sender="notexample.com", delivered=1000),
        ),
    )
    found = facts(seen)
    sums = {name: found.value(f"deliveries.{name}") for name in ("delivered", "hard", "ended", "complaints", "days")}  # type: ignore[arg-type]
    assert sums == {"delivered": 200, "hard": 5, "ended": 210, "complaints": 1, "days": 2}
    assert found.value("deliveries.hard_percent") == 2.381
    assert found.value("deliveries.known") is True
    assert found.value("deliveries.loops") == ("gmail",)
    first, second = items(found, "deliveries.receivers")
    assert (first["receiver"], first["ended"], first["attempted"]) == ("gmail", 200, 210)
    assert (first["hard_percent"], first["complaint_percent"]) == (2.5, 0.5263)
    assert (first["origins"], first["days"], first["rate_day"]) == (("log", "ses"), 2, None)
    assert (second["receiver"], second["delivered"]) == ("other", 10)
    below = facts(seen, "news.example.com")
    assert below.value("deliveries.delivered") == 100


def test_bounces_alone_have_no_share() -> None:
    found = facts(replace(NOTHING, days=(day("gmail", BOUNCES, hard=3),)))
    assert found.value("deliveries.hard") == 3
    assert found.value("deliveries.known") is False
    assert waits_for(found, "deliveries.hard_percent") == "delivered"
    (row,) = items(found, "deliveries.receivers")
    assert isinstance(row["hard_percent"], Unknown)


def test_a_bounce_of_what_the_log_told_counts_once() -> None:
    told = (day("gmail", delivered=90, hard=5), day("gmail", BOUNCES, "news.example.com", END, hard=7, soft=1))
    found = facts(replace(NOTHING, days=told))
    assert (found.value("deliveries.hard"), found.value("deliveries.soft")) == (7, 1)


def test_the_day_on_which_most_was_put_off_for_the_rate() -> None:
    before = END - timedelta(days=1)

    def cause(
        on: date, count: int, meaning: str = "rate", result: DeliveryResult = DeliveryResult.DEFERRED
    ) -> CauseDay:
        return CauseDay(on, "gmail", "example.com", LOG, meaning, result, count)

    seen = replace(
        NOTHING,
        days=(day("gmail", delivered=80, deferred=20), day("gmail", on=before, delivered=95, deferred=5)),
        causes=(
            cause(END, 10),
            cause(before, 5),
            cause(END, 10, "greylist"),
            cause(END, 90, result=DeliveryResult.POLICY),
        ),
        known={
            ("rate", "gmail"): CauseSeen("rate", "later", ()),
            ("greylist", "gmail"): CauseSeen("unknown", "later", ()),
        },
    )
    (row,) = items(facts(seen), "deliveries.receivers")
    assert (row["rate_percent"], row["rate_messages"], row["rate_day"]) == (10.0, 100, "2025-11-23")


def test_why_mail_was_not_delivered() -> None:
    def cause(origin: DeliveryOrigin, count: int, on: date = END) -> CauseDay:
        return CauseDay(on, "gmail", "example.com", origin, "gmail-dmarc-policy", DeliveryResult.POLICY, count)

    seen = replace(
        NOTHING,
        days=(day("gmail", policy=9),),
        causes=(cause(LOG, 4, BEGIN), cause(LOG, 5), cause(BOUNCES, 8)),
        known={("gmail-dmarc-policy", "gmail"): CauseSeen("sender", "after-fix", ("DMARC-001", "ALN-001"))},
    )
    (row,) = items(facts(seen), "deliveries.bounces")
    assert dict(row) == {
        "meaning": "gmail-dmarc-policy",
        "receiver": "gmail",
        "class": "policy",
        "count": 9,
        "last": "2025-11-23",
        "about": "sender",
        "retry": "after-fix",
        "rules": ("DMARC-001", "ALN-001"),
        "unmet": None,
        "used": False,
    }


def rates(*values: float | None, subject: str = "example.com") -> tuple[ValueDay, ...]:
    """Spam rates, the newest last; None: a day without one."""
    first = END - timedelta(days=len(values) - 1)
    numbered = ((first + timedelta(days=number), value) for number, value in enumerate(values))
    return tuple(ValueDay(on, subject, "spam-rate", value, value) for on, value in numbered if value is not None)


@pytest.mark.parametrize(
    ("values", "latest", "worst", "below"),
    [
        ((0.05,), 0.05, 0.05, 1),
        ((0.4, 0.05, 0.05), 0.05, 0.4, 2),
        ((0.1, 0.05, 0.3), 0.3, 0.3, 0),
        ((0.3, *[0.1] * 7), 0.1, 0.1, 7),
        ((0.5, None, None, 0.1), 0.1, 0.5, 3),
        ((0.2, None, None, None, None, None, None, None, 0.1), 0.1, 0.1, 9),
    ],
)
def test_the_spam_rate_at_gmail(values: tuple[float | None, ...], latest: float, worst: float, below: int) -> None:
    found = facts(replace(NOTHING, gmail=rates(*values)))
    assert found.value("gmail.spam_rate_latest") == latest
    assert found.value("gmail.spam_rate_worst_7d") == worst
    assert found.value("gmail.spam_rate_days_below_0_3") == below
    assert found.value("gmail.spam_rate_day") == "2025-11-23"


def test_numbers_of_the_name_itself_come_before_those_above_it() -> None:
    seen = replace(NOTHING, gmail=(*rates(0.2), *rates(0.1, subject="news.example.com")))
    assert facts(seen, "news.example.com").value("gmail.spam_rate_latest") == 0.1
    assert facts(seen, "shop.example.com").value("gmail.spam_rate_latest") == 0.2
    assert facts(seen, "example.com").value("gmail.spam_rate_latest") == 0.2
    assert waits_for(facts(seen, "example.net"), "gmail.spam_rate_latest") == "postmaster-tools"


def test_the_state_of_requirements_and_since_when() -> None:
    def state(days: int, value: float, name: str = "dkim") -> ValueDay:
        return ValueDay(END - timedelta(days=days), "example.com", f"compliance:{name}", value, value)

    found = facts(replace(NOTHING, gmail=(state(9, 1), state(6, 0), state(3, 1), state(0, 1), state(0, 0, "spf"))))
    assert list(map(dict, items(found, "gmail.compliance"))) == [
        {"requirement": "dkim", "status": "needs-work", "since": "2025-11-20", "last": "2025-11-23"},
        {"requirement": "spf", "status": "compliant", "since": "2025-11-23", "last": "2025-11-23"},
    ]


def address(ip: str, days: int, result: int, **more: float) -> list[ValueDay]:
    on = END - timedelta(days=days)
    told = {"result": float(result), "recipients": 900.0, **more}
    return [ValueDay(on, ip, metric, value, value) for metric, value in told.items()]


def test_addresses_at_outlook() -> None:
    values = [
        *address("192.0.2.1", 0, 1, traps=2),
        *address("192.0.2.1", 1, 2, complaints=0.4),
        *address("192.0.2.1", 6, 2),
        *address("192.0.2.1", 7, 2, traps=9),
        *address("192.0.2.2", 0, 0),
        *address("203.0.113.9", 0, 2),
    ]
    found = facts(replace(NOTHING, snds=tuple(values)), sending_ips=("192.0.2.1", "192.0.2.2"))
    first, second = items(found, "snds.addresses")
    assert dict(first) == {
        "ip": "192.0.2.1",
        "day": "2025-11-23",
        "recipients": 900,
        "result": "yellow",
        "red_days": 2,
        "bad_days": 3,
        "traps": 2,
        "complaints_low": 0.4,
        "complaints_high": 0.4,
        "blocked": None,
    }
    assert (second["ip"], second["result"], second["bad_days"]) == ("192.0.2.2", "green", 0)


def test_whose_an_address_is_tells_spf_where_the_user_does_not() -> None:
    seen = replace(NOTHING, snds=(*address("192.0.2.1", 0, 2), *address("203.0.113.9", 0, 2)))
    found = facts(seen, dns=TableResolver({"example.com": "v=spf1 ip4:192.0.2.0/24 -all"}))
    assert [each["ip"] for each in items(found, "snds.addresses")] == ["192.0.2.1"]
    assert waits_for(facts(seen, dns=TableResolver({"example.com": "v=spf1 -all"})), "snds.addresses") == "snds"
    lost = facts(seen, dns=TableResolver({"example.com": Reason.TIMEOUT})).value("snds.addresses")
    assert isinstance(lost, Unknown)
    assert lost.reason is Reason.TIMEOUT


def test_a_campaign_is_held_against_all_other_mail_of_events() -> None:
    """Its share is held against that of the rest, however much of the mail it is; logs tell of no campaign."""
    days = (day("gmail", SES, delivered=960, hard=40, complaints=10), day("gmail", LOG, delivered=9_000, hard=900))
    spring = CampaignDay(END, "example.com", SES, "spring", delivered=80, hard=20, complaints=1)
    weekly = CampaignDay(END, "news.example.com", SES, "weekly", delivered=880, hard=20, complaints=9)
    strange = CampaignDay(END, "example.net", SES, "strange", delivered=1, hard=99)
    found = items(facts(replace(NOTHING, days=days, campaigns=(spring, weekly, strange))), "deliveries.campaigns")
    wanted = ("name", "ended", "hard_percent", "hard_rest_percent", "hard_times", "complaint_times")
    assert [tuple(each[name] for name in wanted) for each in found] == [
        ("weekly", 900, 2.2222, 20.0, 0.11, 0.82),
        ("spring", 100, 20.0, 2.2222, 9.0, 1.22),
    ]


def test_the_campaign_that_is_most_of_the_mail_is_named_too() -> None:
    """Before, three dead addresses in ten counted as good where nine of ten mails were of that campaign."""
    spring = CampaignDay(END, "example.com", SES, "spring", delivered=630, hard=270)
    for delivered, wanted in ((730, (0.0, 30.0)), (630, (None, None))):
        seen = replace(NOTHING, days=(day("gmail", SES, delivered=delivered, hard=270),), campaigns=(spring,))
        (found,) = items(facts(seen), "deliveries.campaigns")
        assert (found["hard_rest_percent"], found["hard_times"]) == wanted
