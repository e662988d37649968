"""`deliv dkim-keygen`: a DKIM key pair, its record, and how to change over to it."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from msgspec import Struct

from deliverability.console.command import Command
from deliverability.console.language import columns
from deliverability.console.options import lang_option
from deliverability.console.output import wrote
from deliverability.console.types import OneOf, PathOf
from deliverability.core.codes import Code
from deliverability.core.errors import InputError, file_error
from deliverability.core.files import PRIVATE, PRIVATE_FOLDER, write_whole
from deliverability.core.inputs import parse_domain
from deliverability.core.phrases import Phrases, phrases
from deliverability.core.report import records as forms
from deliverability.core.report.wrap import wrap


class KeyPair(Struct, frozen=True):
    """A key pair.

    Attributes:
        type: ``rsa`` or ``ed25519``.
        bits: size of the key.
        pem: the private key as PKCS #8 in PEM form, without a passphrase: OpenDKIM, Rspamd and others read it.
        seed: of ed25519 the 32 octets of the private key as base64, which is what dkimpy reads; else empty.
        record: the key record (RFC 6376 section 3.6.1, RFC 8463 section 4).

    """

    type: str
    bits: int
    pem: bytes
    seed: bytes
    record: str = ""

    def __repr__(self) -> str:  # nothing of the private key in a log or a traceback
        return f"KeyPair({self.type!r}, {self.bits})"


def generate_rsa(bits: int) -> KeyPair:
    """A new RSA key pair of 2048 bits or more (RFC 8301 section 3.2)."""
    key = generate_private_key(public_exponent=65537, key_size=bits)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair("rsa", bits, pem, b"", f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}")


def generate_ed25519() -> KeyPair:
    """A new Ed25519 key pair; to be used beside RSA, because not every receiver knows it."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    seed = base64.b64encode(key.private_bytes_raw()) + b"\n"
    return KeyPair("ed25519", 256, pem, seed, f"v=DKIM1; k=ed25519; p={base64.b64encode(public).decode()}")


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
@click.option(
    "-o", "--output", "out", type=PathOf("folder"), default=Path("dkim-keys"), show_default=True, metavar="DIR"
)
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
    name = parse_domain(domain)
    chosen = _selector(selector or f"s{datetime.now(UTC):%Y%m}", name)
    selectors = {chosen: "rsa"} | ({f"{chosen}-ed": "ed25519"} if ed25519 else {})
    paths = {each: out / f"{each}._domainkey.{name}.pem" for each in selectors}
    seeds = {each: path.with_suffix(".seed") for each, path in paths.items() if selectors[each] == "ed25519"}
    _refuse_existing((*paths.values(), *seeds.values()))
    pairs = {
        each: generate_ed25519() if kind == "ed25519" else generate_rsa(int(bits)) for each, kind in selectors.items()
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
    sets = tuple(forms.RecordSet(name, "TXT", (), (pair.record,)) for name, pair in records.items())
    if style == "zone":
        return forms.zone_lines(sets)
    if style == "terraform":
        return forms.terraform(sets)
    if style == "route53":
        return forms.route53(sets)
    if style == "cloudflare":
        return forms.cloudflare(sets)
    width = max(40, min(columns(), 100))
    lines: list[str] = []
    for name, pair in records.items():
        named = "RSA" if pair.type == "rsa" else "Ed25519"
        kind = say("punctuation.list").join((named, say("tile.bits", bits=str(pair.bits))))
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
