"""Suites written by others, run whole against our evaluator: openspf's for RFC 4408, pyspf's own, mail-auth's.

Where RFC 7208 asks for something else than a suite expects, the case is named here with the section that says so,
and the test checks that the results really differ: an entry that is no longer needed fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deliverability.core.net.static import StaticResolver
from deliverability.core.protocols.spf.evaluate import SpfEvaluation, evaluate_spf
from tests.corpus import suite

TYPES = ("A", "AAAA", "MX", "PTR", "TXT", "CNAME")

Zone = dict[tuple[str, str], Any]


# ---------------------------------------------------------------------------------------------------------------
# The zones of openspf's suite: a list of {type: value} a name, the word TIMEOUT for "no type listed before answers".
# A name with SPF records and no TXT entry publishes the same as TXT; `TXT: NONE` says that it does not.


def as_octets(text: str) -> str:
    r"""A YAML text, in which ``\xNN`` stands for one octet, as our resolvers would give it."""
    return text.encode("latin-1", "replace").decode("utf-8", "backslashreplace")


def openspf_zone(zonedata: dict[str, list[Any]]) -> Zone:
    zone: Zone = {}
    for name, entries in zonedata.items():
        records: dict[str, list[Any] | str] = {}
        copied: list[Any] = []
        has_txt = timeout = False
        for entry in entries:
            if entry == "TIMEOUT":
                timeout = True
                continue
            ((rdtype, value),) = entry.items()
            if rdtype == "SPF":
                copied.append(value)
                continue
            if rdtype == "TXT":
                has_txt = True
            if value == "TIMEOUT":
                records[rdtype] = "timeout"
            elif value != "NONE":
                assert isinstance(records.setdefault(rdtype, []), list)
                records[rdtype].append(value)  # type: ignore[union-attr]
        if copied and not has_txt:
            records["TXT"] = copied
        for rdtype in TYPES:
            if rdtype in records:
                zone[name, rdtype] = _written(rdtype, records[rdtype])
            elif timeout and rdtype != "CNAME":
                zone[name, rdtype] = "timeout"
    return zone


def _written(rdtype: str, values: list[Any] | str) -> list[Any] | str:
    if isinstance(values, str):
        return values
    if rdtype == "MX":
        return [f"{preference} {host or '.'}" for preference, host in values]
    if rdtype == "TXT":
        return [as_octets(v) if isinstance(v, str) else [as_octets(part) for part in v] for v in values]
    return [str(value) for value in values]


def openspf_cases(name: str) -> Iterator[Any]:
    seen: set[str] = set()
    for document in yaml.safe_load_all(suite("spf", "pyspf", name).read_text("utf-8")):
        for test, case in document.get("tests", {}).items():
            title = test if test not in seen else f"{test}-{(document.get('description') or '').split()[0].lower()}"
            seen.add(test)
            yield pytest.param(document["zonedata"], case, id=title)


async def run_openspf(zonedata: dict[str, list[Any]], case: dict[str, Any]) -> SpfEvaluation:
    resolver = StaticResolver(openspf_zone(zonedata))
    return await evaluate_spf(str(case["host"]), case["mailfrom"], case["helo"], resolver)


# Tests of the RFC 4408 suite that allow several results -> (the one RFC 7208 leaves, the section that says so).
# No other test of the suite contradicts RFC 7208.
RFC_7208_DECIDES: dict[str, tuple[str, str]] = {
    "txtonly": ("fail", "3.1: TXT is the only record type"),
    "spfonly": ("none", "3.1: a record of type 99 is not asked for"),
    "spftimeout": ("fail", "3.1: a failing question for type 99 plays no part"),
    "txttimeout": ("temperror", "4.4: the TXT question fails"),
    "nospftxttimeout": ("temperror", "4.4: the TXT question fails"),
    "spfoverride": ("fail", "3.1: type 99 overrides nothing"),
    "multitxt1": ("permerror", "4.5: two TXT records"),
    "multispf1": ("permerror", "4.5: two records, also where they are the same"),
    "multispf2": ("pass", "3.1: the two records of type 99 are not asked for"),
    "invalid-domain-empty-label": ("fail", "4.8: a target-name that cannot exist matches nothing"),
    "invalid-domain-long": ("fail", "4.8: a target-name that cannot exist matches nothing"),
    "invalid-domain-long-via-macro": ("fail", "4.8: a target-name that cannot exist matches nothing"),
    "exists-dnserr": ("temperror", "5: a failing question ends the check"),
    "cidr6-0-ip4": ("neutral", "5: an IPv4 address is only listed by ip4"),
    "cidr6-ip4": ("neutral", "5: an IPv4-mapped address is an IPv4 address"),
    "mx-limit": ("permerror", "4.6.4: an eleventh MX host is permerror, if the first ten do not match"),
    "ptr-limit": ("neutral", "4.6.4: names past the tenth are ignored"),
    "p-macro-multiple": ("pass", "7.3: a name below the domain is preferred"),
}


@pytest.mark.parametrize(("zonedata", "case"), list(openspf_cases("rfc4408-tests.yml")))
async def test_rfc_4408_suite(
    request: pytest.FixtureRequest, zonedata: dict[str, list[Any]], case: dict[str, Any]
) -> None:
    got = await run_openspf(zonedata, case)
    allowed = case["result"] if isinstance(case["result"], list) else [case["result"]]
    title = request.node.callspec.id
    if len(allowed) > 1:
        decided, section = RFC_7208_DECIDES[title]
        assert decided in allowed
        assert got.result == decided, f"RFC 7208 section {section}; {got.reason}"
    assert got.result in allowed, got.reason
    if "explanation" in case:
        # "DEFAULT" stands for the checker's own words: the domain gave none that may be used.
        wanted = None if case["explanation"] == "DEFAULT" else case["explanation"]
        assert got.explanation == wanted


# pyspf's own tests: `strict: 0` and `strict: 2` are modes of pyspf, so what RFC 7208 says stands here.
PYSPF_DIFFERS: dict[str, tuple[str, str]] = {
    "default-modifier": ("neutral", "6: an unknown modifier is ignored; pyspf's lax mode obeys default="),
    "default-modifier-harsh": ("neutral", "2.6: there is no result 'ambiguous'; pyspf's harsh mode has it"),
}


@pytest.mark.parametrize(("zonedata", "case"), list(openspf_cases("test.yml")))
async def test_pyspf_suite(
    request: pytest.FixtureRequest, zonedata: dict[str, list[Any]], case: dict[str, Any]
) -> None:
    got = await run_openspf(zonedata, case)
    title = request.node.callspec.id
    if title in PYSPF_DIFFERS:
        expected, section = PYSPF_DIFFERS[title]
        assert got.result == expected, f"RFC 7208 section {section}"
        assert got.result != case["result"], "this entry explains a difference that is not there"
        return
    assert got.result == case["result"], got.reason


async def test_pyspf_doctest_zone() -> None:
    """The zone of pyspf's doctests: an include through a CNAME, TXT among others, redirect."""
    documents = list(yaml.safe_load_all(suite("spf", "pyspf", "doctest.yml").read_text("utf-8")))
    resolver = StaticResolver(openspf_zone(documents[0]["zonedata"]))

    async def result(ip: str, sender: str) -> str:
        return (await evaluate_spf(ip, sender, "mail.example.net", resolver)).result

    assert await result("66.39.138.46", "x@kitterman.com") == "pass"
    assert await result("192.0.2.1", "x@kitterman.com") == "fail"
    assert await result("72.81.252.19", "x@controlledmail.com") == "pass"
    assert await result("2607:f0d0:3001:aa::2", "x@controlledmail.com") == "pass"
    # long.kitterman.org, which parallel.kitterman.org includes, is not in the zone.
    assert await result("192.0.2.1", "x@parallel.kitterman.org") == "permerror"
    # a.example.org has TXT records of its own in this zone, so its SPF type record (99) is not copied to TXT.
    assert await result("192.0.2.225", "x@a.example.org") == "none"


