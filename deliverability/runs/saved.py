"""The facts of one subject as JSON, which `deliv facts` and fleets keep and `deliv judge` reads."""

from __future__ import annotations

from typing import Any

from deliverability.inputs import Sample, Subject
from deliverability.model.codec import decode_facts, encode_facts
from deliverability.model.facts import FactSet, Unknown
from deliverability.runs.engine import Audited


def document_of(audited: Audited) -> dict[str, Any]:
    """The document of what was gathered: ``{"subject": {...}, "facts": {...}, "evidence": [...]}``."""
    subject = {
        "domain": audited.subject.domain,
        "message": audited.subject.message_name or None,
        "started": audited.started,
        "sources": list(audited.sources),
    }
    return {"subject": subject, **encode_facts(audited.facts)}


def audited_of(document: Any) -> Audited:
    """What was gathered, from its document. Raises ValueError, and RecursionError where it is nested too deep."""
    facts = decode_facts(document)
    about = document.get("subject") if isinstance(document.get("subject"), dict) else {}
    domain = about.get("domain") or facts.value("subject.domain")
    message = str(about.get("message") or "")
    sources = about.get("sources")
    return Audited(
        Subject(domain if isinstance(domain, str) else "", Sample(message) if message else None),
        facts,
        str(about.get("started") or ""),
        tuple(str(each) for each in sources) if isinstance(sources, list) else (),
    )


def has_failures(facts: FactSet) -> bool:
    """Whether a fact is unknown, though all that it needs was given, because a look-up failed."""
    unknown = {value.reason for fact in facts if isinstance(value := fact.value, Unknown)}
    return not all(reason.waits_for_input for reason in unknown)
