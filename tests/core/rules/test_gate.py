"""Is the next DMARC policy safe: simulated months, stories with their reasons, and what may never change the answer."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from msgspec import Struct, field

from deliverability.core.facts.base import Purpose, StageSeen
from deliverability.core.model.observed import Observed, SourceOwner, SourceWord
from deliverability.core.model.report import GateKind
from deliverability.core.rules.gate import earliest
from tests import traffic
from tests.sampled import examples
from tests.traffic import (
    DOMAIN,
    END,
    FORGED,
    RULES,
    SIGNED,
    UNSIGNED,
    Mail,
    World,
    facet,
    forgers,
    gate_for,
    named,
    policy,
    signature,
    stream,
)

pytestmark = pytest.mark.long

MONTHS = int(os.environ.get("DELIV_MONTHS", "1"))
"""Months of each case; the design asks for 50."""

MAIN, BILLING = "198.51.100.10", "203.0.113.30"
DAYS = traffic.days_until(number=28)
AT_QUARANTINE: dict[str, Any] = {
    "gate_to": "reject",
    "stage_seen": StageSeen("quarantine", "2026-09-01"),
    "purpose": Purpose.BULK,
}
SAFE, NOT_YET, CANNOT_TELL = GateKind.SAFE, GateKind.NOT_YET, GateKind.CANNOT_TELL


# --- simulated months -----------------------------------------------------------------------------------------------

FOREIGN = facet(signature("mcsv.net", "k1"), spf="mail9.mcsv.net")
BILLING_RUNS = {
    "signed": (facet(signature(), spf=DOMAIN), "198.51.100.30"),
    "own-gap": (UNSIGNED, "198.51.100.30"),
    "unclaimed": (FOREIGN, "205.201.128.9"),
    "no-mark": (UNSIGNED, BILLING),
}


def simulated(case: str, share: float, seed: int) -> list[Mail]:
    """28 days: a main stream, a billing run of 250 on day 27, forged mail in bursts from ever new addresses."""
    chance = random.Random(f"{case} {share} {seed}")
    days = traffic.days_until(number=60) if case == "signed" else DAYS
    main = stream(MAIN, SIGNED, (900, 1100), chance, days, failing=0.0005)
    kind, ip = BILLING_RUNS[case]
    return [*main, Mail(DAYS[26], ip, kind, 250), *forgers(share, 1000, chance, DAYS)]


@pytest.mark.parametrize("to", ["quarantine", "reject"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.3])
@pytest.mark.parametrize(
    ("case", "wanted", "reasons"),
    [
        ("signed", SAFE, set()),
        ("own-gap", NOT_YET, {"GATE-004", "GATE-005"}),
        ("unclaimed", NOT_YET, {"GATE-006"}),
        ("no-mark", NOT_YET, {"GATE-013"}),
    ],
)
async def test_simulated_months(case: str, share: float, to: str, wanted: GateKind, reasons: set[str]) -> None:
    """A month in which the billing run would be lost is never called safe; one without such a run is, whatever is
    forged, but where a forger happens to look like a forgotten host."""
    kinds = []
    for seed in range(MONTHS):
        known = {ip: date(2026, 9, 1) for ip in ("198.51.100.30", BILLING)}
        seen = traffic.observed(simulated(case, share, seed), policy="none", first_ips=known)
        more = policy("p=quarantine") if to == "reject" else {}
        given_ = AT_QUARANTINE if to == "reject" else {}
        judged = await gate_for(seen, more, **given_)
        assert judged.answer is not None
        if judged.answer.kind is GateKind.HITS:  # quarantine is in force, and the run is lost already
            assert (judged.answer.to, wanted) == ("quarantine", NOT_YET)
            kinds.append(NOT_YET)
            continue
        assert judged.answer.to == to
        kinds.append(judged.answer.kind)
        if wanted is SAFE:
            assert judged.reasons <= {"GATE-013"}, judged.reasons
        else:
            assert reasons & judged.reasons, judged.reasons
    if wanted is SAFE:
        assert kinds.count(SAFE) >= len(kinds) * (0.9 if share == 0.3 else 1)
    else:
        assert set(kinds) == {wanted}


# --- stories --------------------------------------------------------------------------------------------------------


def usual(a_day: int = 1000, days: Sequence[date] = DAYS, kind: traffic.Facet = SIGNED) -> list[Mail]:
    return [Mail(day, MAIN, kind, a_day) for day in days]


class Story(Struct, frozen=True):
    """A month, and the answer with its reasons."""

    answer: GateKind
    reasons: set[str]
    mails: Callable[[], list[Mail]]
    window: dict[str, Any] = field(default_factory=dict)
    world: World = field(default_factory=dict)
    subject: dict[str, Any] = field(default_factory=dict)


def word(owner: SourceOwner, *match: str) -> dict[str, Any]:
    return {"source_words": (SourceWord(match, owner),)}


BROKEN = facet(signature(result="fail"), spf="list.example.net")
SPF_ONLY = facet(spf=DOMAIN)
CAUGHT = facet(spf="host.invalid", spf_result="none", disposition="quarantine")
KEYLESS = facet(signature(result="fail"), spf="host.invalid", spf_result="none")
TO_REJECT: dict[str, Any] = {"world": policy("p=quarantine"), "subject": AT_QUARANTINE}

STORIES = {
    "all is well": Story(SAFE, set(), usual),
    "all is well, to reject": Story(SAFE, set(), usual, **TO_REJECT),
    "a third of all mail is forged": Story(
        SAFE, set(), lambda: [*usual(), *forgers(0.3, 1000, random.Random(5), DAYS)]
    ),
    "reports for twelve days only": Story(
        NOT_YET, {"GATE-001", "GATE-009", "GATE-010"}, usual, {"since": END - timedelta(days=11)}
    ),
    "many days without a report": Story(NOT_YET, {"GATE-001"}, usual, {"silent": DAYS[5:11]}),
    "reports stopped for two weeks": Story(NOT_YET, {"GATE-001", "GATE-017"}, usual, {"silent": DAYS[13:]}),
    "one reporter": Story(NOT_YET, {"GATE-002"}, usual, {"reporters": {"google.com": 1.0}}),
    "a reporter lost, to reject": Story(
        NOT_YET, {"GATE-002"}, usual, {"reporters": {"google.com": 0.7, "outlook.com": 0.3}}, **TO_REJECT
    ),
    "a few messages a day": Story(CANNOT_TELL, {"GATE-003"}, lambda: usual(9)),
    "twelve days of little mail": Story(
        NOT_YET, {"GATE-001", "GATE-003"}, lambda: usual(20), {"since": END - timedelta(days=11)}
    ),
    "a new stream that is not signed": Story(
        NOT_YET,
        {"GATE-005"},
        lambda: [*usual(), *[Mail(day, "203.0.113.20", UNSIGNED, 5) for day in DAYS]],
        world=named("203.0.113.20", "billing.example.com"),
    ),
    "the key was removed": Story(
        NOT_YET, {"GATE-004", "GATE-005"}, lambda: [*usual(days=DAYS[:21]), *usual(days=DAYS[21:], kind=KEYLESS)]
    ),
    "a host that was corrected in time": Story(SAFE, set(), lambda: [*usual(), *usual(5, DAYS[:10], UNSIGNED)]),
    "a new service that nobody named": Story(
        NOT_YET, {"GATE-006"}, lambda: [*usual(), *[Mail(day, "205.201.128.9", FOREIGN, 20) for day in DAYS]]
    ),
    "the user says that the service is nobody's": Story(
        SAFE,
        set(),
        lambda: [*usual(), *[Mail(day, "205.201.128.9", FOREIGN, 20) for day in DAYS]],
        subject=word(SourceOwner.NOT_OURS, "service:mailchimp"),
    ),
    "the user says that it is ours": Story(
        NOT_YET,
        {"GATE-004", "GATE-005"},
        lambda: [*usual(), *[Mail(day, "205.201.128.9", FOREIGN, 20) for day in DAYS]],
        subject=word(SourceOwner.OURS, "service:mailchimp"),
    ),
    "a forgotten host without any mark": Story(
        NOT_YET, {"GATE-013"}, lambda: [*usual(), *[Mail(day, BILLING, UNSIGNED, 2) for day in DAYS]]
    ),
    "a new host that signs": Story(
        NOT_YET,
        {"GATE-009"},
        lambda: [*usual(), *[Mail(day, "203.0.113.20", SIGNED, 50) for day in DAYS[-5:]]],
        world=named("203.0.113.20", "new.example.com"),
    ),
    "two percent altered, to reject": Story(
        NOT_YET, {"GATE-008"}, lambda: [*usual(), *[Mail(day, "192.0.2.60", BROKEN, 20) for day in DAYS]], **TO_REJECT
    ),
    "two percent altered, to quarantine": Story(
        SAFE, set(), lambda: [*usual(), *[Mail(day, "192.0.2.60", BROKEN, 20) for day in DAYS]]
    ),
    "people write from it, to reject": Story(
        NOT_YET, {"GATE-008"}, usual, world=policy("p=quarantine"), subject=AT_QUARANTINE | {"purpose": Purpose.USERS}
    ),
    "SPF alone, to reject": Story(NOT_YET, {"GATE-007"}, lambda: usual(kind=SPF_ONLY), **TO_REJECT),
    "own mail is caught already": Story(
        NOT_YET,
        {"GATE-012"},
        lambda: [*usual(), Mail(DAYS[-3], MAIN, CAUGHT, 8)],
        **TO_REJECT,
    ),
    "at quarantine for a week": Story(
        NOT_YET,
        {"GATE-001"},
        usual,
        world=policy("p=quarantine"),
        subject=AT_QUARANTINE | {"stage_seen": StageSeen("quarantine", "2026-11-17")},
    ),
    "from none straight to reject": Story(NOT_YET, {"GATE-001"}, usual, subject={"gate_to": "reject"}),
    "nobody said whether rare mail is sent": Story(CANNOT_TELL, {"GATE-010"}, usual, subject={"rare": None}),
    "the invoices of December are still to come": Story(
        NOT_YET, {"GATE-010"}, usual, subject={"rare": ("2026-12-25 invoices",)}
    ),
    "the reports go to somebody who never agreed": Story(
        NOT_YET,
        {"GATE-011"},
        usual,
        world={
            (f"_dmarc.{DOMAIN}", "TXT"): ["v=DMARC1; p=none; rua=mailto:d@reports.example.net"],
            ("reports.example.net", "MX"): ["10 mx.reports.example.net"],
        },
    ),
    "the own SPF record cannot be looked up": Story(CANNOT_TELL, set(), usual, world={(DOMAIN, "TXT"): "timeout"}),
    "reverse names cannot be looked up": Story(
        NOT_YET,
        {"GATE-019"},
        lambda: [*usual(), *[Mail(day, BILLING, UNSIGNED, 5) for day in DAYS[:3]]],
        world={("30.113.0.203.in-addr.arpa", "PTR"): "servfail"},
    ),
    "one in fifty may be ours": Story(
        NOT_YET, {"GATE-015"}, lambda: [*usual(), *[Mail(day, "205.201.128.9", FOREIGN, 20) for day in DAYS]]
    ),
    "eight vendors of nine messages": Story(
        NOT_YET,
        {"GATE-016"},
        lambda: [
            *usual(),
            *[
                Mail(DAYS[n], f"203.0.{n}.9", facet(signature(f"v{n}.example.org"), spf=f"v{n}.example.org"), 9)
                for n in range(8)
            ],
        ],
    ),
    "a parked domain that sends nothing": Story(
        SAFE, set(), lambda: [Mail(END, "203.0.113.1", FORGED, 40)], subject={"purpose": Purpose.PARKED}
    ),
    "a parked domain that sends": Story(NOT_YET, {"GATE-014"}, usual, subject={"purpose": Purpose.PARKED}),
}


@pytest.mark.parametrize("name", STORIES)
async def test_stories(name: str) -> None:
    story = STORIES[name]
    seen = traffic.observed(story.mails(), **story.window)
    judged = await gate_for(seen, story.world, **story.subject)
    assert judged.answer is not None
    assert judged.answer.kind is story.answer, judged.reasons
    assert story.reasons <= judged.reasons, judged.reasons
    if story.answer is SAFE:
        assert judged.reasons == set()


async def test_without_reports_there_is_no_answer() -> None:
    assert (await gate_for(None)).answer is None


async def test_at_the_last_policy_there_is_no_question() -> None:
    judged = await gate_for(traffic.observed(usual()), policy("p=reject"))
    assert judged.answer is None


# --- the earliest day -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("reports for twelve days only", 16),
        ("many days without a report", 11),  # the days before the gap leave the window first
        ("reports stopped for two weeks", 28),
        ("a few messages a day", None),
        ("twelve days of little mail", 16),
        ("the key was removed", 28),
        ("a new stream that is not signed", 14),
        ("a new host that signs", 9),
        ("the invoices of December are still to come", 32),
        ("a new service that nobody named", 0),
        ("from none straight to reject", None),
    ],
)
async def test_the_earliest_day(name: str, days: int | None) -> None:
    """What time alone corrects, what it takes once the failures have stopped, and what only waits for an answer."""
    story = STORIES[name]
    judged = await gate_for(traffic.observed(story.mails(), **story.window), story.world, **story.subject)
    assert judged.answer is not None
    wanted = None if days is None else END + timedelta(days=days)
    assert earliest(judged.answer, judged.facts, RULES) == wanted
    today = END + timedelta(days=1)
    told = earliest(judged.answer, judged.facts, RULES, today=today)
    assert told == (None if wanted is None else max(wanted, today)), "no day that is over"


# --- what may never change the answer -------------------------------------------------------------------------------

ADDRESSES = st.sampled_from(["203.0.113.77", "198.51.100.99", MAIN, "192.0.2.3"])
FACETS = st.sampled_from([UNSIGNED, FORGED, SIGNED, FOREIGN, BROKEN])
MAILS = st.lists(
    st.builds(Mail, st.sampled_from(DAYS), ADDRESSES, FACETS, st.integers(1, 5000)), min_size=1, max_size=6
)
BASES = st.sampled_from(["all is well", "a few messages a day", "a new service that nobody named", "one reporter"])
few = examples(25, suppress_health_check=list(HealthCheck))


async def _answered(name: str, *more: Mail, claimed: Sequence[Mail] = ()) -> tuple[GateKind, set[str]]:
    story = STORIES[name]
    seen: Observed = traffic.observed([*story.mails(), *more], claimed=claimed, **story.window)
    judged = await gate_for(seen, story.world, **story.subject)
    assert judged.answer is not None
    return judged.answer.kind, judged.reasons


@few
@given(BASES, MAILS)
async def test_claimed_reports_never_change_a_gate(name: str, claimed: list[Mail]) -> None:
    assert await _answered(name, claimed=claimed) == await _answered(name)


FORGED_MAILS = st.lists(
    st.builds(
        Mail,
        st.sampled_from(DAYS),
        st.ip_addresses(v=4, network="45.0.0.0/8").map(str),
        st.just(FORGED),
        st.integers(1, 5000),
    ),
    min_size=1,
    max_size=6,
)


@few
@given(BASES, FORGED_MAILS)
async def test_forged_mail_never_makes_it_safe_and_holds_up_one_way_only(name: str, forged: list[Mail]) -> None:
    before, why_before = await _answered(name)
    after, why = await _answered(name, *forged)
    assert before is SAFE or after is not SAFE
    assert why - why_before <= {"GATE-013"}


@few
@given(
    BASES,
    st.lists(
        st.builds(
            Mail,
            st.sampled_from(DAYS),
            st.sampled_from([MAIN, "198.51.100.99"]),
            st.just(UNSIGNED),
            st.integers(1, 400),
        ),
        min_size=1,
        max_size=4,
    ),
)
async def test_own_failures_never_make_it_safe(name: str, failures: list[Mail]) -> None:
    before, _ = await _answered(name)
    after, _ = await _answered(name, *failures)
    assert before is SAFE or after is not SAFE


def test_every_condition_has_a_story() -> None:
    # The last two are told by the months and the reporters of tests/dmarc_reports.
    told = {reason for story in STORIES.values() for reason in story.reasons} | {"GATE-017", "GATE-018"}
    assert told == {rule for rule in RULES.rules if rule.startswith("GATE-")}
    assert len(STORIES) >= 20
