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
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
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
from deliverability.core.model.deliveries import LIFTED, AddressRecord, Decision, SuppressClass
from deliverability.core.phrases import Phrases, phrases
from deliverability.core.replies.outcomes import plain_address
from deliverability.core.report.formats.csv import csv_row
from deliverability.core.report.paper import Paper
from deliverability.intake.addresses import AddressFile, DecidedOf, SuppressSums, decided_of

if TYPE_CHECKING:
    from deliverability.core.net.ports import Ports

SCHEMA = "1.0"
_POSTMARK_MOST = 50
_COLUMNS = ("address", "reason", "first", "last", "bounces", "receiver", "meaning")


def _csv(decided: DecidedOf) -> Iterator[str]:
    yield csv_row(_COLUMNS)
    for each in _off(decided):
        cells = (each.address, each.kind.value, _day(each.first), _day(each.last), str(each.count))
        yield csv_row((*cells, each.receiver, each.meaning))


_JSON_LISTS: Mapping[str, Collection[Decision]] = MappingProxyType(
    {"addresses": (Decision.OFF,), "again": (Decision.AGAIN,), "lifted": LIFTED, "unproven": (Decision.UNPROVEN,)}
)


def _json(decided: DecidedOf) -> Iterator[str]:
    yield f'{{\n"schema_version": "{SCHEMA}"'
    for name, wanted in _JSON_LISTS.items():
        yield f',\n"{name}": [\n'
        yield from _entries((record, each) for record, each in decided() if each in wanted)
        yield "]"
    yield "\n}\n"


def _entries(decided: Iterable[tuple[AddressRecord, Decision]]) -> Iterator[str]:
    before = ""
    for each, decision in decided:
        item = {"address": each.address, "reason": each.kind.value, "first": _day(each.first), "last": _day(each.last)}
        item |= {"receiver": each.receiver, "meaning": each.meaning, "origin": each.origin}
        since = each.answered if decision is Decision.ANSWERED else each.delivered
        why = {"lifted": _day(since), "lifted_by": decision.value} if since and decision in LIFTED else {}
        yield before + json.dumps({**item, "bounces": each.count, **why})
        before = ",\n"
    yield "\n" if before else ""


def _off(decided: DecidedOf) -> Iterator[AddressRecord]:
    """The addresses that go on the list."""
    return (record for record, decision in decided() if decision is Decision.OFF)


def _ses(decided: DecidedOf) -> Iterator[str]:
    for each in _off(decided):
        yield f"{each.address},{'COMPLAINT' if each.kind is SuppressClass.COMPLAINT else 'BOUNCE'}\n"


def _sendgrid(decided: DecidedOf) -> Iterator[str]:
    yield '{"recipient_emails": [\n'
    before = ""
    for each in _off(decided):
        yield before + json.dumps(each.address)
        before = ",\n"
    yield "\n]}\n"


def _mailgun(decided: DecidedOf) -> Iterator[str]:
    # For a program: an apostrophe before a plus sign, which spreadsheets need, would make another address of it.
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(("address", "code", "error", "created_at"))
    for each in _off(decided):
        made = format_datetime(datetime.fromtimestamp(each.last, UTC))
        rows.writerow((each.address, "550", each.kind.value, made))
        yield out.getvalue()
        out.seek(0)
        out.truncate()
    yield out.getvalue()


def _postmark(decided: DecidedOf) -> Iterator[str]:
    rest = _off(decided)
    while some := list(islice(rest, _POSTMARK_MOST)):
        yield json.dumps({"Suppressions": [{"EmailAddress": each.address} for each in some]}) + "\n"


SUPPRESS_FORMATS: Mapping[str, Callable[[DecidedOf], Iterator[str]]] = MappingProxyType(
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
@click.option("--answered", multiple=True, metavar="ADDRESS")
@click.option("--forget", multiple=True, metavar="ADDRESS")
@click.option("--forget-before", type=DayType(), metavar="DATE")
@dns_options
@lang_option
def command(
    output: Path | None,
    force: bool,
    style: str,
    addresses: Path | None,
    answered: tuple[str, ...],
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
        if answered:
            lifted = stored.answered(_addresses(answered), int(time.time()))
            click.echo(phrases(lang).count("suppress.lifted", lifted))
        if forget or forget_before is not None:
            _forget(stored, forget, forget_before, lang)
        if answered or forget or forget_before is not None:
            return 0
        return _write(stored, ports_of(params, settings), output, style, lang)


def _forget(stored: AddressFile, addresses: tuple[str, ...], before: date | None, lang: str) -> None:
    """Raises InputError."""
    gone = stored.forget(_addresses(addresses))
    if before is not None:
        gone += stored.forget_before(int(datetime(before.year, before.month, before.day, tzinfo=UTC).timestamp()))
    click.echo(phrases(lang).count("suppress.forgotten", gone))


def _addresses(given: Iterable[str]) -> list[str]:
    """As they are kept. Raises InputError."""
    wanted = []
    for text in given:
        address = plain_address(text)
        if not address:
            raise InputError(NO_ADDRESS(text=text))
        wanted.append(address)
    return wanted


def _write(stored: AddressFile, ports: Ports, output: Path | None, style: str, lang: str) -> int:
    """Write the list, or only decide. Raises InputError."""
    sums = SuppressSums()

    async def decide() -> None:
        decided = await decided_of(stored, ports)
        sums.decided.update((decision, record.kind) for record, decision in decided())
        if output is not None:
            with writing(output, PRIVATE) as write:
                for piece in SUPPRESS_FORMATS[style](decided):
                    write(piece)

    run_over(ports, decide())
    if style == "json" and output is None:
        show(suppress_json(sums.decided))
    else:
        say = phrases(lang)
        show(suppress_text(sums.decided, paper_for(), say))
        if output is None:
            click.echo(say("suppress.hint"))
    return 3 if sums.of(Decision.NOT_CHECKED) else 0
