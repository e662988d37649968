"""Running auditors: in the order of their needs, side by side, and with the crash of one contained."""

from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from deliverability.core.codes import ABOUT, VERBATIM, failed_question
from deliverability.core.facts.base import (
    ALIAS,
    NO_NAME,
    NO_RECORD,
    Fact,
    FactSpec,
    FactType,
    Reason,
    Unknown,
    Value,
    failure,
)
from deliverability.core.inputs import Subject
from deliverability.core.model.topic import Cited
from deliverability.core.net.base import Absent, Failed, Found, unknown_from
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.rules.judge import Selection
from deliverability.engine.audit import Audited, make_report
from deliverability.engine.base import (
    NOT_STATED,
    AuditFunction,
    Auditor,
    Context,
    Gathered,
    MissingFact,
    auditors,
    catalogue,
    catalogue_of,
    dns_evidence,
    gather,
)
from deliverability.engine.rules import exit_code, load_rules

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def make(name: str, provides: list[str], needs: list[str], run: AuditFunction) -> Auditor:
    specs = tuple(FactSpec(path, FactType.INT, "A number.") for path in provides)
    return Auditor(name, lambda: (specs, tuple(needs)), run)


def put(ctx: Context, path: str, value: Value, *evidence: str) -> None:
    """State a fact as a topic does."""
    ctx.stated[path] = Fact(path, value, Cited(evidence).of(path))


async def run(*auditors: Auditor) -> Gathered:
    resolver = StaticResolver({("example.com", "TXT"): ["v=spf1 -all"]})
    return await gather(auditors, Subject("example.com"), Ports(resolver, FixedClock(NOW)), None)


async def nothing(ctx: Context) -> None:
    pass


async def test_an_auditor_begins_when_what_it_needs_is_stated() -> None:
    order: list[str] = []

    async def first(ctx: Context) -> None:
        await asyncio.sleep(0)
        order.append("first")
        put(ctx, "a.one", 1)

    async def second(ctx: Context) -> None:
        order.append("second")
        assert ctx.known["a.one"].value == 1
        put(ctx, "b.two", 2)

    gathered = await run(make("second", ["b.two"], ["a.one"], second), make("first", ["a.one"], [], first))
    assert order == ["first", "second"]
    assert [fact.path for fact in gathered.facts] == ["b.two", "a.one"], "the order of the catalogue, not of the run"


async def test_auditors_that_need_nothing_of_each_other_run_side_by_side() -> None:
    met = asyncio.Event()

    async def waits(ctx: Context) -> None:
        await asyncio.wait_for(met.wait(), 60)
        put(ctx, "a.one", 1)

    async def wakes(ctx: Context) -> None:
        met.set()
        put(ctx, "b.two", 2)

    gathered = await run(make("waits", ["a.one"], [], waits), make("wakes", ["b.two"], [], wakes))
    assert gathered.facts.value("a.one") == 1


async def test_a_circle_of_needs_is_refused() -> None:
    with pytest.raises(ValueError, match="in a circle"):
        await run(make("a", ["a.x"], ["b.x"], nothing), make("b", ["b.x"], ["a.x"], nothing))


async def test_a_need_that_nobody_provides_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a needs z\.x, which no auditor provides"):
        await run(make("a", ["a.x"], ["z.x"], nothing))


def test_two_auditors_cannot_promise_one_fact() -> None:
    with pytest.raises(ValueError, match=r"two auditors provide a\.x"):
        catalogue_of([make("a", ["a.x"], [], nothing), make("b", ["a.x"], [], nothing)])


async def test_an_undeclared_fact_is_a_bug_of_that_auditor_only() -> None:
    async def too_much(ctx: Context) -> None:
        put(ctx, "a.x", 1)
        put(ctx, "a.undeclared", 2)

    gathered = await run(make("a", ["a.x"], [], too_much))
    (crash,) = gathered.crashes
    assert "stated facts it never declared: ['a.undeclared']" in crash
    assert gathered.facts.value("a.x") == Unknown(Reason.BUG, ABOUT(what="a", detail=VERBATIM(text="ValueError")))
    assert "a.undeclared" not in gathered.facts.facts


async def test_a_fact_that_was_not_declared_as_need_cannot_be_read() -> None:
    async def states(ctx: Context) -> None:
        put(ctx, "a.x", 1)

    async def peeks(ctx: Context) -> None:
        put(ctx, "b.x", ctx.known["a.x"].value)

    gathered = await run(make("a", ["a.x"], [], states), make("b", ["b.x"], [], peeks))
    assert gathered.facts.value("b.x") == Unknown(Reason.BUG, ABOUT(what="b", detail=VERBATIM(text="KeyError")))


async def test_a_forgotten_fact_is_unknown_and_not_none() -> None:
    gathered = await run(make("a", ["a.x"], [], nothing))
    assert gathered.facts.value("a.x") == Unknown(Reason.BUG, NOT_STATED(name="a"))


