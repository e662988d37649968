"""What evidence says that is not text as it was seen: an alias, an absence, a failure, how a server answered."""

from __future__ import annotations

from collections.abc import Sequence

from deliverability.model.codes import ABOUT, Code, Detail
from deliverability.model.facts import EvidenceLine, Reason

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
