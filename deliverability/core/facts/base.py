"""What auditors state: facts with evidence, and the catalogue of facts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from msgspec import Struct, field
from msgspec.structs import astuple

from deliverability.core.codes import ABOUT, NOT_COLLECTED, Code, Detail


class Reason(StrEnum):
    """Why a fact could not be established. None of them ever means "missing".

    NOT_FOUND: nothing at the names that could be tried, because only the user knows the right one (a DKIM selector).
    UNTOLD: the given plan or zone does not state it.
    ALIAS: CNAME or DNAME records lead to no answer, as often as it is asked for: in a circle, or on and on.
    """

    TIMEOUT = "timeout"
    SERVFAIL = "servfail"
    REFUSED = "refused"
    ALIAS = "alias"
    OFFLINE = "offline"
    UNTOLD = "untold"
    NO_MESSAGE = "no-message"
    NOT_CONFIGURED = "not-configured"
    NOT_FOUND = "not-found"
    LIMIT = "limit"
    BUG = "bug"

    @property
    def waits_for_input(self) -> bool:
        """True if the user did not provide what the fact needs; False if a lookup failed."""
        return self in _WAITS


_WAITS = (Reason.NO_MESSAGE, Reason.NOT_CONFIGURED, Reason.NOT_FOUND)


class Unknown(Struct, frozen=True):
    """The value of a fact that could not be established, with the reason and any detail."""

    reason: Reason
    detail: Detail | None = None


DIGEST = "hmac:"
"""Prefix of a text of which a history keeps only the digest."""


class Record(Struct, frozen=True, kw_only=True):
    """An item of a list fact, or a node of a tree. Every field is required, so mypy reports a missing one."""

    @classmethod
    def lost(cls, why: Unknown, **known: Any) -> Self:
        """A record of which only `known` could be established."""
        return cls(**{**dict.fromkeys(cls.__struct_fields__, why), **known})


# JSON-like values, with Unknown and details allowed at every depth; None means: looked up, and there is none.
Value = None | bool | int | float | str | Detail | Unknown | Record | tuple["Value", ...] | Mapping[str, "Value"]


def plain(record: Record) -> dict[str, Any]:
    """The record's fields by their names in rules and JSON."""
    return dict(zip(record.__struct_encode_fields__, astuple(record), strict=True))


def text_of(value: Value) -> str:
    """A value that is text; empty if it is unknown, absent or something else."""
    return value if isinstance(value, str) else ""


def texts_of(value: Value) -> tuple[str, ...]:
    """The texts of a list; empty if it is unknown or absent."""
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, tuple) else ()


def records_of(value: Value) -> tuple[Mapping[str, Value], ...]:
    """The records of a list by their fields, as rules read them; empty if it is unknown or absent."""
    if not isinstance(value, tuple):
        return ()
    items = (plain(each) if isinstance(each, Record) else each for each in value)
    return tuple(each for each in items if isinstance(each, Mapping))


class EvidenceKind(StrEnum):
    """Where a piece of evidence comes from."""

    DNS = "dns"
    HTTP = "http"
    SMTP = "smtp"
    HEADER = "header"
    MIME = "mime"
    REPORT = "report"


EvidenceLine = str | Detail
"""One line of evidence: text as it was seen, or our own statement (see model.evidence)."""


class Evidence(Struct, frozen=True):
    """One raw observation, unescaped; renderers escape it.

    Attributes:
        id: stable within a report and readable, for example ``dns:TXT:example.com``.
        kind: where it comes from.
        asked: the question, for example ``TXT example.com``.
        got: the answer: records and header lines as they were seen; our own statements are details.
        at: when it was seen, ISO 8601 in UTC, or None if time does not matter.
        ttl: seconds for which the answer may be cached, or None.
        place: its place in a file, as ``file:line``, or empty. It is not part of the observation, and so not of saved
            reports: the same zone may be stored anywhere.

    """

    id: str
    kind: EvidenceKind
    asked: str
    got: tuple[EvidenceLine, ...] = ()
    at: str | None = None
    ttl: int | None = None
    place: str = ""


class Fact(Struct, frozen=True):
    """One established (or unknown) value under a path of the catalogue."""

    path: str
    value: Value
    evidence: tuple[str, ...] = ()


class FactType(StrEnum):
    """The type of a fact's value. A record is a mapping of named fields; a tree nests records freely.

    A detail is a code with arguments (model.codes); rules compare it by code.
    """

    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    STR = "str"
    LIST_STR = "list of str"
    LIST_INT = "list of int"
    LIST_RECORD = "list of record"
    RECORD = "record"
    TREE = "tree"
    DETAIL = "detail"
    LIST_DETAIL = "list of detail"

    @property
    def is_list(self) -> bool:
        """True if rules may use `each` or `contains`."""
        return self in (FactType.LIST_STR, FactType.LIST_INT, FactType.LIST_RECORD, FactType.LIST_DETAIL)


class FactSpec(Struct, frozen=True):
    """One entry of the catalogue: the contract between auditors and rule files.

    Attributes:
        path: public name. Fields of a list's items are written ``dkim.signatures[].bits``.
        type: see FactType.
        doc: meaning, one English sentence.
        unit: ``octets``, ``bits``, ``seconds`` (a span), ``moment`` (seconds since 1970), ``date`` (ISO
            8601), ``lookups`` ..., or empty.
        optional: True if None ("looked up, and there is none") is a regular value.
        values: for a str with a closed set of values, these.
        key: for a list of records, the fields that identify an item.

    """

    path: str
    type: FactType
    doc: str
    unit: str = ""
    optional: bool = False
    values: tuple[str, ...] = ()
    key: tuple[str, ...] = ()


