"""Address lists of header fields, domains as A-labels, and IP addresses in one form."""

from __future__ import annotations

import ipaddress
import re
import unicodedata

import idna
from msgspec import Struct

from deliverability.core.codes import Code, Detail
from deliverability.core.mail.words import decode_words, printable

_TOKEN = re.compile(r'[ \t\r\n]+|\[[^\[\]]*\]|[<>,:;@"()]|[^ \t\r\n\[<>,:;@"()]+|\[')
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")
_LOCAL_CHARACTERS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]*\Z")
_DOMAIN_START = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]|\.(?=[A-Za-z0-9]))*")
_MAX_DOMAIN = 253
_MAX_LABEL = 63
_MAX_LIST = 1 << 20  # characters of one address list that are read
_MAX_FORM = 2000  # of From whose form is looked at


FROM_GROUP = Code("from-group")
FROM_ROUTE = Code("from-route")
FROM_QUOTED = Code("from-quoted")
FROM_COMMENT = Code("from-comment")
FROM_SPACES = Code("from-spaces")
FROM_COLON = Code("from-colon")
FROM_DOT = Code("from-dot")
FROM_AT = Code("from-at")
FROM_AFTER = Code("from-after")
FROM_EMPTY = Code("from-empty")
FROM_SINGLE = Code("from-single")
FROM_BARE = Code("from-bare")
FROM_BRACKETS = Code("from-brackets")
FROM_OPEN = Code("from-open")
FROM_MARK = Code("from-mark")
FROM_LOCAL = Code("from-local")
FROM_DOTS = Code("from-dots")
FROM_COMMA = Code("from-comma")

_JAPANESE = re.compile("\x1b\\$[^\x1b]*(?:\x1b\\([BJ])?")
"""Raw ISO-2022-JP: what looks like a mark inside is half a character."""
# In a list of addresses whose quoted texts are one character (\x01) and whose comments are taken out.
_OUTSIDE = r"\A(?:[^<:;\[]|<[^<>]*+>|\[[^\[\]]*+\]?)*+"  # up to the first colon or semicolon that is not in brackets
_LEGAL = (
    (FROM_GROUP, re.compile(_OUTSIDE + ":(?:[^<>:;]|<[^<>:]*+>)*+;")),
    (FROM_QUOTED, re.compile("\x01[ \t]*@")),
)
_WRONG = (
    (FROM_ROUTE, re.compile(r"<[ \t]*@[^<>]*:")),
    (FROM_SPACES, re.compile(r"[^ \t,;:<][ \t]+@|@[ \t]+[^ \t,;>]")),
    (FROM_DOT, re.compile(r"@[^\s<>,;:@]*\.[ \t]*(?:[>,;]|\Z)")),
    (FROM_AT, re.compile(r"@[^\s<>,;:]*@")),
    (FROM_AFTER, re.compile(r">[ \t]*[^ \t,;]")),
    (FROM_EMPTY, re.compile(r"\A[ \t]*,|,[ \t]*(?:,|\Z)")),
    (FROM_SINGLE, re.compile(r"@[^\s<>,;:@.\[]+[ \t]*(?:[>,;]|\Z)")),
    (
        FROM_BARE,
        re.compile(
            r"(?:\A|[,:;])[ \t]*+[^\s<>,:;@]++[ \t]++[^\s<>,:;@][^<>,:;@]*+@[^\s<>,:;@]*+[ \t]*+(?:[,;]|\Z)"
            r"|@[^\s<>,:;@]++[ \t]++[^\s<>,:;@]"
        ),
    ),
    (FROM_BRACKETS, re.compile(r"<[^>]*(?:<|\Z)|(?:\A|>)[^<>]*>")),
    (FROM_MARK, re.compile(_OUTSIDE + r"(?:;|:[^;]*\Z)|<[^<>@]*:")),
    (FROM_LOCAL, re.compile(r"<[ \t]*+@[^:<>]*+>|\A[ \t]*+@[^:<>,;]*+(?:[,;]|\Z)|[,;][ \t]*+@[^:<>,;]*+\Z")),
    (FROM_COMMA, re.compile(r"(?:\A|,)[ \t]*+[^\s<>,;:@][^<>,;:@]*+,|,[ \t]*+[^\s<>,;:@][^<>,;:@]*+\Z")),
    (FROM_DOTS, re.compile(r"(?<![^\s<>,:;@])(?:[^\s<>,:;@.]++(?:\.[^\s<>,:;@.]++)*+)?\.[^\s<>,:;@]*+@")),
)


