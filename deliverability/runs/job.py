"""What is audited: a domain, a message or both, and what the user says about them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import force_setattr

from deliverability.inputs import parse_domain, parse_ip, parse_mail_from, parse_selector
from deliverability.model.blocklists import ListsWanted
from deliverability.model.codes import Code
from deliverability.model.deliveries import Deliveries
from deliverability.model.envelope import SmtpEnvelope
from deliverability.model.errors import InputError, file_error
from deliverability.model.facts import KeySeen, Purpose, SampleSeen, StageSeen, Waiver
from deliverability.model.lists import ListSums
from deliverability.model.observed import Observed, SourceWord

MAX_MESSAGE_OCTETS = 150_000_000
TOO_LARGE = Code("message-too-large", ("name", "n"))
NO_VOLUME = Code("no-volume", ("text",))


class Sample(Struct, frozen=True):
    """A message to audit: its name in the report, and its octets or the file to read them from.

    `envelope`: what our own SMTP server saw of it, where it came that way. `purpose`: what kind of mail it is, where
    the user says that of this message.
    """

    name: str
    path: Path | None = None
    data: bytes | None = None
    envelope: SmtpEnvelope | None = None
    purpose: Purpose | None = None

    def read(self) -> bytes:
        """The octets. Raises InputError where the file cannot be read or is too large."""
        if self.data is not None:
            return _not_too_large(self.name, self.data)
        if self.path is None:
            raise ValueError("a sample needs a path or data")
        try:
            with self.path.open("rb") as file:
                # Asked for all that it may have, the reader makes room for that, which takes longer than reading.
                size = min(os.fstat(file.fileno()).st_size, MAX_MESSAGE_OCTETS)
                octets = file.read(size + 1)
                if len(octets) > size:  # of a pipe nobody knows the size
                    octets += file.read(MAX_MESSAGE_OCTETS - size)
                return _not_too_large(self.name, octets)
        except OSError as error:
            raise InputError(file_error(self.name, error)) from None


def _not_too_large(name: str, data: bytes) -> bytes:
    if len(data) > MAX_MESSAGE_OCTETS:
        raise InputError(TOO_LARGE(name=name, n=MAX_MESSAGE_OCTETS // 1_000_000))
    return data


class Options(Struct, frozen=True):
    """What the user said about the domains and their mail, the same for every subject of a run; made clean here.

    Raises InputError where a selector, an address or the volume cannot be one.
    """

    selectors: tuple[str, ...] = ()
    sending_ips: tuple[str, ...] = ()
    mail_from: str | None = None
    helo: str | None = None
    purpose: Purpose | None = None
    daily_volume: int | None = None
    waivers: tuple[Waiver, ...] = ()
    keys_seen: tuple[KeySeen, ...] = ()
    dns_provider: str | None = None
    taken_from: str | None = None
    observed: Observed | None = None
    deliveries: Deliveries | None = None
    source_words: tuple[SourceWord, ...] = ()
    rare: tuple[str, ...] | None = None
    list_sums: ListSums | None = None
    warm_up: tuple[tuple[date, int], ...] = ()
    stage_seen: StageSeen | None = None
    rua_since: str | None = None
    gate_to: str | None = None
    lists_wanted: ListsWanted | None = None
    samples: tuple[SampleSeen, ...] = ()

    def __post_init__(self) -> None:
        """Bring the fields into the one spelling that the audit expects."""
        made = {
            "selectors": tuple(dict.fromkeys(map(parse_selector, self.selectors))),
            "sending_ips": tuple(dict.fromkeys(map(parse_ip, self.sending_ips))),
            "mail_from": None if self.mail_from is None else parse_mail_from(self.mail_from),
            "helo": (self.helo or "").strip() or None,
        }
        for name, value in made.items():
            force_setattr(self, name, value)
        if self.daily_volume is not None and self.daily_volume < 0:
            raise InputError(NO_VOLUME(text=str(self.daily_volume)))


class Job(Struct, frozen=True):
    """One subject to audit: a domain, a message, or both. Without a domain the message's own is taken.

    Raises InputError where the domain cannot be one; see inputs.parse_domain for what is read.
    """

    domain: str | None
    sample: Sample | None = None
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        """Bring the domain into the spelling of DNS."""
        if self.domain is not None:
            force_setattr(self, "domain", parse_domain(self.domain))


def plan(domains: Sequence[tuple[str, Options]], samples: Sequence[Sample], options: Options) -> list[Job]:
    """Pair domains and messages: one report each.

    A single domain takes every message. Among several, a message goes to the domain that its author domain is or
    lies below; one that fits none is audited for its own author domain.
    """
    if not domains:
        return [Job(None, sample, options) for sample in samples]
    if len(domains) == 1:
        domain, own = domains[0]
        return [Job(domain, sample, own) for sample in samples] or [Job(domain, None, own)]
    from deliverability.mail.origin import domain_of_head

    taken: dict[str, list[Sample]] = {domain: [] for domain, _ in domains}
    strays: list[Sample] = []
    for sample in samples:
        author = domain_of_head(sample.read()) or ""
        fitting = [domain for domain in taken if author == domain or author.endswith(f".{domain}")]
        taken[max(fitting, key=len)].append(sample) if fitting else strays.append(sample)
    jobs = [Job(domain, sample, own) for domain, own in domains for sample in (taken[domain] or (None,))]
    return jobs + [Job(None, sample, options) for sample in strays]
