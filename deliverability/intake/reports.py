"""DMARC aggregate and failure reports and TLS reports, read within limits."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from xml.parsers import expat

from deliverability.core.mail.addresses import parse_addresses, to_a_label
from deliverability.core.mail.reader import Message
from deliverability.core.mail.words import parse_date
from deliverability.core.model.observed import (
    AggregateReport,
    FailureReport,
    PolicySeen,
    SignatureSeen,
    TlsFailure,
    TlsPolicyResult,
    TlsReport,
)
from deliverability.core.protocols.psl import registrable_domain
from deliverability.core.replies import limits
from deliverability.core.replies.limits import (
    NotReadError,
    field_group,
    is_period,
    line,
    packed_address,
    selector,
    utc_day,
    word,
)
from deliverability.intake.places import as_utf8
from deliverability.intake.records import Problems, RecordReader, RowSink, SeenRecord, SeenRecords

_HEAD = 1 << 16
_MAX_BEFORE = 1 << 20  # octets before the report begins
_MAX_NAMES = 1_000
_MAX_CHUNKS = 64
_ENDED = frozenset(
    expat.errors.codes[each] for each in (expat.errors.XML_ERROR_NO_ELEMENTS, expat.errors.XML_ERROR_UNCLOSED_TOKEN)
)
_BAD_OCTETS = expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]
_END = re.compile(rb"</(?:policy_published|record)>")
_FREE = rb"(?:[\w.-]+:)?(?:email|extra_contact_info|org_name|header_from|envelope_from)>"
_FREE_TEXT = re.compile(
    rb"(<" + _FREE + rb")((?:(?!<" + _FREE + rb").){0,4096}?)(</" + _FREE + rb")", re.DOTALL | re.IGNORECASE
)


def read_aggregate(
    pieces: Callable[[], Iterator[bytes]], sink: RowSink, now: int, seen: SeenRecords | None = None
) -> AggregateReport:
    """Read one report; its rows go to `sink` in batches, and memory does not grow with them.

    `now`: seconds since 1970, for periods that lie in the future. `seen`: the records of reports that were read before.
    Raises NotReadError where it is no aggregate report, or one that must not be used; then what the sink took has to be
    forgotten. Never raises anything else.
    """
    seen = SeenRecords() if seen is None else seen
    try:
        return _Reader(sink, now, seen).read(as_utf8(pieces()))
    except _Broken as first:
        sink.restart()
        repaired = _repaired(as_utf8(pieces(), "replace"))
        return _Reader(sink, now, seen, repaired=first.why).read(repaired, last=True)


class _Broken(Exception):
    """The document is not well-formed."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def _repaired(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The document with markup in free text escaped and octets that are no UTF-8 replaced."""
    head = b""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    begun = False
    for piece in pieces:
        if begun:
            yield decode(piece).encode()
            continue
        head += piece
        if len(head) >= _HEAD:
            begun = True
            yield decode(_FREE_TEXT.sub(_escaped, head)).encode()
    yield decode(b"" if begun else _FREE_TEXT.sub(_escaped, head), True).encode()


def _escaped(found: re.Match[bytes]) -> bytes:
    return found[1] + found[2].replace(b"&", b"&amp;").replace(b"<", b"&lt;") + found[3]


_POLICY = ("p", "sp", "np", "adkim", "aspf", "testing")
_ABOUT = ("org_name", "email", "report_id", "begin", "end", "domain", "discovery_method")
_ROW = ("source_ip", "count", "disposition", "dkim", "spf", "type", "comment", "envelope_from", "header_from")
_RESULT = ("selector", "result", "scope")
_LEAVES = frozenset({*_POLICY, *_ABOUT, *_ROW, *_RESULT})
_BRANCHES = ("feedback", "report_metadata", "date_range", "policy_published", "record", "row", "policy_evaluated")
_LOCAL = {name: name for name in (*_BRANCHES, "reason", "identifiers", "auth_results")}