class Mailbox(Struct, frozen=True):
    """One mailbox of an address list.

    Attributes:
        display: decoded display name (or the comment that stands for it), empty where there is none.
        address: address as written, without comments and white space; empty where a name stands without address.

    """

    display: str
    address: str

    @property
    def domain(self) -> str | None:
        """The domain as A-label, or None where there is none that DNS could hold."""
        _, at, domain = self.address.rpartition("@")
        return to_a_label(domain) if at else None


def to_a_label(domain: str) -> str | None:
    """`domain` as DNS spells it: A-labels, lower case, no trailing dot; None where it cannot be a domain name.

    Raw UTF-8 octets (surrogate escapes) are read as text first. Underscores are allowed, address literals are not.
    """
    name = printable(domain).strip().rstrip(".。")
    if not name or len(name) > _MAX_DOMAIN:
        return None
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True, transitional=False).decode("ascii")
        except (idna.IDNAError, UnicodeError, ValueError, IndexError):
            return None
    name = name.lower()
    labels = name.split(".")
    if len(name) > _MAX_DOMAIN or any(len(label) > _MAX_LABEL or not _LABEL.fullmatch(label) for label in labels):
        return None
    return name


def parse_addresses(value: str, charset: str | None = None) -> tuple[Mailbox, ...]:
    """The mailboxes of an address list (RFC 5322 section 3.4), groups opened, comments and old routes dropped.

    `value` is an unfolded header value with its encoded-words; `charset` is for raw octets in display names.
    Anything that is neither comma nor structure is kept as display text, so no input is refused.
    """
    reader = _AddressReader(charset)
    reader.read(value[:_MAX_LIST])
    return tuple(reader.found)


def addresses_in_text(text: str) -> tuple[str, ...]:
    """What a reader takes for email addresses in free text, for example in a display name."""
    text = unicodedata.normalize("NFKC", text)
    found: list[str] = []
    start = 0
    at = text.find("@")
    while at >= 0:
        local = _tail_of_local(text, start, at)
        domain = _DOMAIN_START.match(text, at + 1)
        if local and domain and "." in domain[0]:
            found.append(f"{local}@{domain[0]}")
        start = at + 1
        at = text.find("@", start)
    return tuple(found)


def _tail_of_local(text: str, start: int, at: int) -> str:
    begin = at
    while begin > start and at - begin < 64 and _LOCAL_CHARACTERS.match(text[begin - 1]):
        begin -= 1
    return text[begin:at].strip(".")


class _AddressReader:
    """One pass over the tokens of an address list; every character is looked at a bounded number of times."""

    def __init__(self, charset: str | None) -> None:
        self.charset = charset
        self.found: list[Mailbox] = []
        self._clear()

    def _clear(self) -> None:
        self.words: list[str] = []  # phrase or bare address, with "@" and spaces as tokens of their own
        self.quoted: set[int] = set()  # indexes in words that were quoted strings
        self.comments: list[str] = []
        self.angle: str | None = None

    def read(self, value: str) -> None:
        position = 0
        last_quote = value.rfind('"')
        while position < len(value):
            character = value[position]
            if character == '"' and position < last_quote:
                text, position = _quoted(value, position)
                self.quoted.add(len(self.words))
                self.words.append(text)
            elif character == "(":
                text, position = _comment(value, position)
                self.comments.append(text)
            elif character == "<":
                position = self._read_angle(value, position)
            elif character in ",;":
                self._flush()
                position += 1
            elif character == ":" and self.angle is None:
                self._clear()  # the words so far name a group
                position += 1
            else:
                match = _TOKEN.match(value, position)
                token = match[0] if match else character
                self.words.append(" " if token.isspace() else token)
                position += len(token)
        self._flush()

    def _read_angle(self, value: str, position: int) -> int:
        if self.angle is not None:
            self._flush()  # a second <...> without a comma: another address, not to be lost
        end = value.find(">", position)
        if end < 0:
            end = len(value)
        quote = value.find('"', position, end)
        if quote >= 0:
            end = _angle_end(value, quote, end)
        inner = value[position + 1 : end]
        self.angle = _without_route(_without_spaces_and_comments(inner))
        return end + 1

    def _flush(self) -> None:
        comment = self._text(" ".join(self.comments))
        if self.angle is not None:
            display = self._text(self._phrase())
            self.found.append(Mailbox(display or comment, self.angle))
        elif any(word == "@" and index not in self.quoted for index, word in enumerate(self.words)):
            self._flush_bare(comment)
        else:
            display = self._text(self._phrase())
            if display:
                self.found.append(Mailbox(display, ""))
        self._clear()

    def _flush_bare(self, comment: str) -> None:
        """Split words around the first "@" into display text and address."""
        at = next(index for index, word in enumerate(self.words) if word == "@" and index not in self.quoted)
        left = at - 1
        while left >= 0 and self.words[left] == " ":
            left -= 1
        first = left
        while first > 0 and self.words[first - 1] != " ":
            first -= 1
        right = at + 1
        while right < len(self.words) and self.words[right] == " ":
            right += 1
        last = right
        while last < len(self.words) and self.words[last] != " ":
            last += 1
        local = "".join(
            f'"{word}"' if first + offset in self.quoted else word
            for offset, word in enumerate(self.words[max(first, 0) : left + 1])
        )
        address = f"{local}@{''.join(self.words[right:last])}"
        rest = "".join(self.words[: max(first, 0)]) + " " + "".join(self.words[last:])
        self.found.append(Mailbox(self._text(rest) or comment, printable(address)))

    def _phrase(self) -> str:
        return "".join(self.words)

    def _text(self, raw: str) -> str:
        return " ".join(decode_words(raw.strip(), self.charset).split())


