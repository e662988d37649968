"""Whom a list is at: domains by name, those of customers by MX, and what is not known stays not known."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deliverability.core.errors import InputError
from deliverability.core.model.deliveries import Audience, Part, Recipients
from deliverability.core.net.ports import Ports
from deliverability.core.net.static import Records, StaticResolver
from deliverability.engine.rules import load_rules, rule_folders
from deliverability.lists import audience
from deliverability.lists.audience import audience_of, recipients_of
from deliverability.lists.catalogue import ListData, load_list_data


def data() -> ListData:
    """The names of columns and the like, as shipped."""
    return load_list_data(rule_folders(()))


def counted(text: str, folder: Path, charset: str = "utf-8") -> Recipients:
    """What a list of that text holds."""
    path = folder / "list.csv"
    path.write_bytes(text.encode(charset))
    return recipients_of(str(path), data())


@pytest.mark.parametrize(
    "text",
    [
        "a@gmx.de\nb@gmx.de\nc@nifty.com\n",
        "name,email\nx,a@gmx.de\nx,b@GMX.de\nx,c@nifty.com\nx,A@gmx.de\n",
        "メールアドレス;氏名\na@gmx.de;あ\nb@gmx.de;い\nc@nifty.com;う\n",
        "gmx.de,2\nnifty.com,1\n",
        "domain,count\ngmx.de,2\nnifty.com,1\n",
        "ドメイン\t件数\ngmx.de\t2\nnifty.com\t1\n",
    ],
)
@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "cp932"])
def test_a_list_of_addresses_or_domains_gives_the_recipients_of_each_domain(
    text: str, charset: str, tmp_path: Path
) -> None:
    assert counted(text, tmp_path, charset) == Recipients({"gmx.de": 2, "nifty.com": 1})


def test_domains_alone_say_nothing_of_how_many_recipients(tmp_path: Path) -> None:
    assert counted("gmx.de\nnifty.com\n", tmp_path) == Recipients({"gmx.de": 1, "nifty.com": 1}, counted=False)
    assert recipients_of("gmx.de, x@Nifty.com", data()) == Recipients({"gmx.de": 1, "nifty.com": 1}, counted=False)


def test_what_is_no_address_is_counted_and_left_out(tmp_path: Path) -> None:
    found = counted("email\na@gmx.de\nno address\na@\n@gmx.de\na@b@\n", tmp_path)
    assert (found.counts, found.unreadable) == ({"gmx.de": 1}, 4)


@pytest.mark.parametrize("given", ["missing.csv", "lists/missing", ",", " , "])
def test_a_slip_is_no_domain(given: str) -> None:
    with pytest.raises(InputError):
        recipients_of(given, data())


def test_an_error_shows_no_local_part() -> None:
    with pytest.raises(InputError) as caught:
        recipients_of("secret.person@-bad-.example..", data())
    assert "secret" not in repr(caught.value.details)


MX: dict[str, Records] = {
    "company.example": ["0 company-example.mail.protection.outlook.com"],
    "hotmail.gr": ["2 hotmail-com.olc.protection.outlook.com"],
    "school.example": ["5 alt1.aspmx.l.google.com", "1 aspmx.l.google.com"],
    "backup.example": ["20 aspmx.l.google.com", "10 mx.backup.example"],
    "both.example": ["10 aspmx.l.google.com", "10 mx.backup.example"],
    "verizon.net": ["10 mx-vz.mail.gm0.yahoodns.net"],
    "notgoogle.example": ["10 mx.notgoogle.com"],
    "null.example": ["0 ."],
    "gone.example": "nxdomain",
    "plain.example": [],
    "dead.example": "timeout",
}
"""What DNS says of the domains that no receiver has by name."""
AT = {
    "gmail.com": "gmail",
    "web.de": "gmx",
    "sub.ocn.ne.jp": "ocn",
    "company.example": "microsoft365",
    "hotmail.gr": "outlook",
    "school.example": "google-workspace",
    "verizon.net": "yahoo",
}


def looked_up(recipients: Recipients) -> Audience:
    """The audience by that DNS."""
    resolver = StaticResolver({(name, "MX"): records for name, records in MX.items()})
    return asyncio.run(audience_of(recipients, load_rules().receivers.values(), Ports(resolver)))


@pytest.mark.parametrize(("domain", "receiver"), AT.items())
def test_a_domain_is_at_the_receiver_that_has_it_or_takes_its_mail(domain: str, receiver: str) -> None:
    assert looked_up(Recipients({domain: 3})) == Audience(receivers={receiver: Part(3, 1)})


@pytest.mark.parametrize("domain", ["backup.example", "both.example", "notgoogle.example", "plain.example"])
def test_where_nobody_described_takes_the_mail_or_not_all_of_it_it_goes_elsewhere(domain: str) -> None:
    assert looked_up(Recipients({domain: 3})) == Audience(elsewhere=Part(3, 1))


@pytest.mark.parametrize("domain", ["null.example", "gone.example"])
def test_a_domain_that_takes_no_mail_is_at_nobody(domain: str) -> None:
    assert looked_up(Recipients({domain: 3})) == Audience(no_mail=Part(3, 1))


def test_a_failed_lookup_is_never_elsewhere() -> None:
    found = looked_up(Recipients({"dead.example": 2, "gmail.com": 1}))
    assert found == Audience(receivers={"gmail": Part(1, 1)}, failed=Part(2, 1))
    assert not found.complete


def test_beyond_the_most_domains_those_with_the_fewest_recipients_are_not_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audience, "MOST", 1)
    found = looked_up(Recipients({"plain.example": 1, "company.example": 5, "gmail.com": 2, "null.example": 1}))
    assert found.receivers == {"microsoft365": Part(5, 1), "gmail": Part(2, 1)}, "names need no look-up"
    assert (found.not_asked, found.complete, found.all) == (Part(2, 2), False, Part(9, 4))
