"""`deliv dkim-keygen`: a DKIM key pair, its record, and how to change over to it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deliverability._files import PRIVATE, PRIVATE_FOLDER, write_whole
from deliverability.cli.command import Command
from deliverability.cli.options import lang_option, plain_errors
from deliverability.cli.output import wrote
from deliverability.cli.terminal import columns
from deliverability.cli.types import OneOf, PathOf
from deliverability.model.codes import Code
from deliverability.model.errors import InputError, file_error

if TYPE_CHECKING:
    from deliverability.protocols.dkim.generate import KeyPair
    from deliverability.words.sentences import Phrases

# A label of a host name, so that every signer and every DNS console takes it.
_SELECTOR = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,50}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,50}[a-z0-9])?)*")
_MAX_NAME = 253
NO_NEW_SELECTOR = Code("no-new-selector", ("text",))
KEY_THERE = Code("key-there", ("file",))


@click.command("dkim-keygen", cls=Command)
@click.argument("domain", metavar="DOMAIN")
@click.option("--selector", metavar="S")
@click.option("--bits", type=OneOf(["2048", "3072", "4096"]), default="2048", show_default=True)
@click.option("--ed25519", is_flag=True)
@click.option("--out", type=PathOf("folder"), default=Path("dkim-keys"), show_default=True, metavar="DIR")
@click.option(
    "--format",
    "style",
    type=OneOf(["text", "zone", "terraform", "route53", "cloudflare"]),
    default="text",
    show_default=True,
)
@lang_option
def command(domain: str, selector: str | None, bits: str, ed25519: bool, out: Path, style: str, lang: str) -> int:
    """Make a DKIM key pair: private keys as files that only the user can read, and the records to publish."""
    with plain_errors():
        from deliverability.inputs import parse_domain
        from deliverability.protocols.dkim.generate import generate_ed25519, generate_rsa
        from deliverability.words.sentences import phrases

        name = parse_domain(domain)
        chosen = _selector(selector or f"s{datetime.now(UTC):%Y%m}", name)
        selectors = {chosen: "rsa"} | ({f"{chosen}-ed": "ed25519"} if ed25519 else {})
        paths = {each: out / f"{each}._domainkey.{name}.pem" for each in selectors}
        seeds = {each: path.with_suffix(".seed") for each, path in paths.items() if selectors[each] == "ed25519"}
        _refuse_existing((*paths.values(), *seeds.values()))
        pairs = {
            each: generate_ed25519() if kind == "ed25519" else generate_rsa(int(bits))
            for each, kind in selectors.items()
        }
        files = {path: pairs[each].pem for each, path in paths.items()}
        files |= {path: pairs[each].seed for each, path in seeds.items()}
        _write(out, files)
        records = {f"{each}._domainkey.{name}": pair for each, pair in pairs.items()}
        click.echo(
            _output(style, records, {f"{e}._domainkey.{name}": p for e, p in paths.items()}, phrases(lang)), nl=False
        )
        for path in files:
            wrote(path)
    return 0


def _selector(text: str, domain: str) -> str:

    selector = text.strip().lower()
    name = f"{selector}-ed._domainkey.{domain}"
    if not _SELECTOR.fullmatch(selector) or "_domainkey" in selector or len(name) > _MAX_NAME:
        raise InputError(NO_NEW_SELECTOR(text=text))
    return selector


def _refuse_existing(paths: Iterable[Path]) -> None:

    for path in paths:
        if os.path.lexists(path):
            raise InputError(KEY_THERE(file=str(path)))


def _write(folder: Path, files: dict[Path, bytes]) -> None:
    """All files or none; each new, and readable by its owner only whatever the umask is."""
    written: list[Path] = []
    try:
        if not folder.is_dir():
            folder.mkdir(mode=PRIVATE_FOLDER, parents=True)
            folder.chmod(PRIVATE_FOLDER)
        for path, content in files.items():
            write_whole(path, content, replace=False, mode=PRIVATE)
            written.append(path)
    except OSError as error:
        for path in written:
            with suppress(OSError):
                path.unlink()
        raise InputError(file_error(error.filename or folder, error)) from None


def _output(style: str, records: dict[str, KeyPair], paths: dict[str, Path], say: Phrases) -> str:
    from deliverability.view import records as forms

    sets = tuple(forms.RecordSet(name, "TXT", (), (pair.record,)) for name, pair in records.items())
    if style == "zone":
        return forms.zone_lines(sets)
    if style == "terraform":
        return forms.terraform(sets)
    if style == "route53":
        return forms.route53(sets)
    if style == "cloudflare":
        return forms.cloudflare(sets)
    from deliverability.render.wrap import wrap

    width = max(40, min(columns(), 100))
    lines: list[str] = []
    for name, pair in records.items():
        kind = f"{'RSA' if pair.type == 'rsa' else 'Ed25519'}, {pair.bits} bits"
        lines += [*wrap(say("keygen.written", path=str(paths[name]), kind=kind), width), ""]
        if pair.seed:
            lines += [*wrap(say("keygen.seed", path=str(paths[name].with_suffix(".seed"))), width), ""]
        lines += [f"  {name} TXT", f"  {pair.record}", ""]
        written = forms.rdata("TXT", pair.record)
        if '" "' in written:
            lines += [*wrap(say("fix.strings"), width), f"  {written}", ""]
    selector, _, domain = next(iter(records)).partition("._domainkey.")
    lines += [say("keygen.steps")]
    for number in range(1, 6):
        text = say(f"keygen.step-{number}", domain=domain, selector=selector)
        lines += [("   " if index else f"{number}. ") + line for index, line in enumerate(wrap(text, width - 3))]
    return "\n".join(lines) + "\n"
