"""The addresses and domains of a mail as they are written: characters that receivers refuse, and mixed scripts."""

from __future__ import annotations

from collections.abc import Iterator

from deliverability.auditors.base import Context, auditor, spec
from deliverability.mail.addresses import parse_addresses
from deliverability.mail.evidence import header_evidence
from deliverability.mail.reader import HeaderField
from deliverability.mail.scripts import is_highly_restrictive, unicode_labels
from deliverability.model.dkim import signatures_of
from deliverability.model.facts import FactType, text_of

PROVIDES = (
    spec(
        "message.forbidden_address_characters",
        FactType.LIST_STR,
        "Addresses of From, Sender, Reply-To and, where it is known, MAIL FROM with one of , $ % ? { } < > before "
        "the @, which Yahoo names as forbidden.",
    ),
    spec(
        "message.mixed_script_domains",
        FactType.LIST_STR,
        "Domains of From, Reply-To, d= and, where it is known, MAIL FROM with a label that mixes scripts beyond the "
        'level "highly restrictive" of UTS 39 section 5.2, as A-labels.',
    ),
)

_FORBIDDEN = frozenset(",$%?{}<>")
_FIELDS = ("from", "sender", "reply-to")
_MAX_FIELDS = 10
_MAX_ADDRESSES = 100  # of one field that are read


@auditor(
    "addresses",
    provides=PROVIDES,
    needs=("envelope.mail_from", "envelope.mail_from_domain", "dkim.signatures"),
    of_message=True,
)
async def audit(ctx: Context) -> None:
    """Read the addresses as written."""
    message = ctx.the_message
    fields = [field for name in _FIELDS for field in message.fields(name)[:_MAX_FIELDS]]
    boxes = [(field, box) for field in fields for box in parse_addresses(field.value)[:_MAX_ADDRESSES]]

    refused: dict[str, HeaderField | None] = {
        box.address: field for field, box in boxes if not _FORBIDDEN.isdisjoint(_local(box.address))
    }
    mail_from = text_of(ctx.value("envelope.mail_from"))
    if not _FORBIDDEN.isdisjoint(_local(mail_from)):
        refused.setdefault(mail_from, message.first("Return-Path"))
    ctx.put("message.forbidden_address_characters", tuple(refused), *_cite(ctx, refused))

    mixed: dict[str, HeaderField | None] = {}
    for field, box in boxes:
        if field.lower != "sender" and box.domain and _mixes(box.domain):
            mixed.setdefault(box.domain, field)
    for name in _others(ctx):
        if _mixes(name):
            mixed.setdefault(name, None)
    ctx.put("message.mixed_script_domains", tuple(mixed), *_cite(ctx, mixed))


def _local(address: str) -> str:
    return address.rpartition("@")[0]


def _others(ctx: Context) -> Iterator[str]:
    """The MAIL FROM domain and all d=."""
    yield text_of(ctx.value("envelope.mail_from_domain"))
    for signature in signatures_of(ctx.value("dkim.signatures")):
        yield signature.domain or ""


def _mixes(domain: str) -> bool:
    return not all(is_highly_restrictive(label) for label in unicode_labels(domain))


def _cite(ctx: Context, found: dict[str, HeaderField | None]) -> tuple[str, ...]:
    """Cite the fields of the first ten, where they stand in a field."""
    return tuple(ctx.cite(header_evidence(each)) for each in list(found.values())[:10] if each is not None)
