"""dnscontrol's intermediate representation, Route 53 and Cloudflare; and all formats beside each other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deliverability.core.errors import InputError
from deliverability.core.facts.base import Reason
from deliverability.core.net.base import Failed, Found
from deliverability.core.net.zone import ZoneResolver
from deliverability.core.net.zones.base import ZoneInput, answer_text, record_sets
from deliverability.core.net.zones.over import read_zone
from tests.core.net.zones import writing
from tests.core.net.zones.writing import Row
from tests.corpus import corpus
from tests.together import together

ROWS: list[Row] = [
    ("", "TXT", "v=spf1 ip4:192.0.2.1 include:a.example -all"),
    ("", "TXT", 'say "hi"; back\\slash'),
    ("", "MX", "0 mx1.example.com."),
    ("", "MX", "20 mx2.example.net."),
    ("_dmarc", "TXT", "v=DMARC1; p=none; rua=mailto:x@example.com"),
    ("s1._domainkey", "TXT", "v=DKIM1; k=rsa; p=" + "A" * 500),
    ("www", "CNAME", "web.example.net."),
    ("mx1", "A", "192.0.2.7"),
    ("mx1", "AAAA", "2001:db8::7"),
    ("*", "TXT", "v=spf1 -all"),
]


def comparable(found: ZoneInput) -> dict[tuple[str, str], set[Any]]:
    return {
        key: set(zip(each.values, each.string_octets or [()] * len(each.values), strict=True))
        for key, each in record_sets(found.after).items()
        if key[1] != "SOA"
    }


def test_every_format_says_the_same() -> None:
    zone = comparable(read_zone(writing.bind(ROWS), origin="example.com"))
    assert len(zone) == 8
    with together() as case:
        for name in ("octodns", "dnscontrol", "route53", "cloudflare"):
            with case(name):
                assert comparable(read_zone(getattr(writing, name)(ROWS), origin="example.com")) == zone


class TestDnscontrol:
    def test_places_are_those_of_the_program(self) -> None:
        found = read_zone(writing.dnscontrol(ROWS))
        assert (found.format, found.origins, found.complete) == ("dnscontrol", ("example.com",), True)
        assert [each.place for each in found.after[:2]] == ["[line:2:5]", "[line:3:5]"]

    @pytest.mark.parametrize("more", [{"keepunknown": True}, {"unmanaged": [{"label_pattern": "x"}]}])
    def test_a_zone_that_keeps_what_is_there_is_a_part(self, more: dict[str, Any]) -> None:
        found = read_zone(writing.dnscontrol(ROWS, **more))
        assert not found.complete
        assert "keeps records" in str(InputError(*found.remarks))

    def test_two_views_of_one_zone_need_a_choice(self) -> None:
        text = json.loads(writing.dnscontrol(ROWS))
        other = {**text["domains"][0], "uniquename": "example.com!inside", "records": []}
        text["domains"].append(other)
        with pytest.raises(InputError, match=r"example\.com appears several times, with the tags -, inside"):
            read_zone(json.dumps(text))
        assert read_zone(json.dumps(text), tag="inside").after == ()
        with pytest.raises(InputError, match="no tag x"):
            read_zone(json.dumps(text), tag="x")

    async def test_types_of_providers_are_unknown(self) -> None:
        extra = {"type": "CF_REDIRECT", "name": "@", "ttl": 1, "target": "x,y", "filepos": "[line:9:5]"}
        text = json.loads(writing.dnscontrol(ROWS))
        text["domains"][0]["records"].append(extra)
        answer = await ZoneResolver([read_zone(json.dumps(text))]).query("example.com", "A")
        assert isinstance(answer, Failed)
        assert answer.reason is Reason.UNTOLD

    def test_every_file_of_its_own_tests_is_read(self) -> None:
        """As many records as the file holds, known or unknown."""
        folder = corpus("dns-code") / "dnscontrol"
        with together() as case:
            for path in sorted(folder.glob("*.json")):
                with case(path.name):
                    domains = json.loads(path.read_text("utf-8"))["domains"]
                    held = sum(len(each["records"]) for each in domains)
                    if len({each["name"] for each in domains}) < len(domains):
                        with pytest.raises(InputError, match="--zone-tag"):
                            read_zone(path)
                        continue
                    found = read_zone(path)
                    lost = {(each.owner, each.place, str(each.why)) for each in found.unknown}
                    assert len(found.after) + len(lost) == held


class TestRoute53:
    def test_octal_escapes(self) -> None:
        one = {"Name": "\\052.example.com.", "Type": "TXT", "TTL": 60, "ResourceRecords": [{"Value": '"a\\073b"'}]}
        found = read_zone(json.dumps({"ResourceRecordSets": [one]}), origin="example.com")
        assert [(each.owner, answer_text(each)[0], each.ttl) for each in found.after] == [("*.example.com", "a;b", 60)]

    def test_what_depends_on_who_asks_is_unknown(self) -> None:
        sets = [
            {"Name": "a.example.com.", "Type": "A", "AliasTarget": {"DNSName": "x."}},
            {"Name": "b.example.com.", "Type": "MX", "SetIdentifier": "1", "ResourceRecords": [{"Value": "1 x."}]},
        ]
        found = read_zone(json.dumps({"ResourceRecordSets": sets}))
        assert found.after == ()
        assert [(each.owner, each.type) for each in found.unknown] == [("a.example.com", "A"), ("b.example.com", "MX")]

    def test_the_zone_is_that_of_its_soa(self) -> None:
        soa = {"Name": "example.com.", "Type": "SOA", "ResourceRecords": [{"Value": "ns. host. 1 2 3 4 5"}]}
        deep = {"Name": "a.b.example.com.", "Type": "A", "ResourceRecords": [{"Value": "192.0.2.1"}]}
        assert read_zone(json.dumps({"ResourceRecordSets": [soa, deep]})).origins == ("example.com",)
        assert read_zone(json.dumps({"ResourceRecordSets": [deep]}), origin="example.com").origins == ("example.com",)

    def test_a_change_batch_is_a_part(self) -> None:
        found = read_zone(writing.route53_batch(ROWS[:3], ROWS[1:]))
        assert (found.complete, found.replaces) == (False, "set")


class TestCloudflare:
    def record(self, **values: Any) -> str:
        record = {"name": "www.example.com", "type": "A", "content": "192.0.2.1", **values}
        return json.dumps({"result": [record], "success": True})

    async def test_what_it_answers_by_itself_is_unknown(self) -> None:
        for values in ({"proxied": True}, {"type": "CNAME", "content": "x.example", "name": "example.com"}):
            found = read_zone(self.record(**values), origin="example.com")
            assert [each.type for each in found.unknown] == ["A", "AAAA"]

    @pytest.mark.parametrize(
        ("values", "rdata"),
        [
            ({"type": "CAA", "data": {"flags": 0, "tag": "issue", "value": "ca.example"}}, '0 issue "ca.example"'),
            ({"type": "CAA", "content": '0 issue "ca.example"'}, '0 issue "ca.example"'),
            (
                {"type": "SRV", "data": {"weight": 5, "port": 25, "target": "x.example"}, "priority": 1},
                "1 5 25 x.example.",
            ),
            ({"type": "SRV", "content": "5 25 x.example", "priority": 1}, "1 5 25 x.example."),
            ({"type": "TXT", "content": '"one" "two"'}, '"one" "two"'),
            ({"type": "TXT", "content": 'say "hi"'}, '"say \\"hi\\""'),
        ],
    )
    def test_values(self, values: dict[str, Any], rdata: str) -> None:
        assert [each.rdata for each in read_zone(self.record(**values)).after] == [rdata]


async def test_a_zone_answers_alike_in_every_format() -> None:
    with together() as case:
        for name in ("bind", "octodns", "dnscontrol", "route53", "cloudflare"):
            resolver = ZoneResolver([read_zone(getattr(writing, name)(ROWS), origin="example.com")])
            for owner, rdtype, _ in ROWS[:-1]:
                with case(f"{name} {owner} {rdtype}"):
                    assert isinstance(await resolver.query(writing.whole(owner), rdtype), Found)
            with case(f"{name} wildcard"):
                answer = await resolver.query("nothing.example.com", "TXT")
                assert isinstance(answer, Found)
                assert answer.values == ("v=spf1 -all",)
