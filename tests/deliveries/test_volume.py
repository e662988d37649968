"""The daily volume, by each source that tells of it: DMARC reports, mail logs, events of services."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.traffic import SourceVolume, Volume
from deliverability.core.model.deliveries import Deliveries, DeliveryDay, DeliveryOrigin
from deliverability.core.model.observed import Observed
from tests import traffic
from tests.traffic import END, SIGNED, Mail, facts_for

BEGIN = END - timedelta(days=27)
LOG, SES, BREVO, BOUNCES = DeliveryOrigin.LOG, DeliveryOrigin.SES, DeliveryOrigin.BREVO, DeliveryOrigin.BOUNCES


def sent(*volumes: tuple[DeliveryOrigin, Iterable[int]], sender: str = "example.com") -> Deliveries:
    """Mail by origin: the numbers of the days that end with the last of the window."""
    days = []
    for origin, numbers in volumes:
        newest_first = reversed(list(numbers))
        days += [
            DeliveryDay(END - timedelta(days=back), "gmail", sender, origin, delivered=number)
            for back, number in enumerate(newest_first)
        ]
    return Deliveries(BEGIN, END, tuple(days))


async def told(deliveries: Deliveries | None, seen: Observed | None = None) -> dict[str, SourceVolume]:
    sources = (await facts_for(seen, deliveries=deliveries)).of(Volume).sources
    assert not isinstance(sources, Unknown)
    return {each.source: each for each in sources}


def reported(numbers: list[int]) -> Observed:
    """Own mail, as DMARC reports tell of it."""
    mails = [Mail(END - timedelta(days=back), "198.51.100.10", SIGNED, n) for back, n in enumerate(reversed(numbers))]
    return traffic.observed(mails)


async def test_each_source_tells_for_itself() -> None:
    """A jump that one of them shows is its own: the reports of this domain tell of nothing unusual."""
    found = await told(sent((LOG, [1_200] * 20 + [5_000])), reported([1_000] * 28))
    assert {name: each.jump for name, each in found.items()} == {"dmarc-reports": 1.0, "mail-log": 4.17}
    log = found["mail-log"]
    assert (log.day, log.messages, log.maximum, log.median, log.days_before) == (END.isoformat(), 5000, 1200, 1200, 20)


async def test_events_of_several_services_are_one_volume() -> None:
    """Mail that moves from one service to another is no jump."""
    moved = await told(sent((SES, [2_000] * 10 + [0] * 10), (BREVO, [100] * 10 + [2_000] * 10)))
    assert (moved["events"].jump, moved["events"].services) == (0.95, ("brevo", "ses"))
    grown = await told(sent((SES, [2_000] * 20), (BREVO, [100] * 19 + [9_000])))
    assert grown["events"].jump == 5.24


async def test_a_jump_within_the_last_week_is_told_on_its_day() -> None:
    """Who looks once a week sees it as well, and a week later it is no news."""
    for back, jump in ((0, 3.0), (6, 3.0), (7, 1.0)):
        numbers = [1_000] * (20 - back) + [3_000] * (back + 1)
        found = (await told(sent((LOG, numbers))))["mail-log"]
        assert found.jump == jump, back
        if jump > 1:
            assert found.day == (END - timedelta(days=back)).isoformat()


async def test_days_before_a_source_began_count_for_nothing() -> None:
    """The first days of a log are few: the rule waits until there are enough of them."""
    found = (await told(sent((LOG, [1_500, 9_000]))))["mail-log"]
    assert (found.days_before, found.jump) == (1, 6.0)
    only = (await told(sent((LOG, [9_000]))))["mail-log"]
    assert (only.days_before, only.jump) == (0, None)


async def test_what_tells_of_no_volume_is_no_source() -> None:
    """Bounces alone, mail of another domain, and a log that ended weeks ago."""
    bounced = Deliveries(BEGIN, END, (DeliveryDay(END, "gmail", "example.com", BOUNCES, hard=900),))
    assert await told(bounced, reported([10] * 28)) == await told(None, reported([10] * 28))
    strange = sent((LOG, [1_000] * 20), sender="example.net")
    old = sent((LOG, [1_000] * 10 + [0] * 7))
    for each in (strange, old):
        assert list(await told(each, reported([10] * 28))) == ["dmarc-reports"]


async def test_without_any_source_the_volume_is_unknown() -> None:
    sources = (await facts_for(None)).of(Volume).sources
    assert isinstance(sources, Unknown)
    assert sources.reason is Reason.NOT_CONFIGURED
