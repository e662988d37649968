"""Rule files -> RuleSet: shape checked by pydantic, meaning checked against the fact catalogue.

Every problem is reported with file, line and, where a name is unknown, the nearest known one.
"""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from msgspec import Struct, field

from deliverability import _yamlstrict as yamlstrict
from deliverability._yamlstrict import (
    DEFINED,
    NO_RULE,
    NO_SOURCE,
    NOT_ONE_OF,
    STEPS_DIFFER,
    TWICE,
    FileLine,
)
from deliverability.judge import problems as wrong
from deliverability.judge.conditions import comparisons_of, paths_of
from deliverability.judge.files import RuleError, read_guide
from deliverability.model import rules as model
from deliverability.model.claims import GROUNDS, About, Claim, Requirement
from deliverability.model.codes import ABOUT, VERBATIM, Detail
from deliverability.model.errors import InputError
from deliverability.model.facts import Catalogue, FactSpec, FactType, Purpose, Value
from deliverability.model.placeholders import fill, placeholders
from deliverability.model.report import GRADES, VerdictKind
from deliverability.model.schema import nearest

NOT_RULES = frozenset(
    {
        *(
            "attachments.yaml",
            "claims.yaml",
            "contacts.yaml",
            "dns-providers.yaml",
            "glossary.yaml",
            "guide.yaml",
            "mailboxes.yaml",
            "measures.yaml",
            "outside.yaml",
            "reporters.yaml",
            "sources.yaml",
            "tasks.yaml",
            "unsubscribe-words.yaml",
        ),
        "verdicts.yaml",
        "warm-up.yaml",
    }
)


# Columns; a character of Japanese takes two.
_AT_MOST = {"short": 60, "noun": 30}

# How a source was read that is no page of the receiver.
_BY_OTHERS = "third party"

# Of somebody else's page; the second for languages that do not part words.
_QUOTE_WORDS = 25
_QUOTE_CHARACTERS = 200

Grade = Literal["A", "B", "C", "D", "F"]


class _Shape(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=False)


class _Ref(_Shape):
    ref: str
    section: str = ""


class _SentenceShape(_Shape):
    when: Any = None
    text: str = pydantic.Field(min_length=1)


def _sentences(given: Any) -> Any:
    """A text alone stands for all cases."""
    return [{"text": given}] if isinstance(given, str) else given


class _Text(_Shape):
    title: str = pydantic.Field(min_length=1)
    short: str = pydantic.Field(min_length=1)
    noun: str = pydantic.Field(min_length=1)
    met: str = pydantic.Field(min_length=1)
    unmet: Annotated[list[_SentenceShape], pydantic.BeforeValidator(_sentences), pydantic.Field(min_length=1)]
    why: str = pydantic.Field(min_length=1)
    fix: list[str] = pydantic.Field(min_length=1)


class _Bilingual(_Shape):
    en: _Text
    ja: _Text


class _Words(_Shape):
    en: str = pydantic.Field(min_length=1)
    ja: str = pydantic.Field(min_length=1)


class _RuleShape(_Shape):
    id: str = pydantic.Field(pattern=r"^[A-Z][A-Z0-9]*-[0-9]{3}$")
    name: str = pydantic.Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    since: str
    scope: model.Scope
    severity: model.Severity
    level: model.Level
    effort: model.Effort
    confidence: model.Confidence
    status: model.Status = model.Status.STABLE
    guide: list[str] = []
    purpose: list[Purpose] = []
    contested: bool = False
    information: bool = False
    remedy: str = ""
    task: str = ""
    service: model.ServiceStep | None = None
    when: Any = None
    each: str | None = None
    used: str = ""
    require: Any
    limits: dict[str, Any] = {}
    show: list[str] = []
    sources: list[_Ref] = pydantic.Field(min_length=1)
    text: _Bilingual


class _StatementShape(_Shape):
    severity: model.Severity
    effect: model.Effect
    volume: model.VolumeClass = model.VolumeClass.ANY
    when: Any = None
    since: str = ""
    codes: list[str] = []
    confidence: model.Confidence = model.Confidence.HIGH
    contested: bool = False
    word: model.Word = model.Word.OWN
    quote: str = ""
    limits: dict[str, Any] = {}
    sources: list[_Ref] = pydantic.Field(min_length=1)
    note: _Words | None = None

    @pydantic.model_validator(mode="after")
    def _hinders_or_notes(self) -> _StatementShape:
        """An error means that mail is stopped, delayed or marked."""
        if self.severity is model.Severity.ERROR and not self.effect.hinders:
            raise InputError(wrong.AT_MOST_A_WARNING(effect=self.effect.value))
        return self

    @pydantic.model_validator(mode="after")
    def _rests_on_a_word(self) -> _StatementShape:
        """What somebody else says of a receiver is never certain, and a quote stays a quote."""
        if self.word is model.Word.SECONDARY and self.effect.hinders and not self.contested:
            raise InputError(wrong.NOT_ITS_OWN_WORD())
        if len(self.quote.split()) > _QUOTE_WORDS or len(self.quote) > _QUOTE_CHARACTERS:
            raise InputError(wrong.QUOTE_TOO_LONG(most=_QUOTE_WORDS))
        return self


def _listed(given: Any) -> Any:
    """One statement stands for a list of one, so that what is wrong with it is told once and by its own field."""
    return given if isinstance(given, list) else [given]


_Statements = Annotated[list[_StatementShape], pydantic.BeforeValidator(_listed)]


