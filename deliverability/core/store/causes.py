"""Which records are not what they were, and why a finding or a verdict is not what it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from deliverability.core.facts.base import (
    Evidence,
    EvidenceKind,
    EvidenceLine,
    FactSet,
    Record,
    Unknown,
    Value,
    aliases,
    is_failure,
    records_of,
    texts,
)
from deliverability.core.facts.dkim import Dkim
from deliverability.core.facts.dmarc import DmarcDiscovery
from deliverability.core.facts.domain import AcceptedFinding, Declared, Senders
from deliverability.core.facts.spf import Spf
from deliverability.core.facts.traffic import Traffic
from deliverability.core.model.history import Cause, RecordChange, RecordKind, Snapshot
from deliverability.core.model.report import FactChange, Finding, Verdict
from deliverability.core.model.rules import OF_DATE, Rule
from deliverability.core.model.topic import if_known, path_of
from deliverability.core.names import is_within
from deliverability.core.store.texts import TEXTS

_OF_MESSAGE = (EvidenceKind.HEADER, EvidenceKind.MIME)


class Owner:
    """Whose a piece of evidence is: the domain's own, a vendor's, or the message's."""

    def __init__(self, domain: str, facts: FactSet) -> None:
        organizational = facts.of(DmarcDiscovery).organizational_domain
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


_OF_INPUT = "subject."
_OF_ITEM = "item."
_OF_REPORTS = ("traffic.", "volume.", "deliveries.", "tls_reports.")
# What tells whose a source is, besides the reports.
_OF_STANDING = (path_of(Spf, "tree"), path_of(Dkim, "keys"), path_of(Senders, "services"))
_SOURCES = path_of(Traffic, "sources")
# What the user says of sources and rare mail: only kept of runs that read reports.
_OF_SOURCES = frozenset({"sources", "rare"})
_OF_OTHER_DOMAINS = "item.same_as"  # what the history tells of the user's other domains
# Which rules and receivers are judged; nothing is looked up because of them.
_OF_JUDGING = ("receivers", "select", "ignore")
# Topics of which DNS, servers and settings tell.
_NOT_OF_MESSAGE = (
    *("bimi.", "dane.", "dkim.keys", "dkim.published", "dmarc.", "dnssec.", "domain.", "mx.", "senders."),
    *("spf.", "subject.", "tls_rpt.", "mta_sts.", "transport."),
)
# Lists whose item of the audited domain says the same as facts of their own.
_SAME_AS = {"spf.identities": "spf"}


class Judged(Struct, frozen=True):
    """What facts were judged to be: findings by fingerprint, verdicts by receiver."""

    findings: Mapping[str, Finding] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)

    @classmethod
    def of(cls, findings: Iterable[Finding], verdicts: Iterable[Verdict] = ()) -> Judged:
        """From the lists that judging gives."""
        return cls({each.fingerprint: each for each in findings}, {each.receiver: each for each in verdicts})


class Trials(Protocol):
    """Judges the subject of today again with some of the changed records as they were."""

    def behind(self, seen: Callable[[Judged], Hashable]) -> frozenset[str]:
        """The evidence ids of the DNS records whose change makes `seen` what it is today; empty: none does."""
        ...


