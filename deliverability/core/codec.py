"""Facts to and from plain JSON values, and all topics that they are read into."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from deliverability.core.codes import Arg, Detail
from deliverability.core.facts import (
    content,
    deliveries,
    dkim,
    dmarc,
    domain,
    envelope,
    message,
    spf,
    traffic,
    transport,
)
from deliverability.core.facts.base import (
    Evidence,
    EvidenceKind,
    EvidenceLine,
    Fact,
    FactSet,
    Reason,
    Unknown,
    Value,
)
from deliverability.core.model.topic import OddFactError, Topic, paths_of, stored

S = TypeVar("S", bound=Struct)

_MODULES = (content, deliveries, dkim, dmarc, domain, envelope, message, spf, traffic, transport)


@cache
def fields_by_path() -> Mapping[str, tuple[type[Topic], str]]:
    """The topic and the field of each path."""
    every = (each for module in _MODULES for each in vars(module).values() if isinstance(each, type))
    topics = dict.fromkeys(each for each in every if issubclass(each, Topic) and each is not Topic)
    return {path: (topic, name) for topic in topics for name, path in paths_of(topic).items()}


def typed(path: str, value: Value) -> Value:
    """A stored value in its type; one that no topic has stays as it is. Raises OddFactError."""
    known = fields_by_path().get(path)
    found: Value = value if known is None else stored(*known, value)
    return found


def encode(value: object) -> Any:
    """A value as JSON: Unknown becomes ``{"unknown": reason, "detail": ...}`` at every depth.

    A detail becomes ``{"code": ..., "args": {...}}``, any other Struct an object of its fields.
    """
    # What there is most of first, by its exact type: facts are encoded by the hundred.
    if type(value) is str:
        return value if value.isascii() else printable(value)
    if type(value) in _AS_IT_IS:
        return value
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if type(value) is dict:
        return {key if key.isascii() else printable(key): encode(item) for key, item in value.items()}
    if isinstance(value, str):  # a word of an enumeration
        return printable(str(value))
    match value:
        case Unknown(reason, detail):
            return {"unknown": reason.value} | ({"detail": encode(detail)} if detail else {})
        case Detail():
            args = {name: encode(arg) for name, arg in value.args}
            return {"code": printable(value.code)} | ({"args": args} if args else {})
        case Struct():
            return dict(zip(value.__struct_encode_fields__, map(encode, astuple(value)), strict=True))
        case Mapping():
            return {printable(key): encode(item) for key, item in value.items()}
        case list():
            return [encode(item) for item in value]
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return value


_AS_IT_IS = frozenset((type(None), bool, int))


def encode_fields(value: Struct, *names: str) -> dict[str, Any]:
    """These fields of it alone, in this order."""
    return {name: encode(getattr(value, name)) for name in names}


def encode_texts(value: Struct, *names: str) -> dict[str, Any]:
    """The same of texts, an empty one as null."""
    return {name: printable(getattr(value, name)) or None for name in names}


def printable(text: str) -> str:
    """Text that UTF-8 can carry: lone surrogates (undecodable octets of a message) are written out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


# All of Unicode's control and format characters, line and paragraph separators, and lone surrogates; JSON itself has
# those below U+0020.
_HIDDEN = (
    "[\\x7f-\\x9f\\xad\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890\\u0891\\u08e2\\u180e\\u200b-\\u200f\\u2028-\\u202e"
    "\\u2060-\\u206f\\ud800-\\udfff\\ufeff\\ufff9-\\ufffb\\U000110bd\\U000110cd\\U00013430-\\U0001343f"
    "\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0001-\\U000e007f]"
)


def json_text(value: Any, *, indent: int | None = None, compact: bool = False) -> str:
    r"""JSON for people and programs: what would steer a terminal or turn a line round is written as ``\uXXXX``."""
    separators = (",", ":") if compact else None
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)
    if text.isascii() and "\x7f" not in text:
        return text
    return re.sub(_HIDDEN, lambda found: json.dumps(found[0])[1:-1], text)


class JsonPieces:
    """A document of several items, each written as soon as it is there, and not kept.

    Args:
        items: how many there will be; one alone is written as it is, several as an array.
        alone: how one alone is laid out; without it indented by two.

    """

    def __init__(self, items: int, alone: Callable[[Any], str] | None = None) -> None:
        self._array = items != 1
        self._alone = alone or (lambda value: json_text(value, indent=2))
        self._begun = False

    def item(self, value: Any) -> str:
        """The next item."""
        if not self._array:
            return self._alone(value) + "\n"
        # One line an item: an indented array of a thousand of them would take most of the run.
        lead = ",\n" if self._begun else "[\n"
        self._begun = True
        return lead + json_text(value, compact=True)

    def end(self) -> str:
        """What closes the document."""
        if not self._array:
            return ""
        return "\n]\n" if self._begun else "[]\n"


