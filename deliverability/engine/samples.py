"""What several messages of one domain tell of each other: which kinds of mail there are, and what sends each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from msgspec.structs import replace

from deliverability.core.errors import set_aside
from deliverability.core.facts.base import Purpose, SampleSeen
from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail.hop import delivery
from deliverability.core.mail.kinds import OWNER_HEAD_OCTETS, domain_of_head, own_domain
from deliverability.core.mail.marks import (
    automatic_kinds,
    brings_password,
    bulk_signs,
    is_automatic,
    list_marks,
    recipients_of,
    subject_of,
)
from deliverability.core.mail.reader import Message, read
from deliverability.core.protocols.dkim.signature import parse_signature
from deliverability.core.protocols.psl import known_registrable_domain, registrable_domain

MAX_SAMPLES = 50
"""Of one domain that are held against each other."""
_MAX_SIGNERS = 10
AUTO_GENERATED = "auto-generated"


def with_samples(subjects: Sequence[Subject]) -> list[Subject]:
    """The subjects, each told of all messages of its domain where there are several.

    A message that cannot be read tells nothing here; what is the matter with it is told where it is audited.
    """
    every = list(subjects)
    if len(subjects) < 2 or sum(each.sample is not None for each in subjects) < 2:
        return every
    by_domain: defaultdict[str, list[tuple[int, SampleSeen]]] = defaultdict(list)
    for place, subject in enumerate(subjects):
        if subject.sample is not None:
            with set_aside(lambda error: None):
                domain = subject.domain or domain_of_head(subject.sample.read())
                if domain and len(by_domain[domain]) < MAX_SAMPLES:
                    seen = sample_seen(subject.sample.name, subject.sample, subject.purpose)
                    by_domain[domain].append((place, seen))
    for found in by_domain.values():
        together = several([each for _, each in found])
        for place, _ in found:
            every[place] = replace(subjects[place], samples=together)
    return every


def several(samples: Sequence[SampleSeen]) -> tuple[SampleSeen, ...]:
    """The same, each under a name of its own; empty where there are not several."""
    if len(samples) < 2:
        return ()
    found: dict[str, SampleSeen] = {}
    for each in samples:
        name, number = each.name, 1
        while name in found:
            number += 1
            name = f"{each.name} ({number})"
        found[name] = replace(each, name=name)
    return tuple(found.values())


def sample_seen(name: str, sample: Sample, purpose: Purpose | None) -> SampleSeen:
    """What the header of a message tells. Raises InputError where it cannot be read.

    `purpose`: what the user says of all mail of the domain; what they say of the message counts before it.
    """
    message, given = read(sample.read()[:OWNER_HEAD_OCTETS]), sample.purpose or purpose
    fields = message.fields("DKIM-Signature")[:_MAX_SIGNERS]
    signers = dict.fromkeys(parse_signature(each.value).domain for each in fields)
    signs = () if given else _signs(message)
    ident = message.first("Message-ID")
    return SampleSeen(
        name,
        given or _purpose(signs),
        given is not None,
        signs,
        _address(sample, message),
        tuple(each for each in signers if each),
        ident.value.strip() if ident else "",
        recipients_of(message) if brings_password(subject_of(message)) else frozenset(),
    )


def _signs(message: Message) -> tuple[str, ...]:
    """Marks of mail to many, and of mail that a program writes to one (RFC 3834); a post to a list has none."""
    author = own_domain(message)
    marks = list_marks(message, registrable_domain(author) if author else "", registrable_domain)
    if marks.discussion:
        return ()
    bulk = bulk_signs(message, own_list=marks.own is True, automatic=is_automatic(message))
    return (*bulk, *([AUTO_GENERATED] if AUTO_GENERATED in automatic_kinds(message) else []))


def _purpose(signs: tuple[str, ...]) -> Purpose | None:
    """What the marks say; where they contradict each other, or there are none, nothing."""
    kinds = {Purpose.TRANSACTIONAL if each == AUTO_GENERATED else Purpose.BULK for each in signs}
    return kinds.pop() if len(kinds) == 1 else None


def _address(sample: Sample, message: Message) -> str:
    """Where the receiver took it from; what the user says of all mail tells nothing of one message."""
    if sample.envelope is not None:
        return sample.envelope.peer if sample.envelope.public else ""
    return delivery(message.headers, known_registrable_domain).ip or ""
