"""No month in which own mail would be lost is called safe, whatever is mixed into it; and what is safe is called so."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from deliverability.core.model.observed import Observed, Rows
from deliverability.core.model.report import GateKind
from deliverability.core.phrases import phrases
from deliverability.core.report.traffic import would_words
from tests import traffic
from tests.dmarc_reports.months import FAMILIES, SILENT_SINCE, Family, Truth, month
from tests.sampled import sampled

pytestmark = pytest.mark.long

LOST = sorted(name for name, each in FAMILIES.items() if each.truth is Truth.LOST)
ALL = sorted(FAMILIES)


def reported(mails: list[traffic.Mail], family: Family) -> Observed:
    seen = traffic.observed(mails)
    quiet = family.window.get("fell_silent")
    if quiet is None:
        return seen
    rows = Rows.of(row for row in seen.rows if row.reporter != quiet or row.day <= SILENT_SINCE)
    limit = traffic.NOW.timestamp() - (traffic.END - SILENT_SINCE).days * 86_400
    return replace(
        seen, rows=rows, reports=tuple(each for each in seen.reports if each.reporter != quiet or each.end < limit)
    )


async def answered(name: str, seed: int, *more: str, **subject: object) -> traffic.Judged:
    mails, family = month(name, random.Random(f"{name} {more} {seed}"), *more)
    return await traffic.gate_for(reported(mails, family), family.world, **{**family.subject, **subject})


def test_there_are_forty_families() -> None:
    assert len(FAMILIES) >= 40


@pytest.mark.parametrize("name", sampled([*ALL], 6))
async def test_each_family(name: str) -> None:
    for seed in range(2):
        judged = await answered(name, seed)
        assert judged.answer is not None
        kind, truth = judged.answer.kind, FAMILIES[name].truth
        if truth is Truth.SAFE:
            assert kind is GateKind.SAFE, judged.reasons
        elif truth is Truth.LOST:
            assert kind is not GateKind.SAFE
        else:
            risk = phrases("en")("gate.risk")
            told = would_words(judged.facts, judged.answer.to, phrases("en"))
            assert kind is GateKind.CANNOT_TELL or risk in told, "what nobody can tell is said"


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(ALL), st.sampled_from(LOST), st.lists(st.sampled_from(ALL), max_size=3), st.integers(0, 9999))
async def test_no_mix_hides_what_is_lost(base: str, lost: str, more: list[str], seed: int) -> None:
    said = "".join((base, *more))
    exempt = any(each in said for each in ("sp=none", "np=none", "a record of its own"))
    if exempt and (lost == "a gap of subdomains" or lost.startswith("a gap of a name")):
        return  # then that policy does not concern it
    judged = await answered(base, seed, lost, *more)
    assert judged.answer is not None
    assert judged.answer.kind is not GateKind.SAFE, (base, lost, more)


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(ALL), min_size=1, max_size=4), st.integers(0, 9999))
async def test_the_sentence_never_contradicts_the_answer(names: list[str], seed: int) -> None:
    judged = await answered(names[0], seed, *names[1:])
    assert judged.answer is not None
    share = judged.facts.value("traffic.would_fail_percent")
    assert isinstance(share, float)
    assert share <= 1.0 or judged.answer.kind is not GateKind.SAFE


async def test_a_small_sender_is_told_by_its_sources() -> None:
    judged = await answered("a small sender", 1)
    assert judged.answer is not None
    assert judged.answer.kind is GateKind.CANNOT_TELL
    assert judged.facts.value("traffic.sources_pass") is True
    trusted = await answered("a small sender", 1, trust_sources=True)
    assert trusted.answer is not None
    assert trusted.answer.kind is GateKind.SAFE, trusted.reasons
    gap = await answered("a small sender", 1, "an unsigned host", trust_sources=True)
    assert gap.answer is not None
    assert gap.answer.kind is GateKind.NOT_YET
