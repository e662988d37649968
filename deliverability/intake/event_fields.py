"""What readers of events share: the fields of a JSON object, and the words of a receiver in one of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from deliverability.core.model.deliveries import DeliveryEvent, DeliveryOrigin, DeliveryResult
from deliverability.core.model.replies import Reply
from deliverability.core.replies.outcomes import MailOutcome, Outcomes, why_of
from deliverability.core.replies.text import field_reply, folded

_MAX_RECIPIENTS = 1_000
_MAX_WORDS = 2_000
_MAX_CAMPAIGNS = 3
_MAX_NAME = 60


class Heard(Struct, frozen=True):
    """What the receiver's words tell of a mail; `known`: they tell something at all."""

    outcome: MailOutcome
    known: bool

    @property
    def result(self) -> DeliveryResult | None:
        """What became of the mail; None where the words do not tell."""
        return self.outcome.result if self.known else None


def heard_of(
    outcomes: Outcomes, words: str, status: str, recipient: str, *, final: bool = True, host: str = ""
) -> Heard:
    """What the receiver's words tell."""
    text = words.partition(";")[2] if words.lower().startswith("smtp;") else words
    reply = field_reply(text[:_MAX_WORDS]) or Reply(folded(text[:_MAX_WORDS]))
    status = status if status[:2] in ("4.", "5.") else ""
    reply = Reply(
        reply.text, reply.code, reply.enhanced, reply.status or status, reply.host or host, recipient, reply.command
    )
    outcome = outcomes.of(reply, final=final)
    return Heard(outcome, bool(reply.code or reply.enhanced or outcome.meaning))


def event_of(
    origin: DeliveryOrigin,
    result: DeliveryResult,
    at: int | None,
    ident: str,
    sender: str,
    outcome: MailOutcome,
    to: str,
    campaigns: tuple[str, ...] = (),
) -> DeliveryEvent:
    """An event; `ident`: what names the mail at the service; `outcome`: its receiver, and the meaning of its reply."""
    key = f"{ident} {to} {result.value}"
    why = why_of(result, outcome.why)
    return DeliveryEvent(result, at, origin, key, sender, outcome.receiver, outcome.meaning, to, why, campaigns)


def text_of(keys: Any, name: str) -> str:
    """The text under a name; empty where there is none."""
    value = keys.get(name) if isinstance(keys, dict) else None
    return value[:_MAX_WORDS] if isinstance(value, str) else ""


def list_of(keys: dict[str, Any], name: str) -> list[Any]:
    """The array under a name; empty where there is none."""
    value = keys.get(name)
    return value[:_MAX_RECIPIENTS] if isinstance(value, list) else []


def recipients_of(keys: dict[str, Any], name: str) -> Iterator[str]:
    """The addresses in an array of objects."""
    for each in list_of(keys, name):
        if isinstance(each, dict) and (address := bare(text_of(each, "emailAddress"))):
            yield address


def bare(address: str) -> str:
    """An address without name and brackets, in lower case."""
    return address[:500].rpartition("<")[2].partition(">")[0].strip().lower()


def campaigns_of(*values: Any) -> tuple[str, ...]:
    """The names that a sender gave a mailing, out of texts, numbers, lists of them, and pairs of name and value.

    Who put an address into one has named a recipient: that is left out.
    """
    found: dict[str, None] = {}
    for value in values:
        for each in value[:_MAX_CAMPAIGNS] if isinstance(value, list) else [value]:
            text = each.get("value") or each.get("name") if isinstance(each, dict) else each
            text = str(text) if isinstance(text, (str, int)) and not isinstance(text, bool) and text else ""
            shown = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in text[:_MAX_WORDS])
            name = " ".join(shown.split())
            if name and "@" not in name:
                found[name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"] = None
    return tuple(found)[:_MAX_CAMPAIGNS]
