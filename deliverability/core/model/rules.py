"""What rule files say, typed: conditions, rules, receivers, sources."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from typing import Any as Any_

from msgspec import Struct, field

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.errors import InputError
from deliverability.core.facts.base import Purpose, Value
from deliverability.core.model.knowledge import Knowledge
from deliverability.core.model.schema import FAILED, OUTSIDE, Field, Misfit, Misfits, Text, What, Words, nearest
from deliverability.core.model.schema import Place as Where
from deliverability.core.phrases import placeholders

if TYPE_CHECKING:
    from deliverability.core.model.claims import Claim
    from deliverability.core.model.profiles import Profile  # which imports the conditions

NO_OPERATOR = Code("rule-no-operator", ("name",))
CONDITION_SHAPE = Code("rule-condition")
CONDITIONS = Code("rule-conditions", ("word",))
COMPARISON_SHAPE = Code("rule-comparison")
OTHER_PLACEHOLDERS = Code("rule-other-placeholders", ("names",))
NO_PLACEHOLDER = Code("task-no-placeholder", ("name", "known"))
NOT_ITS_OWN_WORD = Code("receiver-not-its-own-word")
QUOTE_TOO_LONG = Code("receiver-quote-too-long", ("most",))
AT_MOST_A_WARNING = Code("receiver-at-most-warning", ("effect",))
COMBINES_NOBODY = Code("receiver-combines-nobody")


HTTPS = Code("sender-https")
DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
READ_AS = r"(original|archive ([0-9]{4}(-[0-9]{2}){0,2}|undated)|draft .+|third party|not re-read)"
"""The forms in which a source was read (see Source), as a regular expression for the whole text."""


def _without_tls(url: str) -> Detail | None:
    return None if url.startswith("https://") else HTTPS()


class ServiceSource(Struct, frozen=True):
    """Where something was read, on which day (ISO 8601), and in which form (READ_AS)."""

    url: Annotated[str, Field(check=_without_tls)]
    checked: Annotated[str, Field(pattern=DAY)]
    read_as: Annotated[str, Field(pattern=READ_AS)]


class PlainSource(ServiceSource, frozen=True):
    """The same, of a page that may have no TLS."""

    url: Annotated[str, Field(pattern="https?://.*")]
    checked: Annotated[str, Field(pattern=DAY)]
    read_as: Annotated[str, Field(pattern=READ_AS)]


class Edition(Struct, frozen=True):
    """A page as it is shown to readers of one language; an empty `url` is that of the page itself."""

    title: Annotated[str, Field(filled=True)]
    url: Annotated[str, Field(pattern="(https?://.*)?")] = ""


LANGUAGE = "|".join(("bg", "cs", "de", "en", "fr", "it", "ja", "ko", "pt", "ru", "zh"))
"""The languages of pages that have a name in the words of reports (``read.language``)."""

Sources = Annotated[tuple[ServiceSource, ...], Field(filled=True, needed=True)]


class Severity(StrEnum):
    """How bad an unmet rule is. NONE: the rule counts only for receivers that raise it."""

    NONE = "none"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 (none) to 3 (error), for comparisons."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class Level(StrEnum):
    """Who says so: an RFC keyword, a receiver, a recommendation, or our own rule of thumb."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    REQUIRED = "required-by-receiver"
    RECOMMENDED = "recommended"
    HEURISTIC = "heuristic"


class Effort(StrEnum):
    """What mending costs: minutes, hours, or a project."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Confidence(StrEnum):
    """How sure we are of the fact behind a rule."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Status(StrEnum):
    """Life cycle of a rule. Preview rules never exceed `info`."""

    STABLE = "stable"
    PREVIEW = "preview"


class Op(StrEnum):
    """Comparison operators of rule files."""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    IN = "in"
    NOT_IN = "not_in"
    CONTAINS = "contains"
    LACKS = "lacks"
    CONTAINS_ALL = "contains_all"
    MATCHES = "matches"
    EXISTS = "exists"
    EMPTY = "empty"


class LimitRef(Struct, frozen=True):
    """A `$name` operand: the limit of that name, which a receiver may override."""

    name: str


class Compare(Struct, frozen=True):
    """`{fact: path, op: operand}`. A path that begins with ``item.`` reads the current item of `each`."""

    fact: str
    op: Op
    operand: Value | LimitRef


