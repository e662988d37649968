"""Where a received mail came in from outside, by which hop it had left its sender, and who passed it on."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from deliverability.core.mail.addresses import parse_addresses, to_a_label
from deliverability.core.mail.received import (
    GATEWAY,
    OTHER_RECIPIENT,
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
_AUTHENTICATED = re.compile(r"(?:UTF8)?E?SMTPS?A|ASMTP|AUTH", re.IGNORECASE)

# How mail comes out of a mailbox: fetchmail, getmail, and programs that import; and how it gets into one: LMTP.
_FETCHED = re.compile(
    r"(?:POP[23]?S?|IMAP4?(?:REV1)?S?|APOP|KPOP|SDPS|ETRN|ODMR|LOCAL|(?:UTF8)?LMTPS?A?)(?:[^A-Z].*)?", re.IGNORECASE
)
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
        submitted: that field is where its writer handed it in (RFC 3848), so that no receiver took it from anybody.

    """

    ip: str | None
    hop: tuple[HeaderField, Received] | None
    recorded: AuthenticationField | None
    records: tuple[AuthenticationField, ...]
    border: HeaderField | None = None
    submitted: bool = False


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
        field, received = step
        if _is_submission(field, received):
            # The address of who writes is never that of a server that sends, whoever recorded it.
            told = any(each.ip not in (None, received.ip) for each in above)
            if not told:
                return Delivery(None, None, None, tuple(above), field, submitted=True)
            border = None
            break
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


def _is_submission(field: HeaderField, received: Received) -> bool:
    """Whether somebody handed the mail in there, with a password or in a browser.

    Exchange has HTTPS and MAPI between its own servers as well: without a public address these tell nothing.
    """
    protocol, words = received.protocol or "", field.value[:5000]
    if _FETCHED.fullmatch(protocol):
        return False
    if _AUTHENTICATED.fullmatch(protocol) or _LOGIN.search(words):
        return True
    outside = received.ip is not None and not is_internal(received.ip) and not is_within_network(received)
    return outside and bool(_SUBMITTED.fullmatch(protocol) or _IN_BROWSER.search(words))


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
_MAX_RECIPIENTS = 4  # domains whose MX hosts are asked for
_DELIVERED = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to")
# The submission of a mail, by a program with a password or in a browser: what stands below is the sender's side.
_SUBMITTED = re.compile(r"(?:UTF8)?(?:E?SMTPS?A|LMTPS?A|HTTPS?(?:REST)?|MAPI|ASMTP|AUTH)", re.IGNORECASE)
_LOGIN = re.compile(r"\bauthenticated sender\b|\(authenticated\b|\bAUTH(?:=|\s)(?:LOGIN|PLAIN|CRAM)", re.IGNORECASE)
_IN_BROWSER = re.compile(r"\b(?:via|with) HTTP", re.IGNORECASE)
_TRANSFER = re.compile(r"(?:UTF8)?E?SMTPS?|Microsoft|QMQP|ESMTPX?", re.IGNORECASE)
_SRS0 = re.compile(r"SRS0[=+-][^=@]+=[^=@]+=([^=@]+)=([^@]+)@.+", re.IGNORECASE)
_SRS1 = re.compile(r"SRS1[=+-][^=@]+=[^=@]+=[=+-][^=@]+=[^=@]+=([^=@]+)=([^@]+)@.+", re.IGNORECASE)


class EarlierHop(Struct, frozen=True):
    """A hop before the last one by which the mail came in from outside somebody's system."""

    field: HeaderField
    received: Received


class Recipients(Struct, frozen=True):
    """Whose mailboxes a mail was for, as domains.

    Attributes:
        last: that of the mailbox which it ended in; None where nothing tells.
        others: those it was delivered to before, the last of them first.
        direct: the mail names the last one in To or Cc, so that nobody had to pass it on to there.

    """

    last: str | None
    others: tuple[str, ...]
    direct: bool


def earlier_hops(
    message: Message, came: Delivery, organization: Organization, senders: Collection[str]
) -> tuple[EarlierHop, ...]:
    """The hops before the last one, from the top, down to the first that a server of the sender took.

    Args:
        message: its header.
        came: its last hop from outside.
        organization: tells which host names belong together.
        senders: the organizations of MAIL FROM and From. A host of theirs is the sender's own relay.

    """
    if came.hop is None or came.hop[1].ip != came.ip or _homes(came.hop[1], organization) & set(senders):
        return ()
    fields = [each for each in message.headers if each.lower == "received"][:_MAX_FIELDS]
    start = next((index for index, each in enumerate(fields) if each is came.hop[0]), len(fields))
    found = []
    for each in _arrivals(fields[start + 1 :]):
        if _home(each.received.by or "", organization) in senders:
            break
        found.append(each)
    return tuple(found)


