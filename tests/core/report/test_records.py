"""Records in the forms that people paste: every one can be read back as the very octets that are to be published."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import dns.rdatatype
import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverability.core.model.report import RecordEdit
from deliverability.core.net.overlay import parse_proposal
from deliverability.core.report.records import (
    RecordSet,
    cloudflare,
    rdata,
    record_sets,
    route53,
    terraform,
    txt_strings,
    with_value,
    zone_lines,
)

LONG = "v=spf1 " + " ".join(f"ip4:192.0.2.{n}" for n in range(60)) + " -all"
NASTY = 'v=spf1 exists:%{i}._spf.example.com exp=${x} "quoted" back\\slash ;comment \x07 日本 ~all'
VALUES = ["v=DMARC1; p=none", LONG, NASTY, "x" * 255, "x" * 256, "日" * 200]
SOA = (
    "example.com. 3600 IN SOA ns.example.com. host.example.com. 1 7200 3600 1209600 300\n"
    "example.com. 3600 IN NS ns.example.com.\n"
    "ns.example.com. 3600 IN A 192.0.2.1\n"
)


def txt(value: str, name: str = "example.com") -> RecordSet:
    return RecordSet(name, "TXT", (), (value,), (), ("why\nnot one line",))


def read_back(text: str, rdtype: str = "TXT", name: str = "@") -> list[bytes]:
    zone = dns.zone.from_text(SOA + text, origin="example.com.", check_origin=False)
    rdataset = zone.find_rdataset(name, dns.rdatatype.from_text(rdtype))
    return [b"".join(rdata.strings) for rdata in rdataset]


@pytest.mark.parametrize("value", VALUES)
def test_zone_lines_say_the_same_octets(value: str) -> None:
    assert read_back(zone_lines([txt(value)], ["heading ; with\nbreak"])) == [value.encode()]


@pytest.mark.parametrize("value", VALUES)
def test_the_import_of_cloudflare_says_the_same_octets(value: str) -> None:
    text = cloudflare([RecordSet("example.com", "TXT", ("old;",), (value,))])
    assert read_back(text.replace("\t1\t", "\t300\t")) == [value.encode()]
    assert text.startswith(';; - example.com TXT "old;"\n')


@given(st.text(max_size=600))
def test_no_string_is_longer_than_a_txt_record_allows(value: str) -> None:
    try:
        octets = value.encode("utf-8")
    except UnicodeEncodeError:
        return
    strings = txt_strings(value)
    assert b"".join(strings) == octets
    assert all(len(each) <= 255 for each in strings)
    assert rdata("TXT", value).isascii()
    assert rdata("TXT", value).isprintable()


def test_a_long_value_is_divided_between_terms_and_a_key_where_it_is_full() -> None:
    terms = " ".join(f"include:_s{number}.example.com" for number in range(20))
    assert all(each.endswith(b" ") for each in txt_strings(f"v=spf1 {terms} -all")[:-1])
    assert [len(each) for each in txt_strings(f"v=DKIM1; p={'A' * 392}")] == [255, 148]


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_with_takes_every_value_as_it_is_meant(value: str) -> None:
    written = with_value("TXT", value)
    if written.splitlines() == [written] and value.isprintable() and "\\" not in value:
        assert parse_proposal(f"example.com TXT {written}").value == value


def test_names_in_values_get_their_dot() -> None:
    sets = [
        RecordSet("example.com", "MX", (), ("10 mail.example.com",)),
        RecordSet("www.example.com", "CNAME", (), ("host.example.com",)),
        RecordSet("mail.example.com", "A", (), ("192.0.2.1", "192.0.2.2")),
    ]
    text = zone_lines(sets)
    assert "example.com. 3600 IN MX 10 mail.example.com.\n" in text
    assert "www.example.com. 3600 IN CNAME host.example.com.\n" in text
    assert "mail.example.com. 3600 IN A 192.0.2.2\n" in text


@pytest.mark.system
def test_a_name_server_takes_the_zone(tmp_path: Path) -> None:
    checker = shutil.which("nsd-checkzone")
    if checker is None:
        pytest.skip("nsd-checkzone is not installed (Debian: apt-get install nsd)")
    sets = [txt(value, f"n{number}.example.com") for number, value in enumerate(VALUES)]
    (tmp_path / "zone").write_text(SOA + zone_lines(sets), "utf-8")
    done = subprocess.run([checker, "example.com", str(tmp_path / "zone")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def edit(
    old: tuple[str, ...], new: tuple[str, ...], name: str = "example.com", kind: str = "TXT"
) -> tuple[RecordEdit, ...]:
    return (RecordEdit(name, kind, old, new),)


def test_what_else_stands_at_a_name_stays() -> None:
    """Route 53 and Terraform replace all records of a name: verification texts must not get lost."""
    stands = {("example.com", "TXT"): ("site-verification=1", "v=spf1 a mx -all")}
    steps = [
        (edit(("v=spf1 a mx -all",), ("v=spf1 mx -all",)), "first"),
        (edit(("v=spf1 mx -all",), ("v=spf1 -all",)), "second"),
    ]
    (found,) = record_sets(steps, stands)
    assert found.old == ("v=spf1 a mx -all",)
    assert found.new == ("v=spf1 -all",)
    assert found.beside == ("site-verification=1",)
    assert found.why == ("first", "second")
    change = json.loads(route53([found]))["Changes"][0]
    assert change["Action"] == "UPSERT"
    assert change["ResourceRecordSet"]["ResourceRecords"] == [
        {"Value": '"site-verification=1"'},
        {"Value": '"v=spf1 -all"'},
    ]
    text = terraform([found])
    assert '"site-verification=1",' in text
    assert '"v=spf1 -all",' in text


def test_where_nothing_stands_a_record_is_created_not_replaced() -> None:
    (found,) = record_sets([(edit((), ("v=DMARC1; p=none",), "_dmarc.example.com"), "why")], {})
    assert json.loads(route53([found]))["Changes"][0]["Action"] == "CREATE"


def test_of_hosts_and_addresses_the_edit_names_all() -> None:
    stands = {("example.com", "MX"): ("0 .", "10 mail.example.com")}
    (found,) = record_sets([(edit(("0 .", "10 mail.example.com"), ("10 mail.example.com",), kind="MX"), "why")], stands)
    assert found.beside == ()


def test_route53_writes_octets_in_octal() -> None:
    value = json.loads(route53([txt("日\\")]))["Changes"][0]["ResourceRecordSet"]["ResourceRecords"][0]["Value"]
    assert value == '"\\346\\227\\245\\\\"'


HCL_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


@pytest.mark.parametrize("value", VALUES)
def test_terraform_has_no_template_in_it_and_splits_long_values(value: str) -> None:
    text = terraform([txt(value)])
    line = next(line for line in text.splitlines() if line.startswith("    "))
    match = HCL_STRING.fullmatch(line.strip().rstrip(","))
    assert match is not None
    assert not re.search(r"(?<![$])\$\{|(?<!%)%\{", match[1])
    said = json.loads(f'"{match[1]}"').replace("$${", "${").replace("%%{", "%{")
    strings = said.split('""') if len(value.encode()) > 255 else [said]
    assert all(len(re.sub(r"\\(?:\d{3}|.)", "x", each)) <= 255 for each in strings)
    assert text.count("{") - text.count("}") == value.count("{") - value.count("}")


def test_every_resource_has_a_name_of_its_own() -> None:
    text = terraform([txt("a", "a-b.example.com"), txt("b", "a.b.example.com")])
    names = re.findall(r'resource "aws_route53_record" "([a-z0-9_]+)"', text)
    assert len(set(names)) == 2