class _SourceShape(_Shape):
    title: str
    url: str = pydantic.Field(pattern=r"^(https?://.*)?$")
    publisher: str
    checked: str = pydantic.Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
    read_as: str = pydantic.Field(pattern=f"^{model.READ_AS}$")
    dated: str = pydantic.Field(default="", pattern=r"^([0-9]{4}(-[0-9]{2}){0,2})?$")


class _ForSendersShape(_Shape):
    ref: str
    text: _Words


class _ReceiverShape(_Shape):
    id: str = pydantic.Field(pattern=r"^[a-z0-9-]+$")
    name: _Words
    short: _Words | None = None
    about: _Words | None = None
    for_senders: _ForSendersShape | None = None
    order: int = 1000
    mx_suffixes: list[str] = []
    bulk_from: int | None = None
    sources: list[_Ref] = []
    pages: dict[str, _SourceShape] = {}
    rules: dict[str, _Statements] = {}
    combines: Literal["all"] | list[str] = []
    default: bool = True

    @pydantic.model_validator(mode="after")
    def _one_or_several(self) -> _ReceiverShape:
        """A provider has statements and sources of its own; a combination takes them from its members."""
        own = [
            name for name in ("sources", "pages", "rules", "mx_suffixes", "bulk_from") if name in self.model_fields_set
        ]
        if "combines" in self.model_fields_set:
            if not self.combines:
                raise InputError(wrong.COMBINES_NOBODY())
            if own:
                raise InputError(wrong.COMBINES_TAKES(fields=tuple(own)))
        elif missing := [name for name in ("sources", "rules") if name not in own]:
            raise InputError(wrong.RECEIVER_NEEDS(fields=tuple(missing)))
        elif not self.sources:
            raise InputError(wrong.RECEIVER_NEEDS(fields=("sources",)))
        return self


class _TypesShape(_Shape):
    """File types that a receiver refuses."""

    sources: list[_Ref] = pydantic.Field(min_length=1)
    types: list[Annotated[str, pydantic.Field(pattern=r"^[a-z0-9_-]+$")]] = pydantic.Field(min_length=1)


class _InsteadShape(_Shape):
    fact: str
    task: str


class _StepsShape(_Shape):
    en: list[str] = pydantic.Field(min_length=1)
    ja: list[str] = pydantic.Field(min_length=1)


class _TaskShape(_Shape):
    code: str = pydantic.Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    place: model.Place
    gate: model.Gate | None = None
    inbound: bool = False
    cause: list[str] = []
    done_by: str = ""
    otherwise: str = ""
    domain: str = ""
    takes: str = ""
    lowers: bool = False
    least: str = ""
    unless_own: _InsteadShape | None = None
    fields: list[str] = []
    what: _Words
    how: _StepsShape | None = None
    hand_over: _Words | None = None
    who: _Words | None = None

    @pydantic.model_validator(mode="after")
    def _names_what_is_known(self) -> _TaskShape:
        """Both languages name the same, and nothing that no step has."""
        for part, words in (("what", self.what), ("hand_over", self.hand_over), ("who", self.who)):
            if words is not None and placeholders(words.en) != placeholders(words.ja):
                differ = tuple(sorted(placeholders(words.en) ^ placeholders(words.ja)))
                raise InputError(ABOUT(what=part, detail=wrong.OTHER_PLACEHOLDERS(names=differ)))
        steps = [*self.how.en, *self.how.ja] if self.how else []
        others = (words.en for words in (self.hand_over, self.who) if words)
        texts = [self.what.en, *self.fields, *steps, *others]
        if odd := sorted(frozenset().union(*map(placeholders, texts)) - model.TASK_WORDS):
            raise InputError(wrong.NO_PLACEHOLDER(name=odd[0], known=tuple(sorted(model.TASK_WORDS))))
        return self


class _GradeShape(_Shape):
    grade: Grade
    verdicts: list[VerdictKind] = []
    certain: list[VerdictKind] = []
    unmet: model.Severity | None = None

    @property
    def always(self) -> bool:
        """Whether it has no condition."""
        return not self.verdicts and not self.certain and self.unmet is None


class _ParkedShape(_Shape):
    open: Grade
    closed: Grade


class _GradingShape(_Shape):
    bulk_from: int = pydantic.Field(ge=1)
    grades: list[_GradeShape] = pydantic.Field(min_length=1)
    parked: _ParkedShape

    @pydantic.model_validator(mode="after")
    def _from_worst_to_best(self) -> _GradingShape:
        """Every subject gets a grade, and the worst that it has earned."""
        given = [GRADES.index(each.grade) for each in self.grades]
        if given != sorted(set(given), reverse=True):
            raise InputError(wrong.GRADES_ORDER())
        if [each.always for each in self.grades] != [False] * (len(self.grades) - 1) + [True]:
            raise InputError(wrong.LAST_GRADE())
        return self


class _RequirementShape(_Shape):
    holds: Any = None
    each: str | None = None
    met: list[str] = []
    text: _Words
    instead: _Words | None = None

    @pydantic.model_validator(mode="after")
    def _one_of_both(self) -> _RequirementShape:
        if (self.holds is None) is not bool(self.met):
            raise InputError(wrong.HOLDS_OR_MET())
        return self


class _ClaimShape(_Shape):
    claim: str = pydantic.Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    about: About
    text: _Words
    words: list[str]
    requires: list[str] = pydantic.Field(min_length=1)


class _ClaimsShape(_Shape):
    requirements: dict[str, _RequirementShape]
    claims: list[_ClaimShape]


