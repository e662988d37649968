"""Whether MAIL FROM, d= and HELO belong to the author domain."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from deliverability.core.facts.base import FactType, Reason, Unknown, Value, texts_of
from deliverability.core.model.dkim import signatures_of
from deliverability.core.net.static import NONE_NAMED
from deliverability.core.protocols.dmarc.evaluate import (
    POLICY,
    PUBLIC_SUFFIX,
    DmarcEvaluation,
    Identifier,
    either,
    evaluate_dmarc,
    listed_home_of,
    relation,
)
from deliverability.core.protocols.dmarc.record import POLICIES, parse
from deliverability.engine.base import Context, auditor, dns_id, spec

MAX_AUTHORS = 5
"""Domains in one From field that are looked at; receivers refuse mail with several."""

PROVIDES = (
    spec(
        "alignment.author_domain",
        FactType.STR,
        "The author domain; where From names several, the one whose policy is the strictest of those that fail.",
        optional=True,
    ),
    spec(
        "alignment.basis",
        FactType.STR,
        "What organizational domains are told by: the DMARC records (RFC 9989), or where none applies the public suffix"
        " list.",
        optional=True,
        values=[POLICY, PUBLIC_SUFFIX],
    ),
    spec(
        "alignment.spf",
        FactType.STR,
        "MAIL FROM domain against the author domain.",
        optional=True,
        values=["strict", "relaxed", "none"],
    ),
    spec(
        "alignment.dkim",
        FactType.STR,
        "Best d= of the signatures that pass (of all, where none passes) against the author domain.",
        optional=True,
        values=["strict", "relaxed", "none"],
    ),
    spec(
        "alignment.helo",
        FactType.STR,
        "HELO name against the author domain.",
        optional=True,
        values=["strict", "relaxed", "none"],
    ),
    spec(
        "alignment.policy_location",
        FactType.STR,
        "Domain whose DMARC record decides about the message: found for the domain in From, whosever that is.",
        optional=True,
    ),
    spec("alignment.policy_record", FactType.STR, "That record.", optional=True),
    spec(
        "alignment.policy",
        FactType.STR,
        "What a receiver by RFC 9989 is asked to do with the message where it fails DMARC, t=y taken into account; "
        "none given where no record applies.",
        optional=True,
        values=["none", "quarantine", "reject"],
    ),
    spec(
        "alignment.policy_legacy",
        FactType.STR,
        "The same for a receiver by RFC 7489 (pct counts, t does not).",
        optional=True,
        values=["none", "quarantine", "reject"],
    ),
    spec(
        "alignment.policy_adkim",
        FactType.STR,
        "DKIM alignment mode of that record.",
        optional=True,
        values=["r", "s"],
    ),
    spec("alignment.policy_aspf", FactType.STR, "SPF alignment mode of that record.", optional=True, values=["r", "s"]),
    spec("alignment.spf_pass", FactType.BOOL, "SPF passes and is aligned in the mode the record asks for."),
    spec(
        "alignment.dkim_pass", FactType.BOOL, "A DKIM signature passes and is aligned in the mode the record asks for."
    ),
    spec("alignment.mail_from_domain", FactType.STR, "MAIL FROM domain.", optional=True),
    spec("alignment.signing_domains", FactType.LIST_STR, "d= of all signatures."),
    spec(
        "alignment.strict_breaks",
        FactType.LIST_STR,
        "Mechanisms that only strict mode keeps from being aligned (spf, dkim).",
    ),
    spec(
        "dmarc.result",
        FactType.STR,
        "DMARC result for the message.",
        values=["pass", "fail", "none", "permerror", "temperror"],
    ),
)


@auditor(
    "alignment",
    provides=PROVIDES,
    needs=(
        "message.from_domain",
        "message.from_domains",
        "envelope.mail_from_domain",
        "envelope.helo",
        "dmarc.helo_organizational_domain",
        "spf.result",
        "spf.result_identity",
        "dkim.signatures",
    ),
)
async def audit(ctx: Context) -> None:
    """Compare the identities by name, then join names and results as DMARC does (RFC 9989 section 4.4)."""
    author = ctx.value("message.from_domain")
    if isinstance(author, Unknown) and author.reason is Reason.NO_MESSAGE:
        author = ctx.subject.domain
    mail_from = ctx.value("envelope.mail_from_domain")
    ctx.put("alignment.mail_from_domain", mail_from)
    signatures = ctx.value("dkim.signatures")
    ctx.put(
        "alignment.signing_domains",
        tuple(dict.fromkeys(each.domain for each in signatures_of(signatures) if each.domain is not None))
        if not isinstance(signatures, Unknown)
        else signatures,
    )
    if not isinstance(author, str):
        lost = ("alignment.basis", "alignment.spf", "alignment.dkim", "alignment.helo", *_POLICY)
        ctx.put_all(dict.fromkeys(("alignment.author_domain", *lost), author))
        if author is None:  # there is a policy, and nobody can tell whose
            ctx.put_all(dict.fromkeys(_POLICY, Unknown(Reason.NOT_CONFIGURED, NONE_NAMED())))
        failed = author if isinstance(author, Unknown) else False
        ctx.put_all({"alignment.spf_pass": failed, "alignment.dkim_pass": failed})
        ctx.put("alignment.strict_breaks", author if isinstance(author, Unknown) else ())
        ctx.put("dmarc.result", author if isinstance(author, Unknown) else "permerror")
        return
    # SPF of a domain that only stands in for MAIL FROM says nothing about alignment.
    checked = ctx.value("spf.result") if ctx.value("spf.result_identity") != "domain" else mail_from
    authors = tuple(dict.fromkeys((author, *texts_of(ctx.value("message.from_domains")))))[:MAX_AUTHORS]
    found = _deciding(
        await asyncio.gather(
            *(
                evaluate_dmarc(
                    each,
                    (_text(checked), _text(mail_from)),
                    [(one.settled, one.domain) for one in signatures_of(signatures)],
                    ctx.ports.dns,
                )
                for each in authors
            )
        )
    )
    author = found.author_domain
    ctx.put("alignment.author_domain", author)
    await _state_policy(ctx, found)
    of_spf, signed = found.identifiers[0], found.identifiers[1:]
    home = found.organizational_domain
    helo = _text(ctx.value("envelope.helo"))
    by_list = found.basis == PUBLIC_SUFFIX
    helo_home = listed_home_of(helo) if by_list else _text(ctx.value("dmarc.helo_organizational_domain"))
    ctx.put("alignment.basis", found.basis)
    ctx.put("alignment.spf", of_spf.alignment)
    ctx.put("alignment.helo", relation(author, home, helo, helo_home))
    missing = signatures if isinstance(signatures, Unknown) else None
    ctx.put("alignment.dkim", missing or _best(signed))
    dkim_pass = missing or found.dkim_pass
    ctx.put("alignment.spf_pass", found.spf_pass)
    ctx.put("alignment.dkim_pass", dkim_pass)
    pairs = (
        ("spf", of_spf.passes("r"), found.spf_pass),
        ("dkim", missing or either(each.passes("r") for each in signed), dkim_pass),
    )
    ctx.put("alignment.strict_breaks", tuple(name for name, loose, hard in pairs if loose is True and hard is False))
    hangs = missing is not None and found.result == "fail"
    ctx.put("dmarc.result", missing if hangs else found.failure or found.result)


_POLICY = tuple(f"alignment.policy{part}" for part in ("", "_legacy", "_location", "_record", "_adkim", "_aspf"))


def _deciding(found: Sequence[DmarcEvaluation]) -> DmarcEvaluation:
    """Of several author domains the one that fails with the strictest policy (RFC 7489 section 6.6.1), else the first.

    RFC 9989 leaves such mail out of DMARC; who evaluates it all the same does not take the mildest.
    """
    failing = [each for each in found if each.result == "fail" and isinstance(each.policy, str)]
    return max(failing, key=lambda each: POLICIES.index(str(each.policy)), default=found[0])


async def _state_policy(ctx: Context, found: DmarcEvaluation) -> None:
    """The policy that decides about the message, which is that of the author domain and nobody else's."""
    place = found.location if isinstance(found.location, str) else found.author_domain
    shown = await ctx.query(f"_dmarc.{place}", "TXT")
    record = parse(found.record) if found.record else None
    lost = found.location if isinstance(found.location, Unknown) else None
    values: dict[str, Value] = {
        "alignment.policy": found.policy,
        "alignment.policy_legacy": found.legacy_policy,
        "alignment.policy_location": found.location,
        "alignment.policy_record": lost or found.record,
        "alignment.policy_adkim": lost or (record.adkim if record else None),
        "alignment.policy_aspf": lost or (record.aspf if record else None),
    }
    ctx.put_all(values, dns_id(shown.name, "TXT"))


def _text(value: Value) -> str | Unknown | None:
    return value if isinstance(value, str | Unknown) else None


def _best(signed: Sequence[Identifier]) -> Value:
    """The closest relation among the signatures that pass, or among all where none passes."""
    relations = [each.alignment for each in signed if each.result == "pass"] or [each.alignment for each in signed]
    for wanted in ("strict", "relaxed"):
        if wanted in relations:
            return wanted
    return next((each for each in relations if isinstance(each, Unknown)), "none" if relations else None)
