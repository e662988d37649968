"""By which hop a mail left its sender, where the receiving side passed it on; and what nobody can forge."""

from __future__ import annotations

import pytest

from deliverability.core.codes import ONLY_SUBMITTED, PATH_OPEN, Input, needs
from deliverability.core.facts.base import Unknown
from tests.owned import BODY, Audit, audit, mail

pytestmark = pytest.mark.long

SENDER = (
    '@ IN TXT "v=spf1 ip4:192.0.2.25 -all"\n@ IN MX 10 mail\nmail IN A 192.0.2.25\n_dmarc IN TXT "v=DMARC1; p=reject"\n'
)
ZONES = {"example.com": SENDER, "2.0.192.in-addr.arpa": "25 IN PTR mail.example.com.\n"}
AT = "; Tue, 24 Nov 2026 01:00:00 +0000"
FROM = "From: a@example.com"
PATH = "Return-Path: <a@example.com>"


def hop(client: str, ip: str, by: str, protocol: str = "ESMTPS", to: str = "") -> str:
    return f"Received: from {client} ({client} [{ip}]) by {by} with {protocol} id 1{f' for <{to}>' if to else ''}{AT}"


def sent(by: str, to: str = "") -> str:
    """The hop by which the mail left its sender."""
    return hop("mail.example.com", "192.0.2.25", by, to=to)


def microsoft(client: str, ip: str) -> str:
    return (
        f"Received: from {client} ({ip}) by AM1.mail.protection.outlook.com (10.152.1.1) with Microsoft SMTP Server "
        f"(version=TLS1_2, cipher=X) id 15.20.1.1{AT}"
    )


def results(ip: str, spf: str = "fail", sender: str = "example.com") -> str:
    return f"Authentication-Results: spf={spf} (sender IP is {ip}) smtp.mailfrom={sender}; dkim=none; dmarc=fail"


GATEWAYS = [
    ("mx0a-0012.pphosted.com", "mx0b-0012.pphosted.com"),
    ("dispatch1-eu1.ppe-hosted.com", "mx1-eu1.ppe-hosted.com"),
    ("eu-smtp-inbound-delivery-1.mimecast.com", "eu-smtp-1.mimecast.com"),
    ("outbound-ip1b.ess.barracudanetworks.com", "mx1.ess.barracudanetworks.com"),
    ("esa1.hc123-45.iphmx.com", "esa2.hc123-45.iphmx.com"),
    ("repost01.tmes.trendmicro.eu", "in.tmes.trendmicro.eu"),
    ("mfod-euw1.prod.hydra.sophos.com", "mfid-euw1.prod.hydra.sophos.com"),
    ("mail1.bemta23.messagelabs.com", "server-1.tower-1.messagelabs.com"),
    ("mx-relay01.hornetsecurity.com", "mx-gate01.hornetsecurity.com"),
    ("mf1.securemx.jp", "mx1.securemx.jp"),
    ("filter.company.jp", "mfilter.company.jp"),  # a gateway on one's own premises
]
"""The host that hands the mail over, and the one that took it in."""


READER = "reader@receiver.example"


def takes(domain: str, *hosts: str) -> dict[str, str]:
    """The zone of a domain whose mail these hosts take."""
    return {domain: "\n".join(f"@ IN MX 10 {each}." for each in hosts)}


def assert_open(found: Audit, relay: str, last: str = "198.51.100.7") -> None:
    """Nothing is said of SPF, both readings are shown, and no verdict takes the kinder one."""
    lost = found.value("envelope.ip")
    assert isinstance(lost, Unknown)
    assert lost.detail == PATH_OPEN(relay=relay, sent="192.0.2.25", last=last, needs=needs(Input.SENDING_IP))
    assert isinstance(found.value("spf.result"), Unknown)
    assert isinstance(found.value("dmarc.result"), Unknown)
    assert isinstance(found.value("message.indirect"), Unknown)
    assert not {"accepted", "dns-ready"} & set(found.verdicts.values())
    assert found.report.assessment.grade not in ("A", "B")
    for lang in ("en", "ja"):
        told = " ".join(found.text(lang).split())
        assert all(each in told for each in (relay, f"--ip {last}", "--ip 192.0.2.25"))


