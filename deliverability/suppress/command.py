"""`deliv suppress`: the addresses to take off a list, as a file; and to forget what is kept of an address."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deliverability.console.command import Command
from deliverability.console.inputs import ports_of, read_settings
from deliverability.console.options import dns_options, lang_option, plain_errors
from deliverability.console.output import show, terminal, writing
from deliverability.console.types import DayType, OneOf, PathOf
from deliverability.core.codes import Code
from deliverability.core.errors import FILE_EXISTS, InputError
from deliverability.core.files import PRIVATE
from deliverability.core.model.deliveries import Decision
from deliverability.core.phrases import phrases
from deliverability.core.replies.outcomes import plain_address
from deliverability.core.report.paper import Paper
from deliverability.intake.addresses import AddressFile, SuppressSums, suppressed
from deliverability.suppress.report import SUPPRESS_FORMATS, suppress_json, suppress_text

if TYPE_CHECKING:
    from deliverability.console.settings import Settings
    from deliverability.core.net.ports import Ports
    from deliverability.intake.addresses import AddressFile

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
    with plain_errors():
        settings = read_settings(config)
        if output is not None and output.exists() and not force:
            raise InputError(FILE_EXISTS(file=str(output)))
        stored = AddressFile(_file(addresses, settings), create=False)
        try:
            if forget or forget_before is not None:
                _forget(stored, forget, forget_before, lang)
                return 0
            ports = ports_of(params, settings)
            return _write(stored, ports, output, style, lang)
        finally:
            stored.close()


def _file(addresses: Path | None, settings: Settings) -> Path:
    """Raises InputError."""
    file = addresses or settings.feedback.addresses
    if file is None:
        raise InputError(NO_SETTING())
    return file


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
        try:
            records = await suppressed(stored, ports, sums)
            if output is None:
                for _ in records:
                    pass
                return
            with writing(output, PRIVATE) as write:
                for piece in SUPPRESS_FORMATS[style](records, lambda: sums.again):
                    write(piece)
        finally:
            await ports.close()

    asyncio.run(decided())
    if style == "json" and output is None:
        show(suppress_json(sums.decided))
    else:
        say = phrases(lang)
        show(suppress_text(sums.decided, Paper.of_terminal(**terminal()), say))
        if output is None:
            click.echo(say("suppress.hint"))
    return 3 if sums.of(Decision.NOT_CHECKED) else 0
