"""Every sender zone and every mail of the corpus from end to end: no crash, and a report in both languages."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from deliverability.core.inputs import Sample, Subject
from deliverability.core.model.report import Report
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import OFFLINE
from deliverability.core.report.formats.json import JsonWriter
from deliverability.core.rules.judge import Selection
from deliverability.engine.audit import gather_facts, make_report
from deliverability.engine.rules import load_rules
from tests.corpus import corpus, corpus_root
from tests.sampled import sampled, some
from tests.speaking import shipped, written

pytestmark = pytest.mark.long

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
RULES = load_rules()
_OTHER_FILES = {".md", ".key", ".pem", ".dns"}
# One in so many is rendered in every format and language, and is part of `make test`; all are rendered as JSON.
SAMPLE = 40


@cache
def senders() -> tuple[str, ...]:
    root = corpus_root()
    if root is None:
        return ()
    rows = (line.split("\t") for line in (root / "zones/index.tsv").read_text("utf-8").splitlines())
    return tuple(row[0] for row in rows if row[1] == "sender")


@cache
def mails() -> tuple[Path, ...]:
    root = corpus_root()
    if root is None:
        return ()
    found = (path for folder in ("mails", "dkim", "bounces") for path in (root / folder).rglob("*"))
    return tuple(sorted(path for path in found if path.is_file() and path.suffix not in _OTHER_FILES))


@cache
def zones() -> Ports:
    """The zones of the corpus, read once."""
    return open_ports(PortSettings(zones=[corpus("zones")]))


async def audited(job: Subject, ports: Ports) -> Report:
    got = await gather_facts(job, ports)
    assert got.crashes == ()
    report = make_report(got, RULES, Selection())
    assert report.bugs == ()
    assert report.findings
    receivers = [] if report.assessment.parked else list(RULES.providers)
    assert [verdict.receiver for verdict in report.verdicts] == receivers
    # As one of several: a report alone is indented, which takes most of the time that these tests have.
    writer = JsonWriter(2)
    (shape,) = json.loads(writer.write(report) + writer.end())
    assert shape["subject"]["domain"] == report.domain
    return report


def render_everything(report: Report) -> None:
    for lang in ("en", "ja"):
        text = written("text", report, shipped(lang, guided=True))
        assert (report.domain or {"en": "No domain", "ja": "ドメイン"}[lang]) in text
        assert "\x1b" not in text
        html = written("html", report, shipped(lang, guided=True))
        assert html.rstrip().endswith("</html>")
        assert "<script" not in html


@pytest.mark.parametrize("domain", sampled(senders(), SAMPLE))
async def test_every_sender_zone(domain: str) -> None:
    report = await audited(Subject(domain), zones())
    assert report.facts.value("domain.exists") is True
    if domain in some(senders(), SAMPLE):
        render_everything(report)


def _name(path: Path) -> str:
    root = corpus_root()
    return str(path.relative_to(root)) if root else path.name


@pytest.mark.parametrize("path", sampled(mails(), SAMPLE), ids=_name)
async def test_every_mail(path: Path) -> None:
    ports = Ports(OFFLINE, FixedClock(NOW), sources=("offline",))
    report = await audited(Subject(sample=Sample(path.name, path=path)), ports)
    if path in some(mails(), SAMPLE):
        render_everything(report)


def test_the_corpus_is_whole() -> None:
    corpus("README.md")
    assert len(senders()) == 58
    assert len(mails()) > 700
