"""The configuration of octoDNS: each option that changes where records are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from deliverability.core.net.base import Absent, Found
from deliverability.core.net.zones.base import Reading, ZoneError
from deliverability.core.net.zones.inputs import open_zones

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
