"""What users and programs may give: each spelling with what it is read as, and what is refused."""

from __future__ import annotations

import pytest

import deliverability
from deliverability.inputs import parse_domain, parse_ip, parse_mail_from, parse_selector
from deliverability.model.errors import InputError
from deliverability.ports.clock import SystemClock
from deliverability.ports.static import StaticResolver
from deliverability.runs.job import Job, Options

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
    with pytest.raises(InputError, match="is not a domain; give a name"):
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
def test_options_refuse_what_they_cannot_use(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Options(**wrong)  # type: ignore[arg-type]


def test_options_and_jobs_hold_one_spelling() -> None:
    options = Options(selectors=("S1", "s1."), sending_ips=("2001:DB8::1",), mail_from="<a@b.example>", helo=" ")
    assert (options.selectors, options.sending_ips) == (("s1",), ("2001:db8::1",))
    assert (options.mail_from, options.helo) == ("a@b.example", None)
    assert Job("Info@Example.COM.").domain == "example.com"


async def test_programs_may_give_what_the_command_line_takes() -> None:
    ports = deliverability.Ports(StaticResolver({}), SystemClock())
    report = await deliverability.audit("https://SAKURA-SHOP.example./", ports=ports)
    assert report.domain == "sakura-shop.example"
    with pytest.raises(deliverability.InputError):
        await deliverability.audit("sakura-shop", ports=ports)
