"""Records in the forms that people paste, and what an edit changes, word by word."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any, NamedTuple

from msgspec import Struct

from deliverability.core.codec import json_text
from deliverability.core.model.report import RecordEdit

TTL = 3600
"""Seconds; what is published in place of something else should not be kept for days."""
MAX_STRING = 255
_NAME_FIRST = frozenset({"CNAME", "NS", "PTR"})


class RecordSet(Struct, frozen=True):
    """All records of one type at a name, as they are to be.

    Attributes:
        name: without trailing dot.
        type: ``TXT`` ...
        old: values that go; they stand there now.
        new: values that come.
        beside: values that stand there now and stay.
        why: one line a step, what it is for.

    """

    name: str
    type: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    beside: tuple[str, ...] = ()
    why: tuple[str, ...] = ()


def record_sets(
    steps: Iterable[tuple[Sequence[RecordEdit], str]], published: Mapping[tuple[str, str], tuple[str, ...]]
) -> tuple[RecordSet, ...]:
    """The record sets as they are once all these steps are done, in the order in which they are first named.

    `steps` come with a title each; one that builds on another replaces what that one puts there. `published` has
    what stands at each place now, with what no remedy is about.
    """
    found: dict[tuple[str, str], RecordSet] = {}
    for edits, title in steps:
        for edit in edits:
            place = (edit.name, edit.type)
            now = published.get(place, ())
            before = found.get(place)
            if before is None:
                stays = tuple(value for value in now if value not in edit.old) if edit.type == "TXT" else ()
                found[place] = RecordSet(edit.name, edit.type, edit.old, edit.new, stays, (title,))
            else:
                gone = (*before.old, *(value for value in edit.old if value not in before.new))
                stays = tuple(value for value in before.beside if value not in gone)
                found[place] = RecordSet(edit.name, edit.type, gone, edit.new, stays, (*before.why, title))
    return tuple(found.values())


def txt_strings(value: str) -> tuple[bytes, ...]:
    """The character-strings of a TXT record: at most 255 octets each, joined they are the value.

    A string ends after a space where that leaves it more than half full, so that no term is torn apart needlessly.
    """
    rest = value.encode("utf-8", "surrogateescape")
    found: list[bytes] = []
    while len(rest) > MAX_STRING:
        end = rest.rfind(b" ", MAX_STRING // 2, MAX_STRING) + 1 or MAX_STRING
        found.append(rest[:end])
        rest = rest[end:]
    return (*found, rest)


def rdata(type_: str, value: str) -> str:
    """A value in master-file form (RFC 1035 section 5.1): TXT quoted, names with their dot."""
    if type_ == "TXT":
        return " ".join(f'"{_escaped(string)}"' for string in txt_strings(value))
    if type_ == "MX":
        preference, _, host = value.partition(" ")
        return f"{preference} {absolute(host)}"
    return absolute(value) if type_ in _NAME_FIRST else value


def _escaped(octets: bytes) -> str:
    return "".join(
        f"\\{chr(octet)}" if octet in b'"\\' else chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03d}"
        for octet in octets
    )


def absolute(name: str) -> str:
    """A name with the dot that ends it."""
    return name if name.endswith(".") else f"{name}."


def zone_lines(sets: Iterable[RecordSet], heading: Sequence[str] = ()) -> str:
    """Lines for a master file; what goes stands above as a comment."""
    lines = [f"; {_comment(each)}" for each in heading]
    for each in sets:
        lines += ["", *(f"; {_comment(why)}" for why in each.why)]
        lines += [
            _comment(f"; - {absolute(each.name)} {TTL} IN {each.type} {rdata(each.type, value)}") for value in each.old
        ]
        lines += [f"{absolute(each.name)} {TTL} IN {each.type} {rdata(each.type, value)}" for value in each.new]
    return "\n".join(lines).lstrip("\n") + "\n"


def _comment(text: str) -> str:
    """One line that stays a comment, in ASCII or not, but with nothing that could end it."""
    return "".join(char if char.isprintable() else " " for char in text)


def route53(sets: Iterable[RecordSet], comment: str = "") -> str:
    """A change batch for ``aws route53 change-resource-record-sets --change-batch file://...``.

    It names every record that is to stand at the name, because it replaces them all; CREATE, which fails where there
    is something after all, for names where nothing stands.
    """
    changes: list[dict[str, Any]] = [
        {
            "Action": "UPSERT" if each.old or each.beside else "CREATE",
            "ResourceRecordSet": {
                "Name": absolute(each.name),
                "Type": each.type,
                "TTL": TTL,
                "ResourceRecords": [{"Value": _octal(rdata(each.type, value))} for value in (*each.beside, *each.new)],
            },
        }
        for each in sets
    ]
    document: dict[str, Any] = {"Comment": comment[:256]} if comment else {}
    return json_text(document | {"Changes": changes}, indent=2) + "\n"


_DECIMAL = re.compile(r"\\(\\|\"|\d{3})")


def _octal(text: str) -> str:
    r"""Route 53 writes octets as ``\ooo``, three octal digits, where a master file has decimal ones."""
    return _DECIMAL.sub(lambda match: f"\\{int(match[1]):03o}" if match[1].isdigit() else match[0], text)


def terraform(sets: Iterable[RecordSet], heading: Sequence[str] = ()) -> str:
    """Resources of the AWS provider; the zone is ``var.zone_id``. Every record at the name is named."""
    parts = ["".join(f"# {_comment(each)}\n" for each in heading)] if heading else []
    used: dict[str, int] = {}
    for each in sets:
        label = re.sub(r"[^a-z0-9]+", "_", f"{each.name}_{each.type}".lower()).strip("_")
        used[label] = used.get(label, 0) + 1
        label = f"deliv_{label}" + (f"_{used[label]}" if used[label] > 1 else "")
        values = [_terraform_value(each.type, value) for value in (*each.beside, *each.new)]
        parts.append(
            "".join(f"# {_comment(why)}\n" for why in each.why)
            + f'resource "aws_route53_record" "{label}" {{\n'
            + "  zone_id = var.zone_id\n"
            + f"  name    = {_hcl(each.name)}\n"
            + f"  type    = {_hcl(each.type)}\n"
            + f"  ttl     = {TTL}\n"
            + "  records = [\n"
            + "".join(f"    {_hcl(value)},\n" for value in values)
            + "  ]\n}\n"
        )
    return "\n".join(parts)


def _terraform_value(type_: str, value: str) -> str:
    """As the provider wants it: of a TXT record it sets the outermost quotes itself."""
    text = _octal(rdata(type_, value))
    return text[1:-1].replace('" "', '""') if type_ == "TXT" else text


def _hcl(text: str) -> str:
    r"""A string of Terraform's language; ``${`` and ``%{`` (as in SPF macros) would begin a template."""
    escaped = json.dumps(text, ensure_ascii=False)
    return escaped.replace("${", "$${").replace("%{", "%%{")