class All(Struct, frozen=True):
    """Every condition holds (Kleene: false wins over unknown)."""

    of: tuple[Condition, ...]


class Any(Struct, frozen=True):
    """At least one condition holds (Kleene: true wins over unknown)."""

    of: tuple[Condition, ...]


class Not(Struct, frozen=True):
    """The condition does not hold; unknown stays unknown."""

    of: Condition


Condition = Compare | All | Any | Not


_OPS = {op.value: op for op in Op}


def condition(data: Any_, place: Where, misfits: Misfits) -> Condition:
    """A condition as files write it; whether its facts exist is for the reader of the file to see."""

    def wrong(detail: Detail, *path: str) -> Any_:
        misfits.append(Misfit((*place, *path), What.RULE, wanted=(detail,)))
        return FAILED

    if not isinstance(data, dict) or not data:
        return wrong(CONDITION_SHAPE())  # type: ignore[no-any-return]
    if len(data) == 1 and (word := next(iter(data))) in ("all", "any"):
        inner = data[word]
        if not isinstance(inner, list) or not inner:
            return wrong(CONDITIONS(word=word), word)  # type: ignore[no-any-return]
        parts = tuple(condition(each, (*place, word, n), misfits) for n, each in enumerate(inner))
        return All(parts) if word == "all" else Any(parts)
    if set(data) == {"not"}:
        return Not(condition(data["not"], (*place, "not"), misfits))
    operators = [word for word in data if word != "fact"]
    if len(operators) != 1 or not isinstance(data.get("fact"), str):
        return wrong(COMPARISON_SHAPE())  # type: ignore[no-any-return]
    if (word := operators[0]) not in _OPS:
        return wrong(nearest(NO_OPERATOR(name=word), word, _OPS))  # type: ignore[no-any-return]
    operand = data[word]
    is_limit = isinstance(operand, str) and operand.startswith("$")
    return Compare(data["fact"], _OPS[word], LimitRef(operand[1:]) if is_limit else _plain(operand))


def _perhaps(data: Any_, place: Where, misfits: Misfits) -> Condition | None:
    return None if data is None else condition(data, place, misfits)


def _plain(data: Any_) -> Value:
    """Lists as tuples, as facts have them."""
    if isinstance(data, list):
        return tuple(_plain(each) for each in data)
    return {key: _plain(each) for key, each in data.items()} if isinstance(data, dict) else data


def _limits(data: Any_, place: Where, misfits: Misfits) -> Mapping[str, Value]:
    if not isinstance(data, dict):
        misfits.append(Misfit(place, What.KIND, data, dict))
        return {}
    return {name: _plain(each) for name, each in data.items()}


Required = Annotated[Condition, Field(read=condition)]
Perhaps = Annotated[Condition | None, Field(read=_perhaps)]
"""A condition that may be left out."""
Limits = Annotated[Mapping[str, Value], Field(read=_limits)]


class Source(Struct, frozen=True):
    """An entry of rules/sources.yaml.

    Attributes:
        checked: ISO date on which somebody last read it.
        read_as: what was read that day: ``original``, ``archive DATE`` (a copy of the page as it was then; or ``archive
            undated``), ``draft NAME``, ``third party`` or ``not re-read`` (cited from an older reading or from
            knowledge).
        dated: ISO date, month or year that the page itself shows; empty where it shows none, or nobody noted it.
        language: that of the page.
        ja: what Japanese readers are shown instead: the page in Japanese, or only a Japanese title.

    """

    title: str
    url: Annotated[str, Field(pattern="(https?://.*)?")]
    publisher: str
    checked: Annotated[str, Field(pattern=DAY)]
    read_as: Annotated[str, Field(pattern=READ_AS)]
    dated: Annotated[str, Field(pattern="([0-9]{4}(-[0-9]{2}){0,2})?")] = ""
    language: Annotated[str, Field(pattern=LANGUAGE)] = "en"
    ja: Edition | None = None
    key: Annotated[str, OUTSIDE] = ""


class SourceRef(Struct, frozen=True):
    """Where a rule comes from: the key of a source and the section in it."""

    ref: str
    section: str = ""


