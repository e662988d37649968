"""What a checked list of recipients holds, as facts: shares, the age of the check, and what was not looked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deliverability.core.errors import InputError
from deliverability.core.facts.base import FactSet, Unknown
from deliverability.core.inputs import Subject
from deliverability.core.model.observed import ListSums, Segment
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.engine.base import gather
from deliverability.lists import facts as recipients
from deliverability.lists.command import list_json
from deliverability.lists.facts import read_sums
from tests.engine.auditors.test_message import DeadResolver

SEGMENTS = {Segment.GOOD: 150, Segment.SYNTAX: 3, Segment.TAKES_NO_MAIL: 4, Segment.INACTIVE: 40, Segment.SUPPRESSED: 3}


def sums(columns: Mapping[str, tuple[str, ...]] | None = None, **more: Any) -> ListSums:
    """A list of 200, checked at the end of a day in Japan, which is still the day before in UTC."""
    made = {"inactive_days": 365, "suppressed_given": True} | more
    segments = {segment: SEGMENTS.get(segment, 0) for segment in Segment}
    heads = {"address": ("email",), "confirmed": ("confirmed",), "active": ("last_open",)}
    return ListSums(
        "list.csv", "2026-11-20T01:00:00+09:00", 200, segments, 9, 1, 2, heads if columns is None else columns, **made
    )


async def audit(found: ListSums | None) -> FactSet:
    ports = Ports(DeadResolver(), FixedClock(datetime(2026, 11, 26, 1, tzinfo=UTC)))
    gathered = await gather([recipients.audit], Subject("example.com", list_sums=found), ports, None)
    assert gathered.crashes == ()
    return gathered.facts


async def test_shares_and_the_age_of_the_check() -> None:
    facts = await audit(sums())
    assert (facts.value("recipients.checked"), facts.value("recipients.checked_days")) == ("2026-11-19", 7)
    assert (facts.value("recipients.undeliverable"), facts.value("recipients.undeliverable_percent")) == (7, 3.5)
    assert (facts.value("recipients.inactive"), facts.value("recipients.inactive_percent")) == (40, 20.0)
    assert (facts.value("recipients.suppressed"), facts.value("recipients.unconfirmed")) == (3, 0)


async def test_what_was_not_looked_for_is_absent_and_not_nothing() -> None:
    facts = await audit(sums({"address": ("email",)}, suppressed_given=False))
    for name in ("suppressed", "unconfirmed", "inactive", "inactive_percent", "inactive_days"):
        assert facts.value(f"recipients.{name}") is None, name
    assert (await audit(sums(inactive_days=None))).value("recipients.inactive") is None


async def test_without_a_check_all_waits_for_one() -> None:
    facts = await audit(None)
    for fact in facts:
        assert isinstance(fact.value, Unknown)
        assert fact.value.reason.waits_for_input, fact.path


async def test_a_clock_behind_that_of_the_check_counts_no_days() -> None:
    found = await audit(sums())
    assert found.value("recipients.checked_days") == 7
    ports = Ports(DeadResolver(), FixedClock(datetime(2026, 11, 1, tzinfo=UTC)))
    early = await gather([recipients.audit], Subject("example.com", list_sums=sums()), ports, None)
    assert early.facts.value("recipients.checked_days") == 0


def test_what_deliv_list_check_wrote_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "sums.json"
    path.write_text(list_json(sums()), "utf-8")
    assert read_sums(path) == sums()


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "no JSON", '{"list": "x"}', list_json(sums()).replace('"entries": 200', '"entries": -1')]
)
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sums.json"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match="deliv list-check"):
        read_sums(path)
    with pytest.raises(InputError, match="no such file"):
        read_sums(tmp_path / "none.json")
