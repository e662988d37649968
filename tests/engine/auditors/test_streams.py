"""What newsletters and automatic mail of a domain share, as facts; with one kind alone nothing is known."""

from __future__ import annotations

from datetime import UTC, datetime

from deliverability.core.codes import Input, needed
from deliverability.core.facts.base import FactSet, Purpose, Reason, SampleSeen, Unknown
from deliverability.core.facts.envelope import StreamSample
from deliverability.core.inputs import Subject
from deliverability.core.mail.reader import read
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.engine.auditors import purpose
from deliverability.engine.base import gather
from tests.engine.auditors.test_message import DeadResolver

NEWS = SampleSeen("news", Purpose.BULK, False, ("list-id",), "192.0.2.1", ("news.example.com", "esp.example"))
ORDER = SampleSeen("order", Purpose.TRANSACTIONAL, True, (), "192.0.2.2", ("example.com", "esp.example"))
LETTER = SampleSeen("letter", None, False, (), "192.0.2.1", ("example.com",))


async def audit(*samples: SampleSeen, mail: bytes | None = b"From: a@example.com\n\nx") -> FactSet:
    ports = Ports(DeadResolver(), FixedClock(datetime(2026, 11, 26, tzinfo=UTC)))
    message = None if mail is None else read(mail)
    gathered = await gather([purpose.streams_audit], Subject("mail.example.com", samples=samples), ports, message)
    assert gathered.crashes == ()
    return gathered.facts


def waits(facts: FactSet, name: str) -> bool:
    value = facts.value(name)
    return isinstance(value, Unknown) and needed(value.detail) is Input.SAMPLES


async def test_streams_that_are_apart_share_nothing_that_is_their_own() -> None:
    facts = await audit(NEWS, ORDER, LETTER)
    assert facts.value("streams.shared_addresses") == ()
    assert facts.value("streams.shared_signers") == (), "the service signs for all of its customers"
    assert (facts.value("streams.bulk"), facts.value("streams.transactional")) == (("news",), ("order",))


async def test_what_both_kinds_use_is_shared_and_other_mail_counts_for_neither() -> None:
    same = SampleSeen("order", Purpose.TRANSACTIONAL, True, (), NEWS.address, ("news.example.com",))
    facts = await audit(NEWS, same, LETTER)
    assert facts.value("streams.shared_addresses") == ("192.0.2.1",)
    assert facts.value("streams.shared_signers") == ("news.example.com",)


async def test_without_a_sample_of_each_kind_all_waits_for_one() -> None:
    for samples in ((), (NEWS, LETTER), (ORDER, LETTER)):
        facts = await audit(*samples)
        assert waits(facts, "streams.shared_addresses")
        assert waits(facts, "streams.shared_signers")
        assert waits(facts, "streams.samples") == (not samples)


async def test_without_any_message_it_is_a_message_that_all_waits_for() -> None:
    value = (await audit(mail=None)).value("streams.shared_signers")
    assert isinstance(value, Unknown)
    assert (value.reason, value.detail) == (Reason.NO_MESSAGE, None)


async def test_a_draft_tells_no_address_but_who_signs_and_an_unsigned_mail_shares_no_signature() -> None:
    draft = SampleSeen("order", Purpose.TRANSACTIONAL, True)
    facts = await audit(NEWS, draft)
    assert waits(facts, "streams.shared_addresses")
    assert facts.value("streams.shared_signers") == ()


async def test_each_sample_is_shown_with_what_its_kind_rests_on() -> None:
    found = (await audit(NEWS, ORDER, LETTER)).value("streams.samples")
    assert isinstance(found, tuple)
    told = [(each.name, each.purpose, each.basis, each.signs) for each in found if isinstance(each, StreamSample)]
    assert told == [
        ("news", "bulk", "inferred", ("list-id",)),
        ("order", "transactional", "declared", ()),
        ("letter", None, None, ()),
    ]