class TestGateway:
    @pytest.mark.parametrize(("out", "taken"), GATEWAYS)
    @pytest.mark.parametrize("behind", ["microsoft", "google"])
    async def test_that_is_an_mx_host_of_the_recipient_is_not_the_sender(
        self, out: str, taken: str, behind: str
    ) -> None:
        ip = "198.51.100.7"
        if behind == "microsoft":
            header = (results(ip), microsoft(out, ip), sent(taken), FROM, PATH)
        else:
            header = (PATH, hop(out, ip, "mx.google.com", to=READER), sent(taken, READER), FROM)
        found = await audit("example.com", mail(*header), ZONES | takes("receiver.example", taken))
        assert found.value("envelope.ip") == "192.0.2.25"
        assert found.value("envelope.connecting_ip") == ip
        assert found.value("envelope.passed_on_signs") == ("gateway",)
        assert found.value("spf.result") == "pass"
        assert found.value("dmarc.result") == "pass"
        assert "rejected" not in found.verdicts.values()
        assert not any(ip in str(each.edits) for each in found.report.remedies)
        assert "passed-on" in {each.code for each in found.report.notes}

    @pytest.mark.parametrize(("out", "taken"), GATEWAYS)
    async def test_whose_name_is_all_that_is_known_may_be_the_senders(self, out: str, taken: str) -> None:
        """The same hosts hand over what their customers send."""
        ip = "198.51.100.7"
        found = await audit("example.com", mail(results(ip), microsoft(out, ip), sent(taken), FROM, PATH), ZONES)
        assert_open(found, taken)

    async def test_that_the_sender_uses_as_well(self) -> None:
        """The recipient's gateway took it from the same provider: that hop is judged, not the one farther down."""
        header = (PATH, hop("mx0a-2.pphosted.com", "198.51.100.7", "mx.google.com", to=READER),
                  hop("mx0a-1.pphosted.com", "198.51.100.8", "mx0b-2.pphosted.com", to=READER),
                  sent("mx0b-1.pphosted.com", READER), FROM)  # fmt: skip
        zones = ZONES | takes("receiver.example", "mx0b-2.pphosted.com")
        found = await audit("example.com", mail(*header), zones)
        assert found.value("envelope.ip") == "198.51.100.8"
        assert found.value("spf.result") == "fail"

    @pytest.mark.parametrize("by", ["example.com", "receiver.example"])
    async def test_that_recorded_what_it_saw_is_no_proof(self, by: str) -> None:
        """The sender's own relay records as well, and writes what it likes."""
        original = f"Authentication-Results-Original: gate.{by}; spf=pass smtp.mailfrom=example.com; dkim=none"
        header = (results("198.51.100.7"), microsoft("out.isp.example", "198.51.100.7"), original,
                  sent("relay.isp.example"), FROM, PATH)  # fmt: skip
        assert_open(await audit("example.com", mail(*header), ZONES), "relay.isp.example")

    async def test_of_the_sender_is_the_sender(self) -> None:
        """Mail that leaves by a gateway which its SPF record allows came from there."""
        zone = SENDER.replace("ip4:192.0.2.25", "ip4:192.0.2.25 ip4:198.51.100.7")
        header = (PATH, hop("mx0a-1.pphosted.com", "198.51.100.7", "mx.receiver.jp"), sent("mx0b-1.pphosted.com"), FROM)
        found = await audit("example.com", mail(*header), ZONES | {"example.com": zone})
        assert found.value("envelope.ip") == "198.51.100.7"
        assert found.value("envelope.passed_on_signs") == ()


