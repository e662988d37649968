"""Where a mail came in from outside, and what its receiver recorded beside our own results."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from deliverability.core.facts.base import FactSet, Reason, Unknown, records_of
from deliverability.core.inputs import Sample, Subject
from deliverability.core.mail.hop import delivery
from deliverability.core.mail.reader import read
from deliverability.core.net.clock import FixedClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import OFFLINE
from deliverability.core.protocols.psl import known_registrable_domain
from deliverability.engine.auditors import envelope, recorded
from deliverability.engine.base import Auditor, gather
from tests.corpus import corpus
from tests.facts_of import stating
from tests.recorded_mails import SAMPLES, compare, header_blocks, topmost_address

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def given(facts: Mapping[str, Any]) -> Auditor:
    """States what the others found out: `facts`, everything else is unknown because nobody was asked."""
    provided = {spec.path for spec in envelope.audit.provides}
    paths = sorted(set(recorded.audit.needs) - provided)
    return stating({path: facts.get(path, {"unknown": "offline"}) for path in paths})


async def audit(message: bytes | None, ips: tuple[str, ...] = (), **facts: Any) -> FactSet:
    """The facts of envelope and recorded; `facts` are those of others, with __ for the dot."""
    stated = {path.replace("__", "."): value for path, value in facts.items()}
    subject = Subject("example.com", sample=Sample("", data=message), sending_ips=ips)
    auditors = [given(stated), envelope.audit, recorded.audit]
    gathered = await gather(auditors, subject, Ports(OFFLINE, FixedClock(NOW)), read(message) if message else None)
    assert gathered.crashes == ()
    return gathered.facts


def address(*fields: str) -> str | None:
    """The connecting address of a mail with these trace fields, from the top."""
    return delivery(
        read("\n".join((*fields, "From: a@b.example", "", "")).encode()).headers, known_registrable_domain
    ).ip


INTERNAL = "Received: from filter.mx.net (filter [10.0.0.1]) by store.mx.net with LMTP"
OUTSIDE = "Received: from out.sender.net (out.sender.net [192.0.2.7]) by mx1.mx.net with ESMTPS"
EARLIER = "Received: from desk (dsl.isp.net [198.51.100.9]) by out.sender.net with ESMTP"


class TestHop:
    """What the receiver wrote goes first; what anybody may have written cannot change it."""

    def test_without_records_the_topmost_hop_from_outside_counts(self) -> None:
        by_itself = "Received: from localhost (localhost [::1]) by filter.mx.net with ESMTP"
        assert address("Received: by store.mx.net with LMTP id 1", INTERNAL, by_itself, OUTSIDE, EARLIER) == "192.0.2.7"

    def test_the_record_above_the_hop_goes_before_an_unknown_gateway_with_a_public_address(self) -> None:
        gateway = "Received: from gw.hosting.org (gw.hosting.org [203.0.113.1]) by store.mx.net with ESMTP"
        record = "Authentication-Results: mx.net; iprev=pass smtp.remote-ip=192.0.2.7"
        assert address(gateway, OUTSIDE, EARLIER) == "203.0.113.1"
        assert address(record, gateway, OUTSIDE, EARLIER) == "192.0.2.7"

    @pytest.mark.parametrize(
        "forged",
        [
            "Authentication-Results: mx1.mx.net; spf=pass (sender IP is 203.0.113.9) smtp.mailfrom=bank.example",
            "Authentication-Results: mx1.mx.net; iprev=pass policy.iprev=203.0.113.9",
            "Received-SPF: pass (bank.example designates 203.0.113.9) client-ip=203.0.113.9; receiver=mx1.mx.net",
        ],
    )
    async def test_a_record_that_the_sender_brought_along_does_not_count(self, forged: str) -> None:
        hop = "Received: from bank.example (bank.example [203.0.113.9]) by mx1.mx.net with ESMTPS"
        assert address(OUTSIDE, forged, hop) == "192.0.2.7"
        facts = await audit(f"{OUTSIDE}\n{forged}\n{hop}\nFrom: a@b.example\n\n".encode())
        assert (facts.value("recorded.spf"), facts.value("recorded.ip")) == (None, None)

    def test_a_forger_who_calls_himself_a_server_of_the_receiver_gains_nothing(self) -> None:
        """Only the reverse name, which the server looked up, makes a gateway of the receiver; HELO is only said."""
        below = (
            "Received-SPF: pass client-ip=203.0.113.9; receiver=gw.mx.net",
            "Received: from bank.example (bank.example [203.0.113.9]) by gw.mx.net with ESMTPS",
        )
        assert address("Received: from gw.mx.net (unknown [192.0.2.7]) by mx1.mx.net with ESMTP", *below) == "192.0.2.7"
        assert (
            address("Received: from gw.mx.net (gw.mx.net [192.0.2.7]) by in.mx.net with ESMTP", *below) == "203.0.113.9"
        )

    @pytest.mark.parametrize(
        "below",
        [
            ("Received-SPF: pass client-ip=198.51.100.9; receiver=out.mx.net",
             "Received: from desk (dsl.isp.net [198.51.100.9]) by out.mx.net with ESMTPSA"),
            ("Received: from app.cloud.org (app.cloud.org [198.51.100.9]) by out.mx.net with ESMTP",),
        ],
        ids=["submitted", "relayed"],
    )  # fmt: skip
    def test_mail_from_ones_own_outgoing_server_came_from_that_server(self, below: tuple[str, ...]) -> None:
        hop = "Received: from out.mx.net (out.mx.net [192.0.2.7]) by mx1.mx.net with ESMTPS"
        assert address(hop, *below) == "192.0.2.7"

    @pytest.mark.parametrize(
        ("hop", "own"),
        [
            ("from A.namprd19.prod.outlook.com (2603:10b6:8:68::16) by B.namprd19.PROD.OUTLOOK.COM with HTTPS", True),
            ("from X.eop-NAM02.prod.protection.outlook.com (2a01:111:f400:7e4a::207) by Y.outlook.office365.com", True),
            ("from A.prod.outlook.com (203.0.113.1) by B.mail.protection.outlook.com", False),  # only said so
            ("from X.outbound.protection.outlook.com (2a01:111:f400:fe5a::1) by B.mail.protection.outlook.com", False),
            ("from A.prod.outlook.com (2603:10b6::1) by mx.example.net with Microsoft SMTP Server", False),
            ("from p1.me.com (p1.me.com [17.58.6.1]) by ms1.mac.com with ESMTP", True),
            ("from p1.me.com (p1.me.com [203.0.113.1]) by ms1.mac.com with ESMTP", False),
            ("from p1.me.com (p1.me.com [17.58.6.1]) by mx1.mx.net with ESMTP", False),
        ],
    )
    def test_hops_within_microsoft_and_apple_have_public_addresses(self, hop: str, own: bool) -> None:
        found = address(f"Received: {hop}", OUTSIDE)
        assert (found == "192.0.2.7") is own

    def test_a_record_names_an_address_that_no_hop_shows(self) -> None:
        record = "Authentication-Results: mx.net; spf=pass smtp.mailfrom=a@b.example smtp.remote-ip=192.0.2.99"
        assert address(record, INTERNAL, "Received: by web.mx.net (Postfix)") == "192.0.2.99"

    def test_a_receiver_that_hides_the_client_leaves_the_address_unknown(self) -> None:
        hidden = "Received: from out.sender.net by mx1.mx.net with ESMTPS"
        assert address(hidden, EARLIER) is None
        assert address(hidden, "Received-SPF: pass client-ip=203.0.113.9; receiver=mx1.mx.net", EARLIER) is None

    def test_private_addresses_in_records_are_steps_within_a_system(self) -> None:
        inner = "Received-SPF: pass (google.com: designates 10.231.10.138 as permitted sender) client-ip=10.231.10.138"
        assert address(inner, OUTSIDE) == "192.0.2.7"
        assert address(inner, INTERNAL) is None

    def test_of_several_receivers_the_last_one_counts(self) -> None:
        last = "Authentication-Results: mx.net; spf=softfail (mx.net: domain of b.example does not designate 192.0.2.7)"
        first = "Authentication-Results: sender.net; spf=pass (sender.net: domain of b.example designates 198.51.100.9)"
        assert address(last, OUTSIDE, first, EARLIER) == "192.0.2.7"
        assert address(OUTSIDE, last, first, EARLIER) == "192.0.2.7"

    @pytest.mark.parametrize(
        "name", ["a..b", "日本.例え", "\udcff\x00.com", ".", "[", "x" * 5000 + ".com", "co.jp", "1.2"]
    )
    def test_any_name_of_a_host_can_be_read(self, name: str) -> None:
        hop = f"Received: from {name} ({name} [192.0.2.7]) by {name} with ESMTP"
        records = f"Authentication-Results: {name}; spf=pass", f"Received-SPF: pass receiver={name}"
        data = "\n".join((*records, hop, *records, EARLIER, "", "")).encode("utf-8", "surrogateescape")
        assert delivery(read(data).headers, known_registrable_domain).ip == "192.0.2.7"


# file → address, source, HELO, TLS; by, SPF and its domain, DKIM, DMARC, compauth
EXPECTED: dict[str, tuple[object, ...]] = {
    "amazon-workmail": (
        "54.240.27.6",
        "received-spf",
        "a27-6.smtp-out.us-west-2.amazonses.com",
        None,
        "inbound-smtp.us-west-2.amazonaws.com",
        "none",
        "a27-6.smtp-out.us-west-2.amazonses.com",
        None,
        None,
        None,
    ),
    "exim-mailru": (
        "66.202.209.213",
        "authentication-results",
        "smtp11.ggg.com",
        None,
        "mxs.test.it",
        "pass",
        "ggg.com",
        "pass",
        None,
        None,
    ),
    "fastmail-own": (
        "103.168.172.144",
        "authentication-results",
        "fout-a1-smtp.messagingengine.com",
        None,
        "phl-mx-07.messagingengine.com",
        "pass",
        "wezfurlong.org",
        "pass",
        "none",
        None,
    ),
    "fastmail": (
        "209.85.222.174",
        "authentication-results",
        "mail-qk1-f174.google.com",
        True,
        "phl-mx-04.messagingengine.com",
        "pass",
        "kumomta.com",
        "pass",
        "pass",
        None,
    ),
    "gmail-forwarded": (
        "209.85.220.41",
        "received-spf",
        "mail-sor-f41.google.com",
        True,
        "mx.google.com",
        "neutral",
        "tr.ee",
        "pass",
        None,
        None,
    ),
    "gmail": (
        "192.254.112.98",
        "received-spf",
        "o3.sgmail.github.com",
        True,
        "mx.google.com",
        "pass",
        "sgmail.github.com",
        "pass",
        "pass",
        None,
    ),
    "hotmail-2014": (
        "65.54.190.29",
        "authentication-results",
        "BAY004-OMC1S18.hotmail.com",
        True,
        "hotmail.com",
        "none",
        "bay004-omc1s18.hotmail.com",
        "none",
        None,
        None,
    ),
    "icloud": (
        "192.0.2.50",
        "authentication-results",
        "out.news.example.org",
        True,
        "bimi.icloud.com",
        "pass",
        "news.example.org",
        "pass",
        "none",
        None,
    ),
    # Both came through the recipient's gateway: the hop into that counts, the results are those of the last receiver.
    "microsoft365-forwarded": (
        "199.230.200.198",  # without DNS nothing shows whose cardinalhealth.com is
        "authentication-results",
        "SMTP10.cardinalhealth.com",
        True,
        "BY2NAM03FT014.mail.protection.outlook.com",
        "softfail",
        "google.com",
        "fail",
        "fail",
        None,
    ),
    "microsoft365-gateway": (
        "185.132.181.12",  # nor whose gateway this is
        "authentication-results",
        "dispatchb-eu1.ppe-hosted.com",
        True,
        "LO2GBR01FT016.mail.protection.outlook.com",
        "none",
        "dispatchb-eu1.ppe-hosted.com",
        "none",
        "fail",
        "softpass",
    ),
    "microsoft365": (
        "103.13.69.22",
        "authentication-results",
        "au-mta-51.au.mimecast.lan",
        None,
        "protection.outlook.com",
        "pass",
        "au-1.mimecastreport.com",
        "pass",
        "pass",
        "pass",
    ),
    "outlook-com": (
        "104.47.124.246",
        "authentication-results",
        "APC01-HK2-obe.outbound.protection.outlook.com",
        True,
        "protection.outlook.com",
        "pass",
        "apc01-hk2-obe.outbound.protection.outlook.com",
        "none",
        "pass",
        None,
    ),
    "postfix-dovecot": (
        "89.163.231.166",
        "received-spf",
        "esumare.ru",
        False,
        "mx.mezonplus.ru",
        "pass",
        "esumare.ru",
        None,
        None,
        None,
    ),
    # Milters of Postfix write below its own Received field, where a sender could have written the same.
    "postfix-openarc": (
        "40.107.21.84",
        "received",
        "EUR05-VI1-obe.outbound.protection.outlook.com",
        True,
        *[None] * 6,
    ),
    "postfix-opendmarc": (
        "192.0.2.202",
        "received",
        "cat3.example.com",
        True,
        *[None] * 6,
    ),
    "postfix-policyd": (
        "209.85.166.201",
        "received-spf",
        "mail-it1-f201.google.com",
        True,
        "relay-twl-01.twlnet.com",
        "pass",
        "google.com",
        "pass",
        "pass",
        None,
    ),
    "rspamd": (
        "2001:db8::50",
        "authentication-results",
        "out.news.example.org",
        True,
        "mx.example.net",
        "pass",
        "news.example.org",
        "none",
        "pass",
        None,
    ),
    "yahoo-2024": (
        "192.0.2.50",
        "received-spf",
        "out.news.example.org",
        True,
        "atlas-production.v2-mail-prod1-bf1.omega.yahoo.com",
        "softfail",
        "news.example.org",
        "unknown",
        "fail",
        None,
    ),
    "yahoo": (
        "106.10.241.3",
        "received",
        "sonic307-14.consmr.mail.sg3.yahoo.com",
        True,
        "mta4007.mail.ne1.yahoo.com",
        "none",
        None,
        "pass",
        None,
        None,
    ),
}


class TestSamples:
    """A dozen of receivers, each with its own manner."""

    def test_every_sample_is_expected(self) -> None:
        assert sorted(path.stem for path in SAMPLES.glob("*.eml")) == sorted(EXPECTED)

    @pytest.mark.parametrize("name", EXPECTED)
    async def test_address_and_results_are_read_as_recorded(self, name: str) -> None:
        facts = await audit((SAMPLES / f"{name}.eml").read_bytes())
        paths = ("envelope.ip", "envelope.ip_source", "envelope.helo", "envelope.tls", "recorded.by", "recorded.spf")
        paths += ("recorded.spf_domain", "recorded.dkim", "recorded.dmarc", "recorded.compauth")
        assert tuple(facts.value(path) for path in paths) == EXPECTED[name]
        passed_on = bool(facts.value("envelope.passed_on_signs"))
        told = passed_on or facts.value("envelope.ip_source") != "received"
        assert facts.value("recorded.ip") == (facts.value("envelope.connecting_ip") if told else None)

    async def test_address_and_hop_are_cited(self) -> None:
        facts = await audit((SAMPLES / "microsoft365.eml").read_bytes())
        assert facts.facts["envelope.ip"].evidence == ("header:authentication-results:1", "header:received:4")
        assert facts.facts["envelope.helo"].evidence == ("header:received:4",)
        assert facts.facts["recorded.compauth"].evidence == ("header:authentication-results:1",)
        assert "header:received-spf:1" in facts.facts["recorded.by"].evidence

    async def test_an_address_given_by_option_goes_before_the_recorded_one(self) -> None:
        facts = await audit((SAMPLES / "microsoft365.eml").read_bytes(), ips=("192.0.2.99",))
        assert (facts.value("envelope.ip"), facts.value("envelope.ip_source")) == ("192.0.2.99", "option")
        assert facts.value("recorded.ip") == "103.13.69.22"


RECORD = """Authentication-Results: mx1.mx.net;
 dkim=pass header.d=example.com;
 spf=pass smtp.mailfrom=bounce@b.example.com smtp.remote-ip=192.0.2.7;
 dmarc=pass header.from=example.com