class Sentence(Struct, frozen=True):
    """One sentence of several, for the cases in which `when` holds; None: for all, or all that are left."""

    text: Text
    when: Perhaps = None


def _sentences(given: Any_) -> Any_:
    """A text alone stands for all cases."""
    return [{"text": given}] if isinstance(given, str) else given


def _steps(given: Any_) -> Any_:
    """As `_sentences`, of each step."""
    return [{"text": each} if isinstance(each, str) else each for each in given] if isinstance(given, list) else given


class Texts(Struct, frozen=True):
    """A rule's words in one language, with ``{fact.path}``, ``{item.field}`` and ``{limit}`` placeholders.

    Attributes:
        title: what it asks for.
        short: what is wrong where it is unmet, as a clause that heads a finding or follows "because"; the first that
            holds. The last holds in every case, and stands where no finding is at hand.
        noun: what it looks at, without saying how that is.
        met: what was found where it is met.
        unmet: the same where it is not: the first sentence that holds.
        why: what it means for delivery.
        fix: what to do, step by step; a step with `when` is left out where that certainly doesn't hold.

    """

    title: Text
    short: Annotated[tuple[Sentence, ...], Field(filled=True, before=_sentences)]
    noun: Text
    met: Text
    unmet: Annotated[tuple[Sentence, ...], Field(filled=True, before=_sentences)]
    why: Text
    fix: Annotated[tuple[Sentence, ...], Field(filled=True, before=_steps)]

    @property
    def steps(self) -> tuple[str, ...]:
        """What to do in all cases."""
        return tuple(each.text for each in self.fix)


class Scope(StrEnum):
    """What an unmet rule touches.

    DELIVERY decides what receivers do. SECURITY: what others can do in the domain's name; it depends on no receiver, so
    it is in no verdict, but as DELIVERY in the grade and the exit code.
    """

    DELIVERY = "delivery"
    SECURITY = "security"
    REPORTS = "reports"
    INBOUND = "inbound"
    DISPLAY = "display"
    HYGIENE = "hygiene"

    @property
    def counts(self) -> bool:
        """Whether it decides the grade and the exit code; only of such a scope is anything an error."""
        return self in (Scope.DELIVERY, Scope.SECURITY)


class Effect(StrEnum):
    """What a receiver says it does with mail that does not meet a rule, the worst first.

    REJECT: a 5xx reply. DEFER: a 4xx reply or a rate limit. SPAM: the spam folder. WARN: a mark that readers see.
    FEATURE: a button or a logo is missing. NOTE: asked for, no effect is published.
    """

    REJECT = "reject"
    DEFER = "defer"
    SPAM = "spam"
    WARN = "warn"
    FEATURE = "feature"
    NOTE = "note"

    @property
    def hinders(self) -> bool:
        """Whether the mail itself is stopped, delayed or marked."""
        return self not in (Effect.FEATURE, Effect.NOTE)

    @property
    def rank(self) -> int:
        """0 (note) to 5 (reject), for comparisons."""
        return _EFFECT_RANKS[self]


_EFFECT_RANKS = {effect: rank for rank, effect in enumerate(reversed(Effect))}


class Place(StrEnum):
    """Where a step of the plan is done.

    DNS: at the reader's DNS provider. SERVICE: in the settings of the service that sends. SERVER: at the reader's own
    mail server. WEB: at the reader's web server. ADDRESS: at the owner of the sending IP address. MESSAGE: in the
    message or its template. ELSEWHERE: at a domain that is not the reader's. OWN: where the reader set it up.
    """

    DNS = "dns"
    SERVICE = "service"
    SERVER = "server"
    WEB = "web"
    ADDRESS = "address"
    MESSAGE = "message"
    ELSEWHERE = "elsewhere"
    OWN = "own"


class Gate(StrEnum):
    """What has to be true before a task is a step. POLICY: reports arrive somewhere, and the mail at hand passes DMARC.

    A task behind a gate is no step by itself, only as a remedy that was rehearsed. RECORD: that is all it waits for.
    """

    POLICY = "policy"
    RECORD = "record"


TASK_WORDS = frozenset({"domain", "service", "items", "own"})
"""What the words of tasks may name: the domain shown in From (else the audited one), the service that the step is about
(else "your mail server or mailing service"), the items of the findings."""


