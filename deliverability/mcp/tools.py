"""The tools: what an assistant may ask, and answers made of our own sentences.

Whatever a stranger wrote (DNS records, mails, replies) is data: it stands in a `Quoted`, with what could hide or steer
something written out, shortened, and in none of the sentences.
"""

from __future__ import annotations

import asyncio
import binascii
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from deliverability.api.report import Finding, Report
from deliverability.api.session import Session
from deliverability.core.codes import Code
from deliverability.core.errors import DelivError, InputError
from deliverability.core.inputs import parse_domain
from deliverability.core.model.report import Care, Outcome, VerdictKind
from deliverability.core.model.rules import Rule, RuleSet
from deliverability.core.phrases import Phrases, detail_words, phrases
from deliverability.core.report.findings import effect_words
from deliverability.core.store.store import kept
from deliverability.core.words.sentences import shortened, visible
from deliverability.core.words.speaker import cited
from deliverability.core.words.steps import filled, rule_title
from deliverability.engine.rules import load_rules
from deliverability.mcp.server import ToolAnswer, Tools
from deliverability.weekly.trend import subject_rows

T = TypeVar("T", bound=Struct)

MOST_FINDINGS = 12
MOST_QUOTED = 120  # characters
MOST_ANSWER = 24_000  # octets
MOST_A_MINUTE = 30  # domains
_MOST_RECORD = 4_096  # characters
_MOST_ITEMS = 6
_MOST_CHANGES = 50

MCP_NO_ROOT = Code("mcp-no-root")
MCP_OUTSIDE = Code("mcp-outside-root")
MCP_ONE_MESSAGE = Code("mcp-one-message")
MCP_NOT_BASE64 = Code("mcp-not-base64")
MCP_TOO_MANY = Code("mcp-too-many", ("n",))
MCP_NO_RULE = Code("mcp-no-rule")
MCP_NO_HISTORY = Code("mcp-no-history")


class Quoted(Struct, frozen=True):
    """What somebody else wrote: where (dns, mail, smtp) and its words, with hidden characters written out."""

    source: Literal["dns", "mail", "smtp"] = field(name="from")
    text: str


class Truncated(Struct, frozen=True):
    """That there is more: of what, how many in all, and how to get it."""

    what: str
    total: int
    how: str


# --- what is asked ---

Domain = Annotated[str, Meta(description="A domain name, such as example.com", min_length=1, max_length=300)]
Receivers = Annotated[
    list[str], Meta(description="Ids of receivers, such as gmail; none: the usual ones", max_length=40)
]
PurposeGiven = Annotated[
    Literal["bulk", "transactional", "users"] | None, Meta(description="What the domain sends: bulk is newsletters")
]


class AuditDomain(Struct, frozen=True, forbid_unknown_fields=True):
    """Audit a domain's DNS as the receivers of its mail see it: verdict per receiver, grade, what is wrong."""

    domain: Domain
    purpose: PurposeGiven = None
    receivers: Receivers = []
    selectors: Annotated[list[str], Meta(description="DKIM selectors, where they are known", max_length=20)] = []


class AuditMessage(Struct, frozen=True, forbid_unknown_fields=True):
    """Audit a message (an .eml file or its octets) together with the DNS of its domain: would each receiver take it?"""

    path: Annotated[str, Meta(description="A file below the folder that --root names", max_length=4096)] | None = None
    content: Annotated[str, Meta(description="The message in base64, up to 2 MB", max_length=2_800_000)] | None = None
    domain: Annotated[str, Meta(description="Where it is not the domain in From", max_length=300)] | None = None


class ExplainReply(Struct, frozen=True, forbid_unknown_fields=True):
    """Say what a receiver's reply or bounce means, whether to try again, and what to do."""

    text: Annotated[str, Meta(description="The reply, such as 550 5.7.26 ...", min_length=1, max_length=4_000)]
    receiver: Annotated[str, Meta(description="Id of the receiver, where it is known", max_length=40)] | None = None


class FixPlan(Struct, frozen=True, forbid_unknown_fields=True):
    """The DNS records to publish for a domain, each rehearsed: which rules it settles and which verdicts change."""

    domain: Domain
    care: Annotated[
        Literal["safe", "careful", "last-resort"], Meta(description="The most risk that a step may have")
    ] = "careful"


