"""SPF: the record of each domain in the mail, its lookup cost, and the results of the sending addresses.

The include tree of a record and the steps of an evaluation are facts as well (``spf.tree``, ``spf.trace``).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.facts.base import Record, Unknown, Value
from deliverability.core.model.topic import Addresses, Bits, Fact, Lookups, Maybe, Octets, OneOf, Ranges, Records, Topic

SPF_AT = Code("spf-at", ("term", "domain"))
"""The term of a record that decided the result."""


class SpfResult(StrEnum):
    """The seven results of RFC 7208 section 2.6."""

    PASS = "pass"  # noqa: S105 - a result, not a secret
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    PERMERROR = "permerror"
    TEMPERROR = "temperror"


class SpfStatus(StrEnum):
    """The status of a record or of a term.

    Of both: OK, SYNTAX_ERROR, FAILED (could not be queried). Of a record: NONE (there is none), SEVERAL. Of a term:
    VOID (void lookup for both IP versions), BROKEN (target without exactly one record), LOOP, MACRO (the target
    depends on the mail), ADDRESS (ptr: depends on the sending address), OVERFLOW (more than ten MX hosts), INVALID_NAME
    (not a valid DNS name), LIMIT (not followed: the tree is too large), DEAD (never evaluated), IGNORED (unknown
    modifier).
    """

    OK = "ok"
    SYNTAX_ERROR = "syntax-error"
    FAILED = "failed"
    NONE = "none"
    SEVERAL = "several"
    VOID = "void"
    BROKEN = "broken"
    LOOP = "loop"
    MACRO = "macro"
    ADDRESS = "address"
    OVERFLOW = "overflow"
    INVALID_NAME = "invalid-name"
    LIMIT = "limit"
    DEAD = "dead"
    IGNORED = "ignored"


class SpfTerm(Record, frozen=True):
    """A term of a record and the result of its lookups.

    Attributes:
        text: as written.
        status: see SpfStatus.
        qualifier: the qualifier of a mechanism, or None.
        mechanism: name of the mechanism or modifier; None if the term cannot be parsed.
        lookups: the term's own lookup cost, 0 or 1.
        total_lookups: the term's own lookup cost plus that of everything below its target.
        target: the name that the term queries, or None.
        addresses: what an a or mx term resolves to: addresses, or MX records.
        problem: the syntax error if the term cannot be parsed, or why its lookup failed.
        tree: the target's record, if the term was followed.

    """

    text: str
    status: SpfStatus = SpfStatus.OK
    qualifier: str | None = None
    mechanism: str | None = None
    lookups: int = 0
    total_lookups: int = 0
    target: str | None = None
    addresses: tuple[str, ...] = ()
    problem: Detail | Unknown | None = None
    tree: SpfTree | None = None


class SpfTree(Record, frozen=True):
    """The record of a domain, and the lookup cost and target of each term. The counts include everything below.

    For an `a` term, a receiver queries A or AAAA, depending on the sending address, and counts a void lookup (RFC 7208
    section 4.6.4). `void_lookups` counts only lookups that are void for both IP versions. Lookups that failed are not
    in the counts.
    """

    domain: str
    status: SpfStatus = SpfStatus.OK
    record: str | None = None
    lookups: int = 0
    void_lookups: int = 0
    terms: tuple[SpfTerm, ...] = ()


class StepOutcome(StrEnum):
    """The outcome of one term in an evaluation."""

    MATCH = "match"
    NO_MATCH = "no-match"
    ERROR = "error"
    FOLLOWED = "followed"
    NOT_REACHED = "not-reached"
    DEAD = "dead"
    IGNORED = "ignored"


class TraceStep(Record, frozen=True):
    """One term of a record in an evaluation.

    Attributes:
        term: as written.
        outcome: see StepOutcome.
        detail: the query and its answer, or what ended the check; None if outcome and `nested` are sufficient.
        lookups: what the term and everything below it added to the lookup count.
        void_lookups: what they added to the void lookup count.
        nested: the evaluation of the target of an include or redirect, or None.

    """

    term: str
    outcome: StepOutcome
    detail: Detail | None = None
    lookups: int = 0
    void_lookups: int = 0
    nested: Trace | None = None


class Trace(Record, frozen=True):
    """One call of check_host(): the domain, its record (None unless there is exactly one), terms in order."""

    domain: str
    record: str | None
    result: SpfResult
    reason: Detail
    steps: tuple[TraceStep, ...] = ()


def decided_by(reason: Value) -> str:
    """The term that decided a result, with or without an error; empty if no term did."""
    at = reason.arg("what") if isinstance(reason, Detail) and ABOUT.matches(reason) else reason
    term = at.arg("term") if isinstance(at, Detail) and SPF_AT.matches(at) else ""
    return term if isinstance(term, str) else ""


Result = Annotated[str, OneOf("pass fail softfail neutral none permerror temperror")]
"""The seven results of RFC 7208 section 2.6."""


# Facts about the audited domain (Spf) and about each domain in the mail (SpfOfDomain).
_Present = Annotated[Maybe[bool], Fact("At least one SPF record (v=spf1) is published.")]
_Records = Annotated[Maybe[tuple[str, ...]], Fact("All SPF records published at the domain.")]
_RecordCount = Annotated[Maybe[Records], Fact("Number of SPF records.")]
_Record = Annotated[Maybe[str | None], Fact("The SPF record, if there is exactly one.")]
_Lookalikes = Annotated[
    Maybe[tuple[str, ...]],
    Fact("TXT records that look like SPF records but are not: leading space, smart quotes, wrong version."),
]
_Valid = Annotated[
    Maybe[bool | None],
    Fact(
        "The whole include tree is free of errors: syntax, missing targets, lookup limits. Void lookups are "
        "counted for the IP versions of the sending addresses, or for IPv4 if none is known."
    ),
]
_SyntaxErrors = Annotated[
    Maybe[tuple[Detail, ...]],
    Fact("Terms in the include tree that cannot be parsed, each with its domain if that is not this one."),
]
_Lookups = Annotated[Maybe[Lookups | None], Fact("DNS-querying terms in the whole include tree.")]
_LookupsAtLeast = Annotated[
    Maybe[Lookups | None],
    Fact("Known DNS-querying terms: equal to `lookups`, or a lower bound if part of the tree could not be checked."),
]
_LookupsLeft = Annotated[
    Maybe[Lookups | None], Fact("DNS lookups left within the limit of ten; negative if the limit is exceeded.")
]
_VoidLookupsIp4 = Annotated[
    Maybe[Lookups | None],
    Fact("Void lookups in the include tree if the sending address is IPv4 (`a` queries A)."),
]
_VoidLookupsIp6 = Annotated[
    Maybe[Lookups | None],
    Fact("Void lookups in the include tree if the sending address is IPv6 (`a` queries AAAA)."),
]
_VoidNamesIp6 = Annotated[
    Maybe[tuple[Maybe[str], ...]],
    Fact("Names whose lookups are void if the sending address is IPv6, each with its query type."),
]
_DeadNames = Annotated[
    Maybe[tuple[Maybe[str], ...]],
    Fact("Names whose lookups are void for every sending address, each with its query type."),
]
_BrokenIncludes = Annotated[
    Maybe[tuple[str, ...]], Fact("Targets of include and redirect that do not have exactly one SPF record.")
]
_Loops = Annotated[Maybe[tuple[str, ...]], Fact("Domains that include themselves, directly or indirectly.")]
_MxOverflow = Annotated[Maybe[tuple[str, ...]], Fact("`mx` terms with more than ten hosts.")]
_All = Annotated[
    Maybe[Annotated[str, OneOf("+ - ~ ?")] | None],
    Fact("Qualifier of `all`, or of `all` at the redirect target if the record has none."),
]
_Redirect = Annotated[Maybe[str | None], Fact("Target of the redirect, if it takes effect.")]
_Includes = Annotated[Maybe[tuple[str, ...]], Fact("Targets of the record's own include terms.")]
_UsesPtr = Annotated[Maybe[bool], Fact("The include tree contains a `ptr` term.")]
_DeadTerms = Annotated[
    Maybe[tuple[str, ...]],
    Fact("Terms that are never evaluated: those after `all`, and a redirect in a record with `all`."),
]
_UnknownModifiers = Annotated[
    Maybe[tuple[str, ...]],
    Fact(
        "Terms of the domain's own record that receivers ignore as unknown modifiers, such as a second v=spf1 "
        "or ip4=..."
    ),
]
_Mistyped = Annotated[
    Maybe[tuple[Detail, ...]],
    Fact("Unknown modifiers that were meant as mechanisms (include=, ip4=, a=), each with the intended term."),
]
_RecordOctets = Annotated[Maybe[Octets | None], Fact("Length of the SPF record.")]
_AnswerOctets = Annotated[Maybe[Octets], Fact("Combined length of the domain name and all its TXT records.")]
_LongestStringOctets = Annotated[
    Maybe[Octets | None], Fact("Length of the longest character-string in the SPF record.")
]
_WideRanges = Annotated[
    Maybe[tuple[str, ...]],
    Fact("Ranges in the domain's own record that are wider than most senders need (rules/measures.yaml)."),
]
_WidestIp4Prefix = Annotated[
    Maybe[Bits | None], Fact("Prefix length of the widest IPv4 range in the domain's own record.")
]
_PrivateRanges = Annotated[
    Maybe[tuple[str, ...]],
    Fact("`ip4` and `ip6` terms of the domain's own record that list only private or reserved addresses (RFC 6890)."),
]
_SendsNothing = Annotated[Maybe[bool], Fact("The record authorizes no senders (v=spf1 -all).")]
_AuthorisedIp4 = Annotated[
    Maybe[Addresses | None],
    Fact(
        "Number of distinct IPv4 addresses that the whole include tree authorizes, without those that an "
        "earlier term denies. Unknown if part of the tree could not be checked, unless the known number is "
        "already far too high."
    ),
]
_AuthorisedIp6Prefix = Annotated[
    Maybe[Bits | None],
    Fact(
        "Prefix length of a single range as large as all public IPv6 addresses (2000::/3) that the whole "
        "include tree authorizes."
    ),
]
_AuthorisesNobody = Annotated[
    Maybe[bool | None],
    Fact("The whole include tree authorizes no address from which mail can arrive over the internet."),
]


class AddressResult(Record, frozen=True, kw_only=True):
    """The SPF result of one sending address."""

    ip: Annotated[str, Fact("Sending address.")]
    result: Annotated[
        Maybe[Result],
        Fact("SPF result."),
    ]
    reason: Annotated[Detail | None, Fact("The term or error that decided the result.")]


class SpfOfDomain(Record, frozen=True, kw_only=True):
    """A domain in the mail whose SPF matters."""

    domain: Annotated[str, Fact("The domain.")]
    role: Annotated[
        Annotated[str, OneOf("mail-from helo author domain")],
        Fact(
            "Role of the domain in the mail: the first of these that applies. Without a message, the audited domain "
            "counts as the author."
        ),
    ]
    used: Annotated[
        bool | None, Fact("Receivers check this mail's SPF against the domain; absent if the envelope is not known.")
    ]
    own: Annotated[bool, Fact("The domain belongs to the owner of the audited domain (public suffix list).")]
    present: _Present
    records: _Records
    record_count: _RecordCount
    record: _Record
    lookalikes: _Lookalikes
    valid: _Valid
    syntax_errors: _SyntaxErrors
    lookups: _Lookups
    lookups_at_least: _LookupsAtLeast
    lookups_left: _LookupsLeft
    void_lookups_ip4: _VoidLookupsIp4
    void_lookups_ip6: _VoidLookupsIp6
    void_names_ip6: _VoidNamesIp6
    dead_names: _DeadNames
    broken_includes: _BrokenIncludes
    loops: _Loops
    mx_overflow: _MxOverflow
    all: _All
    redirect: _Redirect
    includes: _Includes
    uses_ptr: _UsesPtr
    dead_terms: _DeadTerms
    unknown_modifiers: _UnknownModifiers
    mistyped: _Mistyped
    record_octets: _RecordOctets
    answer_octets: _AnswerOctets
    longest_string_octets: _LongestStringOctets
    wide_ranges: _WideRanges
    widest_ip4_prefix: _WidestIp4Prefix
    private_ranges: _PrivateRanges
    sends_nothing: _SendsNothing
    authorised_ip4: _AuthorisedIp4
    authorised_ip6_prefix: _AuthorisedIp6Prefix
    authorises_nobody: _AuthorisesNobody
    late_ip6: Annotated[
        Maybe[bool | None],
        Fact(
            "IPv6 addresses are listed only after the third void lookup for IPv6 senders, where receivers stop "
            "evaluating."
        ),
    ]
    widest_terms: Annotated[
        Maybe[tuple[Detail, ...]],
        Fact(
            "Terms in the include tree that authorize the most addresses, each with the domain whose record "
            "contains it."
        ),
    ]
    widest_domain: Annotated[Maybe[str | None], Fact("Domain whose record contains the first of `widest_terms`.")]
    widest_via: Annotated[
        Maybe[str | None], Fact("Term of the domain's own record that leads to the first of `widest_terms`.")
    ]
    widest_is_own: Annotated[
        Maybe[bool | None], Fact("The first of `widest_terms` is in a record of the same organizational domain.")
    ]
    wide_ranges_below: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Terms of included records that authorize more addresses than most senders need, each with its domain; "
            "without the published ranges of large services (rules/measures.yaml)."
        ),
    ]
    rented_terms: Annotated[
        Maybe[tuple[Detail, ...]],
        Fact(
            "Terms in the include tree that authorize many addresses that a provider rents to anyone, each with its "
            "domain and the provider (rules/measures.yaml)."
        ),
    ]
    void_lookups: Annotated[
        Maybe[Lookups | None],
        Fact(
            "Void lookups for the sending addresses: the higher count if both IP versions are in use, that for IPv4 "
            "if no address is known."
        ),
    ]
    void_at_least: Annotated[
        Maybe[Lookups | None],
        Fact("Known void lookups: equal to `void_lookups`, or a lower bound if part of the tree could not be checked."),
    ]
    void_names: Annotated[Maybe[tuple[Maybe[str], ...]], Fact("Names of those void lookups, each with its query type.")]
    result: Annotated[
        Maybe[Result],
        Fact("SPF result of the sending address for the domain (the worst if there are several addresses)."),
    ]
    reason: Annotated[Detail | None, Fact("The term or error that decided the result.")]
    evidence: Annotated[tuple[str, ...], Fact("IDs of the evidence for this domain.")]


class IncludeCost(Record, frozen=True, kw_only=True):
    """The lookup cost of an include or redirect in the record."""

    target: Annotated[str, Fact("Target domain of the term.")]
    lookups: Annotated[Lookups, Fact("DNS lookups, including the term's own.")]
    void_lookups: Annotated[Lookups, Fact("Lookups that are void for every sending address.")]


class Overlap(Record, frozen=True, kw_only=True):
    """Two terms that authorize the same addresses."""

    first: Annotated[str, Fact("The earlier term.")]
    second: Annotated[str, Fact("The later term.")]
    range: Annotated[str, Fact("The widest range that both terms authorize.")]
    count: Annotated[Ranges, Fact("Number of ranges that both terms authorize.")]


class Spf(Topic, frozen=True, kw_only=True):
    """The record of the audited domain and its whole include tree."""

    topic = "spf"
    domain: Annotated[Maybe[str], Fact("Domain whose record is described: the audited domain.")]
    present: _Present
    records: _Records
    record_count: _RecordCount
    record: _Record
    lookalikes: _Lookalikes
    valid: _Valid
    syntax_errors: _SyntaxErrors
    lookups: _Lookups
    lookups_at_least: _LookupsAtLeast
    lookups_left: _LookupsLeft
    void_lookups_ip4: _VoidLookupsIp4
    void_lookups_ip6: _VoidLookupsIp6
    void_names_ip6: _VoidNamesIp6
    dead_names: _DeadNames
    broken_includes: _BrokenIncludes
    loops: _Loops
    mx_overflow: _MxOverflow
    all: _All
    redirect: _Redirect
    includes: _Includes
    uses_ptr: _UsesPtr
    dead_terms: _DeadTerms
    unknown_modifiers: _UnknownModifiers
    mistyped: _Mistyped
    record_octets: _RecordOctets
    answer_octets: _AnswerOctets
    longest_string_octets: _LongestStringOctets
    wide_ranges: _WideRanges
    widest_ip4_prefix: _WidestIp4Prefix
    private_ranges: _PrivateRanges
    sends_nothing: _SendsNothing
    authorised_ip4: _AuthorisedIp4
    authorised_ip6_prefix: _AuthorisedIp6Prefix
    authorises_nobody: _AuthorisesNobody
    void_lookups: Annotated[
        Maybe[Lookups | None],
        Fact("Void lookups in the include tree: the higher of the counts for IPv4 and IPv6 senders."),
    ]
    void_names: Annotated[
        Maybe[tuple[Maybe[str], ...]],
        Fact("Names whose lookups are void for IPv4 or IPv6 senders, each with its query type."),
    ]
    tree: Annotated[
        Maybe[SpfTree | None],
        Fact(
            "The include tree: domain, record, and terms, each with its own lookup cost and that of everything "
            "below it."
        ),
    ]


class SpfVerdict(Topic, frozen=True, kw_only=True):
    """Results of the sending addresses for MAIL FROM, and the worst of them."""

    topic = "spf"
    result: Annotated[
        Maybe[Result],
        Fact("SPF result for the sending address and MAIL FROM (the worst if there are several addresses)."),
    ]
    result_reason: Annotated[Maybe[Detail | None], Fact("The matching term or the error that decided spf.result.")]
    result_ip: Annotated[Maybe[str], Fact("Sending address that spf.result is for.")]
    result_domain: Annotated[Maybe[str | None], Fact("Domain that spf.result is for.")]
    result_identity: Annotated[
        Maybe[Annotated[str, OneOf("mail-from helo domain")] | None], Fact("Identity that spf.result is for.")
    ]
    result_explained: Annotated[
        Maybe[bool],
        Fact("The record of spf.result_domain is missing or certainly invalid, which rules on records report."),
    ]
    results: Annotated[
        Maybe[tuple[AddressResult, ...]], Fact("SPF result of each sending address for MAIL FROM.", key=("ip",))
    ]
    failing_ips: Annotated[Maybe[tuple[str, ...]], Fact("Sending addresses whose result is not pass.")]
    explanation: Annotated[Maybe[str | None], Fact("The domain's own explanation for a fail (exp=).")]
    trace: Annotated[
        Maybe[Trace],
        Fact(
            "Evaluation behind spf.result: domain, record, result, reason, steps (term, outcome, detail, cost, nested)."
        ),
    ]


class SpfOfAuthor(Topic, frozen=True, kw_only=True):
    """The result for the author domain's own record, if MAIL FROM has another domain."""

    topic = "spf"
    author_differs: Annotated[
        Maybe[bool | None],
        Fact(
            "The author domain (without a message, the audited domain) differs from the MAIL FROM domain; absent if "
            "the message has no author."
        ),
    ]
    author_result: Annotated[
        Maybe[Result | None],
        Fact(
            "SPF result of the sending address for the author domain's own record (the worst if there are several "
            "addresses)."
        ),
    ]


