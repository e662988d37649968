"""Where a received mail came in from outside, by which hop it had left its sender, and who passed it on."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from deliverability.core.mail.addresses import parse_addresses
from deliverability.core.mail.received import (
    ARC,
    EARLIER_RESULTS,
    GATEWAY,
    ORIGINAL_RESULTS,
    OTHER_RECIPIENT,
    RESENT,
    SIGNS,
    AuthenticationResults,
    Received,
    ReceivedSpf,
    client_ip_of,
    is_internal,
    parse_authentication_results,
    parse_received,
    parse_received_spf,
)

if TYPE_CHECKING:
    from deliverability.core.mail.reader import HeaderField, Message

# Gives the organizational domain of a host name; None under no known public suffix, as .internal and .local.
Organization = Callable[[str], str | None]

_MAX_FIELDS = 300  # trace fields that are read, from the top
_TRACE = frozenset({"received", "received-spf", "authentication-results"})
_SMTP = re.compile(r"(?:UTF8)?E?SMTPS?A?", re.IGNORECASE)
_AUTHENTICATED = re.compile(r"(?:UTF8)?E?SMTPS?A", re.IGNORECASE)

# How mail comes out of a mailbox: fetchmail, getmail, and programs that import.
_FETCHED = re.compile(r"(?:POP[23]?S?|IMAP4?(?:REV1)?S?|APOP|KPOP|SDPS|ETRN|ODMR|LOCAL)(?:[^A-Z].*)?", re.IGNORECASE)
# Systems that write their records below their own Received field.
_BELOW = re.compile(r"(?:^|\.)(?:google|amazonaws|icloud|mac|me)\.com$")

# Hops within these systems have addresses that are not private. Their names alone prove nothing, for anybody can say
# them in HELO, and what leaves such a system comes in again under names and addresses much like these.
_OWN_NETWORKS = (
    (
        re.compile(r"(?:^|\.)prod\.(?:protection\.)?(?:outlook\.com|exchangelabs\.com|office365\.us|outlook\.cn)$"),
        re.compile(r"(?:^|\.)(?:outlook\.com|office365\.com|exchangelabs\.com|office365\.us|outlook\.cn)$"),
        (ipaddress.ip_network("2603:1000::/24"), ipaddress.ip_network("2a01:111::/32")),
    ),
    (
        re.compile(r"(?:^|\.)(?:apple|icloud|mac|me)\.com$"),
        re.compile(r"(?:^|\.)(?:apple|icloud|mac|me)\.com$"),
        (ipaddress.ip_network("17.0.0.0/8"), ipaddress.ip_network("2620:149::/32")),
    ),
)


class AuthenticationField(Struct, frozen=True):
    """An Authentication-Results or Received-SPF field, read.

    Attributes:
        field: the field itself.
        content: what it says.
        by: who says it: the authserv-id, or the receiver= of Received-SPF; empty where it does not tell.
        ip: the client address that it tells, where that can be one outside the receiver's network.

    """

    field: HeaderField
    content: AuthenticationResults | ReceivedSpf
    by: str
    ip: str | None


# A trace field, in the order of the header.
_Step: TypeAlias = "AuthenticationField | tuple[HeaderField, Received]"


class Delivery(Struct, frozen=True):
    """How the last receiver got the message.

    Attributes:
        ip: the address it came from: the one that the receiver recorded, else the one of `hop`; None where nothing
            that the receiver wrote tells it.
        hop: the Received field of this address, and what it says; None where no field names the address.
        recorded: the topmost record that tells `ip`; None where only `hop` does.
        records: all records that the receiver wrote, from the top.
        border: the topmost Received field from outside: what stands above it the receiver wrote.

    """

    ip: str | None
    hop: tuple[HeaderField, Received] | None
    recorded: AuthenticationField | None
    records: tuple[AuthenticationField, ...]
    border: HeaderField | None = None


def delivery(headers: Iterable[HeaderField], organization: Organization) -> Delivery:
    """Find the hop by which a message came in from outside, and what its receiver recorded.

    `organization` tells which host names belong together.
    """
    steps = _steps(headers)
    above: list[AuthenticationField] = []
    border: tuple[HeaderField, Received] | None = None
    below: tuple[AuthenticationField, ...] = ()
    for index, step in enumerate(steps):
        if isinstance(step, AuthenticationField):
            above.append(step)
            continue
        received = step[1]
        below = _records_below(received, steps[index + 1 :])
        named = received.ip is not None and received.ip in {each.ip for each in (*above, *below)}
        if named or not _is_own(received, steps[index + 1 :], organization):
            border = step
            break
    recorded = next((each for each in above if each.ip), None)
    if recorded is not None and (border is None or border[1].ip != recorded.ip):
        # A gateway of the receiver stands between: the field that names the address is farther down, if there is one.
        hops = [step for step in steps if not isinstance(step, AuthenticationField)]
        hop = next((step for step in hops if step[1].ip == recorded.ip), None)
        return Delivery(recorded.ip, hop, recorded, tuple(above), border[0] if border else None)
    if border is None:
        return Delivery(None, None, None, tuple(above))
    own = (*above, *_agreeing(border[1], above, below, organization))
    recorded = next((each for each in own if each.ip), None)
    if recorded is None:
        return Delivery(border[1].ip, border if border[1].ip else None, None, own, border[0])
    return Delivery(recorded.ip, border, recorded, own, border[0])


def _steps(headers: Iterable[HeaderField]) -> list[_Step]:
    fields = [field for field in headers if field.lower in _TRACE][:_MAX_FIELDS]
    return [(field, parse_received(field.value)) if field.lower == "received" else _record(field) for field in fields]


def _record(field: HeaderField) -> AuthenticationField:
    content: AuthenticationResults | ReceivedSpf
    if field.lower == "received-spf":
        content = parse_received_spf(field.value)
        by, ip = content.pairs.get("receiver", ""), content.ip
    else:
        content = parse_authentication_results(field.value)
        by, ip = content.server, client_ip_of(content)
    # Postfix's policyd-spf tells the recipient there, or <UNKNOWN>.
    by = by.rpartition("@")[2].rstrip(".;").lower()
    return AuthenticationField(
        field, content, "" if by.startswith("<") else by, None if ip is None or is_internal(ip) else ip
    )


def _records_below(received: Received, steps: Sequence[_Step]) -> tuple[AuthenticationField, ...]:
    """The records directly below a Received field, of the systems that write theirs there; of each server the first.

    In mail that another system took, what stands there is the sender's, for trace fields are put above the header that
    came in. Milters of Postfix write there too, and cannot be told from a sender who writes in their name.
    """
    if not _BELOW.search((received.by or "").lower().rstrip(".")):
        return ()
    records: dict[tuple[str, str], AuthenticationField] = {}
    for step in steps:
        if not isinstance(step, AuthenticationField):
            break
        records.setdefault((step.field.lower, step.by), step)
    return tuple(records.values())


def _is_own(received: Received, below: Sequence[_Step], organization: Organization) -> bool:
    """Whether a hop was within the receiver's own system."""
    client = received.helo if received.rdns is None else received.rdns
    if received.protocol is not None and _FETCHED.fullmatch(received.protocol):
        return True  # the address is that of the mailbox it was fetched from
    if received.ip is None:
        # A hop without an address is a queue, a store or a fetch, unless it was SMTP between two organizations.
        smtp = received.protocol is not None and _SMTP.fullmatch(received.protocol)
        return not smtp or not _are_strangers(client, received.by, organization)
    if is_internal(received.ip):
        return True
    return _is_known_network(client, received) or _is_own_gateway(received, below, organization)