class _Reader:
    """One pass over the document. Its handlers are closures: they run twenty times a record."""

    def __init__(self, sink: RowSink, now: int, seen: SeenRecords, *, repaired: str = "") -> None:
        self._now = now
        self._seen = seen
        self._problems = Problems()
        if repaired:
            self._problems.add(limits.REPAIRED, what=repaired)
        self._whole = not repaired
        self._metadata: dict[str, str] = {}
        self._policy: dict[str, str] = {}
        self._begun = self._closed = False
        self._chunks: list[str] = []
        self._given = 0  # octets given to the parser
        self._ended_at = -1  # where among them the last end tag of a child of the root element begins
        self._last_record: SeenRecord | None = None
        self._between = False  # such an end tag is the last that the parser was given
        self._rows = RecordReader(sink, self._problems)
        self._parser = self._make()

    def read(self, pieces: Iterable[bytes], *, last: bool = False) -> AggregateReport:
        """Read the document. Raises NotReadError; _Broken where it is not well-formed and not `last`."""
        octets = 0
        chunks = self._chunks
        try:
            for piece in pieces:
                octets += len(piece)
                self._take(piece)
                if len(chunks) > _MAX_CHUNKS:  # of a text without end the beginning is kept
                    chunks[:] = ["".join(chunks)[: limits.MAX_TEXT]]
                if self._closed:
                    break
                if octets > _MAX_BEFORE and not self._begun:
                    raise NotReadError(limits.NOT_FEEDBACK())
            if not self._closed:
                self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            self._not_well_formed(error, last)
        except UnicodeDecodeError:
            raise _Broken("octets") from None
        finally:
            del self._parser  # its handlers hold this object, so that both would wait for the garbage collector
        if not self._begun:
            raise NotReadError(limits.NOT_FEEDBACK())
        return self._report()

    def _take(self, piece: bytes) -> None:
        """Parse a piece, but for the records in it whose like was parsed before."""
        begin = 0
        for tag in _END.finditer(piece):
            end = tag.end()
            known = self._seen.look_up(piece, begin, end) if self._between else None
            if known:
                self._rows.take(*known)
            else:
                follows, self._last_record = self._between, None
                self._parse(piece[begin:end])
                self._between = self._is_between(tag[0])
                if follows and self._between and self._last_record:
                    self._seen.keep(piece, begin, end, self._last_record)
            begin = end
            if not self._between:
                break  # a comment, or what else: in small pieces it would be looked through again and again
        if begin < len(piece):
            self._between = False
            self._parse(piece[begin:])

    def _is_between(self, tag: bytes) -> bool:
        """Whether the parser took that as end tag of a child of the root element, and nothing follows it."""
        return self._begun and self._ended_at == self._given - len(tag)

    def _parse(self, octets: bytes) -> None:
        self._given += len(octets)
        self._parser.Parse(octets, False)

    def _not_well_formed(self, error: expat.ExpatError, last: bool) -> None:
        if self._closed:
            return  # something behind the report
        cut = error.code in _ENDED
        if not cut and not last:
            raise _Broken("octets" if error.code == _BAD_OCTETS else "markup") from None
        if not self._begun:
            raise NotReadError(limits.NOT_FEEDBACK()) from None
        self._whole = False
        self._problems.add(limits.CUT_OFF, records=self._rows.records)

    def _report(self) -> AggregateReport:
        rows = self._rows
        rows.flush()
        metadata, policy = self._metadata, self._policy
        domain = _a_label(policy.get("domain", ""))
        if domain is None:
            self._problems.add(limits.NOT_STATED, what="policy_published")
            domain = registrable_domain(rows.first_domain) if rows.first_domain else ""
        begin, end = _second(metadata.get("begin", "")), _second(metadata.get("end", ""))
        if not domain or begin is None or end is None:
            raise NotReadError(limits.NOT_STATED(what="date_range" if domain else "policy_published"))
        if not is_period(begin, end, self._now):
            self._problems.add(limits.BAD_PERIOD, begin=utc_day(begin), end=utc_day(end))
        for what in ("org_name", "report_id"):
            if not metadata.get(what):
                self._problems.add(limits.NOT_STATED, what=what)
        return AggregateReport(
            reporter=line(metadata.get("org_name", ""), 253),
            email=_a_label(metadata.get("email", "").strip("<>").rpartition("@")[2]) or "",
            report_id=line(metadata.get("report_id", ""), 255),
            domain=domain,
            begin=begin,
            end=end,
            policy=_policy(*(policy.get(name, "") for name in (*_POLICY, "discovery_method"))),
            records=rows.records,
            messages=rows.messages,
            unread=rows.unread,
            digest=rows.digest(),
            complete=self._whole,
            problems=self._problems.all(),
        )

    def _make(self) -> expat.XMLParserType:
        parser = expat.ParserCreate("UTF-8")
        parser.buffer_text = True
        parser.buffer_size = limits.MAX_TEXT
        chunks = self._chunks
        metadata, policy, rows = self._metadata, self._policy, self._rows
        record = rows.values
        ignored: dict[str, str] = {}
        signatures, senders, reasons = rows.signatures, rows.senders, rows.reasons
        known = _LOCAL.copy()
        depth = 0
        inside = 0  # depth of the feedback element
        in_record = in_results = False
        current = ignored

        def local(name: str) -> str:
            if len(known) > _MAX_NAMES:
                known.clear()
            known[name] = found = name.rpartition(":")[2]
            return found

        def start(name: str, _: object) -> None:
            nonlocal depth, inside, in_record, in_results, current
            depth += 1
            chunks.clear()
            if name in _LEAVES and not (in_results and name in ("dkim", "spf")) and depth <= limits.MAX_DEPTH:
                return
            name = known.get(name) or local(name)
            if depth > limits.MAX_DEPTH:
                raise NotReadError(limits.TOO_DEEP(limit=limits.MAX_DEPTH))
            if not inside:
                if name == "feedback":
                    inside, self._begun = depth, True
            elif name == "record":
                in_record, current = True, record
                rows.begin()
            elif in_record:
                if name == "auth_results":
                    in_results = True
                elif (in_results and name in ("dkim", "spf")) or name == "reason":
                    current = {}
            elif name == "report_metadata":
                current = metadata
            elif name == "policy_published":
                current = policy

        def end(name: str) -> None:
            nonlocal depth, in_record, in_results, current
            depth -= 1
            if depth == 1:
                self._ended_at = self._parser.CurrentByteIndex
            if name not in _LEAVES:
                name = known.get(name) or local(name)
            if name in _LEAVES:
                if not (in_results and name in ("dkim", "spf")):
                    current[name] = (
                        chunks[0].strip() if len(chunks) == 1 else "".join(chunks)[: limits.MAX_TEXT].strip()
                    )
                elif current is not record:
                    value = current.get
                    if name == "dkim":
                        signatures.append((value("domain", ""), value("selector", ""), value("result", "")))
                    else:
                        senders.append((value("domain", ""), value("scope", ""), value("result", "")))
                    current = record
            elif name == "reason":
                if in_record and current is not record:
                    reasons.append((current.get("type", ""), current.get("comment", "")))
                    current = record
            elif name == "auth_results":
                in_results = False
            elif name == "record":
                if in_record:
                    in_record, in_results, current = False, False, ignored
                    self._last_record = rows.end()
            elif name in ("report_metadata", "policy_published"):
                current = ignored
            elif inside and depth < inside:
                self._closed = True
            chunks.clear()

        def doctype(name: str, *_: object) -> None:
            raise NotReadError(limits.NOT_FEEDBACK() if name.lower() == "html" else limits.DOCTYPE())

        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.CharacterDataHandler = chunks.append
        parser.StartDoctypeDeclHandler = doctype
        return parser


