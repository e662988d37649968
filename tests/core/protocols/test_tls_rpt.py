"""TLS-RPT (RFC 8460) by itself."""

from __future__ import annotations

import pytest

from deliverability import discover_tls_rpt
from deliverability.core.codes import Detail
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.net.static import StaticResolver
from deliverability.core.protocols.mta_sts import TlsRptRecord, parse_tls_rpt
from deliverability.core.protocols.text_record import TAG_MISSING, TAG_VALUE, VERSION_FIRST

NAME = ("_smtp._tls.example.com", "TXT")


async def test_a_domain_with_a_record() -> None:
    record = "v=TLSRPTv1; rua=mailto:a@example.com,https://r.example/x"
    found = await discover_tls_rpt("Example.COM.", StaticResolver({NAME: [record]}))
    assert found.record == TlsRptRecord(record, ("mailto:a@example.com", "https://r.example/x"))
    assert (found.domain, found.answer.name) == ("example.com", NAME[0])


async def test_a_domain_without_a_record() -> None:
    assert (await discover_tls_rpt("example.com", StaticResolver({}))).record is None
    assert (await discover_tls_rpt("example.com", StaticResolver({NAME: ["v=spf1 -all"]}))).record is None


@pytest.mark.parametrize("fault", ["timeout", "servfail", "refused", "offline"])
async def test_a_failed_look_up_is_unknown(fault: str) -> None:
    found = await discover_tls_rpt("example.com", StaticResolver({NAME: fault}))
    assert isinstance(found.record, Unknown)
    assert found.record.reason is Reason(fault)


@pytest.mark.parametrize(
    ("record", "errors"),
    [
        ("v=TLSRPTv1; rua=mailto:a@example.com", ()),
        ("v=TLSRPTv1;rua=mailto:a@example.com,https://r.example/x", ()),
        ("v=TLSRPTv1", (TAG_MISSING(name="rua"),)),
        ("v=TLSRPTv1; rua=a@example.com", (TAG_VALUE(name="rua", value="a@example.com"),)),
        ("v=TLSRPTv1; rua=http://r.example/x", (TAG_VALUE(name="rua", value="http://r.example/x"),)),
        ("v=tlsrptv1; rua=mailto:a@example.com", (VERSION_FIRST(version="TLSRPTv1"),)),
    ],
)
def test_records(record: str, errors: tuple[Detail, ...]) -> None:
    found = parse_tls_rpt([record])
    assert found is not None
    assert found.errors == errors


@pytest.mark.parametrize(
    "record", ["v=TLSRPTv1;" * 20_000, "v=TLSRPTv1; rua=" + "," * 60_000, "v=TLSRPTv1; \udcff=\x00"]
)
def test_hostile_records_are_read_in_time_and_bounded(record: str) -> None:
    found = parse_tls_rpt([record])
    assert found is not None
    assert len(found.errors) <= 20