def _are_strangers(client: str | None, server: str | None, organization: Organization) -> bool:
    ours, theirs = _organization(server, organization), _organization(client, organization)
    return ours is not None and theirs is not None and ours != theirs


def is_within_network(received: Received) -> bool:
    """Whether a hop with a public address was within one of the systems whose own hops have such."""
    client = received.helo if received.rdns is None else received.rdns
    return received.ip is not None and _is_known_network(client, received)


def _is_known_network(client: str | None, received: Received) -> bool:
    name, server = (client or "").lower().rstrip("."), (received.by or "").lower().rstrip(".")
    address = ipaddress.ip_address(received.ip or "")
    return any(
        clients.search(name) and servers.search(server) and any(address in network for network in networks)
        for clients, servers, networks in _OWN_NETWORKS
    )


def _is_own_gateway(received: Received, below: Sequence[_Step], organization: Organization) -> bool:
    """Whether the client is another server of the same organization that took the mail from outside and checked it.

    The next hop must have come to that very server, not by submission, and records of the organization must name
    its address. Where mail leaves an organization and comes back, its outgoing server has written no such records.
    """
    ours, client = _organization(received.by, organization), received.rdns  # anybody can say the name in HELO
    if client is None or ours is None or _organization(client, organization) != ours:
        return False
    records: list[AuthenticationField] = []
    for step in below:
        if isinstance(step, AuthenticationField):
            records.append(step)
        elif step[1].ip is not None:
            came = step[1]
            if (came.by or "").lower().rstrip(".") not in (client.lower(), (received.helo or "").lower()):
                return False
            submitted = came.protocol is not None and _AUTHENTICATED.fullmatch(came.protocol)
            checked = any(each.ip == came.ip for each in records)
            return checked and not submitted and any(_organization(each.by, organization) == ours for each in records)
    return False


