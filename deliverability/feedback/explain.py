"""From octets to an explanation: find the replies, name the receiver, look up the meaning, count equal ones."""

from __future__ import annotations

from msgspec.structs import replace

from deliverability.feedback.match import meaning_of, receiver_of, rules_behind, wording_of
from deliverability.feedback.notice import NoticeContent, find
from deliverability.model.replies import About, Explained, Explanation, Reply, ReplyCatalogue
from deliverability.model.rules import RuleSet

MAX_KINDS = 100
_RECIPIENTS_KEPT = 10


def explain(data: bytes, catalogue: ReplyCatalogue, rules: RuleSet, receiver: str = "") -> Explanation:
    """Explain every reply in `data`: a reply, log lines, JSON, a message or a mailbox. Never raises for any octets.

    `receiver`, an id, counts where the user knows better than the text tells.
    """
    found = find(data)
    replies = told(found, catalogue)
    kinds: dict[tuple[str, str, str, str, str], Explained] = {}
    more = found.more
    seen: dict[tuple[str, Reply], Explained] = {}
    for reply in replies:
        # Logs repeat the same words thousands of times; only the recipient differs, of whom the domain may count.
        same = (reply.recipient.rpartition("@")[2], replace(reply, recipient=""))
        explained = seen.get(same) or _one(reply, catalogue, rules, receiver)
        seen[same] = explained
        meaning = explained.meaning.id if explained.meaning else reply.text
        key = (explained.receiver, meaning, reply.code, reply.enhanced, "" if reply.code else reply.status)
        if key in kinds:
            kinds[key] = _again(kinds[key], reply)
        elif len(kinds) < MAX_KINDS:
            kinds[key] = explained
        else:
            more += 1
    problem = "" if kinds else found.problem or "text"
    return Explanation(
        found.kind, tuple(kinds.values()), problem, found.sender_domain, more, catalogue.hosts, found.cut
    )


def told(found: NoticeContent, catalogue: ReplyCatalogue) -> tuple[Reply, ...]:
    """The replies of an input; where no code or status says anything, the words that the catalogue knows."""
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
    if reply.recipient and reply.recipient not in recipients and len(recipients) < _RECIPIENTS_KEPT:
        recipients = (*recipients, reply.recipient)
    return replace(known, count=known.count + 1, recipients=recipients)