_RULES = pydantic.TypeAdapter(list[_RuleShape])
_RECEIVER = pydantic.TypeAdapter(_ReceiverShape)
_SOURCES = pydantic.TypeAdapter(dict[str, _SourceShape])
_TASKS = pydantic.TypeAdapter(list[_TaskShape])
_GRADING = pydantic.TypeAdapter(_GradingShape)
_CLAIMS = pydantic.TypeAdapter(_ClaimsShape)
_ATTACHMENTS = pydantic.TypeAdapter(dict[str, _TypesShape])


class _SourcePlace(Struct, frozen=True):
    """Where a source is described; `receiver`: in whose file, empty: in sources.yaml; `folder`: of the rule files."""

    where: FileLine
    receiver: str
    folder: Path


class _Loader(Struct):
    catalogue: Catalogue
    remedies: Collection[str]
    problems: list[Detail] = field(default_factory=list)
    warnings: list[Detail] = field(default_factory=list)
    rules: dict[str, model.Rule] = field(default_factory=dict)
    receivers: dict[str, model.Receiver] = field(default_factory=dict)
    sources: dict[str, model.Source] = field(default_factory=dict)
    digest: Any = field(default_factory=hashlib.sha256)
    names: dict[str, FileLine] = field(default_factory=dict)
    sources_at: dict[str, _SourcePlace] = field(default_factory=dict)
    receivers_here: dict[str, FileLine] = field(default_factory=dict)  # of the folder that is read, as `names`
    rules_unread: bool = False
    tasks_unread: bool = False
    combinations: dict[str, tuple[_ReceiverShape, FileLine]] = field(default_factory=dict)
    attachments: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tasks: dict[str, model.Task] = field(default_factory=dict)
    grading: model.Grading = field(default_factory=model.Grading)
    cited: list[tuple[FileLine, Sequence[_Ref]]] = field(default_factory=list)
    claims: tuple[_ClaimsShape, yamlstrict.Document] | None = None

    def attachment_file(self, path: Path) -> None:
        """Lists of file types; read before all rules, for a later folder may replace what earlier rules name."""
        if (read := self.read(path, _ATTACHMENTS)) is None:
            return
        shapes, document = read
        for name, shape in shapes.items():
            self.attachments[name] = tuple(shape.types)
            self.cited.append((document.at(name, "sources"), shape.sources))

    def task_file(self, path: Path) -> None:
        """Tasks; read before all rules, which name them."""
        if (read := self.read(path, _TASKS)) is None:
            self.tasks_unread = True
            return
        shapes, document = read
        found: dict[str, model.Task] = {}
        for index, shape in enumerate(shapes):
            if shape.code in found:
                self.problems.append(document.at(index).problem(TWICE(name=shape.code)))
            for cause in shape.cause:
                if not {f"{cause}[].aligned", f"{cause}[].own"} & self.catalogue.keys():
                    self.problems.append(document.at(index).problem(wrong.NO_ALIGNED(fact=cause)))
            takes = f"senders.services[].{shape.takes}" if shape.takes else ""
            owner = shape.unless_own.fact if shape.unless_own else ""
            for name in filter(None, (shape.domain, shape.done_by, takes, owner)):
                if name not in self.catalogue:
                    problem = nearest(wrong.NO_FACT(name=name), name, self.catalogue)
                    self.problems.append(document.at(index).problem(problem))
            if shape.done_by and shape.otherwise not in {each.code for each in shapes}:
                self.problems.append(document.at(index).problem(wrong.NO_TASK(name=shape.otherwise)))
            found[shape.code] = _task(shape)
        for index, shape in enumerate(shapes):
            if shape.unless_own and (other := shape.unless_own.task) not in {**self.tasks, **found}:
                self.problems.append(document.at(index).problem(nearest(wrong.NO_TASK(name=other), other, found)))
        self.tasks.update(found)

    def grading_file(self, path: Path) -> None:
        if (read := self.read(path, _GRADING)) is not None:
            shape = read[0]
            rows = tuple(
                model.GradeRow(each.grade, tuple(each.verdicts), tuple(each.certain), each.unmet)
                for each in shape.grades
            )
            self.grading = model.Grading(shape.bulk_from, rows, shape.parked.open, shape.parked.closed)

    def read_claims(self) -> dict[str, Claim]:
        """The claims of the last folder that has some, whose requirements may name any rule of all folders."""
        if self.claims is None:
            return {}
        shape, document = self.claims
        required = {key: self.requirement(key, each, document) for key, each in shape.requirements.items()}
        found: dict[str, Claim] = {}
        used: set[str] = set()
        for index, each in enumerate(shape.claims):
            if each.claim in found:
                self.problems.append(document.at("claims", index).problem(TWICE(name=each.claim)))
            for name in each.requires:
                if name not in required:
                    unknown = nearest(wrong.NO_REQUIREMENT(name=name), name, required)
                    self.problems.append(document.at("claims", index, "requires").problem(unknown))
            used.update(each.requires)
            requires = tuple(required[name] for name in each.requires if name in required)
            found[each.claim] = Claim(each.claim, each.about, requires, tuple(each.words), _both(each.text))
        for name in required.keys() - used:
            self.problems.append(document.at("requirements", name).problem(wrong.UNUSED_REQUIREMENT(name=name)))
        return found

    def requirement(self, key: str, shape: _RequirementShape, document: yamlstrict.Document) -> Requirement:
        reader = _ConditionReader(self, document, ("requirements", key), item_of=shape.each, grounds=GROUNDS)
        if shape.each is not None:
            reader.list_of_records(shape.each)
        holds = reader.condition(shape.holds, ("holds",)) if shape.holds is not None else None
        for rule in () if self.rules_unread else shape.met:
            if rule not in self.rules:
                place = document.at("requirements", key, "met")
                self.problems.append(place.problem(nearest(NO_RULE(name=rule), rule, self.rules)))
        instead = _both(shape.instead) if shape.instead is not None else {}
        return Requirement(key, _both(shape.text), holds, shape.each or "", tuple(shape.met), instead)

    def folder(self, folder: Path) -> None:
        self.names, self.receivers_here = {}, {}
        paths = sorted(folder.glob("*.yaml"))
        receivers = sorted((folder / "receivers").glob("*.yaml"))
        if not paths and next(folder.glob("*/*.yaml"), None) is None:
            self.problems.append(ABOUT(what=str(folder), detail=wrong.NO_RULE_FILES()))
        for path in paths:
            if path.name == "sources.yaml":
                self.source_file(path)
        for path in paths:
            if path.name not in NOT_RULES:
                self.rule_file(path)
        for path in receivers:
            self.receiver_file(path)

    def read(self, path: Path, shape: pydantic.TypeAdapter[Any]) -> tuple[Any, yamlstrict.Document] | None:
        document = yamlstrict.read_file(path, self.problems)
        if document is None:
            return None
        self.digest.update(path.name.encode() + b"\0" + document.text.encode())
        data = yamlstrict.shaped(document, shape, self.problems)
        return None if data is None else (data, document)

    def source_file(self, path: Path) -> None:
        if (read := self.read(path, _SOURCES)) is None:
            return
        shapes, document = read
        for key, shape in shapes.items():
            self.add_source(key, shape, _SourcePlace(document.at(key), "", path.parent))

    def add_source(self, key: str, shape: _SourceShape, place: _SourcePlace) -> None:
        """A later folder may replace a source, but a receiver's page only where that is a page of the same receiver."""
        before = self.sources_at.get(key)
        if before and (before.folder == place.folder or (place.receiver and place.receiver != before.receiver)):
            self.problems.append(place.where.problem(DEFINED(name=key, place=str(before.where))))
        else:
            self.sources_at[key] = place
            self.sources[key] = model.Source(
                key, shape.title, shape.url, shape.publisher, shape.checked, shape.read_as, shape.dated
            )

    def rule_file(self, path: Path) -> None:
        if (read := self.read(path, _RULES)) is None:
            self.rules_unread = True
            return
        shapes, document = read
        for index, shape in enumerate(shapes):
            where = document.at(index)
            taken = self.names.get(shape.id) or self.names.get(shape.name)
            if taken:
                self.problems.append(where.problem(DEFINED(name=f"{shape.id} ({shape.name})", place=str(taken))))
                continue
            self.names[shape.id] = self.names[shape.name] = where
            reader = _RuleReader(self, document, (index,))
            rule = reader.rule(shape, path.stem, where)
            if rule is not None:
                self.rules[rule.id] = rule

    def receiver_file(self, path: Path) -> None:
        if (read := self.read(path, _RECEIVER)) is None:
            return
        shape, document = read
        where = document.at("id")
        if taken := self.receivers_here.get(shape.id):
            self.problems.append(where.problem(DEFINED(name=shape.id, place=str(taken))))
            return
        self.receivers_here[shape.id] = where
        self.combinations.pop(shape.id, None)
        if shape.combines:
            self.receivers.pop(shape.id, None)
            self.combinations[shape.id] = (shape, document.at("combines"))
            return
        for key, page in shape.pages.items():
            self.add_source(key, page, _SourcePlace(document.at("pages", key), shape.id, path.parent.parent))
        statements: dict[str, tuple[model.Statement, ...]] = {}
        for key, stated in shape.rules.items():
            where = document.at("rules", key)
            listed = isinstance(document.data["rules"][key], list)
            if not stated:
                self.problems.append(where.problem(wrong.NO_STATEMENTS()))
            for rule_id in re.split(r"[,\s]+", key):
                if rule_id in statements:
                    self.problems.append(where.problem(TWICE(name=rule_id)))
                elif (rule := self.known_rule(rule_id, stated, where)) is not None:
                    statements[rule_id] = tuple(
                        self.statement(each, rule, document, ("rules", key, *((n,) if listed else ())))
                        for n, each in enumerate(stated)
                    )
        self.check_refs(document.at("sources"), shape.sources)
        if shape.for_senders is not None:
            self.check_refs(document.at("for_senders"), [_Ref(ref=shape.for_senders.ref)])
        self.receivers[shape.id] = _receiver(
            shape,
            str(path),
            mx_suffixes=tuple(suffix.lower() for suffix in shape.mx_suffixes),
            sources=_refs(shape.sources),
            rules=statements,
        )

    def statement(
        self,
        shape: _StatementShape,
        rule: model.Rule,
        document: yamlstrict.Document,
        place: tuple[str | int, ...],
    ) -> model.Statement:
        where = document.at(*place)
        self.check_refs(where, shape.sources)
        read = [self.sources[each.ref].read_as for each in shape.sources if each.ref in self.sources]
        if shape.word is model.Word.OWN and read and all(each == _BY_OTHERS for each in read):
            self.problems.append(where.problem(wrong.NO_OWN_PAGE()))
        if shape.severity is model.Severity.ERROR and rule.scope is not model.Scope.DELIVERY:
            self.problems.append(where.problem(wrong.NO_ERROR_OF(rule=rule.id, scope=rule.scope.value)))
        reader = _ConditionReader(self, document, place, rule.each, dict(rule.limits))
        when = reader.condition(shape.when, ("when",)) if shape.when is not None else None
        return model.Statement(
            severity=shape.severity,
            effect=shape.effect,
            sources=_refs(shape.sources),
            volume=shape.volume,
            when=when,
            limits=self.limits(shape.limits, where),
            since=shape.since,
            codes=tuple(shape.codes),
            confidence=shape.confidence,
            contested=shape.contested,
            word=shape.word,
            quote=shape.quote,
            note={"en": shape.note.en, "ja": shape.note.ja} if shape.note else {},
        )

    def known_rule(self, rule_id: str, statements: Sequence[_StatementShape], where: FileLine) -> model.Rule | None:
        """The rule, where it and every limit that the statements name are there; where not, that is told."""
        rule = self.rules.get(rule_id)
        if rule is None:
            # It may stand in a file that could not be read, which is reported already.
            if not self.rules_unread:
                self.problems.append(where.problem(nearest(NO_RULE(rule=rule_id), rule_id, self.rules)))
            return None
        for name in dict.fromkeys(name for each in statements for name in each.limits):
            if name not in rule.limits:
                missing = wrong.RULE_WITHOUT_LIMIT(rule=rule_id, name=name)
                self.problems.append(where.problem(nearest(missing, name, rule.limits)))
        return rule

    def combine(self) -> None:
        """Build the receivers that combine others, once every folder is read: any of these may be replaced."""
        providers = dict(self.receivers)
        for ident, (shape, where) in self.combinations.items():
            wanted = tuple(providers) if shape.combines == "all" else tuple(dict.fromkeys(shape.combines))
            unknown = [each for each in wanted if each not in providers]
            for each in unknown:
                code = wrong.COMBINES_COMBINED if each in self.combinations else wrong.COMBINES_UNKNOWN
                self.problems.append(where.problem(nearest(code(receiver=ident, other=each), each, providers)))
            members = sorted((providers[each] for each in wanted if each in providers), key=_place)
            if unknown or self.problems:
                continue
            self.receivers[ident] = _receiver(
                shape,
                where.file,
                mx_suffixes=(),
                sources=tuple(dict.fromkeys(source for each in members for source in each.sources)),
                rules={},
                combines=tuple(each.id for each in members),
            )

    def limits(self, data: Mapping[str, Any], where: FileLine) -> dict[str, Value]:
        """Named operands, lists of file types filled in."""
        return {name: self.limit(value, name, where) for name, value in data.items()}

    def limit(self, data: Any, limit: str, where: FileLine) -> Value:
        if not isinstance(data, dict):
            return _value(data)
        name = data.get("attachments")
        if len(data) == 1 and isinstance(name, str) and name in self.attachments:
            return self.attachments[name]
        named = nearest(wrong.NO_LIST(name=str(name)), str(name), self.attachments)
        self.problems.append(where.problem(named if name else wrong.LIMIT_SHAPE(), f"limits.{limit}"))
        return ()

    def check_refs(self, where: FileLine, refs: Iterable[_Ref]) -> None:
        for each in refs:
            if each.ref not in self.sources:
                self.problems.append(where.problem(nearest(NO_SOURCE(name=each.ref), each.ref, self.sources)))


