"""SPF: what each domain of the mail publishes, what it costs, and what the sending addresses get.

The include tree of a record and the course of an evaluation are facts as well (``spf.tree``, ``spf.trace``).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.facts.base import Record, Unknown, Value
from deliverability.core.model.topic import Addresses, Bits, Fact, Lookups, Maybe, Octets, OneOf, Ranges, Records, Topic

SPF_AT = Code("spf-at", ("term", "domain"))
"""The term of a record that decided."""


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
    """What became of a record or of a term.

    Of both: OK, SYNTAX_ERROR, FAILED (could not be asked for). Of a record: NONE (there is none), SEVERAL. Of a term:
    VOID (nothing found, whatever the family), BROKEN (target without exactly one record), LOOP, MACRO (target depends
    on the mail), ADDRESS (ptr: depends on the sending address), OVERFLOW (more than ten MX hosts), INVALID_NAME (no
    name that DNS can hold), LIMIT (not followed: the tree is too big), DEAD (never evaluated), IGNORED (unknown
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
    """A term of a record and what was found for it.

    Attributes:
        text: as written.
        status: what became of it.
        qualifier: of a mechanism; else None.
        mechanism: name of the mechanism or modifier; None where it cannot be read.
        lookups: its own cost, 0 or 1.
        total_lookups: its own cost and that of everything its target leads to.
        target: the name that it asks for, or None.
        addresses: what an a or mx found: addresses, or MX records.
        problem: what is wrong where it cannot be read, or why it could not be asked.
        tree: the record that it leads to, where it was followed.

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
    """The record of a domain, what its terms cost and where they lead. The counts cover everything below.

    A receiver asks an `a` term for A or AAAA, as the sending address is, and counts a look-up that finds nothing (RFC
    7208 section 4.6.4). `void_lookups` are those of every sender, whatever the family. The counts are what is known.
    """

    domain: str
    status: SpfStatus = SpfStatus.OK
    record: str | None = None
    lookups: int = 0
    void_lookups: int = 0
    terms: tuple[SpfTerm, ...] = ()


class StepOutcome(StrEnum):
    """What became of one term in an evaluation."""

    MATCH = "match"
    NO_MATCH = "no-match"
    ERROR = "error"
    FOLLOWED = "followed"
    NOT_REACHED = "not-reached"
    DEAD = "dead"
    IGNORED = "ignored"


class TraceStep(Record, frozen=True):
    """One term of a record as the evaluation met it.

    Attributes:
        term: as written.
        outcome: see StepOutcome.
        detail: what was asked and found, or what ended the check; None where outcome and `nested` say all.
        lookups: what the term and all below it added to the look-up count.
        void_lookups: and to the void look-up count.
        nested: the record an include or redirect led to, or None.

    """

    term: str
    outcome: StepOutcome
    detail: Detail | None = None
    lookups: int = 0
    void_lookups: int = 0
    nested: Trace | None = None


class Trace(Record, frozen=True):
    """One call of check_host(): the domain, its record (None where there is not exactly one), terms in order."""

    domain: str
    record: str | None
    result: SpfResult
    reason: Detail
    steps: tuple[TraceStep, ...] = ()


def decided_by(reason: Value) -> str:
    """The term that decided a result, with an error or without; empty where it was none."""
    at = reason.arg("what") if isinstance(reason, Detail) and ABOUT.matches(reason) else reason
    term = at.arg("term") if isinstance(at, Detail) and SPF_AT.matches(at) else ""
    return term if isinstance(term, str) else ""


Result = Annotated[str, OneOf("pass fail softfail neutral none permerror temperror")]
"""The seven results of RFC 7208 section 2.6."""


# What is said of the audited domain (Spf) and of each domain of the mail (SpfOfDomain).
_Present = Annotated[Maybe[bool], Fact("At least one SPF record (v=spf1) is published.")]
_Records = Annotated[Maybe[tuple[str, ...]], Fact("All SPF records at the domain.")]
_RecordCount = Annotated[Maybe[Records], Fact("Number of SPF records.")]
_Record = Annotated[Maybe[str | None], Fact("The SPF record, where there is exactly one.")]
_Lookalikes = Annotated[
    Maybe[tuple[str, ...]],
    Fact("TXT records that were meant as SPF but are not: leading blank, smart quotes, wrong version."),
]
_Valid = Annotated[
    Maybe[bool | None],
    Fact(
        "The whole tree has no error: syntax, missing targets, limits (void look-ups: of the sending "
        "addresses, of IPv4 where none is known)."
    ),
]
_SyntaxErrors = Annotated[
    Maybe[tuple[Detail, ...]],
    Fact("Terms of the tree that cannot be parsed, each with its domain where it is not this one."),
]
_Lookups = Annotated[Maybe[Lookups | None], Fact("Terms that query DNS, over all includes and redirects.")]
_LookupsAtLeast = Annotated[
    Maybe[Lookups | None],
    Fact("Those that are known: the same number, or a lower bound where a part of the tree could not be looked at."),
]
_LookupsLeft = Annotated[
    Maybe[Lookups | None], Fact("Look-ups left below the limit of ten; negative where there are too many.")
]
_VoidLookupsIp4 = Annotated[
    Maybe[Lookups | None],
    Fact("Look-ups of the tree that find nothing where the sending address is IPv4 (`a` asks for A)."),
]
_VoidLookupsIp6 = Annotated[
    Maybe[Lookups | None],
    Fact("Look-ups of the tree that find nothing where the sending address is IPv6 (`a` asks for AAAA)."),
]
_VoidNamesIp6 = Annotated[
    Maybe[tuple[Maybe[str], ...]], Fact("Names that find nothing where the sending address is IPv6.")
]
_DeadNames = Annotated[
    Maybe[tuple[Maybe[str], ...]], Fact("Names that find nothing whatever the sending address, with the question.")
]
_BrokenIncludes = Annotated[
    Maybe[tuple[str, ...]], Fact("include and redirect targets without exactly one SPF record.")
]
_Loops = Annotated[Maybe[tuple[str, ...]], Fact("Domains that include themselves, directly or not.")]
_MxOverflow = Annotated[Maybe[tuple[str, ...]], Fact("mx terms with more than ten hosts.")]
_All = Annotated[
    Maybe[Annotated[str, OneOf("+ - ~ ?")] | None],
    Fact("Qualifier of `all` (of the redirect target where the record has none)."),
]
_Redirect = Annotated[Maybe[str | None], Fact("Target of an effective redirect.")]
_Includes = Annotated[Maybe[tuple[str, ...]], Fact("Targets of include at the first level.")]
_UsesPtr = Annotated[Maybe[bool], Fact("A ptr term is in the tree.")]
_DeadTerms = Annotated[Maybe[tuple[str, ...]], Fact("Terms after `all`, and a redirect beside `all`: never evaluated.")]
_UnknownModifiers = Annotated[
    Maybe[tuple[str, ...]],
    Fact("Terms of the domain's own record that receivers ignore as unknown modifiers: a second v=spf1, ip4=..."),
]
_Mistyped = Annotated[
    Maybe[tuple[Detail, ...]],
    Fact("Those of them that were meant as mechanisms (include=, ip4=, a=), each with the term that was meant."),
]
_RecordOctets = Annotated[Maybe[Octets | None], Fact("Octets of the SPF record.")]
_AnswerOctets = Annotated[Maybe[Octets], Fact("Octets of the domain name and all its TXT records together.")]
_LongestStringOctets = Annotated[Maybe[Octets | None], Fact("Longest character-string of the SPF record.")]
_WideRanges = Annotated[
    Maybe[tuple[str, ...]],
    Fact("Ranges of the domain's own record that are wider than most senders have (rules/measures.yaml)."),
]
_WidestIp4Prefix = Annotated[Maybe[Bits | None], Fact("Prefix length of the widest own IPv4 range.")]
_PrivateRanges = Annotated[
    Maybe[tuple[str, ...]],
    Fact("ip4 and ip6 terms of the domain's own record that list only private or reserved addresses (RFC 6890)."),
]
_SendsNothing = Annotated[Maybe[bool], Fact("The record authorizes nobody (v=spf1 -all).")]
_AuthorisedIp4 = Annotated[
    Maybe[Addresses | None],
    Fact(
        "Different IPv4 addresses that the whole tree lets pass: what is denied before does not count. "
        "Unknown where a part of the tree could not be looked at, but for a number that is far too high "
        "already."
    ),
]
_AuthorisedIp6Prefix = Annotated[
    Maybe[Bits | None],
    Fact("Prefix length of one range as large as all public IPv6 addresses (2000::/3) that the whole tree lets pass."),
]
_AuthorisesNobody = Annotated[
    Maybe[bool | None],
    Fact("No address from which mail can come over the internet passes, by any term of the whole tree."),
]


class AddressResult(Record, frozen=True, kw_only=True):
    """What SPF says to one sending address."""

    ip: Annotated[str, Fact("Sending address.")]
    result: Annotated[
        Maybe[Result],
        Fact("SPF result."),
    ]
    reason: Annotated[Detail | None, Fact("What decided it.")]


class SpfOfDomain(Record, frozen=True, kw_only=True):
    """A domain of the mail whose SPF matters."""

    domain: Annotated[str, Fact("The domain.")]
    role: Annotated[
        Annotated[str, OneOf("mail-from helo author domain")],
        Fact("What it is in the mail, the first of these that it is; author also where there is no message."),
    ]
    used: Annotated[
        bool | None, Fact("Receivers check SPF of this mail against it; none where the envelope is not known.")
    ]
    own: Annotated[bool, Fact("It belongs to the owner of the audited domain (public suffix list).")]
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
            "IPv6 addresses are listed only behind the third look-up that finds nothing for IPv6 senders: there "
            "receivers stop."
        ),
    ]
    widest_terms: Annotated[
        Maybe[tuple[Detail, ...]],
        Fact("The terms of the whole tree that let the most pass, each with the domain whose record holds it."),
    ]
    widest_domain: Annotated[Maybe[str | None], Fact("The domain whose record holds the first of them.")]
    widest_via: Annotated[Maybe[str | None], Fact("The term of the domain's own record that leads to it.")]
    widest_is_own: Annotated[Maybe[bool | None], Fact("It stands in a record of the same organizational domain.")]
    wide_ranges_below: Annotated[
        Maybe[tuple[str, ...]],
        Fact(
            "Terms of included records that let more addresses pass than most senders have, each with its "
            "domain; the published ranges of large services are left out (rules/measures.yaml)."
        ),
    ]
    rented_terms: Annotated[
        Maybe[tuple[Detail, ...]],
        Fact(
            "Terms of the whole tree that let many addresses pass which a provider rents to anybody, "
            "each with its domain and the provider (rules/measures.yaml)."
        ),
    ]
    void_lookups: Annotated[
        Maybe[Lookups | None],
        Fact(
            "Look-ups that find nothing for the sending addresses (of both families the worst; IPv4 where none is"
            " known)."
        ),
    ]
    void_at_least: Annotated[
        Maybe[Lookups | None],
        Fact(
            "Those that are known: the same number, or a lower bound where a part of the tree could not be looked at."
        ),
    ]
    void_names: Annotated[Maybe[tuple[Maybe[str], ...]], Fact("Names that those look-ups ask for, with the question.")]
    result: Annotated[
        Maybe[Result],
        Fact("SPF result of the sending address against it (the worst of several addresses)."),
    ]
    reason: Annotated[Detail | None, Fact("What decided it.")]
    evidence: Annotated[tuple[str, ...], Fact("Ids of the evidence for this domain.")]


class IncludeCost(Record, frozen=True, kw_only=True):
    """What an include or redirect of the record costs."""

    target: Annotated[str, Fact("Domain it leads to.")]
    lookups: Annotated[Lookups, Fact("Look-ups, its own one included.")]
    void_lookups: Annotated[Lookups, Fact("Look-ups that find nothing whatever the sending address.")]


class Overlap(Record, frozen=True, kw_only=True):
    """Two terms that let the same addresses pass."""

    first: Annotated[str, Fact("The earlier term.")]
    second: Annotated[str, Fact("The later term.")]
    range: Annotated[str, Fact("The widest range that both let pass.")]
    count: Annotated[Ranges, Fact("Ranges that both let pass.")]


class Spf(Topic, frozen=True, kw_only=True):
    """The record of the audited domain and its whole tree."""

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
        Fact("Look-ups of the tree that find nothing: the larger of the numbers for IPv4 and for IPv6 senders."),
    ]
    void_names: Annotated[
        Maybe[tuple[Maybe[str], ...]], Fact("Names that find nothing for IPv4 or for IPv6 senders, with the question.")
    ]
    tree: Annotated[
        Maybe[SpfTree | None],
        Fact("The include/redirect tree: domain, record, terms with what each costs and what below it costs."),
    ]


class SpfVerdict(Topic, frozen=True, kw_only=True):
    """What the sending addresses get for MAIL FROM, and the worst of it."""

    topic = "spf"
    result: Annotated[
        Maybe[Result],
        Fact("Result for the sending address and MAIL FROM (the worst where several addresses were given)."),
    ]
    result_reason: Annotated[Maybe[Detail | None], Fact("What decided it: the matching term, or the error.")]
    result_ip: Annotated[Maybe[str], Fact("Sending address it was evaluated for.")]
    result_domain: Annotated[Maybe[str | None], Fact("Domain it was evaluated for.")]
    result_identity: Annotated[
        Maybe[Annotated[str, OneOf("mail-from helo domain")] | None], Fact("Identity it was evaluated for.")
    ]
    result_explained: Annotated[
        Maybe[bool], Fact("The record of that domain is missing or certainly broken: rules on records say so.")
    ]
    results: Annotated[Maybe[tuple[AddressResult, ...]], Fact("The same for each sending address.", key=("ip",))]
    failing_ips: Annotated[Maybe[tuple[str, ...]], Fact("Sending addresses that do not pass.")]
    explanation: Annotated[Maybe[str | None], Fact("The domain's own text for a fail (exp).")]
    trace: Annotated[
        Maybe[Trace],
        Fact("How spf.result came about: domain, record, result, reason, steps (term, outcome, detail, cost, nested)."),
    ]


class SpfOfAuthor(Topic, frozen=True, kw_only=True):
    """What SPF of the author domain says, where MAIL FROM is at another."""

    topic = "spf"
    author_differs: Annotated[
        Maybe[bool | None],
        Fact(
            "The author domain (the audited domain where there is no message) is another than that of MAIL FROM; "
            "none where the message has no author."
        ),
    ]
    author_result: Annotated[
        Maybe[Result | None],
        Fact("Result for the sending address against the author domain's own record (the worst of several addresses)."),
    ]


class SpfIdentities(Topic, frozen=True, kw_only=True):
    """The domains of the mail, side by side."""

    topic = "spf"
    closed_domains: Annotated[
        Maybe[tuple[str, ...]],
        Fact("Domains of MAIL FROM and From (the audited one where there is no message) whose record allows nobody."),
    ]
    identities: Annotated[
        Maybe[tuple[SpfOfDomain, ...]],
        Fact(
            "Each different domain whose SPF matters: of MAIL FROM (HELO where it is empty), of From, and the "
            "audited one.",
            key=("domain",),
        ),
    ]
    used_tree: Annotated[
        Maybe[SpfTree | None],
        Fact(
            "As spf.tree, of the domain that receivers check this mail's SPF against, where it is not the audited one."
        ),
    ]


class SpfCoverage(Topic, frozen=True, kw_only=True):
    """What the tree lets pass, and what its includes cost and are good for."""

    topic = "spf"
    include_costs: Annotated[
        Maybe[tuple[IncludeCost, ...]],
        Fact("What each include and redirect of the record costs, everything below it counted.", key=("target",)),
    ]
    widest_authorised_ip6_prefix: Annotated[
        Maybe[Bits | None], Fact("Prefix length of the widest IPv6 range over the whole tree.")
    ]
    wide_ranges_in_tree: Annotated[
        Maybe[tuple[str, ...]], Fact("The same anywhere in the tree, each with the domain whose record lists it.")
    ]
    overlaps: Annotated[
        Maybe[tuple[Overlap, ...]],
        Fact("Terms of the record that let the same addresses pass, in pairs.", key=("first", "second")),
    ]
    spare_terms: Annotated[
        Maybe[tuple[str, ...]],
        Fact("Terms that cost look-ups and let no address pass that the rest of the record does not."),
    ]
    unmatched_includes: Annotated[
        Maybe[tuple[str, ...]], Fact("Includes of the record that none of the sending addresses given needs.")
    ]