# ---------------------------------------------------------------------------------------------------------------
# mail-auth's cases: not quite YAML (keys repeat); read line by line as its own driver does. `domain` is the HELO
# name, which is checked first; where it does not fail, `sender` is checked. `mx` lists addresses: a host each.


class MailAuthCase:
    def __init__(self, zone: Zone, helo: str, sender: str, ip: str, expect: str) -> None:
        self.zone, self.helo, self.sender, self.ip = zone, helo, sender, ip
        self.result, _, self.explanation = expect.partition(" ")

    async def run(self) -> SpfEvaluation:
        resolver = StaticResolver(self.zone)
        got = await evaluate_spf(self.ip, "", self.helo, resolver)
        if got.result != "fail" and self.sender:
            got = await evaluate_spf(self.ip, self.sender, self.helo, resolver)
        return got


def mail_auth_cases() -> Iterator[Any]:
    for path in sorted(suite("spf", "stalwart-mail-auth").glob("*.yml")):
        yield from _mail_auth_file(path)


def _mail_auth_file(path: Path) -> Iterator[Any]:
    zone: Zone = {}
    known = {"domain": "", "sender": "", "ip": ""}
    title, number = "", 0
    for line in path.read_text("utf-8").splitlines():
        indented = line.startswith(" ")
        line = line.strip().removeprefix("- ")
        key, colon, value = line.partition(":")
        value = value.strip()
        if not colon or line.startswith("#"):
            continue
        if key == "name":
            title, number = value, 0
            if not indented:
                zone = {}
        elif key in known:
            known[key] = value
        elif key == "expect":
            number += 1
            for name in ("_dns_error.org", "_dns_error.test.org"):  # mail-auth's resolver fails for such names
                zone[name, "TXT"] = "timeout"
            case = MailAuthCase(dict(zone), known["domain"], known["sender"], known["ip"], value)
            slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
            yield pytest.param(case, id=f"{path.stem}-{slug}-{number}")
        elif value:
            name, _, content = value.partition(" ")
            items = [item.strip() for item in content.split(",")]
            match key:
                case "spf" | "exp":
                    if all(0 < len(label) < 64 for label in name.split(".")) and len(name) < 254:
                        zone[name, "TXT"] = [content]
                case "a" | "aaaa":
                    zone[name, key.upper()] = items
                case "ptr":
                    from ipaddress import ip_address

                    zone[ip_address(name).reverse_pointer, "PTR"] = items
                case "mx":
                    hosts = [re.sub(r"[.:]+", "-", ip).strip("-") + f".mx.{name}" for ip in items]
                    zone[name, "MX"] = [f"{place} {host}" for place, host in enumerate(hosts, 1)]
                    for host, ip in zip(hosts, items, strict=True):
                        zone[host, "AAAA" if ":" in ip else "A"] = [ip]