def cloudflare(sets: Iterable[RecordSet], heading: Sequence[str] = ()) -> str:
    """A file for DNS > Records > Import. An import only adds: what goes is listed at the top, to be deleted first."""
    sets = tuple(sets)
    lines = [f";; {_comment(each)}" for each in heading]
    lines += [
        _comment(f";; - {each.name} {each.type} {rdata(each.type, value)}") for each in sets for value in each.old
    ]
    for each in sets:
        lines += [f";; {_comment(why)}" for why in each.why]
        lines += [f"{absolute(each.name)}\t1\tIN\t{each.type}\t{rdata(each.type, value)}" for value in each.new]
    return "\n".join(lines) + "\n"


def with_value(type_: str, value: str) -> str:
    """A value as ``--with 'NAME TYPE VALUE'`` takes it: bare, or quoted where bare text would be read otherwise."""
    bare = type_ != "TXT" or (value == value.strip() and value[:1] not in ('"', "(") and bool(value))
    return value if bare else rdata(type_, value)


MAX_PIECES = 400
"""Pieces of one text that are told apart; of a longer one the rest is one piece."""


class PieceKind(StrEnum):
    """What became of a piece."""

    SAME = "kept"
    REMOVED = "removed"
    ADDED = "added"


class Piece(NamedTuple):
    """A piece of the old or the new text, with the blanks in front of it."""

    kind: PieceKind
    text: str


_TAGGED = re.compile(r"\s*v\s*=\s*(?:DMARC1|DKIM1|STSv1|TLSRPTv1|BIMI1)\b|\s*[a-z]+\s*=[^;]*;", re.IGNORECASE)
_TAG = re.compile(r";\s*\Z|;?[^;]*")
_WORD = re.compile(r"\s*\S+\s*\Z|\s*\S+|\s+\Z")


def diff(old: str, new: str) -> tuple[Piece, ...]:
    """The pieces of both texts in reading order; of a place that changed, what was removed first."""
    before, after = _pieces(old), _pieces(new)
    keys = [_without_blanks(each) for each in before], [_without_blanks(each) for each in after]
    if keys[0] == keys[1]:
        keys = before, after  # the blanks are all that changed
    found: list[Piece] = []
    for change, first, last, start, end in SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        if change == "equal":
            found += [Piece(PieceKind.SAME, text) for text in after[start:end]]
        else:
            found += [Piece(PieceKind.REMOVED, text) for text in before[first:last]]
            found += [Piece(PieceKind.ADDED, text) for text in after[start:end]]
    return tuple(found)


def _without_blanks(piece: str) -> str:
    return "".join(piece.split())


def _pieces(text: str) -> list[str]:
    """The text cut into pieces; nothing is lost."""
    pattern = _TAG if _TAGGED.match(text) else _WORD
    pieces: list[str] = []
    position = 0
    while position < len(text):
        match = pattern.match(text, position)
        if match is None or len(pieces) == MAX_PIECES:
            pieces.append(text[position:])
            break
        pieces.append(match.group())
        position = match.end()
    return pieces