def _quoted(value: str, position: int) -> tuple[str, int]:
    """The content of the quoted string that begins at `position`, and where to go on."""
    pieces: list[str] = []
    start = index = position + 1
    while index < len(value):
        character = value[index]
        if character == "\\":
            pieces.append(value[start:index])
            start = index + 1
            index += 2
        elif character == '"':
            break
        elif character == "\x1b" and value.startswith("\x1b$", index):
            # Raw ISO-2022-JP: a quote or backslash inside is half a character.
            end = value.find("\x1b(", index)
            index = len(value) if end < 0 else end + 2
        else:
            index += 1
    pieces.append(value[start:index])
    return "".join(pieces), min(index + 1, len(value))


def _comment(value: str, position: int) -> tuple[str, int]:
    """The content of the comment that begins at `position` (comments nest), and where to go on."""
    depth = 0
    index = position
    while index < len(value):
        character = value[index]
        if character == "\\":
            index += 1
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                return value[position + 1 : index], index + 1
        index += 1
    return value[position + 1 :], len(value)


def _angle_end(value: str, quote: int, end: int) -> int:
    """Where <...> with a quoted local part ends: the first ">" outside quotes, else the first one."""
    inside = False
    index = quote
    limit = min(len(value), end + 1000)
    while index < limit:
        character = value[index]
        if character == "\\" and inside:
            index += 1
        elif character == '"':
            inside = not inside
        elif character == ">" and not inside:
            return index
        index += 1
    return end


def _without_spaces_and_comments(inner: str) -> str:
    if "(" in inner:
        pieces: list[str] = []
        index = 0
        while index < len(inner):
            if inner[index] == "(":
                _, index = _comment(inner, index)
            else:
                end = inner.find("(", index)
                end = len(inner) if end < 0 else end
                pieces.append(inner[index:end])
                index = end
        inner = "".join(pieces)
    return printable(inner.strip() if '"' in inner else "".join(inner.split()))


def _without_route(address: str) -> str:
    """Drop the source route of RFC 5321 appendix C (``@relay,@relay:user@domain``)."""
    if address.startswith("@") and ":" in address:
        return address.partition(":")[2]
    return address


def canonical_ip(text: str) -> str | None:
    """The address in canonical form (IPv4-mapped IPv6 as IPv4), brackets and ``IPv6:`` dropped; None for other text."""
    text = text.strip().strip("[]")
    if text[:5].lower() == "ipv6:":
        text = text[5:]
    if not 2 <= len(text) <= 45:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id:
            return None
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
    return str(address)


def unusual_forms(value: str) -> tuple[tuple[Detail, ...], tuple[Detail, ...]]:
    """What is legal but rare in an address list, and what is obsolete or wrong (RFC 5322 sections 3.4 and 4.4)."""
    plain, commented, unclosed = _without_texts(_JAPANESE.sub("x", value[:_MAX_FORM]))
    legal = [code() for code, pattern in _LEGAL if pattern.search(plain)]
    wrong = [code() for code, pattern in _WRONG if pattern.search(plain)]
    return (*legal, *([FROM_COMMENT()] if commented else [])), (*wrong, *([FROM_OPEN()] if unclosed else []))


def _without_texts(value: str) -> tuple[str, bool, bool]:
    """The value with one character for each quoted text and without comments.

    With it, whether it had comments, and whether a quoted text or a comment has no end.
    """
    found: list[str] = []
    depth, quoted, skip, commented = 0, False, False, False
    for each in value:
        if skip:
            skip = False
        elif each == "\\" and (quoted or depth):
            skip = True
        elif quoted:
            quoted = each != '"'
        elif each == "(":
            depth, commented = depth + 1, True
        elif depth:
            depth -= each == ")"
        elif each == '"':
            quoted = True
            found.append("\x01")
        else:
            found.append(each)
    return "".join(found), commented, quoted or depth > 0
