"""Aggregate reports made for tests, and a sink that keeps their rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deliverability.core.model.observed import AggregateReport, AggregateRow
from deliverability.intake.records import SeenRecords
from deliverability.intake.reports import read_aggregate

NOW = 1_764_000_000  # 2025-11-24
BEGIN = 1_763_856_000  # 2025-11-23


class Rows:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.rows: list[AggregateRow] = []

    def restart(self) -> None:
        self.rows.clear()

    def take(self, rows: Sequence[AggregateRow]) -> None:
        self.rows.extend(rows)


def record(
    ip: str = "192.0.2.1",
    count: int | str = 1,
    author: str = "example.com",
    evaluated: str = "<disposition>none</disposition><dkim>pass</dkim><spf>fail</spf>",
    results: str = "<dkim><domain>example.com</domain><selector>s1</selector><result>pass</result></dkim>",
) -> str:
    """One record."""
    return (
        f"<record><row><source_ip>{ip}</source_ip><count>{count}</count>"
        f"<policy_evaluated>{evaluated}</policy_evaluated></row>"
        f"<identifiers><header_from>{author}</header_from></identifiers><auth_results>{results}</auth_results></record>"
    )


def metadata(report_id: str = "1", begin: int = BEGIN, end: int = BEGIN + 86399, reporter: str = "Example") -> str:
    """The head of a report."""
    return (
        f"<report_metadata><org_name>{reporter}</org_name><email>dmarc@receiver.example</email>"
        f"<report_id>{report_id}</report_id><date_range><begin>{begin}</begin><end>{end}</end></date_range>"
        "</report_metadata>"
    )


POLICY = "<policy_published><domain>example.com</domain><p>none</p></policy_published>"


def report(*records: str, head: str | None = None, policy: str = POLICY) -> bytes:
    """A whole report."""
    return f"<feedback>{metadata() if head is None else head}{policy}{''.join(records)}</feedback>".encode()


def read(
    octets: bytes, piece: int = 1 << 16, now: int = NOW, seen: SeenRecords | None = None
) -> tuple[AggregateReport, list[AggregateRow]]:
    """Read in pieces of that many octets; `seen`: the records of reports before."""

    def pieces() -> Iterator[bytes]:
        return (octets[at : at + piece] for at in range(0, len(octets), piece))

    rows = Rows()
    return read_aggregate(pieces, rows, now, seen), rows.rows
