"""The records of a DMARC aggregate report, checked and told apart, and whether the report comes from who it says.

Records are on their way to who keeps them; trust is by the mail that carried the report (RFC 9990 section 3.5.1).
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.facts.base import Reason, Unknown
from deliverability.core.facts.dkim import DkimReason
from deliverability.core.mail.addresses import parse_addresses, to_a_label
from deliverability.core.mail.reader import Message
from deliverability.core.mail.received import parse_authentication_results
from deliverability.core.model.observed import AggregateRow, Facet, SignatureSeen, Trust
from deliverability.core.model.services import Reporter, reporter_named
from deliverability.core.net.base import Resolver
from deliverability.core.protocols.dkim.verify import DkimResult, verify_message
from deliverability.core.protocols.dmarc.evaluate import DmarcEvaluation, Result, evaluate_dmarc
from deliverability.core.protocols.psl import registrable_domain
from deliverability.core.replies import limits
from deliverability.core.replies.limits import NotReadError, packed_address, selector, shown, word

_BATCH = 2_000
_MAX_FACETS = 2_000  # kept to be met again; a report with more is read all the same
_SHORT = 1_000  # characters
_MAX_PROBLEMS = 100
_MAX_SEEN = 2_048
_MAX_OCTETS = 2_000
_COUNT = re.compile(r"[0-9]{1,10}")
_ARC_PASS = re.compile(r"\barc=pass\b")
_AS_WRITTEN = re.compile(
    rb"[ \t\r\n]*<record>[ \t\r\n]*<row>[ \t\r\n]*<source_ip>([0-9A-Fa-f.:]{2,45})</source_ip>[ \t\r\n]*"
    rb"<count>([0-9]{1,10})</count>"
)
_ONCE_MORE = re.compile(rb"[<:](?:source_ip|count)\b")

_Texts = tuple[tuple[str, str, str], ...]
_Key = tuple[str, str, str, str, str, _Texts, _Texts, tuple[tuple[str, str], ...]]
"""What a record says beside its address and number, as written: see `RecordReader.end`."""


class SeenRecord(Struct, frozen=True):
    """What a record says beside its address and number.

    Attributes:
        key: as written.
        facet: as it is kept.
        octets: stand for the facet in the digest of a report.
        problems: what is wrong with it.

    """

    key: _Key
    facet: Facet
    octets: bytes
    problems: tuple[tuple[Code, dict[str, str | int]], ...]


class SeenRecords:
    """What the records of reports say, by their octets: reports are much alike, and the same is not parsed twice.

    Only for records in ASCII that stand directly in the root element: what was well-formed there once is so again and
    means the same.
    """

    def __init__(self) -> None:
        self._records: dict[bytes, SeenRecord] = {}

    def __len__(self) -> int:
        return len(self._records)

    def look_up(self, octets: bytes, begin: int, end: int) -> tuple[str, str, SeenRecord] | None:
        """Address, number and the rest of the record that those octets are; None where it has to be parsed."""
        found = _AS_WRITTEN.match(octets, begin, end)
        record = found and self._records.get(octets[found.end() : end])
        return (found[1].decode(), found[2].decode(), record) if found and record else None

    def keep(self, octets: bytes, begin: int, end: int, record: SeenRecord) -> None:
        """That is what the record says which was parsed from those octets."""
        found = _AS_WRITTEN.match(octets, begin, end)
        if not found or end - found.end() > _MAX_OCTETS:
            return
        rest = octets[found.end() : end]
        if rest.isascii() and not _ONCE_MORE.search(rest):
            if len(self._records) >= _MAX_SEEN:
                self._records.clear()
            self._records[rest] = record


class RowSink(Protocol):
    """Takes the rows of one report as they are read."""

    def restart(self) -> None:
        """Forget the rows so far: the report is read again from its beginning, repaired."""

    def take(self, rows: Sequence[AggregateRow]) -> None:
        """The next rows, in their order."""


class Problems:
    """What is to be said of a report, each once and no more than a hundred."""

    def __init__(self) -> None:
        self._found: dict[Detail, None] = {}

    def add(self, code: Code, **args: str | int) -> None:
        """That is to be said."""
        if len(self._found) < _MAX_PROBLEMS:
            self._found.setdefault(code(**args))

    def all(self) -> tuple[Detail, ...]:
        """All, in their order."""
        return tuple(self._found)


class RecordReader:
    """The records of one report, with equal facets told as one; its caller fills in what stands in the elements."""

    def __init__(self, sink: RowSink, problems: Problems) -> None:
        self._sink = sink
        self._problems = problems
        self._batch: list[AggregateRow] = []
        self._facets: dict[_Key, tuple[int, SeenRecord]] = {}
        self._numbers = 0
        self._hash = hashlib.sha256()
        self._packed = bytearray()
        self.values: dict[str, str] = {}
        self.signatures: list[tuple[str, str, str]] = []  # domain, selector, result
        self.senders: list[tuple[str, str, str]] = []  # domain, scope, result
        self.reasons: list[tuple[str, str]] = []  # type, comment
        self.records = 0
        self.messages = 0
        self.unread = 0
        self.first_domain = ""

    def begin(self) -> None:
        """A record begins."""
        self.values.clear()
        self.signatures.clear()
        self.senders.clear()
        self.reasons.clear()

    def end(self) -> SeenRecord | None:
        """A record ends: it becomes a row, or a problem. Gives what it says; None where it does not say enough."""
        value = self.values.get
        record = None
        if "dkim" in self.values or "spf" in self.values:
            key = (
                value("header_from", ""),
                value("envelope_from", ""),
                value("dkim", ""),
                value("spf", ""),
                value("disposition", ""),
                tuple(self.signatures),
                tuple(self.senders),
                tuple(self.reasons),
            )
            known = self._facets.get(key)
            record = known[1] if known else _common(key) if _is_short(key) else _read(key)
        self.take(value("source_ip", ""), value("count", ""), record)
        return record

    def take(self, address: str, number: str, record: SeenRecord | None) -> None:
        """A record, as read or known from another report."""
        ip = packed_address(address)
        if ip is None:
            self._skip(limits.BAD_ADDRESS, value=shown(address))
            return
        count = int(number) if _COUNT.fullmatch(number) else -1
        if not 0 <= count <= limits.MAX_COUNT:
            self._skip(limits.BAD_COUNT, value=shown(number))
            return
        if record is None:
            self._skip(limits.NO_EVALUATION)
            return
        if self.records >= limits.MAX_RECORDS:
            raise NotReadError(limits.TOO_MANY_RECORDS(limit=limits.MAX_RECORDS))
        at, record = self._facets.get(record.key) or self._new(record)
        self._packed += b"%b%d,%d;" % (ip, count, at)
        self.records += 1
        self.messages += count
        self._batch.append(AggregateRow(ip, count, record.facet))
        if len(self._batch) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Hand over what has gathered."""
        if self._batch:
            self._hash.update(self._packed)
            self._packed.clear()
            self._sink.take(self._batch)
            self._batch = []

    def digest(self) -> str:
        """SHA-256 of the rows so far, in hexadecimal."""
        return self._hash.hexdigest()

    def _skip(self, code: Code, **args: str) -> None:
        self.unread += 1
        self._problems.add(code, **args)

    def _new(self, record: SeenRecord) -> tuple[int, SeenRecord]:
        if len(self._facets) >= _MAX_FACETS:
            self._facets.clear()
        for code, value in record.problems:
            self._problems.add(code, **value)
        self._numbers += 1
        self._hash.update(self._packed)
        self._packed.clear()
        self._hash.update(record.octets)
        self._facets[record.key] = found = self._numbers, record
        self.first_domain = self.first_domain or record.facet.header_from
        return found