class TestForwarding:
    @pytest.mark.parametrize("host", ["mx.other.jp", "mx.hosting.example"])
    async def test_by_a_mailbox_elsewhere(self, host: str) -> None:
        header = (PATH, "Delivered-To: b@receiver.jp",
                  hop("fwd.other.jp", "198.51.100.7", "mx.receiver.jp", to="b@receiver.jp"),
                  sent(host, "b@other.jp"), FROM)  # fmt: skip
        found = await audit("example.com", mail(*header), ZONES | takes("other.jp", host))
        assert found.value("envelope.ip") == "192.0.2.25"
        assert found.value("envelope.passed_on_signs") == ("other-recipient",)
        assert "rejected" not in found.verdicts.values()

    async def test_for_another_recipient_also_where_spf_fails(self) -> None:
        """The hop before is what is judged: its failure is the sender's own."""
        header = (PATH, hop("fwd.other.jp", "198.51.100.7", "mx.receiver.jp", to="b@receiver.jp"),
                  hop("web.host.example", "203.0.113.9", "mx.other.jp", to="b@other.jp"), FROM)  # fmt: skip
        found = await audit("example.com", mail(*header), ZONES)
        assert found.value("envelope.ip") == "203.0.113.9"
        assert found.value("message.indirect") is False
        assert "DMARC-025" in found.unmet
        assert not any("198.51.100.7" in str(each.edits) + "203.0.113.9" for each in found.report.remedies)

    async def test_behind_a_relay_that_the_sender_forgot(self) -> None:
        """The relay writes the forwarder's recipient too; the forwarder's own server is the one that took it in."""
        header = (PATH, hop("fwd.other.jp", "198.51.100.9", "mx.receiver.jp", to="b@receiver.jp"),
                  hop("relay.isp.example", "198.51.100.7", "mx.other.jp", to="b@other.jp"),
                  sent("relay.isp.example", "b@other.jp"), FROM)  # fmt: skip
        found = await audit("example.com", mail(*header), ZONES)
        assert found.value("envelope.ip") == "198.51.100.7"
        assert found.value("spf.result") == "fail"

    @pytest.mark.parametrize(
        "local",
        [
            "Received: by shell.other.jp (Postfix, from userid 1000) id 2" + AT,
            "Received: from localhost ([127.0.0.1]) by localhost (amavisd-new, port 10024) with LMTP id 2" + AT,
            "Received: (qmail 7 invoked by alias)" + AT,
        ],
    )
    async def test_a_local_delivery_in_between_is_no_proof(self, local: str) -> None:
        """Content filters of the sender's own relay hand mail on by these ways as well."""
        header = (PATH, hop("shell.other.jp", "198.51.100.7", "mx.receiver.jp"), local, sent("shell.other.jp"), FROM)
        assert_open(await audit("example.com", mail(*header), ZONES), "shell.other.jp")

    @pytest.mark.parametrize(
        "rewritten",
        [
            "SRS0=Hh1y=Q5=example.com=a@other.jp",
            "SRS0+xx=yy=example.com=a@other.jp",
            "SRS1=hh=one.example==Hh1y=Q5=example.com=a@other.jp",
        ],
    )
    async def test_with_a_rewritten_sender(self, rewritten: str) -> None:
        header = (f"Return-Path: <{rewritten}>", hop("fwd.other.jp", "198.51.100.7", "mx.receiver.jp"),
                  sent("mx.other.jp"), FROM)  # fmt: skip
        found = await audit("example.com", mail(*header), ZONES)
        assert found.value("envelope.mail_from") == "a@example.com"
        assert found.value("envelope.mail_from_source") == "srs"
        assert found.value("envelope.ip") == "192.0.2.25"

    @pytest.mark.parametrize("protocol", ["POP3", "IMAP", "IMAP4rev1", "pop3s", "local"])
    @pytest.mark.parametrize("by", ["localhost", "desk.home.example"])
    async def test_fetched_mail_came_by_the_hop_below(self, protocol: str, by: str) -> None:
        header = (PATH, f"Received: from pop.mail.jp [203.0.113.5] by {by} with {protocol} (fetchmail-6.4.1)" + AT,
                  sent("mx.mail.jp", "b@mail.jp"), FROM)  # fmt: skip
        found = await audit("example.com", mail(*header), ZONES)
        assert found.value("envelope.ip") == "192.0.2.25"
        assert found.value("envelope.passed_on_signs") == ()