class Background(Struct, frozen=True):
    """All that the causes of one comparison are found in.

    Attributes:
        old, new: the snapshots.
        ruled: the old facts under the new rules, with the settings as they were, where these are known.
        settled: as `ruled`, with the settings of today; the same where these did not change.
        records: evidence that changed, by id.
        rules: of today, by id.
        trials: proves which records made a difference; None where the subject cannot be audited again.

    """

    old: Snapshot
    new: Snapshot
    ruled: Judged
    settled: Judged
    records: Mapping[str, RecordChange]
    rules: Mapping[str, Rule]
    trials: Trials | None = None

    def proved(self, seen: Callable[[Judged], Hashable]) -> Mapping[str, RecordChange] | None:
        """The DNS records that were proved to make a difference, by evidence id; None: nothing could be tried."""
        if self.trials is None:
            return None
        behind = self.trials.behind(seen)
        return {ident: each for ident, each in self.records.items() if ident in behind}

    @property
    def other_rules(self) -> bool:
        """Whether other rules judged."""
        return self.old.rules_digest != self.new.rules_digest

    @property
    def other_settings(self) -> bool:
        """Whether the user says something else about the domain."""
        return any(name not in _OF_JUDGING for name in other_settings(self.old, self.new))

    def of_any_record(self) -> tuple[Cause, ...]:
        """Whose all the evidence is that changed."""
        return tuple(dict.fromkeys(each.cause for each in self.records.values()))

    def behind_all(self) -> tuple[RecordChange, ...]:
        """The DNS records that what cites no record follows from: those that were removed, else all that changed."""
        changed = [each for ident, each in self.records.items() if is_dns(ident, self.new.facts, self.old.facts)]
        return tuple([each for each in changed if each.removed] or changed)

    def something_ended(self) -> bool:
        """Whether the end of something came since: of a signature, a waiver."""
        return _ended(self.old.facts) != _ended(self.new.facts)


def _ended(facts: FactSet) -> tuple[int, int]:
    """Signatures and waivers that ran out."""
    signatures, waivers = if_known(facts.of(Dkim).signatures) or (), if_known(facts.of(Declared).waivers) or ()
    return sum(each.expired is True for each in signatures), sum(each.expired for each in waivers)


def other_settings(old: Snapshot, new: Snapshot) -> tuple[str, ...]:
    """What the user says otherwise, by name."""
    names = [
        name
        for name in dict.fromkeys((*old.inputs, *new.inputs))
        if old.inputs.get(name) != new.inputs.get(name)
        and (name not in _OF_SOURCES or (name in old.inputs and name in new.inputs))
    ]
    # That a waiver ran out is not the user's doing.
    return (*names, "waivers") if waivers_of(old.facts) != waivers_of(new.facts) else tuple(names)


def waivers_of(facts: FactSet) -> list[AcceptedFinding]:
    """The waivers as the user wrote them."""
    return [replace(each, expired=False, used=None) for each in if_known(facts.of(Declared).waivers) or ()]