class _ConditionReader(Struct):
    """Reads conditions of one place in a file: `place` leads to the rule or statement that they belong to.

    `grounds` may be compared beside the facts.
    """

    loader: _Loader
    document: yamlstrict.Document
    place: tuple[str | int, ...]
    item_of: str | None = None
    limits: dict[str, Value] = field(default_factory=dict)
    failed: bool = False
    grounds: Catalogue = field(default_factory=dict)

    def problem(self, detail: Detail, *path: str | int) -> None:
        self.failed = True
        place = self.document.at(*self.place, *path)
        self.loader.problems.append(place.problem(detail, ".".join(map(str, path))))

    def list_of_records(self, path: str) -> None:
        """Whether `each` names one."""
        listed = self.loader.catalogue.get(path)
        if listed is None:
            self.problem(nearest(wrong.NO_FACT(name=path), path, self.loader.catalogue), "each")
        elif listed.type is not FactType.LIST_RECORD:
            self.problem(wrong.EACH_OF(path=path, type=listed.type.value), "each")

    def condition(self, data: Any, path: tuple[str | int, ...]) -> model.Condition | None:
        if not isinstance(data, dict) or not data:
            self.problem(wrong.CONDITION_SHAPE(), *path)
            return None
        if len(data) == 1 and (word := next(iter(data))) in ("all", "any"):
            inner = data[word]
            if not isinstance(inner, list) or not inner:
                self.problem(wrong.CONDITIONS(word=word), *path, word)
                return None
            parts = [self.condition(each, (*path, word, n)) for n, each in enumerate(inner)]
            whole = tuple(part for part in parts if part is not None)
            return model.All(whole) if word == "all" else model.Any(whole)
        if set(data) == {"not"}:
            part = self.condition(data["not"], (*path, "not"))
            return None if part is None else model.Not(part)
        operators = [word for word in data if word != "fact"]
        if "fact" not in data or len(operators) != 1 or not isinstance(data["fact"], str):
            self.problem(wrong.COMPARISON_SHAPE(), *path)
            return None
        word = operators[0]
        if word not in {op.value for op in model.Op}:
            self.problem(nearest(wrong.NO_OPERATOR(name=word), word, list(model.Op)), *path)
            return None
        spec = self.fact(data["fact"], *path)
        operand = self.operand(data[word], model.Op(word), spec, path)
        return model.Compare(data["fact"], model.Op(word), operand)

    def fact(self, path: str, *where: str | int) -> FactSpec | None:
        full = self.full_path(path)
        known = {**self.loader.catalogue, **self.grounds} if self.grounds else self.loader.catalogue
        spec = known.get(full) if full else None
        if full is None:
            self.problem(wrong.ONLY_WITH_EACH(path=path), *where)
        elif spec is None:
            if path.startswith("item."):
                fields = [key.split("[].", 1)[1] for key in known if key.startswith(f"{self.item_of}[].")]
                missing = wrong.NO_FIELD(list=str(self.item_of), name=path[5:])
                self.problem(nearest(missing, path[5:], fields), *where)
            else:
                self.problem(nearest(wrong.NO_FACT(name=path), path, known), *where)
        return spec

    def full_path(self, path: str) -> str | None:
        if not path.startswith("item."):
            return path
        return f"{self.item_of}[].{path[5:]}" if self.item_of else None

    def operand(
        self, data: Any, op: model.Op, spec: FactSpec | None, path: tuple[str | int, ...]
    ) -> Value | model.LimitRef:
        operand: Value | model.LimitRef
        if isinstance(data, str) and data.startswith("$"):
            operand = model.LimitRef(data[1:])
            if operand.name not in self.limits:
                self.problem(nearest(wrong.NO_LIMIT(name=operand.name), operand.name, self.limits), *path)
                return operand
            value = self.limits[operand.name]
        else:
            operand = value = _value(data)
        if spec is not None and (trouble := _mismatch(spec, op, value)):
            self.problem(wrong.FACT_IS(path=spec.path, type=spec.type.value, detail=trouble), *path)
        return operand


