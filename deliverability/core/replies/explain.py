"""From octets to an explanation: find the replies, name the receiver, look up the meaning, count equal ones.

Meanings are read from rules/replies/*.yaml. The shape is that of ReplyFile, names are checked by the rules. Every
problem is told with file and line.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec.structs import replace

from deliverability.core import yaml as yamlstrict
from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.errors import FilesError
from deliverability.core.model.replies import (
    ANY,
    About,
    BouncingReceiver,
    Explained,
    Explanation,
    Meaning,
    PileSums,
    Reply,
    ReplyCatalogue,
    ReplyFile,
)
from deliverability.core.model.rules import RuleSet
from deliverability.core.model.schema import nearest
from deliverability.core.replies.match import fold, meaning_of, parse_code, receiver_of, rules_behind, wording_of
from deliverability.core.replies.notice import NoticeContent, find
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


MAX_KINDS = 100
MAX_KINDS_OF_PILE = 1_000
_MOST_SEEN = 50_000
_MOST_RECIPIENTS = 10


def explain(data: bytes, catalogue: ReplyCatalogue, rules: RuleSet, receiver: str = "") -> Explanation:
    """Explain every reply in `data`: a reply, log lines, JSON, a message or a mailbox. Never raises for any octets.

    `receiver`, an id, counts where the user knows better than the text tells.
    """
    found = find(data)
    kinds = _Kinds(catalogue, rules, receiver, MAX_KINDS)
    kinds.take(replies_of(found, catalogue))
    replies = kinds.all()
    problem = "" if replies else found.problem or "text"
    more = found.more + kinds.more
    return Explanation(found.kind, replies, problem, found.sender_domain, more, catalogue.hosts, found.cut)


class Pile:
    """Many bounces, one after the other, added up; none of them is held."""

    def __init__(self, catalogue: ReplyCatalogue, rules: RuleSet, receiver: str = "") -> None:
        self._catalogue = catalogue
        self._kinds = _Kinds(catalogue, rules, receiver, MAX_KINDS_OF_PILE)
        self._silent: Counter[str] = Counter()
        self._items = self._unread = self._more = 0
        self._cut = False
        self._sender = ""

    def add(self, data: bytes) -> None:
        """Take one file or mail. Never raises for any octets."""
        found = find(data)
        replies = replies_of(found, self._catalogue)
        self._items += 1
        self._more += found.more
        self._cut |= found.cut
        self._sender = self._sender or found.sender_domain
        if replies:
            self._kinds.take(replies)
        else:
            self._silent[found.problem or "text"] += 1

    def lost(self) -> None:
        """Something could not be read."""
        self._unread += 1

    def explanation(self) -> Explanation:
        """What they mean, the most frequent kind first."""
        replies = tuple(sorted(self._kinds.all(), key=lambda each: -each.count))
        problem = "" if replies else max(self._silent, key=self._silent.__getitem__, default="empty")
        more = self._more + self._kinds.more
        sums = PileSums(self._items, dict(self._silent), self._unread)
        return Explanation("pile", replies, problem, self._sender, more, self._catalogue.hosts, self._cut, sums)


class _Kinds:
    """Explains replies, and counts those that are the same."""

    def __init__(self, catalogue: ReplyCatalogue, rules: RuleSet, receiver: str, most: int) -> None:
        self._catalogue, self._rules, self._receiver, self._most = catalogue, rules, receiver, most
        self._kinds: dict[tuple[str, str, str, str, str], Explained] = {}
        self._seen: dict[tuple[str, Reply], Explained] = {}
        self.more = 0

    def take(self, replies: Sequence[Reply]) -> None:
        for reply in replies:
            # Logs repeat the same words thousands of times; only the recipient differs, of whom the domain may count.
            same = (reply.recipient.rpartition("@")[2], replace(reply, recipient=""))
            explained = self._seen.get(same) or _one(reply, self._catalogue, self._rules, self._receiver)
            if len(self._seen) < _MOST_SEEN:
                self._seen[same] = explained
            meaning = explained.meaning.id if explained.meaning else reply.text
            key = (explained.receiver, meaning, reply.code, reply.enhanced, "" if reply.code else reply.status)
            if key in self._kinds:
                self._kinds[key] = _again(self._kinds[key], reply)
            elif len(self._kinds) < self._most:
                self._kinds[key] = explained
            else:
                self.more += 1

    def all(self) -> tuple[Explained, ...]:
        """In order of first sight."""
        return tuple(self._kinds.values())


def replies_of(found: NoticeContent, catalogue: ReplyCatalogue) -> tuple[Reply, ...]:
    """The replies; where they have no code and no status that says anything, the words that the catalogue knows."""
    if any(reply.code or reply.report or _says_something(reply) for reply in found.replies):
        return found.replies
    known = sorted(
        (notice for notice in found.notices if wording_of(notice, catalogue)),
        key=lambda notice: _tells_little(notice, catalogue),
    )
    if not known or any(wording_of(reply, catalogue) for reply in found.replies):
        return found.replies
    status = found.replies[0].status or found.replies[0].enhanced if found.replies else ""
    recipient = found.replies[0].recipient if found.replies else ""
    named = [replace(each, status=status, recipient=recipient or each.recipient) for each in known]
    # One notice says the same thing in several sentences and languages.
    return tuple(named[:1]) if len(found.replies) <= 1 and found.kind == "message" else tuple(named)


def _tells_little(notice: Reply, catalogue: ReplyCatalogue) -> bool:
    """Whether its wording leaves open what it is about: any other sentence of the notice comes first."""
    meaning, _ = meaning_of(notice, receiver_of(notice, catalogue)[0], catalogue)
    return meaning is None or meaning.about is About.UNKNOWN


def _says_something(reply: Reply) -> bool:
    """Whether the status tells more than a class of trouble (X.Y.0) or that time ran out (X.4.7)."""
    status = reply.enhanced or reply.status
    return bool(status) and not status.endswith((".0", ".4.7"))


def _one(reply: Reply, catalogue: ReplyCatalogue, rules: RuleSet, receiver: str) -> Explained:
    ident, known_by = (receiver, "option") if receiver else receiver_of(reply, catalogue)
    meaning, fit = meaning_of(reply, ident, catalogue)
    behind = rules_behind(reply, ident, meaning, fit, rules)
    return Explained(reply, ident, known_by, fit, meaning, behind, 1, (reply.recipient,) if reply.recipient else ())


def _again(known: Explained, reply: Reply) -> Explained:
    recipients = known.recipients
    if reply.recipient and reply.recipient not in recipients and len(recipients) < _MOST_RECIPIENTS:
        recipients = (*recipients, reply.recipient)
    return replace(known, count=known.count + 1, recipients=recipients)