class SpfIdentities(Topic, frozen=True, kw_only=True):
    """The domains in the mail, side by side."""

    topic = "spf"
    closed_domains: Annotated[
        Maybe[tuple[str, ...]],
        Fact("MAIL FROM and From domains (without a message, the audited domain) whose record authorizes no senders."),
    ]
    identities: Annotated[
        Maybe[tuple[SpfOfDomain, ...]],
        Fact(
            "Each distinct domain whose SPF matters: of MAIL FROM (of HELO if MAIL FROM is empty), of From, and the "
            "audited domain.",
            key=("domain",),
        ),
    ]
    used_tree: Annotated[
        Maybe[SpfTree | None],
        Fact(
            "Include tree, as in spf.tree, of the domain that receivers check this mail's SPF against, if that is "
            "not the audited domain."
        ),
    ]


class SpfCoverage(Topic, frozen=True, kw_only=True):
    """What the include tree authorizes, and the cost and use of each include."""

    topic = "spf"
    include_costs: Annotated[
        Maybe[tuple[IncludeCost, ...]],
        Fact("Lookup cost of each include and redirect in the record, including everything below it.", key=("target",)),
    ]
    widest_authorised_ip6_prefix: Annotated[
        Maybe[Bits | None], Fact("Prefix length of the widest IPv6 range in the whole include tree.")
    ]
    wide_ranges_in_tree: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Ranges in the whole include tree that are wider than most senders need, each with the domain whose "
            "record lists it."
        ),
    ]
    overlaps: Annotated[
        Maybe[tuple[Overlap, ...]],
        Fact("Pairs of terms in the record that authorize the same addresses.", key=("first", "second")),
    ]
    spare_terms: Annotated[
        Maybe[tuple[str, ...]],
        Fact("Terms that cost lookups and authorize no address that the rest of the record does not."),
    ]
    unmatched_includes: Annotated[
        Maybe[tuple[str, ...]], Fact("Includes in the record that none of the given sending addresses needs.")
    ]
