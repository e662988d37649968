"""Whether MAIL FROM, d= and HELO belong to the author domain. May import auditors.base, model and dmarc."""

from __future__ import annotations

from collections.abc import Mapping

from deliverability.auditors.base import Context, auditor, spec
from deliverability.dmarc.discover import discover_dmarc, organizational_domain
from deliverability.model.facts import FactType, Reason, Unknown, Value

PROVIDES = (
    spec("alignment.author_domain", FactType.STR, "The author domain.", optional=True),
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
        "envelope.mail_from_domain",
        "envelope.helo",
        "dmarc.mail_from_organizational_domain",
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
    ctx.put("alignment.author_domain", author)
    ctx.put("alignment.mail_from_domain", mail_from)
    signatures = ctx.value("dkim.signatures")
    ctx.put(
        "alignment.signing_domains",
        tuple(dict.fromkeys(str(s["domain"]) for s in _records(signatures) if isinstance(s["domain"], str)))
        if not isinstance(signatures, Unknown)
        else signatures,
    )
    if not isinstance(author, str):
        lost = ("alignment.spf", "alignment.dkim", "alignment.helo")
        ctx.put_all(dict.fromkeys(lost, author))
        failed = author if isinstance(author, Unknown) else False
        ctx.put_all({"alignment.spf_pass": failed, "alignment.dkim_pass": failed})
        ctx.put("alignment.strict_breaks", author if isinstance(author, Unknown) else ())
        ctx.put("dmarc.result", author if isinstance(author, Unknown) else "permerror")
        return
    discovery = await discover_dmarc(author, ctx.resolver)
    home = discovery.organizational_domain
    spf = _relation(author, home, mail_from, ctx.value("dmarc.mail_from_organizational_domain"))
    helo_name = ctx.value("envelope.helo")
    ctx.put("alignment.spf", spf)
    ctx.put("alignment.helo", _relation(author, home, helo_name, ctx.value("dmarc.helo_organizational_domain")))
    signed = [
        (s, _relation(author, home, s["domain"], await _organizational(ctx, s["domain"]))) for s in _records(signatures)
    ]
    ctx.put("alignment.dkim", signatures if isinstance(signatures, Unknown) else _best(signed))
    record = discovery.record
    spf_result = ctx.value("spf.result") if ctx.value("spf.result_identity") != "domain" else "none"
    spf_relaxed = _passes(spf_result, spf, "r")
    spf_pass = _passes(spf_result, spf, record.aspf if record else "r")
    dkim_relaxed = signatures if isinstance(signatures, Unknown) else _any_passes(signed, "r")
    dkim_pass = signatures if isinstance(signatures, Unknown) else _any_passes(signed, record.adkim if record else "r")
    ctx.put("alignment.spf_pass", spf_pass)
    ctx.put("alignment.dkim_pass", dkim_pass)
    pairs = (("spf", spf_relaxed, spf_pass), ("dkim", dkim_relaxed, dkim_pass))
    ctx.put("alignment.strict_breaks", tuple(name for name, loose, hard in pairs if loose is True and hard is False))
    if isinstance(discovery.location, Unknown):
        ctx.put("dmarc.result", discovery.location)
    elif record is None:
        ctx.put("dmarc.result", "none")
    else:
        ctx.put("dmarc.result", _result(spf_pass, dkim_pass))


def _records(value: Value) -> list[Mapping[str, Value]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, tuple) else []


async def _organizational(ctx: Context, domain: Value) -> Value:
    return await organizational_domain(domain, ctx.resolver) if isinstance(domain, str) else domain


def _relation(author: str, home: str | Unknown, other: Value, other_home: Value) -> Value:
    """strict: the same name; relaxed: the same organizational domain; none: neither; None: there is no other name."""
    if not isinstance(other, str) or not other:
        return other or None
    if other.lower() == author:
        return "strict"
    if isinstance(home, Unknown):
        return home
    if isinstance(other_home, Unknown):
        return other_home
    return "relaxed" if other_home == home else "none"


def _best(signed: list[tuple[Mapping[str, Value], Value]]) -> Value:
    """The closest relation among the signatures that pass, or among all where none passes."""
    passing = [relation for signature, relation in signed if signature["result"] == "pass"]
    relations = passing or [relation for _, relation in signed]
    for wanted in ("strict", "relaxed"):
        if wanted in relations:
            return wanted
    return next((each for each in relations if isinstance(each, Unknown)), "none" if relations else None)


def _passes(result: Value, relation: Value, mode: str) -> bool | Unknown:
    """Whether a result authenticates the author domain in an alignment mode; one certain no is enough for no."""
    aligned: bool | Unknown = (
        relation if isinstance(relation, Unknown) else relation == "strict" or (relation == "relaxed" and mode == "r")
    )
    passed: bool | Unknown = result if isinstance(result, Unknown) else result == "pass"
    if aligned is False or passed is False:
        return False
    return next((each for each in (aligned, passed) if isinstance(each, Unknown)), True)


def _any_passes(signed: list[tuple[Mapping[str, Value], Value]], mode: str) -> bool | Unknown:
    return _either([_passes(_settled(signature), relation, mode) for signature, relation in signed])


def _settled(signature: Mapping[str, Value]) -> Value:
    """A temporary error is no result: the key could not be looked up."""
    result = signature["result"]
    if result == "temperror":
        key = next((signature[name] for name in ("bits", "key_type") if isinstance(signature[name], Unknown)), None)
        return key if key is not None else Unknown(Reason.TIMEOUT, "the key could not be looked up")
    return result


def _either(truths: list[bool | Unknown]) -> bool | Unknown:
    if any(truth is True for truth in truths):
        return True
    return next((truth for truth in truths if isinstance(truth, Unknown)), False)


def _result(spf_pass: bool | Unknown, dkim_pass: bool | Unknown) -> Value:
    truth = _either([spf_pass, dkim_pass])
    return truth if isinstance(truth, Unknown) else "pass" if truth else "fail"
