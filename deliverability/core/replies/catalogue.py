"""Reads rules/replies/*.yaml: what replies mean.

The shape is that of ReplyFile, names are checked by the rules. Every problem is told with file and line.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from deliverability.core import yaml as yamlstrict
from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.errors import FilesError
from deliverability.core.model.replies import ANY, BouncingReceiver, Meaning, ReplyCatalogue, ReplyFile
from deliverability.core.model.rules import RuleSet
from deliverability.core.model.schema import nearest
from deliverability.core.replies.match import fold, parse_code
from deliverability.core.yaml import DEFINED, NO_RULE, NO_SOURCE, STEPS_DIFFER, FileLine, read_shape

FOLDER = "replies"
MAX_SAYS = 300
_ALTERNATIVES = re.compile(r"(\{[^{}]*\})")


NO_CODE = Code("reply-no-code", ("code",))
NEEDS_NAME = Code("reply-needs-name", ("receiver",))
SAYS_TOO_LITTLE = Code("reply-says", ("text", "n"))
NEEDS_CODES = Code("reply-needs-codes")
NO_FALL_BACK = Code("reply-no-fall-back", ("receiver",))


class ReplyError(FilesError):
    """Reply files that cannot be used."""


def load_replies(folders: Iterable[Path], rules: RuleSet) -> ReplyCatalogue:
    """Read ``replies/*.yaml`` of every folder; a later meaning or host of the same id replaces an earlier one.

    Receivers of `rules` are known by their MX hosts and domains even without a file here.

    Raises ReplyError with every problem.
    """
    hosts = {
        receiver.id: BouncingReceiver(receiver.id, receiver.name, receiver.mx_suffixes, receiver.domains)
        for receiver in rules.receivers.values()
    }
    meanings: dict[str, Meaning] = {}
    problems: list[Detail] = []
    for folder in folders:
        taken: dict[str, FileLine] = {}
        files: dict[str, FileLine] = {}
        for path in sorted((folder / FOLDER).glob("*.yaml")):
            document = yamlstrict.read_file(path, problems)
            file = read_shape(document, ReplyFile, problems) if document else None
            if document is None or file is None:
                continue
            at = document.at()
            if file.id in files:
                problems.append(at.problem(DEFINED(name=file.id, place=str(files[file.id]))))
                continue
            files[file.id] = at
            _host(at, file, hosts, problems)
            for index, each in enumerate(file.replies):
                where = document.at("replies", index)
                if each.id in taken:
                    problems.append(where.problem(DEFINED(name=each.id, place=str(taken[each.id]))))
                    continue
                taken[each.id] = where
                problems.extend(where.problem(detail, each.id) for detail in _troubles(each, rules))
                wordings = _written_out(each.says)
                meanings[each.id] = replace(
                    each,
                    receiver=file.id,
                    says=wordings,
                    gapped=tuple(one for one in wordings if "…" in one or one.endswith("$")),
                    not_says=_written_out(each.not_says),
                )
    problems.extend(
        ABOUT(what=each.id, detail=NO_FALL_BACK(receiver=each.falls_back))
        for each in hosts.values()
        if each.falls_back and each.falls_back not in hosts
    )
    if problems:
        raise ReplyError(*problems)
    return ReplyCatalogue(hosts, tuple(meanings.values()))


def _written_out(wordings: Iterable[str]) -> tuple[str, ...]:
    """Each wording, folded; of one with alternatives, ``{user|mailbox} not found``, all that it stands for."""
    found: list[str] = []
    for wording in wordings:
        parts = [each.strip("{}").split("|") for each in _ALTERNATIVES.split(wording)]
        found += (fold("".join(each)) for each in itertools.product(*parts))
    return tuple(dict.fromkeys(found))


def _host(at: FileLine, file: ReplyFile, hosts: dict[str, BouncingReceiver], problems: list[Detail]) -> None:
    if file.id == ANY:
        return
    problems.extend(at.problem(NO_CODE(code=code)) for code in file.codes if parse_code(code) is None)
    known = hosts.get(file.id)
    if not file.name and known is None:
        problems.append(at.problem(NEEDS_NAME(receiver=file.id)))
        return
    hosts[file.id] = BouncingReceiver(
        file.id,
        file.name or (known.name if known else {}),
        tuple(dict.fromkeys((*(known.hosts if known else ()), *file.hosts))),
        tuple(dict.fromkeys((*(known.domains if known else ()), *file.domains))),
        tuple(map(fold, file.marks)),
        file.codes,
        file.falls_back,
    )


def _troubles(meaning: Meaning, rules: RuleSet) -> Iterable[Detail]:
    for code in (*meaning.codes, *meaning.not_with, *meaning.sure_with):
        if parse_code(code) is None:
            yield NO_CODE(code=code)
    for says in (*meaning.says, *meaning.not_says):
        if not re.search(r"\w\w", says) or len(says) > MAX_SAYS:
            yield SAYS_TOO_LITTLE(text=says, n=MAX_SAYS)
    if not meaning.codes and not meaning.says:
        yield NEEDS_CODES()
    for rule in meaning.rules or ():
        if rule not in rules.rules:
            yield nearest(NO_RULE(rule=rule), rule, rules.rules)
    for source in meaning.sources:
        if source.ref not in rules.sources:
            yield nearest(NO_SOURCE(name=source.ref), source.ref, rules.sources)
    en, ja = (len(meaning.text[lang].do) for lang in ("en", "ja"))
    if en != ja:
        yield STEPS_DIFFER(en=en, ja=ja)
