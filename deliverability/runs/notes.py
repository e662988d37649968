"""The notes of a report: plain remarks about the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deliverability.model.codes import SENT_TO_YOURSELF
from deliverability.model.facts import FactSet, Reason, Unknown, records_of, texts_of
from deliverability.model.report import Note


def notes_on(domain: str, facts: FactSet, started: str, sources: Sequence[str]) -> tuple[Note, ...]:
    """What has to be said about the run beside the findings.

    Args:
        domain: that was audited; empty: none could be.
        facts: what was found.
        started: when.
        sources: where answers came from, as the report names them.

    """
    notes: list[Note] = []
    author = facts.value("message.from_domain")
    if not domain:
        notes.append(Note("no-author-domain"))
    elif isinstance(author, str) and author != domain and not author.endswith(f".{domain}"):
        notes.append(Note("author-domain-differs", {"author": author, "domain": domain}))
    elif author is None:
        notes.append(Note("no-from", {"domain": domain}))
    if facts.value("domain.exists") is False:
        notes.append(Note("domain-nonexistent", {"domain": domain}))
    if facts.value("message.present") is False:
        if facts.value("subject.parked") is not True:  # it sends none that could be shown
            notes.append(Note("no-message"))
    else:
        notes.extend(_envelope_notes(facts))
        notes.extend(_recorded_notes(facts))
    if facts.value("message.nesting_limited") is True:
        notes.append(Note("nesting-limited"))
    published = facts.value("dkim.published")
    silent = facts.value("spf.sends_nothing") is True and not facts.value("message.present")
    if domain and not silent and isinstance(published, Unknown) and published.reason is Reason.NOT_FOUND:
        notes.append(Note("probes-missed"))
    asked = [str(each["name"]) for each in records_of(facts.value("blocklists.lists")) if each.get("asked")]
    if asked:
        notes.append(Note("blocklists", {"lists": tuple(asked)}))
    if "replay" in sources:
        notes.append(Note("replayed", {"date": started}))
    if "zone" in sources:
        notes.append(Note("zone-only"))
    if "with" in sources:
        notes.append(Note("with-proposals"))
    return tuple(notes)


def _recorded_notes(facts: FactSet) -> Iterator[Note]:
    """What the receiver of the message recorded, and where our own result is another one, the likely reason."""
    results = {method: facts.at(f"recorded.{method}") for method in ("spf", "dkim", "dmarc", "compauth")}
    stated = " ".join(f"{method}={result}" for method, result in results.items() if isinstance(result, str))
    by = facts.value("recorded.by")
    if not stated or not isinstance(by, str):
        return
    yield Note("recorded", {"by": by, "results": stated})
    for each in records_of(facts.value("recorded.differences")):
        method = str(each["method"]).upper()
        values = {"by": by, "method": method, "recorded": each["recorded"], "ours": each["ours"]}
        yield Note(f"recorded-differs-{each['reason']}", values)


def _envelope_notes(facts: FactSet) -> list[Note]:
    """Which envelope and connecting hop the audit used, and where it read them."""
    notes: list[Note] = []
    for name in ("mail_from", "ip", "helo"):
        value = facts.at(f"envelope.{name}")
        source = facts.at(f"envelope.{name}_source")
        if isinstance(value, str) and isinstance(source, str):
            shown = value or "<>"
            notes.append(Note(f"envelope-{name.replace('_', '-')}", {"value": shown, "source": source}))
    address = facts.value("envelope.ip")
    if texts_of(facts.value("envelope.passed_on_signs")):
        last, by = facts.value("envelope.connecting_ip"), facts.value("envelope.passed_on_by")
        notes.append(Note("passed-on", {"by": by or last, "ip": address, "last": last}))
    if isinstance(address, Unknown) and SENT_TO_YOURSELF.matches(address.detail):
        notes.append(Note("sent-to-yourself"))
    return notes
