"""DMARC evaluation: which SPF and DKIM results speak for the author domain, and what follows (RFC 9989 section 5.3).

The one place where identifiers are compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from msgspec import Struct

from deliverability.core.codes import Code
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.envelope import Aligned
from deliverability.core.net.base import Resolver
from deliverability.core.protocols.dmarc.record import Discovery, discover_dmarc, organizational_domain
from deliverability.core.protocols.psl import registrable_domain

Result = str | Unknown | None

POLICY = "policy"
PUBLIC_SUFFIX = "public-suffix"

TEMPERROR = Code("temperror")


class Identifier(Struct, frozen=True):
    """A domain that SPF or DKIM checked, beside the author domain.

    Attributes:
        mechanism: ``spf`` or ``dkim``.
        domain: the MAIL FROM (or HELO) domain, or d=; None where there is none; Unknown where it could not be told.
        result: what the mechanism came to; only ``pass`` counts. Unknown: it could not be told.
        alignment: ``strict`` (the same name), ``relaxed`` (the same organizational domain), ``none`` (neither); None
            where there is no domain; Unknown where an organizational domain could not be told. See the `basis` of the
            evaluation for which organizational domains these are.

    """

    mechanism: str
    domain: Result
    result: Result
    alignment: Aligned | Unknown | None

    def passes(self, mode: str) -> bool | Unknown:
        """Whether it authenticates the author domain in an alignment mode (r or s); one certain no is enough for no."""
        aligned: bool | Unknown = (
            self.alignment
            if isinstance(self.alignment, Unknown)
            else self.alignment == "strict" or (self.alignment == "relaxed" and mode == "r")
        )
        passed: bool | Unknown = self.result if isinstance(self.result, Unknown) else self.result == "pass"
        if aligned is False or passed is False:
            return False
        return next((each for each in (aligned, passed) if isinstance(each, Unknown)), True)


class DmarcEvaluation(Struct, frozen=True):
    """What DMARC makes of the SPF and DKIM results of a message.

    Attributes:
        result: pass, fail, none (no record applies), permerror (no usable author domain), or temperror.
        policy: what a receiver by RFC 9989 is asked to do with mail that fails, ``t=y`` taken into account; None
            without a record; Unknown where a look-up failed.
        legacy_policy: the same for a receiver by RFC 7489.
        identifiers: SPF first, then the signatures in the order given.
        aligned: domains that pass and are aligned, each as ``spf:example.com`` or ``dkim:example.com``.
        record: text of the record that applies, or None.
        location: domain it stands at, or None; Unknown where a look-up failed.
        organizational_domain: of the author domain, on that basis; Unknown where a look-up failed, None without an
            author domain.
        basis: where organizational domains come from: ``policy`` (tree walk of RFC 9989) where a record applies,
            ``public-suffix`` (the list, as in RFC 7489) where none does, since there a tree walk finds nothing and
            would call a domain and its subdomain strangers. Unknown where a look-up failed, None without an author
            domain.
        spf_pass: SPF passes and is aligned; Unknown where that hangs on a look-up that failed.
        dkim_pass: a signature passes and is aligned.
        failure: the look-up behind a temperror, or None.

    """

    author_domain: str
    result: str
    policy: Result
    legacy_policy: Result
    identifiers: tuple[Identifier, ...]
    aligned: tuple[str, ...]
    record: str | None
    location: Result
    organizational_domain: Result
    basis: Result
    spf_pass: bool | Unknown
    dkim_pass: bool | Unknown
    failure: Unknown | None = None


async def evaluate_dmarc(
    author_domain: str,
    spf: tuple[Result, Result] | None,
    dkim: Iterable[tuple[Result, Result]],
    resolver: Resolver,
) -> DmarcEvaluation:
    """Join SPF and DKIM results with the policy of the author domain, as a receiver does.

    Args:
        author_domain: domain of the From field, as A-label.
        spf: (result, domain that SPF checked), in the words of RFC 8601; None where SPF was not checked.
        dkim: (result, d=) of each signature.
        resolver: answers the questions.

    Never raises for DNS content. ``temperror`` as a result given counts as one that could not be told.

    """
    author = author_domain.strip().rstrip(".").lower()
    given = [("spf", *spf)] if spf else []
    given += [("dkim", *each) for each in dkim]
    checked = [(mechanism, _settled(result), domain) for mechanism, result, domain in given]
    if not author or author.startswith("["):
        unrelated = tuple(Identifier(mechanism, domain, result, "none") for mechanism, result, domain in checked)
        return DmarcEvaluation(author, "permerror", None, None, unrelated, (), None, None, None, None, False, False)
    discovery, own_home, homes = await discover_homes(author, [domain for _, _, domain in checked], resolver)
    identifiers = tuple(
        Identifier(mechanism, domain, result, relation(author, own_home, domain, home))
        for (mechanism, result, domain), home in zip(checked, homes, strict=True)
    )
    return _conclude(discovery, own_home, basis_of(discovery), identifiers)


async def discover_homes(
    author: str, domains: Iterable[Result], resolver: Resolver
) -> tuple[Discovery, Result, list[Result]]:
    """The policy for an author domain, its organizational domain, and those of other domains on the same basis.

    By the tree walk where a DMARC record applies to the author domain, else by the public suffix list.
    """
    others = list(domains)
    discovery, homes = await asyncio.gather(
        discover_dmarc(author, resolver), asyncio.gather(*(home_of(domain, resolver) for domain in others))
    )
    if basis_of(discovery) == PUBLIC_SUFFIX:
        return discovery, registrable_domain(author), [listed_home_of(domain) for domain in others]
    return discovery, discovery.organizational_domain, homes


def basis_of(discovery: Discovery) -> str | Unknown:
    """Where the organizational domains of an author domain's mail come from (see DmarcEvaluation.basis)."""
    if isinstance(discovery.location, Unknown):
        return discovery.location
    return PUBLIC_SUFFIX if discovery.location is None else POLICY