_a_label = lru_cache(256)(to_a_label)
"""Reports name the same few domains."""


@lru_cache(64)
def _policy(*written: str) -> PolicySeen:
    """A policy as written, in the order of its fields."""
    return PolicySeen(*map(word, written))


def _second(text: str) -> int | None:
    """A time; some reporters write it with a fraction."""
    whole = text.partition(".")[0]
    return int(whole) if whole.isascii() and whole.isdigit() and len(whole) <= 11 else None


_MAX_TEXT = 64_000
_AUTH_FAILURE = "auth-failure"
# Exim and others send words alone.
_PLAIN = "a message claiming to be from you has failed"
_HEADER_FROM = re.compile(r"\bheader\.from=([^\s;]{1,253})")


def failure_report(message: Message) -> FailureReport | None:
    """The failure report that a message is; None where it is none. Never raises for any message."""
    for part in message.parts():
        if part.media_type == "message/feedback-report":
            fields = field_group(part.text()[:_MAX_TEXT])
            if fields.get("feedback-type", "").lower() == _AUTH_FAILURE:
                return _of_fields(fields, message)
    for part in message.parts():
        if part.media_type == "text/plain" and _PLAIN in (text := part.text()[:_MAX_TEXT])[:2_000].lower():
            return _of_text(text, message)
    return None


def _of_fields(fields: dict[str, str], message: Message) -> FailureReport:
    """The machine-readable part (RFC 6591 section 3)."""
    named = _HEADER_FROM.search(fields.get("authentication-results", "")[:4_000])
    domain = to_a_label(fields.get("reported-domain", "")) or to_a_label(named[1] if named else "") or ""
    signer = to_a_label(fields.get("dkim-domain", ""))
    signature = SignatureSeen(signer, selector(fields.get("dkim-selector", "")), "") if signer else None
    failed = {each.strip().lower() for each in fields.get("identity-alignment", "").split(",")} & {"dkim", "spf"}
    arrived = parse_date(fields.get("arrival-date", ""))
    return FailureReport(
        reporter=_reporter(message),
        domain=domain,
        ip=packed_address(fields.get("source-ip", "").strip("[]")) or b"",
        signature=signature,
        failed=",".join(sorted(failed)),
        arrived=int(arrived.timestamp()) if arrived else None,
    )


