"""What a reply means for the mail that it answers: delivered, deferred or which bounce, and at which receiver."""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from deliverability.feedback.match import meaning_of, receiver_of
from deliverability.feedback.suppress import class_of
from deliverability.model.deliveries import DeliveryResult
from deliverability.model.replies import About, Meaning, Reply, ReplyCatalogue, ReplyKind
from deliverability.model.suppression import SuppressClass

_MOST_KNOWN = 20_000  # replies whose outcome is remembered
_POLICY = (About.SENDER, About.MESSAGE, About.RATE)
_POLICY_CODES = re.compile(r"[245]\.(?:[67]\.[0-9]{1,3}|2\.3|3\.4)")  # RFC 3463: content, security, size
_SOFT = (SuppressClass.DISABLED, SuppressClass.FULL, SuppressClass.HOST)


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
    if why is None and meaning is not None and meaning.about in _POLICY:
        return DeliveryResult.POLICY
    unknown = meaning is None or meaning.about is About.UNKNOWN
    if unknown and permanent and _POLICY_CODES.fullmatch(reply.enhanced or reply.status):
        return DeliveryResult.POLICY
    return DeliveryResult.SOFT
