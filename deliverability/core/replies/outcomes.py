"""What a reply means for the mail that it answers, and for the address that it was sent to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.mail.addresses import to_a_label
from deliverability.core.model.deliveries import AddressRecord, Decision, DeliveryResult, SuppressClass
from deliverability.core.model.replies import ANY, About, Meaning, Phase, Reply, ReplyCatalogue, ReplyKind, Retry
from deliverability.core.model.rules import Confidence
from deliverability.core.replies.match import meaning_of, receiver_of

_DAY = 86_400
_MAILBOX_CODE = re.compile(r"[25]\.2\.[0-9]{1,3}")
_ADDRESS_CODE = re.compile(r"5\.1\.(?:[13-6]|10|351)|5\.4\.1")
_MAX_LOCAL = 64  # octets, RFC 5321 section 4.5.3.1.1
_REDACTED = re.compile(r"(?:redacted|removed|hidden|anonymi[sz]ed)(?:[^a-z]|\Z)", re.I)
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+")


class _When(Struct, frozen=True):
    """When an address goes on the list.

    Attributes:
        bounces: that many at least.
        days: between the first and the last of them, at least.
        again: after so many days without another one it is offered again; 0: never.
        gone: or at once where the domain is gone from DNS.

    """

    bounces: int = 1
    days: int = 0
    again: int = 0
    gone: bool = False


TABLE: Mapping[SuppressClass, _When] = MappingProxyType(
    {
        SuppressClass.COMPLAINT: _When(),
        SuppressClass.ADDRESS: _When(),
        SuppressClass.DOUBTED: _When(bounces=3, days=14, again=180),
        SuppressClass.DISABLED: _When(bounces=3, days=14, again=180),
        SuppressClass.FULL: _When(bounces=3, days=14),
        SuppressClass.HOST: _When(bounces=3, days=7, gone=True),
    }
)


def class_of(reply: Reply, meaning: Meaning | None) -> SuppressClass | None:
    """Why the recipient of a reply would go off a list; None: this reply is no reason.

    A reply that says "later" is none for an address, and makes a mailbox one that is full at most. An answer to MAIL
    FROM is about the sender.
    """
    if meaning is None or reply.kind is ReplyKind.ACCEPTED or reply.phase is Phase.MAIL:
        return None
    temporary = reply.kind is ReplyKind.TEMPORARY
    match meaning.about:
        case About.ADDRESS if reply.kind is ReplyKind.REPORT:
            return SuppressClass.COMPLAINT
        case About.ADDRESS if temporary:
            return None
        case About.ADDRESS:
            return SuppressClass.ADDRESS if _is_sure(reply, meaning) else SuppressClass.DOUBTED
        case About.MAILBOX:
            later = temporary or meaning.retry is Retry.LATER
            return SuppressClass.FULL if later else SuppressClass.DISABLED
        case About.HOST:
            return SuppressClass.HOST
        case _:
            return None


def _is_sure(reply: Reply, meaning: Meaning) -> bool:
    """Whether one reply is enough to say that there is no such address.

    It is where the server was asked for the address alone (RCPT TO), or says so by the code for it (X.1.Y, RFC 3463)
    as well. After the message was sent a filter may say the same, and some notices do not tell what was answered: then
    only words count that the catalogue has of this very receiver, or 5.1.1 for DATA itself. A status about the mailbox
    (X.2.Y) means that it is there.
    """
    codes = (reply.enhanced, reply.status)
    if meaning.contested or meaning.confidence is Confidence.LOW:
        return False
    if any(_MAILBOX_CODE.fullmatch(code) for code in codes):
        return False
    own = meaning.receiver != ANY and bool(meaning.says)
    if reply.phase is Phase.DATA:
        unread = reply.command == "DATA" and reply.enhanced == "5.1.1"
        return unread or (own and meaning.confidence is Confidence.HIGH)
    return own or reply.phase is Phase.RCPT or any(_ADDRESS_CODE.fullmatch(code) for code in codes)


def decide(record: AddressRecord, now: int, gone: bool | None) -> Decision:
    """What becomes of an address.

    Args:
        record: what was seen of it.
        now: seconds since 1970.
        gone: whether DNS says now that its domain does not exist or takes no mail (Null MX, RFC 7505); None: DNS
            could not be asked. It counts for SuppressClass.HOST only.

    """
    when = TABLE[record.kind]
    if record.answered is not None and record.answered >= record.last:
        return Decision.ANSWERED
    if record.kind is not SuppressClass.COMPLAINT and record.delivered is not None and record.delivered > record.last:
        return Decision.DELIVERED
    if when.again and now - record.last >= when.again * _DAY:
        return Decision.AGAIN
    often = record.count >= when.bounces and record.last - record.first >= when.days * _DAY
    if often or (when.gone and gone):
        return Decision.OFF
    return Decision.NOT_CHECKED if when.gone and gone is None else Decision.NOT_YET


def plain_address(text: str) -> str:
    """An address as it is kept and compared: lower case, its domain as A-labels; empty where it can be none.

    What a feedback loop puts in place of a recipient (``redacted@example.org``, RFC 6590) is none. Nobody gives two
    people addresses that differ in case alone. Quoted local parts are none: a hostile notice could hide anything in
    them, and no mailing list has them.
    """
    local, _, domain = text.strip().strip("<>").rpartition("@")
    name = to_a_label(domain)
    if name is None or "." not in name or not _LOCAL.fullmatch(local) or len(local) > _MAX_LOCAL:
        return ""
    if _REDACTED.match(local):
        return ""
    return f"{local.lower()}@{name}"


_MOST_KNOWN = 20_000  # replies whose outcome is remembered
_POLICY = (About.SENDER, About.MESSAGE, About.RATE)
_POLICY_CODES = re.compile(r"[245]\.(?:[67]\.[0-9]{1,3}|2\.3|3\.4)")  # RFC 3463: content, security, size
_SOFT = (SuppressClass.DOUBTED, SuppressClass.DISABLED, SuppressClass.FULL, SuppressClass.HOST)


class MailOutcome(Struct, frozen=True):
    """What a reply means for a mail.

    Attributes:
        result: see DeliveryResult.
        receiver: its id; empty: not known.
        meaning: id of the entry of the catalogue; empty: none fits.
        why: why the address would go off a list; None: this is no reason.

    """

    result: DeliveryResult
    receiver: str
    meaning: str = ""
    why: SuppressClass | None = None


class Outcomes:
    """Tells outcomes by a catalogue; remembers replies that were the same."""

    def __init__(self, catalogue: ReplyCatalogue) -> None:
        self.catalogue = catalogue
        self._known: dict[tuple[str, Reply, bool], MailOutcome] = {}
        self._receivers: dict[str, str] = {}
        contested = (each for each in catalogue.meanings if each.contested and each.about is About.ADDRESS)
        self._contested = frozenset(each.receiver for each in contested)

    def of(self, reply: Reply, *, final: bool) -> MailOutcome:
        """The outcome of a reply.

        Args:
            reply: what the receiver, or the server that tried to reach it, said.
            final: the sending server has given up; else a temporary reply means that it tries again.

        """
        # Only the domain of the recipient counts, and logs repeat the same words thousands of times.
        bare = replace(reply, recipient="")
        key = (reply.recipient.rpartition("@")[2].lower(), bare, final)
        if (known := self._known.get(key)) is not None:
            return known
        found = self._of(reply, final=final)
        if len(self._known) < _MOST_KNOWN:
            self._known[key] = found
        return found

    def doubts(self, receiver: str) -> bool:
        """Whether its words for "no such address" may mean something else."""
        return receiver in self._contested

    def receiver(self, recipient: str, host: str = "") -> str:
        """The id of the receiver of an address, by the host that took the mail and by its domain."""
        domain = recipient.rpartition("@")[2].lower()
        key = f"{host} {domain}"
        known = self._receivers.get(key)
        if known is None:
            known = receiver_of(Reply("", host=host, recipient=recipient), self.catalogue)[0]
            if len(self._receivers) < _MOST_KNOWN:
                self._receivers[key] = known
        return known

    def _of(self, reply: Reply, *, final: bool) -> MailOutcome:
        receiver = receiver_of(reply, self.catalogue)[0]
        meaning, _ = meaning_of(reply, receiver, self.catalogue)
        if reply.kind is ReplyKind.ACCEPTED:
            return MailOutcome(DeliveryResult.DELIVERED, receiver)
        why = class_of(reply, meaning)
        if reply.kind is ReplyKind.TEMPORARY and not final:
            result = DeliveryResult.DEFERRED
        else:
            result = _bounce(reply, meaning, why)
        return MailOutcome(result, receiver, meaning.id if meaning else "", why)


def why_of(result: DeliveryResult, by_reply: SuppressClass | None = None) -> SuppressClass | None:
    """Why the address of a mail with that result would go off a list; `by_reply`: why by the words of the receiver."""
    if result is DeliveryResult.COMPLAINT:
        return SuppressClass.COMPLAINT
    if result is DeliveryResult.HARD:
        return by_reply or SuppressClass.ADDRESS
    return by_reply if result in (DeliveryResult.SOFT, DeliveryResult.DEFERRED) and by_reply in _SOFT else None


def _bounce(reply: Reply, meaning: Meaning | None, why: SuppressClass | None) -> DeliveryResult:
    """Which kind of bounce it is: by the meaning; where none tells, by the enhanced code (RFC 3463)."""
    permanent = reply.kind is not ReplyKind.TEMPORARY
    if why is SuppressClass.ADDRESS or (why is SuppressClass.HOST and permanent):
        return DeliveryResult.HARD
    if why is SuppressClass.DOUBTED and meaning is not None:
        asked = reply.phase is not Phase.DATA or meaning.contested
        likely = asked or reply.enhanced.startswith("5.1.")
        return DeliveryResult.HARD if likely and meaning.confidence is not Confidence.LOW else DeliveryResult.SOFT
    if why is None and meaning is not None and meaning.about in _POLICY:
        return DeliveryResult.POLICY
    unknown = meaning is None or meaning.about is About.UNKNOWN
    if unknown and permanent and _POLICY_CODES.fullmatch(reply.enhanced or reply.status):
        return DeliveryResult.POLICY
    return DeliveryResult.SOFT