# What the mailbox adds to a mail that came from a relay, by the ways in which mail is saved.
SAVED = {
    "gmail": (
        "Delivered-To: reader@receiver.example",
        "Received: by 2002:a05:7022:1 with SMTP id x1" + AT,
        PATH,
        hop("relay.isp.example", "198.51.100.7", "mx.google.com", to=READER),
        "Received-SPF: fail (google.com: domain of a@example.com does not designate 198.51.100.7 as permitted sender) "
        "client-ip=198.51.100.7;",
        "Authentication-Results: mx.google.com; spf=fail (google.com: domain of a@example.com does not designate "
        "198.51.100.7 as permitted sender) smtp.mailfrom=a@example.com; dmarc=fail (p=REJECT) header.from=example.com",
    ),
    "outlook": (results("198.51.100.7"), microsoft("relay.isp.example", "198.51.100.7"), PATH),
    "imap": (
        PATH,
        f"Received: from mx.receiver.example by store.receiver.example with LMTP id 2{AT}",
        hop("relay.isp.example", "198.51.100.7", "mx.receiver.example", to=READER),
    ),
    "pop": (
        PATH,
        "Received: from pop.receiver.example [203.0.113.5] by desk.home.example with POP3 (fetchmail-6.4.1)" + AT,
        hop("relay.isp.example", "198.51.100.7", "mx.receiver.example", to=READER),
    ),
}
# What a relay adds that looks like somebody else's.
BELOW = {
    "nothing": (sent("relay.isp.example", READER),),
    "filter": (
        hop("localhost", "127.0.0.1", "relay.isp.example"),
        f"Received: from localhost by localhost (amavisd-new, port 10024) with LMTP id 2{AT}",
        sent("relay.isp.example", READER),
    ),
    "records": (
        "Authentication-Results: relay.isp.example; spf=pass (sender ip is 192.0.2.25) smtp.mailfrom=a@example.com",
        "Received-SPF: pass client-ip=192.0.2.25; envelope-from=a@example.com; receiver=relay.isp.example",
        sent("relay.isp.example", READER),
    ),
    "seals": (
        "ARC-Authentication-Results: i=1; isp.example; spf=pass (sender ip is 192.0.2.25) smtp.mailfrom=a@example.com",
        sent("relay.isp.example", READER),
    ),
}


class TestForgottenSmartHost:
    """The sender's relay is in no SPF record, and the server behind it is: that is never good news."""

    @pytest.mark.parametrize("saved", SAVED)
    @pytest.mark.parametrize("below", BELOW)
    async def test_of_which_nothing_tells_whose_it_is(self, saved: str, below: str) -> None:
        found = await audit("example.com", mail(*SAVED[saved], *BELOW[below], FROM), ZONES)
        assert_open(found, "relay.isp.example")

    @pytest.mark.parametrize(
        ("saved", "mx"),
        [("gmail", "aspmx.l.google.com"), ("outlook", "receiver-example.mail.protection.outlook.com"),
         ("imap", "mx.receiver.example"), ("pop", "mx.receiver.example")],
    )  # fmt: skip
    @pytest.mark.parametrize("below", BELOW)
    async def test_before_the_recipients_own_mx(self, saved: str, mx: str, below: str) -> None:
        """The mail names the recipient, whose MX took it from the relay: nobody but the sender can have used that."""
        zones = ZONES | takes("receiver.example", mx)
        found = await audit("example.com", mail(*SAVED[saved], *BELOW[below], FROM), zones)
        assert found.value("envelope.ip") == "198.51.100.7"
        assert found.value("spf.result") == "fail"
        assert found.value("dmarc.result") == "fail"
        assert found.value("message.indirect") is False
        assert "accepted" not in found.verdicts.values()

    async def test_the_answer_of_the_user_settles_it(self) -> None:
        message = mail(*SAVED["imap"], *BELOW["nothing"], FROM)
        ours = await audit("example.com", message, ZONES, ips=("198.51.100.7",))
        theirs = await audit("example.com", message, ZONES, ips=("192.0.2.25",))
        assert (ours.value("spf.result"), theirs.value("spf.result")) == ("fail", "pass")

    async def test_a_recipient_who_is_not_named_may_have_got_it_from_a_forwarder(self) -> None:
        message = mail(*SAVED["imap"], *BELOW["nothing"], FROM, body=BODY.replace(READER, "list@other.jp"))
        found = await audit("example.com", message, ZONES | takes("receiver.example", "mx.receiver.example"))
        assert_open(found, "relay.isp.example")