def _is_short(key: _Key) -> bool:
    """Whether it takes little room: no record makes what is remembered large."""
    texts = itertools.chain(key[:5], *key[5], *key[6], *key[7])
    return len(key[5]) + len(key[6]) + len(key[7]) < 10 and sum(map(len, texts)) < _SHORT


def _read(key: _Key) -> SeenRecord:
    """What a record says beside its address and number, checked."""
    header_from, envelope_from, dkim, spf, disposition, signatures, senders, reasons = key
    problems: list[tuple[Code, dict[str, str | int]]] = []

    def domain(text: str) -> str:
        """The name as A-label; of an address its domain. Empty where there is none or none that DNS could hold."""
        text = text.rpartition("@")[2].strip("<> ")
        if not text:
            return ""
        name = to_a_label(text)
        if name is None:
            problems.append((limits.BAD_NAME, {"value": shown(text)}))
        return name or ""

    author = domain(header_from)
    aligned_dkim = word(dkim) == "pass"
    if len(signatures) > limits.MAX_SIGNATURES:
        problems.append((limits.TOO_MANY_SIGNATURES, {"limit": limits.MAX_SIGNATURES}))
    # Where only HELO was evaluated, the return path was empty.
    checked = sorted(senders, key=lambda each: word(each[1]) == "helo")[:1]
    spf_domain = domain(checked[0][0]) if checked else ""
    seen = [
        SignatureSeen(domain(name), selector(label), word(result))
        for name, label, result in signatures[: limits.MAX_SIGNATURES]
    ]
    facet = Facet(
        header_from=author,
        envelope_from=domain(envelope_from),
        dkim=_worth_keeping(seen, author, aligned_dkim),
        spf_domain=spf_domain,
        spf_result=word(checked[0][2]) if spf_domain else "",
        aligned_dkim=aligned_dkim,
        aligned_spf=word(spf) == "pass",
        disposition=word(disposition),
        reason=",".join(dict.fromkeys(filter(None, (_reason(*each) for each in reasons[:10])))),
    )
    return SeenRecord(key, facet, repr(facet).encode("utf-8", "replace"), tuple(problems))