class WhatIf(Struct, frozen=True, forbid_unknown_fields=True):
    """How each receiver's verdict about a domain would change if these records were published."""

    domain: Domain
    records: Annotated[
        list[Annotated[str, Meta(max_length=_MOST_RECORD)]],
        Meta(description="Up to 20, each as NAME TYPE VALUE", min_length=1, max_length=20),
    ]


class DmarcGate(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether the next DMARC policy of a domain is safe, by the reports that deliv has taken in."""

    domain: Domain
    to: Annotated[Literal["quarantine", "reject"] | None, Meta(description="The policy; none: the next one")] = None


class RuleAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """What a rule asks, why, how to meet it, which receivers ask for it, and the sources with their dates."""

    id: Annotated[str, Meta(description="A letter code and a number, as findings have it", min_length=1, max_length=40)]


class ListChanged(Struct, frozen=True, forbid_unknown_fields=True):
    """What changed from one weekly run to the next: records, settings, the message, the verdicts."""

    domain: Annotated[str, Meta(description="One domain; none: all", max_length=300)] | None = None
    since: Annotated[date | None, Meta(description="A day, such as 2026-11-01; none: the newest run")] = None


# --- what is answered ---


class FoundOut(Struct, frozen=True):
    """A rule that is not met. `observed`: what was found, by fact."""

    rule: str
    title: str
    severity: str
    receivers: list[str]
    observed: dict[str, Any]
    item: Quoted | None = None


class Audited(Struct, frozen=True):
    """The answer of an audit. `decided_by`: receiver -> the rules behind its verdict; `not_checked`: ids of rules."""

    grade: str
    verdicts: dict[str, str]
    refused: list[str]
    at_risk: list[str]
    decided_by: dict[str, list[str]]
    findings: list[FoundOut]
    not_checked: list[str]
    domain: str | None = None
    author_domain: Quoted | None = None
    truncated: Truncated | None = None


class Explained(Struct, frozen=True):
    """One reply. `retry`: whether to send again; `fit`: how closely the meaning fits."""

    reply: Quoted
    code: str
    enhanced: str
    receiver: str
    fit: str
    about: str | None
    retry: str | None
    means: str
    todo: list[str]
    rules: list[str]


class Explanations(Struct, frozen=True):
    """The replies that were found in the text."""

    replies: list[Explained]
    truncated: Truncated | None = None


class Edit(Struct, frozen=True):
    """A record set: what to publish, and what stands there now."""

    name: str
    type: str
    publish: list[str]
    replaces: list[Quoted]


class Change(Struct, frozen=True):
    """A verdict before and after."""

    before: str
    after: str


class Step(Struct, frozen=True):
    """A remedy. `settles` and `opens`: ids of rules."""

    rule: str
    title: str
    care: str
    records: list[Edit]
    settles: list[str]
    opens: list[str]
    verdicts: dict[str, Change]


class Plan(Struct, frozen=True):
    """The remedies in order; `riskier`: how many more there are that need more care; `not_checked`: ids of rules."""

    domain: str
    steps: list[Step]
    riskier: int
    not_checked: list[str]
    truncated: Truncated | None = None


class Rehearsed(Struct, frozen=True):
    """The verdicts as they are and as they would be; the lists but `changed` have ids of rules.

    `settled`: met afterwards; `no_longer_judged`: no longer unmet, but not met either, since what they ask about is
    missing or cannot be read.
    """

    domain: str
    verdicts: dict[str, Change]
    changed: list[str]
    settled: list[str]
    no_longer_judged: list[str]
    opened: list[str]
    not_checked: list[str]


class Condition(Struct, frozen=True):
    """A rule of the gate that is not met or could not be checked."""

    rule: str
    title: str


class GateAnswer(Struct, frozen=True):
    """The gate's answer: safe, not-yet or cannot-tell; where there is no next policy stay, hits or cannot-tell."""

    domain: str
    to: str
    answer: str
    missing: list[Condition]
    earliest: str | None


class Asks(Struct, frozen=True):
    """A receiver's statement about a rule."""

    receiver: str
    effect: str
    severity: str
    contested: bool
    quote: Quoted | None = None


class Cited(Struct, frozen=True):
    """A source, with the day on which it was read."""

    title: str
    url: str
    read: str


class RulePage(Struct, frozen=True):
    """A rule."""

    id: str
    title: str
    why: str
    fix: list[str]
    severity: str
    receivers: list[Asks]
    sources: list[Cited]


class Changed(Struct, frozen=True):
    """A subject of a weekly run. `records`: those that changed, by the question; `verdicts`: how many of which kind."""

    domain: str
    day: str
    records: list[Quoted]
    settings: list[str]
    message: bool
    rules: bool
    first: bool
    verdicts: dict[str, int]


class Changes(Struct, frozen=True):
    """What weekly runs found changed, newest first."""

    runs: list[Changed]
    truncated: Truncated | None = None


def quote(source: Literal["dns", "mail", "smtp"], text: str) -> Quoted:
    """A stranger's words as data."""
    return Quoted(source, shortened(visible(text), MOST_QUOTED))


class Toolbox:
    """The tools over one session.

    Args:
        session: what audits.
        proposing: makes a session that audits as if records were published; closed after use.
        folders: the rule folders of the session.
        root: the folder below which messages may be read; None: none may.
        history: the history, as a URL; empty: the user's own.
        folder: what a relative history is named from.
        offline: no tool asks anybody.
        lang: the language of the sentences.

    """

    def __init__(
        self,
        session: Session,
        proposing: Callable[[Sequence[str]], Session],
        folders: tuple[Path, ...] = (),
        *,
        root: Path | None = None,
        history: str = "",
        folder: Path | None = None,
        offline: bool = False,
        lang: str = "en",
    ) -> None:
        self._session, self._proposing, self._folders, self._lang = session, proposing, folders, lang
        self._root = root.resolve() if root is not None else None
        self._history, self._folder, self._offline = history, folder, offline
        self._say: Phrases = phrases(lang)
        self._audited: deque[float] = deque()
        # Each with the kind of its arguments and of its answer, and whether it asks the world.
        self._table: dict[str, tuple[type[Struct], type[Struct], bool, Callable[[Any], Awaitable[ToolAnswer]]]] = {
            "audit_domain": (AuditDomain, Audited, True, self._audit_domain),
            "audit_message": (AuditMessage, Audited, True, self._audit_message),
            "explain_reply": (ExplainReply, Explanations, False, self._explain_reply),
            "fix_plan": (FixPlan, Plan, True, self._fix_plan),
            "what_if": (WhatIf, Rehearsed, True, self._what_if),
            "dmarc_gate": (DmarcGate, GateAnswer, True, self._dmarc_gate),
            "rule": (RuleAsked, RulePage, False, self._rule),
            "list_changed": (ListChanged, Changes, False, self._list_changed),
        }

    def tools(self) -> Tools:
        """What a server offers of it."""
        listed = tuple(
            {
                "name": name,
                "description": asked.__doc__,
                "inputSchema": _schema(asked),
                "outputSchema": _schema(answered),
                "annotations": {
                    "readOnlyHint": True,
                    "destructiveHint": False,
                    "idempotentHint": True,
                    "openWorldHint": world and not self._offline,
                },
            }
            for name, (asked, answered, world, _) in self._table.items()
        )
        return Tools(listed, self.call, self._say("mcp.instructions"))

    async def call(self, name: str, arguments: Mapping[str, Any]) -> ToolAnswer:
        """Run a tool. Raises LookupError where there is none of that name."""
        kind, _, _, work = self._table[name]
        try:
            asked = msgspec.convert(arguments, kind)
        except msgspec.ValidationError as error:
            return ToolAnswer(self._say("mcp.wrong-arguments", text=visible(str(error))), failed=True)
        try:
            return await work(asked)
        except InputError as error:
            return ToolAnswer(visible(detail_words(error.detail, self._say)), failed=True)
        except DelivError as error:
            return ToolAnswer(visible(str(error)), failed=True)

    # --- the tools ---

    async def _audit_domain(self, asked: AuditDomain) -> ToolAnswer:
        domain = self._counted(asked.domain)
        report = await self._session.audit_async(
            domain,
            purpose=asked.purpose,
            receivers=asked.receivers or None,
            selectors=asked.selectors,
            remedies=False,
        )
        return self._audited_answer(report, domain)

    async def _audit_message(self, asked: AuditMessage) -> ToolAnswer:
        message = await asyncio.to_thread(self._message, asked)
        domain = self._counted(asked.domain)
        report = await self._session.audit_async(domain or None, message=message, remedies=False)
        return self._audited_answer(report, domain)

    async def _explain_reply(self, asked: ExplainReply) -> ToolAnswer:
        found = await self._session.explain_async(asked.text, receiver=asked.receiver)
        replies = [
            Explained(
                reply=quote("smtp", each.text),
                code=each.code,
                enhanced=each.enhanced,
                receiver=each.receiver,
                fit=each.fit.value,
                about=each.about.value if each.about is not None else None,
                retry=each.retry.value if each.retry is not None else None,
                means=each.means(self._lang),
                todo=list(each.todo(self._lang)),
                rules=list(each.rules),
            )
            for each in found.replies
        ]
        if not replies:
            return ToolAnswer(self._say("mcp.no-reply"), _plain(Explanations([])))
        kept, truncated = self._fitting(replies, "replies", self._say("mcp.how-replies"))
        lines = [
            line
            for each in kept
            for line in (
                f"{each.code} {each.enhanced} {each.means or self._say('mcp.not-known')}",
                *(f"- {step}" for step in each.todo),
            )
        ]
        return ToolAnswer("\n".join(lines), _plain(Explanations(kept, truncated)))

    async def _fix_plan(self, asked: FixPlan) -> ToolAnswer:
        domain = self._counted(asked.domain)
        report = await self._session.audit_async(domain)
        allowed = list(Care)[: list(Care).index(Care(asked.care)) + 1]
        rules = await self._rules()
        chosen = [each for each in report.remedies if each.care in allowed]
        steps = [
            Step(
                rule=each.rule,
                title=rule_title(rules.rules[each.rule], self._lang),
                care=each.care.value,
                records=[
                    Edit(
                        edit.name,
                        edit.type,
                        [visible(value)[:_MOST_RECORD] for value in edit.new],
                        [quote("dns", value) for value in edit.old],
                    )
                    for edit in each.edits
                ],
                settles=list(each.mends),
                opens=list(each.opens),
                verdicts={gain.receiver: Change(gain.before.value, gain.after.value) for gain in each.gains},
            )
            for each in chosen
        ]
        kept, truncated = self._fitting(steps, "steps", self._say("mcp.how-fix", domain=domain))
        lines = [self._say.count("mcp.steps", len(steps))] if steps else []
        lines += [f"{number}) {each.rule}: {each.title} ({each.care})" for number, each in enumerate(kept, 1)]
        left_open = _not_checked(report)
        lines += self._open_words(left_open) or ([] if steps else [self._say("mcp.no-steps")])
        plan = Plan(domain, kept, len(report.remedies) - len(chosen), left_open, truncated)
        return ToolAnswer("\n".join(lines), _plain(plan))

    async def _what_if(self, asked: WhatIf) -> ToolAnswer:
        domain = self._counted(asked.domain)
        before = await self._session.audit_async(domain, remedies=False)
        async with self._proposing(asked.records) as proposed:
            after = await proposed.audit_async(domain, remedies=False)
        verdicts = {
            ident: Change(kind.value, after.verdicts[ident].value)
            for ident, kind in before.verdicts.items()
            if ident in after.verdicts
        }
        changed = [ident for ident, each in verdicts.items() if each.before != each.after]
        was, now = ({each.rule for each in report.unmet} for report in (before, after))
        lines = [
            self._say(
                "mcp.becomes",
                receiver=ident,
                before=self._kind(verdicts[ident].before),
                after=self._kind(verdicts[ident].after),
            )
            for ident in changed
        ]
        met = {each.rule for each in after.findings if each.outcome is Outcome.MET}
        settled, moot = sorted((was - now) & met), sorted(was - now - met)
        left_open = _not_checked(after)
        lines += self._open_words(left_open) or ([] if lines else [self._say("mcp.no-change")])
        if moot:
            lines.append(self._say("mcp.no-longer-judged", rules=", ".join(moot)))
        rehearsed = Rehearsed(domain, verdicts, changed, settled, moot, sorted(now - was), left_open)
        return ToolAnswer("\n".join(lines), _plain(rehearsed))

    async def _dmarc_gate(self, asked: DmarcGate) -> ToolAnswer:
        domain = self._counted(asked.domain)
        gate = await self._session.gate_async(domain, to=asked.to, history=self._history or None)
        rules = await self._rules()
        missing = [Condition(each, rule_title(rules.rules[each], self._lang)) for each in gate.missing]
        earliest = gate.earliest.isoformat() if gate.earliest is not None else None
        lines = [
            self._say(f"mcp.gate.{gate.answer}", domain=domain, policy=gate.to or self._say("mcp.next-policy")),
            *(f"- {each.rule}: {each.title}" for each in missing),
        ]
        return ToolAnswer("\n".join(lines), _plain(GateAnswer(domain, gate.to, gate.answer, missing, earliest)))

    async def _rule(self, asked: RuleAsked) -> ToolAnswer:
        rules = await self._rules()
        rule = rules.rules.get(asked.id.strip().upper())
        if rule is None:
            raise InputError(MCP_NO_RULE())
        page = self._page(rule, rules)
        lines = [f"{page.id}: {page.title}", page.why, *(f"- {step}" for step in page.fix)]
        lines += [f"{each.receiver}: {each.effect}" for each in page.receivers]
        lines += [f"{each.title} ({each.read}) {each.url}" for each in page.sources]
        return ToolAnswer("\n".join(lines), _plain(page))

    async def _list_changed(self, asked: ListChanged) -> ToolAnswer:
        domain = parse_domain(asked.domain) if asked.domain is not None else None
        runs = await asyncio.to_thread(self._runs, domain, asked.since)
        kept, truncated = self._fitting(runs[:_MOST_CHANGES], "runs", self._say("mcp.how-changed"), total=len(runs))
        lines = [
            self._say("mcp.changed", n=f"{len(each.records):,}", domain=each.domain, day=each.day)
            + ("" if not each.first else " " + self._say("history.first"))
            for each in kept
        ]
        text = "\n".join(lines) or self._say("mcp.nothing-changed")
        return ToolAnswer(text, _plain(Changes(kept, truncated)))

    # --- inside ---

    def _counted(self, domain: str | None) -> str:
        """The domain, counted among those of the last minute. Raises InputError where these are too many."""
        parsed = parse_domain(domain) if domain is not None else ""
        now = time.monotonic()
        while self._audited and self._audited[0] < now - 60:
            self._audited.popleft()
        if len(self._audited) >= MOST_A_MINUTE:
            raise InputError(MCP_TOO_MANY(n=MOST_A_MINUTE))
        self._audited.append(now)
        return parsed

    def _message(self, asked: AuditMessage) -> bytes | Path:
        if (asked.path is None) == (asked.content is None):
            raise InputError(MCP_ONE_MESSAGE())
        if asked.content is not None:
            try:
                return binascii.a2b_base64(asked.content, strict_mode=True)
            except (binascii.Error, ValueError):
                raise InputError(MCP_NOT_BASE64()) from None
        if self._root is None:
            raise InputError(MCP_NO_ROOT())
        try:
            path = (self._root / str(asked.path)).resolve()
        except (OSError, ValueError, RuntimeError):
            raise InputError(MCP_OUTSIDE()) from None
        if not path.is_relative_to(self._root) or not path.is_file():
            raise InputError(MCP_OUTSIDE())
        return path

    async def _rules(self) -> RuleSet:
        return await asyncio.to_thread(load_rules, self._folders)

    def _audited_answer(self, report: Report, domain: str) -> ToolAnswer:
        unmet = list(report.unmet)
        findings = [self._found(each) for each in unmet]
        kept, truncated = self._fitting(
            findings[:MOST_FINDINGS], "findings", self._say("mcp.how-findings"), total=len(findings)
        )
        answer = Audited(
            grade=report.grade,
            verdicts={ident: kind.value for ident, kind in report.verdicts.items()},
            refused=list(report.refused),
            at_risk=list(report.at_risk),
            decided_by={
                ident: list(dict.fromkeys(each.rule for each in one.effects))[:MOST_FINDINGS]
                for ident, one in report.receivers.items()
                if one.effects
            },
            findings=kept,
            not_checked=_not_checked(report),
            domain=domain or None,
            author_domain=quote("mail", report.domain) if not domain and report.domain else None,
            truncated=truncated,
        )
        by_kind: dict[VerdictKind, list[str]] = {}
        for ident, kind in sorted(report.verdicts.items(), key=lambda each: -each[1].rank):
            by_kind.setdefault(kind, []).append(ident)
        lines = [f"{self._kind(kind)}: {', '.join(them)}" for kind, them in by_kind.items()]
        if report.grade:
            lines.append(self._say("verdict.grade", grade=report.grade))
        lines += [f"- {each.rule} ({each.severity}): {each.title}" for each in kept]
        lines += self._open_words(answer.not_checked)
        return ToolAnswer("\n".join(lines), _plain(answer))

    def _open_words(self, rules: Sequence[str]) -> list[str]:
        """How many rules could not be checked: then nothing is said to be fine."""
        return [self._say.count("mcp.not-checked", len(rules))] if rules else []

    def _kind(self, kind: str) -> str:
        return self._say(f"verdict.{kind}")

    def _found(self, finding: Finding) -> FoundOut:
        return FoundOut(
            rule=finding.rule,
            title=finding.title(self._lang),
            severity=finding.severity.value if finding.severity is not None else "",
            receivers=list(finding.receivers),
            observed={path: _observed(value) for path, value in finding.observed.items()},
            item=quote("dns", finding.item) if finding.item else None,
        )

    def _page(self, rule: Rule, rules: RuleSet) -> RulePage:
        texts = rule.text[self._lang]
        asks = [
            Asks(
                receiver.id,
                effect_words([(statement.effect, statement.contested)], self._say),
                statement.severity.value,
                statement.contested,
            )
            for receiver in rules.receivers.values()
            for statement in receiver.rules.get(rule.id, ())
        ]
        sources = [rules.sources[each.ref] for each in rule.sources]
        shown = [(cited(each, self._say), each) for each in sources]
        return RulePage(
            rule.id,
            rule_title(rule, self._lang),
            filled(texts.why, rule, self._say),
            [filled(step, rule, self._say) for step in texts.steps],
            rule.severity.value,
            asks,
            [Cited(each.title, each.url, source.checked) for each, source in shown],
        )

    def _runs(self, domain: str | None, since: date | None) -> list[Changed]:
        with kept(self._history, self._folder) as history:
            subjects = [each for each in history.subjects() if domain in (None, each[0])] if history else []
            if history is None or not subjects:
                raise InputError(MCP_NO_HISTORY())
            rows = [row for each in subjects for row in subject_rows(history.snapshots(*each))]
        rows.sort(key=lambda row: row.run.started, reverse=True)
        newest = rows[0].run.started[:10] if rows else ""
        first = since.isoformat() if since is not None else newest
        return [
            Changed(
                row.domain,
                row.run.started[:10],
                [quote("dns", each.asked) for each in row.records],
                list(row.settings),
                row.message,
                row.rules,
                row.first,
                {kind.value: row.kinds.count(kind) for kind in dict.fromkeys(row.kinds)},
            )
            for row in rows
            if row.run.started[:10] >= first and (since is None or row.records or row.settings or row.message)
        ]

    def _fitting(
        self, items: Sequence[T], what: str, how: str, *, total: int | None = None
    ) -> tuple[list[T], Truncated | None]:
        """As many as an answer holds, and that there are more."""
        size, kept = 0, []
        for each in items:
            size += len(msgspec.json.encode(each))
            if size > MOST_ANSWER // 2:
                break
            kept.append(each)
        every = len(items) if total is None else total
        return kept, Truncated(what, every, how) if len(kept) < every else None


def _not_checked(report: Report) -> list[str]:
    """The rules that could not be checked, though what they need was given."""
    return sorted({e.rule for e in report.findings if e.outcome is Outcome.UNKNOWN and e.severity is not None})


def _observed(value: Any) -> Any:
    """A fact's value: numbers and yes or no as they are, all texts as quotations, of lists the first."""
    if isinstance(value, str):
        return _plain(quote("dns", value))
    if isinstance(value, Mapping):
        return {key: _observed(each) for key, each in list(value.items())[:_MOST_ITEMS]}
    if isinstance(value, Iterable):
        return [_observed(each) for each in list(value)[:_MOST_ITEMS]]
    return value


def _plain(answer: Struct) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(answer)
    return found


def _schema(kind: type[Struct]) -> dict[str, Any]:
    """The JSON schema of a Struct, which is an object at its root."""
    schema = msgspec.json.schema(kind, ref_template="#/$defs/{name}")
    named = schema["$defs"].pop(kind.__name__)
    named.pop("title", None)
    return {**named, **({"$defs": schema["$defs"]} if schema["$defs"] else {})}
