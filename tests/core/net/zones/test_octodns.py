r"""octoDNS: zones and plans, read as octoDNS reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deliverability.core.errors import InputError
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Absent, Failed, Found
from deliverability.core.net.zone import ZoneResolver
from deliverability.core.net.zones.base import Reading, answer_text
from deliverability.core.net.zones.over import open_zones, read_zone
from tests.corpus import corpus

ZONE = r"""---
'':
  - type: MX
    values:
      - exchange: mx1.example.com.
        preference: 10
      - value: mx2.example.net.
        priority: 20
  - type: TXT
    ttl: 60
    values:
      - v=spf1 include:a.example -all
      - two\; parts; here
  - {type: CAA, value: {flags: 0, tag: issue, value: letsencrypt.org}}
_DMARC:
  type: TXT
  value: v=DMARC1\; p=none
www:
  type: CNAME
  value: web.example.net.
sub.list:
  type: TXT
  value: [one, two]
"""


def rows(text: str, origin: str = "example.com") -> list[tuple[str, str, str, int | None, str]]:
    found = read_zone(text, origin=origin)
    return [(each.owner, each.type, answer_text(each)[0], each.ttl, each.place) for each in found.after]


def test_a_zone() -> None:
    assert rows(ZONE) == [
        ("example.com", "MX", "10 mx1.example.com", None, "example.com:5"),
        ("example.com", "MX", "20 mx2.example.net", None, "example.com:7"),
        ("example.com", "TXT", "v=spf1 include:a.example -all", 60, "example.com:12"),
        ("example.com", "TXT", "two; parts; here", 60, "example.com:13"),
        ("example.com", "CAA", '0 issue "letsencrypt.org"', None, "example.com:14"),
        ("_dmarc.example.com", "TXT", "v=DMARC1; p=none", None, "example.com:17"),
        ("www.example.com", "CNAME", "web.example.net", None, "example.com:20"),
        ("sub.list.example.com", "TXT", "one", None, "example.com:23"),
        ("sub.list.example.com", "TXT", "two", None, "example.com:23"),
    ]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("v=DKIM1\\; p=x", "v=DKIM1; p=x"),
        ("v=DKIM1; p=x", "v=DKIM1; p=x"),
        ('\'"in quotes" "and joined"\'', "in quotesand joined"),
        ("'12345'", "12345"),
        ("12345", "12345"),
        ("yes", "yes"),
        ("2026-11-29", "2026-11-29"),
        ("'say \"hi\"'", 'say "hi"'),
        ("back\\slash", "back\\slash"),
        ("日本", "日本"),
    ],
)
def test_texts(written: str, text: str) -> None:
    assert [each[2] for each in rows(f"a: {{type: TXT, value: {written}}}\n" if "," not in written else "")] == [text]


def test_a_long_text_is_parted_as_it_is_published() -> None:
    found = read_zone(f"k:\n  type: TXT\n  value: {'A' * 600}\n", origin="example.com")
    assert answer_text(found.after[0])[1] == (255, 255, 90)


async def test_what_octodns_cannot_read_costs_only_itself() -> None:
    text = ZONE.replace("'':\n", "'':\n  - {type: Route53Provider/ALIAS, values: [{name: x.example.}]}\n")
    found = read_zone(text, origin="example.com")
    resolver = ZoneResolver([found])
    for rdtype in ("A", "AAAA"):
        answer = await resolver.query("example.com", rdtype)
        assert isinstance(answer, Failed)
        assert answer.reason is Reason.UNTOLD
    assert isinstance(await resolver.query("example.com", "MX"), Found)
    assert isinstance(await resolver.query("nothing.example.com", "TXT"), Absent)
    assert [each.code for each in found.remarks] == ["about"]


def test_anchors_and_merged_mappings() -> None:
    text = "base: &b {type: TXT, value: x}\nother:\n  <<: *b\n  value: y\nsame: *b\n"
    assert [(each[0], each[2]) for each in rows(text)] == [
        ("base.example.com", "x"),
        ("other.example.com", "y"),
        ("same.example.com", "x"),
    ]


def test_of_two_records_of_one_name_the_last_one_counts_and_is_told() -> None:
    found = read_zone("a: {type: TXT, value: one}\na: {type: TXT, value: two}\n", origin="example.com")
    assert [each.rdata for each in found.after] == ['"two"']
    assert "appears twice" in str(InputError(*found.remarks))


def test_a_record_that_octodns_leaves_alone_cannot_be_told() -> None:
    found = read_zone("a: {type: TXT, value: x, octodns: {ignored: true}}\n", origin="example.com")
    assert (found.after, [(each.owner, each.type) for each in found.unknown]) == ((), [("a.example.com", "TXT")])


def test_values_that_differ_by_who_asks_are_taken_and_told() -> None:
    found = read_zone(
        "www: {type: A, value: 192.0.2.1, dynamic: {pools: {one: {}}, rules: []}}\n", origin="example.com"
    )
    assert len(found.after) == 1
    assert "depends on who queries it" in str(InputError(*found.remarks))


async def test_a_folder_with_a_file_for_each_name(tmp_path: Path) -> None:
    folder = tmp_path / "example.com."
    folder.mkdir()
    (folder / "$example.com.yaml").write_text("'':\n  type: TXT\n  value: v=spf1 -all\n")
    (folder / "_dmarc.yaml").write_text("_dmarc:\n  type: TXT\n  value: v=DMARC1\\; p=none\n")
    found = read_zone(folder)
    assert (found.origins, [each.owner for each in found.after]) == (
        ("example.com",),
        ["example.com", "_dmarc.example.com"],
    )
    assert found.after[1].place.endswith("example.com./_dmarc.yaml:3")
    # Beside other zones, too.
    (tmp_path / "example.net.yaml").write_text("'':\n  type: TXT\n  value: v=spf1 ~all\n")
    (tmp_path / "config.yaml").write_text("providers:\n  x: {}\n")
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "docker-compose.override.yml").write_text("services: {}\n")
    zones = open_zones([tmp_path], Reading()).whole
    assert zones is not None
    assert zones.origins == ("example.com", "example.net")


class TestIncludes:
    async def test_they_are_followed_within_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "spf.yaml").write_text("- v=spf1 -all\n")
        (tmp_path / "parked.yaml").write_text("_dmarc: {type: TXT, value: v=DMARC1\\; p=reject}\n")
        zone = tmp_path / "example.com.yaml"
        zone.write_text("<<: !include parked.yaml\n'':\n  type: TXT\n  values: !include spf.yaml\n")
        assert sorted((each.owner, each.rdata) for each in read_zone(zone).after) == [
            ("_dmarc.example.com", '"v=DMARC1; p=reject"'),
            ("example.com", '"v=spf1 -all"'),
        ]

    async def test_nor_elsewhere_and_what_they_hold_is_not_missing(self, tmp_path: Path) -> None:
        (tmp_path / "secret.yaml").write_text("_dmarc: {type: TXT, value: v=DMARC1\\; p=reject}\n")
        folder = tmp_path / "zones"
        folder.mkdir()
        zone = folder / "example.com.yaml"
        zone.write_text("<<: !include ../secret.yaml\n'':\n  type: TXT\n  value: v=spf1 -all\n")
        resolver = ZoneResolver.load([zone])
        assert isinstance(await resolver.query("example.com", "TXT"), Found)
        for name in ("_dmarc.example.com", "anything.example.com"):
            answer = await resolver.query(name, "TXT")
            assert isinstance(answer, Failed), name
            assert answer.reason is Reason.UNTOLD

    def test_files_that_include_each_other_end(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("- !include a.yaml\n")
        (tmp_path / "example.com.yaml").write_text("x: {type: TXT, values: !include a.yaml}\n")
        with pytest.raises(InputError, match="more than 64"):
            read_zone(tmp_path / "example.com.yaml")


def test_what_repeats_itself_endlessly_is_refused() -> None:
    text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for letter, above in zip("bcdefgh", "abcdefg", strict=True):
        text += f"{letter}: &{letter} [{', '.join([f'*{above}'] * 10)}]\n"
    with pytest.raises(InputError, match="more than 100,000"):
        read_zone(text + "z: {type: TXT, value: *h}\n", format="octodns", origin="example.com")


UPDATE = {
    "type": "update",
    "name": "",
    "record_type": "TXT",
    "existing": {"ttl": 300, "values": ["v=spf1 ~all", "x"]},
    "new": {"ttl": 300, "value": "v=DMARC1\\; p=x"},
}


class TestPlan:
    def of(self, *changes: dict[str, Any], targets: tuple[str, ...] = ("route53",)) -> str:
        return json.dumps({target: {"example.com.": {"changes": list(changes), "meta": None}} for target in targets})

    def test_both_sides_of_whole_record_sets(self) -> None:
        found = read_zone(self.of(UPDATE))
        assert (found.origins, found.complete, found.replaces) == (("example.com",), False, "set")
        assert [each.rdata for each in found.after] == ['"v=DMARC1; p=x"']
        assert [each.rdata for each in found.before or ()] == ['"v=spf1 ~all"', '"x"']

    def test_targets_that_agree_are_read_once(self) -> None:
        assert len(read_zone(self.of(UPDATE, targets=("a", "b"))).after) == 1

    def test_targets_that_differ_need_a_choice(self) -> None:
        text = json.loads(self.of(UPDATE, targets=("a", "b")))
        text["b"]["example.com."]["changes"] = []
        with pytest.raises(InputError, match=r"the targets a, b differ for example\.com\. Choose one with --zone-tag"):
            read_zone(json.dumps(text))
        assert read_zone(json.dumps(text), tag="b").after == ()
        with pytest.raises(InputError, match=r"no target c\. Targets: a, b"):
            read_zone(json.dumps(text), tag="c")


def test_real_zones_are_read_whole() -> None:
    """What octoDNS itself makes of them is compared where it is installed: tests/diff/test_octodns_plugin.py."""
    folder = corpus("dns-code") / "octodns"
    refused = []
    for path in sorted(folder.glob("*.yaml")):
        found = read_zone(path)
        assert found.complete
        assert found.after, path.name
        if found.unknown:
            refused.append(path.name)
    assert len(refused) == 41  # those that octoDNS refuses without its plug-in for Route 53
