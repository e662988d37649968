"""What an auditor is, how they run side by side, and how a crash of one is contained."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from msgspec import Struct, field

from deliverability.core.cache import Same, cached
from deliverability.core.codes import ABOUT, VERBATIM, Code, verbatim
from deliverability.core.facts.base import (
    ALIAS,
    ANSWERED,
    CERTIFICATE_INVALID,
    CERTIFICATE_VALID,
    GREETING,
    NO_NAME,
    NO_RECORD,
    NO_STARTTLS,
    NO_TLS,
    NO_TYPE,
    PAGE,
    REFUSES,
    STARTTLS,
    Catalogue,
    Evidence,
    EvidenceKind,
    EvidenceLine,
    Fact,
    FactSet,
    FactSpec,
    Reason,
    Unknown,
    Value,
    failure,
)
from deliverability.core.inputs import Subject
from deliverability.core.mail.html.accounting import ShownHtml
from deliverability.core.model.knowledge import Knowledge
from deliverability.core.model.topic import Topic, paths_of, specs_of
from deliverability.core.net.base import (
    A,
    Absent,
    Answer,
    DnsQuestion,
    Failed,
    Fetched,
    Found,
    MailHost,
    Page,
    PortQuestion,
    Probed,
    Resolver,
)
from deliverability.core.net.overlay import OverlayResolver
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import OFFLINE
from deliverability.features import AUDITORS, load

K = TypeVar("K", bound=Topic)

if TYPE_CHECKING:
    from deliverability.core.mail.reader import Message

NOT_STATED = Code("not-stated", ("name",))

AuditFunction = Callable[["Context"], Awaitable[None]]
TypedFunction = Callable[["Context"], Awaitable[Topic | tuple[Topic, ...]]]
_NO_MESSAGE = Unknown(Reason.NO_MESSAGE)


class Auditor(Struct, frozen=True, dict=True):
    """One topic: the facts it promises, the facts of others it reads, and the coroutine that does it.

    It is pickled by its name, so only those of the table can be.

    Attributes:
        declares: gives what it provides, its part of the catalogue, and the paths that it may read.
        of_message: all its facts are about the message; it is run only where there is one.

    """

    name: str
    declares: Callable[[], tuple[tuple[FactSpec, ...], tuple[str, ...]]]
    run: AuditFunction
    of_message: bool = False

    @property
    def provides(self) -> tuple[FactSpec, ...]:
        """Its part of the catalogue."""
        return self._declared[0]

    @property
    def needs(self) -> tuple[str, ...]:
        """The paths that it may read."""
        return self._declared[1]

    @cached_property
    def _declared(self) -> tuple[tuple[FactSpec, ...], tuple[str, ...]]:
        return self.declares()

    @cached_property
    def promised(self) -> tuple[str, ...]:
        """The paths that it must state (fields of list items travel inside their list)."""
        return tuple(spec.path for spec in self.provides if "[]" not in spec.path)

    @cached_property
    def without_message(self) -> Mapping[str, Fact]:
        """What stands under these paths where there is no message, the same for every subject."""
        return {path: Fact(path, _NO_MESSAGE) for path in self.promised}

    def __reduce__(self) -> tuple[Callable[[str], Auditor], tuple[str]]:
        return auditor_named, (self.name,)


def auditor(
    name: str,
    *topics: type[Topic],
    needs: Sequence[type[Topic]] = (),
    of_message: bool = False,
) -> Callable[[TypedFunction], Auditor]:
    """Declare an auditor: the topics that it states and those that it may read.

    One `of_message` is not run without a message: all its facts are Unknown(no-message) then.
    """

    def declares() -> tuple[tuple[FactSpec, ...], tuple[str, ...]]:
        return specs_of(*topics), tuple(path for each in needs for path in paths_of(each).values())

    def declare(audit: TypedFunction) -> Auditor:
        async def run(ctx: Context) -> None:
            stated = await audit(ctx)
            for topic in stated if isinstance(stated, tuple) else (stated,):
                ctx.stated.update(topic.stated())

        return Auditor(name, declares, run, of_message)

    return declare


class _Declared(Struct, frozen=True):
    """What is known of an auditor before its module is loaded."""

    entry: str
    name: str
    provides: tuple[FactSpec, ...]
    needs: tuple[str, ...]
    of_message: bool


@cache
def auditors() -> tuple[Auditor, ...]:
    """All auditors, in the order of the catalogue; the module of one is loaded when it is run for the first time."""
    return tuple(_late(each) for each in cached("auditors", [], _declarations))


def _declarations() -> tuple[_Declared, ...]:
    every: list[tuple[str, Auditor]] = [(entry, load(entry)) for entry in AUDITORS]
    return tuple(_Declared(entry, each.name, each.provides, each.needs, each.of_message) for entry, each in every)


def _late(declared: _Declared) -> Auditor:
    async def run(ctx: Context) -> None:
        auditor: Auditor = load(declared.entry)
        await auditor.run(ctx)

    return Auditor(declared.name, lambda: (declared.provides, declared.needs), run, declared.of_message)


def auditor_named(name: str) -> Auditor:
    """The auditor of that name. Raises KeyError where there is none."""
    return _by_name()[name]


@cache
def _by_name() -> Mapping[str, Auditor]:
    return {each.name: each for each in auditors()}


@cache
def catalogue() -> Catalogue:
    """The fact catalogue: every fact that rule files may name."""
    return catalogue_of(auditors())


def catalogue_of(auditors: Iterable[Auditor]) -> Catalogue:
    """The fact catalogue: every spec of every auditor by path. Raises ValueError where two promise one path."""
    catalogue: dict[str, FactSpec] = {}
    for each in auditors:
        for spec in each.provides:
            if spec.path in catalogue:
                raise ValueError(f"two auditors provide {spec.path}")
            catalogue[spec.path] = spec
    return catalogue


class MissingFact(Exception):
    """An auditor read a needed fact that is Unknown; the runner passes the reason on to its own facts."""

    def __init__(self, path: str, unknown: Unknown) -> None:
        super().__init__(path)
        self.unknown = unknown


def _shipped() -> Knowledge:
    from deliverability.core.rules.knowledge import shipped  # it reads files, which the catalogue has no need of

    return shipped()


def _pages(message: Message) -> ShownHtml:
    return ShownHtml(message)


class Context(Struct):
    """What one auditor is handed: the subject, the ports, the message, and only the facts it declared.

    Attributes:
        message: the sample message read into headers and parts, or None where none was given.
        pages: its HTML, taken apart once for all auditors; None without a message.
        knowledge: what to look things up in.
        before: what the auditor asked of DNS in the audit that is rehearsed again; nothing in an audit of its own.
        aside: DNS for what decides only what else is asked: another answer is no reason to audit again.
        topics: what was read of others.

    """

    subject: Subject
    ports: Ports
    message: Message | None
    known: Mapping[str, Fact]
    stated: dict[str, Fact] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    knowledge: Knowledge = field(default_factory=_shipped)
    pages: ShownHtml | None = None
    before: Collection[tuple[str, str]] = ()
    aside: Resolver = OFFLINE
    topics: dict[type[Topic], Topic] = field(default_factory=dict)

    @property
    def the_message(self) -> Message:
        """The message, of which an auditor is that asks for it so. Raises MissingFact where there is none."""
        if self.message is None:
            raise MissingFact("message.present", _NO_MESSAGE)
        return self.message

    @property
    def the_pages(self) -> ShownHtml:
        """Its HTML likewise."""
        if self.pages is None:
            raise MissingFact("message.present", _NO_MESSAGE)
        return self.pages

    @property
    def now(self) -> datetime:
        """When the audit began."""
        return self.ports.clock.now()

    def of(self, topic: type[K]) -> K:
        """The facts of a declared topic; KeyError where it was not declared in `needs`."""
        known = self.topics.get(topic)
        if not isinstance(known, topic):
            known = self.topics[topic] = topic.read(self._at)
        return known

    def evidence_of(self, topic: type[Topic], fact: str) -> tuple[str, ...]:
        """The ids of the evidence behind a fact of a declared topic."""
        return self.known[paths_of(topic)[fact]].evidence

    def _at(self, path: str) -> Value:
        return self.known[path].value

    async def query(self, name: str, rdtype: str) -> Answer:
        """Ask DNS and keep the answer as evidence (its id is `dns_id(name, rdtype)`)."""
        answer = await self.ports.dns.query(name, rdtype)
        self.cite_answer(answer)
        return answer

    async def post(self, url: str, form: str) -> Fetched:
        """Post a form and keep the answer as evidence."""
        fetched = await self.ports.http.post(url, form, self.ports.dns)
        self.cite(http_evidence(fetched, "POST"))
        return fetched

    async def probe(self, host: str) -> Probed:
        """Look at a mail server and keep what it said as evidence."""
        probed = await self.ports.smtp.probe(host, self.ports.dns)
        self.cite(smtp_evidence(probed))
        return probed

    def cite_answer(self, answer: Answer) -> str:
        """Keep a DNS answer as evidence and give its id."""
        item = dns_evidence(answer)
        self.evidence[item.id] = item
        return item.id

    def cite(self, item: Evidence) -> str:
        """Keep a piece of evidence and give its id."""
        self.evidence[item.id] = item
        return item.id


def dns_id(name: str, rdtype: str) -> str:
    """The evidence id of a DNS question."""
    return f"dns:{rdtype.upper()}:{name.rstrip('.').lower() or '.'}"


def dns_evidence(answer: Answer) -> Evidence:
    """A DNS answer as evidence: records, or "no such name", or what went wrong."""
    asked = f"{answer.rdtype} {answer.name}"
    ident = dns_id(answer.name, answer.rdtype)
    at = answer.at or None
    match answer:
        case Found():
            via = tuple(ALIAS(name=target) for target in answer.chain)
            return Evidence(ident, EvidenceKind.DNS, asked, (*via, *answer.values), at, answer.ttl, answer.place)
        case Absent():
            nothing = NO_NAME() if answer.nxdomain else NO_RECORD(type=answer.rdtype)
            return Evidence(ident, EvidenceKind.DNS, asked, (nothing,), at, answer.ttl, answer.place)
        case Failed():
            return Evidence(ident, EvidenceKind.DNS, asked, (failure(answer.reason, answer.detail),), at)


def http_id(url: str, method: str = "GET") -> str:
    """The evidence id of a fetched file, or of what was answered to another method."""
    return f"http:{url}" if method == "GET" else f"http-{method.lower()}:{url}"


def http_evidence(fetched: Fetched, method: str = "GET") -> Evidence:
    """What a web server answered as evidence: status, type and the beginning of a text, or what went wrong."""
    at = fetched.at or None
    if isinstance(fetched, Page):
        text = fetched.body[:_SHOWN_OCTETS].decode("utf-8", "backslashreplace")
        shown = tuple(text.splitlines()[:_SHOWN_LINES]) if fetched.content_type.startswith("text/") else ()
        kind = fetched.content_type or NO_TYPE()
        # Of other answers the body is not read.
        size = len(fetched.body) if method == "GET" else None
        head = ANSWERED(n=fetched.status, type=kind) if size is None else PAGE(n=fetched.status, type=kind, size=size)
        got: tuple[EvidenceLine, ...] = (head, *shown)
    else:
        got = (failure(fetched.reason, fetched.detail),)
    return Evidence(http_id(fetched.url, method), EvidenceKind.HTTP, f"{method} {fetched.url}", got, at)


def smtp_id(host: str) -> str:
    """The evidence id of a mail server that was looked at."""
    return f"smtp:{host}"


def smtp_evidence(probed: Probed) -> Evidence:
    """What a mail server showed as evidence, or why it could not be looked at."""
    at = probed.at or None
    got: tuple[EvidenceLine, ...]
    if not isinstance(probed, MailHost):
        got = (failure(probed.reason, probed.detail),)
    elif not probed.reachable:
        got = (REFUSES(address=probed.address),)
    else:
        tls = probed.tls_version or verbatim(probed.tls_problem) or NO_TLS()
        why = verbatim(probed.certificate_problem)
        certificate = CERTIFICATE_INVALID(why=why) if why else CERTIFICATE_VALID()
        got = (
            GREETING(address=probed.address, text=probed.greeting),
            STARTTLS(tls=tls) if probed.starttls else NO_STARTTLS(),
            *((certificate,) if probed.certificate else ()),
        )
    return Evidence(smtp_id(probed.host), EvidenceKind.SMTP, f"SMTP {probed.host}, port 25", got, at)


_SHOWN_OCTETS = 2000
_SHOWN_LINES = 30


class Execution(Struct, frozen=True):
    """What one auditor was given and what it made of it.

    Auditors are functions of the subject, the message, the time, the facts they need and the answers they get: with
    the same needs and the same answers to the questions in `answers` one would ask and state the same again.
    """

    needed: Mapping[str, Fact]
    answers: Mapping[tuple[str, str], Answer]
    stated: Mapping[str, Fact]
    evidence: Mapping[str, Evidence]


class Gathered(Struct, frozen=True):
    """All facts of a subject, and why auditors crashed (for stderr, not for the report): mostly a traceback.

    `executions` has what each auditor did that did not crash, for gathering again under slightly other answers.
    """

    facts: FactSet
    crashes: tuple[str, ...]
    executions: Mapping[str, Execution] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Gathered({self.facts!r}, {self.crashes!r})"


class _Listening:
    """Hears what one auditor asks of DNS and what it is answered."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Answer] = {}

    async def ask(self, question: PortQuestion[A], below: Callable[[], Awaitable[A]]) -> A:
        answer = await below()
        if isinstance(question, DnsQuestion) and isinstance(
            answer, (Found, Absent, Failed)
        ):  # of a union it takes longer
            self.answers[question.name, question.rdtype] = answer
        return answer


