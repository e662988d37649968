"""The configuration of octoDNS: each option that changes where records are read."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from deliverability.core.net.base import Absent, Failed, Found
from deliverability.core.net.zones.base import Reading, ZoneError, record_sets
from deliverability.core.net.zones.over import open_zones
from deliverability.core.net.zones.read import given

SPF, POLICY, SHARED = "v=spf1 mx -all", "v=DMARC1; p=reject", "v=TLSRPTv1; rua=mailto:t@example.com"


def text(name: str, value: str) -> str:
    return f"{name!r}:\n  type: TXT\n  value: {value!r}\n"


def written(
    folder: Path, files: dict[str, str], *providers: dict[str, Any], zones: dict[str, Any] | None = None
) -> Path:
    """The files below the folder, and a configuration whose zone has these providers as its sources."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    made = {
        f"source{number}": {"class": "octodns.provider.yaml.YamlProvider", "directory": "./zones", **each}
        for number, each in enumerate(providers)
    }
    config = folder / "production.yaml"
    target = {
        "route53": {"class": "octodns_route53.Route53Provider", "access_key_id": "env/AWS_KEY"},
        "axfr": {"class": "octodns_bind.AxfrPopulate", "host": "ns1.example.com"},
    }
    config.write_text(
        yaml.safe_dump(
            {
                "providers": made | target,
                "zones": zones or {"example.com.": {"sources": [*made], "targets": ["route53"]}},
            }
        ),
        "utf-8",
    )
    return config


async def texts(config: Path, name: str) -> tuple[str, ...] | None:
    whole = open_zones([config], Reading()).whole
    assert whole is not None
    answer = await whole.query(name, "TXT")
    assert isinstance(answer, Found | Absent)
    return answer.values if isinstance(answer, Found) else None


PLAIN = {"zones/example.com.yaml": text("", SPF)}
PARTS = {
    "zones/example.com./$example.com.yaml": text("", SPF),
    "zones/example.com./_dmarc.yaml": text("_dmarc", POLICY),
}


@pytest.mark.parametrize(
    ("files", "options", "policy"),
    [
        (PLAIN, {}, None),
        (PLAIN | {"zones/shared.yaml": text("_dmarc", POLICY)}, {"shared_filename": "shared.yaml"}, (POLICY,)),
        (PLAIN | {"zones/shared.yaml": text("_dmarc", POLICY)}, {}, None),
        (PARTS, {"split_extension": "."}, (POLICY,)),
        (PLAIN | {"zones/example.com.tst/a.yaml": text("_dmarc", POLICY)}, {"split_extension": ".tst"}, (POLICY,)),
        (PLAIN | {"zones/example.com.tst/a.yaml": text("_dmarc", POLICY)}, {}, None),
        (
            PARTS | {"zones/example.com.yaml": "broken: ["},
            {"split_extension": ".", "disable_zonefile": True},
            (POLICY,),
        ),
        (PARTS, {"class": "octodns.provider.yaml.SplitYamlProvider"}, (POLICY,)),
    ],
)
async def test_records_come_from_the_files_that_the_options_name(
    tmp_path: Path, files: dict[str, str], options: dict[str, Any], policy: tuple[str, ...] | None
) -> None:
    config = written(tmp_path, files, options)
    assert await texts(config, "example.com") == (SPF,)
    assert await texts(config, "_dmarc.example.com") == policy


async def test_a_later_provider_replaces_record_sets_where_it_says_so(tmp_path: Path) -> None:
    files = PLAIN | {"over/example.com.yaml": text("", "v=spf1 -all")}
    later = {"directory": "./over", "populate_should_replace": True}
    assert await texts(written(tmp_path, files, {}, later), "example.com") == ("v=spf1 -all",)


async def test_a_zone_of_all_stands_for_those_with_files(tmp_path: Path) -> None:
    files = PLAIN | {"zones/example.net.yaml": text("", "v=spf1 -all"), "zones/shared.yaml": text("_smtp._tls", SHARED)}
    provider = {"shared_filename": "shared.yaml"}
    config = written(tmp_path, files, provider, zones={"*": {"sources": ["source0"], "targets": ["route53"]}})
    assert await texts(config, "example.net") == ("v=spf1 -all",)
    assert await texts(config, "_smtp._tls.example.net") == (SHARED,)
    assert await texts(config, "_smtp._tls.example.com") == (SHARED,)


async def test_an_alias_has_the_records_of_its_zone(tmp_path: Path) -> None:
    zones = {"example.com.": {"sources": ["source0"]}, "example.org.": {"alias": "example.com."}}
    assert await texts(written(tmp_path, PLAIN, {}, zones=zones), "example.org") == (SPF,)


async def test_a_name_in_its_own_script_is_a_file_in_either_spelling(tmp_path: Path) -> None:
    zones = {"bücher.example.": {"sources": ["source0"]}}
    files = {"zones/bücher.example.yaml": text("", SPF)}
    assert await texts(written(tmp_path, files, {}, zones=zones), "xn--bcher-kva.example") == (SPF,)


