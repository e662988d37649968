"""What evidence says that is not text as it was seen: an alias, an absence, a failure, how a server answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from deliverability.model.codes import ABOUT, VERBATIM, Code, Detail
from deliverability.model.facts import Evidence, EvidenceKind, EvidenceLine, Reason

ALIAS = Code("seen-alias", ("name",))
NO_NAME = Code("seen-no-name")
NO_RECORD = Code("seen-no-record", ("type",))
FAILED = Code("seen-failed", ("reason",))
PAGE = Code("seen-page", ("n", "type", "size"))
ANSWERED = Code("seen-answered", ("n", "type"))
NO_TYPE = Code("seen-no-type")
REFUSES = Code("seen-refuses", ("address",))
GREETING = Code("seen-greeting", ("address", "text"))
STARTTLS = Code("seen-starttls", ("tls",))
NO_STARTTLS = Code("seen-no-starttls")
NO_TLS = Code("seen-no-tls")
CERTIFICATE_VALID = Code("seen-certificate-valid")
CERTIFICATE_INVALID = Code("seen-certificate-invalid", ("why",))


def failure(reason: Reason, detail: Detail | None = None) -> Detail:
    """The line of what could not be seen."""
    failed = FAILED(reason=reason.value)
    return failed if detail is None else ABOUT(what=failed, detail=detail)


def is_failure(got: Sequence[EvidenceLine]) -> bool:
    """Whether evidence says that nothing could be seen."""
    first = got[0] if got else None
    return isinstance(first, Detail) and FAILED.matches(first.arg("what") if ABOUT.matches(first) else first)


def aliases(got: Sequence[EvidenceLine]) -> list[str]:
    """The names that a DNS answer was reached through."""
    return [str(line.arg("name")) for line in got if isinstance(line, Detail) and ALIAS.matches(line)]


def is_absence(got: Sequence[EvidenceLine]) -> bool:
    """Whether a DNS answer is that there is nothing."""
    return any(NO_NAME.matches(line) or NO_RECORD.matches(line) for line in got)


def texts(got: Sequence[EvidenceLine]) -> list[str]:
    """What was seen word for word: the records of a DNS answer."""
    return [line for line in got if isinstance(line, str)]


# --- sentences of older versions -----------------------------------------------------------------------------------


def answered(evidence: Mapping[str, Evidence]) -> Mapping[str, Evidence]:
    """DNS answers with details for the sentences of versions before 1.0, which knew none; the rest as it is."""
    if any(isinstance(line, Detail) for item in evidence.values() for line in item.got):
        return evidence
    return {ident: replace(item, got=tuple(_lines_of_then(item))) for ident, item in evidence.items()}


def _lines_of_then(item: Evidence) -> list[EvidenceLine]:
    lines = texts(item.got)
    if item.kind is not EvidenceKind.DNS or not lines:
        return list(item.got)
    reason, _, why = lines[0].partition(": ")
    if item.ttl is None and len(lines) == 1 and reason in set(Reason):
        return [failure(Reason(reason), VERBATIM(text=why) if why else None)]
    found: list[EvidenceLine] = []
    while lines and lines[0].startswith("CNAME "):
        found.append(ALIAS(name=lines.pop(0).removeprefix("CNAME ")))
    if lines == ["NXDOMAIN: no such name"]:
        return [*found, NO_NAME()]
    rdtype = item.asked.partition(" ")[0]
    return [*found, NO_RECORD(type=rdtype)] if lines == [f"NODATA: no {rdtype} record"] else [*found, *lines]
