"""Weeks in which the policy of MTA-STS changes: senders that keep the old one have to be told by another id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from deliverability.core.inputs import Subject
from deliverability.core.model.history import ChangeKind
from deliverability.core.net.base import Fetched, Page, Resolver
from deliverability.core.store.store import History
from deliverability.observing import with_policies_seen
from tests.weekly.test_stories import Life, news

pytestmark = pytest.mark.long

MONTH = 2_592_000


class Web(Struct):
    """The site that hands out the policy."""

    mx: str = "mx.shop.example"
    max_age: int = MONTH

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        text = f"version: STSv1\nmode: enforce\nmx: {self.mx}\nmax_age: {self.max_age}\n"
        return Page(url, 200, "text/plain", text.encode())

    async def post(self, url: str, form: str, resolver: Resolver) -> Fetched:
        raise AssertionError


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    history = History.open(f"sqlite:///{tmp_path / 'history.db'}")
    yield Life(tmp_path, history, web=Web(), more=records("1"))
    history.close()


def records(ident: str) -> str:
    return f'_mta-sts 300 IN TXT "v=STSv1; id={ident}"\nmta-sts 300 IN A 192.0.2.8\n'


async def test_a_policy_that_changes_without_its_id_is_told_until_nobody_keeps_the_old_one(life: Life) -> None:
    await life.week()
    assert ("NET-030", ChangeKind.NEW) not in news(await life.week())

    life.web = Web("*.shop.example")
    assert ("NET-030", ChangeKind.NEW) in news(await life.week())
    for _ in range(3):
        assert ("NET-030", ChangeKind.MENDED) not in news(await life.week())
    assert ("NET-030", ChangeKind.MENDED) in news(await life.week())


async def test_another_id_mends_it(life: Life) -> None:
    await life.week()
    life.web = Web("*.shop.example")
    await life.week()
    life.more = records("2")
    assert ("NET-030", ChangeKind.MENDED) in news(await life.week())


async def test_a_policy_that_changes_with_its_id_is_no_news(life: Life) -> None:
    await life.week()
    life.web, life.more = Web("*.shop.example"), records("2")
    assert ("NET-030", ChangeKind.NEW) not in news(await life.week())


async def test_without_a_policy_read_before_nothing_is_compared(life: Life) -> None:
    life.web = None
    await life.week()
    assert with_policies_seen(Subject("shop.example"), life.history) == Subject("shop.example")
