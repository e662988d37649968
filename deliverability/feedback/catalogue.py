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
from deliverability._yamlstrict import DEFINED, NO_RULE, NO_SOURCE, STEPS_DIFFER
from deliverability.feedback.match import fold, parse_code
from deliverability.model.codes import ABOUT, Code, Detail
from deliverability.model.replies import ANY, About, BouncingReceiver, Meaning, ReplyCatalogue, Retry
from deliverability.model.rules import Confidence, RuleSet, SourceRef

FOLDER = "replies"
MAX_SAYS = 300


NO_CODE = Code("reply-no-code", ("code",))
NEEDS_NAME = Code("reply-needs-name", ("receiver",))
SAYS_TOO_LITTLE = Code("reply-says", ("text", "n"))
NEEDS_CODES = Code("reply-needs-codes")
NO_FALL_BACK = Code("reply-no-fall-back", ("receiver",))


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
    problems: list[Detail] = []
    for folder in folders:
        taken: dict[str, yamlstrict.FileLine] = {}
        for path in sorted((folder / FOLDER).glob("*.yaml")):
            document = yamlstrict.read_file(path, problems)
            shape = yamlstrict.shaped(document, _FILE, problems) if document else None
            if document is None or shape is None:
                continue
            _host(document.at(), shape, hosts, problems)
            for index, each in enumerate(shape.replies):
                where = document.at("replies", index)
                if each.id in taken:
                    problems.append(where.problem(DEFINED(name=each.id, place=str(taken[each.id]))))
                    continue
                taken[each.id] = where
                wrong = _troubles(each, rules)
                problems.extend(where.problem(detail, each.id) for detail in wrong)
                meanings[each.id] = _meaning(each, shape.receiver)
    problems.extend(
        ABOUT(what=each.id, detail=NO_FALL_BACK(receiver=each.falls_back))
        for each in hosts.values()
        if each.falls_back and each.falls_back not in hosts
    )
    if problems:
        raise ReplyError(*problems)
    return ReplyCatalogue(hosts, tuple(meanings.values()))


def _host(
    at: yamlstrict.FileLine, shape: _FileShape, hosts: dict[str, BouncingReceiver], problems: list[Detail]
) -> None:
    if shape.receiver == ANY:
        return
    problems.extend(at.problem(NO_CODE(code=code)) for code in shape.codes if parse_code(code) is None)
    known = hosts.get(shape.receiver)
    name: Mapping[str, str] | None = {"en": shape.name.en, "ja": shape.name.ja} if shape.name else None
    if name is None and known is None:
        problems.append(at.problem(NEEDS_NAME(receiver=shape.receiver)))
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


def _troubles(shape: _MeaningShape, rules: RuleSet) -> Iterable[Detail]:
    for code in (*shape.codes, *shape.not_with, *shape.sure_with):
        if parse_code(code) is None:
            yield NO_CODE(code=code)
    for says in shape.says:
        if not re.search(r"\w\w", says) or len(says) > MAX_SAYS:
            yield SAYS_TOO_LITTLE(text=says, n=MAX_SAYS)
    if not shape.codes and not shape.says:
        yield NEEDS_CODES()
    for rule in shape.rules or ():
        if rule not in rules.rules:
            yield NO_RULE(rule=rule)
    for ref in shape.sources:
        if ref.ref not in rules.sources:
            yield NO_SOURCE(name=ref.ref)
    if len(shape.text.en.do) != len(shape.text.ja.do):
        yield STEPS_DIFFER(en=len(shape.text.en.do), ja=len(shape.text.ja.do))


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