_common = functools.lru_cache(maxsize=2048)(_read)
"""Reports of one domain are much alike."""


def _worth_keeping(seen: Sequence[SignatureSeen], author: str, aligned: bool) -> tuple[SignatureSeen, ...]:
    """Of all signatures the first aligned pass, the first failure of an own domain, the first other pass."""
    owner = registrable_domain(author) if author else ""
    own = [each for each in seen if owner and each.domain and registrable_domain(each.domain) == owner]
    first = (
        next((each for each in own if each.result == "pass" and aligned), None),
        next((each for each in own if each.result != "pass"), None),
        next((each for each in seen if each.result == "pass" and each.domain and not (each in own and aligned)), None),
    )
    return tuple(each for each in first if each is not None)


def _reason(written: str, comment: str) -> str:
    kind = word(written)
    return f"{kind}/arc" if kind and _ARC_PASS.search(comment.lower()) else kind


KEY_GONE = Code("key-gone", ("name",))
NOT_AUTHENTICATED = Code("mail-not-authenticated", ("domain",))
NO_AUTHOR = Code("mail-no-author")
NOT_VERIFIED_NOW = Code("mail-not-verified-now", ("domain",))
ANOTHERS_MAIL = Code("mail-of-another", ("domain", "reporter"))

_MAX_HEADERS = 20  # Authentication-Results fields looked at, from the top


class MailProof(Struct, frozen=True):
    """What the mail that carried a report proves.

    Attributes:
        level: VERIFIED, AUTHENTICATED or CLAIMED.
        address: of its From field, in lower case, the domain as A-label; empty: it has no single one.
        domain: of that address.
        detail: why it proves nothing; None where it does.
        settled: a later check can give nothing else; False where a look-up failed.

    """

    level: Trust
    address: str
    domain: str
    detail: Detail | None = None
    settled: bool = True


class ReportNames(Struct, frozen=True):
    """Whom a report names as its sender.

    Attributes:
        reporter: organization as it calls itself.
        email: domain of the address in the report, as A-label; empty: none.

    """

    reporter: str
    email: str = ""