MAIL_AUTH_DIFFERS: dict[str, tuple[str, str]] = {
    "all-all-test-1": ("permerror", "4.6: 'ip:' is no mechanism, and a syntax error anywhere is permerror"),
    "basic-dns-lookup-limits-1": ("permerror", "4.6.4: ten a terms that find nothing are more than two void look-ups"),
    "exists-exists-2": ("fail", "5.7: exists asks for A records only; the name has AAAA"),
    "ip-ipv6-match-4": ("fail", "5: an IPv4 address is only listed by ip4, never by an IPv4-mapped ip6"),
    "macro-macro-expansion-2-2": ("fail", "5.7: exists asks for A records only; the name has AAAA"),
}


@pytest.mark.parametrize("case", list(mail_auth_cases()))
async def test_mail_auth_cases(request: pytest.FixtureRequest, case: MailAuthCase) -> None:
    got = await case.run()
    title = request.node.callspec.id
    if title in MAIL_AUTH_DIFFERS:
        expected, section = MAIL_AUTH_DIFFERS[title]
        assert got.result == expected, f"RFC 7208 section {section}"
        assert got.result != case.result, "this entry explains a difference that is not there"
        return
    assert got.result == case.result, got.reason
    if case.explanation:
        assert got.explanation == case.explanation


def test_every_named_difference_belongs_to_a_test() -> None:
    openspf = {param.id for name in ("rfc4408-tests.yml", "test.yml") for param in openspf_cases(name)}
    assert set(RFC_7208_DECIDES) | set(PYSPF_DIFFERS) <= openspf
    assert set(MAIL_AUTH_DIFFERS) <= {param.id for param in mail_auth_cases()}
