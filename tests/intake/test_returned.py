"""What comes by mail counts where it returns a message of ours; a stranger takes nobody off a list."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deliverability.core.facts.base import Reason
from deliverability.core.model.deliveries import Decision, SuppressClass
from deliverability.core.model.observed import FeedbackKind
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.store.deliveries import deliveries_of
from deliverability.core.store.observations import Observations
from deliverability.core.store.store import History
from deliverability.intake.addresses import AddressFile, addresses_into, decided_of, unproven_into
from deliverability.intake.run import IntakePlan, IntakeResult, take_in
from tests.intake.readers import NOW, outcomes
from tests.intake.returned import KEYS, OWN, bounce, complaint, ours, with_attachment
from tests.intake.test_deliveries import bounced, log, postmark, sendgrid, ses
from tests.observations import with_known_key
from tests.signing import Rule, TableResolver, ed25519_key, published

VICTIM = "victim@gmail.com"
Decisions = list[tuple[str, Decision, SuppressClass]]


class Taking:
    """A history and a file of addresses into which mails are taken."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.history = History.open(f"sqlite:///{with_known_key(folder / 'h.db')}")
        self.addresses = AddressFile(folder / "addresses.sqlite3")

    def mails(self, *mails: str, table: dict[str, Rule] | None = None, **how: Any) -> IntakeResult:
        """Take mails in from a Maildir, of which those before are known."""
        place = self._folder / "Maildir"
        for name in ("new", "cur"):
            (place / name).mkdir(parents=True, exist_ok=True)
        before = len(list((place / "new").iterdir()))
        for number, each in enumerate(mails, before):
            (place / "new" / str(number)).write_text(each, "utf-8")
        return self.places(str(place), table=table, **how)

    def places(self, *places: str, table: dict[str, Rule] | None = None, **how: Any) -> IntakeResult:
        """Take places in."""
        ports = Ports(KEYS if table is None else TableResolver(table), FixedClock(datetime.fromtimestamp(NOW, UTC)))
        given = {"outcomes": outcomes(), "own": OWN, "domain": "example.com", **how}
        takes = {
            "takes_events": addresses_into(self.addresses, NOW),
            "takes_unproven": unproven_into(self.addresses, NOW),
        }
        plan = IntakePlan(ports, places, **given, **takes, settles=self.addresses.settle)
        return asyncio.run(take_in(plan, Observations(self.history)))

    def decided(self) -> Decisions:
        """What becomes of the addresses."""
        ports = Ports(TableResolver({}), FixedClock(datetime.fromtimestamp(NOW, UTC)))
        found = asyncio.run(decided_of(self.addresses, ports))()
        return [(record.address, decision, record.kind) for record, decision in found]


@pytest.fixture
def taking(tmp_path: Path) -> Iterator[Taking]:
    made = Taking(tmp_path)
    with closing(made.history), closing(made.addresses):
        yield made


@pytest.mark.parametrize("whole", [True, False])
def test_a_bounce_that_returns_our_message_counts(taking: Taking, whole: bool) -> None:
    result = taking.mails(bounce(VICTIM, ours(f"Somebody <{VICTIM}>"), whole=whole))
    assert result.unproven.total() == 0
    assert taking.decided() == [(VICTIM, Decision.OFF, SuppressClass.ADDRESS)]


def test_a_body_that_was_cut_off_changes_nothing(taking: Taking) -> None:
    taking.mails(bounce(VICTIM, ours(VICTIM).replace("Hello", "Hel"), whole=True))
    assert taking.decided() == [(VICTIM, Decision.OFF, SuppressClass.ADDRESS)]


def test_a_complaint_that_returns_our_message_counts(taking: Taking) -> None:
    taking.mails(complaint(VICTIM, ours(VICTIM)))
    assert taking.decided() == [(VICTIM, Decision.OFF, SuppressClass.COMPLAINT)]


def of_his(to: str = "stranger@gmail.com", **how: Any) -> str:
    return ours(to, **how)


FORGED: dict[str, Sequence[str]] = {
    "nothing came back": [bounce(VICTIM, "")],
    "unsigned": [bounce(VICTIM, f"From: news@example.com\nTo: {VICTIM}\nMessage-ID: <1@example.com>\n")],
    "a signature of ours that is invented": [bounce(VICTIM, re.sub(r"\bb=", "b=AAAA", ours(VICTIM)))],
    "a message to the stranger": [bounce(VICTIM, of_his())],
    "with another recipient": [bounce(VICTIM, of_his().replace("To: stranger@", "To: victim@"))],
    "with one more recipient on top": [bounce(VICTIM, f"To: {VICTIM}\n{of_his()}")],
    "with one more recipient below": [bounce(VICTIM, of_his().replace("\nSubject", f"\nTo: {VICTIM}\nSubject"))],
    "to nobody, with a copy": [bounce(VICTIM, of_his("undisclosed-recipients:;", more=f"Cc: {VICTIM}\n"))],
    "to both": [bounce(VICTIM, of_his(f"{VICTIM}, stranger@gmail.com"))],
    "signed by the stranger": [bounce(VICTIM, ours(VICTIM, domain="stranger.example"))],
    "about two": [
        bounce(f"stranger@gmail.com\nAction: failed\nStatus: 5.1.1\n\nFinal-Recipient: rfc822; {VICTIM}", of_his())
    ],
    "a complaint": [complaint(VICTIM, of_his()), complaint(VICTIM, f"From: news@example.com\nTo: {VICTIM}\n\nHello\n")],
    "three over a month": [
        bounce(
            VICTIM,
            "",
            n,
            words="452 4.2.2 The email account that you tried to reach is over quota",
            status="4.2.2",
            day=d,
        )
        for n, d in enumerate((1, 12, 24))
    ],
    "events": [
        with_attachment("e.json", json.dumps(each).replace("a@", "victim@"))
        for each in (
            bounced("Permanent", "NoEmail"),
            ses("Complaint", {"complainedRecipients": [{"emailAddress": VICTIM}]}),
            sendgrid("bounce", type="bounce", bounce_classification="Invalid Address"),
            postmark("SpamComplaint"),
        )
    ],
    "a log": [with_attachment("mail.log", log("postfix"), ("text/plain", "application/octet-stream"))],
    "numbers": [
        with_attachment("postmaster.csv", "Domain,Date,Spam rate\nexample.com,2025-11-23,90%\n", ("text/csv",)),
        with_attachment(
            "stats.json",
            json.dumps(
                {
                    "domainStats": [
                        {
                            "name": "domains/example.com/domainStats/1",
                            "metric": "my_spam_rate",
                            "value": {"doubleValue": 0.9},
                            "date": {"year": 2025, "month": 11, "day": 20},
                        }
                    ]
                }
            ),
        ),
    ],
}
STRANGER = {"s1._domainkey.stranger.example": published(ed25519_key())}


