"""Reads rules/replies/*.yaml: what replies mean.

The shape is checked by pydantic, names by the rules. Every problem is told with file and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pydantic

from deliverability import _yamlstrict as yamlstrict
from deliverability.feedback.match import fold, parse_code
from deliverability.model.replies import ANY, About, BouncingReceiver, Meaning, ReplyCatalogue, Retry
from deliverability.model.rules import Confidence, RuleSet, SourceRef

FOLDER = "replies"
MAX_SAYS = 300


class ReplyError(yamlstrict.FilesError):
    """Reply files that cannot be used."""


class _Shape(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class _Ref(_Shape):
    ref: str
    section: str = ""


class _Name(_Shape):
    en: str = pydantic.Field(min_length=1)
    ja: str = pydantic.Field(min_length=1)


class _Words(_Shape):
    means: str = pydantic.Field(min_length=1)
    do: list[str] = pydantic.Field(min_length=1)


class _Text(_Shape):
    en: _Words
    ja: _Words


class _MeaningShape(_Shape):
    id: str = pydantic.Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    codes: list[str] = []
    says: list[str] = []
    not_with: list[str] = []
    sure_with: list[str] = []
    example: str = pydantic.Field(min_length=1)
    retry: Retry
    about: About
    rules: list[str] | None = None
    confidence: Confidence = Confidence.HIGH
    contested: bool = False
    sources: list[_Ref] = pydantic.Field(min_length=1)
    text: _Text


class _FileShape(_Shape):
    receiver: str = pydantic.Field(pattern=r"^[a-z0-9-]+$")
    name: _Name | None = None
    hosts: list[str] = []
    domains: list[str] = []
    marks: list[str] = []
    codes: list[str] = []
    falls_back: str = ""
    replies: list[_MeaningShape] = []


_FILE = pydantic.TypeAdapter(_FileShape)


def load_replies(folders: Iterable[Path], rules: RuleSet) -> ReplyCatalogue:
    """Read ``replies/*.yaml`` of every folder; a later meaning or host of the same id replaces an earlier one.

    Receivers of `rules` are known by their MX hosts even without a file here. Raises ReplyError with every problem.
    """
    hosts = {
        receiver.id: BouncingReceiver(receiver.id, receiver.name, receiver.mx_suffixes)
        for receiver in rules.receivers.values()
    }
    meanings: dict[str, Meaning] = {}
    problems: list[str] = []
    for folder in folders:
        taken: dict[str, str] = {}
        for path in sorted((folder / FOLDER).glob("*.yaml")):
            document = yamlstrict.read_file(path, problems)
            shape = yamlstrict.shaped(document, path, _FILE, problems) if document else None
            if document is None or shape is None:
                continue
            _host(path, shape, rules, hosts, problems)
            for index, each in enumerate(shape.replies):
                where = f"{path}:{document.line(('replies', index))}"
                if each.id in taken:
                    problems.append(f"{where}: {each.id} is already defined in {taken[each.id]}")
                    continue
                taken[each.id] = where
                problems.extend(f"{where}: {each.id}: {trouble}" for trouble in _troubles(each, rules))
                meanings[each.id] = _meaning(each, shape.receiver)
    problems.extend(
        f"{each.id}: no receiver {each.falls_back} to fall back to"
        for each in hosts.values()
        if each.falls_back and each.falls_back not in hosts
    )
    if problems:
        raise ReplyError(problems)
    return ReplyCatalogue(hosts, tuple(meanings.values()))


def _host(
    path: Path, shape: _FileShape, rules: RuleSet, hosts: dict[str, BouncingReceiver], problems: list[str]
) -> None:
    if shape.receiver == ANY:
        return
    problems.extend(f"{path}: {code!r} is no code" for code in shape.codes if parse_code(code) is None)
    known = hosts.get(shape.receiver)
    name: Mapping[str, str] | None = {"en": shape.name.en, "ja": shape.name.ja} if shape.name else None
    if name is None and known is None:
        problems.append(f"{path}: {shape.receiver} is no receiver of the rules, so it needs a name")
        return
    hosts[shape.receiver] = BouncingReceiver(
        id=shape.receiver,
        name=name or (known.name if known else {}),
        hosts=tuple(dict.fromkeys((*(known.hosts if known else ()), *_lower(shape.hosts)))),
        domains=_lower(shape.domains),
        marks=tuple(fold(mark) for mark in shape.marks),
        codes=tuple(shape.codes),
        falls_back=shape.falls_back,
    )


def _lower(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.lower().strip(".") for name in names)


def _troubles(shape: _MeaningShape, rules: RuleSet) -> Iterable[str]:
    for code in (*shape.codes, *shape.not_with, *shape.sure_with):
        if parse_code(code) is None:
            yield f"{code!r} is no code; write 550, 5.7.26, 550 5.7.26, X.1.1 or 5.7.606-649"
    for says in shape.says:
        if not re.search(r"\w\w", says) or len(says) > MAX_SAYS:
            yield f"{says!r} says too little, or more than {MAX_SAYS} characters"
    if not shape.codes and not shape.says:
        yield "it needs codes, says, or both"
    for rule in shape.rules or ():
        if rule not in rules.rules:
            yield f"no rule {rule}"
    for ref in shape.sources:
        if ref.ref not in rules.sources:
            yield f"no source {ref.ref!r} in sources.yaml"
    if len(shape.text.en.do) != len(shape.text.ja.do):
        yield f"{len(shape.text.en.do)} steps in English, {len(shape.text.ja.do)} in Japanese"


def _meaning(shape: _MeaningShape, receiver: str) -> Meaning:
    languages: tuple[tuple[str, Any], ...] = (("en", shape.text.en), ("ja", shape.text.ja))
    return Meaning(
        id=shape.id,
        receiver=receiver,
        codes=tuple(shape.codes),
        says=tuple(fold(each) for each in shape.says),
        not_with=tuple(shape.not_with),
        sure_with=tuple(shape.sure_with),
        example=shape.example,
        retry=shape.retry,
        about=shape.about,
        rules=None if shape.rules is None else tuple(shape.rules),
        meaning={lang: words.means for lang, words in languages},
        steps={lang: tuple(words.do) for lang, words in languages},
        confidence=shape.confidence,
        contested=shape.contested,
        sources=tuple(SourceRef(each.ref, each.section) for each in shape.sources),
    )
