"""Every flaw class of the papers is told by a rule that has a case, or rightly silent for a reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from deliverability.core.inputs import Subject
from deliverability.core.model.report import Outcome
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.zone import ZoneResolver
from deliverability.core.rules.judge import Selection, judge
from deliverability.core.yaml import read
from deliverability.engine.base import auditors, catalogue, gather
from deliverability.engine.rules import load_rules
from tests import ROOT, TESTS
from tests.corpus import corpus

CLASSES: list[dict[str, Any]] = read((TESTS / "flaws.yaml").read_text("utf-8")).data
CASES = {
    rule: case for path in (TESTS / "rules").glob("*.yaml") for rule, case in read(path.read_text("utf-8")).data.items()
}
NEW = (*(f"SEC-{n:03}" for n in range(1, 9)), "DMARC-028", "SPF-034", "DKIM-034")


@pytest.mark.parametrize("flaw", CLASSES, ids=[each["class"] for each in CLASSES])
def test_a_flaw_is_told_or_silent_for_a_reason(flaw: dict[str, Any]) -> None:
    assert bool(flaw.get("rules")) is not bool(flaw.get("silent"))
    for rule in flaw.get("rules", ()):
        assert rule in load_rules().rules, rule
        assert CASES[rule].get("unmet"), rule
    assert (ROOT / flaw.get("tests", "tests")).exists(), flaw["tests"]


@pytest.mark.slow  # all zones of the corpus
async def test_on_real_zones_the_rules_on_takeover_and_wrong_names_find_nothing() -> None:
    """The zones hold no registry, so that nothing there is a takeover; names of services are not misplaced."""
    zones = ZoneResolver.load([corpus("zones")])
    ports = Ports(zones, FixedClock(datetime(2026, 11, 24, tzinfo=UTC)))
    told = {}
    for domain in zones.origins:
        facts = (await gather(auditors(), Subject(domain), ports, None)).facts
        found = judge(facts, load_rules(), catalogue(), Selection(select=NEW))
        told[domain] = [each.rule for each in found if each.outcome is Outcome.UNMET]
    assert len(told) > 190
    assert {domain: rules for domain, rules in told.items() if rules} == {}
