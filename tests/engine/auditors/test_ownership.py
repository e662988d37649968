"""Whose a thing is: who decides about a message, and what is asked of whom."""

from __future__ import annotations

import pytest

from deliverability.core.facts.base import Unknown
from deliverability.core.model.rules import Severity
from deliverability.engine.rules import exit_code
from tests.owned import audit, mail

pytestmark = pytest.mark.long

SPF = '@ IN TXT "v=spf1 ip4:192.0.2.25 -all"\n@ IN MX 10 mail\nmail IN A 192.0.2.25\n'


def dmarc(record: str) -> str:
    return f'_dmarc IN TXT "v=DMARC1; {record}"\n'


OWN = SPF + dmarc("p=none; rua=mailto:d@example.com")
CLOSED = SPF.replace("192.0.2.25", "203.0.113.25") + dmarc("p=reject; rua=mailto:d@example.net")
HOP = (
    "Received: from mail.example.com (mail.example.com [192.0.2.25]) by mx.receiver.example with ESMTPS; "
    "Tue, 24 Nov 2026 01:00:00 +0000"
)
SENT = ("Return-Path: <www@example.com>", HOP)
REVERSE = {"2.0.192.in-addr.arpa": "25 IN PTR mail.example.com.\n"}


class TestWhosePolicyDecides:
    """About a message decides the DMARC policy of its From domain; the audited domain's record is described beside."""

    @pytest.mark.parametrize(
        ("author", "theirs", "policy", "rule"),
        [
            ("yahoo.com", "p=reject", "reject", "DMARC-025"),
            ("example.net", "p=reject", "reject", "DMARC-025"),
            ("example.net", "p=quarantine", "quarantine", "DMARC-026"),
            ("gmail.com", "p=none", "none", None),
            ("sub.example.net", "p=none; sp=reject", "reject", "DMARC-025"),
            ("sub.example.net", "p=reject; sp=none", "none", None),
            ("nowhere.example.net", "p=none; np=reject", "reject", "DMARC-025"),
        ],
    )
    @pytest.mark.parametrize("own", ["p=none", "p=reject"])
    async def test_that_of_from(self, author: str, theirs: str, policy: str, rule: str | None, own: str) -> None:
        domain = ".".join(author.split(".")[-2:])
        records = {
            "example.com": SPF + dmarc(own),
            domain: "@ IN A 203.0.113.1\nsub IN A 203.0.113.1\n" + dmarc(theirs),
        }
        found = await audit("example.com", mail(*SENT, f"From: visitor@{author}"), records | REVERSE)
        assert found.value("alignment.policy") == policy
        assert found.value("alignment.policy_location") == domain
        assert found.unmet & {"DMARC-025", "DMARC-026"} == ({rule} if rule else set())
        # The own record is described all the same, and no receiver holds it against this mail.
        assert found.value("dmarc.author_domain") == "example.com"
        assert found.value("dmarc.policy") == own.removeprefix("p=")
        assert found.value("dmarc.used") is False
        refused = {receiver for receiver, verdict in found.verdicts.items() if verdict == "rejected"}
        assert ("gmail" in refused) is (rule == "DMARC-025")

    async def test_of_a_parent_that_is_in_from(self) -> None:
        records = {"example.com": OWN.replace("p=none", "p=reject") + '_dmarc.news IN TXT "v=DMARC1; p=none"\n'}
        hop = HOP.replace("192.0.2.25", "198.51.100.1")
        found = await audit(
            "news.example.com", mail("Return-Path: <b@example.com>", hop, "From: a@example.com"), records
        )
        assert found.value("alignment.policy") == "reject"
        assert found.value("dmarc.policy") == "none"
        assert "DMARC-025" in found.unmet
        assert found.value("ownership.author") == "own"

    async def test_of_a_child_that_is_in_from(self) -> None:
        records = {"example.com": OWN + '_dmarc.news IN TXT "v=DMARC1; p=reject"\n'}
        hop = HOP.replace("192.0.2.25", "198.51.100.1")
        found = await audit(
            "example.com", mail("Return-Path: <b@example.com>", hop, "From: a@news.example.com"), records
        )
        assert found.value("alignment.policy") == "reject"
        assert "DMARC-025" in found.unmet

    @pytest.mark.parametrize("author", ["yahoo.com", "example.net"])
    async def test_what_was_not_looked_up_is_not_known(self, author: str) -> None:
        """A zone that is not given says nothing, and never that there is no policy."""
        found = await audit("example.com", mail(*SENT, f"From: visitor@{author}"), {"example.com": OWN} | REVERSE)
        policy = found.report.facts.value("alignment.policy")
        assert getattr(policy, "reason", None) == "offline"
        assert "accepted" not in found.verdicts.values()

    async def test_a_domain_without_a_record_has_no_policy(self) -> None:
        records = {"example.com": OWN, "example.net": "@ IN A 203.0.113.1\n"}
        found = await audit("example.com", mail(*SENT, "From: a@example.net"), records | REVERSE)
        assert found.value("alignment.policy") is None
        assert found.value("dmarc.result") == "none"

    @pytest.mark.parametrize("order", [("a@example.com", "b@example.net"), ("b@example.net", "a@example.com")])
    async def test_of_several_addresses_the_strictest_that_fails(self, order: tuple[str, str]) -> None:
        records = {"example.com": OWN, "example.net": CLOSED}
        found = await audit("example.com", mail(*SENT, f"From: {order[0]}, {order[1]}"), records | REVERSE)
        assert found.value("alignment.author_domain") == "example.net"
        assert found.value("alignment.policy") == "reject"

    @pytest.mark.parametrize("author", ["visitor@co.uk", "visitor@例え.jp"])
    async def test_public_suffixes_and_international_names(self, author: str) -> None:
        name = author.partition("@")[2].encode("idna").decode()
        records = {"example.com": OWN, name: dmarc("p=reject")}
        found = await audit("example.com", mail(*SENT, f"From: {author}"), records | REVERSE)
        assert found.value("alignment.policy") == "reject"
        assert "DMARC-025" in found.unmet


