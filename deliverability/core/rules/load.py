"""Rule files -> RuleSet: shape checked by the Structs of model.rules, meaning checked against the fact catalogue.

Every problem is reported with file, line and, where a name is unknown, the nearest known one.
"""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Struct, field
from msgspec.structs import astuple, replace

from deliverability.core import yaml as yamlstrict
from deliverability.core.codes import ABOUT, VERBATIM, Detail
from deliverability.core.errors import InputError
from deliverability.core.facts.base import Catalogue, FactSpec, FactType, Value
from deliverability.core.model import rules as model
from deliverability.core.model.claims import GROUNDS, Claim, Claims, Requirement
from deliverability.core.model.report import GRADES, VerdictKind
from deliverability.core.model.schema import Field, nearest
from deliverability.core.phrases import fill, placeholders
from deliverability.core.rules import problems as wrong
from deliverability.core.rules.conditions import comparisons_of, paths_of
from deliverability.core.rules.problems import RuleError, read_guide
from deliverability.core.yaml import DEFINED, NO_RULE, NO_SOURCE, NOT_ONE_OF, STEPS_DIFFER, TWICE, FileLine, read_shape

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
            "seeds.yaml",
            "sources.yaml",
            "tasks.yaml",
            "unsubscribe-words.yaml",
        ),
        "verdicts.yaml",
        "warm-up.yaml",
    }
)


# Columns; a character of Japanese takes two.
_SHORT_AT_MOST, _NOUN_AT_MOST = 60, 30

# How a source was read that is no page of the receiver.
_BY_OTHERS = "third party"

Grade = Literal["A", "B", "C", "D", "F"]


class _Types(Struct, frozen=True):
    """File types that a receiver refuses."""

    sources: Annotated[tuple[model.SourceRef, ...], Field(filled=True)]
    types: Annotated[tuple[Annotated[str, Field(pattern="[a-z0-9_-]+")], ...], Field(filled=True)]


class _Row(model.GradeRow, frozen=True):
    grade: Grade
    verdicts: tuple[VerdictKind, ...] = ()
    certain: tuple[VerdictKind, ...] = ()
    unmet: model.Severity | None = None


class _Parked(model.ParkedGrades, frozen=True):
    open: Grade
    closed: Grade


