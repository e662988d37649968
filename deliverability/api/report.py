"""The report as programs see it: a value that is frozen, made of the JSON report, and gives it back.

What it holds by name are mappings that nobody can change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from deliverability.api import given
from deliverability.core.codes import Code
from deliverability.core.model.report import SCHEMA_VERSION, Care, Outcome, VerdictKind
from deliverability.core.model.rules import Effect, RuleSet, Severity
from deliverability.core.phrases import LANGUAGES
from deliverability.core.report.formats.json import laid_out
from deliverability.core.words.steps import rule_title
from deliverability.engine.rules import load_rules

T = TypeVar("T")


class Frozen(Mapping[str, T]):
    """A mapping that cannot be changed; equal to any mapping with the same items."""

    __slots__ = ("_items",)
    _items: dict[str, T]

    def __init__(self, items: Mapping[str, T]) -> None:
        object.__setattr__(self, "_items", dict(items))

    def __getitem__(self, key: str) -> T:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._items!r})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __reduce__(self) -> tuple[type[Frozen[T]], tuple[dict[str, T]]]:
        return type(self), (self._items,)


class Verdicts(Frozen[VerdictKind]):
    """Receiver id -> verdict; also by attribute: ``verdicts.gmail``, with ``_`` for the ``-`` of an id."""

    __slots__ = ()

    def __getattr__(self, name: str) -> VerdictKind:
        found = self._items.get(name, self._items.get(name.replace("_", "-")))
        if found is None:
            raise AttributeError(f"no verdict of {name}; there are those of {', '.join(self) or 'nobody'}")
        return found

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name.replace("-", "_") for name in self)]


def frozen(value: Any) -> Any:
    """Plain data with tuples for its lists and Frozen for its mappings."""
    if isinstance(value, dict):
        return Frozen({key: frozen(each) for key, each in value.items()})
    if isinstance(value, list):
        return tuple(frozen(each) for each in value)
    return value


def copied(value: Any) -> Any:
    """Plain data once more."""
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()}
    return [copied(each) for each in value] if isinstance(value, list) else value


NOT_JSON = Code("not-json", ("detail",))
NO_REPORT = Code("not-a-report", ("detail",))
OTHER_SCHEMA = Code("report-schema", ("version", "newest"))
SEVERAL_REPORTS = Code("several-reports", ("n",))
NO_LANGUAGE = Code("no-language", ("text",))

_MOST_JSON = 200_000_000  # characters
_DEEPEST = 100  # objects and lists within each other
_MAJOR = SCHEMA_VERSION.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Consequence:
    """What a receiver does about a rule. `codes`: the SMTP replies that the sender sees."""

    rule: str
    item: str
    effect: Effect
    codes: tuple[str, ...]
    contested: bool


@dataclass(frozen=True, slots=True)
class ReceiverVerdict:
    """A receiver's verdict, and what makes it so.

    Attributes:
        receiver: id, as in `rules/receivers`.
        verdict: what the receiver would do.
        effects: what makes it so, the worst first.
        remarks: what it asks for and is unmet, without a consequence for delivery.
        open: what could not be checked and might decide.
        codes: the SMTP replies that the sender would see.

    """

    receiver: str
    verdict: VerdictKind
    effects: tuple[Consequence, ...] = ()
    remarks: tuple[Consequence, ...] = ()
    open: tuple[Consequence, ...] = ()
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gain:
    """How a receiver's verdict changes."""

    receiver: str
    before: VerdictKind
    after: VerdictKind


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule's result.

    Attributes:
        rule: rule id.
        item: which of several items (``example.com/s1``), or empty.
        outcome: met, unmet, unknown (could not be checked) or not-applicable.
        severity: for the selected receivers; None where there is nothing to do: the rule is met or does not apply, or
            what it needs was not given.
        receivers: ids of those that ask for it.
        name, topic: of the rule; empty where `severity` is None.
        observed: fact path -> what was found.
        limits: what it was held against.
        evidence: ids of the evidence, see `Report.to_dict`.
        unknown: why it could not be checked, as a word (``timeout``); empty: it could.
        waived: the user accepts it.
        fingerprint: the same for the same finding in every run.
        gains: the verdicts that change where this alone is put right.

    """

    rule: str
    item: str
    outcome: Outcome
    severity: Severity | None
    receivers: tuple[str, ...]
    name: str
    topic: str
    observed: Mapping[str, Any]
    limits: Mapping[str, Any]
    evidence: tuple[str, ...]
    unknown: str
    waived: bool
    fingerprint: str
    gains: tuple[Gain, ...]
    _words: _Words = field(repr=False, compare=False)

    def title(self, lang: str = "") -> str:
        """The requirement in one line, in English (``en``) or Japanese (``ja``); empty: the session's language."""
        return self._words.title(self, lang)


