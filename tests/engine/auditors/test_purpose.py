"""What the domain sends: declared, or read from the message or the records; and what its kinds of mail share.

What is read is told as an assumption; with samples of one kind alone nothing is known of what is shared.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from deliverability.core.codes import Input, needed
from deliverability.core.facts.base import FactSet, Purpose, Reason, SampleSeen, Unknown
from deliverability.core.facts.envelope import StreamSample
from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail.reader import read
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.engine.auditors import forwarding, message, purpose
from deliverability.engine.base import gather
from tests.engine.auditors.test_message import DeadResolver
from tests.facts_of import stating

FACTS = {
    "identity.sends_nothing": False,
    "spf.sends_nothing": False,
    "domain.null_mx": False,
    "dmarc.effective_policy": "none",
    "envelope.mail_from_domain": {"unknown": "not-configured"},
    "envelope.mail_from": {"unknown": "not-configured"},
    "envelope.mail_from_source": {"unknown": "not-configured"},
    "envelope.connecting_ip": {"unknown": "not-configured"},
    "envelope.passed_on_signs": [],
    "envelope.ip_source": {"unknown": "not-configured"},
}
CLOSED = {"identity.sends_nothing": True, "spf.sends_nothing": True, "dmarc.effective_policy": "reject"}
FROM = "From: News <news@example.com>\nTo: bob@example.net\n"


async def audit(raw: str | None = None, given: dict[str, Any] | None = None, **subject: Any) -> FactSet:
    """The facts of the purpose of example.com, with what DNS says `given`."""
    auditors = (message.audit, forwarding.audit, purpose.audit)
    octets = raw.encode() if raw is not None else None
    gathered = await gather(
        [stating(FACTS | (given or {}), *auditors), *auditors],
        Subject("example.com", sample=Sample("", data=octets), **subject),
        Ports(DeadResolver(), FixedClock(datetime(2026, 11, 24, tzinfo=UTC))),
        read(octets) if octets is not None else None,
    )
    assert gathered.crashes == ()
    return gathered.facts


def shown(facts: FactSet) -> tuple[Any, ...]:
    """Purpose, basis, signs, parked, sends; the reason in place of what is unknown."""
    values = [
        facts.value(f"subject.{name}") for name in ("purpose", "purpose_basis", "purpose_signs", "parked", "sends")
    ]
    return tuple(value.reason if isinstance(value, Unknown) else value for value in values)


NOTHING_TELLS = (Reason.NOT_CONFIGURED, None, (), False, False)


async def test_where_nothing_tells_the_purpose_is_unknown_and_nothing_is_assumed() -> None:
    assert shown(await audit()) == NOTHING_TELLS
    assert shown(await audit(FROM + "\nx")) == NOTHING_TELLS


@pytest.mark.parametrize("declared", Purpose)
async def test_what_is_declared_wins_over_every_sign(declared: Purpose) -> None:
    facts = await audit(FROM + "List-Unsubscribe: <mailto:u@example.com>\n\nx", CLOSED, purpose=declared)
    parked = declared is Purpose.PARKED
    assert shown(facts) == (declared.value, "declared", (), parked, not parked)


@pytest.mark.parametrize(
    ("header", "sign"),
    [
        ("List-Unsubscribe: <mailto:u@example.com>", "list-unsubscribe"),
        ("List-Id: News <news.mail.example.com>", "list-id"),
        ("Precedence: Bulk", "precedence-bulk"),
        ("Feedback-ID: 317:869:news:acme", "feedback-id"),
    ],
)
async def test_marks_of_mail_to_many(header: str, sign: str) -> None:
    facts = await audit(f"{FROM}{header}\n\nx")
    assert shown(facts) == ("bulk", "inferred", (sign,), False, True)
    name = header.partition(":")[0].lower()
    assert facts.facts["subject.purpose"].evidence == (f"header:{name}:1",)


async def test_all_signs_are_told() -> None:
    raw = FROM + "Feedback-ID: a:b:c:acme\nPrecedence: bulk\nList-Unsubscribe: <mailto:u@example.com>\n\nx"
    assert (await audit(raw)).value("subject.purpose_signs") == ("list-unsubscribe", "precedence-bulk", "feedback-id")


@pytest.mark.parametrize(
    "header",
    [
        "List-Id: <list.example.org>",  # whose newsletter that is, it does not say
        "Precedence: list",
        "Precedence: bulk\nAuto-Submitted: auto-replied",  # an answering machine
        "Precedence: bulk\nReturn-Path: <>",  # a bounce
        # Put on every mail of the provider, also on that of a person.
        "Feedback-ID: i35d941ae:Fastmail",
        "Feedback-ID: 1.us-west-2.l/mTI5simBcQ=:AmazonSES",
        "Feedback-ID: 1234567:SG",
    ],
)
async def test_what_looks_like_bulk_and_is_no_sign(header: str) -> None:
    assert shown(await audit(f"{FROM}{header}\n\nx")) == NOTHING_TELLS


async def test_a_post_to_somebodys_list_says_nothing_of_the_author() -> None:
    marks = "List-Id: <dev.list.example.org>\nList-Unsubscribe: <mailto:dev-leave@list.example.org>\nPrecedence: list\n"
    assert shown(await audit(FROM + marks + "\nx")) == NOTHING_TELLS


async def test_a_newsletter_through_a_service_that_names_the_list_is_bulk() -> None:
    marks = "List-Id: <3f21.list-id.esp.example>\nList-Unsubscribe: <https://esp.example/u>\n"
    assert shown(await audit(FROM + marks + "\nx"))[:3] == ("bulk", "inferred", ("list-unsubscribe",))


@pytest.mark.parametrize(
    ("given", "signs"),
    [
        (CLOSED, ("spf-all-fails", "dmarc-reject")),
        (CLOSED | {"dmarc.effective_policy": "none", "domain.null_mx": True}, ("spf-all-fails", "null-mx")),
        (CLOSED | {"domain.null_mx": True}, ("spf-all-fails", "null-mx", "dmarc-reject")),
    ],
)
async def test_a_domain_that_says_twice_that_it_sends_nothing_is_parked(
    given: dict[str, Any], signs: tuple[str, ...]
) -> None:
    assert shown(await audit(given=given)) == ("parked", "inferred", signs, True, False)
    # A message of somebody else changes nothing.
    other = await audit("From: a@example.org\n\nx", given)
    assert shown(other) == ("parked", "inferred", signs, True, False)


@pytest.mark.parametrize("raw", [FROM + "\nx", "From: a@news.example.com\n\nx"])
async def test_a_domain_whose_mail_is_at_hand_is_not_parked(raw: str) -> None:
    assert shown(await audit(raw, CLOSED)) == NOTHING_TELLS


async def test_neither_is_one_with_an_envelope_an_address_or_a_volume() -> None:
    envelope = CLOSED | {"envelope.mail_from_domain": "bounce.example.com"}
    assert shown(await audit(given=envelope)) == NOTHING_TELLS
    assert shown(await audit(given=CLOSED, daily_volume=100)) == (*NOTHING_TELLS[:4], True)
    assert shown(await audit(given=CLOSED, sending_ips=("192.0.2.1",))) == (*NOTHING_TELLS[:4], True)


@pytest.mark.parametrize("reason", [Reason.TIMEOUT, Reason.SERVFAIL, Reason.REFUSED, Reason.OFFLINE])
async def test_a_failed_look_up_leaves_it_open_only_where_it_decides(reason: Reason) -> None:
    lost = {"identity.sends_nothing": {"unknown": reason.value}}
    assert shown(await audit(given=lost)) == (reason, reason, reason, reason, False)
    # Mail of the domain is at hand, so it sends, whatever its records say; a mark of bulk mail needs no DNS.
    assert shown(await audit(FROM + "\nx", lost)) == NOTHING_TELLS
    assert shown(await audit(FROM + "Precedence: bulk\n\nx", lost))[0] == "bulk"


async def test_parked_for_certain_though_one_of_the_signs_could_not_be_looked_up() -> None:
    given = CLOSED | {"domain.null_mx": True, "dmarc.effective_policy": {"unknown": "timeout"}}
    assert shown(await audit(given=given)) == ("parked", "inferred", Reason.TIMEOUT, True, False)


LIST = "List-Unsubscribe: <https://lists.example.com/u>\nList-Id: Dev <dev.lists.example.com>\n"


@pytest.mark.parametrize(
    "header",
    [
        # Discussion lists of one's own, or that put themselves into From for DMARC.
        "From: Ann <ann@example.com>\nList-Post: <mailto:dev@lists.example.com>\n",
        "From: Ann via Dev <dev@lists.example.com>\nList-Post: <mailto:dev@lists.example.com>\nPrecedence: list\n",
        "From: Ann via Dev <dev@lists.example.com>\nX-Mailman-Version: 2.1.39\n",
        "From: 'Ann' via Dev <dev@lists.example.com>\nX-Google-Group-Id: 12\nX-Original-From: Ann <a@b.example>\n",
        "From: Ann <dev@lists.example.com>\nPrecedence: list\nReply-To: ann@b.example\n",
        "From: 山田 (Dev経由) <dev@lists.example.com>\nX-BeenThere: dev@lists.example.com\n",
        "From: Ann <ann@b.example>\nMailing-List: contact dev-help@lists.example.com; run by ezmlm\n",
    ],
)
async def test_a_discussion_list_is_no_bulk_mail(header: str) -> None:
    facts = await audit(f"{header}{LIST}To: dev@lists.example.com\n\nx")
    assert facts.value("message.discussion") is True
    assert shown(facts)[0] != "bulk"
    assert facts.value("subject.purpose_signs") == ()


@pytest.mark.parametrize(
    "header",
    [
        "",
        "List-Post: NO\n",
        "List-Post: NO (posting not allowed on this list)\nPrecedence: list\n",
        "Precedence: bulk\n",
        "X-Mailer: esp\nSender: bounce@esp.example\n",
    ],
)
async def test_an_announcement_is_bulk_mail(header: str) -> None:
    facts = await audit(f"From: News <news@example.com>\n{header}{LIST}To: bob@example.net\n\nx")
    assert facts.value("message.discussion") is False
    assert shown(facts)[0] == "bulk"


NEWS = SampleSeen("news", Purpose.BULK, False, ("list-id",), "192.0.2.1", ("news.example.com", "esp.example"))
ORDER = SampleSeen("order", Purpose.TRANSACTIONAL, True, (), "192.0.2.2", ("example.com", "esp.example"))
LETTER = SampleSeen("letter", None, False, (), "192.0.2.1", ("example.com",))


async def streams_of(*samples: SampleSeen, mail: bytes | None = b"From: a@example.com\n\nx") -> FactSet:
    ports = Ports(DeadResolver(), FixedClock(datetime(2026, 11, 26, tzinfo=UTC)))
    message = None if mail is None else read(mail)
    gathered = await gather([purpose.streams_audit], Subject("mail.example.com", samples=samples), ports, message)
    assert gathered.crashes == ()
    return gathered.facts


def waits(facts: FactSet, name: str) -> bool:
    value = facts.value(name)
    return isinstance(value, Unknown) and needed(value.detail) is Input.SAMPLES


async def test_streams_that_are_apart_share_nothing_that_is_their_own() -> None:
    facts = await streams_of(NEWS, ORDER, LETTER)
    assert facts.value("streams.shared_addresses") == ()
    assert facts.value("streams.shared_signers") == (), "the service signs for all of its customers"
    assert (facts.value("streams.bulk"), facts.value("streams.transactional")) == (("news",), ("order",))


async def test_what_both_kinds_use_is_shared_and_other_mail_counts_for_neither() -> None:
    same = SampleSeen("order", Purpose.TRANSACTIONAL, True, (), NEWS.address, ("news.example.com",))
    facts = await streams_of(NEWS, same, LETTER)
    assert facts.value("streams.shared_addresses") == ("192.0.2.1",)
    assert facts.value("streams.shared_signers") == ("news.example.com",)


async def test_without_a_sample_of_each_kind_all_waits_for_one() -> None:
    for samples in ((), (NEWS, LETTER), (ORDER, LETTER)):
        facts = await streams_of(*samples)
        assert waits(facts, "streams.shared_addresses")
        assert waits(facts, "streams.shared_signers")
        assert waits(facts, "streams.samples") == (not samples)


async def test_without_any_message_it_is_a_message_that_all_waits_for() -> None:
    value = (await streams_of(mail=None)).value("streams.shared_signers")
    assert isinstance(value, Unknown)
    assert (value.reason, value.detail) == (Reason.NO_MESSAGE, None)


async def test_a_draft_tells_no_address_but_who_signs_and_an_unsigned_mail_shares_no_signature() -> None:
    draft = SampleSeen("order", Purpose.TRANSACTIONAL, True)
    facts = await streams_of(NEWS, draft)
    assert waits(facts, "streams.shared_addresses")
    assert facts.value("streams.shared_signers") == ()


async def test_each_sample_is_shown_with_what_its_kind_rests_on() -> None:
    found = (await streams_of(NEWS, ORDER, LETTER)).value("streams.samples")
    assert isinstance(found, tuple)
    told = [(each.name, each.purpose, each.basis, each.signs) for each in found if isinstance(each, StreamSample)]
    assert told == [
        ("news", "bulk", "inferred", ("list-id",)),
        ("order", "transactional", "declared", ()),
        ("letter", None, None, ()),
    ]