def _agreeing(
    hop: Received,
    above: Sequence[AuthenticationField],
    below: Sequence[AuthenticationField],
    organization: Organization,
) -> tuple[AuthenticationField, ...]:
    """The records below the hop from outside that are the receiver's: by its own name, or as they name its client.

    A forger can copy both, but gains nothing: the address stays that of the hop.
    """
    confirmed = [each for each in below if each.ip is not None and each.ip == hop.ip]
    names = {(hop.by or "").lower().rstrip("."), *(each.by for each in (*above, *confirmed))} - {""}
    owners = {_organization(name, organization) or name for name in names}

    def agrees(record: AuthenticationField) -> bool:
        owner = _organization(record.by, organization) or record.by
        return record in confirmed or (record.ip is None and owner in owners)

    return tuple(each for each in below if agrees(each))


def _organization(name: str | None, organization: Organization) -> str | None:
    """The organization of a host name; None for an address and for a name of one label, which tell none."""
    name = (name or "").rstrip(".").lower()
    if "." not in name or name.startswith("[") or name.replace(".", "").isdigit():
        return None
    return organization(name)


MAX_HOPS = 8
"""Earlier hops that are looked at."""
_ORIGINAL = frozenset({"authentication-results-original", "x-original-authentication-results"})
_RECORDS = frozenset({"authentication-results", "received-spf", "arc-authentication-results"}) | _ORIGINAL
_RECIPIENT = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to")
# The submission of a mail, by a program with a password or in a browser: what stands below is the sender's side.
_SUBMITTED = re.compile(r"(?:UTF8)?(?:E?SMTPS?A|LMTPS?A|HTTPS?(?:REST)?|MAPI|ASMTP|AUTH)", re.IGNORECASE)
_LOGIN = re.compile(
    r"\bauthenticated sender\b|\(authenticated\b|\bAUTH(?:=|\s)(?:LOGIN|PLAIN|CRAM)|\b(?:via|with) HTTP", re.IGNORECASE
)
_TRANSFER = re.compile(r"(?:UTF8)?E?SMTPS?|Microsoft|QMQP|ESMTPX?", re.IGNORECASE)
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
        if hop.ip is None or is_internal(hop.ip) or not _TRANSFER.match(protocol or "SMTP") or is_within_network(hop):
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