"""
SIGNATURE = {"domain": "example.com", "selector": "s1", "result": "pass", "reasons": []}
OURS = {
    "message__from_domain": "example.com",
    "spf__result": "pass",
    "spf__result_domain": "b.example.com",
    "spf__results": [{"ip": "192.0.2.7", "result": "pass"}],
    "dkim__result": "pass",
    "dkim__signatures": [SIGNATURE],
    "dmarc__result": "pass",
}


def signed(*reasons: str, **changed: Any) -> list[dict[str, Any]]:
    return [SIGNATURE | {"result": "fail", "reasons": list(reasons)} | changed]


class TestDifferences:
    """Where our result contradicts the receiver's, both are told with the likely reason."""

    async def differences(self, record: str = RECORD, **changed: Any) -> dict[Any, tuple[Any, ...]]:
        facts = await audit(f"{record}{OUTSIDE}\n\n".encode(), **(OURS | changed))
        found = records_of(facts.value("recorded.differences"))
        return {each["method"]: (each["recorded"], each["ours"], each["reason"]) for each in found}

    async def test_the_same_results_are_none(self) -> None:
        assert await self.differences() == {}

    @pytest.mark.parametrize(
        ("changed", "method", "expected"),
        [
            ({"spf__result": "fail", "spf__results": []}, "spf", ("pass", "fail", "record-changed")),
            ({"spf__result": "fail", "spf__results": [], "spf__result_domain": "c.example"}, "spf",
             ("pass", "fail", "other-identity")),
            ({"dkim__result": "fail", "dkim__signatures": signed("body-changed")}, "dkim",
             ("pass", "fail", "forwarded")),
            ({"dkim__result": "permerror", "dkim__signatures": signed("key-missing")}, "dkim",
             ("pass", "permerror", "key-rotated")),
            ({"dkim__result": "fail", "dkim__signatures": signed("expired")}, "dkim", ("pass", "fail", "unknown")),
            ({"dkim__result": "none", "dkim__signatures": []}, "dkim", ("pass", "none", "forwarded")),
            ({"dkim__result": "fail", "dkim__signatures": signed("key-missing", domain="list.example")}, "dkim",
             ("pass", "fail", "forwarded")),
            ({"dmarc__result": "none"}, "dmarc", ("pass", "none", "record-changed")),
            ({"dmarc__result": "fail"}, "dmarc", ("pass", "fail", "unknown")),
            ({"dmarc__result": "fail", "message__from_domain": "c.example"}, "dmarc",
             ("pass", "fail", "other-identity")),
            ({"dmarc__result": "fail", "dkim__result": "fail", "dkim__signatures": signed("key-revoked")}, "dmarc",
             ("pass", "fail", "key-rotated")),
        ],
    )  # fmt: skip
    async def test_reasons(self, changed: dict[str, Any], method: str, expected: tuple[str, str, str]) -> None:
        assert (await self.differences(**changed))[method] == expected

    async def test_a_key_that_came_or_changed_later(self) -> None:
        failed = RECORD.replace("dkim=pass", "dkim=fail")
        assert await self.differences(failed) == {"dkim": ("fail", "pass", "key-rotated")}

    @pytest.mark.parametrize(
        ("record", "changed"),
        [
            ("spf=neutral smtp.mailfrom=b.example.com", {"spf__result": "none", "spf__results": []}),
            ("spf=hardfail smtp.mailfrom=b.example.com", {"spf__result": "fail", "spf__results": []}),
            ("spf=pass (best guess record for domain of b.example.com) smtp.mailfrom=b.example.com",
             {"spf__result": "none", "spf__results": []}),
            ("spf=temperror smtp.mailfrom=b.example.com", {}),
            ("dkim=neutral (body hash did not verify)", {"dkim__result": "fail"}),
            ("dkim=unknown", {}),
            ("dmarc=bestguesspass action=none header.from=example.com", {"dmarc__result": "none"}),
        ],
    )  # fmt: skip
    async def test_other_words_and_failed_lookups_contradict_nothing(
        self, record: str, changed: dict[str, Any]
    ) -> None:
        assert await self.differences(f"Authentication-Results: mx1.mx.net; {record}\n", **changed) == {}

    async def test_of_several_given_addresses_that_of_the_record_is_compared(self) -> None:
        results = [{"ip": "192.0.2.99", "result": "fail"}, {"ip": "192.0.2.7", "result": "pass"}]
        assert await self.differences(spf__result="fail", spf__results=results) == {}

    async def test_another_address_is_another_identity(self) -> None:
        data = f"{RECORD}{OUTSIDE}\n\n".encode()
        changed = {"spf__result": "fail", "spf__results": [{"ip": "192.0.2.99", "result": "fail"}]}
        facts = await audit(data, ips=("192.0.2.99",), **(OURS | changed))
        (found,) = records_of(facts.value("recorded.differences"))
        assert dict(found) == {"method": "spf", "recorded": "pass", "ours": "fail", "reason": "other-identity"}

    async def test_a_failed_lookup_of_ours_is_no_agreement(self) -> None:
        unknown = {"unknown": "timeout"}
        facts = await audit(f"{RECORD}{OUTSIDE}\n\n".encode(), **(OURS | {"dmarc__result": unknown}))
        assert facts.value("recorded.differences") == Unknown(Reason.TIMEOUT)
        found = await self.differences(dmarc__result=unknown, dkim__result="fail", dkim__signatures=signed("sha1"))
        assert found == {"dkim": ("pass", "fail", "unknown")}

    async def test_without_a_message_or_a_record(self) -> None:
        nothing = await audit(None)
        drafts = await audit(b"From: a@example.com\n\nx")
        for path in recorded.audit.promised:
            assert nothing.value(path) == Unknown(Reason.NO_MESSAGE)
            assert drafts.value(path) == (() if path == "recorded.differences" else None)

    async def test_results_of_another_authserv_id_are_not_mixed_in(self) -> None:
        foreign = "Authentication-Results: other.org; dkim=fail header.d=example.com; dmarc=fail\n"
        facts = await audit(f"Authentication-Results: mx1.mx.net; spf=pass\n{foreign}{OUTSIDE}\n\n".encode())
        assert [facts.value(f"recorded.{name}") for name in ("by", "spf", "dkim", "dmarc")] == [
            "mx1.mx.net", "pass", None, None,
        ]  # fmt: skip

    async def test_spf_of_mail_from_goes_before_that_of_helo(self) -> None:
        records = (
            "Received-SPF: none identity=helo; client-ip=192.0.2.7; helo=out.sender.net\n"
            "Received-SPF: pass identity=mfrom; client-ip=192.0.2.7; envelope-from=<a@B.example>; helo=out.sender.net\n"
        )
        facts = await audit(f"{records}{OUTSIDE}\n\n".encode())
        assert (facts.value("recorded.spf"), facts.value("recorded.spf_domain")) == ("pass", "b.example")