def decode(value: Any) -> Value:
    """The reverse of `encode`. Raises ValueError on what is not a fact's value."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case list():
            return tuple(decode(item) for item in value)
        case {"unknown": str(reason)} if set(value) <= {"unknown", "detail"}:
            detail = decode_detail(value.get("detail"))
            try:
                return Unknown(Reason(reason), detail)
            except ValueError:
                known = ", ".join(r.value for r in Reason)
                raise ValueError(f"{reason!r} is not a reason for Unknown (known: {known})") from None
        case {"code": str(code)} if set(value) <= {"code", "args"} and isinstance(value.get("args", {}), dict):
            return Detail(code, tuple((str(name), _decode_arg(arg)) for name, arg in value.get("args", {}).items()))
        case dict():
            return {str(key): decode(item) for key, item in value.items()}
        case _:
            raise ValueError(f"{type(value).__name__} is not a fact's value")


def _decode_arg(data: Any) -> Arg:
    """Raises ValueError on what is no argument of a detail."""
    match data:
        case bool():
            raise ValueError("a detail has no arguments that are true or false")
        case str() | int() | float():
            return data
        case list():
            return tuple(_decode_arg(each) for each in data)
    value = decode(data)
    if not isinstance(value, Detail):
        raise ValueError(f"{type(value).__name__} is not an argument of a detail")
    return value


def decode_as(kind: type[S], data: Mapping[str, Any]) -> S:
    """The reverse of `encode` for a Struct. Raises KeyError, TypeError or ValueError on anything else."""
    return kind(**{name: _decode_hint(hint, data[written]) for name, written, hint in _fields(kind)})


@cache
def _fields(kind: type[Struct]) -> tuple[tuple[str, str, Any], ...]:
    hints = get_type_hints(kind)
    written = zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
    return tuple((name, each, hints[name]) for name, each in written)


def _decode_hint(hint: Any, data: Any) -> Any:
    """JSON in that type: plain values, words of enumerations, Structs, details, and tuples and mappings of them."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Detail or Detail in parts:  # a detail, a line of evidence, the value of a fact
        return decode(data)
    if origin in (Union, UnionType):
        return None if data is None else _decode_hint(parts[0], data)
    if origin is tuple:
        return tuple(_decode_hint(parts[0], each) for each in data)
    if origin is not None:
        return {name: _decode_hint(parts[1], each) for name, each in dict.items(data)}
    if issubclass(hint, Struct):
        return decode_as(hint, data)
    return hint(data) if issubclass(hint, Enum) else data


def decode_detail(data: Any) -> Detail | None:
    """A detail, or none. Raises ValueError on anything else."""
    if not data:
        return None
    value = decode(data)
    if not isinstance(value, Detail):
        raise ValueError("expected a code with arguments as the detail")
    return value


def decode_line(data: Any) -> EvidenceLine:
    """One line of evidence. Raises ValueError on anything else."""
    if isinstance(data, str):
        return data
    value = decode(data)
    if not isinstance(value, Detail):
        raise ValueError("expected text or a code with arguments as a line")
    return value


def encode_evidence(item: Evidence) -> dict[str, Any]:
    """One piece of evidence as JSON."""
    return encode_fields(item, "id", "kind", "asked", "got", "at", "ttl")


def encode_facts(facts: FactSet) -> dict[str, Any]:
    """A fact set as JSON: ``{"facts": {path: {"value": ...} | {"unknown": ...}}, "evidence": [...]}``."""
    encoded: dict[str, Any] = {}
    same: dict[int, Any] = {}  # half of the facts without a message are one and the same Unknown
    cited: dict[tuple[str, ...], list[str]] = {}  # and the facts of a topic mostly rest on the same evidence
    for fact in facts:
        value = fact.value
        if isinstance(value, Unknown):
            body = same.get(id(value)) or same.setdefault(id(value), encode(value))
        else:
            body = {"value": encode(value)}
        if evidence := fact.evidence:
            ids = cited.get(evidence) or cited.setdefault(evidence, list(map(printable, evidence)))
            body = {**body, "evidence": ids}
        encoded[fact.path] = body
    return {"facts": encoded, "evidence": [encode_evidence(item) for item in facts.evidence.values()]}


def decode_facts(data: Any) -> FactSet:
    """The reverse of `encode_facts`. Raises ValueError, naming the fact, on anything else."""
    if not isinstance(data, dict) or not isinstance(data.get("facts"), dict):
        raise ValueError('expected a JSON object with "facts", as `deliv facts` writes it')
    facts: dict[str, Fact] = {}
    for path, body in data["facts"].items():
        if not isinstance(body, dict) or ("value" in body) == ("unknown" in body):
            raise ValueError(f'{path}: expected {{"value": ...}} or {{"unknown": reason}}')
        evidence = body.get("evidence", [])
        if not isinstance(evidence, list) or not all(isinstance(ident, str) for ident in evidence):
            raise ValueError(f"{path}: evidence must be a list of ids")
        try:
            raw = body["value"] if "value" in body else {k: v for k, v in body.items() if k != "evidence"}
            facts[path] = Fact(path, typed(path, decode(raw)), tuple(evidence))
        except OddFactError:
            raise
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    evidence_by_id: dict[str, Evidence] = {}
    pieces = data.get("evidence", [])
    if not isinstance(pieces, list):
        raise ValueError("evidence must be a list")
    for item in pieces:
        try:
            piece = Evidence(
                str(item["id"]),
                EvidenceKind(item["kind"]),
                str(item["asked"]),
                tuple(map(decode_line, item["got"])),
                str(item["at"]) if item.get("at") is not None else None,
                int(item["ttl"]) if item.get("ttl") is not None else None,
            )
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"evidence: {error!r} in {str(item)[:80]}") from None
        evidence_by_id[piece.id] = piece
    return FactSet(facts, evidence_by_id)


def digest(data: Any) -> str:
    """SHA-256 (hex) of JSON data in canonical form: compact, keys sorted, in UTF-8."""
    return hashlib.sha256(msgspec.json.encode(data, order="sorted")).hexdigest()
