"""The contact pack as text, Markdown, a page and JSON."""

from __future__ import annotations

from typing import Any

from deliverability.model.codec import json_text, printable
from deliverability.model.contacts import PACK_SCHEMA, ContactPack
from deliverability.render.answer import Json
from deliverability.render.html import CONTENT_SECURITY_POLICY, style_sheet
from deliverability.render.markdown import block, plain
from deliverability.render.paper import Paper
from deliverability.render.templates import environment
from deliverability.view.contact import ContactView
from deliverability.words.phrases import Phrases, phrases


def contact_text(view: ContactView, paper: Paper) -> str:
    """For a terminal: the letter stands as it is, to be copied."""
    lines = [paper.ink(view.title, "bold"), "", *paper.hang(view.lead, f"{paper.symbol(view.tone)} ")]
    for section in view.sections:
        lines += paper.heading(section.title)
        for text in section.paragraphs:
            lines += paper.step(text.replace("`", ""), "")
        for item in section.items:
            lines += paper.step(item.replace("`", ""), f"{paper.symbol('bullet')} ")
        if section.copy:
            lines += ["", *section.copy]
    return paper.text(lines)


def contact_markdown(view: ContactView) -> str:
    """For a ticket or a file."""
    parts = [f"# {plain(view.title)}", plain(view.lead)]
    for section in view.sections:
        parts.append(f"## {plain(section.title)}")
        parts += [plain(text) for text in section.paragraphs]
        if section.items:
            parts.append("\n".join(f"- {plain(item)}" for item in section.items))
        if section.copy:
            parts.append(block(section.copy))
    return "\n\n".join(parts) + "\n"


def contact_page(view: ContactView, lang: str) -> str:
    """A page of its own."""
    page: str = (
        environment()
        .get_template("contact.html")
        .render(say=phrases(lang), lang=lang, view=view, css=style_sheet(), policy=CONTENT_SECURITY_POLICY)
    )
    return page


def contact_json(pack: ContactPack, view: ContactView, say: Phrases) -> str:
    """The pack with its values, and the words."""
    contact = pack.contact
    shape: dict[str, Json] = {
        "schema_version": PACK_SCHEMA,
        "lang": say.lang,
        "domain": pack.domain,
        "receiver": contact.receiver,
        "channel": contact.channel.value,
        "address": contact.address,
        "language": contact.language,
        "asks": [each.value for each in contact.asks],
        "scope": list(contact.scope),
        "conditions": list(contact.conditions),
        "confidence": contact.confidence.value,
        "lead": view.lead,
        "first": [{"rule": each.rule, "item": printable(each.item) or None} for each in pack.first],
        "unchecked": [{"rule": each.rule, "item": printable(each.item) or None} for each in pack.unchecked],
        "waiting": list(pack.waiting),
        "hosts": [
            {
                "ip": each.ip,
                "name": printable(each.name) if each.name else None,
                "known_by": [origin.value for origin in each.known_by],
            }
            for each in pack.hosts
        ],
        "replies": [
            {
                "text": printable(each.text),
                "count": each.count,
                "first": _iso(each.first),
                "last": _iso(each.last),
                "meaning": each.meaning or None,
            }
            for each in pack.replies
        ],
        "of_recipients": pack.of_recipients,
        "days": {day.isoformat(): count for day, count in pack.days.items()},
        "started": _iso(pack.started),
        "mended": [{"rule": rule, "day": day.isoformat()} for rule, day in pack.mended],
        "letter": {"subject": view.subject, "text": "\n".join(view.message)} if view.message else None,
    }
    return json_text(shape, indent=2) + "\n"


def _iso(when: Any) -> str | None:
    return when.isoformat() if when is not None else None