@dataclass(frozen=True, slots=True)
class RecordEdit:
    """A record set to publish, change or remove: its values before and after, whole and unquoted."""

    name: str
    type: str
    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remedy:
    """Records that put a finding right; each was audited as if it were published.

    Attributes:
        rule, item: the finding that it is for.
        code: the kind of remedy.
        care: safe, careful or last-resort.
        edits: what to publish, in order.
        mends: ids of the rules that are met with it.
        opens: ids of the rules that are unmet with it.
        gains: the verdicts that change.

    """

    rule: str
    item: str
    code: str
    care: Care
    edits: tuple[RecordEdit, ...]
    mends: tuple[str, ...]
    opens: tuple[str, ...]
    gains: tuple[Gain, ...]


class _Judged(msgspec.Struct, frozen=True):
    receiver: str


class _Reason(msgspec.Struct, frozen=True):
    unknown: str


class _Finding(msgspec.Struct, frozen=True):
    rule: str
    outcome: Outcome
    item: str = ""
    severity: Severity | None = None
    receivers: tuple[str, ...] = ()
    judgements: tuple[_Judged, ...] = ()
    name: str = ""
    topic: str = ""
    observed: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    evidence: tuple[str, ...] = ()
    unknown: _Reason | None = None
    waiver: dict[str, Any] | None = None
    fingerprint: str = ""
    gains: tuple[Gain, ...] = ()


class _Subject(msgspec.Struct, frozen=True):
    domain: str
    message: str | None = None


class _Report(msgspec.Struct, frozen=True):
    """The parts of the JSON report that have a type here."""

    schema_version: str
    subject: _Subject
    findings: tuple[_Finding, ...]
    remedies: tuple[Remedy, ...]
    run: dict[str, Any]
    grade: str | None = None
    verdicts: tuple[ReceiverVerdict, ...] = ()
    dns: VerdictKind | None = None