@pytest.mark.parametrize("way", FORGED)
def test_no_stranger_takes_anybody_off_or_moves_a_rate(taking: Taking, way: str) -> None:
    result = taking.mails(*FORGED[way], table={**KEYS.table, **STRANGER})
    told = [each for each in taking.decided() if not each[0].startswith("stranger@")]
    assert {decision for _, decision, _ in told} <= {Decision.UNPROVEN}
    known = deliveries_of(taking.history, "example.com", 28, NOW)
    sums = (
        [(each.hard, each.soft, each.complaints, each.delivered, each.deferred) for each in known.days] if known else []
    )
    assert sums == ([(1, 0, 0, 0, 0)] if way == "about two" else [])
    assert not (known and known.gmail)
    if way != "a log":  # a mail's text is not even read as one
        assert result.unproven.total() >= 1


def test_what_nothing_proves_is_told_by_kind(taking: Taking) -> None:
    mails = [each for way in ("unsigned", "a complaint", "events", "numbers") for each in FORGED[way]]
    result = taking.mails(*mails)
    assert result.unproven == {
        FeedbackKind.BOUNCE: 1,
        FeedbackKind.COMPLAINT: 2,
        FeedbackKind.EVENT: 4,
        FeedbackKind.NUMBERS: 1,
    }
    assert result.results.total() == 0
    again = taking.mails()
    assert (again.unproven.total(), again.seen) == (0, len(mails))


def test_the_same_message_counts_once_however_often_it_comes_back(taking: Taking) -> None:
    words = "452 4.2.2 The email account that you tried to reach is over quota"

    def full(back: str, number: int, day: int) -> str:
        return bounce(VICTIM, back, number, words=words, status="4.2.2", day=day)

    one = ours(VICTIM)
    taking.mails(*(full(one, number, day) for number, day in enumerate((1, 12, 24))))
    assert taking.decided() == [(VICTIM, Decision.NOT_YET, SuppressClass.FULL)]
    taking.mails(full(ours(VICTIM, 1), 8, 12), full(ours(VICTIM, 2), 9, 24))
    assert taking.decided() == [(VICTIM, Decision.OFF, SuppressClass.FULL)]


def test_where_dns_fails_it_is_read_again(taking: Taking) -> None:
    failing: dict[str, Rule] = {"s1._domainkey.example.com": Reason.TIMEOUT}
    result = taking.mails(bounce(VICTIM, ours(VICTIM)), table=failing)
    assert result.unproven == {FeedbackKind.BOUNCE: 1}
    assert taking.decided() == [(VICTIM, Decision.UNPROVEN, SuppressClass.ADDRESS)]
    assert taking.mails().unproven.total() == 0
    assert taking.decided() == [(VICTIM, Decision.OFF, SuppressClass.ADDRESS)], "and proved, it is unproven no more"


def test_where_nobody_said_whose_mail_it_is_it_is_read_again(taking: Taking) -> None:
    assert taking.mails(bounce(VICTIM, ours(VICTIM)), own=()).unproven == {FeedbackKind.BOUNCE: 1}
    assert taking.mails().unproven.total() == 0
    assert taking.decided() == [(VICTIM, Decision.OFF, SuppressClass.ADDRESS)]


@pytest.mark.parametrize("made", [bounce, complaint])
def test_an_answer_lifts_until_the_next(taking: Taking, made: Callable[[str, str], str]) -> None:
    taking.mails(made(VICTIM, ours(VICTIM)))
    assert taking.addresses.answered([VICTIM, "nobody@example.org"], NOW) == 1
    assert [decision for _, decision, _ in taking.decided()] == [Decision.ANSWERED]


def test_after_an_answer_bounces_are_counted_anew(tmp_path: Path, taking: Taking) -> None:
    words = "452 4.2.2 The email account that you tried to reach is over quota"

    def full(number: int, day: int) -> str:
        return bounce(VICTIM, ours(VICTIM, number), number, words=words, status="4.2.2", day=day)

    taking.mails(full(1, 1), full(2, 10), full(3, 20))
    taking.addresses.answered([VICTIM], int(datetime(2025, 11, 22, tzinfo=UTC).timestamp()))
    taking.mails(full(4, 24), full(5, 11))
    assert taking.decided() == [(VICTIM, Decision.NOT_YET, SuppressClass.FULL)]
    (record,) = taking.addresses.records()
    assert record.count == 1


def test_an_answer_lifts_what_is_unproven_too(taking: Taking) -> None:
    taking.mails(*FORGED["unsigned"])
    assert taking.addresses.answered([VICTIM], NOW) == 1
    assert taking.decided() == []
