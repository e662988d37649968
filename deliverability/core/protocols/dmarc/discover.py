"""DMARC discovery: the DNS tree walk, the organizational domain and the policy that counts (RFC 9989 section 4.10)."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.net.base import Answer, Failed, Found, Resolver, unknown_from
from deliverability.core.protocols.dmarc.record import POLICIES, DmarcRecord, parse, split
from deliverability.core.protocols.psl import is_public_suffix, registrable_domain

MAX_QUERIES = 8


class Step(Struct, frozen=True):
    """One name of the tree walk: its DMARC records, near misses, and the answer they come from.

    `record` is the record, where exactly one is there (several are all discarded).
    """

    domain: str
    answer: Answer
    records: tuple[str, ...] = ()
    lookalikes: tuple[str, ...] = ()
    record: DmarcRecord | None = None

    @classmethod
    def of(cls, domain: str, answer: Answer) -> Step:
        """The step as answered; the record is read here, once, since it can be 64 KB long."""
        records, lookalikes = split(answer.values) if isinstance(answer, Found) else ((), ())
        return cls(domain, answer, records, lookalikes, parse(records[0]) if len(records) == 1 else None)

    @property
    def failed(self) -> Unknown | None:
        """Why the name could not be looked up, or None."""
        if isinstance(self.answer, Failed):
            return unknown_from(self.answer)
        return None

    @property
    def answer_is_offline(self) -> bool:
        """Nobody was asked, because the run is offline."""
        return isinstance(self.answer, Failed) and self.answer.reason is Reason.OFFLINE


class Discovery(Struct, frozen=True):
    """What the tree walk found for an author domain.

    Attributes:
        steps: every name asked, from the author domain upwards, ending where the walk stops.
        organizational_domain: by RFC 9989, or Unknown.
        location: domain whose record applies; None: there is none; Unknown: could not be told.
        record: that record.
        ignored: the record that would apply, but has no valid policy and no usable report address, so that receivers
            act as if there were none (section 4.10.1).
        tag: p, sp or np: where the policy was taken from.
        policy: what receivers by RFC 9989 apply, ``t=y`` taken into account.
        legacy_policy: what receivers by RFC 7489 apply (public suffix list, pct, no t, no np); None without a record.
    """

    domain: str
    steps: tuple[Step, ...]
    organizational_domain: str | Unknown
    location: str | Unknown | None
    record: DmarcRecord | None
    ignored: Step | None
    tag: str | None
    policy: str | Unknown | None
    legacy_policy: str | Unknown | None


def walk_names(domain: str) -> tuple[str, ...]:
    """The names a tree walk may ask, at most eight: the domain, then seven labels or fewer, down to one."""
    labels = domain.rstrip(".").lower().split(".")
    rest = labels[1:] if len(labels) < MAX_QUERIES else labels[-(MAX_QUERIES - 1) :]
    return (".".join(labels), *(".".join(rest[start:]) for start in range(len(rest))))


async def walk(domain: str, resolver: Resolver) -> tuple[Step, ...]:
    """Ask every name of the tree walk at once, and cut the result where the walk would have stopped."""
    names = walk_names(domain)
    answers = await asyncio.gather(*(resolver.query(f"_dmarc.{name}", "TXT") for name in names))
    steps: list[Step] = []
    for name, answer in zip(names, answers, strict=True):
        step = Step.of(name, answer)
        steps.append(step)
        if step.record is not None and step.record.psd in ("y", "n"):
            break
    return tuple(steps)


async def organizational_domain(domain: str, resolver: Resolver) -> str | Unknown:
    """The organizational domain of `domain` by the tree walk (RFC 9989 section 4.10.2)."""
    return choose_organizational_domain(await walk(domain, resolver))


def choose_organizational_domain(steps: tuple[Step, ...]) -> str | Unknown:
    """The organizational domain from a finished walk; Unknown where a failed look-up could have changed it."""
    chosen = steps[0].domain
    for index, step in enumerate(steps):
        record = step.record
        if record is None:
            if step.failed is None:
                continue
            # What a public suffix says can only name the domain just below it, which is chosen already where that
            # domain has a record. Suffixes that nobody asked for (offline zones) are taken to say nothing.
            below = steps[index - 1].domain if index else None
            if is_public_suffix(step.domain) and (step.answer_is_offline or chosen == below):
                continue
            return step.failed
        if record.psd == "n":
            return step.domain
        if record.psd == "y" and index > 0:
            return ".".join(steps[0].domain.split(".")[-(step.domain.count(".") + 2) :])
        chosen = step.domain
    return chosen


async def discover_dmarc(domain: str, resolver: Resolver) -> Discovery:
    """Find the record and the policy that apply to mail whose From domain is `domain` (an A-label)."""
    domain = domain.rstrip(".").lower()
    steps = await walk(domain, resolver)
    organizational = choose_organizational_domain(steps)
    step = _policy_step(steps, organizational)
    legacy = await _legacy_policy(domain, resolver)
    if isinstance(step, Unknown):
        return Discovery(domain, steps, organizational, step, None, None, None, step, legacy)
    if step is None or step.record is None or not step.record.usable:
        return Discovery(domain, steps, organizational, None, None, step, None, None, legacy)
    tag, policy = await _policy(domain, step.domain, step.record, resolver)
    return Discovery(domain, steps, organizational, step.domain, step.record, None, tag, policy, legacy)


def _policy_step(steps: tuple[Step, ...], organizational: str | Unknown) -> Step | Unknown | None:
    """Where the record stands that counts: author domain, organizational domain, public suffix domain, in this order.

    The first of these that has a record ends the search, be it usable or not (RFC 9989 section 4.10.1).
    """
    author = steps[0]
    if author.failed is not None:
        return author.failed
    if author.record is not None:
        return author
    if isinstance(organizational, Unknown):
        return organizational
    wanted = [step for step in steps[1:] if step.domain == organizational]
    wanted += [step for step in steps[1:] if step.record is not None and step.record.psd == "y"]
    for step in wanted:
        if step.failed is not None:
            return step.failed
        if step.record is not None:
            return step
    # A failed look-up further up could still hold the record; names nobody asked for (offline suffixes) do not count.
    for step in steps[1:]:
        if step.failed is not None and not (is_public_suffix(step.domain) and step.answer_is_offline):
            return step.failed
    return None


async def _policy(
    domain: str, location: str, record: DmarcRecord, resolver: Resolver
) -> tuple[str | None, str | Unknown | None]:
    """The tag that counts for `domain` under a record found at `location`, and the policy after ``t=y``."""
    tag, value = "p", record.published_policy
    if location != domain and not record.broken_policy:
        if record.subdomain_policy is not None:
            tag, value = "sp", record.subdomain_policy
        if record.nonexistent_policy is not None:
            exists = await name_exists(domain, resolver)
            if isinstance(exists, Unknown):
                if record.nonexistent_policy != value:
                    return None, exists
            elif not exists:
                tag, value = "np", record.nonexistent_policy
    if record.testing and value != "none":
        value = POLICIES[POLICIES.index(value) - 1]
    return tag, value


async def name_exists(domain: str, resolver: Resolver) -> bool | Unknown:
    """Whether the name exists: NXDOMAIN alone says no, and for all types (RFC 9989 section 3.2.13, RFC 8020).

    A name with a TXT record, or with other names below it, exists. So does an alias (CNAME) that leads nowhere.
    """
    answers = await asyncio.gather(*(resolver.query(domain, rdtype) for rdtype in ("A", "AAAA", "MX")))
    known = [answer for answer in answers if not isinstance(answer, Failed)]
    if any(isinstance(answer, Found) or not answer.nxdomain or answer.chain for answer in known):
        return True
    if known:
        return False
    return next(unknown_from(answer) for answer in answers if isinstance(answer, Failed))


async def _legacy_policy(domain: str, resolver: Resolver) -> str | Unknown | None:
    """The policy in the eyes of an RFC 7489 receiver; None where such a receiver finds no usable record."""
    own = registrable_domain(domain)
    for name in dict.fromkeys((domain, own)):
        answer = await resolver.query(f"_dmarc.{name}", "TXT")
        if isinstance(answer, Failed):
            return unknown_from(answer)
        if not isinstance(answer, Found):
            continue
        records, _ = split(answer.values)
        if len(records) != 1:
            continue
        record = parse(records[0])
        value = record.policy if name == domain else record.subdomain_policy or record.policy
        if value is None:
            return "none" if record.rua else None
        # With pct=0 the policy is applied to no message (RFC 7489 section 6.6.4 steps down one level).
        return POLICIES[max(0, POLICIES.index(value) - 1)] if record.pct == 0 else value
    return None