class _RuleReader(_ConditionReader):
    """Reads one rule."""

    def rule(self, shape: _RuleShape, topic: str, where: FileLine) -> model.Rule | None:
        self.limits = self.loader.limits(shape.limits, self.document.at(*self.place, "limits"))
        if shape.each is not None:
            self.list_of_records(shape.each)
            self.item_of = shape.each
        when = self.condition(shape.when, ("when",)) if shape.when is not None else None
        require = self.condition(shape.require, ("require",))
        for path in shape.show:
            self.fact(path, "show")
        if shape.used:
            self.fact(shape.used, "used")
        if shape.status is model.Status.PREVIEW and shape.severity.rank > model.Severity.INFO.rank:
            self.problem(wrong.PREVIEW(), "severity")
        if shape.information and shape.severity is not model.Severity.INFO:
            self.problem(wrong.INFORMATION(), "severity")
        if shape.remedy and shape.remedy not in self.loader.remedies:
            self.problem(nearest(wrong.NO_REMEDY(name=shape.remedy), shape.remedy, self.loader.remedies), "remedy")
        if shape.task and not self.loader.tasks_unread and shape.task not in self.loader.tasks:
            self.problem(nearest(wrong.NO_TASK(name=shape.task), shape.task, self.loader.tasks), "task")
        if shape.severity is model.Severity.ERROR and shape.scope is not model.Scope.DELIVERY:
            self.problem(wrong.ERROR_SCOPE(scope=shape.scope.value), "severity")
        self.loader.check_refs(self.document.at(*self.place, "sources"), shape.sources)
        text = {lang: self.texts(each, lang) for lang, each in (("en", shape.text.en), ("ja", shape.text.ja))}
        self.check_texts(text)
        self.check_guards(shape, when, require)
        if self.failed or require is None:
            return None
        return model.Rule(
            id=shape.id,
            name=shape.name,
            topic=sys.intern(topic),  # as one text in every finding, so that a pickled report holds it once
            since=shape.since,
            scope=shape.scope,
            severity=shape.severity,
            level=shape.level,
            effort=shape.effort,
            confidence=shape.confidence,
            require=require,
            sources=_refs(shape.sources),
            text=text,
            status=shape.status,
            when=when,
            each=shape.each,
            used=shape.used,
            limits=self.limits,
            purpose=tuple(shape.purpose),
            guide=tuple(map(sys.intern, shape.guide)),
            show=tuple(shape.show),
            contested=shape.contested,
            information=shape.information,
            remedy=shape.remedy,
            task=shape.task,
            service=shape.service,
            reads=self.reads(shape, when, require, text),
            file=where.file,
            line=where.line,
        )

    def texts(self, shape: _Text, lang: str) -> model.Texts:
        return model.Texts(
            title=shape.title,
            short=shape.short,
            noun=shape.noun,
            met=shape.met,
            unmet=tuple(self.sentences(shape.unmet, ("text", lang, "unmet"))),
            why=shape.why,
            fix=tuple(shape.fix),
        )

    def sentences(self, shapes: Sequence[_SentenceShape], path: tuple[str, ...]) -> Iterator[model.Sentence]:
        last = len(shapes) - 1
        for n, shape in enumerate(shapes):
            if (shape.when is None) is not (n == last):
                self.problem(wrong.SENTENCE_CASES(), *path, n)
            when = None if shape.when is None else self.condition(shape.when, (*path, n, "when"))
            yield model.Sentence(when, shape.text)

    def reads(
        self,
        shape: _RuleShape,
        when: model.Condition | None,
        require: model.Condition,
        text: Mapping[str, model.Texts],
    ) -> tuple[str, ...]:
        """Facts of the conditions, then those shown or named; trees are too large to repeat in each finding."""
        named = {name for each in text.values() for words in _all_words(each) for name in placeholders(words)}
        conditional = (path for each in text["en"].unmet for path in paths_of(each.when))
        paths = (*paths_of(when), *paths_of(require), *conditional, *shape.show, *sorted(named - set(self.limits)))
        # Rules name the same paths, and reports travel with them: one object each.
        return tuple(sys.intern(path) for path in dict.fromkeys(paths) if not self.is_tree(path))

    def is_tree(self, path: str) -> bool:
        spec = self.loader.catalogue.get(self.full_path(path) or "")
        return spec is not None and spec.type is FactType.TREE

    def check_texts(self, text: Mapping[str, model.Texts]) -> None:
        en, ja = text["en"], text["ja"]
        for part in ("title", "short", "noun", "met", "why"):
            self.check_pair(getattr(en, part), getattr(ja, part), part)
        if [each.when for each in en.unmet] == [each.when for each in ja.unmet]:
            places = [("unmet",)] if len(en.unmet) == 1 else [("unmet", n) for n in range(len(en.unmet))]
            for place, of_en, of_ja in zip(places, en.unmet, ja.unmet, strict=True):
                self.check_pair(of_en.text, of_ja.text, *place)
        else:
            self.problem(wrong.OTHER_CASES(), "text", "ja", "unmet")
        self.check_pair("\n".join(en.fix), "\n".join(ja.fix), "fix")
        if len(en.fix) != len(ja.fix):
            self.problem(STEPS_DIFFER(en=len(en.fix), ja=len(ja.fix)), "text", "ja", "fix")
        for lang, each in text.items():
            for part, most in _AT_MOST.items():
                self.check_heading(getattr(each, part), most, "text", lang, part)
            if placeholders(each.noun) - set(self.limits):
                self.problem(wrong.NOUN_WITHOUT_FACTS(), "text", lang, "noun")

    def check_pair(self, en: str, ja: str, *part: str | int) -> None:
        """Both languages name the same facts and limits, and these exist."""
        found = {"en": placeholders(en), "ja": placeholders(ja)}
        for lang, names in found.items():
            for name in sorted(names - set(self.limits)):
                self.fact(name, "text", lang, *part)
        if found["en"] != found["ja"]:
            odd = tuple(sorted(found["en"] ^ found["ja"]))
            self.problem(wrong.OTHER_PLACEHOLDERS(names=odd), "text", "ja", *part)

    def check_heading(self, words: str, most: int, *path: str) -> None:
        """It is short beside its values, and can stand as a heading and within a sentence."""
        width = sum(
            1 + (unicodedata.east_asian_width(char) in "WF")
            for char in fill(words, dict.fromkeys(placeholders(words), ""))
        )
        if width > most:
            self.problem(wrong.TOO_WIDE(n=width, most=most), *path)
        if words.endswith((".", "。", "）")):
            self.problem(wrong.HEADING_END(), *path)

    def check_guards(self, shape: _RuleShape, when: model.Condition | None, require: model.Condition | None) -> None:
        guarded = {each.fact for each in comparisons_of(when)}
        guarded |= {each.fact for each in comparisons_of(require) if each.op in (model.Op.EXISTS, model.Op.EMPTY)}
        for each in comparisons_of(require):
            full = self.full_path(each.fact)
            spec = self.loader.catalogue.get(full) if full else None
            if spec is not None and spec.optional and each.fact not in guarded:
                absent = wrong.MAY_BE_ABSENT(rule=shape.id, fact=each.fact)
                self.loader.warnings.append(self.document.at(*self.place, "require").problem(absent))


