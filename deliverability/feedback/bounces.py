"""Bounces: what became of the mail to each recipient that a notice of non-delivery is about (RFC 3464, or in words)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from deliverability.feedback.complaints import message_key, moment_of
from deliverability.feedback.explain import replies_of
from deliverability.feedback.notice import is_bounce, read_notice, status_parts
from deliverability.feedback.outcomes import Outcomes, why_of
from deliverability.feedback.text import MAX_TEXT
from deliverability.feedback.values import domain_of
from deliverability.mail.reader import Message
from deliverability.model.deliveries import DeliveryEvent, DeliveryOrigin
from deliverability.model.replies import Reply

_ACTION = re.compile(r"^action[ \t]*:[ \t]*([a-z]{1,20})", re.I | re.M)
_ARRIVED = frozenset({"delivered", "relayed", "expanded"})
_TO_US = ("delivered-to", "x-original-to", "to")


def bounces_of(message: Message, outcomes: Outcomes) -> tuple[DeliveryEvent, ...] | None:
    """What became of the mail to each recipient; None where the message is no bounce. Never raises for any message.

    A notice whose words nobody knows still is one bounce.
    """
    parts = status_parts(message)
    if not parts and not is_bounce(message):
        return None
    actions = {each.lower() for part in parts for each in _ACTION.findall(part.text()[:MAX_TEXT])}
    if actions and actions <= _ARRIVED:
        return ()
    content = read_notice(message)
    if content.problem == "auto-reply":
        return None
    replies = [each for each in replies_of(content, outcomes.catalogue) if not each.report]
    if not replies and not parts and content.problem != "notice":
        return None
    sender, at = content.sender_domain or _returned_to(message), moment_of(message)
    found: list[DeliveryEvent] = []
    for reply in _one_each(replies) or (Reply(""),):
        outcome = outcomes.of(reply, final=actions != {"delayed"})
        recipient = reply.recipient.lower()
        found.append(
            DeliveryEvent(
                outcome.result,
                at,
                DeliveryOrigin.BOUNCES,
                f"{message_key(message, recipient)} {outcome.result.value}",
                sender,
                outcome.receiver,
                outcome.meaning,
                recipient,
                why_of(outcome.result, outcome.why),
            )
        )
    return tuple(found)


def _one_each(replies: Sequence[Reply]) -> list[Reply]:
    """One reply for each recipient: the first that has a code, else the first; those of nobody only where all are."""
    best: dict[str, Reply] = {}
    for each in replies:
        name = each.recipient.lower()
        if name not in best or (each.code and not best[name].code):
            best[name] = each
    if len(best) > 1:
        best.pop("", None)
    return list(best.values())


def _returned_to(message: Message) -> str:
    """The domain that the bounce was sent to, which is that of MAIL FROM."""
    fields = (message.first(name) for name in _TO_US)
    return next((domain for each in fields if each and (domain := domain_of(each.value))), "")