class _Words:
    """Puts findings into words, by the rules that they were judged by, or by those of the same folders."""

    def __init__(self, rules: RuleSet | None, folders: tuple[Path, ...], lang: str) -> None:
        self._rules, self._folders, self._lang = rules, folders, lang

    def title(self, finding: Finding, lang: str) -> str:
        """The requirement in one line; of a rule that is not known its name."""
        spoken = language("lang", lang) if lang != "" else self._lang
        if self._rules is None:
            self._rules = load_rules(self._folders)
        rule = self._rules.rules.get(finding.rule)
        return rule_title(rule, spoken) if rule is not None else finding.name or finding.rule

    def __reduce__(self) -> tuple[type[_Words], tuple[None, tuple[Path, ...], str]]:
        return _Words, (None, self._folders, self._lang)


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found. Frozen; equal where the JSON report is.

    Attributes:
        schema_version: of the JSON report.
        domain: that was audited; empty: the message names none.
        message: name of the message; empty: none was given.
        grade: ``A`` to ``F``; empty: none can be given.
        dns: without a message, the verdict over all receivers; else None.
        verdicts: receiver id -> verdict, also by attribute. Empty for a domain that declares that it sends no mail.
        receivers: receiver id -> verdict with what makes it so.
        findings: every rule that was judged, as in the JSON report.
        remedies: records that put findings right.

    """

    schema_version: str
    domain: str
    message: str
    grade: str
    dns: VerdictKind | None
    verdicts: Verdicts
    receivers: Mapping[str, ReceiverVerdict]
    findings: tuple[Finding, ...]
    remedies: tuple[Remedy, ...]
    _document: dict[str, Any] = field(repr=False, hash=False)

    @property
    def refused(self) -> tuple[str, ...]:
        """The ids of the receivers that reject the mail."""
        return self._those(VerdictKind.REJECTED)

    @property
    def at_risk(self) -> tuple[str, ...]:
        """The ids of the receivers that may reject or filter the mail, or do so with senders of a certain volume.

        Without a message, also those for whose mail a record is missing or wrong in DNS.
        """
        return self._those(VerdictKind.AT_RISK, VerdictKind.DNS_NOT_READY, VerdictKind.DEPENDS)

    @property
    def unmet(self) -> tuple[Finding, ...]:
        """The findings that are unmet and not accepted by the user, the most severe first."""
        unmet = [each for each in self.findings if each.outcome is Outcome.UNMET and not each.waived]
        return tuple(sorted(unmet, key=lambda each: -each.severity.rank if each.severity is not None else 0))

    def _those(self, *kinds: VerdictKind) -> tuple[str, ...]:
        return tuple(ident for ident, verdict in self.verdicts.items() if verdict in kinds)

    def to_dict(self) -> dict[str, Any]:
        """The JSON report as plain data, a copy."""
        return dict(copied(self._document))

    def to_json(self) -> str:
        """The JSON report, as `deliv audit --format json` writes it."""
        return laid_out(self._document) + "\n"

    @classmethod
    def from_json(cls, report: str | bytes, *, rules: given.PathsGiven = (), lang: str = "en") -> Report:
        """A report that was written as JSON; `rules` and `lang` as in a session, for titles. Raises InputError."""
        with given.input_errors():
            folders = given.many("rules", rules, given.path, given.PATH)
            return report_of(_parsed(report), None, folders, language("lang", lang))


def report_of(document: dict[str, Any], rules: RuleSet | None, folders: tuple[Path, ...], lang: str) -> Report:
    """The report of a JSON report. Raises InputError where it is none."""
    version = document.get("schema_version")
    if isinstance(version, str) and version.partition(".")[0] != _MAJOR:
        raise given.wrong("report", OTHER_SCHEMA(version=version[:20], newest=SCHEMA_VERSION))
    try:
        shape = msgspec.convert(document, _Report)
    except msgspec.ValidationError as error:
        raise given.wrong("report", NO_REPORT(detail=str(error)[:300])) from None
    words = _Words(rules, folders, lang)
    return Report(
        shape.schema_version,
        shape.subject.domain,
        shape.subject.message or "",
        shape.grade or "",
        shape.dns,
        Verdicts({each.receiver: each.verdict for each in shape.verdicts}),
        Frozen({each.receiver: each for each in shape.verdicts}),
        tuple(_finding(each, words) for each in shape.findings),
        shape.remedies,
        document,
    )


def _finding(shape: _Finding, words: _Words) -> Finding:
    return Finding(
        shape.rule,
        shape.item,
        shape.outcome,
        shape.severity,
        shape.receivers or tuple(dict.fromkeys(each.receiver for each in shape.judgements)),
        shape.name,
        shape.topic,
        frozen(shape.observed),
        frozen(shape.limits),
        shape.evidence,
        shape.unknown.unknown if shape.unknown is not None else "",
        shape.waiver is not None,
        shape.fingerprint,
        shape.gains,
        words,
    )


def _parsed(report: object) -> dict[str, Any]:
    if not isinstance(report, str | bytes):
        raise given.wrong_type("report", "str | bytes", report)
    if len(report) > _MOST_JSON:
        raise given.wrong("report", given.TOO_LONG(n=len(report), most=_MOST_JSON))
    try:
        document = json.loads(bytes(report) if isinstance(report, bytes) else str.__str__(report), parse_constant=_none)
    except RecursionError:
        raise given.wrong("report", NOT_JSON(detail="nested too deeply")) from None
    except ValueError as error:
        raise given.wrong("report", NOT_JSON(detail=str(error)[:200])) from None
    if isinstance(document, list):
        raise given.wrong("report", SEVERAL_REPORTS(n=len(document)))
    if not isinstance(document, dict):
        raise given.wrong("report", NO_REPORT(detail=type(document).__name__))
    level: list[Any] = [document]
    for _ in range(_DEEPEST):
        level = [each for value in level for each in _within(value)]
        if not level:
            return document
    raise given.wrong("report", NOT_JSON(detail="nested too deeply"))


def _within(value: Any) -> list[Any]:
    held = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [each for each in held if isinstance(each, dict | list)]


def _none(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def language(name: str, value: object) -> str:
    """A language that reports are written in. Raises InputError."""
    spoken = given.text(name, value)
    if spoken not in LANGUAGES:
        raise given.wrong(name, NO_LANGUAGE(text=spoken))
    return spoken
