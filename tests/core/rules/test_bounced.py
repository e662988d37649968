"""A receiver said why it refuses mail: whether that is still so now."""

from __future__ import annotations

from typing import Any

from deliverability.core.facts.base import Value
from deliverability.core.model.report import Finding, Outcome
from deliverability.core.rules.judge import Selection, judge
from deliverability.engine.base import catalogue
from deliverability.engine.rules import load_rules
from tests.test_rules import fact_set

BOUNCE: dict[str, Value] = {
    "meaning": "gmail-dmarc-policy",
    "receiver": "gmail",
    "class": "policy",
    "count": 3,
    "used": False,
}


def judged(present: Any, *rules: str) -> Finding:
    """The finding on one cause of bounces, where the domain has a DMARC record or not."""
    facts = {"deliveries.bounces": [{**BOUNCE, "rules": list(rules), "unmet": None}], "dmarc.present": present}
    found = judge(fact_set(facts), load_rules(), catalogue(), Selection(select=("RPT-003", "DMARC-001")))
    (finding,) = [each for each in found if each.rule == "RPT-003"]
    return finding


def test_what_stands_behind_it_is_unmet_now() -> None:
    finding = judged(False, "DMARC-001", "SPF-001")
    assert finding.outcome is Outcome.UNMET
    assert finding.observed["item.unmet"] == ("DMARC-001",)
    assert finding.used is False, "it is about the domain, not about the mail at hand"


def test_what_stands_behind_it_was_mended() -> None:
    assert judged(True, "DMARC-001").outcome is Outcome.MET


def test_what_stands_behind_it_could_not_be_checked() -> None:
    assert judged({"unknown": "timeout"}, "DMARC-001").outcome is Outcome.UNKNOWN


def test_no_rule_stands_behind_it() -> None:
    assert judged(False).outcome is Outcome.NOT_APPLICABLE
