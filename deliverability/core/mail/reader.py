"""Messages: header fields and MIME tree read from raw octets, never refusing any.

One pass over the octets, whatever they hold: line starts
that may be delimiters are looked up in a table of the boundaries that are open, so neither many parts nor deep nesting
makes reading slower than linear.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from msgspec import Struct, field

from deliverability.core.mail.transfer import (
    BASE64,
    QUOTED_PRINTABLE,
    UUENCODE,
    Body,
    DecodedFile,
    has_lone_lf,
    has_odd_line_end,
)
from deliverability.core.mail.words import check_octets, decode_octets, decode_pieces, parse_parameters

MAX_NESTING = 100
MAX_PARTS = 10_000
MAX_FIELDS = 100_000
# Messages attached in base64 or quoted-printable are decoded to be read; each level costs a copy.
_MAX_ENCODED_LEVELS = 4

_CHUNK = 1 << 16
_WHITE_SPACE = re.compile(rb"[ \t\r\n]*")
_LINE_OF_HYPHENS = re.compile(rb"-(?<=\n-)-")  # literal first: base64, which has no hyphen, is passed at once
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_FIELD_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$%&'*+.^_`{|}~-]+/[a-z0-9!#$%&'*+.^_`{|}~-]+")
_IDENTITY = ("7bit", "8bit", "binary")
_MESSAGE_TYPES = ("message/rfc822", "message/global")
_MBOX_LINES = (b"From ", b">From ")
_BOM = b"\xef\xbb\xbf"


class HeaderField(Struct, frozen=True):
    """One header field.

    Attributes:
        name: as written, without white space before the colon.
        lower: `name` in lower case.
        raw: the octets in the file, line ends included.
        value: unfolded, stripped; octets outside ASCII are kept as surrogate escapes.
        number: which field of this name it is, counted from the top, 1-based.

    """

    name: str
    lower: str
    raw: bytes
    value: str
    number: int

    @property
    def octets(self) -> int:
        """Octets as sent: every line end counts two."""
        return len(self.raw) + self.raw.count(b"\n") - self.raw.count(b"\r\n")


class Decoded(Struct, frozen=True):
    """A body without its transfer encoding.

    Attributes:
        octets: for text saved with LF, line ends are CRLF as on the wire.
        defects: bad-base64 or bad-quoted-printable where the encoding was not well-formed.

    """

    octets: bytes
    defects: tuple[str, ...] = ()


class Part(Struct, frozen=True):
    """One entity of the MIME tree.

    Attributes:
        path: ``1`` for the root, ``1.2`` for its second part; the message in a message/rfc822 part is its part 1.
        headers: its header fields, in order. The root's are the message's.
        media_type: lower case; text/plain where none is declared or the declaration cannot be read.
        parameters: of Content-Type, decoded.
        charset: declared charset in lower case, or None.
        transfer_encoding: lower case; 7bit where none is declared.
        disposition: inline, attachment or what is written, lower case, or None.
        filename: decoded file name, or None.
        content_id: without angle brackets, or None.
        encoded_octets: octets of the body as sent.
        children: parts of a multipart, or the message inside a message/rfc822 part.

    """

    path: str
    headers: tuple[HeaderField, ...]
    media_type: str
    parameters: dict[str, str]
    charset: str | None
    transfer_encoding: str
    disposition: str | None
    filename: str | None
    content_id: str | None
    encoded_octets: int
    children: tuple[Part, ...]
    _buffer: bytes
    _start: int
    _end: int
    _checked: list[tuple[bool, bool]] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"Part({self.path!r}, {self.media_type!r})"

    @property
    def is_multipart(self) -> bool:
        """Whether it holds parts (a multipart that could be split)."""
        return self.media_type.startswith("multipart/") and bool(self.children)

    @property
    def is_message(self) -> bool:
        """Whether it is an attached message."""
        return self.media_type in _MESSAGE_TYPES

    def decoded(self) -> Decoded:
        """The body without its transfer encoding, and what was wrong with that. Nothing is cached."""
        problems: set[str] = set()
        octets = self._body.decode(problems)
        return Decoded(octets, tuple(problems))

    def decode(self) -> bytes:
        """The octets of the body without its transfer encoding."""
        return self.decoded().octets

    def pieces(self) -> Iterator[bytes]:
        """What `decode` gives, in pieces: for whoever looks at the octets once and need not keep them."""
        return self._body.pieces()

    def measure(self) -> tuple[int, tuple[str, ...]]:
        """The number of octets that `decode` gives, and the defects of `decoded`, without holding them."""
        return self._body.measure()

    def head(self, octets: int) -> bytes:
        """The first octets of what `decode` gives, without decoding the rest: enough to tell the type of a file."""
        found = b""
        for piece in self._body.pieces():
            found += piece
            if len(found) >= octets:
                break
        return found[:octets]

    def open(self) -> DecodedFile:
        """What `decode` gives as a file to read at any place, for archives whose directory is at the end."""
        return self._body.open()

    @property
    def raw_body(self) -> bytes:
        """The body as it is in the file, transfer encoding included."""
        return self._buffer[self._start : self._end]

    @property
    def span(self) -> tuple[int, int]:
        """Offsets of the body in the file; in the decoded octets of the message it stands in, if that is encoded."""
        return self._start, self._end

    @property
    def _body(self) -> Body:
        encoding = "binary" if self.media_type.startswith("multipart/") else self.transfer_encoding
        return Body(self._buffer, self._start, self._end, encoding, self.encoded_octets == self._end - self._start)

    def text(self) -> str:
        """The body as text in its declared charset; octets that mean nothing in it become U+FFFD."""
        return decode_octets(self.decode(), self.charset).text

    def text_pieces(self) -> Iterator[str]:
        """What `text` gives, in pieces where the charset can be read so."""
        return decode_pieces(self.pieces, self.charset, clean=self._checked[0][1] if self._checked else None)

    def check_charset(self) -> tuple[bool, bool]:
        """Whether the declared charset is known, and whether every octet means a character in it. Once looked at."""
        if not self._checked:
            self._checked.append(check_octets(self.pieces(), self.charset or "utf-8"))
        return self._checked[0]

    def walk(self) -> Iterator[Part]:
        """This part and all below it, in the order of the file."""
        yield self
        for child in self.children:
            yield from child.walk()


class LineFacts(Struct, frozen=True):
    """Line ends and odd octets of the whole message.

    Attributes:
        longest: octets of the longest line without its line end.
        bare_cr: carriage returns without line feed.
        bare_lf: line feeds without carriage return, where most lines end with CRLF; 0 in a file saved with LF.
        nul: NUL octets.

    """

    longest: int
    bare_cr: int
    bare_lf: int
    nul: int


class Head(Struct, frozen=True):
    """The header of a message, and where its body is: what signatures are checked with.

    Attributes:
        raw: the file as given.
        start: offset of the first header field; what stands before (mbox line, BOM, empty lines) is not the message.
        body_offset: offset of the body in `raw`, after the empty line.
        headers: all header fields in order.
        odd_line_ends: there may be some in `raw`, see `has_odd_line_end`.

    """

    raw: bytes
    start: int
    body_offset: int
    headers: tuple[HeaderField, ...]
    odd_line_ends: bool

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.raw)} octets)"

    @property
    def body(self) -> bytes:
        """The body as it is in the file."""
        return self.raw[self.body_offset :]

    def fields(self, name: str) -> tuple[HeaderField, ...]:
        """All header fields of that name, from the top."""
        lower = name.lower()
        return tuple(each for each in self.headers if each.lower == lower)

    def first(self, name: str) -> HeaderField | None:
        """The topmost header field of that name, or None."""
        lower = name.lower()
        return next((each for each in self.headers if each.lower == lower), None)


class Message(Head, frozen=True):
    """A message read from a file: its header, its parts, and its octets as sent.

    Attributes:
        root: the MIME tree.
        size_octets: the message as sent: every line end counts two octets, however the file was saved.
        header_octets: of these, the header with the empty line that ends it.
        body_octets: of these, the body. Header and body add up to the size.
        lines: see LineFacts.
        defects: codes of structural defects, each once, in order of first sight. Defects that only decoding shows
            (bad-base64, bad-quoted-printable, charsets) are found by `Part.decoded` and the format auditor.
        nesting_depth: levels of MIME nesting read; 1 is a message without parts.
        nesting_limited: deeper levels exist and were not read.

    """

    root: Part
    size_octets: int
    header_octets: int
    body_octets: int
    lines: LineFacts
    defects: tuple[str, ...]
    nesting_depth: int
    nesting_limited: bool

    def parts(self) -> Iterator[Part]:
        """Every part of the tree, attached messages opened, in the order of the file."""
        return self.root.walk()


def read_head(raw: bytes) -> Head:
    """The header of any octets, as `read` finds it, without a look at the body. Never raises."""
    notes = _Notes()
    start = _skip_preamble(raw, notes)
    fields, body_offset = _read_header(raw, start, notes, lambda *_: False)
    return Head(raw, start, body_offset, tuple(fields), odd_line_ends=True)


def read(raw: bytes) -> Message:
    """Read any octets as a message (RFC 5322, RFC 2045, RFC 2046). Never raises; what is wrong becomes a defect."""
    notes = _Notes()
    start = _skip_preamble(raw, notes)
    ends = _LineEnds.of(raw)
    root = _Reader(raw, ends, notes, level=1, encoded_levels=0).read(start, "1", "text/plain")
    if not root.fields:
        notes.defect("no-header")
    if root.body_start >= len(raw) and not raw.endswith((b"\n\n", b"\n\r\n")):
        notes.defect("no-body")
    header_octets = ends.as_sent(raw, start, root.body_start)
    body_octets = ends.as_sent(raw, root.body_start, len(raw))
    return Message(
        raw=raw,
        start=start,
        body_offset=root.body_start,
        headers=tuple(root.fields),
        odd_line_ends=ends.odd,
        root=root.freeze(),
        size_octets=header_octets + body_octets,
        header_octets=header_octets,
        body_octets=body_octets,
        lines=_line_facts(raw, start, ends),
        defects=tuple(notes.defects),
        nesting_depth=notes.depth,
        nesting_limited=notes.nesting_limited,
    )


class _Notes(Struct):
    """What is counted over the whole message, attached messages included."""

    defects: dict[str, None] = field(default_factory=dict)
    depth: int = 1
    parts: int = 0
    fields: int = 0
    nesting_limited: bool = False

    def defect(self, code: str) -> None:
        self.defects[code] = None

    def too_deep(self) -> None:
        self.nesting_limited = True
        self.defect("nesting-limit")


class _LineEnds(Struct, frozen=True):
    """Line ends of a whole buffer. Where all are alike, the octets of a stretch as sent need no second look."""

    cr: int
    lf: int
    crlf: int
    odd: bool

    @classmethod
    def of(cls, raw: bytes) -> _LineEnds:
        cr, lf = raw.count(b"\r"), raw.count(b"\n")
        if not cr or not lf:
            return cls(cr, lf, 0, odd=True)
        odd = has_odd_line_end(raw)  # among them are the lone LFs
        return cls(cr, lf, raw.count(b"\r\n") if odd and has_lone_lf(raw) else lf, odd)

    def as_sent(self, raw: bytes, start: int, end: int) -> int:
        """Octets from `start` to `end`, which stand at line ends, with every line end counted as CRLF."""
        if self.lf == self.crlf:
            return end - start
        lone = raw.count(b"\n", start, end)
        return end - start + lone - (raw.count(b"\r\n", start, end) if self.crlf else 0)


class _Node(Struct):
    """A part while its end is not known yet."""

    path: str
    level: int
    fields: list[HeaderField]
    buffer: bytes
    body_start: int
    media_type: str
    parameters: dict[str, str]
    transfer_encoding: str
    body_end: int = 0
    octets: int = 0
    children: list[_Node] = field(default_factory=list)

    def freeze(self) -> Part:
        disposition, filename = _disposition(self.fields, self.parameters)
        content_id = _first(self.fields, "content-id")
        charset = self.parameters.get("charset", "").strip(" '\"").lower()
        return Part(
            path=self.path,
            headers=tuple(self.fields),
            media_type=self.media_type,
            parameters=self.parameters,
            charset=charset or None,
            transfer_encoding=self.transfer_encoding,
            disposition=disposition,
            filename=filename,
            content_id=content_id.value.strip().strip("<>") or None if content_id else None,
            encoded_octets=self.octets,
            children=tuple(child.freeze() for child in self.children),
            _buffer=self.buffer,
            _start=self.body_start,
            _end=self.body_end,
        )


class _Frame(Struct):
    """A multipart whose parts are being read."""

    node: _Node
    delimiter: bytes
    depth: int  # of the node in the stack of open nodes


class _Reader:
    """Reads one buffer: the file, or an attached message that was decoded."""

    def __init__(self, raw: bytes, ends: _LineEnds, notes: _Notes, *, level: int, encoded_levels: int) -> None:
        self.raw = raw
        self.ends = ends
        self.notes = notes
        self.level = level
        self.encoded_levels = encoded_levels
        self.nodes: list[_Node] = []  # open entities, outermost first
        self.frames: list[_Frame] = []  # open multiparts, outermost first
        self.open: dict[bytes, int] = {}  # delimiter line -> index in frames
        self.all: list[_Node] = []

    def read(self, start: int, path: str, default_type: str) -> _Node:
        root = self._begin(start, path, self.level, default_type)
        position = self.nodes[-1].body_start
        while self.frames:
            line = self._next_candidate(position)
            if line < 0:
                break
            end = self.raw.find(b"\n", line)
            after = len(self.raw) if end < 0 else end + 1
            position = after
            matched = self._match(line, after)
            if matched is None:
                continue
            index, closing = matched
            if not closing and self.notes.parts >= MAX_PARTS:
                self.notes.defect("part-limit")
                continue
            frame = self.frames[index]
            self._close_above(frame.depth, line)
            if closing:
                self._drop_frames(index)
            else:
                # Some mailers write the delimiter twice; that is no empty part.
                while self.raw.startswith(frame.delimiter, after) and self._repeats(after, index):
                    after = self.raw.find(b"\n", after) + 1 or len(self.raw)
                self._drop_frames(index + 1)
                parent = frame.node
                default = "message/rfc822" if parent.media_type == "multipart/digest" else "text/plain"
                child = self._begin(after, f"{parent.path}.{len(parent.children) + 1}", parent.level + 1, default)
                parent.children.append(child)
                position = self.nodes[-1].body_start
        if self.frames:
            self.notes.defect("unclosed-multipart")
        self._close_above(-1, len(self.raw))
        self._finish()
        return root

    def _begin(self, start: int, path: str, level: int, default_type: str) -> _Node:
        """Read the header of an entity at `start`, and of the messages directly inside it."""
        node = self._entity(start, path, level, default_type)
        inner = node
        while inner.media_type in _MESSAGE_TYPES and not _is_encoded(inner):
            if inner.level >= MAX_NESTING:
                self.notes.too_deep()
                break
            nested = self._entity(inner.body_start, f"{inner.path}.1", inner.level + 1, "text/plain")
            inner.children.append(nested)
            inner = nested
        return node

    def _entity(self, start: int, path: str, level: int, default_type: str) -> _Node:
        self.notes.parts += 1
        self.notes.depth = max(self.notes.depth, level)
        fields, body_start = _read_header(self.raw, start, self.notes, self._is_delimiter)
        media_type, parameters = _content_type(fields, default_type, self.notes)
        node = _Node(
            path, level, fields, self.raw, body_start, media_type, parameters, _transfer_encoding(fields, self.notes)
        )
        self.nodes.append(node)
        self.all.append(node)
        if media_type.startswith("multipart/"):
            self._open_multipart(node)
        return node

    def _open_multipart(self, node: _Node) -> None:
        if _is_encoded(node):
            self.notes.defect("bad-transfer-encoding")  # RFC 2045 section 6.4
        boundary = node.parameters.get("boundary", "").rstrip()
        if not boundary:
            self.notes.defect("missing-boundary")
        elif node.level >= MAX_NESTING:
            self.notes.too_deep()
        else:
            delimiter = b"--" + boundary.encode("utf-8", "surrogateescape")
            self.frames.append(_Frame(node, delimiter, len(self.nodes) - 1))
            # A boundary that an outer multipart uses already stays the outer one's.
            self.open.setdefault(delimiter, len(self.frames) - 1)

    def _next_candidate(self, position: int) -> int:
        """Offset of the next line that begins with "--", at or after the line start `position`; -1: none."""
        if self.raw.startswith(b"--", position):
            return position
        found = _LINE_OF_HYPHENS.search(self.raw, position)
        return found.start() if found else -1

    def _match(self, line: int, after: int) -> tuple[int, bool] | None:
        """Which open multipart the line delimits, and whether it closes it."""
        if after - line > 1000:
            return None
        text = self.raw[line:after].rstrip(b" \t\r\n")
        index = self.open.get(text)
        if index is not None:
            return index, False
        if text.endswith(b"--"):
            index = self.open.get(text[:-2])
            if index is not None:
                return index, True
        return None

    def _repeats(self, line: int, index: int) -> bool:
        end = self.raw.find(b"\n", line)
        return self._match(line, len(self.raw) if end < 0 else end + 1) == (index, False)

    def _is_delimiter(self, line: int, after: int) -> bool:
        return self.raw.startswith(b"--", line) and self._match(line, after) is not None

    def _close_above(self, depth: int, line: int) -> None:
        """End the entities above `depth` before the line end that belongs to the delimiter at `line`."""
        end = line
        if depth >= 0 and end > 0 and self.raw[end - 1] == 0x0A:
            end -= 2 if self.raw.startswith(b"\r\n", end - 2) and end >= 2 else 1
        while len(self.nodes) > depth + 1:
            node = self.nodes.pop()
            node.body_end = max(node.body_start, end)

    def _drop_frames(self, index: int) -> None:
        """Forget the multiparts from `index` on; those above the delimited one were left without an end."""
        while len(self.frames) > index:
            frame = self.frames.pop()
            if self.open.get(frame.delimiter) == len(self.frames):
                del self.open[frame.delimiter]

    def _finish(self) -> None:
        """Count octets as sent in one pass over all starts and ends, then open encoded messages."""
        offsets = sorted({offset for node in self.all for offset in (node.body_start, node.body_end)})
        sent: dict[int, int] = {}
        total = previous = 0
        for offset in offsets:
            total += self.ends.as_sent(self.raw, previous, offset)
            sent[offset] = total
            previous = offset
        for node in self.all:
            node.octets = sent[node.body_end] - sent[node.body_start]
            if node.media_type.startswith("multipart/") and not node.children and node.parameters.get("boundary"):
                self.notes.defect("empty-multipart")
            if node.media_type in _MESSAGE_TYPES and _is_encoded(node):
                self._open_encoded(node)

    def _open_encoded(self, node: _Node) -> None:
        if node.level >= MAX_NESTING or self.encoded_levels >= _MAX_ENCODED_LEVELS or self.notes.parts >= MAX_PARTS:
            self.notes.too_deep()
            return
        inner = Body(self.raw, node.body_start, node.body_end, node.transfer_encoding).decode()
        ends = _LineEnds.of(inner)
        reader = _Reader(inner, ends, self.notes, level=node.level + 1, encoded_levels=self.encoded_levels + 1)
        node.children.append(reader.read(0, f"{node.path}.1", "text/plain"))


def _skip_preamble(raw: bytes, notes: _Notes) -> int:
    """Offset after what saving or mailboxes put before the first field: BOM, white space, an mbox line."""
    start = len(_BOM) if raw.startswith(_BOM) else 0
    space = _WHITE_SPACE.match(raw, start)
    behind = space.end() if space else start
    if raw.startswith(_MBOX_LINES, behind) or _FIELD_NAME.match(raw, behind, behind + 1000):
        start = behind
    if raw.startswith(_MBOX_LINES, start):
        end = raw.find(b"\n", start)
        start = len(raw) if end < 0 else end + 1
        notes.defect("mbox-line")
    elif start:
        notes.defect("leading-junk")
    return start


def _read_header(
    raw: bytes, start: int, notes: _Notes, is_delimiter: Callable[[int, int], bool]
) -> tuple[list[HeaderField], int]:
    """The header fields from `start` on, and the offset of the body.

    A line that is no field ends the header, as MTAs do it, unless a field follows right after it.
    """
    fields: list[HeaderField] = []
    counts: dict[str, int] = {}
    begin = -1  # of the field being read
    colon = 0
    name = b""

    def flush(end: int) -> None:
        if begin < 0:
            return
        notes.fields += 1
        text = name.decode("ascii")
        lower = text.lower()
        counts[lower] = counts.get(lower, 0) + 1
        octets = raw[begin:end]
        value = octets[colon - begin :].replace(b"\r\n", b"").replace(b"\n", b"").strip(b" \t\r")
        fields.append(HeaderField(text, lower, octets, value.decode("ascii", "surrogateescape"), counts[lower]))

    position = start
    if raw.startswith(_MBOX_LINES, start):  # messages attached from a mailbox keep its separator line
        notes.defect("mbox-line")
        end = raw.find(b"\n", start)
        position = len(raw) if end < 0 else end + 1
    while position < len(raw):
        end = raw.find(b"\n", position)
        after = len(raw) if end < 0 else end + 1
        if raw.startswith((b"\n", b"\r\n"), position):
            flush(position)
            return fields, after
        if is_delimiter(position, after):
            flush(position)
            return fields, position
        if raw.startswith((b" ", b"\t"), position) and begin >= 0:
            position = after
            continue
        match = _FIELD_NAME.match(raw, position, after)
        flush(position)
        if notes.fields >= MAX_FIELDS:
            notes.defect("header-limit")
            empty = _EMPTY_LINE.search(raw, position)
            return fields, empty.end() if empty else len(raw)
        if match:
            begin, colon, name = position, match.end(), match[1]
        else:
            begin = -1
            notes.defect("bad-header-line")
            if not (fields and _FIELD_NAME.match(raw, after, after + 1000)):
                return fields, position
        position = after
    flush(len(raw))
    return fields, len(raw)


def _first(fields: list[HeaderField], lower: str) -> HeaderField | None:
    return next((each for each in fields if each.lower == lower), None)


def _content_type(fields: list[HeaderField], default: str, notes: _Notes) -> tuple[str, dict[str, str]]:
    """Media type and parameters; RFC 2045 section 5.2 where the field is missing or cannot be read."""
    declared = _first(fields, "content-type")
    if declared is None:
        return default, {}
    media_type, parameters = parse_parameters(declared.value)
    if _MEDIA_TYPE.fullmatch(media_type):
        return media_type, parameters
    notes.defect("bad-content-type")
    # A forgotten semicolon ("application/pdf name=...") still names the type.
    beginning = _MEDIA_TYPE.match(media_type)
    if beginning and media_type[beginning.end()].isspace():
        return beginning[0], parameters
    return "text/plain", parameters


def _transfer_encoding(fields: list[HeaderField], notes: _Notes) -> str:
    declared = _first(fields, "content-transfer-encoding")
    if declared is None:
        return "7bit"
    encoding, _ = parse_parameters(declared.value)
    encoding = encoding.strip("\"' ")
    if encoding not in (*_IDENTITY, *UUENCODE, BASE64, QUOTED_PRINTABLE):
        notes.defect("bad-transfer-encoding")
    return encoding or "7bit"


def _disposition(fields: list[HeaderField], type_parameters: dict[str, str]) -> tuple[str | None, str | None]:
    """Disposition and file name; the name of Content-Type counts where Content-Disposition gives none."""
    declared = _first(fields, "content-disposition")
    charset = type_parameters.get("charset")
    disposition, parameters = parse_parameters(declared.value, charset) if declared else ("", {})
    filename = parameters.get("filename") or parameters.get("name") or type_parameters.get("name") or None
    return disposition or None, filename


def _is_encoded(node: _Node) -> bool:
    return node.transfer_encoding in (*UUENCODE, BASE64, QUOTED_PRINTABLE)


def _line_facts(raw: bytes, start: int, ends: _LineEnds) -> LineFacts:
    # What stands before the message holds few line ends; those are taken off again.
    crlf = ends.crlf - raw.count(b"\r\n", 0, start)
    lone_lf = ends.lf - raw.count(b"\n", 0, start) - crlf
    bare_cr = ends.cr - raw.count(b"\r", 0, start) - crlf
    bare_lf = lone_lf if lone_lf <= crlf else 0
    nul = raw.count(b"\x00", start) if b"\x00" in raw else 0
    return LineFacts(_longest_line(raw, start, ends), bare_cr, bare_lf, nul)


def _longest_line(raw: bytes, start: int, ends: _LineEnds) -> int:
    """Octets of the longest line without its line end."""
    longest = 0
    line_end = 2 if ends.lf == ends.crlf else 1
    position = start
    while position < len(raw):
        # Whole lines, some ten kilobytes at a time: a file can consist of nothing but line ends.
        end = raw.rfind(b"\n", position, position + _CHUNK)
        if end < 0:
            end = raw.find(b"\n", position)
        after = len(raw) if end < 0 else end + 1
        if after - position > _CHUNK:  # one line
            longest = max(longest, after - position - (end >= 0) - (end > position and raw[end - 1] == 0x0D))
        else:
            longest = max(longest, _longest_of(raw[position:after], longest + line_end, ends))
        position = after
    return longest


def _longest_of(chunk: bytes, stride: int, ends: _LineEnds) -> int:
    """The longest of whole lines, or 0 where it is seen at once that none is longer than `stride`, line end included.

    In base64 all lines but the last are alike: there is a line end at every stride.
    """
    marks = chunk[stride - 1 :: stride]
    if chunk.endswith(b"\n") and marks.count(b"\n") == len(marks):
        return 0
    if ends.crlf and ends.lf != ends.crlf:
        chunk = chunk.replace(b"\r\n", b"\n")
    lines = chunk.split(b"\n")
    last = len(lines.pop())
    return max(last, max(map(len, lines), default=0) - (ends.lf == ends.crlf))