async def test_a_source_that_is_no_file_leaves_the_zone_open(tmp_path: Path) -> None:
    zones = {"example.com.": {"sources": ["source0", "axfr"]}}
    found = open_zones([written(tmp_path, PLAIN, {}, zones=zones)], Reading())
    assert found.whole is None
    assert [each.complete for each in found.parts] == [False]


@pytest.mark.parametrize(
    ("files", "options", "said"),
    [
        (PLAIN, {"directory": "./elsewhere"}, "octodns-no-folder"),
        (PLAIN, {"class": "octodns_bind.ZoneFileSource"}, "octodns-no-provider"),
        ({"zones/other.example.yaml": text("", SPF)}, {}, "octodns-no-files"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, files: dict[str, str], options: dict[str, Any], said: str) -> None:
    with pytest.raises(ZoneError) as caught:
        open_zones([written(tmp_path, files, options)], Reading())
    assert said in repr(caught.value.detail)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"directory": ""}, "octodns-no-directory"),
        ({"shared_filename": "no.yaml"}, "octodns-no-shared"),
    ],
)
def test_options_that_lead_nowhere_are_told(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ZoneError) as caught:
        open_zones([written(tmp_path, PLAIN, options)], Reading())
    assert caught.value.code == said


@pytest.mark.parametrize(
    ("zones", "said"),
    [
        ({"example.com.": {"sources": ["confg"]}}, "octodns-no-source"),
        ({"example.com.": {"sources": "source0"}}, "octodns-sources-no-list"),
        ({"example.com.": {"alias": "nowhere.example."}}, "octodns-no-aliased"),
        ({"*a": {"sources": ["source0"], "regex": "("}}, "octodns-no-pattern"),
        ({"*a": {"sources": ["source0"], "glob": "*.org."}}, "octodns-no-zones"),
        ({"example.com.": {"sources": ["route53"]}}, "octodns-no-provider"),
    ],
)
def test_zones_that_lead_nowhere_are_told(tmp_path: Path, zones: dict[str, Any], said: str) -> None:
    with pytest.raises(ZoneError) as caught:
        open_zones([written(tmp_path, PLAIN, {}, zones=zones)], Reading())
    assert caught.value.code == said


def test_a_mistake_in_its_yaml_is_told_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("providers:\n  a:\n    class: x\n   directory: y\n")
    with pytest.raises(ZoneError, match=r"config\.yaml:4: not valid YAML"):
        open_zones([tmp_path / "config.yaml"], Reading())


async def test_values_that_a_processor_fills_in_cannot_be_told(tmp_path: Path) -> None:
    files = {"zones/example.com.yaml": text("", "v=spf1 include:{zone_name} -all") + text("_dmarc", POLICY)}
    config = written(tmp_path, files, {})
    given = yaml.safe_load(config.read_text())
    given["processors"] = {"fill": {"class": "octodns.processor.templating.Templating"}}
    given["zones"]["example.com."]["processors"] = ["fill"]
    config.write_text(yaml.safe_dump(given))
    found = open_zones([config], Reading())
    assert found.whole is not None
    assert isinstance(await found.whole.query("example.com", "TXT"), Failed)
    assert isinstance(await found.whole.query("_dmarc.example.com", "TXT"), Found)
    assert any("can change or leave out records: fill" in str(ZoneError(each)) for each in found.whole.remarks)


def test_a_filter_leaves_what_else_the_target_has(tmp_path: Path) -> None:
    config = written(tmp_path, PLAIN, {})
    given = yaml.safe_load(config.read_text())
    given["processors"] = {"few": {"class": "octodns.processor.filter.TypeAllowlistFilter", "allowlist": ["TXT"]}}
    given["manager"] = {"processors": ["few"]}
    config.write_text(yaml.safe_dump(given))
    assert [each.complete for each in open_zones([config], Reading()).parts] == [False]


# --- beside octoDNS itself --------------------------------------------------------------------------------------------

_NAMES = ("", "_dmarc", "www", "sub.list", "*", "s1._domainkey", "MiXed", "1", "2026-01-01")
_VALUES = {
    "TXT": ["v=spf1 -all", "two  blanks", "'x'", 'quote " inside', "a; b", "x" * 300],
    "A": ["192.0.2.1", "192.0.2.2"],
    "MX": [{"exchange": "mx.example.net.", "preference": 5}, {"value": "Mx.example.org.", "priority": 7}],
    "CAA": [{"flags": 0, "tag": "issue", "value": "letsencrypt.org"}],
}