def load_rules(folders: Sequence[Path], catalogue: Catalogue, remedies: Collection[str]) -> model.RuleSet:
    """Read rule folders; a later folder replaces rules, receivers and sources of the same id.

    A rule may read the facts of `catalogue` and name one of `remedies`.

    Raises RuleError with every problem found.
    """
    loader = _Loader(catalogue, remedies)
    for folder in folders:
        if not folder.is_dir():
            raise RuleError(wrong.NO_RULE_FOLDER(name=str(folder)))
        if (path := folder / "attachments.yaml").is_file():
            loader.attachment_file(path)
        if (path := folder / "tasks.yaml").is_file():
            loader.task_file(path)
        if (path := folder / "verdicts.yaml").is_file():
            loader.grading_file(path)
        if (path := folder / "claims.yaml").is_file():
            loader.claims = loader.read(path, _CLAIMS) or loader.claims
    for folder in folders:
        loader.folder(folder)
    for where, refs in loader.cited:
        loader.check_refs(where, refs)
    loader.combine()
    claims = loader.read_claims()
    if loader.problems:
        raise RuleError(*loader.problems)
    receivers = {each.id: each for each in sorted(loader.receivers.values(), key=_place)}
    return model.RuleSet(
        loader.rules,
        receivers,
        loader.sources,
        loader.digest.hexdigest(),
        tuple(loader.warnings),
        grading=loader.grading,
        tasks=loader.tasks,
        claims=claims,
        guide=tuple(
            model.GuideEntry(str(step["key"]), tuple(map(str, step.get("shown_by", ()))))
            for step in read_guide(folders)
        ),
    )


