"""Lines of evidence that are ours to say, and the sentences that older versions had in their place."""

from __future__ import annotations

import pytest

from deliverability.model.codes import VERBATIM
from deliverability.model.evidence import (
    ALIAS,
    NO_NAME,
    NO_RECORD,
    aliases,
    answered,
    failure,
    is_absence,
    is_failure,
    texts,
)
from deliverability.model.facts import Evidence, EvidenceKind, EvidenceLine, Reason


def dns(*got: EvidenceLine, asked: str = "TXT a.example", ttl: int | None = 60) -> Evidence:
    return Evidence(f"dns:{asked}", EvidenceKind.DNS, asked, got, ttl=ttl)


@pytest.mark.parametrize(
    ("then", "today"),
    [
        (dns("NXDOMAIN: no such name"), (NO_NAME(),)),
        (dns("NODATA: no TXT record"), (NO_RECORD(type="TXT"),)),
        (dns("CNAME b.example", "CNAME c.example", "v=x"), (ALIAS(name="b.example"), ALIAS(name="c.example"), "v=x")),
        (dns("timeout: no answer", ttl=None), (failure(Reason.TIMEOUT, VERBATIM(text="no answer")),)),
        (dns("servfail", ttl=None), (failure(Reason.SERVFAIL),)),
        (dns("servfail: a record", "another"), ("servfail: a record", "another")),
        (dns("NODATA: no MX record"), ("NODATA: no MX record",)),  # text of a TXT record
        (Evidence("http:x", EvidenceKind.HTTP, "GET x", ("timeout: late",)), ("timeout: late",)),
    ],
)
def test_sentences_of_older_versions_become_codes(then: Evidence, today: tuple[EvidenceLine, ...]) -> None:
    assert answered({then.id: then})[then.id].got == today


def test_text_stays_text_where_the_version_had_codes() -> None:
    hostile, absent = dns("NXDOMAIN: no such name"), dns(NO_NAME(), asked="A b.example")
    assert answered({each.id: each for each in (hostile, absent)})[hostile.id] is hostile


def test_what_lines_say() -> None:
    chain = (ALIAS(name="b.example"), "v=spf1 -all")
    assert (aliases(chain), texts(chain), is_absence(chain), is_failure(chain)) == (
        ["b.example"],
        ["v=spf1 -all"],
        False,
        False,
    )
    assert is_absence((NO_RECORD(type="TXT"),))
    assert all(is_failure((failure(Reason.TIMEOUT, detail),)) for detail in (None, VERBATIM(text="late")))
    assert not is_failure(("timeout: a text record",))
    assert not is_failure(())