class TaskTexts(Struct, frozen=True):
    """A task's words in one language, with the placeholders of TASK_WORDS. How it is done tells the rule.

    Attributes:
        what: imperative, one line.
        how: steps, for where it takes the place of another task; else the rule's own tell how.
        hand_over: what to ask of somebody else who has to do it; empty where nobody else has to.
        who: who knows what to enter, where it cannot be known here; may be empty.

    """

    what: str
    how: tuple[str, ...] = ()
    hand_over: str = ""
    who: str = ""


class UnlessOwn(Struct, frozen=True):
    """The fact that says whose the thing is that a task is about. Where that is not the user's, nor that of a service,
    another task takes its place.
    """

    fact: str
    task: str


_Steps = Annotated[Mapping[str, Annotated[tuple[str, ...], Field(filled=True)]], Field(keys=("en", "ja"))]


class Task(Struct, frozen=True):
    """One act that settles findings where no record is written for it; rules name it by its code.

    Attributes:
        place: where it is done.
        gate: see Gate.
        inbound: it is about mail that the domain receives.
        cause: list facts. Where some of their items are aligned with the author domain, what is wrong with those is the
            cause, and mending that settles the finding; the task is for where there is none.
        done_by: a condition. Where it holds, the task is done already or part of another, and what there is to do is
            the task `otherwise`.
        domain: the fact that names the domain whose records it is about; without one the user's own.
        items: the list fact that names what it is about, where its findings don't.
        takes: the field of a sending service that names the terms of SPF that it takes away from that service.
        lowers: it lets through what is stopped today, so it comes last.
        least: a limit of its rules. Of several findings that with the smallest comes first, for whoever keeps that one
            keeps all; the words of the step are its.
        unless_own: see UnlessOwn.
        fields: header fields as they are to stand, each a line, with the placeholders of TASK_WORDS.
        what, how, hand_over, who: see TaskTexts, by language.

    """

    code: Annotated[str, Field(pattern="[a-z0-9]+(-[a-z0-9]+)*")]
    place: Place
    what: Words
    how: _Steps = field(default_factory=dict)
    hand_over: Words = field(default_factory=dict)
    who: Words = field(default_factory=dict)
    gate: Gate | None = None
    inbound: bool = False
    cause: tuple[str, ...] = ()
    done_by: Perhaps = None
    otherwise: str = ""
    domain: str = ""
    items: str = ""
    takes: str = ""
    lowers: bool = False
    least: str = ""
    unless_own: UnlessOwn | None = None
    fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Both languages name the same, and nothing that no step has."""
        for part, words in (("what", self.what), ("hand_over", self.hand_over), ("who", self.who)):
            if words and placeholders(words["en"]) != placeholders(words["ja"]):
                differ = tuple(sorted(placeholders(words["en"]) ^ placeholders(words["ja"])))
                raise InputError(ABOUT(what=part, detail=OTHER_PLACEHOLDERS(names=differ)))
        steps = [step for each in self.how.values() for step in each]
        others = [words["en"] for words in (self.what, self.hand_over, self.who) if words]
        named = frozenset().union(*map(placeholders, (*others, *self.fields, *steps)))
        if odd := sorted(named - TASK_WORDS):
            raise InputError(NO_PLACEHOLDER(name=odd[0], known=tuple(sorted(TASK_WORDS))))

    @property
    def text(self) -> Mapping[str, TaskTexts]:
        """Language -> words."""
        return {
            lang: TaskTexts(what, self.how.get(lang, ()), self.hand_over.get(lang, ""), self.who.get(lang, ""))
            for lang, what in self.what.items()
        }


class GuideEntry(Struct, frozen=True):
    """A step of the user's guide, as far as judging needs it; the rules that serve it name its key.

    Attributes:
        shown_by: rules of which one must have been met for it to count as done; empty: any.

    """

    key: str
    shown_by: tuple[str, ...] = ()


class ServiceStep(StrEnum):
    """What is to be done in the settings of a sending service, and in which.

    SIGN: signing with the user's own domain, in the service that is the item, else in the one that sent the message.
    SIGN_ALL: the same, in every service without a key. KEY: renewing the key, in the service whose key the item is.
    SIGNING_KEY: the same, else in the one that sent the message. RETURN_PATH: a Return-Path of the user's domain, in
    the one that sent the message. AUTHORISE: the same, or what SPF has to contain for it. INCLUDE: what SPF has to
    contain for each service. SPARE: doing without a look-up of SPF, in each that SPF names.
    """

    SIGN = "sign"
    SIGN_ALL = "sign-all"
    KEY = "key"
    SIGNING_KEY = "signing-key"
    RETURN_PATH = "return-path"
    AUTHORISE = "authorise"
    INCLUDE = "include"
    SPARE = "spare"


class VolumeClass(StrEnum):
    """For whom a receiver's requirement counts: everybody, or only those below or from its number of bulk senders."""

    ANY = "any"
    SMALL = "small"
    BULK = "bulk"


