"""DMARC discovery: the DNS tree walk, the organizational domain and the policy that counts (RFC 9989 section 4.10).

May import model, ports.base and its sibling modules.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from deliverability.dmarc.psl import is_public_suffix, registrable_domain
from deliverability.dmarc.record import POLICIES, DmarcRecord, parse, split
from deliverability.model.facts import Reason, Unknown
from deliverability.ports.base import Absent, Answer, Failed, Found, Resolver

MAX_QUERIES = 8


@dataclass(frozen=True, slots=True)
class Step:
    """One name of the tree walk: its DMARC records, near misses, and the answer they come from."""

    domain: str
    answer: Answer
    records: tuple[str, ...] = ()
    lookalikes: tuple[str, ...] = ()

    @property
    def record(self) -> DmarcRecord | None:
        """The record, where exactly one is there (several are all discarded)."""
        return parse(self.records[0]) if len(self.records) == 1 else None

    @property
    def failed(self) -> Unknown | None:
        """Why the name could not be looked up, or None."""
        if isinstance(self.answer, Failed):
            return Unknown(self.answer.reason, f"TXT {self.answer.name}: {self.answer.detail}".removesuffix(": "))
        return None

    @property
    def answer_is_offline(self) -> bool:
        """Nobody was asked, because the run is offline."""
        return isinstance(self.answer, Failed) and self.answer.reason is Reason.OFFLINE


@dataclass(frozen=True, slots=True)
class Discovery:
    """What the tree walk found for an author domain.

    Attributes:
        steps: every name asked, from the author domain upwards, ending where the walk stops.
        organizational_domain: by RFC 9989, or Unknown.
        location: domain whose record applies; None: there is none; Unknown: could not be told.
        record: that record.
        tag: p, sp or np: where the policy was taken from.
        policy: what receivers by RFC 9989 apply, ``t=y`` taken into account.
        legacy_policy: what receivers by RFC 7489 apply (public suffix list, pct, no t, no np); None without a record.
    """

    domain: str
    steps: tuple[Step, ...]
    organizational_domain: str | Unknown
    location: str | Unknown | None
    record: DmarcRecord | None
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
        records, lookalikes = split(answer.values) if isinstance(answer, Found) else ((), ())
        step = Step(name, answer, records, lookalikes)
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
    step, location = _policy_step(steps, organizational)
    legacy = await _legacy_policy(domain, resolver)
    if step is None or step.record is None:
        return Discovery(domain, steps, organizational, location, None, None, _as_unknown(location), legacy)
    tag, policy = await _policy(domain, step.domain, step.record, resolver)
    return Discovery(domain, steps, organizational, location, step.record, tag, policy, legacy)


def _as_unknown(location: str | Unknown | None) -> Unknown | None:
    return location if isinstance(location, Unknown) else None


def _policy_step(steps: tuple[Step, ...], organizational: str | Unknown) -> tuple[Step | None, str | Unknown | None]:
    """The record that applies: author domain, organizational domain, public suffix domain, in this order."""
    author = steps[0]
    if author.failed is not None:
        return None, author.failed
    if author.record is not None:
        return (author, author.domain) if author.record.usable else (None, None)
    if isinstance(organizational, Unknown):
        return None, organizational
    wanted = [step for step in steps[1:] if step.domain == organizational]
    wanted += [step for step in steps[1:] if step.record is not None and step.record.psd == "y"]
    for step in wanted:
        if step.failed is not None:
            return None, step.failed
        if step.record is not None:
            return (step, step.domain) if step.record.usable else (None, None)
    # A failed look-up further up could still hold the record; names nobody asked for (offline suffixes) do not count.
    for step in steps[1:]:
        if step.failed is not None and not (is_public_suffix(step.domain) and step.answer_is_offline):
            return None, step.failed
    return None, None


async def _policy(
    domain: str, location: str, record: DmarcRecord, resolver: Resolver
) -> tuple[str | None, str | Unknown | None]:
    """The tag that counts for `domain` under a record found at `location`, and the policy after ``t=y``."""
    tag, value = "p", record.published_policy
    if location != domain and not record.broken_policy:
        if record.subdomain_policy is not None:
            tag, value = "sp", record.subdomain_policy
        if record.nonexistent_policy is not None:
            exists = await _exists(domain, resolver)
            if isinstance(exists, Unknown):
                if record.nonexistent_policy != value:
                    return None, exists
            elif not exists:
                tag, value = "np", record.nonexistent_policy
    if record.testing and value != "none":
        value = POLICIES[POLICIES.index(value) - 1]
    return tag, value


async def _exists(domain: str, resolver: Resolver) -> bool | Unknown:
    """Whether the name has A, AAAA or MX records (the non-existence test of RFC 9989 section 3.2.13)."""
    answers = await asyncio.gather(*(resolver.query(domain, rdtype) for rdtype in ("A", "AAAA", "MX")))
    if any(isinstance(answer, Found) for answer in answers):
        return True
    if any(isinstance(answer, Absent) and answer.nxdomain for answer in answers):
        return False
    failed = next((answer for answer in answers if isinstance(answer, Failed)), None)
    return Unknown(failed.reason, f"{failed.rdtype} {failed.name}") if failed else False


async def _legacy_policy(domain: str, resolver: Resolver) -> str | Unknown | None:
    """The policy in the eyes of an RFC 7489 receiver; None where such a receiver finds no usable record."""
    own = registrable_domain(domain)
    for name in dict.fromkeys((domain, own)):
        answer = await resolver.query(f"_dmarc.{name}", "TXT")
        if isinstance(answer, Failed):
            return Unknown(answer.reason, f"TXT {answer.name}")
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