async def test_a_crash_is_contained() -> None:
    async def crashes(ctx: Context) -> None:
        put(ctx, "a.x", 1)
        raise RuntimeError("boom")

    async def depends(ctx: Context) -> None:
        put(ctx, "b.x", ctx.known["a.x"].value)

    async def goes_on(ctx: Context) -> None:
        put(ctx, "c.x", 3)

    gathered = await run(
        make("a", ["a.x", "a.y"], [], crashes), make("b", ["b.x"], ["a.x"], depends), make("c", ["c.x"], [], goes_on)
    )
    lost = Unknown(Reason.BUG, ABOUT(what="a", detail=VERBATIM(text="RuntimeError")))
    assert {fact.path: fact.value for fact in gathered.facts} == {"a.x": lost, "a.y": lost, "b.x": lost, "c.x": 3}
    (crash,) = gathered.crashes
    assert "auditor a:" in crash
    assert "RuntimeError: boom" in crash


@pytest.mark.parametrize(
    ("error", "said"),
    [(MemoryError(), "not enough memory"), (OSError(24, "Too many open files", "x.py"), "Too many open files")],
)
async def test_what_the_machine_lacks_is_contained_and_told_in_one_line(error: Exception, said: str) -> None:
    async def lacks(ctx: Context) -> None:
        raise error

    gathered = await run(make("a", ["a.x"], [], lacks))
    (crash,) = gathered.crashes
    assert crash.startswith("auditor a: ")
    assert said in crash
    assert "\n" not in crash
    assert isinstance(gathered.facts.value("a.x"), Unknown)


async def test_a_missing_need_is_passed_on_with_its_reason_and_is_no_crash() -> None:
    async def needs_a_message(ctx: Context) -> None:
        put(ctx, "a.known", 1)
        raise MissingFact("message.present", Unknown(Reason.NO_MESSAGE))

    gathered = await run(make("a", ["a.known", "a.x"], [], needs_a_message))
    assert gathered.crashes == ()
    assert gathered.facts.value("a.known") == 1
    assert gathered.facts.value("a.x") == Unknown(Reason.NO_MESSAGE)


async def test_facts_lost_to_a_bug_give_exit_code_3_whatever_the_threshold() -> None:
    rules = load_rules()
    paths = [path for path in catalogue() if "[]" not in path]
    facts = (await run(make("everything", paths, [], nothing))).facts
    report = make_report(Audited(Subject("example.com"), facts, "", ()), rules, Selection(select=("SPF-001",)))
    assert [finding.rule for finding in report.bugs] == ["SPF-001"]
    assert exit_code(report, None) == 3
    assert exit_code(replace(report, findings=()), None) == 0


async def test_every_answer_is_kept_as_evidence_under_its_question() -> None:
    async def asks(ctx: Context) -> None:
        answer = await ctx.query("example.com", "TXT")
        assert isinstance(answer, Found)
        put(ctx, "a.x", 1, "dns:TXT:example.com", "dns:TXT:example.com")

    facts = (await run(make("a", ["a.x"], [], asks))).facts
    assert facts.facts["a.x"].evidence == ("dns:TXT:example.com",)
    assert facts.evidence["dns:TXT:example.com"].got == ("v=spf1 -all",)


def test_evidence_says_what_kind_of_nothing_it_was() -> None:
    assert dns_evidence(Absent("a.example", "MX", nxdomain=True)).got == (NO_NAME(),)
    assert dns_evidence(Absent("a.example", "MX", nxdomain=False)).got == (NO_RECORD(type="MX"),)
    failed = Failed("a.example", "MX", Reason.SERVFAIL, VERBATIM(text="by ns1"))
    assert dns_evidence(failed).got == (failure(Reason.SERVFAIL, VERBATIM(text="by ns1")),)
    assert unknown_from(failed) == Unknown(Reason.SERVFAIL, failed_question("MX", "a.example", VERBATIM(text="by ns1")))


def test_a_cname_on_the_way_is_part_of_the_evidence() -> None:
    found = Found("s1._domainkey.example.com", "TXT", ("v=DKIM1; p=",), chain=("s1.esp.example",))
    assert dns_evidence(found).got == (ALIAS(name="s1.esp.example"), "v=DKIM1; p=")


def test_auditors_are_pickled_by_their_names() -> None:
    pickled = pickle.dumps(auditors())
    assert len(pickled) < 1000
    assert all(here is there for here, there in zip(auditors(), pickle.loads(pickled), strict=True))


def test_an_auditor_that_stands_in_no_table_cannot_be_unpickled() -> None:
    strange = make("strange", [], [], nothing)

    with pytest.raises(KeyError, match="strange"):
        pickle.loads(pickle.dumps(strange))
