"""How a record is entered: which DNS provider the name servers tell, and what its console takes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from deliverability.core.facts.base import Value
from deliverability.core.model.answer import FindingId, PlanStep, ReportAnswer
from deliverability.core.model.report import Care, RecordEdit
from deliverability.core.model.rules import Place, Scope, Severity
from deliverability.core.model.services import HostField, provider_of
from deliverability.core.phrases import LANGUAGES
from deliverability.core.report.findings import FindingIndex
from deliverability.core.report.plan import plan_view
from deliverability.core.rules.knowledge import shipped
from deliverability.core.words.steps import StepWords, step_words
from tests import TESTS, speaking
from tests.fixtures_report import facts, make_report

CASES: list[dict[str, Any]] = yaml.safe_load((TESTS / "dns_providers.yaml").read_text("utf-8"))
KNOWN = [each for each in CASES if "id" in each]
LONG = "v=DKIM1; k=rsa; p=" + "A" * 382


def edit(name: str, value: str = "v=DMARC1; p=none", rdtype: str = "TXT") -> RecordEdit:
    return RecordEdit(name, rdtype, (), (value,))


def steps(*edits: RecordEdit, place: Place = Place.DNS) -> tuple[PlanStep, ...]:
    return tuple(
        PlanStep(number, place, (FindingId("DMARC-001"),), Care.SAFE, Scope.DELIVERY, Severity.ERROR, edits=(each,))
        for number, each in enumerate(edits, 1)
    )


def words(
    *edits: RecordEdit, provider: str = "", zone: str = "example.com", lang: str = "en", place: Place = Place.DNS
) -> list[StepWords]:
    values: dict[str, Value] = {"domain.dns_provider": provider or None, "domain.zone": zone}
    plan = steps(*edits, place=place)
    report = make_report(facts=facts(values, ()), answer=ReportAnswer(plan=plan))
    return [step_words(each, report, speaking.shipped(lang)) for each in plan]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.get("id", case["name_servers"])))
def test_the_name_servers_tell_the_provider(case: dict[str, Any]) -> None:
    found = provider_of(case["name_servers"], shipped().dns_providers.values())
    assert (found.id if found else None) == case.get("id")


def test_every_provider_has_a_case() -> None:
    assert [each["id"] for each in KNOWN] == list(shipped().dns_providers)


@pytest.mark.parametrize("case", KNOWN, ids=lambda case: case["id"])
def test_what_is_entered_there(case: dict[str, Any]) -> None:
    provider = shipped().dns_providers[case["id"]]
    host = None if case.get("host") == "unknown" else "_dmarc.shop"
    assert provider.host_of("_dmarc.shop.example.com", "example.com") == host
    assert provider.host_of("example.com", "example.com") == case["apex"]
    entry = words(edit("example.com", LONG), provider=case["id"])[0].entry
    assert case["says"] in entry


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("case", KNOWN, ids=lambda case: case["id"])
def test_the_place_names_the_provider(case: dict[str, Any], lang: str) -> None:
    named = shipped().dns_providers[case["id"]].name[lang]
    first, second = words(edit("_dmarc.example.com"), edit("_smtp._tls.example.com"), provider=case["id"], lang=lang)
    assert named in first.where
    assert "`_dmarc`" in " ".join(first.entry)
    assert ("`_smtp._tls`" in " ".join(second.entry)) is (case.get("host") != "unknown")
    assert not set(first.entry) & set(second.entry)  # nothing is told twice


def test_a_field_that_takes_the_whole_name_gets_it() -> None:
    whole = replace(shipped().dns_providers["cloudflare"], host=HostField.FULL)
    assert whole.host_of("_dmarc.example.com", "example.com") == "_dmarc.example.com"
    assert whole.host_of("example.com", "example.com") == "example.com"


def test_the_field_takes_the_part_before_the_zone_not_before_the_domain() -> None:
    """The zone of mail.example.com is that of example.com where it has no name servers of its own."""
    (entry,) = words(edit("_dmarc.mail.example.com"), provider="cloudflare")
    assert "Field Name: `_dmarc.mail`." in entry.entry


def test_where_nobody_knows_the_provider_one_hint_is_given_once() -> None:
    first, second = words(edit("_dmarc.example.com"), edit("_smtp._tls.example.com"))
    assert first.where == "At your DNS provider"
    assert " ".join(first.entry) == (
        "Most DNS consoles add example.com to the name automatically. If yours does, enter only `_dmarc` as the name. "
        "Enter the value without quotation marks."
    )
    assert second.entry == ()


def test_a_record_of_the_domain_itself_is_told_how_its_name_is_entered() -> None:
    hint = "For the domain itself, enter `@` or leave the name empty."
    (apex,) = words(edit("example.com", "v=spf1 -all"))
    assert hint in apex.entry
    first, second = edit("example.com", "v=spf1 -all"), edit("example.com", "v=spf1 ~all")
    below, later, again = words(edit("_dmarc.example.com"), first, second)
    assert hint not in below.entry
    assert later.entry == (hint,)
    assert again.entry == ()


def test_an_alias_says_nothing_of_quotation_marks() -> None:
    (alias,) = words(edit("s1._domainkey.example.com", "s1.mailer.example", "CNAME"), provider="route53")
    assert not any("quotation" in each for each in alias.entry)
    (anywhere,) = words(edit("s1._domainkey.example.com", "s1.mailer.example", "CNAME"))
    assert not any("quotation" in each for each in anywhere.entry)


def test_a_record_of_somebody_else_is_not_entered_here() -> None:
    assert (
        words(edit("example.com._report._dmarc.other.example"), provider="route53", place=Place.ELSEWHERE)[0].entry
        == ()
    )


@pytest.mark.parametrize(
    ("provider", "shown"), [("cloudflare", False), ("azure", False), ("route53", True), ("", True)]
)
def test_a_long_value_is_shown_in_strings_but_where_it_is_split_there(provider: str, *, shown: bool) -> None:
    values: dict[str, Value] = {"domain.dns_provider": provider or None, "domain.zone": "example.com"}
    report = make_report(
        facts=facts(values, ()), answer=ReportAnswer(plan=steps(edit("s1._domainkey.example.com", LONG)))
    )
    view = plan_view(report, FindingIndex((), {}, speaking.shipped().say), speaking.shipped(), todo=1)
    (record,) = view.all[0].records
    assert bool(record.strings) is shown
    if shown:
        assert [len(each) for each in record.strings[0].split('" "')] == [
            256,
            146,
        ]  # each with its outer quotation mark
