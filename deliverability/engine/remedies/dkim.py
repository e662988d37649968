"""Drafts of DKIM key records: edits of a record that stands there. A new key is not ours to make: see dkim-keygen.

Pure: reads facts, asks nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from deliverability.core.facts.base import FactSet, Value
from deliverability.core.facts.dkim import Dkim, DkimKey, DkimSignature
from deliverability.core.facts.domain import Declared
from deliverability.core.model.report import Finding, RecordEdit, Remedy
from deliverability.core.model.topic import if_known
from deliverability.core.protocols.dkim.key import KeyRecord, looks_like_key, parse_key
from deliverability.engine.remedies.records import Published, Situation, own_place, plain, published, unmet

_Item = DkimKey | DkimSignature

_ARMOUR = re.compile(r"-----(?:BEGIN|END) (?:RSA )?PUBLIC KEY-----")


def drafts(given: Situation) -> tuple[Remedy, ...]:
    """Drafts for unmet findings about keys that stand at the audited domain, one selector after the other."""
    facts, findings = given.facts, given.findings
    return tuple(_drafts(facts, findings))


def _drafts(facts: FactSet, findings: Sequence[Finding]) -> Iterator[Remedy]:
    keys = if_known(facts.of(Dkim).keys) or ()
    signatures = if_known(facts.of(Dkim).signatures) or ()
    for finding in unmet(findings, "dkim-one-key", "dkim-repair-key", "dkim-open-key", "dkim-end-test"):
        item = _named(finding, keys) or _named(finding, signatures)
        place = _place(facts, item)
        if item is None or place is None:
            continue
        if finding.remedy == "dkim-one-key":
            yield from _one_key(finding, item, place)
        elif len(place.values) == 1 and len(place.values[0]) < 10_000:
            yield from _edits(finding, item, place)


def _named(finding: Finding, items: Sequence[_Item]) -> _Item | None:
    """The key or signature that a finding is about; None where that is not clear."""
    found = [each for each in items if f"{each.domain or '-'}/{each.selector or '-'}" == finding.item]
    return found[0] if len(found) == 1 else None


def _place(facts: FactSet, item: _Item | None) -> Published | None:
    """The record set of a key where the owner of the audited domain can edit it."""
    domain = facts.of(Declared).domain
    if item is None or not item.key_name or not isinstance(domain, str):
        return None
    place = published(facts, item.key_name, "TXT")
    return place if own_place(place, domain) else None


def _one_key(finding: Finding, item: _Item, place: Published) -> Iterator[Remedy]:
    """The only usable one of several records. Of two usable keys only the mail system knows which one signs."""
    usable = [value for value in dict.fromkeys(place.values) if looks_like_key(value) and parse_key(value).usable]
    if len(place.values) > 1 and len(usable) == 1:
        edit = RecordEdit(place.name, "TXT", place.values, (usable[0],))
        yield Remedy(finding.rule, finding.item, "dkim-one-key", _values(item, place), (edit,))


def _edits(finding: Finding, item: _Item, place: Published) -> Iterator[Remedy]:
    old = place.values[0]
    key = parse_key(old)
    if finding.remedy == "dkim-repair-key":
        code, candidates = "dkim-repair-key", list(_repairs(old))
    elif finding.remedy == "dkim-end-test":
        code, candidates = "dkim-end-test", [_without_flag(old, "y")]
    else:
        code, candidates = "dkim-open-key", [_without(old, "h"), _without(old, "h", "s"), _opened(old, key)]
    for text in dict.fromkeys(candidates):
        if text != old and plain(text) and parse_key(text).usable:
            edit = RecordEdit(place.name, "TXT", place.values, (text,))
            yield Remedy(finding.rule, finding.item, code, _values(item, place), (edit,))


def _values(item: _Item, place: Published) -> dict[str, Value]:
    return {"selector": item.selector, "domain": item.domain, "name": place.name}


def _opened(text: str, key: KeyRecord) -> str:
    """The record without any limit on how it may be used."""
    text = _without(text, "h", "s")
    return _without_flag(text, "s") if key.strict else text


def _without(text: str, *tags: str) -> str:
    pieces = [piece for piece in text.split(";") if piece.partition("=")[0].strip() not in tags]
    return ";".join(pieces).strip()


def _without_flag(text: str, flag: str) -> str:
    """The record without one flag of t=; without t= where that was the only one."""
    pieces = []
    for piece in text.split(";"):
        name, equals, value = piece.partition("=")
        if name.strip() == "t" and equals:
            flags = [each for each in value.split(":") if each.strip() != flag]
            if not flags:
                continue
            piece = f"{name}={':'.join(flags)}"
        pieces.append(piece)
    return ";".join(pieces).strip()


def _repairs(text: str) -> Iterator[str]:
    """What a damaged key record may have been, the smallest change first; reading it again decides."""
    unquoted = text.replace('\\"', '"').replace("\\;", ";").replace('" "', "").replace('"', "").strip()
    yield unquoted
    bare = _ARMOUR.sub("", unquoted)
    head, equals, material = bare.rpartition("p=")
    yield head + equals + "".join(material.split()) if equals else bare
    # Tags that run into each other because a semicolon is missing.
    yield re.sub(r"(?<=\S)\s+(?=[vkhpst]=)", "; ", bare)
