"""Whether a received mail was passed on on the receiving side, and by which hop it had left its sender.

Gateways before Microsoft 365 and Google, forwarding mailboxes, .forward and programs that fetch take the mail from its
sender and hand it over again. The address of the last hop is theirs then; SPF of the sender says nothing about it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from deliverability.mail.addresses import parse_addresses
from deliverability.mail.hop import Delivery, Organization, is_within_network
from deliverability.mail.received import (
    Received,
    client_ip_of,
    is_internal,
    parse_authentication_results,
    parse_received,
    parse_received_spf,
)
from deliverability.model.envelope import (
    ARC,
    EARLIER_RESULTS,
    GATEWAY,
    ORIGINAL_RESULTS,
    OTHER_RECIPIENT,
    RESENT,
    SIGNS,
)

if TYPE_CHECKING:
    from deliverability.mail.reader import HeaderField, Message

MAX_HOPS = 8
"""Earlier hops that are looked at."""
_MAX_FIELDS = 300
_ORIGINAL = frozenset({"authentication-results-original", "x-original-authentication-results"})
_RECORDS = frozenset({"authentication-results", "received-spf", "arc-authentication-results"}) | _ORIGINAL
_RECIPIENT = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to")
# The submission of a mail, by a program with a password or in a browser: what stands below is the sender's side.
_SUBMITTED = re.compile(r"(?:UTF8)?(?:E?SMTPS?A|LMTPS?A|HTTPS?(?:REST)?|MAPI|ASMTP|AUTH)", re.IGNORECASE)
_LOGIN = re.compile(
    r"\bauthenticated sender\b|\(authenticated\b|\bAUTH(?:=|\s)(?:LOGIN|PLAIN|CRAM)|\b(?:via|with) HTTP", re.IGNORECASE
)
_SMTP = re.compile(r"(?:UTF8)?E?SMTPS?|Microsoft|QMQP|ESMTPX?", re.IGNORECASE)
_LOCAL = re.compile(
    r"\bfrom userid \d|\bfrom uid \d|\binvoked by (?:alias|uid)\b|\bwith (?:local|LMTPS?|DELIVERY)\b", re.IGNORECASE
)
_SRS0 = re.compile(r"SRS0[=+-][^=@]+=[^=@]+=([^=@]+)=([^@]+)@.+", re.IGNORECASE)
_SRS1 = re.compile(r"SRS1[=+-][^=@]+=[^=@]+=[=+-][^=@]+=[^=@]+=([^=@]+)=([^@]+)@.+", re.IGNORECASE)


class EarlierHop(Struct, frozen=True):
    """A hop before the last one by which the mail came in from outside somebody's system.

    `signs`: what shows, but for SPF, that the mail was passed on after it.
    """

    field: HeaderField
    received: Received
    signs: tuple[str, ...]


class _Record(Struct, frozen=True):
    """What somebody on the way recorded of an earlier hop; `by`: who says it, where the field tells.

    `ip` is that of the hop. Where the field does not tell it, it is about the hop that stands below it.
    """

    sign: str
    by: str
    ip: str


def earlier_hops(
    message: Message,
    came: Delivery,
    organization: Organization,
    senders: Collection[str],
    is_gateway: Callable[[str], bool],
) -> tuple[EarlierHop, ...]:
    """The hops before the last one, from the top, as far as they are not the sender's own side.

    Args:
        message: its header.
        came: its last hop from outside.
        organization: tells which host names belong together.
        senders: the organizations of MAIL FROM and From. A host of theirs is the sender's own relay.
        is_gateway: whether a host name is that of a gateway that receivers put before their mail system.

    """
    if came.hop is None or came.hop[1].ip != came.ip or _homes(came.hop[1], organization) & set(senders):
        return ()
    fields = [each for each in message.headers if each.lower == "received" or each.lower in _RECORDS][:_MAX_FIELDS]
    start = next((index for index, each in enumerate(fields) if each is came.hop[0]), len(fields))
    below = fields[start + 1 :]
    hops = [*_arrivals(below)]
    if not hops:
        return ()
    records = [*_records(below)]
    final = _final_home(message, came.hop[1], organization)
    before_gateway = _before_gateway(came.hop[1], [hop for _, hop in hops], is_gateway)
    resent = _resent(below, hops)
    found = []
    for number, (field, hop) in enumerate(hops):
        ours = organization(hop.by) if hop.by and "." in hop.by else None
        signs = {
            record.sign
            for record in records
            if record.ip == hop.ip
            and ours not in senders
            and (record.sign != EARLIER_RESULTS or ours is None or _home(record.by, organization) in (None, ours))
        }
        to = _home((hop.recipient or "").rpartition("@")[2], organization)
        if to is not None and final is not None and to != final and to not in senders:
            signs.add(OTHER_RECIPIENT)
        if number == resent and ours not in senders:
            signs.add(RESENT)
        if number == before_gateway:
            signs.add(GATEWAY)
        found.append(EarlierHop(field, hop, tuple(sign for sign in SIGNS if sign in signs)))
    return tuple(found)


def original_sender(mail_from: str) -> str | None:
    """The MAIL FROM that a forwarder rewrote by the sender rewriting scheme (SRS); None where it is none of these."""
    match = _SRS0.fullmatch(mail_from) or _SRS1.fullmatch(mail_from)
    return f"{match[2]}@{match[1]}" if match else None


def _arrivals(fields: Sequence[HeaderField]) -> Iterator[tuple[HeaderField, Received]]:
    """Hops by SMTP from a public address, down to where the mail was submitted."""
    count = 0
    for field in fields:
        if field.lower != "received":
            continue
        hop = parse_received(field.value)
        protocol = hop.protocol or ""
        if _SUBMITTED.fullmatch(protocol) or _LOGIN.search(field.value[:5000]):
            return
        if hop.ip is None or is_internal(hop.ip) or not _SMTP.match(protocol or "SMTP") or is_within_network(hop):
            continue
        yield field, hop
        count += 1
        if count == MAX_HOPS:
            return


def _records(fields: Sequence[HeaderField]) -> Iterator[_Record]:
    """What tells of SPF at an earlier hop."""
    for place, field in enumerate(fields):
        arc = field.lower.startswith("arc-")
        sign = ARC if arc else ORIGINAL_RESULTS if field.lower in _ORIGINAL else EARLIER_RESULTS
        if field.lower == "received-spf":
            content = parse_received_spf(field.value)
            if content.ip is not None:
                yield _Record(sign, content.pairs.get("receiver", "").rpartition("@")[2], content.ip)
        elif field.lower in _RECORDS:
            # ARC puts its instance before what is an Authentication-Results value otherwise (RFC 8617 section 4.1.1).
            value = field.value.partition(";")[2] if arc else field.value
            results = parse_authentication_results(value)
            ip = client_ip_of(results)
            if ip is None and field.lower in _ORIGINAL and any(each.method == "spf" for each in results.results):
                ip = next((hop.ip for _, hop in _arrivals(fields[place:])), None)
            if ip is not None:
                yield _Record(sign, results.server, ip)


def _homes(hop: Received, organization: Organization) -> set[str]:
    """The organizations that the client of a hop names, and that its address leads to."""
    return {home for name in (hop.helo, hop.rdns) if (home := _home(name or "", organization)) is not None}


def _home(name: str, organization: Organization) -> str | None:
    name = name.strip("<>;").rstrip(".").lower()
    return organization(name) if "." in name and not name.startswith("[") else None


def _final_home(message: Message, hop: Received, organization: Organization) -> str | None:
    """The organization of the mailbox that it ended in."""
    if hop.recipient:
        return _home(hop.recipient.rpartition("@")[2], organization)
    for name in _RECIPIENT:
        for field in message.fields(name)[:1]:
            for box in parse_addresses(field.value)[:1]:
                return _home(box.domain or "", organization)
    return None


def _before_gateway(last: Received, hops: Sequence[Received], is_gateway: Callable[[str], bool]) -> int:
    """The place of the hop into the gateway that handed the mail over; -1 where none did."""

    def from_gateway(hop: Received) -> bool:
        return any(is_gateway(name) for name in (hop.rdns, hop.helo) if name)

    if not from_gateway(last):
        return -1
    return next((number for number, hop in enumerate(hops) if not from_gateway(hop)), -1)


def _resent(fields: Sequence[HeaderField], hops: Sequence[tuple[HeaderField, Received]]) -> int:
    """The place of the first hop below a local delivery, by which the mail was sent anew; -1 where there is none."""
    places = {id(field): number for number, (field, _) in enumerate(hops)}
    local = False
    for field in fields:
        if id(field) in places:
            if local:
                return places[id(field)]
        elif field.lower == "received" and _LOCAL.search(re.sub(r"\s+", " ", field.value[:5000])):
            local = True
    return -1
