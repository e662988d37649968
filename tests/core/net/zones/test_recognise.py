"""What is no zone: each is told what it is and what to run instead, in both languages, and nothing of it is quoted."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import re
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deliverability.core.errors import InputError
from deliverability.core.net.zones import FORMATS
from deliverability.core.net.zones.base import Reading, Source
from deliverability.core.net.zones.over import open_zones, read_zone
from deliverability.core.net.zones.read import look
from deliverability.core.phrases import detail_words, phrases
from tests.core.net.zones import writing

NEW = [("", "TXT", "v=spf1 -all")]


def zipped(*names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name in names or ("tfplan",):
            file.writestr(name, "x")
    return made.getvalue()


def tarred() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as file:
        file.addfile(tarfile.TarInfo("example.com.zone"), io.BytesIO())
    return made.getvalue()


def j(data: object) -> bytes:
    return json.dumps(data).encode()


SECRET = "s3cr3t-of-the-account"
CLOUDFLARE = {"success": True, "result": []}
SET = {"Name": "example.com.", "Type": "TXT", "ResourceRecords": [{"Value": '"x"'}]}
DOMAIN = {"name": "example.com", "uniquename": "example.com", "records": []}
HCL = b'resource "aws_route53_record" "spf" {\n  name = "example.com"\n}\n'
PREVIEW = b"******************** Domain: example.com\n1 correction (route53)\n"
OCTODNS_TEXT = b"****\n* route53 (Route53Provider)\n*   Create <TxtRecord TXT 300, x>\n"
EXPORT = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n"

WRONG: dict[str, tuple[bytes, str]] = {
    # What it is: its octets, what the message says to do.
    "empty": (b" \n", "create the file again"),
    "binary plan": (zipped(), "terraform show -json x.y > plan.json"),
    "archive": (zipped("example.com.zone"), "unzip x.y"),
    "PDF": (b"%PDF-1.7\n", "a document"),
    "look-up": (b'; <<>> DiG 9.18 <<>> a.dk TXT\na.dk. 300 IN TXT "x"\n', "one DNS lookup"),
    "WHOIS": (b"Domain Name: A.DK\nRegistrar: X\n", "registration"),
    "tinydns": (b".a.dk::ns.a.dk:259200\n'a.dk:v=spf1 -all:300\n", "axfrdns"),
    "hosts": (b"127.0.0.1 localhost\n", "hosts file"),
    "merge": (b"$ORIGIN a.dk.\n<<<<<<< HEAD\n@ TXT a\n", "Resolve it"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "key": (b"-----BEGIN PRIVATE KEY-----\nMIIE\n", "private"),
    "an API's list": (j({"records": []}), "in a format that deliv doesn't read. Export the zone file there"),
    "gzipped": (gzip.compress(b"x"), "gunzip -c x.y > unpacked.zone"),
    "tar archive": (tarred(), "tar xf x.y"),
    "database": (b"SQLite format 3\x00", "pdnsutil list-zone"),
    "error of a command": (
        b"\nAn error occurred (AccessDenied) when calling the X operation: no\n",
        "Fix what it reports",
    ),
    "transfer that failed": (
        b"; <<>> DiG 9.18 <<>> a.dk AXFR\n;; global options: +cmd\n; Transfer failed.\n",
        "permits",
    ),
    "HTTP header": (b"HTTP/2 200 \r\ncontent-type: text/plain\r\n\r\nx", "curl without -i"),
    "Corefile": (b"a.dk:53 {\n    file a.dk.zone\n}\n", "the zone file that it names, or run"),
    "PowerShell": (b"\r\nHostName    RecordType Type\r\n--------    ---------- ----\r\n", "Export-DnsServerZone"),
    "script": (b"#!/bin/sh\nterraform show -json plan.out\n", "that the program writes"),
    "settings": (b'[[domain]]\nname = "a.dk"\n', "a settings file"),
    "mail": (b"Return-Path: <a@a.dk>\r\nFrom: a@a.dk\r\n\r\nHello\r\n", "deliv audit --eml x.y"),
    "report of deliv": (j({"schema_version": "2", "subject": {}, "findings": []}), "that was audited"),
    "encrypted plan": (j({"meta": {}, "encrypted_data": "AA", "encryption_version": "v0"}), "tofu show -json x.y"),
    "credentials": (j({"r53": {"TYPE": "ROUTE53", "SecretKey": SECRET}}), "Keep them private"),
    "Route 53 as a table": (b"-----------------\n|  ListResourceRecordSets  |\n", "--output json"),
    "comments alone": (b"; nothing yet\n$TTL 60\n", "no record in it"),
    "no zone at all": (b"# Zones\n\nSee there.\n", "x.y:1: this is not a zone file"),
    "include": (b"$ORIGIN a.dk.\n$INCLUDE b.zone\n", "named-compilezone -o whole.zone a.dk x.y"),
    "wrong line": (
        b"$ORIGIN a.dk.\n@ 60 IN A 192.0.2.1\n@ MX mail\n",
        "x.y:3: expecting an integer. Correct this line",
    ),
    "no domains": (j({"registrars": [], "dns_providers": [], "domains": []}), "print-ir without any domain"),
    "raw zone": (b"\x00\x00\x00\x02\x00\x00", "named-compilezone"),
    "binary": (b"abc\x00def", "UTF-8"),
    "web page": (b"<!DOCTYPE html><html>", "dig +noall +answer ZONE AXFR"),
    "HCL": (HCL, "terraform plan -out=plan.out && terraform show"),
    "plan as text": (b"Terraform will perform the following actions:\n", "for people. Run: `terraform show -json"),
    "plan as a log": (b'{"@level":"info","@message":"x"}\n{"@level":"info"}\n', "terraform plan -json"),
    "dnsconfig.js": (b'var REG = NewRegistrar("none");\nD("example.com", REG);\n', "dnscontrol print-ir --out ir.json"),
    "preview": (PREVIEW, "output of `dnscontrol preview`"),
    "report": (j([{"domain": "x", "correction_details": ["a"]}]), "--report"),
    "octoDNS plan as text": (OCTODNS_TEXT, "octodns.provider.plan.PlanJson"),
    "octoDNS configuration": (b"providers:\n  config:\n    class: x\nzones: {}\n", "ZONE.yaml"),
    "kubernetes": (b"apiVersion: externaldns.k8s.io/v1alpha1\nkind: DNSEndpoint\n", "Kubernetes"),
    "knot": (b"zone:\n  - domain: example.com\n", "knotc zone-read"),
    "named.conf": (b'zone "example.com" IN {\n  type master;\n};\n', "the zone file that it names"),
    "patch": (EXPORT, "deliv diff --git REV"),
    "table": (b"name,type,value\nexample.com,TXT,x\n", "zone file (BIND format)"),
    "state": (j({"format_version": "1.0", "values": {"root_module": {}}}), "This doesn't change x.y"),
    "state file": (j({"version": 4, "terraform_version": "1.9.0", "serial": 1, "lineage": "x"}), "Keep it private"),
    "other Terraform": (j({"format_version": "1.0", "provider_schemas": {}}), "but not a plan. Run: `terraform show"),
    "other version": (j({"format_version": "2.0", "resource_changes": []}), "deliv reads 1.x and 0.x"),
    "failed plan": (j({"format_version": "1.2", "resource_changes": [], "errored": True}), "ended with an error"),
    "plan without DNS": (j({"format_version": "1.2", "resource_changes": []}), "the configuration that manages DNS"),
    "hosted zones": (j({"HostedZones": []}), "aws route53 list-resource-record-sets --hosted-zone-id"),
    "queried": (j([{"Name": "x", "Type": "TXT"}]), "without --query"),
    "first page": (j({"ResourceRecordSets": [SET], "IsTruncated": True}), "--max-items"),
    "next page": (j({"ResourceRecordSets": [SET], "NextToken": "x"}), "--max-items"),
    "cloudformation": (j({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {}}), "CloudFormation"),
    "pulumi": (j({"config": {}, "steps": []}), "Pulumi"),
    "digitalocean": (j({"domain_records": []}), "doctl"),
    "powerdns": (j({"name": "example.com.", "rrsets": []}), "pdnsutil list-zone"),
    "gandi": (j([{"rrset_name": "@", "rrset_type": "TXT"}]), "Accept: text/plain"),
    "gcloud": (j([{"name": "x.", "rrdatas": [], "kind": "dns#resourceRecordSet"}]), "gcloud dns record-sets export"),
    "az": (j([{"etag": "x", "type": "Microsoft.Network/dnszones/TXT"}]), "az network dns zone export"),
    "part of Cloudflare's": (j([{"name": "x", "type": "TXT", "content": "x"}]), "/zones/ID/dns_records"),
    "page of Cloudflare's": (
        j({"success": True, "result": [], "result_info": {"page": 1, "total_pages": 3}}),
        "page 1 of 3",
    ),
    "refused by Cloudflare": (
        j({"success": False, "result": None, "errors": [{"message": "no"}]}),
        "rejected the request: no",
    ),
    "other list of Cloudflare": (
        j({"success": True, "result": [{"id": "x", "name": "example.com"}]}),
        "Request /zones/ID",
    ),
    "broken JSON": (b'{"format_version": "1.2",\n "resource_changes": [', "line 2, column 23"),
    "deep JSON": (b'{"a":' * 65 + b"1" + b"}" * 65, "deeper than 64"),
    "empty JSON": (b"{}", "nothing to audit"),
    "other JSON": (b'{"a": 1}', "Export the zone as a zone file or as one of these"),
    "other shape": (j({"dns_providers": [], "domains": [{"records": 1}]}), "the tool's own command"),
    "nameless list": (j({"ResourceRecordSets": []}), "--origin ZONE"),
    "views": (j({"dns_providers": [], "domains": [DOMAIN, {**DOMAIN, "uniquename": "example.com!a"}]}), "--zone-tag"),
    "null name": (
        b"example: {type: A, value: 192.0.2.1}\nnull:\n  type: A\n  value: 192.0.2.1\n",
        "write 'null': in quotes",
    ),
    "no YAML": (b"a:\n  type: TXT\n value: x\n", "not valid YAML"),
    "no zone name": (b"a:\n  type: TXT\n  value: x\n", "Name the file ZONE.yaml"),
}


def label_of(name: str) -> str:
    return "x" if name == "no zone name" else "x.y"


def refused(data: bytes, label: str = "x", **reading: str) -> InputError:
    with pytest.raises(InputError) as caught:
        look(Source(label, data), Reading(**reading)).read()
    return caught.value


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_zone_is_told_with_what_to_do(name: str) -> None:
    data, words = WRONG[name]
    text = str(refused(data, label_of(name)))
    assert words in text
    assert text.startswith(label_of(name))


ALIKE: dict[str, tuple[bytes, str]] = {
    # Told in the words of another one.
    "error of an API": (j({"Error": {"Code": "NoSuchHostedZone", "Message": "No zone"}}), "Fix what it reports"),
    "error of curl": (b"curl: (6) Could not resolve host: api.a.dk\n", "Fix what it reports"),
    "error of a shell": (b"bash: terraform: command not found\n", "Fix what it reports"),
    "error of Terraform": ("╷\n│ Error: Invalid provider\n╵\n".encode(), "Fix what it reports"),
    "error of dnscontrol": (b"2026/11/29 10:00:00 ir.go:10: executing dnsconfig.js: no\n", "Fix what it reports"),
    "page that is not there": (b"404: Not Found", "Fix what it reports"),
    "no success": (
        j({"success": False, "errors": [{"code": 1, "message": "bad token"}]}),
        "rejected the request: bad token",
    ),
    "success without records": (j({"success": True, "result": None, "errors": []}), "Request /zones/ID"),
    "picture": (b"\x89PNG\r\n\x1a\n\x00", "a picture"),
    "bzip2": (bz2.compress(b"x"), "bunzip2 -c x.y > unpacked.zone"),
    "xz": (lzma.compress(b"x"), "unxz -c x.y > unpacked.zone"),
    "tar and gzip": (gzip.compress(tarred()), "tar xf x.y"),
    "time out": (b";; communications error to 192.0.2.1#53: timed out\n", "permits"),
    "drill": (b";; ->>HEADER<<- opcode: QUERY\n;; ANSWER SECTION:\na.dk.\t300\tIN\tTXT\tx\n", "one DNS lookup"),
    "one value": (b'"v=spf1 include:_spf.a.dk -all"\n', "one DNS lookup"),
    "host": (b'a.dk descriptive text "v=spf1 -all"\n', "one DNS lookup"),
    "no change": (b"\nNo changes. Your infrastructure matches.\n\nTerraform has compared\n", "terraform show -json"),
    "plan in colours": (b"\n\x1b[0m\x1b[1m  # a_b.c\x1b[0m will be created\n", "terraform show -json"),
    "state as text": (b'# a_b.spf:\nresource "a_b" "spf" {\n    name = "a.dk"\n}\n', "doesn't show the change"),
    "source as JSON": (j({"resource": {"a_b": {}}, "provider": {}}), "terraform plan -out=plan.out"),
    "outputs": (j({"id": {"sensitive": False, "type": "string", "value": "x"}}), "but not a plan"),
    "plan as Markdown": (b"## a.dk.\n### route53\n\n| Operation | Name |\n", "octodns.provider.plan.PlanJson"),
    "plan as HTML": (b"<h2>a.dk.</h2>\n<h3>route53</h3>\n<table>\n", "octodns.provider.plan.PlanJson"),
    "list of dnscontrol": (b"a.dk\ta.dk\t300\tIN\tTXT\tx\t\n", "a table"),
    "Google's API": (j({"kind": "dns#resourceRecordSetsListResponse", "rrsets": []}), "gcloud dns record-sets export"),
    "Hetzner's API": (j({"rrsets": [{"id": "www/A", "records": []}], "meta": {}}), "Export the zone file there"),
    "GoDaddy's API": (j([{"data": "x", "name": "@", "ttl": 600, "type": "TXT"}]), "Export the zone file there"),
    "mbox": (b"From a@a.dk Mon Nov 29 10:00:00 2026\nSubject: x\n", "--eml x.y"),
    "key of rndc": (b'key "rndc-key" {\n\tsecret "x";\n};\n', "Keep private keys private"),
    "Unbound": (b'server:\n  local-data: "a.dk. A 192.0.2.1"\n', "configuration of a name server"),
    "JSON that is a text": (b'"not found"\n', "JSON, but not"),
    "Azure's template": (j({"$schema": "x", "contentVersion": "1.0.0.0"}), "az network dns zone export"),
    "spreadsheet": (zipped("[Content_Types].xml", "xl/workbook.xml"), "a table"),
    "look-up over HTTPS": (j({"Status": 0, "Question": [], "Answer": []}), "one DNS lookup"),
    "variables": (b'domain = "a.dk"\n', "terraform plan -out=plan.out"),
    "playbook": (b"- hosts: all\n  tasks: [{route53: {type: TXT}}]\n", "ZONE.yaml"),
    "CloudFormation as YAML": (b"AWSTemplateFormatVersion: '2010-09-09'\n", "list-resource-record-sets"),
    "gcloud as YAML": (b"---\nkind: dns#resourceRecordSet\ntype: TXT\n", "gcloud dns record-sets export"),
}


@pytest.mark.parametrize("name", ALIKE)
def test_other_forms_of_the_same_are_told_alike(name: str) -> None:
    data, words = ALIKE[name]
    assert words in str(refused(data, label_of(name)))


def test_every_one_of_them_has_words_of_its_own_in_both_languages() -> None:
    for lang in ("en", "ja"):
        texts = {
            name: detail_words(refused(data, label_of(name)).detail, phrases(lang)) for name, (data, _) in WRONG.items()
        }
        same = [name for name, text in texts.items() if list(texts.values()).count(text) > 1]
        assert set(same) <= {"first page", "next page"}
        assert len(set(texts.values())) >= 30


def test_nothing_of_a_file_that_is_no_zone_is_quoted() -> None:
    for data in (
        j({"r53": {"TYPE": "ROUTE53", "SecretKey": SECRET}}),
        f"export TOKEN={SECRET}\n".encode(),
        f'key "k" {{\n  secret "{SECRET}";\n}};\n'.encode(),
        f"Private-key-format: v1.3\nPrivateKey: {SECRET}\n".encode(),
        f'{{"Error": {{"Message": "{SECRET}"}}}}'.encode(),
        f"my password {SECRET}\n".encode(),
    ):
        assert SECRET not in str(refused(data, "x.y")), data


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_zones_in_wide_characters_are_read(encoding: str) -> None:
    found = look(Source("a.dk.zone", "$ORIGIN a.dk.\n@ 60 IN TXT x\n".encode(encoding)), Reading()).read()
    assert [each.rdata for each in found[0].after] == ['"x"']


@pytest.mark.parametrize(
    "text", ["$TTL 60\n@ TXT 'x\n@ IN TXT \"open\n", '@ 60 IN TXT "open\n', "www IN CNAM host.\n@ MX 10 a\n"]
)
def test_a_mistake_in_the_first_line_of_a_zone_leaves_it_one(text: str) -> None:
    assert "Correct this line" in str(refused(text.encode(), "a.dk.zone"))


FOLDERS = {
    "dnsconfig.js": ("D('x')", "dnscontrol print-ir"),
    "main.tf": ('resource "a" "b" {}', "terraform show -json"),
    "config.yaml": ("providers: {}\n", "Use the octoDNS configuration in it"),
    "zones/example.com.zone": ("@ 60 IN TXT x\n", "zones. Use that folder"),
    "notes.txt": ("x", "Use the folder or file that contains the zone"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_without_zones_is_told_by_what_is_in_it(name: str, tmp_path: Path) -> None:
    text, words = FOLDERS[name]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=re.escape(words)):
        open_zones([tmp_path], Reading())


ZONE_WRONG = [
    (b"a:\n  value: x\n  type: ''\n", r"example\.com\.yaml:2: the record 'a' has no type"),
    (b"a: [x, {type: TXT}]\n", r"example\.com\.yaml:1: the entry 'a' is not a record"),
    (b"a:\n  type: TXT\n", r"example\.com\.yaml:2: TXT of a\.example\.com has no value"),
    (b"a:\n  type: MX\n  value: {preference: 10}\n", r":3: MX of a\.example\.com has no exchange"),
    (b"a:\n  type: MX\n  value: {preference: x, exchange: y.}\n", r":3: MX of a\.example\.com: 'x y\.' is not an MX"),
    (b"a:\n  type: A\n  value: 192.0.2.300\n", r":3: A of a\.example\.com: '192\.0\.2\.300' is not an IPv4"),
    (b"a:\n  - {type: CNAME, value: x.}\n  - {type: A, value: 192.0.2.1}\n", "a CNAME and other records"),
    (b"a..b:\n  type: A\n  value: 192.0.2.1\n", "'a..b' is not a domain name"),
    (b"- type: A\n", "record names with their records"),
]


@pytest.mark.parametrize(("data", "words"), ZONE_WRONG)
def test_mistakes_in_a_zone_are_told_with_their_line(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        look(Source("example.com.yaml", data), Reading()).read()


def test_the_content_decides_and_not_the_name() -> None:
    plan = writing.terraform("aws_route53_record", [], NEW)
    texts = {
        "bind": writing.bind(NEW),
        "octodns": "---\n" + writing.octodns(NEW),
        "octodns-plan": writing.octodns_plan([], NEW),
        "dnscontrol": writing.dnscontrol(NEW),
        "terraform-plan": plan,
        "route53": writing.route53(NEW),
        "cloudflare": writing.cloudflare(NEW),
    }
    assert set(texts) == set(FORMATS)
    for name, text in texts.items():
        for label in ("example.com.zone", "example.com.json", "example.com.yaml", "x.txt"):
            if (name, label) in (("bind", "example.com.yaml"), ("octodns", "x.txt")):
                continue
            for data in (text.encode(), b"\xef\xbb\xbf" + text.encode(), ("\ufeff" + text).encode("utf-16-le")):
                given = look(Source(label, data), Reading(origins=("example.com",) if name == "octodns" else ()))
                assert given.format == name
                assert any(each.after for each in given.read()), (name, label)


def test_a_format_that_is_named_has_to_be_the_one_it_is() -> None:
    assert "this is not route53, the format set" in str(refused(writing.cloudflare(NEW).encode(), format="route53"))
    assert "this is not terraform-plan, the format" in str(refused(b"@ A 192.0.2.1\n", format="terraform-plan"))
    with pytest.raises(InputError, match=r"'toml' is not a zone format\. Formats: bind, octodns"):
        read_zone("x\ny", format="toml")


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "plan.json"
    large.write_bytes(b'{"a": "' + b"x" * 50_000_000 + b'"}')
    with pytest.raises(InputError, match="50"):
        open_zones([large], Reading())


def test_no_such_file() -> None:
    for path in ("nowhere.json", Path("nowhere.json"), "no\0where"):
        with pytest.raises(InputError):
            read_zone(path)


_SCRAPS = st.sampled_from(
    [
        *(data for data, _ in WRONG.values()),
        writing.octodns(NEW).encode(),
        writing.terraform("cloudflare_record", NEW, []).encode(),
        writing.dnscontrol(NEW).encode(),
        writing.cloudflare(NEW).encode(),
        writing.route53(NEW).encode(),
    ]
)


@settings(max_examples=150, deadline=None)
@given(_SCRAPS, st.binary(max_size=12), st.integers(0, 400), st.integers(0, 40))
@pytest.mark.long
def test_whatever_is_given_only_input_errors_come_out(data: bytes, extra: bytes, at: int, cut: int) -> None:
    mixed = data[:at] + extra + data[at + cut :]
    with contextlib.suppress(InputError):
        look(Source("example.com", mixed), Reading()).read()


def test_a_master_file_of_any_name_takes_its_zone_from_the_option(tmp_path: Path) -> None:
    file = tmp_path / "export.txt"
    file.write_text("@ 60 IN TXT v=spf1\n")
    assert open_zones([file], Reading(origins=("example.com",))).whole.origins == ("example.com",)  # type: ignore[union-attr]
    file.write_text("$ORIGIN example.net.\n@ 60 IN TXT v=spf1\n")
    assert read_zone(file, origin="example.com").origins == ("example.net",)
    for wrong in ("", "a..b", 3):
        with pytest.raises(InputError, match="not a domain name"):
            read_zone(file, origin=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        '@ 60 IN TXT "{type: TXT, value: x}"\n',
        "; type: TXT\n@ 60 IN A 192.0.2.1\n",
        '$TTL 60\n@ IN TXT "a" (\n  "type: x" )\n',
        'type 60 IN TXT ":"\n',
        "a:b 60 IN A 192.0.2.1\n",
    ],
)
def test_a_master_file_whose_texts_look_like_yaml_is_one(text: str) -> None:
    assert look(Source("example.com.zone", text.encode()), Reading()).format == "bind"


@pytest.mark.parametrize(
    "text",
    [
        "'': {type: TXT, value: x}\n",
        '# zone\n---\n"":\n  - type: TXT\n    value: x\n',
        "_dmarc:\n  value: x\n  type: TXT\n",
        "<<: {a: {type: TXT, value: x}}\n",
        "? a\n: {type: TXT, value: x}\n",
        "%YAML 1.1\n---\na: {'type': 'TXT', 'value': 'x'}\n",
    ],
)
def test_octodns_in_any_style_of_yaml(text: str) -> None:
    found = look(Source("example.com.zone", text.encode()), Reading(origins=("example.com",)))
    assert found.format == "octodns"
    assert found.read()[0].after


@pytest.mark.parametrize(
    "text",
    [
        '; <<>> DiG 9.18 <<>> example.com AXFR\nexample.com. 60 IN SOA ns h 1 2 3 4 5\nexample.com. 60 IN TXT "x"\n',
        "Cards: {type: A, value: 192.0.2.1, ttl: 60}\n",
        "services:\n  type: TXT\n  value: x\n",
    ],
)
def test_what_only_looks_like_something_else_is_a_zone(text: str) -> None:
    assert read_zone(text, origin="example.com").after