class Causes:
    """Why one finding changed."""

    def __init__(self, background: Background, finding: Finding) -> None:
        self._background = background
        self._finding = finding
        self._ruled = background.ruled.findings.get(finding.fingerprint)
        self._settled = background.settled.findings.get(finding.fingerprint)
        self._paths = [path for path in finding.observed if not path.startswith(_OF_ITEM)]
        cited = dict.fromkeys(finding.evidence)
        cited.update(dict.fromkeys(self._ruled.evidence if self._ruled else ()))
        for path in self._paths:
            for facts in (background.old.facts, background.new.facts):
                if fact := facts.facts.get(path):
                    cited.update(dict.fromkeys(fact.evidence))
        records = background.records
        self._records = {ident: records[ident] for ident in cited if ident in records}
        self._tried = False

    def prove(self, seen: Callable[[Finding], Hashable]) -> None:
        """Keep, of the DNS records behind the finding, those that were proved to matter for what `seen` takes from it.

        What is no answer of DNS cannot be tried. It counts only where no record was proved.
        """
        background, fingerprint = self._background, self._finding.fingerprint

        def of_finding(judged: Judged) -> Hashable:
            finding = judged.findings.get(fingerprint)
            return None if finding is None else seen(finding)

        proved = background.proved(of_finding)
        if proved is not None:
            shown = (background.new.facts, background.old.facts)
            others = {ident: each for ident, each in self._records.items() if not is_dns(ident, *shown)}
            self._records, self._tried = dict(proved) or others, True

    def records(self) -> tuple[RecordChange, ...]:
        """The evidence that the finding rests on and that is not what it was; texts of the message left out."""
        shown = (self._background.new.facts, self._background.old.facts)
        cited = tuple(each for ident, each in self._records.items() if is_dns(ident, *shown))
        if self._rests_on_reports():
            return tuple(dict.fromkeys((*cited, *self._behind_standing())))
        return cited or (() if self._tried or self._came_of_age() else self._background.behind_all())

    def facts(self) -> tuple[FactChange, ...]:
        """The facts that the finding looked at and that are not what they were; trees and lists left out."""
        old, new = self._background.old.facts, self._background.new.facts
        pairs = [(path, old.value(path), new.value(path)) for path in self._paths]
        before = self._ruled.observed if self._ruled else {}
        pairs += [
            (self._named(path), before[path], value)
            for path, value in self._finding.observed.items()
            if path.startswith(_OF_ITEM) and path in before
        ]
        return tuple(
            FactChange(path, before, after)
            for path, before, after in pairs
            if before != after and _plain(before) and _plain(after) and path not in TEXTS
        )

    def _named(self, path: str) -> str:
        """The path in the catalogue of a field of the item."""
        listed = self._listed()
        name = path.removeprefix(_OF_ITEM)
        own = _SAME_AS.get(listed)
        return f"{own}.{name}" if own and self._finding.item == self._background.new.domain else f"{listed}[].{name}"

    def of_records(self) -> tuple[Cause, ...]:
        """Whose the evidence is that changed and that the finding rests on."""
        return tuple(dict.fromkeys(each.cause for each in self._records.values()))

    def of_reports(self) -> tuple[Cause, ...]:
        """Of a finding on what receivers reported: records behind it, the user's word, the reports; else empty."""
        if not self._rests_on_reports():
            return ()
        causes = dict.fromkeys(self.of_records())
        causes.update(dict.fromkeys(each.cause for each in self._behind_standing()))
        old, new = (self._source(each.facts) for each in (self._background.old, self._background.new))
        settings = other_settings(self._background.old, self._background.new)
        if not _OF_SOURCES.isdisjoint(settings) and (not old or old.get("said") != new.get("said")):
            causes.setdefault(Cause.SETTINGS)
        return (*causes, Cause.TRAFFIC)

    def _rests_on_reports(self) -> bool:
        listed = self._listed()
        return any(path.startswith(_OF_REPORTS) for path in (*self._paths, *([listed] if listed else [])))

    def _behind_standing(self) -> tuple[RecordChange, ...]:
        """The records that may have made the source another one: that changed, where its standing did as well."""
        background = self._background
        old, new = (self._source(each.facts) for each in (background.old, background.new))
        if not old or not new or old.get("standing") == new.get("standing"):
            return ()
        cited = dict.fromkeys(
            ident
            for path in _OF_STANDING
            for each in (background.old, background.new)
            if (fact := each.facts.facts.get(path)) is not None
            for ident in fact.evidence
        )
        return tuple(background.records[ident] for ident in cited if ident in background.records)

    def _source(self, facts: FactSet) -> Mapping[str, Value]:
        """The source that it is about; empty: none."""
        if self._listed() != _SOURCES:
            return {}
        items = records_of(facts.value(_SOURCES))
        return next((each for each in items if each.get("key") == self._finding.item), {})

    def _listed(self) -> str:
        """The list of which it is about an item; empty: none."""
        rule = self._background.rules.get(self._finding.rule)
        return rule.each if rule and rule.each else ""

    def of(self, seen: Callable[[Finding], Hashable]) -> tuple[Cause, ...]:
        """The causes, the decisive one first, of what `seen` takes from the finding: its outcome, say."""
        background, now = self._background, seen(self._finding)
        if self._ruled is not None and seen(self._ruled) == now:
            # The facts as they were would be judged so today: the rules moved, not the domain. Where they did not
            # either, what is judged at all was chosen anew.
            if background.other_rules:
                return (Cause.RULES,)
            return (Cause.UNCLEAR,) if self._knew() else (Cause.SETTINGS,)
        if self._settled is not None and seen(self._settled) == now:
            return (Cause.SETTINGS,)
        if background.other_rules and self._looks_further():
            return (Cause.RULES,)
        if reported := self.of_reports():
            return reported
        self.prove(seen)
        causes = dict.fromkeys(self.of_records())
        if any(path.startswith(_OF_INPUT) for path in self._paths) and background.other_settings:
            causes.setdefault(Cause.SETTINGS)
        if causes:
            return tuple(causes)
        if background.other_settings:
            return (Cause.SETTINGS,)
        if _OF_OTHER_DOMAINS in self._finding.observed:
            return (Cause.OWN_DNS,)
        if Cause.MAIL in background.of_any_record() and self._reads_the_message():
            return (Cause.MAIL,)
        if self._came_of_age():
            return (Cause.CLOCK,)
        # What a record leads to cites it not always (whether a domain belongs to another, say): it is behind it.
        if not self._tried and (followed := background.behind_all()):
            return tuple(dict.fromkeys(each.cause for each in followed))
        could_tell = self._ruled is not None and self._ruled.unknown is None
        return (Cause.CLOCK,) if could_tell and background.something_ended() else (Cause.UNCLEAR,)

    def _came_of_age(self) -> bool:
        """Whether it looks at something that only depends on the date, and that is not what it was."""
        before = self._ruled.observed if self._ruled else {}
        return any(
            path.rpartition(".")[2] in OF_DATE and path in before and before[path] != value
            for path, value in self._finding.observed.items()
        )

    def _knew(self) -> bool:
        return any(each.fingerprint == self._finding.fingerprint for each in self._background.old.findings)

    def _reads_the_message(self) -> bool:
        """Whether it looks at more than DNS and settings tell; not every fact about the message cites a part of it."""
        rule = self._background.rules.get(self._finding.rule)
        listed = (rule.each,) if rule and rule.each else ()
        return any(not path.startswith(_NOT_OF_MESSAGE) for path in (*self._paths, *listed))

    def _looks_further(self) -> bool:
        """Whether the rule looks at something that the version of the earlier run did not collect."""
        known = self._background.old.facts.facts
        rule = self._background.rules.get(self._finding.rule)
        listed = (rule.each,) if rule and rule.each else ()
        return any(path not in known for path in (*self._paths, *listed))


