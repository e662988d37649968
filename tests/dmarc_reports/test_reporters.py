"""No single reporter decides, unless it is a large one: an answer that hangs on a small one is "cannot tell"."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from deliverability.core.model.observed import Rows
from deliverability.core.model.report import GateKind
from tests import traffic
from tests.dmarc_reports.months import DAYS, LONG, MAIN
from tests.traffic import SIGNED, UNSIGNED, Mail

SMALL = "mimecast"
LARGE = {"google.com": 0.6, "outlook.com": 0.25, "yahoo": 0.15}


def month(reporters: dict[str, float], extra: list[Mail], by: str) -> traffic.Observed:
    """A month that passes, by some reporters; further mail that one of them alone reports."""
    seen = traffic.observed([Mail(day, MAIN, SIGNED, 1000) for day in LONG], reporters=reporters)
    rows = traffic.rows_of_mail(extra, {by: 1.0})
    return replace(seen, rows=Rows.of([*seen.rows, *rows], {MAIN: LONG[0], "198.51.100.20": LONG[0]}))


GAP = [Mail(day, "198.51.100.20", UNSIGNED, 100) for day in DAYS]


async def test_what_only_a_small_reporter_sees_is_a_question() -> None:
    seen = month({**LARGE, SMALL: 0.02}, GAP, SMALL)
    judged = await traffic.gate_for(seen)
    assert judged.answer is not None
    assert (judged.answer.kind, judged.answer.hinge) == (GateKind.CANNOT_TELL, SMALL), judged.reasons


async def test_what_a_large_reporter_sees_is_wrong() -> None:
    judged = await traffic.gate_for(month({**LARGE, SMALL: 0.02}, GAP, "google.com"))
    assert judged.answer is not None
    assert (judged.answer.kind, judged.answer.hinge) == (GateKind.NOT_YET, "")


async def test_what_two_see_is_wrong() -> None:
    seen = month({**LARGE, SMALL: 0.02}, GAP, SMALL)
    more = traffic.rows_of_mail(GAP, {"yahoo": 1.0})
    judged = await traffic.gate_for(replace(seen, rows=Rows.of([*seen.rows, *more])))
    assert judged.answer is not None
    assert judged.answer.kind is GateKind.NOT_YET


@pytest.mark.parametrize(
    ("reporters", "kind"),
    [
        ({"google.com": 0.9, SMALL: 0.1}, GateKind.CANNOT_TELL),
        ({"google.com": 0.6, "outlook.com": 0.3, SMALL: 0.1}, GateKind.SAFE),
        ({"google.com": 0.9, "outlook.com": 0.1}, GateKind.SAFE),
    ],
)
async def test_safe_is_not_said_on_the_word_of_a_small_one(reporters: dict[str, float], kind: GateKind) -> None:
    judged = await traffic.gate_for(month(reporters, [], "google.com"))
    assert judged.answer is not None
    assert judged.answer.kind is kind, judged.reasons


async def test_the_policy_in_force_is_not_said_to_hit_on_the_word_of_a_small_one() -> None:
    for by, kind in ((SMALL, GateKind.CANNOT_TELL), ("google.com", GateKind.HITS)):
        judged = await traffic.gate_for(month({**LARGE, SMALL: 0.02}, GAP, by), traffic.policy("p=reject"))
        assert judged.answer is not None
        assert judged.answer.kind is kind


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(1, 500), st.integers(1, 28), st.booleans(), st.integers(0, 99))
@pytest.mark.long
async def test_a_small_reporter_never_decides(messages: int, days: int, passing: bool, seed: int) -> None:
    """Whatever one small reporter says beside three large ones: what is safe never becomes "not yet"."""
    chance = random.Random(seed)
    kind = SIGNED if passing else UNSIGNED
    ip = chance.choice(["198.51.100.20", "198.51.100.77", "203.0.113.4"])
    extra = [Mail(day, ip, kind, messages) for day in chance.sample(DAYS, days)]
    judged = await traffic.gate_for(month({**LARGE, SMALL: 0.02}, extra, SMALL))
    assert judged.answer is not None
    young = judged.reasons == {"GATE-009"}
    assert judged.answer.kind is not GateKind.NOT_YET or young, judged.reasons
