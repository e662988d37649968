"""Which DNS records (and other evidence) are not what they were, whose they are, and what was removed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from deliverability.model.evidence import aliases, is_failure, texts
from deliverability.model.facts import Evidence, EvidenceKind, EvidenceLine, FactSet
from deliverability.model.history import Cause, RecordChange, RecordKind
from deliverability.model.names import is_within

_OF_MESSAGE = (EvidenceKind.HEADER, EvidenceKind.MIME)


class Owner:
    """Whose a piece of evidence is: the domain's own, a vendor's, or the message's."""

    def __init__(self, domain: str, facts: FactSet) -> None:
        organizational = facts.value("dmarc.organizational_domain")
        self._own = {domain} | ({organizational} if isinstance(organizational, str) else set())

    def cause(self, ident: str, *sets: FactSet) -> Cause:
        """Who changed the evidence of this id."""
        item = next((facts.evidence[ident] for facts in sets if ident in facts.evidence), None)
        if item is None:
            return Cause.UNCLEAR
        if item.kind in _OF_MESSAGE:
            return Cause.MAIL
        if item.kind is EvidenceKind.DNS:
            name = item.asked.partition(" ")[2]
            chains = [_chain(facts.evidence[ident]) for facts in sets if ident in facts.evidence]
            if chains[0] and all(chain == chains[0] for chain in chains):
                name = chains[0][-1]  # the alias stands as it did: what it leads to changed
            return Cause.OWN_DNS if self._is_own(name) else Cause.VENDOR
        return Cause.OWN_DNS if any(each in item.asked for each in self._own) else Cause.VENDOR

    def _is_own(self, name: str) -> bool:
        plain = name.rstrip(".").lower()
        return any(is_within(plain, each) for each in self._own)


def _chain(item: Evidence) -> list[str]:
    return aliases(item.got)


def changed_records(old: FactSet, new: FactSet, owner: Owner) -> dict[str, RecordChange]:
    """Evidence that is not what it was, by id. What failed in either run says nothing; order does not count.

    A question that only one of the runs asked is told by what led to it, which changed as well; what the message
    carries is a change of its own.
    """
    changed: dict[str, RecordChange] = {}
    lost = failed(old) | failed(new)
    for ident in dict.fromkeys((*old.evidence, *new.evidence)):
        before, after = old.evidence.get(ident), new.evidence.get(ident)
        both = before is not None and after is not None
        of_message = (after or before or _NOTHING).kind in _OF_MESSAGE
        if ident in lost or not (both or of_message) or (after or before or _NOTHING).kind is EvidenceKind.REPORT:
            continue
        got = (before.got if before else (), after.got if after else ())
        if Counter(got[0]) != Counter(got[1]):
            asked = (after or before or _NOTHING).asked
            changed[ident] = RecordChange(asked, *got, owner.cause(ident, new, old), _removed(asked, *got))
    return changed


_NOTHING = Evidence("", EvidenceKind.DNS, "")


def failed(facts: FactSet) -> set[str]:
    """Ids of look-ups that failed."""
    return {item.id for item in facts.evidence.values() if is_failure(item.got)}


def is_dns(ident: str, *sets: FactSet) -> bool:
    """Whether the evidence of this id is an answer of DNS."""
    return any(ident in facts.evidence and facts.evidence[ident].kind is EvidenceKind.DNS for facts in sets)


def _removed(asked: str, old: Sequence[EvidenceLine], new: Sequence[EvidenceLine]) -> RecordKind | None:
    """The record that stood there and does not any more; another in its place is a change."""
    rdtype, _, name = asked.partition(" ")
    if rdtype != "TXT":
        return None
    if name.startswith("_dmarc."):
        kind, mark, likeness = RecordKind.DMARC, "v=dmarc1", "dmarc"
    elif "._domainkey." in name:
        kind, mark, likeness = RecordKind.KEY, "", "p="
    else:
        kind, mark, likeness = RecordKind.SPF, "v=spf1", "spf1"
    stood = any(each.lower().startswith(mark) and likeness in each.lower() for each in texts(old))
    # What resembles it was meant to be it: that record was spoilt, and findings of its own say how.
    return kind if stood and not any(likeness in each.lower() for each in texts(new)) else None