OF_DATE = ("age_days", "selector_age_days", "expired")
"""Fields of items that only the date changes."""


class Rule(Struct, frozen=True):
    """One requirement. Judges facts only; knows nothing of how they were gathered.

    Attributes:
        when: applicability; None: always.
        each: list fact whose items are judged one by one; None: once.
        used: fact that says whether the mail at hand rests on what is judged, where no item says so.
        require: what must hold.
        scope: what it touches; see Scope.
        limits: named operands, overridable per receiver.
        purpose: purposes the rule is for; empty: all. Where the user gave none, the rule waits for it.
        guide: keys of the user's guide (G1 ... G16) whose step this rule serves.
        show: further fact paths whose values belong into `observed`.
        contested: sources contradict each other; the texts give both readings.
        information: good to know, and nothing has to be done; not counted among what could improve.
        amount: unmet, it says that too little is known to tell, and not that anything is wrong.
        remedy: name of the remedy that may mend it; empty: none can be drafted.
        task: code of the task that settles it where no record does; empty: the rule's own steps.
        service: what is to be done at the sending services.
        file, line: where it was read, for error messages.

    """

    id: Annotated[str, Field(pattern="[A-Z][A-Z0-9]*-[0-9]{3}")]
    name: Annotated[str, Field(pattern="[a-z0-9]+(-[a-z0-9]+)*")]
    since: str
    scope: Scope
    severity: Severity
    level: Level
    effort: Effort
    confidence: Confidence
    require: Required
    sources: Annotated[tuple[SourceRef, ...], Field(filled=True)]
    text: Annotated[Mapping[str, Texts], Field(keys=("en", "ja"))]
    status: Status = Status.STABLE
    when: Perhaps = None
    each: str | None = None
    used: str = ""
    limits: Limits = field(default_factory=dict)
    purpose: tuple[Purpose, ...] = ()
    guide: tuple[str, ...] = ()
    show: tuple[str, ...] = ()
    contested: bool = False
    information: bool = False
    amount: bool = False
    remedy: str = ""
    task: str = ""
    service: ServiceStep | None = None
    topic: Annotated[str, OUTSIDE] = ""
    reads: Annotated[tuple[str, ...], OUTSIDE] = ()
    file: Annotated[str, OUTSIDE] = ""
    line: Annotated[int, OUTSIDE] = 0

    @property
    def tells_dates(self) -> bool:
        """Whether its words may be others on another day although nothing changed."""
        return any(path.rpartition(".")[2] in OF_DATE for path in self.reads)


class Word(StrEnum):
    """Whose word a statement rests on.

    OWN: a page of the receiver, read. QUOTED: the receiver's own words, a page or a reply, as somebody else printed
    them. SECONDARY: what somebody else says of the receiver.
    """

    OWN = "own"
    QUOTED = "quoted"
    SECONDARY = "secondary"


QUOTE_WORDS = 25
_QUOTE_CHARACTERS = 200
"""Of somebody else's page; the second for languages that do not part words."""


