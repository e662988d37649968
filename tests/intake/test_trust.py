"""How far a report is trusted rests on the mail that carried it, checked by us, and on whom the report names."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from deliverability.core.codes import Detail
from deliverability.core.facts.base import Reason
from deliverability.core.mail.reader import read
from deliverability.core.model.observed import Trust
from deliverability.core.rules.knowledge import shipped
from deliverability.intake.records import (
    ANOTHERS_MAIL,
    KEY_GONE,
    NO_AUTHOR,
    NOT_AUTHENTICATED,
    NOT_VERIFIED_NOW,
    MailProof,
    ReportNames,
    ReportTrust,
    mail_proof,
    trust_of,
)
from tests.signing import Rule, TableResolver, ed25519_key, published, sign

NOW = datetime(2026, 11, 26, tzinfo=UTC)
KNOWN = shipped().reporters
GOOGLE = ReportNames("google.com", "google.com")


def mail(author: str = "noreply-dmarc-support@google.com", submitter: str = "google.com", above: str = "") -> bytes:
    return (
        f"{above}From: Reports <{author}>\r\nTo: dmarc@example.com\r\nDate: Wed, 25 Nov 2026 08:00:00 +0000\r\n"
        f"Subject: Report domain: example.com Submitter: {submitter} Report-ID: 1\r\n\r\nhello\r\n"
    ).encode()


def signed(octets: bytes, domain: str = "google.com") -> bytes:
    return sign(octets, ed25519_key(), domain=domain, algorithm="ed25519-sha256")


def proved(address: str) -> MailProof:
    return MailProof(Trust.VERIFIED, address, address.partition("@")[2])


def zone(domain: str = "google.com", **more: Rule) -> TableResolver:
    return TableResolver(
        {f"s1._domainkey.{domain}": published(ed25519_key()), f"_dmarc.{domain}": "v=DMARC1; p=reject", **more}
    )


async def level(
    octets: bytes, dns: TableResolver, names: ReportNames = GOOGLE, *authserv: str
) -> tuple[Trust, Detail | None, bool]:
    proof = await mail_proof(read(octets), dns, authserv, NOW)
    found = trust_of(proof, names, KNOWN)
    return found.level, found.doubt, proof.settled


async def test_a_mail_that_passes_dmarc_is_verified() -> None:
    assert await level(signed(mail()), zone()) == (Trust.VERIFIED, None, True)


async def test_a_mail_that_was_changed_or_never_signed_proves_nothing() -> None:
    nothing = (Trust.CLAIMED, NOT_AUTHENTICATED(domain="google.com"), True)
    assert await level(mail(), zone()) == nothing
    assert await level(signed(mail()).replace(b"hello", b"HELLO"), zone()) == nothing
    assert await level(signed(mail(), "evil.example"), zone("evil.example")) == nothing


async def test_an_old_mail_whose_key_is_gone_is_claimed() -> None:
    dns = TableResolver({"_dmarc.google.com": "v=DMARC1; p=reject"})
    expected = (Trust.CLAIMED, KEY_GONE(name="s1._domainkey.google.com"), True)
    assert await level(signed(mail()), dns) == expected


async def test_where_dns_fails_it_is_to_be_checked_once_more() -> None:
    dns = zone()
    dns.table = {**dns.table, "s1._domainkey.google.com": Reason.TIMEOUT}
    assert await level(signed(mail()), dns) == (Trust.CLAIMED, NOT_VERIFIED_NOW(domain="google.com"), False)


@pytest.mark.parametrize("author", ["a@google.com>, <b@evil.example", "nobody"])
async def test_without_one_author_there_is_no_proof(author: str) -> None:
    assert await level(mail(author), zone()) == (Trust.CLAIMED, NO_AUTHOR(), True)


async def test_anothers_mail_proves_nothing_of_a_known_reporter() -> None:
    """Its own domain passes, its subject names that domain: the report names Google all the same."""
    forged = signed(mail("dmarc@evil.example", "evil.example"), "evil.example")
    names = ReportNames("google.com", "evil.example")
    expected = (Trust.CLAIMED, ANOTHERS_MAIL(domain="evil.example", reporter="google.com"), True)
    assert await level(forged, zone("evil.example"), names) == expected


@pytest.mark.parametrize("name", ["receiver.example", "veeam.com", "Receiver Inc.", ""])
def test_who_is_not_listed_is_known_by_the_address_that_it_proves(name: str) -> None:
    found = trust_of(proved("dmarc@out.receiver.example"), ReportNames(name, "veeam.com"), KNOWN)
    assert found == ReportTrust(Trust.VERIFIED, "dmarc@out.receiver.example")


def test_docomos_reports_come_from_a_company_that_works_for_it() -> None:
    found = trust_of(proved("reporting@dmarc25.jp"), ReportNames("docomo.ne.jp", "dmarc25.jp"), KNOWN)
    assert found == ReportTrust(Trust.VERIFIED, "docomo")


@pytest.mark.parametrize(
    ("mailbox", "name"),
    [
        ("somebody@yahoo.com", "Yahoo"),
        ("somebody@gmx.net", "GMX"),
        ("somebody@web.de", "WEB.DE"),
        ("somebody@mail.ru", "Mail.Ru"),
        ("somebody@docomo.ne.jp", "docomo.ne.jp"),
        ("somebody@fastmail.com", "fastmail.com"),
        ("somebody@google.com", "google.com"),
    ],
)
def test_a_mailbox_at_a_provider_is_not_the_provider(mailbox: str, name: str) -> None:
    domain = mailbox.partition("@")[2]
    found = trust_of(proved(mailbox), ReportNames(name, domain), KNOWN)
    assert found.level is Trust.CLAIMED, "in the provider's name it proves nothing"
    under_its_own = trust_of(proved(mailbox), ReportNames("Somebody", domain), KNOWN)
    assert under_its_own == ReportTrust(Trust.VERIFIED, mailbox), "and under its own it is kept as that mailbox"


def test_a_bare_file_is_vouched_for_by_hand() -> None:
    names = ReportNames("google.com")
    assert trust_of(None, names, KNOWN) == ReportTrust(Trust.FILE, "google")
    assert trust_of(None, names, KNOWN, vouched=True) == ReportTrust(Trust.VERIFIED, "google")
    claimed = MailProof(Trust.CLAIMED, "", "", NO_AUTHOR())
    found = trust_of(claimed, names, KNOWN, vouched=True)
    assert found == ReportTrust(Trust.CLAIMED, "google", NO_AUTHOR()), "a mail has to prove it"


@pytest.mark.parametrize(
    ("above", "trust"),
    [
        ("Authentication-Results: mx.example.com; dmarc=pass header.from=google.com\r\n", Trust.AUTHENTICATED),
        ("Authentication-Results: mx.example.com; dmarc=fail header.from=google.com\r\n", Trust.CLAIMED),
        ("Authentication-Results: mx.example.com; dmarc=pass header.from=evil.example\r\n", Trust.CLAIMED),
        ("Authentication-Results: evil.example; dmarc=pass header.from=google.com\r\n", Trust.CLAIMED),
        (
            "Authentication-Results: mx.example.com; dmarc=fail header.from=google.com\r\n"
            "Authentication-Results: mx.example.com; dmarc=pass header.from=google.com\r\n",
            Trust.CLAIMED,
        ),
    ],
)
async def test_a_host_that_is_believed_may_say_so(above: str, trust: Trust) -> None:
    names = ReportNames("google.com")
    assert (await level(mail(above=above), zone(), names, "MX.example.com"))[0] is trust
    assert (await level(mail(above=above), zone(), names))[0] is Trust.CLAIMED, "nobody is believed by default"


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (ReportNames("Outlook.com", "microsoft.com"), "microsoft"),
        (ReportNames("Receiver.Example", "receiver.example"), "receiver.example"),
        (ReportNames("", "mail.receiver.example"), "receiver.example"),
        (ReportNames("someone@receiver.example"), "receiver.example"),
    ],
)
def test_a_bare_file_is_kept_under_the_name_in_it(names: ReportNames, kept: str) -> None:
    assert trust_of(None, names, KNOWN).reporter == kept
