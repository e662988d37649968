"""From octets to an explanation: find the replies, name the receiver, look up the meaning, count equal ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from deliverability.core.model.replies import About, Explained, Explanation, PileSums, Reply, ReplyCatalogue
from deliverability.core.model.rules import RuleSet
from deliverability.core.replies.match import meaning_of, receiver_of, rules_behind, wording_of
from deliverability.core.replies.notice import NoticeContent, find

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
