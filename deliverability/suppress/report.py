"""Suppression lists as files: CSV and JSON for people and programs, and what mailing services take in.

Formats of the services, as their own pages describe them (read 2026-11-26): Amazon SES, bulk addition to the account's
suppression list from S3 (CSV without a head; at most 100,000 lines a file); SendGrid, POST /v3/asm/suppressions/global;
Mailgun, POST /v3/DOMAIN/bounces/import (CSV); Postmark, POST /message-streams/STREAM/suppressions, 50 addresses each.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import islice
from types import MappingProxyType

from deliverability.core.codec import json_text
from deliverability.core.model.deliveries import AddressRecord, Decision, SuppressClass
from deliverability.core.phrases import Phrases
from deliverability.core.report.formats.csv import csv_row
from deliverability.core.report.paper import Paper

SCHEMA = "1.0"
_POSTMARK_MOST = 50
_COLUMNS = ("address", "reason", "first", "last", "bounces", "receiver", "meaning")

AgainOf = Callable[[], Sequence[AddressRecord]]
"""Gives those that may be tried again, once all others were taken."""


def _csv(records: Iterable[AddressRecord], again: AgainOf) -> Iterator[str]:
    yield csv_row(_COLUMNS)
    for each in records:
        cells = (each.address, each.kind.value, _day(each.first), _day(each.last), str(each.count))
        yield csv_row((*cells, each.receiver, each.meaning))


def _json(records: Iterable[AddressRecord], again: AgainOf) -> Iterator[str]:
    yield f'{{\n"schema_version": "{SCHEMA}",\n"addresses": [\n'
    yield from _entries(records)
    yield '],\n"again": [\n'
    yield from _entries(again())
    yield "]\n}\n"


def _entries(records: Iterable[AddressRecord]) -> Iterator[str]:
    before = ""
    for each in records:
        item = {"address": each.address, "reason": each.kind.value, "first": _day(each.first), "last": _day(each.last)}
        item |= {"receiver": each.receiver, "meaning": each.meaning, "origin": each.origin}
        yield before + json.dumps(item | {"bounces": each.count})
        before = ",\n"
    yield "\n" if before else ""


def _ses(records: Iterable[AddressRecord], again: AgainOf) -> Iterator[str]:
    for each in records:
        yield f"{each.address},{'COMPLAINT' if each.kind is SuppressClass.COMPLAINT else 'BOUNCE'}\n"


def _sendgrid(records: Iterable[AddressRecord], again: AgainOf) -> Iterator[str]:
    yield '{"recipient_emails": [\n'
    before = ""
    for each in records:
        yield before + json.dumps(each.address)
        before = ",\n"
    yield "\n]}\n"


def _mailgun(records: Iterable[AddressRecord], again: AgainOf) -> Iterator[str]:
    # For a program: an apostrophe before a plus sign, which spreadsheets need, would make another address of it.
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(("address", "code", "error", "created_at"))
    for each in records:
        made = format_datetime(datetime.fromtimestamp(each.last, UTC))
        rows.writerow((each.address, "550", each.kind.value, made))
        yield out.getvalue()
        out.seek(0)
        out.truncate()
    yield out.getvalue()


def _postmark(records: Iterable[AddressRecord], again: AgainOf) -> Iterator[str]:
    rest = iter(records)
    while some := list(islice(rest, _POSTMARK_MOST)):
        yield json.dumps({"Suppressions": [{"EmailAddress": each.address} for each in some]}) + "\n"


SUPPRESS_FORMATS: Mapping[str, Callable[[Iterable[AddressRecord], AgainOf], Iterator[str]]] = MappingProxyType(
    {"csv": _csv, "json": _json, "ses": _ses, "sendgrid": _sendgrid, "mailgun": _mailgun, "postmark": _postmark}
)


def suppress_text(decided: Mapping[tuple[Decision, SuppressClass], int], paper: Paper, say: Phrases) -> str:
    """The sums for a terminal; no address."""
    lines: list[str] = []
    for decision in Decision:
        of_it = {kind: n for kind in SuppressClass if (n := decided.get((decision, kind), 0))}
        if of_it or decision is Decision.OFF:
            lines += paper.paragraph(say.count(f"suppress.{decision.value}", sum(of_it.values())))
        for kind, n in of_it.items():
            lines += paper.paragraph(f"{n:,}  {say(f'suppress.kind.{kind.value}')}", 2)
    return paper.text(lines)


def suppress_json(decided: Mapping[tuple[Decision, SuppressClass], int]) -> str:
    """The sums for programs; no address."""
    sums = {
        decision.value: {kind.value: n for kind in SuppressClass if (n := decided.get((decision, kind), 0))}
        for decision in Decision
    }
    return json_text({"schema_version": SCHEMA, "sums": sums}, indent=2) + "\n"


def _day(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).date().isoformat()
