"""Every flaw class of the papers is told, case by case, or rightly silent for a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from deliverability.core.inputs import Subject
from deliverability.core.mail.reader import read as read_message
from deliverability.core.model.report import Outcome
from deliverability.core.model.rules import Severity
from deliverability.core.net.base import Absent, Answer, Fetched, Found, Page, Resolver
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import OFFLINE, Permissions, Ports
from deliverability.core.net.static import StaticResolver
from deliverability.core.net.zone import ZoneResolver
from deliverability.core.rules.judge import Selection, judge
from deliverability.core.yaml import read
from deliverability.engine.base import auditors, catalogue, gather
from deliverability.engine.rules import load_rules
from tests import ROOT, TESTS
from tests.corpus import corpus
from tests.engine.auditors.test_takeover import WORLD
from tests.sampled import sampled

CLASSES: list[dict[str, Any]] = read((TESTS / "flaws.yaml").read_text("utf-8")).data
CASES = {
    rule: case for path in (TESTS / "rules").glob("*.yaml") for rule, case in read(path.read_text("utf-8")).data.items()
}
NOW = datetime(2026, 11, 29, tzinfo=UTC)
DAY = "Sun, 29 Nov 2026 00:00:00 +0000"
KINDS = ("zone", "spf", "dmarc", "mx", "from", "policy")
POLICY = "https://mta-sts.acme.dk/.well-known/mta-sts.txt"


class Web:
    """The site with the policy; an empty one is not there."""

    def __init__(self, text: str) -> None:
        self.page = Page(POLICY, 200 if text else 404, "text/plain", text.encode())

    async def fetch(self, url: str, resolver: Resolver, *, redirects: int = 0) -> Fetched:
        assert url == POLICY
        return self.page

    async def post(self, url: str, form: str, resolver: Resolver) -> Fetched:
        raise AssertionError


class Zone(StaticResolver):
    """Answers with wildcards: names below ``*.x`` that are not there have its records."""

    def __init__(self, records: Mapping[tuple[str, str], Any]) -> None:
        super().__init__(records)
        self.wild = {key: values for key, values in records.items() if key[0].startswith("*.")}

    async def query(self, name: str, rdtype: str) -> Answer:
        found = await super().query(name, rdtype)
        for (owner, kind), values in self.wild.items():
            if isinstance(found, Absent) and found.nxdomain and name.endswith(owner[1:]) and kind == rdtype:
                return Found(name, rdtype, tuple(values))
        return found


def cases(flaw: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for kind in KINDS:
        for case in flaw.get(kind, ()):
            yield kind, case


EVERY = [(flaw, *case) for flaw in CLASSES for case in cases(flaw)]


async def unmet(flaw: Mapping[str, Any], kind: str = "", case: Any = None) -> dict[str, Severity]:
    """What is found wrong with acme.dk, with one flaw or none."""
    changes = dict(flaw.get("beside", {})) if kind else {}
    message, web = None, None
    match kind:
        case "zone":
            changes |= case
        case "spf":
            changes["acme.dk TXT"] = [case]
        case "dmarc":
            changes["_dmarc.acme.dk TXT"] = [case]
        case "mx":
            ip6 = ":" in case
            changes |= {"mx.acme.dk A": None, "mx.acme.dk AAAA": [case]} if ip6 else {"mx.acme.dk A": [case]}
        case "policy":
            web = Web(case)
        case "from":
            sender, protocol = flaw.get("return_path", "a@acme.dk"), flaw.get("protocol", "ESMTPS")
            head = f"Return-Path: <{sender}>\r\nReceived: from mx.acme.dk (mx.acme.dk [62.1.2.3])\r\n"
            head += f" by mx.google.com with {protocol} id x; {DAY}\r\n{case}\r\n"
            rest = f"To: u@gmail.com\r\nMessage-ID: <1@acme.dk>\r\nDate: {DAY}\r\n\r\nhi\r\n"
            message = read_message((head + ("" if "\r\n\r\n" in case else rest)).encode())
    split = {tuple(name.split(" ")): records for name, records in changes.items()}
    zone = {key: records for key, records in {**WORLD, **split}.items() if records is not None}
    ports = Ports(Zone(zone), FixedClock(NOW), http=web or OFFLINE, permissions=Permissions(fetch=web is not None))
    subject = Subject("acme.dk", selectors=tuple(flaw.get("selectors", ())))
    facts = (await gather(auditors(), subject, ports, message)).facts
    found = judge(facts, load_rules(), catalogue(), Selection())
    return {each.rule: each.severity for each in found if each.outcome is Outcome.UNMET}


@pytest.mark.parametrize("flaw", CLASSES, ids=[each["class"] for each in CLASSES])
def test_a_flaw_is_told_or_silent_for_a_reason(flaw: dict[str, Any]) -> None:
    assert bool(flaw.get("rules")) is not bool(flaw.get("silent"))
    for rule in flaw.get("rules", ()):
        assert rule in load_rules().rules, rule
        assert CASES[rule].get("unmet"), rule
    assert (ROOT / flaw.get("tests", "tests")).exists(), flaw["tests"]
    assert flaw.get("tests") or any(cases(flaw)), "no case"


def test_there_are_as_many_cases_as_the_papers_have() -> None:
    assert len(CLASSES) >= 60
    assert len(EVERY) >= 250
    assert set().union(*CLASSES) <= {
        *("class", "rules", "silent", "but", "tests", "beside", "selectors", "return_path", "protocol"),
        *KINDS,
    }


@pytest.mark.long  # 300 audits
@pytest.mark.parametrize(
    "flaw", sampled([each for each in CLASSES if any(cases(each))], 4), ids=lambda each: each["class"]
)
async def test_each_case_is_told_and_none_that_is_rightly_silent(flaw: dict[str, Any]) -> None:
    silent = "silent" in flaw
    healthy = await unmet(flaw) if "from" not in flaw else await unmet({}, "from", "From: A <a@acme.dk>")
    told = {}
    for kind, case in cases(flaw):
        found = await unmet(flaw, kind, case)
        if silent:
            news = found.keys() - healthy.keys() - set(flaw.get("but", ()))
            told[str(case)] = not [rule for rule in news if found[rule].rank >= Severity.WARNING.rank]
        else:
            told[str(case)] = not found.keys().isdisjoint(flaw["rules"])
    assert [case for case, right in told.items() if not right] == []
    # TLS-RPT is missing there, which is one of the classes.
    assert silent or healthy.keys().isdisjoint(set(flaw["rules"]) - {"NET-011"})


NEW = (
    *(f"SEC-{n:03}" for n in range(1, 9)),
    *("DMARC-028", "SPF-034", "SPF-035", "SPF-036", "DKIM-034", "DKIM-035"),
    *("NET-027", "NET-028", "NET-029", "NET-030", "NET-031", "NET-032"),
)
ALIAS = "the host of the policy is a name of the DNS service's own kind (ALIAS), which the file leaves out"
DOUBLED = "v=spf1 stands twice in the record"
REAL = {
    **dict.fromkeys(
        (
            *("cjit.gov.uk", "g.justice.gov.uk", "govfsl.com", "hmiprobation.gov.uk"),
            *("judicialombudsman.gov.uk", "ospt.gov.uk", "paroleboard.gov.uk"),
        ),
        ("NET-027", ALIAS),
    ),
    **dict.fromkeys(("agarn.ch", "skinnskatteberg.se"), ("SPF-035", DOUBLED)),
}
"""What is found in the zones of the corpus, and why; none of it is an error."""


@pytest.mark.slow  # all zones of the corpus
async def test_on_real_zones_each_new_finding_has_a_reason() -> None:
    zones = ZoneResolver.load([corpus("zones")])
    ports = Ports(zones, FixedClock(datetime(2026, 11, 24, tzinfo=UTC)))
    told = {}
    for domain in zones.origins:
        facts = (await gather(auditors(), Subject(domain), ports, None)).facts
        found = judge(facts, load_rules(), catalogue(), Selection(select=NEW))
        told[domain] = [each.rule for each in found if each.outcome is Outcome.UNMET]
        assert not [each for each in found if each.outcome is Outcome.UNMET and each.severity is Severity.ERROR]
    assert len(told) > 190
    assert {domain: rules for domain, rules in told.items() if rules} == {
        domain: [rule] for domain, (rule, _) in REAL.items()
    }
