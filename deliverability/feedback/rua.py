"""DMARC aggregate reports (RFC 9990 section 3, RFC 7489 appendix C), read as a stream within limits."""

from __future__ import annotations

import functools
import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol
from xml.parsers import expat

from deliverability.feedback import limits
from deliverability.feedback.limits import NotReadError
from deliverability.feedback.values import is_period, line, packed_address, selector, shown, utc_day, word
from deliverability.mail.addresses import to_a_label
from deliverability.model.codes import Code, Detail
from deliverability.model.observed import AggregateReport, AggregateRow, Facet, PolicySeen, SignatureSeen
from deliverability.protocols.dmarc.psl import registrable_domain

_BATCH = 2_000
_MAX_FACETS = 20_000  # kept to be met again; a report with more is read all the same
_MAX_PROBLEMS = 100
_HEAD = 1 << 16
_MAX_BEFORE = 1 << 20  # octets before the report begins
_MAX_NAMES = 1_000
_MAX_CHUNKS = 64
_ENDED = frozenset(
    expat.errors.codes[each] for each in (expat.errors.XML_ERROR_NO_ELEMENTS, expat.errors.XML_ERROR_UNCLOSED_TOKEN)
)
_BAD_OCTETS = expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]
_COUNT = re.compile(r"[0-9]{1,10}")
_ARC_PASS = re.compile(r"\barc=pass\b")
_FREE_TEXT = re.compile(
    rb"(<(?:[\w.-]+:)?(?:email|extra_contact_info|org_name|header_from|envelope_from)>)(.{0,4096}?)"
    rb"(</(?:[\w.-]+:)?(?:email|extra_contact_info|org_name|header_from|envelope_from)>)",
    re.DOTALL | re.IGNORECASE,
)


_SHORT = 1_000  # characters
_Texts = tuple[tuple[str, str, str], ...]
_Key = tuple[str, str, str, str, str, _Texts, _Texts, tuple[tuple[str, str], ...]]
"""What a record says beside its address and number, as written: see `_Rows.end`."""


class RowSink(Protocol):
    """Takes the rows of one report as they are read."""

    def restart(self) -> None:
        """Forget the rows so far: the report is read again from its beginning, repaired."""

    def take(self, rows: Sequence[AggregateRow]) -> None:
        """The next rows, in their order."""


def read_aggregate(pieces: Callable[[], Iterator[bytes]], sink: RowSink, now: int) -> AggregateReport:
    """Read one report; its rows go to `sink` in batches, and memory does not grow with them.

    `now`: seconds since 1970, for periods that lie in the future. Raises NotReadError where it is no aggregate report,
    or one that must not be used; then what the sink took has to be forgotten. Never raises anything else.
    """
    try:
        return _Reader(sink, now).read(pieces())
    except _Broken as first:
        sink.restart()
        return _Reader(sink, now, repaired=first.why, encoding="UTF-8").read(_repaired(pieces()), last=True)


class _Broken(Exception):
    """The document is not well-formed."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def _repaired(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The document with markup in free text escaped and octets that are no UTF-8 replaced."""
    import codecs

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


class _Reader:
    """One pass over the document. Its handlers are closures: they run twenty times a record."""

    def __init__(self, sink: RowSink, now: int, *, repaired: str = "", encoding: str | None = None) -> None:
        self._sink = sink
        self._now = now
        self._problems: dict[Detail, None] = {}
        if repaired:
            self._problem(limits.REPAIRED, what=repaired)
        self._whole = not repaired
        self._metadata: dict[str, str] = {}
        self._policy: dict[str, str] = {}
        self._begun = self._closed = False
        self._chunks: list[str] = []
        self._rows = _Rows(sink, self._problem)
        self._parser = self._make(encoding)

    def read(self, pieces: Iterable[bytes], *, last: bool = False) -> AggregateReport:
        """Read the document. Raises NotReadError; _Broken where it is not well-formed and not `last`."""
        octets = 0
        chunks = self._chunks
        try:
            for piece in pieces:
                octets += len(piece)
                self._parser.Parse(piece, False)
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
        if not self._begun:
            raise NotReadError(limits.NOT_FEEDBACK())
        return self._report()

    def _not_well_formed(self, error: expat.ExpatError, last: bool) -> None:
        if self._closed:
            return  # something behind the report
        cut = error.code in _ENDED
        if not cut and not last:
            raise _Broken("octets" if error.code == _BAD_OCTETS else "markup") from None
        if not self._begun:
            raise NotReadError(limits.NOT_FEEDBACK()) from None
        self._whole = False
        self._problem(limits.CUT_OFF, records=self._rows.records)

    def _problem(self, code: Code, **args: str | int) -> None:
        if len(self._problems) < _MAX_PROBLEMS:
            self._problems.setdefault(code(**args))

    def _report(self) -> AggregateReport:
        rows = self._rows
        rows.flush()
        metadata, policy = self._metadata, self._policy
        domain = to_a_label(policy.get("domain", ""))
        if domain is None:
            self._problem(limits.NOT_TOLD, what="policy_published")
            domain = registrable_domain(rows.first_domain) if rows.first_domain else ""
        begin, end = _second(metadata.get("begin", "")), _second(metadata.get("end", ""))
        if not domain or begin is None or end is None:
            raise NotReadError(limits.NOT_TOLD(what="date_range" if domain else "policy_published"))
        if not is_period(begin, end, self._now):
            self._problem(limits.BAD_PERIOD, begin=utc_day(begin), end=utc_day(end))
        for what in ("org_name", "report_id"):
            if not metadata.get(what):
                self._problem(limits.NOT_TOLD, what=what)
        seen = {name: word(policy.get(name, "")) for name in _POLICY}
        return AggregateReport(
            reporter=line(metadata.get("org_name", ""), 253),
            email=to_a_label(metadata.get("email", "").strip("<>").rpartition("@")[2]) or "",
            report_id=line(metadata.get("report_id", ""), 255),
            domain=domain,
            begin=begin,
            end=end,
            policy=PolicySeen(**seen, discovery=word(policy.get("discovery_method", ""))),
            records=rows.records,
            messages=rows.messages,
            unread=rows.unread,
            digest=rows.digest(),
            complete=self._whole,
            problems=tuple(self._problems),
        )

    def _make(self, encoding: str | None) -> expat.XMLParserType:
        parser = expat.ParserCreate(encoding)
        parser.buffer_text = True
        parser.buffer_size = limits.MAX_TEXT
        chunks = self._chunks
        metadata, policy, rows = self._metadata, self._policy, self._rows
        record = rows.values
        ignored: dict[str, str] = {}
        signatures, senders, reasons = rows.signatures, rows.senders, rows.reasons
        known: dict[str, str] = {}
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
                    rows.end()
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