def of_verdict(
    background: Background, was: Verdict, now: Verdict, findings: Iterable[Finding]
) -> tuple[tuple[Cause, ...], tuple[RecordChange, ...]]:
    """Why a receiver's verdict is another, and the records that changed and that it rests on.

    Args:
        background: what the comparison rests on.
        was: the verdict before.
        now: the verdict of this run.
        findings: of this run.

    """
    causes: dict[Cause, None] = {}
    kind = was.verdict
    ruled = background.ruled.verdicts.get(now.receiver)
    settled = background.settled.verdicts.get(now.receiver)
    if background.other_rules and ruled is not None and ruled.verdict is not kind:
        causes[Cause.RULES] = None
        kind = ruled.verdict
    if settled is not None and ruled is not None and settled.verdict is not ruled.verdict:
        causes[Cause.SETTINGS] = None
        kind = settled.verdict
    if causes and kind is now.verdict:
        return tuple(causes), ()
    proved = background.proved(lambda judged: (each := judged.verdicts.get(now.receiver)) and each.verdict)
    if proved:
        causes.update(dict.fromkeys(each.cause for each in proved.values()))
        return tuple(causes), tuple(proved.values())
    records: dict[RecordChange, None] = {}
    for each in _behind(background, settled or was, now, findings):
        found = Causes(background, each)
        causes.update(dict.fromkeys(found.of(lambda one: one.outcome)))
        records.update(dict.fromkeys(found.records()))
    if not causes:
        left = (Cause.SETTINGS,) if background.other_settings else (Cause.UNCLEAR,)
        likely = background.of_any_record() if proved is None else ()
        causes.update(dict.fromkeys(likely or left))
    return tuple(causes), tuple(records)


def _behind(background: Background, was: Verdict, now: Verdict, findings: Iterable[Finding]) -> Iterator[Finding]:
    """What one of the verdicts rests on and the other does not."""
    names = {each.fingerprint: each.item for each in background.new.findings}  # as verdicts that are kept have them
    before, after = ({(each.rule, each.item) for each in (*one.effects, *one.open)} for one in (was, now))
    differ = before ^ after
    return (each for each in findings if (each.rule, names.get(each.fingerprint, each.item)) in differ)


def _plain(value: Value) -> bool:
    return not isinstance(value, (Record, tuple, Unknown))