# Mails of the corpus whose topmost record does not name the address that we choose, and why ours is right.
OTHER_ADDRESS = {
    "mails/mime4j/testmsgs__example.msg#0": "apache.org forwarded it to secureserver.net, which recorded nothing",
    "mails/spamassassin/nice__spf3-received-spf#0": "made up: two hops from outside stand above the record",
    "mails/spamassassin/nice__spf4-received-spf-nofold#0": "the same mail without folds",
    "mails/spamassassin/nice__spf5-received-spf-crlf#0": "the same mail with CRLF",
    "bounces/sisimai/lhost-kddi-02.eml#0": "mail-gw.auone-net.jp recorded an address of its own client, farther down",
    "bounces/sisimai/rhost-zoho-02.eml#0": "the record is of the server to which its writer submitted it",
    "bounces/sisimai/rhost-zoho-04.eml#0": "likewise",
    "bounces/sisimai/rfc3464-08.eml#0": "made unreadable: the record has two addresses, the hop has the first of them",
}
# Mails whose MAIL FROM or HELO domain is not the one that the receiver evaluated SPF for.
OTHER_IDENTITY = {
    "bounces/sisimai/rhost-outlook-04.eml#0": "made unreadable: the host has another name in the record",
    # Mail that was passed on is judged by the hop before, the record is that of the last receiver.
    "bounces/sisimai/lhost-amazonses-05.eml#0": "aneyakoji.example.jp took it for example.jp and forwards to Gmail",
    "bounces/sisimai/lhost-amazonses-06.eml#0": "the same forwarder",
    "bounces/sisimai/lhost-amazonses-07.eml#0": "the same forwarder",
    "bounces/sisimai/lhost-amazonses-09.eml#0": "nijo.example.jp took it for example.jp and forwards to Gmail",
}