Catalogue = Mapping[str, FactSpec]


class Purpose(StrEnum):
    """What the audited domain sends; decides which requirements apply."""

    USERS = "users"
    BULK = "bulk"
    TRANSACTIONAL = "transactional"
    PARKED = "parked"


class Waiver(Struct, frozen=True):
    """A finding that the user accepts.

    Attributes:
        rule: rule id.
        reason: ``accepted-risk``, ``handled-elsewhere``, ``not-applicable`` or ``false-positive``.
        domain: A-label of the domain that it applies to; empty: every domain.
        item: item of the rule that it applies to; empty: every item.
        note: the user's remark.
        until: ISO date of the last day on which it applies; empty: it never expires.

    """

    rule: str
    reason: str
    domain: str = ""
    item: str = ""
    note: str = ""
    until: str = ""


class KeySeen(Struct, frozen=True):
    """One DKIM key as earlier runs saw it.

    Attributes:
        domain: A-label.
        selector: selector.
        fingerprint: SHA-256 (hex) of the key itself, the decoded p=.
        first_seen: start of the first run that saw it, ISO 8601 in UTC.
        last_seen: start of the newest run that saw it.

    """

    domain: str
    selector: str
    fingerprint: str
    first_seen: str
    last_seen: str


class PolicySeen(Struct, frozen=True):
    """An MTA-STS policy as an earlier run read it.

    Attributes:
        id: ID in the MTA-STS record at that time.
        mode: mode of the policy.
        mx: patterns of MX hosts.
        max_age: seconds for which senders cache the policy.
        seen: start of the newest run that read this policy, ISO 8601 in UTC.

    """

    id: str
    mode: str
    mx: tuple[str, ...]
    max_age: int
    seen: str


class StageSeen(NamedTuple):
    """A DMARC stage, and the ISO date since which runs have seen it without interruption."""

    stage: str
    since: str


class SampleSeen(Struct, frozen=True):
    """One of several messages of the domain in the same run: what kind of mail it is, and what sent it.

    Attributes:
        name: name of the message in the report, unique in the run.
        purpose: kind of mail: users, bulk or transactional; None: not declared, and the message has no signs of it.
        by_user: the user declared the purpose.
        signs: signs of the purpose, if the user did not declare it.
        address: address that the receiver got the message from; empty: the message does not state it.
        signers: domains of its signatures (d=), A-labels.
        message_id: Message-ID as written; empty: there is none.
        recipients: its recipients, if its subject states that it contains the password of a file; otherwise empty.

    """

    name: str
    purpose: Purpose | None = None
    by_user: bool = False
    signs: tuple[str, ...] = ()
    address: str = ""
    signers: tuple[str, ...] = ()
    message_id: str = ""
    recipients: frozenset[str] = frozenset()


class Readable(Protocol):
    """A topic (model.topic.Topic), which can be read from facts by their paths."""

    @classmethod
    def read(cls, value: Callable[[str], Value], /) -> Self:
        """The topic with the values that the function returns for each path."""


K = TypeVar("K", bound=Readable)


class FactSet(Struct, frozen=True, dict=True):
    """All facts of one subject by path, and the evidence they cite by ID."""

    facts: Mapping[str, Fact] = field(default_factory=dict)
    evidence: Mapping[str, Evidence] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Fact]:
        return iter(self.facts.values())

    def value(self, path: str) -> Value:
        """The value at a path in a rule; Unknown(not-configured) if it was not collected.

        Code reads facts by their topics.
        """
        fact = self.facts.get(path)
        return Unknown(Reason.NOT_CONFIGURED, NOT_COLLECTED(path=path)) if fact is None else fact.value

    def of(self, topic: type[K]) -> K:
        """The facts of a topic; those that were not collected are Unknown(not-configured)."""
        known = self._topics.get(topic)
        if not isinstance(known, topic):
            known = self._topics[topic] = topic.read(self.value)
        return known

    @cached_property
    def _topics(self) -> dict[type, object]:
        """The topics that were read already."""
        return {}

    def __reduce__(self) -> tuple[type[FactSet], tuple[Mapping[str, Fact], Mapping[str, Evidence]]]:
        """Pickled without the cached topics, which repeat the facts."""
        return FactSet, (self.facts, self.evidence)


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
    """The evidence line for a failed observation."""
    failed = FAILED(reason=reason.value)
    return failed if detail is None else ABOUT(what=failed, detail=detail)


def is_failure(got: Sequence[EvidenceLine]) -> bool:
    """Whether the evidence states that the observation failed."""
    first = got[0] if got else None
    return isinstance(first, Detail) and FAILED.matches(first.arg("what") if ABOUT.matches(first) else first)


def aliases(got: Sequence[EvidenceLine]) -> list[str]:
    """The CNAME targets through which a DNS answer was reached."""
    return [str(line.arg("name")) for line in got if isinstance(line, Detail) and ALIAS.matches(line)]


def is_absence(got: Sequence[EvidenceLine]) -> bool:
    """Whether a DNS answer states that there is no name or no record."""
    return any(NO_NAME.matches(line) or NO_RECORD.matches(line) for line in got)


def texts(got: Sequence[EvidenceLine]) -> list[str]:
    """The verbatim lines: the records of a DNS answer."""
    return [line for line in got if isinstance(line, str)]
