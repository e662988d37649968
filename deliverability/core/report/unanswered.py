"""Questions to DNS that got no answer, in words: which, why, and how to get one."""

from __future__ import annotations

from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.model.answer import ReportAnswer
from deliverability.core.phrases import Phrases
from deliverability.core.words.sentences import visible

_SHOWN = 3
_NOBODY_ASKED = {"not-recorded": "not-recorded", "offline": "not-asked"}
_UNASKED = ("offline", "not-recorded", "not-asked")


def unanswered(answer: ReportAnswer, say: Phrases) -> str:
    """The questions without an answer and the way to get one, in one line. A reason that all share is told once."""
    shared = _shared_reason(answer)
    shown = []
    for each in answer.unanswered[:_SHOWN]:
        reason = "" if shared else say("unanswered.why", reason=say(f"reason.{_reason_of(each.unknown)}"))
        shown.append(say("unanswered.one", type=each.type, name=visible(each.name)) + reason)
    if not shown:
        return ""
    names = say("value.separator").join(shown)
    if len(answer.unanswered) > len(shown):
        names += say("value.more", n=str(len(answer.unanswered) - len(shown)))
    lead = say.count("unanswered.lead", len(answer.unanswered))
    why = say("unanswered.why", reason=say(f"reason.{shared}")) if shared else ""
    again = shared if shared in (*_UNASKED, Reason.UNTOLD) else "again"
    return lead + say("punctuation.aside", text=names) + why + say(f"unanswered.{again}")


def _shared_reason(answer: ReportAnswer) -> str:
    """Why none of the questions has an answer; empty where that is not the same for all."""
    reasons = {_reason_of(each.unknown) for each in answer.unanswered}
    return reasons.pop() if len(reasons) == 1 else ""


def was_asked(answer: ReportAnswer) -> bool:
    """Whether anybody was asked at all: not so with the network shut off or a recording at hand."""
    return _shared_reason(answer) not in _UNASKED


def unreached(answer: ReportAnswer, domain: str, say: Phrases, *, message: bool) -> str:
    """That nothing was answered, and why; `message`: a message was read all the same."""
    shared = _shared_reason(answer)
    why = say(f"lead.unreached-{shared}", domain=domain) if shared in _UNASKED else say("lead.unreached")
    return why + say("lead.nothing-of-dns" if message else "lead.nothing")


def unreached_hint(answer: ReportAnswer, domain: str, say: Phrases) -> str:
    """What to do where nothing was answered."""
    shared = _shared_reason(answer)
    return say(f"lead.hint-{shared if shared in _UNASKED else 'unreached'}", domain=domain)


def _reason_of(unknown: Unknown) -> str:
    """Why there is no answer: as its reason, but what nobody was asked is told by where the answers came from."""
    detail = unknown.detail
    return _NOBODY_ASKED.get(detail.code, unknown.reason.value) if detail else unknown.reason.value