class Statement(Struct, frozen=True):
    """What one receiver says about one rule.

    Attributes:
        severity: for this receiver.
        effect: what it does with mail that does not meet the rule.
        volume: for whom it counts by this receiver's definition of bulk senders.
        when: further condition under which it counts; None: always.
        limits: limits that differ for this receiver.
        since: ISO date from which the receiver enforces it, or empty.
        codes: SMTP replies the sender would see.
        confidence: in the receiver's statement.
        sources: where the receiver says so.
        contested: its pages contradict each other, it says only that mail "may not arrive", or a setting of the
            recipient decides. A contested reject reads "may refuse it".
        word: whose word it is; one that is not the receiver's own decides nothing that is certain.
        quote: the words that it rests on, in their language; empty where they are not at hand.
        note: language -> one sentence in the receiver's terms.

    """

    severity: Severity
    effect: Effect
    sources: Annotated[tuple[SourceRef, ...], Field(filled=True)]
    volume: VolumeClass = VolumeClass.ANY
    when: Perhaps = None
    limits: Limits = field(default_factory=dict)
    since: str = ""
    codes: tuple[str, ...] = ()
    confidence: Confidence = Confidence.HIGH
    contested: bool = False
    word: Word = Word.OWN
    quote: str = ""
    note: Words = field(default_factory=dict)

    def __post_init__(self) -> None:
        """An error means that mail is stopped, delayed or marked; what others say of a receiver, or quote without the
        words at hand, is never certain; a quote stays short.
        """
        if self.severity is Severity.ERROR and not self.effect.hinders:
            raise InputError(AT_MOST_A_WARNING(effect=self.effect.value))
        hearsay = self.word is Word.SECONDARY or (self.word is Word.QUOTED and not self.quote)
        if hearsay and self.effect.hinders and not self.contested:
            raise InputError(NOT_ITS_OWN_WORD())
        if len(self.quote.split()) > QUOTE_WORDS or len(self.quote) > _QUOTE_CHARACTERS:
            raise InputError(QUOTE_TOO_LONG(most=QUOTE_WORDS))


class ForSenders(Struct, frozen=True, rename={"source": "ref"}):
    """Where a receiver shows senders what no audit can see, by the key of its source, and what it offers there."""

    source: str
    text: Words


def _listed(given: Any_) -> Any_:
    """One statement stands for a list of one, so that what is wrong with it is told once and by its own field."""
    return given if isinstance(given, list) else [given]


EVERY = ("*",)
"""Combines every provider."""


def _combined(data: Any_, place: Where, misfits: Misfits) -> tuple[str, ...]:
    if not data:
        misfits.append(Misfit(place[:-1], What.RULE, wanted=(COMBINES_NOBODY(),)))
    elif data != "all" and not (isinstance(data, list) and all(isinstance(each, str) for each in data)):
        misfits.append(Misfit(place, What.KIND, data, tuple[str, ...]))
    else:
        return EVERY if data == "all" else tuple(data)
    return ()


EVERYWHERE = "any"
"""In place of a region: all of them."""
DomainName = Annotated[str, Field(pattern=r"[a-z0-9-]+(\.[a-z0-9-]+)+")]
"""An A-label or a suffix of host names, in lower case."""


class Receiver(Struct, frozen=True):
    """A mailbox provider as a dated overlay over the rules, or several of them taken as one.

    A rule that it does not name is general advice and never enters its verdict.

    Attributes:
        name: language -> display name.
        domains: recipient domains that are its own, with all below them.
        mx_suffixes: MX host suffixes by which other recipient domains are recognised, those of its customers.
        regions: countries (ISO 3166, lower case) whose set it belongs to; EVERYWHERE: to every set.
        pages: sources of its own, by key.
        bulk_from: messages a day from which a sender counts as bulk, or None where no number is published.
        rules: rule id -> its statements; the first that counts for the mail is the one.
        combines: ids of the receivers whose hardest statement counts each time; empty for a provider of its own.
        default: judged where the user chose no receivers.
        about: language -> what a sender should know about it; may be empty.
        order: place in lists, the smallest first.
        short: language -> name where many are named, and for headlines and narrow columns; empty: the name.
        for_senders: see ForSenders; None: it offers nothing.

    """

    id: Annotated[str, Field(pattern="[a-z0-9-]+")]
    name: Words
    mx_suffixes: tuple[DomainName, ...] = ()
    sources: tuple[SourceRef, ...] = ()
    rules: Mapping[str, Annotated[tuple[Statement, ...], Field(before=_listed)]] = field(default_factory=dict)
    bulk_from: int | None = None
    file: Annotated[str, OUTSIDE] = ""
    combines: Annotated[tuple[str, ...], Field(read=_combined)] = ()
    about: Words = field(default_factory=dict)
    order: int = 1000
    default: bool = True
    short: Words = field(default_factory=dict)
    for_senders: ForSenders | None = None
    pages: Mapping[str, Source] = field(default_factory=dict)
    domains: tuple[DomainName, ...] = ()
    regions: tuple[Annotated[str, Field(pattern="any|[a-z]{2}")], ...] = ()

    def called(self, lang: str) -> str:
        """Its short name, or where it has none its name."""
        return self.short.get(lang) or self.name[lang]