def _both(words: _Words) -> dict[str, str]:
    return {"en": words.en, "ja": words.ja}


def _task(shape: _TaskShape) -> model.Task:
    def texts(lang: Literal["en", "ja"]) -> model.TaskTexts:
        return model.TaskTexts(
            getattr(shape.what, lang),
            tuple(getattr(shape.how, lang)) if shape.how else (),
            getattr(shape.hand_over, lang) if shape.hand_over else "",
            getattr(shape.who, lang) if shape.who else "",
        )

    return model.Task(
        code=shape.code,
        place=shape.place,
        text={"en": texts("en"), "ja": texts("ja")},
        gate=shape.gate,
        inbound=shape.inbound,
        cause=tuple(shape.cause),
        done_by=shape.done_by,
        otherwise=shape.otherwise,
        domain=shape.domain,
        takes=shape.takes,
        lowers=shape.lowers,
        least=shape.least,
        owner=shape.unless_own.fact if shape.unless_own else "",
        instead=shape.unless_own.task if shape.unless_own else "",
        fields=tuple(shape.fields),
    )


def _all_words(text: model.Texts) -> tuple[str, ...]:
    return (text.title, text.short, text.noun, text.met, *(each.text for each in text.unmet), text.why, *text.fix)


def _place(receiver: model.Receiver) -> tuple[bool, int, str]:
    """Providers before combinations, each in their order."""
    return bool(receiver.combines), receiver.order, receiver.id


