"""Whole reports, compared exactly: the demo in both languages, a domain in order, a domain in ruins.

After a change that is meant, ``python -m tests.renew_golden`` writes them anew; the difference is the review.
"""

from __future__ import annotations

import asyncio
import difflib
import pickle
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from msgspec.structs import replace

import deliverability.demo
from deliverability.core.facts.base import Purpose, Reason
from deliverability.core.inputs import Sample, Subject
from deliverability.core.model.report import Report
from deliverability.core.net.base import Answer, Failed
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.ports import Ports
from deliverability.core.phrases import LANGUAGES
from deliverability.core.report.formats.json import render_json
from deliverability.core.rules.judge import Selection
from deliverability.engine.audit import Extras, report_on
from deliverability.engine.rules import load_rules
from tests import TESTS
from tests.speaking import prose, raw, shipped, written

GOLDEN = TESTS / "golden"
DEMO = Path(deliverability.demo.__file__).parent
NOW = datetime(2026, 11, 25, 0, 0, 4, tzinfo=UTC)

# Files of the golden folder by name: SUBJECT.LANG.txt, SUBJECT.LANG.all.txt (with the evidence) or SUBJECT.json.
SUBJECTS = ("demo", "good", "broken", "domain", "faulty", "parked", "dead")
CASES = (*(f"{subject}.{lang}.txt" for subject in SUBJECTS for lang in LANGUAGES), "demo.en.all.txt", "demo.json")


async def _audit(job: Subject, ports: Ports) -> Report:
    """As `deliv audit` does it, remedies included."""
    return (await report_on(job, ports, load_rules(), Selection(), Extras(remedies=True))).report


def rendered(name: str) -> str:
    """The report that the golden file of this name holds."""
    subject, *middle, ending = name.split(".")
    report = audited(subject)
    if ending == "json":
        return render_json(report)
    return written("text", report, shipped(middle[0], guided=True), width=80, whole="all" in middle)


@cache
def audited(subject: str) -> Report:
    """The audit of a subject. Time and version stand still, and no path of this machine is in it.

    Of ``domain``, ``faulty``, ``parked`` and ``dead`` only DNS is looked at, and of the last there is no answer.
    """
    declared = Subject(purpose=Purpose.BULK, daily_volume=20_000)
    domain, zone, mail, options = {
        "demo": ("sakura-shop.example", DEMO / "example.zone", DEMO / "newsletter.eml", declared),
        "good": ("good.example", GOLDEN / "good.zone", GOLDEN / "good.eml", declared),
        "broken": ("broken.example", GOLDEN / "broken.zone", GOLDEN / "broken.eml", declared),
        "domain": ("good.example", GOLDEN / "good.zone", None, Subject()),
        "faulty": ("broken.example", GOLDEN / "broken.zone", None, Subject()),
        "parked": ("parked.example", GOLDEN / "parked.zone", None, Subject()),
        "dead": ("good.example", GOLDEN / "good.zone", None, Subject()),
    }[subject]
    ports = replace(open_ports(PortSettings(zones=[zone])), clock=FixedClock(NOW))
    if subject == "dead":
        ports = replace(ports, dns=Silent(), zones=None, sources=("dns",))
    sample = Sample(mail.name, path=mail) if mail else None
    report = asyncio.run(_audit(replace(options, domain=domain, sample=sample), ports))
    # The digest of the rule files changes with every comment in them; what they judge is in the findings.
    return replace(report, run=replace(report.run, version="0.0.0"), rules_digest="0" * 64)


class Silent:
    """A resolver that nobody answers."""

    async def query(self, name: str, rdtype: str) -> Answer:
        return Failed(name, rdtype, Reason.TIMEOUT)

    async def close(self) -> None: ...


@pytest.mark.parametrize("name", CASES)
def test_the_report_is_the_golden_one(name: str) -> None:
    expected = (GOLDEN / name).read_text("utf-8")
    got = rendered(name)
    difference = difflib.unified_diff(expected.splitlines(), got.splitlines(), "golden", "now", n=1, lineterm="")
    assert got == expected, "python -m tests.renew_golden, if this is meant:\n" + "\n".join(list(difference)[:80])


@pytest.mark.parametrize("name", CASES)
def test_no_golden_report_holds_a_path_of_a_machine(name: str) -> None:
    text = (GOLDEN / name).read_text("utf-8")
    assert str(GOLDEN.parent) not in text
    assert str(DEMO) not in text


def test_a_report_is_small_enough_to_be_handed_between_processes() -> None:
    pickled = pickle.dumps(audited("demo"))
    assert len(pickled) < 120 * 1024
    assert pickle.loads(pickled) == audited("demo")


PROSE = ("text", "markdown", "html")
THIS_MESSAGE = re.compile(r"[^\n]*(?:[Tt]his (?:message|mail)\b|このメール(?!ボックス))[^\n]*")


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("form", PROSE)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_report_is_words_throughout(subject: str, form: str, lang: str) -> None:
    """Numbers, days, brackets and stops are as people write them; and no mail at hand, no word about "this mail"."""
    report = audited(subject)
    page = written(form, report, shipped(lang, guided=True), whole=True, trace=True)
    assert raw(page) == []
    if not report.message:
        assert THIS_MESSAGE.findall(prose(page)) == []
