"""What the history does not keep: the words of a message.

Of each such text stand a digest and its length in characters, so that a change shows and nothing can be read. The
digest is HMAC-SHA-256 with the key of the history (`History.key`), so that a guess cannot be held against it: addresses
are guessed easily. Who has the key, too, can.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from msgspec.structs import replace

from deliverability.core.codes import Arg, Detail
from deliverability.core.facts.base import (
    DIGEST,
    Evidence,
    EvidenceKind,
    EvidenceLine,
    Fact,
    FactSet,
    Record,
    Unknown,
    Value,
    plain,
    records_of,
    texts,
)
from deliverability.core.model.history import Snapshot
from deliverability.core.model.report import Consequence

TEXTS = frozenset(
    {
        "arc.reason",
        "arc.sets[].errors",
        "charset.machine_dependent",
        "dkim.signatures[].errors",
        "dkim.signatures[].identity",
        "envelope.mail_from",
        "html.base_href",
        "html.external_fonts",
        "html.external_sheets",
        "html.ip_links",
        "message.attachments[].archive_members",
        "message.attachments[].filename",
        "message.display_name_address",
        "message.display_name_recipient",
        "message.display_name_symbols",
        "message.encrypted_files",
        "message.forbidden_address_characters",
        "message.from_addresses",
        "message.from_display",
        "message.images[].filename",
        "message.message_id",
        "message.parts[].filename",
        "message.pdfs[].filename",
        "message.subject",
        "senders.message_seen_by",
        "spf.explanation",
        "spf.trace",
        "unsubscribe.body_link_words",
        "unsubscribe.one_click",
        "unsubscribe.uris",
    }
)
"""Facts, and fields of the items of facts, that quote the message. SPF's may by way of macros (RFC 7208 section 7)."""

_NAMED = {
    "message.attachments": ("filename", "path"),
    "message.images": ("filename", "path"),
    "message.pdfs": ("filename", "path"),
}
"""Lists whose items are named by such a text: the fields of the name, as in the catalogue."""

_TOPICS = frozenset({"message", "charset", "html", "unsubscribe"})
"""What fails here may name an address of the message."""

_HIDDEN = re.compile(r"hmac:[0-9a-f]{64}(?::\d+)?")


def hidden(text: str, key: bytes) -> str:
    """``hmac:DIGEST:LENGTH``; a text in this form, and the empty one, stays as it is."""
    if not text or _HIDDEN.fullmatch(text):
        return text
    return f"{_keyed(text, key)}:{len(text)}"


def _keyed(text: str, key: bytes) -> str:
    return f"{DIGEST}{hmac.new(key, text.encode('utf-8', 'backslashreplace'), 'sha256').hexdigest()}"


def named(text: str, word: str) -> str:
    """A text for people: `word` in the place of each digest."""
    return _HIDDEN.sub(word, text)


def without_texts(snapshot: Snapshot, key: bytes) -> Snapshot:
    """A snapshot as the history keeps it; one that is in that form already stays as it is."""
    names = _names(snapshot.facts, key)

    def consequences(given: tuple[Consequence, ...]) -> tuple[Consequence, ...]:
        return tuple(replace(each, item=names.get(each.item, each.item)) for each in given)

    verdicts = tuple(
        replace(each, effects=consequences(each.effects), open=consequences(each.open)) for each in snapshot.verdicts
    )
    return replace(
        snapshot,
        facts=_facts(snapshot.facts, key),
        findings=tuple(replace(each, item=names.get(each.item, each.item)) for each in snapshot.findings),
        assessment=replace(snapshot.assessment, verdicts=verdicts),
    )


def _facts(facts: FactSet, key: bytes) -> FactSet:
    """Facts with texts as digests; times and TTLs dropped, so that weeks that found the same share what they keep."""
    items = {ident: _evidence(item, key) for ident, item in facts.evidence.items()}
    renamed = {ident: item.id for ident, item in items.items()}
    return FactSet(
        {
            path: Fact(path, _value(path, fact.value, key), tuple(renamed.get(each, each) for each in fact.evidence))
            for path, fact in facts.facts.items()
        },
        {item.id: item for item in items.values()},
    )


def _evidence(item: Evidence, key: bytes) -> Evidence:
    if item.kind in (EvidenceKind.HEADER, EvidenceKind.MIME):
        lines = texts(item.got)
        got = item.got
        if not all(map(_HIDDEN.fullmatch, lines)):
            got = (_keyed("\n".join(lines), key),)
        return Evidence(item.id, item.kind, item.asked, got)
    if item.kind is EvidenceKind.HTTP and item.asked.startswith("POST "):
        # The one-click request of this message; its address ends the subscription of whoever knows it.
        address = hidden(item.asked[5:], key)
        return Evidence(
            f"http-post:{address}", item.kind, f"POST {address}", tuple(_line(each, key) for each in item.got)
        )
    return Evidence(item.id, item.kind, item.asked, item.got)


def _line(line: EvidenceLine, key: bytes) -> EvidenceLine:
    return line if isinstance(line, Detail) else hidden(line, key)


def _value(path: str, value: Value, key: bytes, *, text: bool = False) -> Value:
    text = text or path in TEXTS
    match value:
        case str():
            return hidden(value, key) if text else value
        case Unknown(reason, Detail() as detail):
            return Unknown(reason, _detail(detail, key)) if text or path.partition(".")[0] in _TOPICS else value
        case Detail():
            return _detail(value, key) if text or path.partition(".")[0] in _TOPICS else value
        case tuple():
            return tuple(_value(path if isinstance(each, str) else f"{path}[]", each, key, text=text) for each in value)
        case Record():
            values = [_value(f"{path}.{name}", each, key, text=text) for name, each in plain(value).items()]
            return type(value)(**dict(zip(value.__struct_fields__, values, strict=True)))
        case _:
            return value


def _detail(detail: Detail, key: bytes) -> Detail:
    """A detail whose arguments may be texts of the message, with these as digests."""
    return Detail(detail.code, tuple((name, _arg(arg, key)) for name, arg in detail.args))


def _arg(arg: Arg, key: bytes) -> Arg:
    match arg:
        case Detail():
            return _detail(arg, key)
        case tuple():
            return tuple(_arg(each, key) for each in arg)
        case str():
            return hidden(arg, key)
        case _:
            return arg


def _names(facts: FactSet, key: bytes) -> dict[str, str]:
    """Names of items as findings have them -> as they are kept."""
    names: dict[str, str] = {}
    for path, named_by in _NAMED.items():
        items = facts.value(path)
        counts: dict[str, int] = {}
        for item in records_of(items):
            fields = {each: str(item.get(each) or "-") for each in named_by}
            name = "/".join(fields.values())
            counts[name] = counts.get(name, 0) + 1
            number = "" if counts[name] == 1 else f"#{counts[name]}"
            fields["filename"] = hidden(fields["filename"], key) if fields["filename"] != "-" else "-"
            names[f"{name}{number}"] = "/".join(fields.values()) + number
    return names


def digest_of(text: str) -> str:
    """The SHA-256 of a text (hex): the name of a piece."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