def recipients(
    message: Message,
    last: Received,
    hops: Sequence[EarlierHop],
    organization: Organization,
    senders: Collection[str],
    rewriter: str | None,
) -> Recipients:
    """Whose mailboxes it was for, but for those of the sender's own organization.

    What stands in To counts where nothing else tells the mailbox, and there is one domain only. `rewriter`: the domain
    that put itself into MAIL FROM when it passed the mail on.
    """
    delivered = [
        box.domain or ""
        for field in [each for each in message.headers if each.lower in _DELIVERED][:_MAX_FIELDS]
        for box in parse_addresses(field.value)[:1]
    ]
    named = dict.fromkeys(
        to_a_label(box.domain) or ""
        for name in ("To", "Cc")
        for field in message.fields(name)[:1]
        for box in parse_addresses(field.value)[:100]
        if box.domain
    )
    stated = (last.recipient or "").rpartition("@")[2]
    final = stated or next(iter(delivered), "") or (next(iter(named)) if len(named) == 1 else "")
    other = [*delivered, rewriter or "", *((each.received.recipient or "").rpartition("@")[2] for each in hops)]
    domains = [to_a_label(each) for each in (final, *other)]
    kept = [each if each and _home(each, organization) not in senders else None for each in domains]
    ours = kept[0]
    others = tuple(dict.fromkeys(each for each in kept[1:] if each is not None and each != ours))
    return Recipients(ours, others[: _MAX_RECIPIENTS - 1], ours is not None and ours in named)


def taken_in(
    last: Received,
    hops: Sequence[EarlierHop],
    whose: Recipients,
    mx: Mapping[str, Collection[str]],
    organization: Organization,
) -> tuple[EarlierHop, str] | Literal["last"] | None:
    """The hop by which a mail came to the mail system of a recipient, with what shows that.

    A server took mail in for a domain where it is one of its MX hosts, or belongs to who runs these, or to the domain
    itself. The topmost counts: what is farther down may be the sender's own way through the same provider. "last":
    the last hop is that one, and nobody passed the mail on before it. None: nothing shows who passed it on. SPF that
    passes farther down shows that the mail once left a permitted host, and nothing about who took it.

    Args:
        last: the last hop from outside.
        hops: those before it.
        whose: the recipients.
        mx: the MX hosts of each of their domains; empty where they are not known.
        organization: tells which host names belong together.

    """

    def exact(hop: Received, domain: str) -> bool:
        return (hop.by or "").lower().rstrip(".") in mx[domain]

    def near(hop: Received, domain: str) -> bool:
        name = (hop.by or "").lower().rstrip(".")
        if name == domain or name.endswith(f".{domain}"):
            return True
        ours = _home(name, organization)
        return ours is not None and ours in {_home(each, organization) for each in (domain, *mx[domain])}

    final = whose.last
    if final is not None and not exact(last, final):
        fits = exact if near(last, final) else near
        hop = next((each for each in hops if fits(each.received, final)), None)
        if hop is not None:
            return hop, GATEWAY
    for domain in whose.others:
        hop = next((each for each in hops if exact(each.received, domain) or near(each.received, domain)), None)
        if hop is not None:
            return hop, OTHER_RECIPIENT
    certain = final is not None and whose.direct and bool(mx[final])
    return "last" if certain and final is not None and (exact(last, final) or near(last, final)) else None


def original_sender(mail_from: str) -> str | None:
    """The MAIL FROM that a forwarder rewrote by the sender rewriting scheme (SRS); None where it is none of these."""
    match = _SRS0.fullmatch(mail_from) or _SRS1.fullmatch(mail_from)
    return f"{match[2]}@{match[1]}" if match else None


def _arrivals(fields: Sequence[HeaderField]) -> Iterator[EarlierHop]:
    """Hops by SMTP from a public address, down to where the mail was submitted."""
    count = 0
    for field in fields:
        hop = parse_received(field.value)
        protocol = hop.protocol or ""
        words = field.value[:5000]
        if _SUBMITTED.fullmatch(protocol) or _LOGIN.search(words) or _IN_BROWSER.search(words):
            return
        if hop.ip is None or is_internal(hop.ip) or not _TRANSFER.match(protocol or "SMTP") or is_within_network(hop):
            continue
        yield EarlierHop(field, hop)
        count += 1
        if count == MAX_HOPS:
            return


def _homes(hop: Received, organization: Organization) -> set[str]:
    """The organizations that the client of a hop names, and that its address leads to."""
    return {home for name in (hop.helo, hop.rdns) if (home := _home(name or "", organization)) is not None}


def _home(name: str, organization: Organization) -> str | None:
    name = name.strip("<>;").rstrip(".").lower()
    return organization(name) if "." in name and not name.startswith("[") else None
