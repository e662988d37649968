"""What users and programs may give: each spelling with what it is read as, and what is refused."""

from __future__ import annotations

import pytest

import deliverability
from deliverability.core.errors import InputError
from deliverability.core.facts.base import Purpose
from deliverability.core.inputs import Sample, Subject, parse_domain, parse_ip, parse_mail_from, parse_selector
from deliverability.core.net.clock import SystemClock
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import StaticResolver
from tests.auditing import audit

DOMAINS = {
    "example.com": "example.com",
    " SAKURA-SHOP.example. ": "sakura-shop.example",
    "info@example.com": "example.com",
    "<info@example.com>": "example.com",
    "mailto:info@example.com": "example.com",
    "https://example.com/": "example.com",
    "HTTPS://user@www.example.com:8443/path?query#part": "www.example.com",
    "日本語.example": "xn--wgv71a119e.example",
    "postmaster@日本語。example": "xn--wgv71a119e.example",
}


@pytest.mark.parametrize(("given", "domain"), DOMAINS.items())
def test_a_domain_is_read_from_any_usual_spelling(given: str, domain: str) -> None:
    assert parse_domain(given) == domain
    assert parse_domain(domain) == domain


@pytest.mark.parametrize(
    "given", ["", "example", "192.0.2.1", "2001:db8::1", "ftp://example.com", "a b.example", "a..example", "https:///x"]
)
def test_what_could_not_send_mail_is_no_domain(given: str) -> None:
    with pytest.raises(InputError, match="is not a domain; use a name"):
        parse_domain(given)


def test_selectors_addresses_and_senders() -> None:
    assert parse_selector(" S1. ") == "s1"
    assert parse_ip(" 2001:DB8:0::1 ") == "2001:db8::1"
    assert [parse_mail_from(text) for text in ("<>", "", "<a@b.example>", "a@b.example")] == [
        "",
        "",
        "a@b.example",
        "a@b.example",
    ]


@pytest.mark.parametrize(
    "wrong",
    [{"selectors": ("s1._domainkey",)}, {"sending_ips": ("192.0.2.0/24",)}, {"mail_from": "x"}, {"daily_volume": -1}],
)
def test_a_subject_refuses_what_they_cannot_use(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Subject(**wrong)  # type: ignore[arg-type]


def test_a_subject_holds_one_spelling() -> None:
    subject = Subject(selectors=("S1", "s1."), sending_ips=("2001:DB8::1",), mail_from="<a@b.example>", helo=" ")
    assert (subject.selectors, subject.sending_ips) == (("s1",), ("2001:db8::1",))
    assert (subject.mail_from, subject.helo) == ("a@b.example", None)


async def test_programs_may_give_what_the_command_line_takes() -> None:
    async with deliverability.Session(resolver=StaticResolver({})) as session:
        report = await session.audit_async("https://SAKURA-SHOP.example./")
        assert report.domain == "sakura-shop.example"
        report = await session.audit_async("Info@Example.COM.", selectors="S1")
        assert (report.domain, report.to_dict()["subject"]["selectors"]) == ("example.com", ["s1"])
        with pytest.raises(InputError):
            await session.audit_async("sakura-shop")


async def test_what_is_said_of_a_message_counts_before_what_is_said_of_its_domain() -> None:
    raw = b"From: ann@example.com\r\n\r\nhello\r\n"
    subject = Subject(sample=Sample("a.eml", data=raw, purpose=Purpose.BULK), purpose=Purpose.USERS)
    report = await audit(subject, ports=Ports(StaticResolver({}), SystemClock()))
    assert (report.domain, report.message, report.inputs["purpose"]) == ("example.com", "a.eml", "bulk")


def test_a_subject_is_told_of_without_the_octets_of_its_message() -> None:
    named = Subject(sample=Sample("a.eml", data=b"secret"))
    assert "secret" not in f"{named!r} {named.sample!r}"
    assert (named.name, Subject("example.com", named.sample).name) == ("a.eml", "example.com")