class TestOnlySubmitted:
    """A file from the Sent folder, or from a colleague at the same server, was at no receiver."""

    @pytest.mark.parametrize(
        "only",
        [
            hop("[203.0.113.9]", "203.0.113.9", "mail.example.com", "ESMTPSA"),
            hop("desk", "203.0.113.9", "mail.example.com", "ESMTPA"),
            hop("desk", "203.0.113.9", "mail.example.com").replace(" id 1", " (Authenticated sender: a) id 1"),
            f"Received: from 203.0.113.9 by webmail.example.com with HTTP{AT}",
            f"Received: from [203.0.113.9] by web1.example.com via HTTP{AT}",
        ],
    )
    @pytest.mark.parametrize(
        "above", [(), (f"Received: from mail.example.com by store.example.com with LMTP id 2{AT}",)]
    )
    @pytest.mark.parametrize("recorded", [(), ("Received-SPF: pass client-ip=203.0.113.9; receiver=mail.example.com",)])
    @pytest.mark.parametrize("below", [(), (sent("mail.example.com"),)])
    async def test_tells_nothing_of_a_server_that_sends(
        self, only: str, above: tuple[str, ...], recorded: tuple[str, ...], below: tuple[str, ...]
    ) -> None:
        zone = SENDER.replace("ip4:192.0.2.25", "ip4:192.0.2.25 ip4:203.0.113.9")
        found = await audit("example.com", mail(PATH, *recorded, *above, only, *below, FROM), {"example.com": zone})
        lost = found.value("envelope.ip")
        assert isinstance(lost, Unknown)
        assert lost.detail == ONLY_SUBMITTED(needs=needs(Input.SENDING_IP))
        assert isinstance(found.value("spf.result"), Unknown)
        assert "accepted" not in found.verdicts.values()
        assert "only-submitted" in {each.code for each in found.report.notes}

    async def test_from_within_the_network_is_one_too(self) -> None:
        only = hop("desk", "10.1.2.3", "relay.isp.example", "ESMTPSA")
        found = await audit("example.com", mail(PATH, only, sent("relay.isp.example"), FROM), ZONES)
        assert isinstance(found.value("envelope.ip"), Unknown)

    async def test_what_exchange_hands_on_over_https_is_none(self) -> None:
        inner = f"Received: from A.prod.outlook.com (::1) by B.prod.outlook.com with HTTPS{AT}"
        found = await audit("example.com", mail(inner, microsoft("mail.example.com", "192.0.2.25"), FROM, PATH), ZONES)
        assert found.value("envelope.ip") == "192.0.2.25"

    async def test_lmtp_from_a_public_address_is_within_the_receiver(self) -> None:
        store = f"Received: from mx.receiver.example ([203.0.113.5]) by store.receiver.example with LMTP id 2{AT}"
        found = await audit("example.com", mail(PATH, store, sent("mx.receiver.example"), FROM), ZONES)
        assert found.value("envelope.ip") == "192.0.2.25"


class TestSendersOwnSide:
    """What the sender's own servers hand to each other is no passing on, even where an inner host is in SPF."""

    @pytest.mark.parametrize(
        "below",
        [
            hop("app.cloud.example", "192.0.2.25", "relay.isp.example", "ESMTPSA"),
            hop("app.cloud.example", "192.0.2.25", "relay.isp.example").replace(
                " id 1", " (Authenticated sender: a) id 1"
            ),
            f"Received: from [192.0.2.25] by web1.isp.example via HTTP{AT}",
            hop("app.cloud.example", "10.1.2.3", "relay.isp.example"),
        ],
    )
    async def test_submission(self, below: str) -> None:
        header = (PATH, hop("relay.isp.example", "198.51.100.7", "mx.receiver.jp"), below, FROM)
        found = await audit("example.com", mail(*header), ZONES)
        assert found.value("envelope.ip") == "198.51.100.7"
        assert found.value("spf.result") == "fail"

    async def test_a_relay_with_a_name_of_the_sender(self) -> None:
        header = (PATH, hop("out.example.com", "198.51.100.7", "mx.receiver.jp"), sent("out.example.com"), FROM)
        found = await audit("example.com", mail(*header), ZONES)
        assert found.value("envelope.ip") == "198.51.100.7"

    async def test_a_relay_that_nothing_shows_to_be_the_receivers(self) -> None:
        header = (PATH, hop("relay.isp.example", "198.51.100.7", "mx.receiver.jp", to="b@receiver.jp"),
                  hop("app.cloud.example", "203.0.113.9", "relay.isp.example", to="b@receiver.jp"), FROM)  # fmt: skip
        found = await audit("example.com", mail(*header), ZONES)
        assert found.value("envelope.ip") == "198.51.100.7"

    async def test_the_word_of_the_user_ends_the_walk(self) -> None:
        header = (PATH, hop("fwd.other.jp", "198.51.100.7", "mx.receiver.jp"), sent("mx.other.jp"), FROM)
        found = await audit("example.com", mail(*header), ZONES, ips=("203.0.113.3",))
        assert found.value("envelope.ip") == "203.0.113.3"
        assert found.value("envelope.passed_on_signs") == ()