class _Grading(model.Grading, frozen=True):
    rows: Annotated[tuple[_Row, ...], Field(filled=True, needed=True)] = ()
    parked: Annotated[model.ParkedGrades, Field(written=_Parked, needed=True)] = model.ParkedGrades()

    def __post_init__(self) -> None:
        """Every subject gets a grade, and the worst that it has earned."""
        given = [GRADES.index(each.grade) for each in self.rows]
        if given != sorted(set(given), reverse=True):
            raise InputError(wrong.GRADES_ORDER())
        always = [not (each.verdicts or each.certain or each.unmet) for each in self.rows]
        if always != [False] * (len(self.rows) - 1) + [True]:
            raise InputError(wrong.LAST_GRADE())


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
    sources_unread: bool = False
    combinations: dict[str, tuple[model.Receiver, FileLine]] = field(default_factory=dict)
    attachments: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tasks: dict[str, model.Task] = field(default_factory=dict)
    grading: model.Grading = field(default_factory=model.Grading)
    cited: list[tuple[FileLine, Sequence[model.SourceRef]]] = field(default_factory=list)
    claims: tuple[Claims, yamlstrict.Document] | None = None

    def attachment_file(self, path: Path) -> None:
        """Lists of file types; read before all rules, for a later folder may replace what earlier rules name."""
        if (document := self.read(path)) is None:
            return
        for name, each in (read_shape(document, dict[str, _Types], self.problems) or {}).items():
            self.attachments[name] = each.types
            self.cited.append((document.at(name, "sources"), each.sources))

    def task_file(self, path: Path) -> None:
        """Tasks; read before all rules, which name them."""
        document = self.read(path)
        tasks = read_shape(document, tuple[model.Task, ...], self.problems) if document else None
        if document is None or tasks is None:
            self.tasks_unread = True
            return
        found: dict[str, model.Task] = {}
        for index, task in enumerate(tasks):
            if task.code in found:
                self.problems.append(document.at(index).problem(TWICE(name=task.code)))
            for cause in task.cause:
                if not {f"{cause}[].aligned", f"{cause}[].own"} & self.catalogue.keys():
                    self.problems.append(document.at(index).problem(wrong.NO_ALIGNED(fact=cause)))
            takes = f"senders.services[].{task.takes}" if task.takes else ""
            owner = task.unless_own.fact if task.unless_own else ""
            for name in filter(None, (task.domain, task.items, takes, owner)):
                if name not in self.catalogue:
                    problem = nearest(wrong.NO_FACT(name=name), name, self.catalogue)
                    self.problems.append(document.at(index).problem(problem))
            _ConditionReader(self, document, (index,)).check(task.done_by, "done_by")
            if task.done_by is not None and task.otherwise not in {each.code for each in tasks}:
                self.problems.append(document.at(index).problem(wrong.NO_TASK(name=task.otherwise)))
            found[task.code] = task
        for index, task in enumerate(tasks):
            if task.unless_own and (other := task.unless_own.task) not in {**self.tasks, **found}:
                self.problems.append(document.at(index).problem(nearest(wrong.NO_TASK(name=other), other, found)))
        self.tasks.update(found)

    def grading_file(self, path: Path) -> None:
        document = self.read(path)
        if document and (read := read_shape(document, _Grading, self.problems)):
            # As types of the model: a kept rule set is to load without this module.
            rows = tuple(model.GradeRow(*astuple(each)) for each in read.rows)
            self.grading = model.Grading(read.bulk_from, rows, model.ParkedGrades(*astuple(read.parked)))

    def claims_file(self, path: Path) -> None:
        """Claims; a later folder's take the place of all."""
        document = self.read(path)
        if document and (claims := read_shape(document, Claims, self.problems)):
            self.claims = claims, document

    def read_claims(self) -> dict[str, Claim]:
        """The claims of the last folder that has some, whose requirements may name any rule of all folders."""
        if self.claims is None:
            return {}
        file, document = self.claims
        required = {key: self.requirement(key, each, document) for key, each in file.requirements.items()}
        found: dict[str, Claim] = {}
        used: set[str] = set()
        for index, each in enumerate(file.claims):
            if each.key in found:
                self.problems.append(document.at("claims", index).problem(TWICE(name=each.key)))
            names = [requirement.key for requirement in each.requires]
            for name in names:
                if name not in required:
                    unknown = nearest(wrong.NO_REQUIREMENT(name=name), name, required)
                    self.problems.append(document.at("claims", index, "requires").problem(unknown))
            used.update(names)
            found[each.key] = replace(each, requires=tuple(required[name] for name in names if name in required))
        for name in required.keys() - used:
            self.problems.append(document.at("requirements", name).problem(wrong.UNUSED_REQUIREMENT(name=name)))
        return found

    def requirement(self, key: str, read: Requirement, document: yamlstrict.Document) -> Requirement:
        reader = _ConditionReader(self, document, ("requirements", key), item_of=read.each or None, grounds=GROUNDS)
        if read.each:
            reader.list_of_records(read.each)
        reader.check(read.holds, "holds")
        for rule in () if self.rules_unread else read.met:
            if rule not in self.rules:
                place = document.at("requirements", key, "met")
                self.problems.append(place.problem(nearest(NO_RULE(rule=rule), rule, self.rules)))
        return replace(read, key=key)

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

    def read(self, path: Path) -> yamlstrict.Document | None:
        document = yamlstrict.read_file(path, self.problems)
        if document is not None:
            self.digest.update(path.name.encode() + b"\0" + document.text.encode())
        return document

    def source_file(self, path: Path) -> None:
        document = self.read(path)
        sources = read_shape(document, dict[str, model.Source], self.problems) if document else None
        if document is None or sources is None:
            self.sources_unread = True
            return
        for key, source in sources.items():
            self.add_source(key, source, _SourcePlace(document.at(key), "", path.parent))

    def add_source(self, key: str, source: model.Source, place: _SourcePlace) -> None:
        """A later folder may replace a source, but a receiver's page only where that is a page of the same receiver."""
        before = self.sources_at.get(key)
        if before and (before.folder == place.folder or (place.receiver and place.receiver != before.receiver)):
            self.problems.append(place.where.problem(DEFINED(name=key, place=str(before.where))))
        else:
            self.sources_at[key] = place
            self.sources[key] = replace(source, key=key)

    def rule_file(self, path: Path) -> None:
        document = self.read(path)
        items = read_shape(document, tuple[Any, ...], self.problems) if document else None
        if document is None or items is None:
            self.rules_unread = True
            return
        for index in range(len(items)):
            rule = read_shape(document, model.Rule, self.problems, index)
            if rule is None:  # the others are checked all the same
                self.rules_unread = True
                continue
            where = document.at(index)
            taken = self.names.get(rule.id) or self.names.get(rule.name)
            if taken:
                self.problems.append(where.problem(DEFINED(name=f"{rule.id} ({rule.name})", place=str(taken))))
                continue
            self.names[rule.id] = self.names[rule.name] = where
            checked = _RuleReader(self, document, (index,)).rule(rule, path.stem, where)
            if checked is not None:
                self.rules[rule.id] = checked

    def receiver_file(self, path: Path) -> None:
        document = self.read(path)
        read = read_shape(document, model.Receiver, self.problems) if document else None
        if document is None or read is None or self.misses(read, document):
            return
        where = document.at("id")
        if taken := self.receivers_here.get(read.id):
            self.problems.append(where.problem(DEFINED(name=read.id, place=str(taken))))
            return
        self.receivers_here[read.id] = where
        self.combinations.pop(read.id, None)
        if read.combines:
            self.receivers.pop(read.id, None)
            self.combinations[read.id] = (read, document.at("combines"))
            return
        for key, page in read.pages.items():
            self.add_source(key, page, _SourcePlace(document.at("pages", key), read.id, path.parent.parent))
        statements: dict[str, tuple[model.Statement, ...]] = {}
        for key, stated in read.rules.items():
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
        self.check_refs(document.at("sources"), read.sources)
        if read.for_senders is not None:
            self.check_refs(document.at("for_senders"), [model.SourceRef(read.for_senders.source)])
        self.receivers[read.id] = replace(read, file=str(path), rules=statements)

    def misses(self, read: model.Receiver, document: yamlstrict.Document) -> bool:
        """A provider has statements and sources of its own; a combination takes them from its members."""
        given = document.data
        fields = ("sources", "pages", "rules", "domains", "mx_suffixes", "regions", "bulk_from")
        own = tuple(each for each in fields if each in given)
        missing = tuple(
            each for each in ("sources", "rules") if each not in given or (each == "sources" and not read.sources)
        )
        if read.combines and own:
            self.problems.append(document.at().problem(wrong.COMBINES_TAKES(fields=own)))
        elif not read.combines and missing:
            self.problems.append(document.at().problem(wrong.RECEIVER_NEEDS(fields=missing)))
        else:
            return False
        return True

    def statement(
        self,
        read: model.Statement,
        rule: model.Rule,
        document: yamlstrict.Document,
        place: tuple[str | int, ...],
    ) -> model.Statement:
        where = document.at(*place)
        self.check_refs(where, read.sources)
        read_as = [self.sources[each.ref].read_as for each in read.sources if each.ref in self.sources]
        if read.word is model.Word.OWN and read_as and all(each == _BY_OTHERS for each in read_as):
            self.problems.append(where.problem(wrong.NO_OWN_PAGE()))
        if read.severity is model.Severity.ERROR and rule.scope is not model.Scope.DELIVERY:
            self.problems.append(where.problem(wrong.NO_ERROR_OF(rule=rule.id, scope=rule.scope.value)))
        _ConditionReader(self, document, place, rule.each, dict(rule.limits)).check(read.when, "when")
        return replace(read, limits=self.limits(read.limits, where))

    def known_rule(self, rule_id: str, statements: Sequence[model.Statement], where: FileLine) -> model.Rule | None:
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
        for ident, (read, where) in self.combinations.items():
            wanted = tuple(providers) if read.combines == model.EVERY else tuple(dict.fromkeys(read.combines))
            unknown = [each for each in wanted if each not in providers]
            for each in unknown:
                code = wrong.COMBINES_COMBINED if each in self.combinations else wrong.COMBINES_UNKNOWN
                self.problems.append(where.problem(nearest(code(receiver=ident, other=each), each, providers)))
            members = sorted((providers[each] for each in wanted if each in providers), key=_place)
            if unknown or self.problems:
                continue
            self.receivers[ident] = replace(
                read,
                file=where.file,
                sources=tuple(dict.fromkeys(source for each in members for source in each.sources)),
                combines=tuple(each.id for each in members),
            )

    def limits(self, data: Mapping[str, Value], where: FileLine) -> dict[str, Value]:
        """Named operands, lists of file types filled in."""
        return {name: self.limit(value, name, where) for name, value in data.items()}

    def limit(self, data: Value, limit: str, where: FileLine) -> Value:
        if not isinstance(data, Mapping):
            return data
        name = data.get("attachments")
        if len(data) == 1 and isinstance(name, str) and name in self.attachments:
            return self.attachments[name]
        named = nearest(wrong.NO_LIST(name=str(name)), str(name), self.attachments)
        self.problems.append(where.problem(named if name else wrong.LIMIT_SHAPE(), f"limits.{limit}"))
        return ()

    def check_refs(self, where: FileLine, refs: Iterable[model.SourceRef]) -> None:
        for each in refs:
            # It may stand in a file that could not be read, which is reported already.
            if each.ref not in self.sources and not self.sources_unread:
                self.problems.append(where.problem(nearest(NO_SOURCE(name=each.ref), each.ref, self.sources)))


