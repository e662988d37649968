"""Which addresses are addresses, and what of them goes on a suppression list now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from deliverability.feedback.suppress import decide, plain_address
from deliverability.history.addresses import AddressFile
from deliverability.model.deliveries import DeliveryEvent, DeliveryResult
from deliverability.model.errors import InputError
from deliverability.model.suppression import AddressEvent, AddressRecord, Decision, SuppressClass
from deliverability.ports.ports import Ports
from deliverability.runs.mailable import takes_no_mail

if TYPE_CHECKING:
    from deliverability.runs.intake import TakesEvents


class SuppressSums(Struct):
    """How many addresses became what, each counted once with the reason that decides.

    `again`: those that were off for long and may be tried again; few, since only closed mailboxes come to that.
    """

    decided: Counter[tuple[Decision, SuppressClass]] = field(default_factory=Counter)
    again: list[AddressRecord] = field(default_factory=list)

    def of(self, decision: Decision) -> int:
        """How many addresses became that."""
        return sum(n for (each, _), n in self.decided.items() if each is decision)


def addresses_into(addresses: AddressFile, now: int) -> TakesEvents:
    """What an intake gives its events to, so that their addresses are addresses; see AddressFile.settle.

    `now`, seconds since 1970, is when an event was that does not tell.
    """

    def take(events: Sequence[DeliveryEvent]) -> None:
        named = [(address, each) for each in events if (address := plain_address(each.recipient))]
        addresses.take(
            (
                AddressEvent(address, each.why, _at(each, now), each.receiver, each.meaning, each.origin.value)
                for address, each in named
                if each.why is not None
            ),
            ((address, _at(each, now)) for address, each in named if each.result is DeliveryResult.DELIVERED),
        )

    return take


def _at(event: DeliveryEvent, now: int) -> int:
    return now if event.at is None else min(event.at, now)


async def suppressed(
    addresses: AddressFile, ports: Ports, sums: SuppressSums, tick: Callable[[], None] = lambda: None
) -> Iterator[AddressRecord]:
    """The addresses that go on the list, in their order and one at a time; `sums` is filled as they are taken.

    DNS is asked about the domains that bounced as unknown, each once. Raises InputError, also while they are taken.
    """
    gone = await takes_no_mail(addresses.domains(SuppressClass.HOST), ports, tick)
    now = int(ports.clock.now().timestamp())

    def each() -> Iterator[AddressRecord]:
        for record, decision in _decided(addresses, now, gone):
            sums.decided[decision, record.kind] += 1
            if decision is Decision.OFF:
                yield record
            elif decision is Decision.AGAIN:
                sums.again.append(record)

    return each()


def to_suppress(file: Path, now: int) -> int | None:
    """How many addresses go on the list whatever DNS says, which is not asked; None where the file cannot be read.

    `now`: seconds since 1970.
    """
    try:
        addresses = AddressFile(file, create=False)
        try:
            return sum(decision is Decision.OFF for _, decision in _decided(addresses, now, {}))
        finally:
            addresses.close()
    except InputError:  # `deliv intake` and `deliv suppress` say what is the matter with it
        return None


def _decided(
    addresses: AddressFile, now: int, gone: Mapping[str, bool | None]
) -> Iterator[tuple[AddressRecord, Decision]]:
    """What becomes of each address, and of several reasons the one that decides; `gone`: see `takes_no_mail`."""
    for _, same in groupby(addresses.records(), key=lambda record: record.address):
        yield min(((record, decide(record, now, gone.get(record.domain))) for record in same), key=_first)


def _first(decided: tuple[AddressRecord, Decision]) -> tuple[int, int]:
    """What decides about an address that bounced for several reasons: what takes it off, a complaint before all."""
    record, decision = decided
    return list(Decision).index(decision), list(SuppressClass).index(record.kind)