async def gather(
    auditors: Sequence[Auditor],
    subject: Subject,
    ports: Ports,
    message: Message | None,
    *,
    before: Mapping[str, Execution] | None = None,
    earlier: Mapping[str, Sequence[Execution]] | None = None,
    knowledge: Knowledge | None = None,
) -> Gathered:
    """Run all auditors side by side, each as soon as the facts it needs are stated.

    An auditor that raises leaves every fact it promised Unknown(bug); the others go on. With `before`, the executions
    of an earlier run for the same subject, message and time, an auditor is run only where a fact that it needs or an
    answer that it got is another now, and not one of its `earlier` executions had the same; then few are left, nearly
    all of whose questions were answered before, and they take turns. Without `knowledge` auditors look things up in
    what is shipped. Raises ValueError where the auditors do not fit together (a circle, or a need that nobody
    provides).
    """
    ordered, needed, paths = _together(Same(auditors))
    known: dict[str, Fact] = {}
    evidence: dict[str, Mapping[str, Evidence]] = {}
    crashes: dict[str, str] = {}
    allowed = ports.allowed()
    knowledge = knowledge or _shipped()
    tasks: dict[str, asyncio.Task[None]] = {}
    executions: dict[str, Execution] = {}
    changed = await _changed(before, ports.dns) if before else frozenset()
    pages = _pages(message) if message else None
    differing: set[str] = set()  # paths of facts that are others than before

    def take(each: Auditor, stated: Mapping[str, Fact], found: Mapping[str, Evidence]) -> None:
        known.update(stated)
        evidence[each.name] = found
        was = before.get(each.name) if before else None
        if before and (was is None or was.stated is not stated):
            old = was.stated if was else {}
            differing.update(path for path, fact in stated.items() if old.get(path) != fact)

    async def run(each: Auditor) -> None:
        for dependency in needed[each.name]:
            if dependency in tasks:
                await tasks[dependency]
        facts = {path: known[path] for path in each.needs}
        for other in earlier.get(each.name, ()) if earlier else ():
            if other.needed == facts and await _answered_so(other, ports.dns):
                executions[each.name] = other
                take(each, other.stated, other.evidence)
                return
        done = before.get(each.name) if before else None
        listening = _Listening()
        context = Context(
            subject,
            allowed.under(listening),
            message,
            facts,
            knowledge=knowledge,
            pages=pages,
            before=done.answers if done else (),
            aside=allowed.dns,
        )
        try:
            await each.run(context)
            undeclared = set(context.stated) - set(each.promised)
            if undeclared:
                raise ValueError(f"{each.name} stated facts it never declared: {sorted(undeclared)}")
            lost = Unknown(Reason.BUG, NOT_STATED(name=each.name))
        except MissingFact as missing:
            lost = missing.unknown
        except Exception as error:
            lacking = isinstance(error, OSError | MemoryError)  # what the machine has not got is no fault to be found
            what = "not enough memory" if isinstance(error, MemoryError) else str(error)
            crashes[each.name] = f"auditor {each.name}:" + (f" {what}" if lacking else f"\n{traceback.format_exc()}")
            lost = Unknown(Reason.BUG, ABOUT(what=each.name, detail=VERBATIM(text=type(error).__name__)))
            context.stated.clear()
        stated = {path: context.stated.get(path) or Fact(sys.intern(path), lost) for path in each.promised}
        if done:  # what is as it was, is the same object
            stated = {path: was if (was := done.stated.get(path)) == fact else fact for path, fact in stated.items()}
        take(each, stated, context.evidence)
        if each.name not in crashes:
            executions[each.name] = Execution(facts, listening.answers, stated, context.evidence)

    try:
        async with asyncio.TaskGroup() as group:
            for each in ordered:
                done = before.get(each.name) if before else None
                if message is None and each.of_message:
                    known.update(each.without_message)
                    evidence[each.name] = {}
                elif done and _same_answers(done, changed) and differing.isdisjoint(each.needs):
                    executions[each.name] = done
                    take(each, done.stated, done.evidence)
                elif before:
                    await run(each)
                else:
                    tasks[each.name] = group.create_task(run(each), name=each.name)
    finally:
        tasks.clear()
    merged = {item.id: item for each in auditors for item in evidence[each.name].values()}
    return Gathered(
        FactSet(dict(zip(paths, map(known.__getitem__, paths), strict=True)), dict(sorted(merged.items()))),
        tuple(crashes[each.name] for each in auditors if each.name in crashes),
        executions,
    )