def _of_text(text: str, message: Message) -> FailureReport:
    """What a notice in words says line by line, up to the header of the message that failed."""
    fields = {
        name.strip().lower(): value.strip()
        for name, colon, value in (each.partition(":") for each in text.split("------", 1)[0].splitlines())
        if colon
    }
    failed = [each for each in ("dkim", "spf") if fields.get(f"{each} alignment", "").lower() == "no"]
    arrived = parse_date(fields.get("received date", ""))
    return FailureReport(
        reporter=_reporter(message),
        domain=to_a_label(fields.get("sender domain", "")) or "",
        ip=packed_address(fields.get("sender ip address", "")) or b"",
        signature=None,
        failed=",".join(failed),
        arrived=int(arrived.timestamp()) if arrived else None,
    )


def _reporter(message: Message) -> str:
    author = message.first("from")
    return next((each.domain for each in parse_addresses(author.value) if each.domain), "") if author else ""


_MAX_POLICIES = 1_000
_MAX_FAILURES = 1_000


def is_tls_report(document: Any) -> bool:
    """Whether a JSON value is meant to be one."""
    return isinstance(document, dict) and "policies" in document and "report-id" in document


def tls_report(document: Any, now: int) -> TlsReport:
    """The report that a JSON value is. `now`: seconds since 1970. Raises NotReadError where it is none.

    Where a policy's sum of failures is smaller than its details, as some reporters write, the details count.
    """
    if not is_tls_report(document):
        raise NotReadError(limits.NOT_FEEDBACK())
    period = document.get("date-range")
    period = period if isinstance(period, dict) else {}
    begin, end = _tls_second(period.get("start-datetime")), _tls_second(period.get("end-datetime"))
    if begin is None or end is None:
        raise NotReadError(limits.NOT_STATED(what="date-range"))
    problems = []
    if not is_period(begin, end, now):
        problems.append(limits.BAD_PERIOD(begin=utc_day(begin), end=utc_day(end)))
    policies = document["policies"]
    policies = policies if isinstance(policies, list) else []
    return TlsReport(
        reporter=_text(document.get("organization-name"), 253),
        report_id=_text(document["report-id"], 255),
        begin=begin,
        end=end,
        policies=tuple(_tls_policy(each) for each in policies[:_MAX_POLICIES] if isinstance(each, dict)),
        problems=tuple(problems),
    )


def _tls_policy(given: dict[str, Any]) -> TlsPolicyResult:
    policy, summary = given.get("policy"), given.get("summary")
    policy = policy if isinstance(policy, dict) else {}
    summary = summary if isinstance(summary, dict) else {}
    details = given.get("failure-details")
    failures: Counter[tuple[str, str]] = Counter()
    for each in details[:_MAX_FAILURES] if isinstance(details, list) else ():
        if isinstance(each, dict):
            failures[word(_text(each.get("result-type"), 40)), _mx(each, policy)] += _count(
                each.get("failed-session-count")
            )
    counted = tuple(TlsFailure(kind, mx, count) for (kind, mx), count in failures.most_common() if count)
    return TlsPolicyResult(
        domain=to_a_label(_text(policy.get("policy-domain"), 253)) or "",
        type=word(_text(policy.get("policy-type"), 40)),
        succeeded=_count(summary.get("total-successful-session-count")),
        failed=max(_count(summary.get("total-failure-session-count")), sum(each.count for each in counted)),
        failures=counted,
    )


def _mx(failure: dict[str, Any], policy: dict[str, Any]) -> str:
    """The host that was connected to; else the one pattern of the policy, which is text or a list."""
    written = failure.get("receiving-mx-hostname") or policy.get("mx-host")
    if isinstance(written, list):
        written = written[0] if len(written) == 1 else ""
    host = _text(written, 253)
    name = to_a_label(host.removeprefix("*."))
    return "" if name is None else f"*.{name}" if host.startswith("*.") else name


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value <= limits.MAX_COUNT else 0


def _text(value: Any, most: int) -> str:
    return line(value, most) if isinstance(value, str) else ""


def _tls_second(value: Any) -> int | None:
    """A time of RFC 3339; some reporters leave the seconds out."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