class Selection(Struct, frozen=True):
    """Which rules and receivers count: ids or prefixes. Empty `select`: all; empty `receivers`: every provider.

    `profiles` are the baselines that the subject is held against beside that.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    receivers: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()

    def takes(self, rule_id: str) -> bool:
        """Whether the rule is judged."""
        chosen = not self.select or rule_id.startswith(self.select)
        return chosen and not (self.ignore and rule_id.startswith(self.ignore))

    @property
    def whole(self) -> bool:
        """Whether no rule is left out."""
        return not self.select and not self.ignore


class GradeRow(Struct, frozen=True):
    """A grade, and any of what gives it; a row without conditions always does.

    Attributes:
        verdicts: a receiver's verdict is one of these.
        certain: it is one of these by a statement that is not contested.
        unmet: a rule about delivery is unmet with this severity or a worse one.

    """

    grade: str
    verdicts: tuple[str, ...] = ()
    certain: tuple[str, ...] = ()
    unmet: Severity | None = None


class ParkedGrades(Struct, frozen=True):
    """Grades of a domain that sends nothing, where somebody could pass as it (open), and where nobody can (closed)."""

    open: str = ""
    closed: str = ""


class Grading(Struct, frozen=True, rename={"rows": "grades"}):
    """What verdicts and grades rest on beside rules and receivers.

    Attributes:
        bulk_from: messages a day that make a bulk sender where a receiver names no number.
        rows: the first of which something holds gives the grade; the last has no condition.
        parked: see ParkedGrades.

    """

    bulk_from: Annotated[int | None, Field(least=1, needed=True)] = None
    rows: tuple[GradeRow, ...] = ()
    parked: ParkedGrades = ParkedGrades()


class RuleSet(Struct, frozen=True):
    """Everything that judges: rules by id in file order, receivers by id in display order, sources by key.

    `knowledge` is what the same folders say of the world, for auditors and words; `tasks` are by code,
    `guide` has the steps of the guide in its order, `claims` are the positive statements by key,
    `profiles` the baselines by id.
    """

    rules: Mapping[str, Rule]
    receivers: Mapping[str, Receiver]
    sources: Mapping[str, Source]
    digest: str
    warnings: tuple[Detail, ...] = ()
    grading: Grading = field(default_factory=Grading)
    knowledge: Knowledge = field(default_factory=Knowledge)
    tasks: Mapping[str, Task] = field(default_factory=dict)
    guide: tuple[GuideEntry, ...] = ()
    claims: Mapping[str, Claim] = field(default_factory=dict)
    profiles: Mapping[str, Profile] = field(default_factory=dict)

    @property
    def providers(self) -> tuple[str, ...]:
        """The receivers that an audit judges for where none is chosen."""
        return tuple(ident for ident, each in self.receivers.items() if each.default and not each.combines)

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that receivers belong to, in alphabetical order."""
        return tuple(sorted({each for receiver in self.receivers.values() for each in receiver.regions} - {EVERYWHERE}))

    def of_regions(self, regions: Collection[str]) -> tuple[str, ...]:
        """The receivers of these regions, those used everywhere among them."""
        wanted = {*regions, EVERYWHERE}
        return tuple(ident for ident, each in self.receivers.items() if wanted & set(each.regions))

    def members(self, receiver: Receiver) -> tuple[Receiver, ...]:
        """The providers that a receiver stands for: those it combines, or itself."""
        return tuple(self.receivers[ident] for ident in receiver.combines) or (receiver,)

    def statements(self, receiver: Receiver, rule_id: str) -> tuple[Statement, ...]:
        """All that a receiver, or those it combines, say about a rule."""
        return tuple(each for member in self.members(receiver) for each in member.rules.get(rule_id, ()))