async def _changed(before: Mapping[str, Execution], resolver: Resolver) -> frozenset[tuple[str, str]]:
    """The questions of an earlier run that are answered otherwise now."""
    answers = {question: answer for work in before.values() for question, answer in work.answers.items()}
    if isinstance(resolver, OverlayResolver):
        answers = {key: answer for key, answer in answers.items() if resolver.reaches(key[0], answer)}
    now = {key: await resolver.query(*key) for key, answer in answers.items() if not isinstance(answer, Failed)}
    # What failed may be asked for anew, by way of proposed records: all at once.
    failed = [key for key in answers if key not in now]
    now.update(zip(failed, await asyncio.gather(*(resolver.query(*key) for key in failed)), strict=True))
    return frozenset([key for key, answer in answers.items() if now[key] != answer])


async def _answered_so(done: Execution, resolver: Resolver) -> bool:
    """Whether its questions are answered now as they were."""
    for question, answer in done.answers.items():
        if await resolver.query(*question) != answer:
            return False
    return True


def _same_answers(done: Execution, changed: Iterable[tuple[str, str]]) -> bool:
    return not any(question in done.answers for question in changed)


class _Together(NamedTuple):
    """Auditors with those they depend on first, by name which those are, and the paths of all their facts."""

    ordered: Sequence[Auditor]
    needed: Mapping[str, frozenset[str]]
    paths: tuple[str, ...]


@lru_cache(maxsize=8)
def _together(auditors: Same[Sequence[Auditor]]) -> _Together:
    """How they run together. Raises ValueError as `_in_order` does."""
    provider = {path: each for each in auditors.it for path in each.promised}
    ordered = _in_order(auditors.it, provider)
    needed = {each.name: frozenset(provider[path].name for path in each.needs) for each in ordered}
    return _Together(ordered, needed, tuple(map(sys.intern, provider)))


def _in_order(auditors: Sequence[Auditor], provider: Mapping[str, Auditor]) -> list[Auditor]:
    """Auditors with those they depend on first. Raises ValueError on a cycle or a need nobody provides."""
    order: list[Auditor] = []
    state: dict[str, bool] = {}

    def visit(each: Auditor) -> None:
        if state.get(each.name):
            return
        if each.name in state:
            raise ValueError(f"auditors need each other in a circle: {each.name}")
        state[each.name] = False
        for path in each.needs:
            if path not in provider:
                raise ValueError(f"{each.name} needs {path}, which no auditor provides")
            visit(provider[path])
        state[each.name] = True
        order.append(each)

    for each in auditors:
        visit(each)
    return order