class TestFromOfSomebodyElse:
    """One step: an address of one's own in From, the visitor in Reply-To."""

    @pytest.mark.parametrize(
        "author", ["yahoo.com", "gmail.com", "yahoo.co.jp", "docomo.ne.jp", "nifty.com", "web.de", "customer.example"]
    )
    @pytest.mark.parametrize("sender", ["www@example.com", None])
    async def test_is_one_step(self, author: str, sender: str | None) -> None:
        closed = SPF.replace("192.0.2.25", "203.0.113.25") + dmarc("p=reject")
        header = (f"Return-Path: <{sender or 'visitor@' + author}>", HOP, f"From: Visitor <visitor@{author}>")
        found = await audit("example.com", mail(*header), {"example.com": OWN, author: closed} | REVERSE)
        assert found.value("ownership.author") == "foreign"
        assert found.steps == ["own-from"]
        for lang in ("en", "ja"):
            told = found.text(lang)
            assert "From: Example <form@example.com>" in told
            assert "Reply-To: <visitor@example.net>" in told
            assert f"d={author}" not in told
            assert f"_dmarc.{author}の" not in told
            assert f"at _dmarc.{author}" not in told

    async def test_the_message_alone_names_the_mailbox_provider(self) -> None:
        """Without a domain that of From is audited; what is wrong in its DNS is not the reader's to mend."""
        header = ("Return-Path: <visitor@yahoo.com>", HOP, "From: visitor@yahoo.com")
        found = await audit(None, mail(*header), {"yahoo.com": '@ IN TXT "v=spf1 -all"\n' + dmarc("p=reject")})
        assert found.value("ownership.domain") == "foreign"
        assert found.steps == ["own-from"]
        assert "form@example.com" in found.text()

    async def test_who_may_send_in_its_name_is_told_nothing(self) -> None:
        records = {"example.com": OWN, "example.net": SPF + dmarc("p=reject")}
        found = await audit("example.com", mail("Return-Path: <a@example.net>", HOP, "From: a@example.net"), records)
        assert "own-from" not in found.steps
        assert not found.unmet & {"ALN-001", "ALN-005", "ALN-012", "DMARC-025"}

    async def test_a_return_path_of_somebody_else_is_no_reason_to_edit_their_spf(self) -> None:
        other = '@ IN TXT "v=spf1 ip4:203.0.113.9 -all"\n'
        header = ("Return-Path: <bounce@example.net>", HOP, "From: a@example.com")
        found = await audit("example.com", mail(*header), {"example.com": OWN, "example.net": other} | REVERSE)
        assert found.value("ownership.mail_from") == "foreign"
        assert "own-return-path" in found.steps or "own-signing-domain" in found.steps
        assert "spf-allow-sender" not in found.steps
        assert "spf-add-sender" not in found.steps


