"""All identities of a mail side by side, from what the other auditors found; asks nothing."""

from __future__ import annotations

from deliverability.core.facts.base import FactType, Unknown, Value, records_of
from deliverability.core.model.dkim import DkimSignature, signatures_of
from deliverability.engine.base import Context, auditor, spec

PROVIDES = (
    spec(
        "identity.chain",
        FactType.LIST_RECORD,
        "Who is who: every identity of the mail, how it stands to the author domain, and what vouches for it.",
        key=["role", "name"],
    ),
    spec(
        "identity.chain[].role",
        FactType.STR,
        "Which identity.",
        values=["author-domain", "mail-from", "helo", "dkim", "ptr"],
    ),
    spec("identity.chain[].name", FactType.STR, "Domain or host name.", optional=True),
    spec(
        "identity.chain[].aligned",
        FactType.STR,
        "How it stands to the author domain; none given for the author domain itself.",
        optional=True,
        values=["strict", "relaxed", "none"],
    ),
    spec(
        "identity.chain[].authenticated",
        FactType.STR,
        "Result of what checks it: DMARC for the author domain, SPF for MAIL FROM, the signature for d=, forward "
        "confirmation (pass or fail) for HELO and PTR.",
        optional=True,
    ),
    spec("identity.chain[].by", FactType.STR, "What checked it: dmarc, spf, dkim or dns.", optional=True),
    spec(
        "identity.sends_nothing",
        FactType.BOOL,
        "The domain says in two ways that it sends no mail: SPF authorizes nobody, and it has a null MX or p=reject.",
    ),
)


@auditor(
    "chain",
    provides=PROVIDES,
    needs=(
        "alignment.author_domain",
        "alignment.spf",
        "alignment.helo",
        "envelope.helo",
        "envelope.mail_from_domain",
        "dkim.signatures",
        "spf.result",
        "spf.result_identity",
        "spf.sends_nothing",
        "dmarc.result",
        "dmarc.effective_policy",
        "dmarc.organizational_domain",
        "domain.null_mx",
        "identity.ips",
    ),
)
async def audit(ctx: Context) -> None:
    """Put the identities side by side; asks nothing but what was answered already."""
    value = ctx.value
    ctx.put("identity.sends_nothing", _sends_nothing(ctx))
    author = value("alignment.author_domain")
    if isinstance(author, Unknown):
        ctx.put("identity.chain", author)
        return
    ips = value("identity.ips")
    spf = value("spf.result") if value("spf.result_identity") in ("mail-from", "helo") else None
    entries = [_entry("author-domain", author, None, value("dmarc.result"), "dmarc")]
    if not _waits(value("envelope.mail_from_domain")):
        entries.append(_entry("mail-from", value("envelope.mail_from_domain"), value("alignment.spf"), spf, "spf"))
    if not _waits(value("envelope.helo")):
        confirmed = next((each["helo_matches"] for each in records_of(ips)), None)
        entries.append(_entry("helo", value("envelope.helo"), value("alignment.helo"), _verdict(confirmed), "dns"))
    for signature in signatures_of(value("dkim.signatures")):
        aligned = _signed(author, signature)
        entries.append(_entry("dkim", signature.domain, aligned, signature.result, "dkim"))
    entries += [
        _entry("ptr", each["name"], each["aligned"], _verdict(each["confirmed"]), "dns") for each in records_of(ips)
    ]
    ctx.put("identity.chain", tuple(entry for entry in entries if entry["name"] is not None))


def _entry(role: str, name: Value, aligned: Value, authenticated: Value, by: str) -> dict[str, Value]:
    return {"role": role, "name": name, "aligned": aligned, "authenticated": authenticated, "by": by}


def _waits(value: Value) -> bool:
    """Nobody told it: then it is no link of the chain, known or unknown."""
    return isinstance(value, Unknown) and value.reason.waits_for_input


def _signed(author: Value, signature: DkimSignature) -> Value:
    if signature.domain == author:
        return "strict"
    aligned = signature.aligned
    return ("relaxed" if aligned else "none") if isinstance(aligned, bool) else aligned


def _verdict(confirmed: Value) -> Value:
    return ("pass" if confirmed else "fail") if isinstance(confirmed, bool) else confirmed


def _sends_nothing(ctx: Context) -> bool | Unknown:
    """One certain no is enough for no; SPF alone could be a mistake, a second declaration makes it a decision."""
    spf, null_mx, policy = (ctx.value(p) for p in ("spf.sends_nothing", "domain.null_mx", "dmarc.effective_policy"))
    if spf is False:
        return False
    second = null_mx is True or policy == "reject"
    if second:
        return spf if isinstance(spf, Unknown) else True
    return next((each for each in (null_mx, policy) if isinstance(each, Unknown)), False)