class TestCorpus:
    """Every header of the shared corpus whose receiver recorded results: also those in bounces, reports and mboxes."""

    def test_the_address_is_the_recorded_one(self) -> None:
        root = corpus()
        told = {name: (topmost_address(message), message) for name, message in header_blocks(root)}
        told = {name: pair for name, pair in told.items() if pair[0] is not None}
        assert len(told) > 100
        found = {name: delivery(message.headers, known_registrable_domain) for name, (_, message) in told.items()}
        others = [name for name, (ip, _) in told.items() if found[name].ip != ip]
        assert sorted(others) == sorted(OTHER_ADDRESS)
        # Where the last receiver recorded the address itself there is no exception. Most of the others have the record
        # below the Received field of a system that is not known to write there: a sender could have written the same.
        own = [each for each in found.values() if each.recorded is not None]
        assert len(own) > 90
        assert all(each.recorded is not None and each.ip == each.recorded.ip for each in own)

    async def test_the_identities_are_the_recorded_ones(self) -> None:
        others = []
        for name, message in header_blocks(corpus()):
            facts = (
                await gather(
                    [envelope.audit],
                    Subject("", sample=Sample("", data=b"")),
                    Ports(OFFLINE, FixedClock(NOW)),
                    message,
                )
            ).facts
            ours = {"ip": facts.value("envelope.ip"), "spf_domain": facts.value("envelope.mail_from_domain")}
            if compare(message, {path: value for path, value in ours.items() if isinstance(value, str)}):
                others.append(name)
        assert sorted(others) == sorted(OTHER_IDENTITY)

    def test_results_are_compared_by_what_they_mean(self) -> None:
        message = read(f"{RECORD}{OUTSIDE}\n\n".encode())
        agreeing = {"ip": "192.0.2.7", "spf_domain": "b.example.com", "spf": "pass", "dkim": "pass", "dmarc": "pass"}
        assert compare(message, agreeing) == []
        assert compare(message, {"ip": "192.0.2.8", "spf": "softfail", "dkim": "temperror"}) == ["ip", "spf"]
