"""Drafts of DMARC records: the smallest edit of the own record, or a first one; never past the next safe stage.

Pure: reads facts, asks nobody.

A policy is only raised where something speaks for it: what receivers report of a month of mail, where that was read;
else a message of the domain that passed with an aligned DKIM signature; or the domain sends nothing. Domains that
people write from are never led to reject (RFC 9989 section 7.4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from deliverability.core.facts.base import FactSet, Value
from deliverability.core.facts.dkim import Dkim
from deliverability.core.facts.dmarc import Alignment, Dmarc, DmarcDiscovery, DmarcReports
from deliverability.core.facts.domain import Declared, Domain, Sending
from deliverability.core.facts.message import Message
from deliverability.core.facts.spf import Spf
from deliverability.core.model.report import Care, Finding, GateAnswer, GateKind, RecordEdit, Remedy
from deliverability.core.model.topic import if_known
from deliverability.core.names import is_within
from deliverability.core.protocols.dmarc.record import POLICIES, DmarcRecord, is_dmarc, parse, split
from deliverability.engine.remedies.records import (
    Published,
    RemedyName,
    Situation,
    named,
    own_place,
    plain,
    published,
    unmet,
)

MAX_RECORD_OCTETS = 2000
"""A record longer than this was not written by hand; it is left alone."""
_CLOSED = "v=DMARC1; p=reject"


def drafts(given: Situation) -> tuple[Remedy, ...]:
    """Drafts for the unmet DMARC findings, in the order in which to publish them."""
    facts, findings = given.facts, given.findings
    domain = facts.of(DmarcDiscovery).author_domain
    audited = facts.of(Declared).domain
    if not isinstance(domain, str) or not isinstance(audited, str) or not domain or not audited:
        return ()
    return tuple(_Desk(facts, findings, domain, audited, given.gate).drafts())


# --- the text of a record --------------------------------------------------------------------------------------------


class Tags(Struct, frozen=True):
    """A record in its pieces, so that an edit leaves the others as their owner wrote them."""

    pieces: tuple[str, ...]
    separator: str = "; "
    ending: str = ""

    @classmethod
    def of(cls, text: str) -> Tags:
        """The pieces of a record as published."""
        pieces = tuple(piece.strip(" \t\r\n") for piece in text.split(";"))
        separator = ";" if text.count(";") > 1 and "; " not in text else "; "
        return cls(tuple(each for each in pieces if each), separator, ";" if text.rstrip().endswith(";") else "")

    @property
    def text(self) -> str:
        """The record."""
        return self.separator.join(self.pieces) + self.ending

    def without(self, *tags: str) -> Tags:
        """The record without these tags."""
        return replace(self, pieces=tuple(each for each in self.pieces if _name(each) not in tags))

    def with_value(self, tag: str, value: str) -> Tags:
        """The record with this tag: changed where it stands, p= put after v=, another at the end."""
        written = f"{tag}={value}"
        if any(_name(each) == tag for each in self.pieces):
            return replace(self, pieces=tuple(written if _name(each) == tag else each for each in self.pieces))
        at = 1 if tag == "p" else len(self.pieces)
        return replace(self, pieces=(*self.pieces[:at], written, *self.pieces[at:]))


def _meant(place: Published) -> tuple[str, ...]:
    """The texts at a _dmarc name that are, or were meant as, DMARC; others there are no business of these edits."""
    records, meant = split(place.values)
    return tuple(each for each in place.values if each in records or each in meant)


def _name(piece: str) -> str:
    return piece.partition("=")[0].strip(" \t").lower()


def _value(piece: str) -> str:
    return piece.partition("=")[2].strip(" \t")


def repaired(text: str, policy: str) -> str:
    """The record without what receivers cannot read. Where its policy is lost, it says `policy` instead.

    A policy word that means nothing makes the whole record count as ``p=none`` or as none at all (RFC 9989 section
    4.10.1); what was meant with it is not guessed.
    """
    tags = Tags.of(text)
    parts: list[str] = []
    names: set[str] = {"v"}
    lost = False
    for piece in tags.pieces[1:]:
        name = _name(piece)
        if piece.lower().startswith("mailto:") and parts and _name(parts[-1]) in ("rua", "ruf"):
            parts[-1] += f",{piece}"  # a semicolon where a comma belongs
        elif "=" in piece and name not in names:
            if not parse(f"v=DMARC1; {piece}").errors:
                parts.append(piece)
                names.add(name)
            lost = lost or (name in ("p", "sp", "np") and _value(piece).lower() not in POLICIES)
    result = replace(tags, pieces=("v=DMARC1", *parts))
    return (result.with_value("p", policy) if lost else result).text


def usable_uris(value: str) -> tuple[str, ...]:
    """The report addresses of a tag that can be used, plain addresses turned into URIs."""
    good: list[str] = []
    for piece in value.split(","):
        compact = "".join(piece.split()).strip("<>")
        if "@" not in compact:
            continue
        if ":" not in compact:
            compact = f"mailto:{compact}"
        good += [uri.uri for uri in parse(f"v=DMARC1; p=none; rua={compact}").rua]
    return tuple(dict.fromkeys(good))


def recognised(text: str) -> str:
    """A record that was meant as DMARC, begun so that receivers see it; empty where it holds no tag."""
    bare = text.strip().strip("\"'“”").strip()
    pieces = [piece.strip() for piece in bare.split(";")]
    first = pieces[0].split()
    # What stands behind the version without a semicolon ("v=DMARC1 p=none").
    behind = [each for each in first[1:] if "=" in each and _name(each) != "v"]
    rest = [piece for piece in (*behind, *pieces[1:]) if piece]
    return "; ".join(("v=DMARC1", *rest)) if rest else ""


# --- drafting --------------------------------------------------------------------------------------------------------


class _Desk(Struct, frozen=True):
    """The facts and findings that drafting rests on."""

    facts: FactSet
    findings: Sequence[Finding]
    domain: str
    audited: str
    gate: GateAnswer | None = None

    def drafts(self) -> Iterator[Remedy]:
        """All drafts, what repairs first, what raises the policy last."""
        yield from self._one_record()
        yield from self._lookalikes()
        yield from self._first()
        yield from self._own_record()
        place, record = self._current()
        if place is not None and record is not None:
            for draft in self._edits(record):
                if draft is not None and (edited := self._edited(place, *draft)) is not None:
                    yield edited
        yield from self._consent()

    # What is known.

    @property
    def silent(self) -> bool:
        """The domain sends nothing: so declared, or by its SPF record, and nothing shows that it is meant to send."""
        meant = self.sends or self.facts.of(Domain).accepts_mail is True or self.facts.of(Dkim).published is True
        closed = self.facts.of(Spf).sends_nothing is True and not meant
        return self.facts.of(Sending).parked is True or closed

    @property
    def closed(self) -> bool:
        """The user said that the domain sends nothing; where only its records do, they may be the mistake."""
        declared = self.facts.of(Sending).purpose_basis == "declared"
        return declared and self.facts.of(Sending).parked is True

    @property
    def sends(self) -> bool:
        """The domain sends mail: so declared, or a message of it was given."""
        return self.facts.of(Sending).sends is True or self.facts.of(Message).present is True

    @property
    def proven(self) -> bool:
        """A message of the domain passed by DKIM: what is forwarded will pass too."""
        return self.facts.of(Alignment).dkim_pass is True

    def ready(self, policy: str) -> bool:
        """Whether the policy may come next: by what receivers report where that was read, else by the message given."""
        if self.gate is None:
            return self.proven
        return self.gate.kind is GateKind.SAFE and self.gate.to == policy

    @property
    def purpose(self) -> str:
        value = self.facts.of(Sending).purpose
        return value if isinstance(value, str) else ""

    def finding(self, *remedies: RemedyName) -> Finding | None:
        """The first unmet finding whose rule names one of these remedies."""
        return next(unmet(self.findings, *remedies), None)

    def place(self, domain: str) -> Published | None:
        """The record set of a _dmarc name that the owner of the domain can edit."""
        found = published(self.facts, f"_dmarc.{domain}", "TXT")
        home = self.facts.of(DmarcDiscovery).organizational_domain_psl
        within = isinstance(home, str) and is_within(domain, home)
        return found if within and own_place(found, self.audited) else None

    def _current(self) -> tuple[Published | None, DmarcRecord | None]:
        """The record that applies, or the one that would if it had a policy, and where it stands."""
        text = self.facts.of(Dmarc).record
        location = self.facts.of(Dmarc).location or self.facts.of(Dmarc).ignored_at
        place = self.place(location if isinstance(location, str) else self.domain)
        if not isinstance(text, str) or place is None or text not in place.values or len(text) > MAX_RECORD_OCTETS:
            return None, None
        return place, parse(text)

    def address(self, domain: str) -> tuple[str, ...]:
        """Addresses for reports that the user would have to create, at names that may take mail; the best first."""
        hosts = dict.fromkeys((domain, self.audited))
        refusing = if_known(self.facts.of(DmarcReports).rua_without_mx) or ()
        takes = self.facts.of(Domain).accepts_mail
        return tuple(
            f"dmarc-reports@{host}"
            for host in hosts
            if host not in refusing and (host != self.audited or takes is True)
        )

    # First records.

    def _one_record(self) -> Iterator[Remedy]:
        finding = self.finding("dmarc-one-record")
        for domain in (if_known(self.facts.of(DmarcDiscovery).multiple_at) or ()) if finding else ():
            place = self.place(domain)
            records = [parse(text) for text in split(place.values)[0]] if place else []
            good = [each for each in records if each.usable and not each.errors] or records
            if finding is None or place is None or not good:
                continue
            ranks = sorted(good, key=lambda each: POLICIES.index(each.published_policy), reverse=self.silent)
            best = ranks[0]
            tags = Tags.of(best.text)
            reports = dict.fromkeys(uri.uri for each in (best, *good) for uri in each.rua)
            if reports and len(reports) > len(best.rua):
                tags = tags.with_value("rua", ",".join(reports))
            safe = best.published_policy == "none" or all(each.tags == best.tags for each in records)
            yield self._remedy(
                finding,
                "dmarc-one-record",
                {"domain": domain, "count": len(records), "policy": best.published_policy},
                RecordEdit(place.name, "TXT", _meant(place), (tags.text,)),
                Care.SAFE if safe else Care.CAREFUL,
            )

    def _lookalikes(self) -> Iterator[Remedy]:
        finding = self.finding("dmarc-recognised")
        for step in (if_known(self.facts.of(DmarcDiscovery).walk) or ()) if finding else ():
            domain = step.name.removeprefix("_dmarc.")
            place = self.place(domain)
            records, meant = split(place.values) if place else ((), ())
            if finding is None or place is None or not meant:
                continue
            if records:
                edit = RecordEdit(place.name, "TXT", _meant(place), records)
                yield self._remedy(finding, "dmarc-drop-lookalike", {"domain": domain}, edit)
                continue
            fallback = "reject" if self.silent else "none"
            text = recognised(meant[0]) if len(meant[0]) <= MAX_RECORD_OCTETS else ""
            if not is_dmarc(text):
                continue
            tags = Tags.of(repaired(text, fallback))
            stated = parse(tags.text).published_policy
            # It was never in force: what it says is begun with watching, unless nothing is sent at all.
            if stated != fallback or "p" not in parse(tags.text).tags:
                tags = tags.with_value("p", fallback)
            edit = RecordEdit(place.name, "TXT", _meant(place), (tags.without("pct", "rf", "ri").text,))
            yield self._remedy(finding, "dmarc-recognised", {"domain": domain, "policy": fallback}, edit)

    def _first(self) -> Iterator[Remedy]:
        finding = self.finding("dmarc-begin")
        if finding is None or self.facts.of(Dmarc).present is not False:
            return
        if self.silent:
            yield from self._closing(finding, self.domain)
            return
        home = self.facts.of(DmarcDiscovery).organizational_domain_psl
        targets = dict.fromkeys((home if isinstance(home, str) else self.domain, self.domain))
        for domain in targets:
            place = self.place(domain)
            if place is None or any(split(place.values)):
                continue
            for address in self.address(domain):
                edit = RecordEdit(place.name, "TXT", (), (f"v=DMARC1; p=none; rua=mailto:{address}",))
                yield self._remedy(finding, "dmarc-begin", {"domain": domain, "address": address}, edit)
            if self.sends and self.facts.of(Domain).accepts_mail is False and not self.address(domain):
                # Receivers ask senders for a record; where to send reports is for their owner to say.
                edit = RecordEdit(place.name, "TXT", (), ("v=DMARC1; p=none",))
                yield self._remedy(finding, "dmarc-begin-silent", {"domain": domain}, edit)

    def _closing(self, finding: Finding, domain: str) -> Iterator[Remedy]:
        place = self.place(domain)
        if place is None or any(split(place.values)):
            return
        care = Care.SAFE if self.closed else Care.CAREFUL
        edit = RecordEdit(place.name, "TXT", (), (_CLOSED,))
        yield self._remedy(finding, "dmarc-closed", {"domain": domain}, edit, care)

    def _own_record(self) -> Iterator[Remedy]:
        """A deep name, for which receivers do not find the record of the organization."""
        finding = self.finding("dmarc-own-record")
        place = self.place(self.domain)
        above = self.facts.of(Dmarc).record
        if finding is None or place is None or any(split(place.values)) or self.facts.of(Dmarc).present is not True:
            return
        if isinstance(above, str) and is_dmarc(above):
            policy = self.facts.of(Dmarc).policy
            text = Tags.of(above).without("sp", "np", "psd", "pct", "rf", "ri").text
            care = Care.SAFE if policy in (None, "none") else Care.CAREFUL
            edit = RecordEdit(place.name, "TXT", (), (text,))
            yield self._remedy(finding, "dmarc-own-record", {"domain": self.domain}, edit, care)

    # Edits of the record that applies: (finding, code, values, new text, care), or None.

    def _edits(self, record: DmarcRecord) -> Iterator[_Edit | None]:
        tags = Tags.of(record.text)
        yield self._repair(record)
        yield self._state_policy(record, tags)
        yield from self._reports(record, tags)
        yield self._relax(tags)
        yield self._tidy(record, tags)
        yield self._subdomains(record, tags)
        yield self._full(tags)
        yield self._below_reject(record, tags)
        yield self._end_test(record, tags)
        yield from self._next_stage(record, tags)

    def _repair(self, record: DmarcRecord) -> _Edit | None:
        finding = self.finding("dmarc-repair")
        if finding is None or not record.errors:
            return None
        text = repaired(record.text, "reject" if self.silent else "none")
        care = Care.CAREFUL if record.policy == "reject" and record.broken_policy else Care.SAFE
        return finding, "dmarc-repair", {"errors": record.errors}, text, care

    def _state_policy(self, record: DmarcRecord, tags: Tags) -> _Edit | None:
        finding = self.finding("dmarc-state-policy")
        if finding is None or "p" in record.tags:
            return None
        return finding, "dmarc-state-policy", {}, tags.with_value("p", "none").text, Care.SAFE

    def _reports(self, record: DmarcRecord, tags: Tags) -> Iterator[_Edit]:
        finding = self.finding("dmarc-mend-reports", "dmarc-add-reports")
        if finding is None:
            return
        dead = if_known(self.facts.of(DmarcReports).rua_without_mx) or ()
        mended = tags
        for tag in ("rua", "ruf"):
            if tag in record.tags:
                # A copy that says the same without the size limit of old would be more than this mends.
                written = record.tags[tag]
                good = [uri for uri in usable_uris(written) if uri.rpartition("@")[2].lower() not in dead]
                if list(good) != [each.strip() for each in written.split(",")]:
                    mended = mended.with_value(tag, ",".join(good)) if good else mended.without(tag)
        location = self.facts.of(Dmarc).location
        domain = location if isinstance(location, str) else self.domain
        if mended is not tags and parse(mended.text).rua:
            yield finding, "dmarc-mend-reports", {"addresses": record.invalid_uris or dead}, mended.text, Care.SAFE
        if not parse(mended.text).rua:
            for address in self.address(domain):
                text = mended.with_value("rua", f"mailto:{address}").text
                yield finding, "dmarc-add-reports", {"address": address}, text, Care.SAFE
            if record.published_policy != "none":
                yield finding, "dmarc-mend-reports", {"addresses": record.invalid_uris or dead}, mended.text, Care.SAFE

    def _relax(self, tags: Tags) -> _Edit | None:
        finding = self.finding("dmarc-relax-alignment")
        breaks = if_known(self.facts.of(Alignment).strict_breaks) or ()
        if finding is None or not breaks:
            return None
        text = tags.without(*(f"a{each}" if each == "spf" else "adkim" for each in breaks)).text
        return finding, "dmarc-relax-alignment", {"mechanisms": breaks}, text, Care.SAFE

    def _tidy(self, record: DmarcRecord, tags: Tags) -> _Edit | None:
        finding = self.finding("dmarc-tidy")
        if finding is None:
            return None
        partial = record.policy in ("quarantine", "reject") and record.pct is not None and record.pct < 100
        gone = [tag for tag in record.obsolete if tag in ("rf", "ri") or (tag == "pct" and not partial)]
        tidied = tags.without(*gone, *record.unknown_tags)
        for tag, uris in (("rua", record.rua), ("ruf", record.ruf)):
            if "!size" in record.obsolete and uris and "!" in record.tags[tag]:
                tidied = tidied.with_value(tag, ",".join(each.uri for each in uris))
        dropped = (*gone, *record.unknown_tags, *(["!size"] if "!size" in record.obsolete else []))
        return finding, "dmarc-tidy", {"tags": tuple(dropped)}, tidied.text, Care.SAFE

    def _subdomains(self, record: DmarcRecord, tags: Tags) -> _Edit | None:
        finding = self.finding("dmarc-subdomains")
        if finding is None:
            return None
        weaker = list(record.weaker)
        # Nothing is sent from names that do not exist; subdomains that do may not be ready.
        care = Care.SAFE if weaker == ["np"] or self.silent else Care.CAREFUL
        values: dict[str, Value] = {"tags": tuple(weaker), "policy": record.published_policy}
        return finding, "dmarc-subdomains", values, tags.without(*weaker).text, care

    def _full(self, tags: Tags) -> _Edit | None:
        finding = self.finding("dmarc-drop-pct")
        values: dict[str, Value] = {"pct": self.facts.of(Dmarc).pct}
        return (finding, "dmarc-drop-pct", values, tags.without("pct").text, Care.CAREFUL) if finding else None

    def _below_reject(self, record: DmarcRecord, tags: Tags) -> _Edit | None:
        finding = self.finding("dmarc-below-reject")
        if finding is None or self.purpose != "users":
            return None
        tag = self._policy_tag(record)
        text = tags.without("t", "pct").with_value(tag, "quarantine").text
        return finding, "dmarc-below-reject", {"tag": tag}, text, Care.CAREFUL

    def _end_test(self, record: DmarcRecord, tags: Tags) -> _Edit | None:
        finding = self.finding("dmarc-end-test")
        if finding is None or not (self.silent or (self.proven and record.rua)):
            return None
        people = self.purpose == "users" and record.policy == "reject"
        ended = tags.without("t")
        text = ended.with_value("p", "quarantine").text if people else ended.text
        policy = "quarantine" if people else record.published_policy
        return finding, "dmarc-end-test", {"policy": policy}, text, Care.CAREFUL

    def _next_stage(self, record: DmarcRecord, tags: Tags) -> Iterator[_Edit]:
        tag = self._policy_tag(record)
        own = self.facts.of(Dmarc).record_at_author is True
        if (finding := self.finding("dmarc-closed")) and own:
            text = tags.without("t", "pct", "sp", "np").with_value("p", "reject").text
            care = Care.SAFE if self.closed else Care.CAREFUL
            yield finding, "dmarc-closed", {"domain": self.domain}, text, care
        if (finding := self.finding("dmarc-quarantine")) and self.ready("quarantine") and record.rua:
            yield finding, "dmarc-quarantine", {"tag": tag}, tags.with_value(tag, "quarantine").text, Care.CAREFUL
        automatic = self.purpose in ("bulk", "transactional") or self.gate is not None
        if (finding := self.finding("dmarc-reject")) and self.ready("reject") and automatic and record.rua:
            yield finding, "dmarc-reject", {"tag": tag}, tags.with_value(tag, "reject").text, Care.CAREFUL

    def _policy_tag(self, record: DmarcRecord) -> str:
        """The tag that decides about the author domain."""
        tag = self.facts.of(Dmarc).policy_tag
        return tag if isinstance(tag, str) and tag in record.tags else "p"

    # Others' records.

    def _consent(self) -> Iterator[Remedy]:
        """The record by which a report host agrees to take reports (RFC 9990 section 4)."""
        hosts = if_known(self.facts.of(DmarcReports).external_reports) or ()
        for finding in unmet(self.findings, "dmarc-report-consent"):
            item = named(finding, hosts, "host")
            if item is None:
                continue
            name, host = item.name, item.host
            if host in (if_known(self.facts.of(DmarcReports).rua_without_mx) or ()):
                continue  # nobody is there to agree
            there = published(self.facts, name, "TXT")
            if there is not None and there.name == name and not any(split(there.values)):
                edit = RecordEdit(name, "TXT", (), ("v=DMARC1",))
                yield self._remedy(finding, "dmarc-report-consent", {"host": host}, edit)
        if (finding_ := self.finding("dmarc-closed")) and self.facts.of(Dmarc).record_at_author is False:
            yield from self._closing(finding_, self.domain)

    def _edited(
        self, place: Published, finding: Finding, code: str, values: dict[str, Value], text: str, care: Care
    ) -> Remedy | None:
        record = self.facts.of(Dmarc).record
        if text == record or not is_dmarc(text):
            return None
        # An ignored record beside it stays: taking it away is a remedy of its own.
        old = _meant(place)
        new = tuple(text if each == record else each for each in old)
        if not all(plain(each) for each in new):
            return None
        return self._remedy(finding, code, values, RecordEdit(place.name, "TXT", old, new), care)

    def _remedy(
        self, finding: Finding, code: str, values: dict[str, Value], edit: RecordEdit, care: Care = Care.SAFE
    ) -> Remedy:
        return Remedy(finding.rule, finding.item, code, values, (edit,), care)


_Edit = tuple[Finding, str, dict[str, Value], str, Care]