def _for_senders(shape: _ForSendersShape) -> model.ForSenders:
    return model.ForSenders(shape.ref, {"en": shape.text.en, "ja": shape.text.ja})


def _receiver(
    shape: _ReceiverShape,
    file: str,
    *,
    mx_suffixes: tuple[str, ...],
    sources: tuple[model.SourceRef, ...],
    rules: Mapping[str, tuple[model.Statement, ...]],
    combines: tuple[str, ...] = (),
) -> model.Receiver:
    return model.Receiver(
        id=shape.id,
        name={"en": shape.name.en, "ja": shape.name.ja},
        mx_suffixes=mx_suffixes,
        sources=sources,
        rules=rules,
        for_senders=_for_senders(shape.for_senders) if shape.for_senders else None,
        bulk_from=shape.bulk_from,
        file=file,
        combines=combines,
        about={"en": shape.about.en, "ja": shape.about.ja} if shape.about else {},
        order=shape.order,
        default=shape.default,
        short={"en": shape.short.en, "ja": shape.short.ja} if shape.short else {},
    )


def _refs(refs: Iterable[_Ref]) -> tuple[model.SourceRef, ...]:
    return tuple(model.SourceRef(each.ref, each.section) for each in refs)


def _value(data: Any) -> Value:
    if isinstance(data, list):
        return tuple(_value(each) for each in data)
    if isinstance(data, dict):
        return {key: _value(each) for key, each in data.items()}
    return data  # type: ignore[no-any-return]  # yamlstrict gives only str, int, float, bool and None


Kind = Literal["bool", "number", "str"]
_KIND: Mapping[FactType, Kind] = {
    FactType.BOOL: "bool",
    FactType.INT: "number",
    FactType.FLOAT: "number",
    FactType.STR: "str",
    FactType.LIST_STR: "str",
    FactType.LIST_INT: "number",
    FactType.DETAIL: "str",  # compared by its code
    FactType.LIST_DETAIL: "str",
}


def _kind(value: Value) -> Kind | None:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return "str" if isinstance(value, str) else None


def _mismatch(spec: FactSpec, op: model.Op, value: Value) -> Detail | None:
    """Why `op` with `value` makes no sense for the fact, or None."""
    if op in (model.Op.EXISTS, model.Op.EMPTY):
        return None if isinstance(value, bool) else wrong.TAKES_BOOL(op=op)
    kind = _KIND.get(spec.type)
    if kind is None:
        return wrong.NOT_COMPARED(op=op)
    if op in (model.Op.LT, model.Op.LE, model.Op.GT, model.Op.GE):
        fits = kind == "number" and not spec.type.is_list and _kind(value) == "number"
        return None if fits else wrong.COMPARES_NUMBERS(op=op)
    if op in (model.Op.CONTAINS, model.Op.LACKS, model.Op.CONTAINS_ALL):
        if not spec.type.is_list and kind != "str":
            return wrong.NEEDS_LIST_OR_TEXT(op=op)
        wanted = value if isinstance(value, tuple) else (value,)
        return None if all(_kind(each) == kind for each in wanted) else wrong.NEEDS_KIND(op=op, kind=kind)
    if op is model.Op.MATCHES:
        if kind != "str" or spec.type.is_list or not isinstance(value, str):
            return wrong.NEEDS_EXPRESSION()
        try:
            re.compile(value)
        except re.error as error:
            return wrong.BAD_EXPRESSION(why=VERBATIM(text=str(error)))
        return None
    if spec.type.is_list:
        return wrong.NOT_FOR_LISTS(op=op)
    wanted = value if op in (model.Op.IN, model.Op.NOT_IN) and isinstance(value, tuple) else (value,)
    if op in (model.Op.IN, model.Op.NOT_IN) and not isinstance(value, tuple):
        return wrong.TAKES_LIST(op=op)
    for each in wanted:
        if _kind(each) != kind:
            return wrong.NOT_A(value=str(each), kind=kind)
        if spec.values and each not in spec.values:
            return NOT_ONE_OF(value=str(each), values=spec.values)
    return None