class TestWhatTheSenderCouldWrite:
    """Below the hop from outside anybody can have written anything."""

    async def test_a_return_path_below_the_trace(self) -> None:
        header = (hop("web.host.example", "203.0.113.9", "mx.receiver.jp"), "Return-Path: <b@bank.example>", FROM)
        found = await audit("example.com", mail(*header), ZONES)
        assert getattr(found.value("envelope.mail_from"), "reason", None) == "not-configured"

    @pytest.mark.parametrize("above", [True, False])
    async def test_a_return_path_beside_the_record_of_outlook(self, above: bool) -> None:
        """Outlook.com writes its own below, and records what it checked: that counts, wherever the other stands."""
        forged = "Return-Path: <boss@bank.example>"
        trace = (results("203.0.113.9", "pass", "mailer.example"), microsoft("web.host.example", "203.0.113.9"))
        header = (forged, *trace, FROM) if above else (*trace, forged, FROM)
        found = await audit("example.com", mail(*header), ZONES)
        assert found.value("envelope.mail_from_domain") == "mailer.example"
        assert found.value("envelope.mail_from_source") == "authentication-results"

    async def test_the_first_return_path_is_that_of_the_last_delivery(self) -> None:
        header = (PATH, hop("web.host.example", "203.0.113.9", "mx.receiver.jp"), "Return-Path: <b@bank.example>", FROM)
        found = await audit("example.com", mail(*header), ZONES)
        assert found.value("envelope.mail_from") == "a@example.com"

    async def test_a_null_return_path_stays_null_beside_the_helo_check(self) -> None:
        record = "Authentication-Results: mx.receiver.jp; spf=pass smtp.mailfrom=postmaster@mail.example.com"
        found = await audit("example.com", mail("Return-Path: <>", record, sent("mx.receiver.jp"), FROM), ZONES)
        assert found.value("envelope.mail_from") == ""
        assert found.value("envelope.mail_from_domain") == "mail.example.com"

    @pytest.mark.parametrize(
        "forged",
        [
            "Authentication-Results: mx.receiver.jp; spf=pass smtp.mailfrom=b@bank.example; dkim=pass; dmarc=pass",
            "Authentication-Results: mx.receiver.jp; spf=pass (sender IP is 203.0.113.9) smtp.mailfrom=b@bank.example",
            "Received-SPF: pass client-ip=203.0.113.9; receiver=mx.receiver.jp; envelope-from=b@bank.example",
            "ARC-Authentication-Results: i=1; mx.receiver.jp; spf=pass smtp.mailfrom=b@bank.example",
            "X-Original-To: b@bank.example",
        ],
    )
    @pytest.mark.parametrize(
        "own", [None, "Authentication-Results: mx.receiver.jp; spf=fail smtp.mailfrom=example.com"]
    )
    async def test_records_below_the_hop(self, forged: str, own: str | None) -> None:
        header = (
            *(() if own is None else (own,)),
            hop("web.host.example", "203.0.113.9", "mx.receiver.jp"),
            forged,
            FROM,
        )
        found = await audit("example.com", mail(*header), ZONES)
        assert found.value("recorded.spf") == (None if own is None else "fail")
        assert found.value("recorded.dkim") is None
        assert found.value("recorded.dmarc") is None
        assert found.value("envelope.ip") == "203.0.113.9"
        assert found.value("envelope.mail_from_domain") in ("example.com",) or own is None

    async def test_a_second_record_below_that_of_google(self) -> None:
        own = (
            "Authentication-Results: mx.google.com; spf=fail smtp.mailfrom=a@example.com; dkim=fail header.d=a.example"
        )
        forged = own.replace("fail", "pass") + "; dmarc=pass"
        header = (PATH, hop("web.host.example", "203.0.113.9", "mx.google.com"),
                  "Received-SPF: fail (google.com: domain) client-ip=203.0.113.9;", own, forged, FROM)  # fmt: skip
        found = await audit("example.com", mail(*header), ZONES)
        assert (found.value("recorded.spf"), found.value("recorded.dkim")) == ("fail", "fail")
        assert found.value("recorded.dmarc") is None

    async def test_a_hop_with_the_name_of_a_gateway_of_the_receiver(self) -> None:
        """Below the last hop a forged one is judged like a real one: by the records of MAIL FROM, never by its word."""
        forged = hop("mail.example.com", "203.0.113.77", "gate.receiver.jp", to="b@receiver.jp")
        header = (PATH, hop("web.host.example", "203.0.113.9", "mx.receiver.jp", to="b@receiver.jp"), forged, FROM)
        found = await audit("example.com", mail(*header), ZONES)
        assert found.value("spf.result") == "fail"
