"""deliv inside octoDNS, with the real octoDNS: what its own strict checks let through is stopped."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from deliverability.core.net.zones.base import answer_text
from deliverability.core.net.zones.over import read_zone
from tests import ROOT
from tests.core.net.zones import writing
from tests.corpus import corpus
from tests.differences.test_diff import CHANGES, ZONE

pytest.importorskip("octodns", reason="octodns is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def plugin() -> ModuleType:
    spec = importlib.util.spec_from_file_location("deliv_octodns", ROOT / "contrib" / "octodns" / "deliv_octodns.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["deliv_octodns"] = module
    spec.loader.exec_module(module)
    return module


def zone(folder: Path, rows: Any) -> Any:
    from octodns.provider.yaml import YamlProvider
    from octodns.zone import Zone

    folder.mkdir(exist_ok=True)
    (folder / "example.com.yaml").write_text(rows if isinstance(rows, str) else writing.octodns(rows))
    found = Zone("example.com.", [])
    YamlProvider("config", str(folder), enforce_order=False, escaped_semicolons=True).populate(found, lenient=True)
    return found


@pytest.mark.parametrize(
    ("name", "rule"),
    [("SPF that calls itself", "SPF-018"), ("a misspelt policy", "DMARC-004"), ("everybody may", "SPF-006")],
)
def test_what_octodns_lets_through_is_stopped(plugin: ModuleType, tmp_path: Path, name: str, rule: str) -> None:
    reasons = plugin.Validator("deliv").validate(zone(tmp_path, CHANGES[name]))
    assert any(rule in str(each) for each in reasons)
    assert all(each.validator_id == "deliv" and each.records for each in reasons)


@pytest.mark.parametrize("name", ["no SPF", "no DMARC", "no MX", "hard fail", "reject", "a key elsewhere"])
def test_what_is_missing_or_sound_is_not(plugin: ModuleType, tmp_path: Path, name: str) -> None:
    assert plugin.Validator("deliv").validate(zone(tmp_path, CHANGES[name])) == []


def test_only_what_these_receivers_act_on(plugin: ModuleType, tmp_path: Path) -> None:
    found = zone(tmp_path, CHANGES["SPF that calls itself"])
    assert plugin.Validator("deliv", receivers=["softbank"]).validate(found)
    assert plugin.Validator("deliv", lang="ja").validate(found)


def test_octodns_validate_runs_it(plugin: ModuleType, tmp_path: Path) -> None:
    """By its own manager and configuration."""
    from octodns.manager import Manager
    from octodns.zone.exception import ZoneException

    zones = tmp_path / "zones"
    zone(zones, CHANGES["a misspelt policy"])
    config = tmp_path / "config.yaml"
    config.write_text(
        f"""
validators:
  deliv: {{class: deliv_octodns.Validator}}
providers:
  config:
    class: octodns.provider.yaml.YamlProvider
    directory: {zones}
    enforce_order: false
    escaped_semicolons: true
  target:
    class: octodns.provider.yaml.YamlProvider
    directory: {tmp_path}
    escaped_semicolons: true
zones:
  example.com.: {{sources: [config], targets: [target]}}
"""
    )
    with pytest.raises(ZoneException, match="via: deliv"):
        Manager(str(config)).validate_configs()


def test_a_plan_that_makes_mail_worse_is_stopped(plugin: ModuleType, tmp_path: Path) -> None:
    from octodns.processor.base import ProcessorException

    existing, desired = zone(tmp_path / "old", ZONE), zone(tmp_path / "new", CHANGES["a misspelt policy"])
    processor = plugin.Processor("deliv", base="offline")
    with pytest.raises(ProcessorException, match=r"mail of example\.com is worse"):
        processor.process_source_and_target_zones(desired, existing, None)
    assert plugin.Processor("deliv", base="offline", fail_on="never").process_source_and_target_zones(
        desired, existing, None
    ) == (desired, existing)
    same = processor.process_source_and_target_zones(existing, existing, None)
    assert same == (existing, existing)
    with pytest.raises(ProcessorException, match="fail_on is one of"):
        plugin.Processor("deliv", fail_on="sometimes")


@pytest.mark.long
def test_our_reader_agrees_with_octodns() -> None:
    """On every zone that octoDNS reads itself: names, types, values, TTL."""
    from octodns.provider.yaml import YamlProvider
    from octodns.zone import Zone

    folder = corpus("dns-code") / "octodns"
    provider = YamlProvider("config", str(folder), enforce_order=False, escaped_semicolons=True)
    compared = 0
    for path in sorted(folder.glob("*.yaml")):
        theirs = Zone(f"{path.name.removesuffix('.yaml')}.", [])
        try:
            provider.populate(theirs, lenient=True)
        except Exception:
            continue
        expected: dict[tuple[str, str], set[str]] = {}
        for record in theirs.records:
            values = record.values if hasattr(record, "values") else [record.value]
            owner = record.fqdn.rstrip(".")
            texts = {_text(owner, record._type, each.to_rdata_text()) for each in values}
            expected[owner, record._type] = texts
        ours: dict[tuple[str, str], set[str]] = {}
        for each in read_zone(path).after:
            ours.setdefault((each.owner, each.type), set()).add(answer_text(each)[0])
        assert ours == expected, path.name
        compared += 1
    assert compared == 167


def _text(owner: str, rdtype: str, rdata: str) -> str:
    from deliverability.core.net.zones.base import Record

    return answer_text(Record(owner, rdtype, rdata))[0]
