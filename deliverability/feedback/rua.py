"""DMARC aggregate reports (RFC 9990 section 3, RFC 7489 appendix C), read as a stream within limits."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from xml.parsers import expat

from deliverability.feedback import limits
from deliverability.feedback.limits import NotReadError
from deliverability.feedback.markup import as_utf8
from deliverability.feedback.records import Problems, RecordReader, RowSink, SeenRecord, SeenRecords
from deliverability.feedback.values import is_period, line, utc_day, word
from deliverability.mail.addresses import to_a_label
from deliverability.model.observed import AggregateReport, PolicySeen
from deliverability.protocols.dmarc.psl import registrable_domain

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
