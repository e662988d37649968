"""What a reply means for the mail that it answers: delivered, deferred, or which kind of bounce, and at which receiver."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deliverability.feedback.match import meaning_of, receiver_of
from deliverability.model.deliveries import DeliveryResult
from deliverability.model.replies import Meaning, Reply, ReplyCatalogue, ReplyKind, Retry

OTHER = ""
"""The id of a receiver that is not known."""

_KEPT = 20_000  # replies whose outcome is remembered
_POLICY_CODES = ("X.3.4", "X.6", "X.7", "X.2.3", "X.4.5")
_ADDRESS_CODES = ("X.1.1", "X.1.2", "X.1.3", "X.1.6", "X.1.9", "X.1.10", "X.4.4")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a mail, the id of its receiver (empty: not known) and of the meaning (empty: none fits)."""

    result: DeliveryResult
    receiver: str
    meaning: str = ""


class Outcomes:
    """Tells outcomes by a catalogue; remembers replies that were the same."""

    def __init__(self, catalogue: ReplyCatalogue) -> None:
        self.catalogue = catalogue
        self._known: dict[tuple[str, Reply, bool], Outcome] = {}
        self._receivers: dict[str, str] = {}

    def of(self, reply: Reply, *, final: bool) -> Outcome:
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
        if len(self._known) < _KEPT:
            self._known[key] = found
        return found

    def receiver(self, recipient: str, host: str = "") -> str:
        """The id of the receiver of an address, by the host that took the mail and by its domain."""
        domain = recipient.rpartition("@")[2].lower()
        key = f"{host} {domain}"
        known = self._receivers.get(key)
        if known is None:
            known = receiver_of(Reply("", host=host, recipient=recipient), self.catalogue)[0]
            if len(self._receivers) < _KEPT:
                self._receivers[key] = known
        return known

    def _of(self, reply: Reply, *, final: bool) -> Outcome:
        receiver = receiver_of(reply, self.catalogue)[0]
        meaning, _ = meaning_of(reply, receiver, self.catalogue)
        if reply.kind is ReplyKind.ACCEPTED:
            return Outcome(DeliveryResult.DELIVERED, receiver)
        if reply.kind is ReplyKind.TEMPORARY and not final:
            result = DeliveryResult.DEFERRED
        else:
            result = bounce_class(reply, meaning)
        return Outcome(result, receiver, meaning.id if meaning else "")


def bounce_class(reply: Reply, meaning: Meaning | None) -> DeliveryResult:
    """Which kind of bounce it is: by the meaning, and where none tells, by the enhanced code (RFC 3463)."""
    if meaning is not None and meaning.retry is Retry.NO:
        return DeliveryResult.HARD
    enhanced = reply.enhanced or reply.status
    tail = f"X{enhanced[1:]}"
    if reply.kind is ReplyKind.PERMANENT and tail in _ADDRESS_CODES and meaning is None:
        return DeliveryResult.HARD
    if tail in _POLICY_CODES or tail.startswith(("X.6.", "X.7.")):
        return DeliveryResult.POLICY
    return DeliveryResult.SOFT
