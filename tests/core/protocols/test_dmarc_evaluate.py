"""evaluate_dmarc(): SPF and DKIM results joined with the policy of the author domain."""

from __future__ import annotations

from typing import Any

import pytest

import deliverability
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.net.static import StaticResolver
from deliverability.core.protocols.dmarc.evaluate import DmarcEvaluation

REJECT = {("_dmarc.example.com", "TXT"): ["v=DMARC1; p=reject"]}


async def evaluate(
    spf: Any = None, dkim: Any = (), *, author: str = "example.com", records: Any = REJECT
) -> DmarcEvaluation:
    return await deliverability.evaluate_dmarc(author, spf=spf, dkim=dkim, resolver=StaticResolver(records))


@pytest.mark.parametrize(
    ("spf", "dkim", "result", "aligned"),
    [
        (("pass", "example.com"), [], "pass", ("spf:example.com",)),
        (("pass", "bounce.example.com"), [], "pass", ("spf:bounce.example.com",)),
        (("pass", "example.net"), [], "fail", ()),
        (("softfail", "example.com"), [], "fail", ()),
        (None, [("pass", "example.com")], "pass", ("dkim:example.com",)),
        (None, [("fail", "example.com"), ("pass", "mail.example.com")], "pass", ("dkim:mail.example.com",)),
        (("pass", "example.net"), [("pass", "example.org")], "fail", ()),
        (("pass", "EXAMPLE.com."), [("pass", "example.com")], "pass", ("spf:EXAMPLE.com.", "dkim:example.com")),
        (None, [], "fail", ()),
        # A temporary error counts only where a pass would have counted.
        (("temperror", "example.com"), [], "temperror", ()),
        (("temperror", "example.net"), [], "fail", ()),
        (("temperror", "example.com"), [("pass", "example.com")], "pass", ("dkim:example.com",)),
        (("pass", "[192.0.2.1]"), [("pass", "com")], "fail", ()),
    ],
)
async def test_result(spf: Any, dkim: Any, result: str, aligned: tuple[str, ...]) -> None:
    found = await evaluate(spf, dkim)
    assert (found.result, found.aligned) == (result, aligned)
    assert (found.policy, found.legacy_policy, found.location) == ("reject", "reject", "example.com")


async def test_strict_modes_take_the_same_name_only() -> None:
    strict = {("_dmarc.example.com", "TXT"): ["v=DMARC1; p=reject; aspf=s; adkim=s"]}
    found = await evaluate(("pass", "b.example.com"), [("pass", "k.example.com")], records=strict)
    assert found.result == "fail"
    assert [each.alignment for each in found.identifiers] == ["relaxed", "relaxed"]
    assert (await evaluate(("pass", "example.com"), [], records=strict)).result == "pass"


async def test_a_subdomain_author_under_the_record_of_its_organization() -> None:
    found = await evaluate(("pass", "other.example.com"), [], author="news.example.com")
    assert (found.result, found.location, found.organizational_domain) == ("pass", "example.com", "example.com")


async def test_without_a_record_there_is_no_result() -> None:
    found = await evaluate(("pass", "example.com"), [("pass", "example.com")], records={})
    assert (found.result, found.policy, found.record, found.location) == ("none", None, None, None)
    assert found.aligned == ("spf:example.com", "dkim:example.com")


async def test_what_organizational_domains_are_told_by_is_said() -> None:
    """A tree walk finds none where there are no records; the public suffix list does."""
    mail: dict[str, Any] = {"spf": ("pass", "bounce.example.com"), "author": "news.example.com"}
    without, under = await evaluate(**mail, records={}), await evaluate(**mail)
    assert (without.basis, without.organizational_domain, without.spf_pass) == ("public-suffix", "example.com", True)
    assert (under.basis, under.organizational_domain, under.spf_pass) == ("policy", "example.com", True)
    lost = await evaluate(**mail, records={("_dmarc.news.example.com", "TXT"): "timeout"})
    assert isinstance(lost.basis, Unknown)
    assert (await evaluate(author="")).basis is None


@pytest.mark.parametrize("author", ["", "[192.0.2.1]"])
async def test_without_a_usable_author_domain_it_is_a_permanent_error(author: str) -> None:
    found = await evaluate(("pass", "example.com"), [], author=author)
    assert (found.result, found.aligned, found.spf_pass) == ("permerror", (), False)


@pytest.mark.parametrize("fault", ["timeout", "servfail", "refused"])
async def test_a_record_that_cannot_be_asked_for_is_a_temporary_error(fault: str) -> None:
    found = await evaluate(("pass", "example.com"), [], records={("_dmarc.example.com", "TXT"): fault})
    assert found.result == "temperror"
    assert isinstance(found.failure, Unknown)
    assert found.failure.reason is Reason(fault)
    assert isinstance(found.location, Unknown)