class _Rows:
    """The records of a report, checked, with equal facets told as one, on their way to the sink."""

    def __init__(self, sink: RowSink, problem: Callable[..., None]) -> None:
        self._sink = sink
        self._problem = problem
        self._batch: list[AggregateRow] = []
        self._facets: dict[_Key, tuple[int, Facet]] = {}
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

    def end(self) -> None:
        """A record ends: it becomes a row, or a problem."""
        value = self.values.get
        address = value("source_ip", "")
        ip = packed_address(address)
        if ip is None:
            self._skip(limits.BAD_ADDRESS, value=shown(address))
            return
        number = value("count", "")
        count = int(number) if _COUNT.fullmatch(number) else -1
        if not 0 <= count <= limits.MAX_COUNT:
            self._skip(limits.BAD_COUNT, value=shown(number))
            return
        if "dkim" not in self.values and "spf" not in self.values:
            self._skip(limits.NO_EVALUATION)
            return
        if self.records >= limits.MAX_RECORDS:
            raise NotReadError(limits.TOO_MANY_RECORDS(limit=limits.MAX_RECORDS))
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
        at, facet = self._facets.get(key) or self._new(key)
        self._packed += b"%b%d,%d;" % (ip, count, at)
        self.records += 1
        self.messages += count
        self._batch.append(AggregateRow(ip, count, facet))
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
        self._problem(code, **args)

    def _new(self, key: _Key) -> tuple[int, Facet]:
        if len(self._facets) >= _MAX_FACETS:
            self._facets.clear()
        facet, octets, problems = _common_facet(key) if _is_short(key) else _read_facet(key)
        for code, value in problems:
            self._problem(code, **value)
        self._numbers += 1
        self._hash.update(self._packed)
        self._packed.clear()
        self._hash.update(octets)
        self._facets[key] = self._numbers, facet
        self.first_domain = self.first_domain or facet.header_from
        return self._numbers, facet


def _is_short(key: _Key) -> bool:
    """Whether it takes little room: no record makes what is remembered large."""
    texts = itertools.chain(key[:5], *key[5], *key[6], *key[7])
    return len(key[5]) + len(key[6]) + len(key[7]) < 10 and sum(map(len, texts)) < _SHORT


def _read_facet(key: _Key) -> tuple[Facet, bytes, tuple[tuple[Code, dict[str, str | int]], ...]]:
    """What a record says beside its address and number: checked, as octets, and what is wrong with it."""
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
        dkim=_kept(seen, author, aligned_dkim),
        spf_domain=spf_domain,
        spf_result=word(checked[0][2]) if spf_domain else "",
        aligned_dkim=aligned_dkim,
        aligned_spf=word(spf) == "pass",
        disposition=word(disposition),
        reason=",".join(dict.fromkeys(filter(None, (_reason(*each) for each in reasons[:10])))),
    )
    return facet, repr(facet).encode("utf-8", "replace"), tuple(problems)


_common_facet = functools.lru_cache(maxsize=2048)(_read_facet)
"""Reports of one domain are much alike."""


def _kept(seen: Sequence[SignatureSeen], author: str, aligned: bool) -> tuple[SignatureSeen, ...]:
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


def _second(text: str) -> int | None:
    """A time; some reporters write it with a fraction."""
    whole = text.partition(".")[0]
    return int(whole) if whole.isascii() and whole.isdigit() and len(whole) <= 11 else None