async def mail_proof(mail: Message, resolver: Resolver, authserv: Collection[str], now: datetime) -> MailProof:
    """Check the mail that carried reports; `authserv`: hosts whose Authentication-Results are believed.

    Never raises for what a mail or DNS can hold.
    """
    address = _author(mail)
    domain = address.rpartition("@")[2]
    if not domain:
        return MailProof(Trust.CLAIMED, "", "", NO_AUTHOR())
    signatures = await verify_message(mail, resolver, now)
    results: list[tuple[Result, Result]] = [(_result(each), each.signature.domain) for each in signatures]
    found = await evaluate_dmarc(domain, None, results, resolver)
    if found.dkim_pass is True:
        return MailProof(Trust.VERIFIED, address, domain)
    if _is_recorded(mail, domain, authserv):
        return MailProof(Trust.AUTHENTICATED, address, domain)
    unknown = found.dkim_pass if isinstance(found.dkim_pass, Unknown) else None
    if unknown is not None:
        settled = unknown.reason is Reason.NO_MESSAGE
        return MailProof(Trust.CLAIMED, address, domain, NOT_VERIFIED_NOW(domain=domain), settled=settled)
    gone = _key_gone(signatures, found)
    detail = KEY_GONE(name=gone) if gone else NOT_AUTHENTICATED(domain=domain)
    return MailProof(Trust.CLAIMED, address, domain, detail)


class ReportTrust(Struct, frozen=True):
    """How far a report is trusted, under which name its reporter is kept, and why it is trusted no further.

    Of a mail that proves where it comes from the name is the id of the reporter that sends from there, else the address
    itself: what a report says of itself makes nobody known.
    """

    level: Trust
    reporter: str
    doubt: Detail | None = None


def trust_of(
    proof: MailProof | None, names: ReportNames, known: Mapping[str, Reporter], *, vouched: bool = False
) -> ReportTrust:
    """Whose report it is, and how sure that is.

    Args:
        proof: of the mail that carried it; None: it came as a bare file.
        names: whom the report names.
        known: the reporters that are known.
        vouched: the user says that bare files come from who they say.

    """
    claimed = _claimed(names, known)
    if proof is None:
        return ReportTrust(Trust.VERIFIED if vouched else Trust.FILE, claimed)
    if proof.level is Trust.CLAIMED:
        return ReportTrust(Trust.CLAIMED, claimed, proof.detail)
    if not _is_theirs(proof, names, known):
        return ReportTrust(Trust.CLAIMED, claimed, ANOTHERS_MAIL(domain=proof.domain, reporter=names.reporter))
    listed = reporter_named(proof.address, known)
    return ReportTrust(proof.level, listed.id if listed else proof.address)


def _claimed(names: ReportNames, known: Mapping[str, Reporter]) -> str:
    """Whom a report names: the id of one that is known, else as it calls itself, else its domain."""
    name = names.reporter.rpartition("@")[2].strip().casefold() or registrable_domain(names.email)
    listed = reporter_named(name, known)
    return listed.id if listed else name


def _is_theirs(proof: MailProof, names: ReportNames, known: Mapping[str, Reporter]) -> bool:
    """Whether that mail may bring reports of who is named in them: in a listed reporter's name only its own may."""
    listed = reporter_named(names.reporter, known)
    return listed is None or listed.sends_from(proof.address)


def _author(mail: Message) -> str:
    """The one address of the From field; empty where there are several, or none."""
    fields = mail.fields("from")
    found = {
        (each.address.rpartition("@")[0], each.domain) for field in fields for each in parse_addresses(field.value)
    }
    local, domain = found.pop() if len(found) == 1 and len(fields) == 1 else ("", None)
    return f"{local.lower()}@{domain}" if domain else ""


def _result(signature: DkimResult) -> Result:
    return signature.unsettled or signature.result.value


def _is_recorded(mail: Message, domain: str, authserv: Collection[str]) -> bool:
    """Whether the topmost Authentication-Results of a host that is believed says that DMARC passed for the domain."""
    hosts = {each.lower() for each in authserv}
    for field in mail.fields("authentication-results")[:_MAX_HEADERS] if hosts else ():
        found = parse_authentication_results(field.value)
        if found.server.lower() in hosts:
            return any(
                each.method == "dmarc"
                and each.result == "pass"
                and to_a_label(each.properties.get("header.from", "")) == domain
                for each in found.results
            )
    return False


def _key_gone(signatures: Sequence[DkimResult], found: DmarcEvaluation) -> str:
    """The name of a key that is no longer there, of a signature that would count with it."""
    aligned = [each.alignment in ("strict", "relaxed") for each in found.identifiers]
    for signature, counts in zip(signatures, aligned, strict=True):
        if counts and signature.reason in (DkimReason.KEY_MISSING, DkimReason.KEY_REVOKED):
            return signature.signature.key_name or ""
    return ""