class _ConditionReader(Struct):
    """Checks conditions of one place in a file: `place` leads to the rule or statement that they belong to.

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

    def check(self, condition: model.Condition | None, *path: str | int) -> None:
        """Facts and limits of a condition exist, and its operators fit them."""
        match condition:
            case model.Compare(fact, op, operand):
                self.operand(operand, op, self.fact(fact, *path), path)
            case model.Not(inner):
                self.check(inner, *path, "not")
            case model.All(several) | model.Any(several):
                word = "all" if isinstance(condition, model.All) else "any"
                for n, each in enumerate(several):
                    self.check(each, *path, word, n)

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
        self, operand: Value | model.LimitRef, op: model.Op, spec: FactSpec | None, path: tuple[str | int, ...]
    ) -> None:
        if isinstance(operand, model.LimitRef):
            if operand.name not in self.limits:
                self.problem(nearest(wrong.NO_LIMIT(name=operand.name), operand.name, self.limits), *path)
                return
            operand = self.limits[operand.name]
        if spec is not None and (trouble := _mismatch(spec, op, operand)):
            self.problem(wrong.FACT_IS(path=spec.path, type=spec.type.value, detail=trouble), *path)


class _RuleReader(_ConditionReader):
    """Checks one rule, and fills in what the file does not say."""

    def rule(self, shape: model.Rule, topic: str, where: FileLine) -> model.Rule | None:
        self.limits = self.loader.limits(shape.limits, self.document.at(*self.place, "limits"))
        if shape.each is not None:
            self.list_of_records(shape.each)
            self.item_of = shape.each
        self.check(shape.when, "when")
        self.check(shape.require, "require")
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
        if shape.severity is model.Severity.ERROR and not shape.scope.counts:
            self.problem(wrong.ERROR_SCOPE(scope=shape.scope.value), "severity")
        self.loader.check_refs(self.document.at(*self.place, "sources"), shape.sources)
        for lang, words in shape.text.items():
            for part in ("short", "unmet", "fix"):
                cases = getattr(words, part)
                for n, each in enumerate(cases):
                    if part != "fix" and (each.when is None) is not (n == len(cases) - 1):
                        self.problem(wrong.SENTENCE_CASES(), "text", lang, part, n)
                    self.check(each.when, "text", lang, part, n, "when")
        self.check_texts(shape.text)
        self.check_guards(shape)
        if self.failed:
            return None
        return replace(
            shape,
            topic=sys.intern(topic),  # as one text in every finding, so that a pickled report holds it once
            limits=self.limits,
            guide=tuple(map(sys.intern, shape.guide)),
            reads=self.reads(shape),
            file=where.file,
            line=where.line,
        )

    def reads(self, rule: model.Rule) -> tuple[str, ...]:
        """Facts of the conditions, then those shown or named; trees are too large to repeat in each finding."""
        named = {name for each in rule.text.values() for words in _all_words(each) for name in placeholders(words)}
        words = rule.text["en"]
        conditional = (path for each in (*words.short, *words.unmet, *words.fix) for path in paths_of(each.when))
        of_conditions = (*paths_of(rule.when), *paths_of(rule.require), *conditional)
        paths = (*of_conditions, *rule.show, *sorted(named - set(self.limits)))
        # Rules name the same paths, and reports travel with them: one object each.
        return tuple(sys.intern(path) for path in dict.fromkeys(paths) if not self.is_tree(path))

    def is_tree(self, path: str) -> bool:
        spec = self.loader.catalogue.get(self.full_path(path) or "")
        return spec is not None and spec.type is FactType.TREE

    def check_texts(self, text: Mapping[str, model.Texts]) -> None:
        en, ja = text["en"], text["ja"]
        for part in ("title", "noun", "met", "why"):
            self.check_pair(getattr(en, part), getattr(ja, part), part)
        for part in ("short", "unmet"):
            of_en, of_ja = getattr(en, part), getattr(ja, part)
            if [each.when for each in of_en] != [each.when for each in of_ja]:
                self.problem(wrong.OTHER_CASES(), "text", "ja", part)
                continue
            for n, (one, other) in enumerate(zip(of_en, of_ja, strict=True)):
                self.check_pair(one.text, other.text, *((part, n) if len(of_en) > 1 else (part,)))
        self.check_pair("\n".join(en.steps), "\n".join(ja.steps), "fix")
        if len(en.fix) != len(ja.fix):
            self.problem(STEPS_DIFFER(en=len(en.fix), ja=len(ja.fix)), "text", "ja", "fix")
        elif [each.when for each in en.fix] != [each.when for each in ja.fix]:
            self.problem(wrong.OTHER_CASES(), "text", "ja", "fix")
        for lang, each in text.items():
            self.check_heading(each.noun, _NOUN_AT_MOST, "text", lang, "noun")
            for clause in each.short:
                self.check_heading(clause.text, _SHORT_AT_MOST, "text", lang, "short")
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
            self.problem(model.OTHER_PLACEHOLDERS(names=odd), "text", "ja", *part)

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

    def check_guards(self, shape: model.Rule) -> None:
        guarded = {each.fact for each in comparisons_of(shape.when)}
        guarded |= {each.fact for each in comparisons_of(shape.require) if each.op in (model.Op.EXISTS, model.Op.EMPTY)}
        for each in comparisons_of(shape.require):
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
            loader.claims_file(path)
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


def _all_words(text: model.Texts) -> tuple[str, ...]:
    cases = (each.text for each in (*text.short, *text.unmet, *text.fix))
    return (text.title, text.noun, text.met, text.why, *cases)


def _place(receiver: model.Receiver) -> tuple[bool, int, str]:
    """Providers before combinations, each in their order."""
    return bool(receiver.combines), receiver.order, receiver.id


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


def check_condition(
    condition: model.Condition | None,
    document: yamlstrict.Document,
    place: tuple[str | int, ...],
    path: tuple[str | int, ...],
    catalogue: Catalogue,
    problems: list[Detail],
    item_of: str = "",
) -> None:
    """A condition of another kind of file, at `path` below `place`: what is wrong with it goes into `problems`.

    `item_of`: the list whose items it is about.
    """
    reader = _ConditionReader(_Loader(catalogue, (), problems=problems), document, place, item_of=item_of or None)
    if item_of:
        reader.list_of_records(item_of)
    reader.check(condition, *path)
