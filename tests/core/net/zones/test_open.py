"""Zones and plans as a run is given them: whole ones instead of live DNS, parts over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deliverability.core.errors import InputError
from deliverability.core.facts.base import Reason
from deliverability.core.inputs import Subject
from deliverability.core.net.base import Failed, Found
from deliverability.core.net.dns import LiveResolver
from deliverability.core.net.open import PortSettings, open_ports
from deliverability.core.net.ports import Permissions
from deliverability.core.net.zones.over import LaidOver
from deliverability.core.rules.judge import Selection
from deliverability.engine.audit import Extras, gather_facts, make_report
from deliverability.engine.rules import load_rules
from tests.core.net.zones import writing

OLD = [("", "TXT", "v=spf1 -all"), ("_dmarc", "TXT", "v=DMARC1; p=none")]
NEW = [("", "TXT", "v=spf1 ~all"), ("_dmarc", "TXT", "v=DMARC1; p=none")]


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(writing.terraform("cloudflare_dns_record", OLD, NEW))
    return path


@pytest.fixture
def zone(tmp_path: Path) -> Path:
    path = tmp_path / "example.com.zone"
    path.write_text(writing.bind(OLD))
    return path


async def test_a_part_lies_over_live_dns_with_its_resolver_and_permissions(plan: Path) -> None:
    ports = open_ports(PortSettings(zones=[plan], servers=["192.0.2.53"], permissions=Permissions(fetch=True)))
    assert ports.sources == ("live", "plan")
    assert isinstance(ports.dns, LaidOver)
    assert isinstance(ports.dns._base, LiveResolver)
    await ports.close()


async def test_or_over_a_whole_zone(plan: Path, zone: Path) -> None:
    for given in ([plan, zone], [zone, plan]):
        ports = open_ports(PortSettings(zones=given))
        assert ports.sources == ("zone", "plan")
        answer = await ports.dns.query("example.com", "TXT")
        assert isinstance(answer, Found)
        assert answer.values == ("v=spf1 ~all",)


async def test_or_over_nothing(plan: Path) -> None:
    ports = open_ports(PortSettings(zones=[plan], offline=True))
    assert ports.sources == ("offline", "plan")
    answer = await ports.dns.query("example.com", "MX")
    assert isinstance(answer, Failed)
    assert answer.reason is Reason.OFFLINE


@pytest.mark.parametrize(
    "others", [{"servers": ["192.0.2.53"]}, {"permissions": Permissions(probe_smtp=True)}], ids=["servers", "probes"]
)
def test_beside_a_whole_zone_nobody_else_is_asked(plan: Path, zone: Path, others: dict[str, object]) -> None:
    with pytest.raises(InputError, match="zones"):
        open_ports(PortSettings(zones=[plan, zone], **others))  # type: ignore[arg-type]


def test_what_readers_remark_is_handed_on(tmp_path: Path) -> None:
    zone = tmp_path / "example.com.yaml"
    zone.write_text("'': [{type: TXT, value: v=spf1 -all}, {type: Route53Provider/ALIAS, values: [{name: x.}]}]\n")
    assert [each.code for each in open_ports(PortSettings(zones=[zone])).remarks] == ["about"]


@pytest.mark.long
async def test_a_report_says_that_a_plan_lies_over_it(plan: Path, zone: Path) -> None:
    audited = await gather_facts(Subject("example.com"), open_ports(PortSettings(zones=[plan, zone])), Extras())
    report = make_report(audited, load_rules(), Selection())
    assert {"plan-laid", "zone-only"} <= {each.code for each in report.notes}