def made_zone(random: Random, name: str, escaped: bool, merged: str) -> str:
    """A zone in one of the ways in which YAML can say it: lists, anchors, merged mappings, files that it includes."""

    def record(rdtype: str) -> str:
        values = random.sample(_VALUES[rdtype], random.randint(1, len(_VALUES[rdtype])))
        if escaped and rdtype == "TXT":
            values = [str(each).replace(";", "\\;") for each in values]
        one = len(values) == 1 and random.random() < 0.6
        fields: dict[str, Any] = {"type": rdtype, "value" if one else "values": values[0] if one else values}
        return str(
            yaml.safe_dump(fields | random.choice([{}, {"ttl": 60}]), default_flow_style=True, width=9999)
        ).strip()

    lines = [f"{name!r}: [{record('TXT')}, {record('A')}]"]
    for number, each in enumerate(random.sample([each for each in _NAMES if each != name], 4)):
        lines.append(f"{each!r}: &a{number} {record(random.choice([*_VALUES]))}")
        if random.random() < 0.4 and escaped:
            merge = [f"<<: *a{number}", "ttl: 77"]
            lines.append(f"m{number}: {{{', '.join(random.sample(merge, 2))}}}")
    if merged:
        lines.insert(random.randint(0, len(lines)), f"<<: {merged}")
    return "---\n" + "\n".join(lines) + "\n"


def made_configuration(random: Random, folder: Path) -> Path:
    files: dict[str, str] = {}
    providers: list[dict[str, Any]] = []
    for number in range(random.randint(1, 3)):
        place, escaped = f"zones{number}", random.random() < 0.6
        options: dict[str, Any] = {
            "directory": str(folder / place),
            "enforce_order": False,
            "escaped_semicolons": escaped,
        }
        options |= random.choice([{}, {"default_ttl": 300}]) | ({"populate_should_replace": True} if number else {})
        if random.random() < 0.4:
            options["shared_filename"] = "shared.yaml"
            files[f"{place}/shared.yaml"] = text(f"_shared{number}", "x")
        split = random.choice(["", ".", ".tst"])
        if split:
            options["split_extension"] = split
        # Sought from the file that merges, then from the one that includes.
        files[f"{place}/common/one.yaml"] = text("_one", "x") + "_deep: !include common/deep/two.yaml\n"
        files[f"{place}/common/deep/two.yaml"] = "type: TXT\nvalues: !include three.yaml\n"
        files[f"{place}/common/deep/three.yaml"] = "[y, z]\n"
        for zone in ("example.com", random.choice(["bücher.example", "xn--bcher-kva.example"])):
            merged = random.choice(["", "!include common/one.yaml"])
            if split and random.random() < 0.5:
                files[f"{place}/{zone}{split}/a.yaml"] = made_zone(random, "", escaped, "")
                files[f"{place}/{zone}{split}/b.yaml"] = text("_b", "x")
            else:
                files[f"{place}/{zone}.yaml"] = made_zone(random, "", escaped, merged)
        providers.append(options)
    sources = {"sources": [f"source{number}" for number in range(len(providers))], "targets": ["route53"]}
    zones: dict[str, Any] = random.choice(
        [
            {"example.com.": sources, "alias.example.": {"alias": "example.com."}},
            {"*": sources},
            {"*a": {**sources, "glob": "*.com."}, "*b": {**sources, "regex": "^b"}},
        ]
    )
    return written(folder, files, *providers, zones=zones)


RecordSets = dict[tuple[str, str], tuple[frozenset[str], int]]


def as_octodns_reads(config: Path) -> dict[str, RecordSets]:
    """The zones that octoDNS' own manager makes of it."""
    from octodns.manager import Manager
    from octodns.zone import Zone

    given = yaml.safe_load(config.read_text("utf-8"))
    given["providers"] = {
        name: each for name, each in given["providers"].items() if each["class"].endswith("YamlProvider")
    }
    only = config.with_name("only.yaml")
    only.write_text(yaml.safe_dump(given), "utf-8")
    manager = Manager(str(only))
    found: dict[str, RecordSets] = {}
    for name, settings in manager._preprocess_zones(manager.config["zones"]).items():
        zone = Zone(settings.get("alias", name), [])
        for source in (manager.config["zones"][settings["alias"]] if "alias" in settings else settings)["sources"]:
            manager.providers[source].populate(zone, lenient=True)
        sets: RecordSets = {}
        for record in zone.records:
            owner = f"{record.name}.{name}" if record.name else name
            values = record.data.get("values") or [record.data["value"]]
            sets[owner.rstrip("."), record._type] = frozenset(map(_written, values)), record.ttl
        found[name.rstrip(".")] = sets
    return found


def _written(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value).replace("\\;", ";")
    if "exchange" in value:
        return f"{value['preference']} {value['exchange'].rstrip('.')}"
    return f'{value["flags"]} {value["tag"]} "{value["value"]}"'


def as_we_read(config: Path) -> dict[str, RecordSets]:
    found: dict[str, RecordSets] = {}
    for zone in given([config], Reading()):
        sets = record_sets(zone.read()[0].after)
        found[zone.origin] = {key: (frozenset(each.values), each.ttl) for key, each in sets.items()}
    return found


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_made_up_configurations_are_read_as_octodns_reads_them(tmp_path: Path) -> None:
    pytest.importorskip("octodns", reason="octodns is not installed")
    for seed in range(40):
        config = made_configuration(Random(seed), tmp_path / str(seed))
        assert as_we_read(config) == as_octodns_reads(config), seed
