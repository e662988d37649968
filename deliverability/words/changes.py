"""What became of a DNS record, in a few words: for a headline, a row of the history, a line of the weekly mail."""

from __future__ import annotations

from deliverability.model.evidence import is_absence, texts
from deliverability.model.history import RecordChange
from deliverability.words.phrases import Phrases
from deliverability.words.sentences import shortened, visible

_TERM = 60


def record_news(change: RecordChange, domain: str, say: Phrases) -> str:
    """Of an audited domain: ``DMARC record is gone``, ``MX of x.example changed``."""
    what = _what(change, domain, say)
    if change.removed or is_absence(change.new):
        return say("changes.gone", what=what)
    if is_absence(change.old):
        return say("changes.there", what=what)
    old, new = (" ".join(texts(lines)).split() for lines in (change.old, change.new))
    out, come = ([term for term in one if term not in other] for one, other in ((old, new), (new, old)))
    for key, terms, others in (("out", out, come), ("come", come, out)):
        if len(terms) == 1 and not others and len(terms[0]) <= _TERM:
            return say(f"changes.{key}", what=what, term=visible(terms[0].rstrip(";")))
    if len(out) == len(come) == 1 and len(out[0]) + len(come[0]) <= _TERM:
        before, after = (visible(term.rstrip(";")) for term in (out[0], come[0]))
        return say("changes.other", what=what, before=before, after=after)
    return say("changes.changed", what=what)


def _what(change: RecordChange, domain: str, say: Phrases) -> str:
    """The record by what it is for; a plain TXT record by its name."""
    rdtype, _, name = change.asked.partition(" ")
    text = " ".join((*texts(change.old), *texts(change.new))).lower()
    shown = visible(shortened(name, _TERM))
    if rdtype == "TXT" and name.startswith("_dmarc."):
        return say("changes.dmarc")
    if rdtype == "TXT" and "._domainkey." in name:
        return say("changes.key", selector=visible(shortened(name.partition("._domainkey.")[0], _TERM)))
    if rdtype == "TXT" and "v=spf1" in text:
        return say("changes.spf") if name == domain else say("changes.spf-of", name=shown)
    return say("changes.record", type=visible(rdtype), name=shown)