class TestAddressesOfOnesOwn:
    """An address is the organization's by the user's word, or by DNS; never because it stands in a header."""

    async def owned(self, hop: str, records: dict[str, str], ips: tuple[str, ...] = ()) -> tuple[object, list[str]]:
        header = ("Return-Path: <a@example.com>", hop, "From: a@example.com")
        zone = OWN.replace("ip4:192.0.2.25", "ip4:192.0.2.99")
        found = await audit("example.com", mail(*header), {"example.com": zone} | records, ips=ips)
        return found.value("ownership.addresses"), [
            each.code for each in found.report.remedies if each.code[:3] == "spf"
        ]

    async def test_by_its_reverse_name(self) -> None:
        assert await self.owned(HOP, REVERSE) == (("192.0.2.25",), ["spf-add-sender"])

    async def test_by_its_helo_name(self) -> None:
        hop = HOP.replace("(mail.example.com [", "(unknown [")
        assert await self.owned(hop, {}) == (("192.0.2.25",), ["spf-add-sender"])

    async def test_by_the_word_of_the_user(self) -> None:
        owned = await self.owned("X-Other: 1", {}, ips=("198.51.100.77",))
        assert owned == (("198.51.100.77",), ["spf-add-sender"])

    @pytest.mark.parametrize(
        "hop",
        [
            HOP.replace("192.0.2.25", "198.51.100.7"),  # a name that does not lead to it
            HOP.replace("mail.example.com", "mx0a.gateway.example"),
            HOP.replace("from mail.example.com (mail.example.com [", "from mail.example.net (mail.example.com ["),
        ],
    )
    async def test_by_nothing(self, hop: str) -> None:
        addresses, edits = await self.owned(hop, {})
        assert isinstance(addresses, Unknown) or addresses == (), "the reverse name is outside of the zones"
        assert edits == []


ABOVE = {"con": "other IN A 192.0.2.1\n"}


class TestDomainThatDoesNotExist:
    """The one thing to do is to look at the spelling; what is missing there was never meant to be."""

    @pytest.mark.parametrize(
        ("domain", "records", "parent"),
        [
            ("example.con", ABOVE, None),
            ("www.example.con", ABOVE, None),
            ("news.example.com", {"example.com": OWN}, "example.com"),
            ("a.b.example.com", {"example.com": OWN + "b IN A 192.0.2.1\n"}, "b.example.com"),
        ],
    )
    async def test_is_told_and_nothing_is_published(
        self, domain: str, records: dict[str, str], parent: str | None
    ) -> None:
        found = await audit(domain, None, records)
        assert found.value("domain.exists") is False
        assert found.value("domain.existing_parent") == parent
        assert found.unmet == {"NET-007"}
        assert found.steps == ["check-spelling"]
        assert found.report.remedies == ()
        assert not {"dns-ready", "accepted"} & set(found.verdicts.values())
        for lang, words in (("en", "Check the spelling"), ("ja", "つづりを確認")):
            assert words in found.text(lang)
            assert "deliv doctor" in found.text(lang)
            assert "v=spf1 -all" not in found.text(lang)
        assert exit_code(found.report, Severity.ERROR) == 1

    async def test_with_a_message_the_message_is_judged_all_the_same(self) -> None:
        header = ("Return-Path: <a@example.con>", HOP, "From: a@example.con")
        found = await audit("example.con", mail(*header), ABOVE)
        assert {"NET-007", "ALN-011"} <= found.unmet
        assert found.report.remedies == ()
        assert not {"spf-begin", "dmarc-publish"} & set(found.steps)

    async def test_a_look_up_that_failed_is_no_absence(self) -> None:
        found = await audit("example.con", None, {"example.com": OWN})
        assert getattr(found.value("domain.exists"), "reason", None) == "offline"
        assert "NET-007" not in found.unmet

    @pytest.mark.parametrize("record", ["@ IN A 192.0.2.1\n", "below IN A 192.0.2.1\n"])
    async def test_a_domain_without_mail_exists(self, record: str) -> None:
        found = await audit("example.com", None, {"example.com": record})
        assert found.value("domain.exists") is True
        assert "SPF-001" in found.unmet
