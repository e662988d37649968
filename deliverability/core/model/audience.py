"""Whom a sender writes to: the recipients of a list by the receivers that take their mail, in numbers alone."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field


class Recipients(Struct, frozen=True):
    """The recipients of a list, or domains that were named; never an address.

    Attributes:
        counts: recipients by their domain (A-label, lower case); of domains that were named, 1 each.
        counted: whether these are recipients; False: domains that were named, nobody knows with how many recipients.
        unreadable: entries of the list that are no address.

    """

    counts: Mapping[str, int] = field(default_factory=dict)
    counted: bool = True
    unreadable: int = 0


class Part(Struct, frozen=True):
    """A part of an audience: so many recipients at so many domains."""

    recipients: int = 0
    domains: int = 0

    def __add__(self, other: Part) -> Part:
        """Both together."""
        return Part(self.recipients + other.recipients, self.domains + other.domains)


NOBODY = Part()


class Audience(Struct, frozen=True):
    """The recipients by receiver. All parts together are all recipients.

    Attributes:
        counted: see Recipients.
        receivers: receiver id -> its part, the largest first.
        elsewhere: at receivers that no file describes.
        no_mail: at domains that do not exist or take no mail (Null MX, RFC 7505).
        failed: at domains whose MX could not be looked up.
        not_asked: at domains beyond the most that are looked up.
        unreadable: see Recipients; none of them is counted above.

    """

    counted: bool = True
    receivers: Mapping[str, Part] = field(default_factory=dict)
    elsewhere: Part = NOBODY
    no_mail: Part = NOBODY
    failed: Part = NOBODY
    not_asked: Part = NOBODY
    unreadable: int = 0

    @property
    def all(self) -> Part:
        """All recipients, and all their domains."""
        return sum(self.receivers.values(), self.elsewhere + self.no_mail + self.failed + self.not_asked)

    @property
    def complete(self) -> bool:
        """Whether every domain could be looked up."""
        return not self.failed.domains and not self.not_asked.domains
