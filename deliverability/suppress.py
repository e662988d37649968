"""`deliv suppress`: the addresses to take off a list, as a file; and to forget what is kept of an address.

Files are CSV and JSON for people and programs, and what mailing services take in, as their own pages describe it (read
2026-11-26): Amazon SES, bulk addition to the account's suppression list from S3 (CSV without a head; at most 100,000
lines a file); SendGrid, POST /v3/asm/suppressions/global; Mailgun, POST /v3/DOMAIN/bounces/import (CSV); Postmark, POST
/message-streams/STREAM/suppressions, 50 addresses each.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from email.utils import format_datetime
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from deliverability.console.command import Command
from deliverability.console.inputs import ports_of, read_settings, run_over
from deliverability.console.options import dns_options, lang_option
from deliverability.console.output import paper_for, show, writing
from deliverability.console.types import DayType, OneOf, PathOf
from deliverability.core.codec import json_text
from deliverability.core.codes import Code
from deliverability.core.errors import FILE_EXISTS, InputError
from deliverability.core.files import PRIVATE
from deliverability.core.model.deliveries import AddressRecord, Decision, SuppressClass
from deliverability.core.phrases import Phrases, phrases
from deliverability.core.replies.outcomes import plain_address
from deliverability.core.report.formats.csv import csv_row
from deliverability.core.report.paper import Paper
from deliverability.intake.addresses import AddressFile, SuppressSums, suppressed

if TYPE_CHECKING:
    from deliverability.core.net.ports import Ports

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


NO_SETTING = Code("addresses-not-set")
NO_ADDRESS = Code("no-mail-address", ("text",))
FORMATS = ("csv", "json", "ses", "sendgrid", "mailgun", "postmark")


@click.command("suppress", cls=Command)
@click.option("-o", "--output", type=PathOf("file"), metavar="FILE")
@click.option("--force", is_flag=True)
@click.option("--format", "style", type=OneOf(FORMATS), default="csv", show_default=True)
@click.option("--addresses", type=PathOf("file"), metavar="FILE")
@click.option("--forget", multiple=True, metavar="ADDRESS")
@click.option("--forget-before", type=DayType(), metavar="DATE")
@dns_options
@lang_option
def command(
    output: Path | None,
    force: bool,
    style: str,
    addresses: Path | None,
    forget: tuple[str, ...],
    forget_before: date | None,
    config: Path | None,
    lang: str,
    **params: Any,
) -> int:
    """Write the addresses to take off your lists; no list is touched."""
    settings = read_settings(config)
    if output is not None and output.exists() and not force:
        raise InputError(FILE_EXISTS(file=str(output)))
    file = addresses or settings.feedback.addresses
    if file is None:
        raise InputError(NO_SETTING())
    with closing(AddressFile(file, create=False)) as stored:
        if forget or forget_before is not None:
            _forget(stored, forget, forget_before, lang)
            return 0
        return _write(stored, ports_of(params, settings), output, style, lang)


def _forget(stored: AddressFile, addresses: tuple[str, ...], before: date | None, lang: str) -> None:
    """Raises InputError."""
    wanted = []
    for text in addresses:
        address = plain_address(text)
        if not address:
            raise InputError(NO_ADDRESS(text=text))
        wanted.append(address)
    gone = stored.forget(wanted)
    if before is not None:
        gone += stored.forget_before(int(datetime(before.year, before.month, before.day, tzinfo=UTC).timestamp()))
    click.echo(phrases(lang).count("suppress.forgotten", gone))


def _write(stored: AddressFile, ports: Ports, output: Path | None, style: str, lang: str) -> int:
    """Write the list, or only decide. Raises InputError."""
    sums = SuppressSums()

    async def decided() -> None:
        records = await suppressed(stored, ports, sums)
        if output is None:
            for _ in records:
                pass
            return
        with writing(output, PRIVATE) as write:
            for piece in SUPPRESS_FORMATS[style](records, lambda: sums.again):
                write(piece)

    run_over(ports, decided())
    if style == "json" and output is None:
        show(suppress_json(sums.decided))
    else:
        say = phrases(lang)
        show(suppress_text(sums.decided, paper_for(), say))
        if output is None:
            click.echo(say("suppress.hint"))
    return 3 if sums.of(Decision.NOT_CHECKED) else 0
