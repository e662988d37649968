"""Taking in bounces, complaints, events, logs and numbers: all of it, once, whenever the process dies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from deliverability.core.model.deliveries import Deliveries, DeliveryEvent, DeliveryResult, SuppressClass
from deliverability.core.model.observed import FeedbackKind
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.phrases import phrases
from deliverability.core.replies import limits
from deliverability.core.report.paper import Paper
from deliverability.core.store.deliveries import deliveries_of
from deliverability.core.store.observations import Observations
from deliverability.core.store.store import History
from deliverability.intake.report import intake_text
from deliverability.intake.run import NO_DOMAIN, IntakePlan, IntakeResult, take_in
from tests import ROOT, TESTS
from tests.intake.readers import NOW, outcomes
from tests.intake.returned import KEYS, OWN, bounce, complaint, ours
from tests.intake.test_deliveries import bounced, sendgrid, ses
from tests.killed import Step, killed_at_every, stepping
from tests.observations import contents, digest, with_known_key
from tests.sampled import some_or_every

pytestmark = pytest.mark.long

PORTS = Ports(KEYS, FixedClock(datetime.fromtimestamp(NOW, UTC)))
LOGS = TESTS / "intake" / "logs"


def opened(folder: Path, name: str = "h.db") -> History:
    return History.open(f"sqlite:///{with_known_key(folder / name)}")


def taken(history: History, *places: str | Path, **how: Any) -> IntakeResult:
    given: dict[str, Any] = {"outcomes": outcomes(), "own": OWN, **how}
    plan = IntakePlan(PORTS, [str(each) for each in places], **given)
    return asyncio.run(take_in(plan, Observations(history)))


def seen(history: History) -> Deliveries:
    found = deliveries_of(history, "example.com", 28, NOW)
    assert found is not None
    return found


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    found = opened(tmp_path)
    yield found
    found.close()


def a_month(folder: Path) -> list[Path]:
    """Feedback of every kind, as a user has it lying about."""
    mails = folder / "Maildir" / "new"
    mails.mkdir(parents=True)
    for number in range(3):
        to = f"somebody{number}@gmail.com"
        (mails / f"b{number}").write_text(bounce(to, ours(to, number), number))
    (mails / "c").write_text(complaint("a@docomo.ne.jp", ours("a@docomo.ne.jp")))
    (mails / "d").write_text("From: a@example.net\nSubject: Hello\n\nHello\n")
    events = folder / "events.ndjson"
    lines = [bounced("Permanent", "NoEmail"), ses("Delivery", {"recipients": ["a@gmail.com"]})]
    events.write_text("\n".join(json.dumps(each) for each in lines))
    rates = folder / "postmaster.csv"
    rates.write_text("Domain,Date,Spam rate (%)\nexample.com,2025-11-23,0.2\n")
    table = folder / "snds.csv"
    table.write_text("192.0.2.1,11/23/2025 1:00 AM,11/24/2025 1:00 AM,9,9,900,RED,0.3%,,,0,,,\n")
    return [folder / "Maildir", events, LOGS, rates, table]


def test_every_kind_is_taken_in_once(history: History, tmp_path: Path) -> None:
    places = a_month(tmp_path)
    result = taken(history, *places)
    assert (result.items, result.others, result.lost, result.problems) == (13, 1, False, [])
    news = {(kind.value, who): tally.new for (kind, who), tally in result.tallies.items()}
    assert news == {
        ("bounce", "gmail"): 3,
        ("complaint", "docomo"): 1,
        ("event", "ses"): 2,
        ("log", "log"): 16,
        ("numbers", "gmail"): 1,
        ("numbers", "snds"): 4,
    }
    assert result.results[DeliveryResult.HARD] == 3 + 1 + 5
    found = seen(history)
    assert sum(each.complaints for each in found.days) == 1
    assert sum(each.delivered for each in found.days) == 8
    assert {each.day for each in found.days} == {date(2025, 11, 24)}
    assert [each.high for each in found.gmail] == [0.2]
    assert len(found.snds) == 4
    before = digest(history)
    again = taken(history, *places)
    assert (again.seen, sum(each.new for each in again.tallies.values())) == (13, 0)
    assert digest(history) == before


def test_a_log_that_grew_counts_what_is_new(history: History, tmp_path: Path) -> None:
    lines = (LOGS / "postfix.log").read_text("utf-8").splitlines(keepends=True)
    log = tmp_path / "mail.log"
    log.write_text("".join(lines[:3]))
    first = taken(history, log)
    log.write_text("".join(lines))
    second = taken(history, log)
    at_once = opened(tmp_path, "whole.db")
    whole = taken(at_once, log)
    assert first.results + second.results == whole.results
    assert seen(history).days == seen(at_once).days
    at_once.close()


@some_or_every(4)
def test_killed_at_any_step_nothing_is_lost_or_doubled(tmp_path: Path, apart: int) -> None:
    places = a_month(tmp_path)
    whole = opened(tmp_path, "whole.db")
    taken(whole, *places)
    opened(tmp_path, "h.db").close()

    def work(step: Step) -> None:
        history = opened(tmp_path)
        stepping(step)
        taken(history, *places)

    kills = sum(1 for _ in killed_at_every(work, apart))
    history = opened(tmp_path)
    assert kills > 10 / apart
    assert contents(history) == contents(whole)
    history.close()
    whole.close()


def test_events_of_no_domain_wait_for_one(history: History, tmp_path: Path) -> None:
    file = tmp_path / "sendgrid.json"
    file.write_text(json.dumps([sendgrid("delivered"), sendgrid("spamreport")]))
    result = taken(history, file)
    assert [each.detail for each in result.problems] == [NO_DOMAIN(n=2)]
    assert result.lost
    told = taken(history, file, domain="example.com")
    assert (told.seen, told.lost, told.results.total()) == (0, False, 2)
    rates = tmp_path / "rates.csv"
    rates.write_text("Date,Spam rate\n2025-11-23,0.2%\n")
    assert [each.detail for each in taken(history, rates).problems] == [NO_DOMAIN(n=1)]
    assert not taken(history, rates, domain="example.com").problems


def test_of_a_damaged_file_counts_what_came_before(history: History, tmp_path: Path) -> None:
    file = tmp_path / "ses.json"
    one = json.dumps(ses("Delivery", {"recipients": ["a@gmail.com"]}), indent=1)
    file.write_text(f"{one}\n{one[:-9]}")
    result = taken(history, file)
    assert [each.detail for each in result.problems] == [limits.DAMAGED(what="JSON")]
    assert (result.lost, result.results.total()) == (True, 1)


def test_what_is_older_than_asked_for_can_be_read_later(history: History, tmp_path: Path) -> None:
    result = taken(history, LOGS / "exim.log", since=date(2025, 11, 25))
    assert result.results.total() == 0
    assert taken(history, LOGS / "exim.log").results.total() == 4


def test_a_dry_run_keeps_nothing(history: History, tmp_path: Path) -> None:
    events: list[DeliveryEvent] = []
    result = taken(history, *a_month(tmp_path), dry=True, takes_events=events.extend)
    assert result.results.total() == 22
    assert deliveries_of(history, "example.com", 28, NOW) is None
    assert events == []


def test_addresses_go_to_whom_the_user_named_and_nowhere_else(tmp_path: Path) -> None:
    history = opened(tmp_path)
    events: list[Sequence[DeliveryEvent]] = []
    taken(history, *a_month(tmp_path), takes_events=events.append)
    told = {(each.recipient, each.why) for some in events for each in some if each.why}
    assert ("somebody0@gmail.com", SuppressClass.ADDRESS) in told
    assert ("a@docomo.ne.jp", SuppressClass.COMPLAINT) in told
    events.clear()
    taken(history, *[tmp_path / "Maildir", tmp_path / "events.ndjson"], takes_events=events.append)
    assert events == [], "what was told is not told again"
    history.close()
    kept = b"".join(each.read_bytes() for each in tmp_path.glob("h.db*"))
    assert b"gmail-no-account" in kept
    for address in (b"somebody", b"a@docomo", b"news@", b"@gmail.com"):
        assert address not in kept


def test_without_the_catalogue_of_replies_only_reports_are_read(history: History, tmp_path: Path) -> None:
    result = taken(history, *a_month(tmp_path), outcomes=None)
    assert (result.items, result.others) == (13, 13)
    assert FeedbackKind.BOUNCE not in {kind for kind, _ in result.tallies}


@pytest.mark.parametrize(("page", "lang"), [("docs/deliveries.md", "en"), ("docs/ja/deliveries.md", "ja")])
def test_the_page_shows_what_it_prints(page: str, lang: str) -> None:
    result = IntakeResult(items=27)
    result.results.update(delivered=3_937, deferred=27, hard=263, policy=29, complaint=11)
    say = phrases(lang)
    assert intake_text(result, Paper(130), say) in (ROOT / page).read_text("utf-8")