def _settled(result: Result) -> Result:
    """A temporary error is no result: it could be a pass the next time."""
    return Unknown(Reason.TIMEOUT, TEMPERROR()) if result == "temperror" else result


def _conclude(
    discovery: Discovery, home: Result, basis: Result, identifiers: tuple[Identifier, ...]
) -> DmarcEvaluation:
    record = discovery.record
    modes = {"spf": record.aspf, "dkim": record.adkim} if record else {"spf": "r", "dkim": "r"}
    verdicts = [(each, each.passes(modes[each.mechanism])) for each in identifiers]
    spf_pass = either(passed for each, passed in verdicts if each.mechanism == "spf")
    dkim_pass = either(passed for each, passed in verdicts if each.mechanism == "dkim")
    truth: bool | Unknown | None = either((spf_pass, dkim_pass))
    if isinstance(discovery.location, Unknown):
        truth = discovery.location
    elif record is None:
        truth = None
    failure = truth if isinstance(truth, Unknown) else None
    return DmarcEvaluation(
        discovery.domain,
        "temperror" if failure else "none" if truth is None else "pass" if truth else "fail",
        discovery.policy,
        discovery.legacy_policy,
        identifiers,
        tuple(f"{each.mechanism}:{each.domain}" for each, passed in verdicts if passed is True),
        record.text if record else None,
        discovery.location,
        home,
        basis,
        spf_pass,
        dkim_pass,
        failure,
    )


def relation(author: str, home: Result, other: Result, other_home: Result) -> Aligned | Unknown | None:
    """How a domain relates to the author domain, given both organizational domains (see Identifier.alignment)."""
    if not isinstance(other, str) or not other:
        return other if isinstance(other, Unknown) else None
    if other.lower().rstrip(".") == author:
        return "strict"
    if isinstance(home, Unknown):
        return home
    if isinstance(other_home, Unknown):
        return other_home
    return "relaxed" if other_home == home else "none"


async def home_of(domain: Result, resolver: Resolver) -> Result:
    """The organizational domain of a checked domain; None where it is none that could have one."""
    if not isinstance(domain, str):
        return domain
    name = domain.rstrip(".").lower()
    return await organizational_domain(name, resolver) if is_name(name) else None


def listed_home_of(domain: Result) -> Result:
    """The same by the public suffix list, which asks nobody."""
    if not isinstance(domain, str):
        return domain
    name = domain.rstrip(".").lower()
    return registrable_domain(name) if is_name(name) else None


def is_name(domain: str) -> bool:
    """False for address literals and bare host names, which have no organizational domain."""
    return "." in domain and not domain.startswith("[") and not domain.rsplit(".", 1)[1].isdigit()


def either(truths: Iterable[bool | Unknown]) -> bool | Unknown:
    """True as soon as one is; else Unknown where one is; else False."""
    listed = list(truths)
    if any(truth is True for truth in listed):
        return True
    return next((truth for truth in listed if isinstance(truth, Unknown)), False)
