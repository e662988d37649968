"""DMARC records: what counts as one, what its tags say, what is wrong with it (RFC 9989 section 4.7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverability.core.codes import Detail
from deliverability.core.protocols.dmarc.record import ODD, TWICE, VALUE, is_dmarc, parse, split


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v=DMARC1; p=none", True),
        ("v = DMARC1 ;p=none", True),
        ("v=DMARC1", True),
        ("v=DMARC1;", True),
        # The name of the tag may have either case, its value may not (the ABNF of RFC 9989 section 4.8).
        ("V=DMARC1; p=none", True),
        ("V = DMARC1", True),
        ("v=dmarc1; p=none", False),
        ("V=dmarc1; p=none", False),
        ("v=DMARC1 p=reject", False),
        ("v=DMARC12; p=reject", False),
        ("p=reject; v=DMARC1", False),
        (" v=DMARC1; p=none", False),
        ("", False),
    ],
)
def test_version_comes_first_and_is_exact(text: str, expected: bool) -> None:
    assert is_dmarc(text) is expected


def test_near_misses_are_told_from_unrelated_records() -> None:
    records, near = split(
        ["v=DMARC1; p=none", "v=dmarc1; p=none", "v=DMARC1 p=reject", "DMARC1; p=none", "“v=DMARC1; p=none”", "hello"]
    )
    assert records == ("v=DMARC1; p=none",)
    assert near == ("v=dmarc1; p=none", "v=DMARC1 p=reject", "DMARC1; p=none", "“v=DMARC1; p=none”")


def test_a_capital_v_is_no_near_miss() -> None:
    assert split(["V=DMARC1; P=reject"]) == (("V=DMARC1; P=reject",), ())
    assert parse("V=DMARC1; P=reject").policy == "reject"


def test_spaces_and_quotes_do_not_hide_what_was_meant() -> None:
    near = (" v=DMARC1; p=none", '\t\n " v = DMARC1', "v dmarc", "=DMARC1", "“ V : dmarc1")
    unrelated = ("", " ", "v=spf1 -all", "v v=DMARC1", "d marc", "see v=DMARC1")
    assert split([*near, *unrelated]) == ((), near)


def test_all_tags() -> None:
    record = parse(
        "v=DMARC1; p=reject; sp=quarantine; np=reject; t=y; psd=n; adkim=s; aspf=r; fo=1:d; pct=50; ri=3600; rf=afrf;"
        " rua=mailto:a@example.com,mailto:b@reports.example!10m; ruf=mailto:f@example.com; x-note=hi"
    )
    assert (record.policy, record.subdomain_policy, record.nonexistent_policy) == ("reject", "quarantine", "reject")
    assert (record.testing, record.psd, record.adkim, record.aspf, record.pct) == (True, "n", "s", "r", 50)
    assert [(uri.uri, uri.host) for uri in record.rua] == [
        ("mailto:a@example.com", "example.com"),
        ("mailto:b@reports.example", "reports.example"),
    ]
    assert record.obsolete == ("pct", "ri", "rf", "!size")
    # A tag name has letters, digits and underscores only: this piece is no tag at all.
    assert record.errors == (ODD(text="x-note=hi"),)
    assert parse("v=DMARC1; p=none; note=hi").unknown_tags == ("note",)


def test_defaults() -> None:
    record = parse("v=DMARC1")
    assert (record.policy, record.published_policy) == (None, "none")
    assert (record.testing, record.psd, record.adkim, record.aspf, record.pct) == (False, "u", "r", "r", None)
    assert record.errors == ()


@pytest.mark.parametrize(
    ("text", "usable", "policy"),
    [
        ("v=DMARC1; p=rejct", False, "none"),
        ("v=DMARC1; p=rejct; rua=mailto:a@example.com", True, "none"),
        ("v=DMARC1; p=reject; sp=oops; rua=mailto:a@example.com", True, "none"),
        ("v=DMARC1; p=reject; sp=oops", False, "none"),
        ("v=DMARC1; p=rejct; rua=a@example.com", False, "none"),
        ("v=DMARC1; p=REJECT", True, "reject"),
        # Without p it is the same: a record only where it says where reports go.
        ("v=DMARC1", False, "none"),
        ("v=DMARC1; sp=reject", False, "none"),
        ("v=DMARC1; ruf=mailto:a@example.com", False, "none"),
        ("v=DMARC1; rua=a@example.com", False, "none"),
        ("v=DMARC1; rua=a@example.com,mailto:b@example.com", True, "none"),
    ],
)
def test_no_valid_policy_counts_as_none_if_reports_can_be_sent(text: str, usable: bool, policy: str) -> None:
    """RFC 9989 section 4.10.1."""
    record = parse(text)
    assert (record.usable, record.published_policy) == (usable, policy)


@pytest.mark.parametrize(
    "uri", ["a@example.com", "mailto:", "mailto:a", "https://example.com/", "mailto:a@b", "mailto:a@x..y", ""]
)
def test_report_addresses_that_cannot_be_used(uri: str) -> None:
    record = parse(f"v=DMARC1; p=none; rua={uri}")
    assert (record.rua, record.invalid_uris) == ((), (uri,))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("v=DMARC1; p=none; p=reject", TWICE(text="p=reject")),
        ("v=DMARC1; p none", ODD(text="p none")),
        ("v=DMARC1; pct=101", VALUE(text="pct=101")),
        ("v=DMARC1; fo=2", VALUE(text="fo=2")),
        ("v=DMARC1; sp=Rejct", VALUE(text="sp=Rejct")),
    ],
)
def test_what_is_wrong_is_named(text: str, error: Detail) -> None:
    assert parse(text).errors == (error,)


@given(st.text())
def test_nothing_makes_the_parser_raise(text: str) -> None:
    parse("v=DMARC1;" + text)
    split([text])
