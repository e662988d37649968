"""SPF records as text (RFC 7208 sections 4 to 7): selection, terms, names, macro-strings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import quote

from msgspec import Struct

from deliverability.core.codes import ABOUT, Code, Detail
from deliverability.core.errors import DetailError

LOOKUP_MECHANISMS = frozenset({"include", "a", "mx", "ptr", "exists"})
"""Mechanisms that count towards the ten look-ups of section 4.6.4; the modifier `redirect` counts too."""

MAX_LOOKUPS = 10
MAX_VOID_LOOKUPS = 2
"""Look-ups of an evaluation, and those of them that may find nothing (section 4.6.4)."""
MAX_TERMS = 1000
"""Terms of one record that are read. Records this long are hostile: 16 KB at least, where 450 octets are advised."""
_REMEMBERED = 512  # parsed records: those of services are met again and again

_MECHANISM = re.compile(r"([+\-?~]?)([a-z][a-z0-9\-_.]*+)(.*)", re.IGNORECASE | re.DOTALL | re.ASCII)
_MODIFIER = re.compile(r"([a-z][a-z0-9\-_.]*)=(.*)", re.IGNORECASE | re.DOTALL | re.ASCII)
_CIDR = re.compile(r"(?:/(\d+))?(?://(\d+))?\Z", re.ASCII)

_TOPLABEL = re.compile(r"(?=[a-z0-9-]*[a-z-])[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.IGNORECASE | re.ASCII)
_MACRO = re.compile(r"%\{([slodiphcrtv])(\d*)(r?)([.\-+,/_=]*)\}", re.IGNORECASE | re.ASCII)
_VISIBLE = re.compile(r"[\x21-\x7e]*\Z")
_VISIBLE_OR_SPACE = re.compile(r"[\x20-\x7e]*\Z")
_RAW_OCTET = re.compile(r"\\x[89a-f][0-9a-f]", re.IGNORECASE)
_EXPLANATION_LETTERS = "crt"
_MISTAKES = {
    "ip": "ip4",
    "ipv4": "ip4",
    "ip4v": "ip4",
    "ipv6": "ip6",
    "ip6v": "ip6",
    "inlcude": "include",
    "includes": "include",
    "incude": "include",
    "redirect": "redirect=",
    "exp": "exp=",
    "host": "a",
    "cname": "a",
}

NOT_ASCII = Code("spf-ascii")
BAD_MACRO = Code("spf-macro", ("text",))
MACRO_LETTER = Code("spf-macro-letter", ("letter",))
MACRO_EMPTY = Code("spf-macro-empty", ("text",))
NO_NAME = Code("spf-empty")
NOT_FULL = Code("spf-full", ("name",))
ADDRESS_AS_NAME = Code("spf-address", ("name",))
BAD_LABEL = Code("spf-label", ("label",))
TOO_MANY_TERMS = Code("spf-many", ("n",))
TWICE = Code("spf-twice", ("name",))
NO_TERM = Code("spf-neither")
ALL_ALONE = Code("spf-all")
NEEDS_DOMAIN = Code("spf-needs-domain", ("name",))
NEEDS_ADDRESS = Code("spf-needs-address", ("name",))
NO_MECHANISM = Code("spf-unknown", ("name",))
NO_MECHANISM_BUT = Code("spf-unknown-near", ("name", "near"))
UNEXPECTED = Code("spf-unexpected", ("text",))
BAD_PREFIX = Code("spf-prefix", ("n",))
NO_ADDRESS = Code("spf-not-ip", ("text", "version"))
OTHER_VERSION = Code("spf-other-ip", ("text", "version"))


class SpfSyntaxError(DetailError, ValueError):
    """A piece of SPF text that the grammar does not allow; `detail` says what and why."""


class MacroExpand(Struct, frozen=True):
    """One ``%{...}`` of a macro-string (section 7.1).

    Attributes:
        letter: lower case.
        escape: the letter was upper case: the value is URL-escaped.
        keep: number of right-hand parts kept, or None for all.
        reverse: parts are reversed before they are cut.
        delimiters: characters the value is split at.

    """

    letter: str
    escape: bool
    keep: int | None
    reverse: bool
    delimiters: str

    def apply(self, value: str) -> str:
        """Split, reverse, cut and join `value`, then escape it (section 7.3)."""
        parts = re.split(f"[{re.escape(self.delimiters)}]", value)
        if self.reverse:
            parts.reverse()
        if self.keep is not None:
            parts = parts[-self.keep :]
        joined = ".".join(parts)
        return quote(joined, safe="", errors="replace") if self.escape else joined


MacroString = tuple[str | MacroExpand, ...]


def parse_macro_string(text: str, *, explanation: bool = False) -> MacroString:
    """Literal pieces and expansions of a macro-string.

    `explanation` allows blanks and the letters c, r and t, as in the text that `exp` fetches.
    Raises SpfSyntaxError.
    """
    allowed = _VISIBLE_OR_SPACE.match(text) if explanation else _VISIBLE.match(text)
    if not allowed or _RAW_OCTET.search(text):
        raise SpfSyntaxError(NOT_ASCII())
    pieces: list[str | MacroExpand] = []
    position = 0
    while position < len(text):
        percent = text.find("%", position)
        if percent < 0:
            pieces.append(text[position:])
            break
        if percent > position:
            pieces.append(text[position:percent])
        escape = text[percent : percent + 2]
        if escape in ("%%", "%_", "%-"):
            pieces.append({"%%": "%", "%_": " ", "%-": "%20"}[escape])
            position = percent + 2
            continue
        match = _MACRO.match(text, percent)
        if match is None:
            raise SpfSyntaxError(BAD_MACRO(text=text[percent : percent + 12]))
        letter, digits, reverse, delimiters = match.groups()
        if letter.lower() in _EXPLANATION_LETTERS and not explanation:
            raise SpfSyntaxError(MACRO_LETTER(letter=letter))
        keep: int | None = None
        if digits:
            significant = digits.lstrip("0")
            if not significant:
                raise SpfSyntaxError(MACRO_EMPTY(text=match.group()))
            keep = int(significant) if len(significant) <= 3 else 999
        pieces.append(MacroExpand(letter.lower(), letter.isupper(), keep, bool(reverse), delimiters or "."))
        position = match.end()
    return tuple(pieces)


def check_domain_spec(text: str) -> None:
    """Check that `text` is a domain-spec: a macro-string that ends in a top label or a macro. Raises SpfSyntaxError."""
    if not text:
        raise SpfSyntaxError(NO_NAME())
    pieces = parse_macro_string(text)
    if isinstance(pieces[-1], MacroExpand) or text[-2:] in ("%%", "%_", "%-"):
        return
    _, dot, label = text.removesuffix(".").rpartition(".")
    if not dot:
        raise SpfSyntaxError(NOT_FULL(name=text))
    if not _TOPLABEL.fullmatch(label):
        if re.fullmatch(r"[\d.]+", text):
            raise SpfSyntaxError(ADDRESS_AS_NAME(name=text))
        raise SpfSyntaxError(BAD_LABEL(label=label))


class Mechanism(Struct, frozen=True):
    """A mechanism of a record (section 5).

    Attributes:
        text: as written.
        qualifier: one of ``+ - ? ~``.
        name: lower case.
        domain_spec: text after the colon, None where it is the current domain.
        network: for ip4 and ip6.
        prefix4: IPv4 prefix length in bits, for a and mx.
        prefix6: IPv6 prefix length in bits, for a and mx.

    """

    text: str
    qualifier: str
    name: str
    domain_spec: str | None = None
    network: IPv4Network | IPv6Network | None = None
    prefix4: int = 32
    prefix6: int = 128


class Modifier(Struct, frozen=True):
    """A modifier of a record (section 6): `redirect`, `exp`, or one that is unknown and ignored."""

    text: str
    name: str
    value: str


class BadTerm(Struct, frozen=True):
    """A term that cannot be parsed, and why."""

    text: str
    problem: Detail

    @property
    def detail(self) -> Detail:
        """The term with its problem."""
        return ABOUT(what=self.text, detail=self.problem)


Term = Mechanism | Modifier | BadTerm


class Record(Struct, frozen=True):
    """A parsed record: all terms in order, bad ones included."""

    text: str
    terms: tuple[Term, ...]

    @property
    def errors(self) -> tuple[BadTerm, ...]:
        """The terms that cannot be parsed; evaluation treats any of them as permerror (section 4.6)."""
        return tuple(term for term in self.terms if isinstance(term, BadTerm))

    @property
    def mechanisms(self) -> tuple[Mechanism, ...]:
        """The mechanisms in order."""
        return tuple(term for term in self.terms if isinstance(term, Mechanism))

    @property
    def all(self) -> Mechanism | None:
        """The first `all`, or None."""
        return next((term for term in self.mechanisms if term.name == "all"), None)

    @property
    def redirect(self) -> Modifier | None:
        """The redirect that takes effect: None also where an `all` makes it void (section 6.1)."""
        return None if self.all else self._modifier("redirect")

    @property
    def exp(self) -> Modifier | None:
        """The explanation modifier, or None."""
        return self._modifier("exp")

    @property
    def dead(self) -> tuple[Term, ...]:
        """Terms that are never evaluated: mechanisms after `all`, and a redirect beside it (sections 5.1, 6.1)."""
        end = self.all
        if end is None:
            return ()
        behind = False
        dead: list[Term] = []
        for term in self.terms:
            if (behind and isinstance(term, Mechanism)) or (isinstance(term, Modifier) and term.name == "redirect"):
                dead.append(term)
            behind = behind or term is end
        return tuple(dead)

    @property
    def live(self) -> tuple[Mechanism, ...]:
        """The mechanisms that can be reached: up to and with the first `all`."""
        reached: list[Mechanism] = []
        for term in self.mechanisms:
            reached.append(term)
            if term.name == "all":
                break
        return tuple(reached)

    def _modifier(self, name: str) -> Modifier | None:
        return next((term for term in self.terms if isinstance(term, Modifier) and term.name == name), None)


def select(values: Iterable[str]) -> tuple[str, ...]:
    """The TXT values that are SPF records: ``v=spf1`` in any case, then a blank or the end (section 4.5)."""
    return tuple(value for value in values if value[:6].lower() == "v=spf1" and value[6:7] in ("", " "))


_LOOKALIKE = re.compile(
    r"v\s*+[=:\-]{0,3}\s*+[\"'“”‘’]?\s*+(?:spf|sfp|psf)\s*+[\dlI]"  # v=spf1; v = spf1  v==spf1  v:spf1  v=spfl
    r"|v\s*+=\s*+spf\b"
    r"|spf1\b"
    r"|spf\s*+=\s*+v?\s*+(?:=?\s*+spf)?1"
    r"|v1\s*+=\s*+spf\b",
    re.IGNORECASE,
)


WRAPPING = " \t\r\n\f\v\"'`“”„‘’«»\u00a0\u200b\ufeff=:([{<@"
"""What stands around a record by mistake."""
LOOKING_ALIKE = str.maketrans("\u0455\u0440\u0475", "spv")
"""Cyrillic letters that look like those of the version."""
WITHIN = re.compile(r"(?<![a-z0-9])v=spf1 ", re.IGNORECASE)
"""A record with something else in front of it."""


def lookalikes(values: Iterable[str]) -> tuple[str, ...]:
    """TXT values meant as SPF that no receiver takes for it: leading blank or quote, ``v=spf1;``, ``spf1``, ...

    A record with more in front of it, such as the line of a zone file as a whole, is one of them.
    """
    values = tuple(values)
    real = set(select(values))
    return tuple(value for value in values if value not in real and (begin := value[:200]) and _is_meant(begin))


def _is_meant(begin: str) -> bool:
    plain = unicodedata.normalize("NFKC", begin).translate(LOOKING_ALIKE)
    return bool(_LOOKALIKE.match(plain.lstrip(WRAPPING)) or WITHIN.search(plain)) or _lacks_version(plain)


def _lacks_version(text: str) -> bool:
    """Terms of SPF up to an `all`, without the version in front."""
    words = text.lower().split()
    first = words[0].lstrip("+-~?").partition(":")[0] if words else ""
    return first in ("include", "ip4", "ip6", "a", "mx") and words[-1] in ("-all", "~all", "?all", "+all")


@lru_cache(_REMEMBERED)
def parse(text: str) -> Record:
    """Parse a record that `select` chose. Never raises: what is wrong is kept as BadTerm, all of it."""
    terms: list[Term] = []
    seen: set[str] = set()
    for word in text[6:].split(" "):
        if not word:
            continue
        if len(terms) == MAX_TERMS:
            terms.append(BadTerm(word, TOO_MANY_TERMS(n=MAX_TERMS)))
            break
        try:
            term = _parse_term(word)
            if isinstance(term, Modifier) and term.name in ("redirect", "exp"):
                if term.name in seen:
                    raise SpfSyntaxError(TWICE(name=term.name))
                seen.add(term.name)
            terms.append(term)
        except SpfSyntaxError as error:
            terms.append(BadTerm(word, error.detail))
    return Record(text, tuple(terms))


def _parse_term(word: str) -> Mechanism | Modifier:
    modifier = _MODIFIER.fullmatch(word)
    if modifier:
        name, value = modifier[1].lower(), modifier[2]
        if name in ("redirect", "exp"):
            check_domain_spec(value)
        else:
            parse_macro_string(value)
        return Modifier(word, name, value)
    match = _MECHANISM.fullmatch(word)
    if match is None:
        if not _VISIBLE.match(word) or _RAW_OCTET.search(word):
            raise SpfSyntaxError(NOT_ASCII())
        raise SpfSyntaxError(NO_TERM())
    qualifier, name, rest = match[1] or "+", match[2].lower(), match[3]
    if name == "all":
        if rest:
            raise SpfSyntaxError(ALL_ALONE())
        return Mechanism(word, qualifier, name)
    if name in ("ip4", "ip6"):
        return Mechanism(word, qualifier, name, network=_network(name, rest))
    if name in ("a", "mx"):
        cut = _CIDR.search(rest)
        assert cut is not None, "the pattern matches the empty end"  # noqa: S101
        prefix4 = _prefix(cut[1], 32)
        prefix6 = _prefix(cut[2], 128)
        domain = _after_colon(rest[: cut.start()])
        return Mechanism(word, qualifier, name, domain, prefix4=prefix4, prefix6=prefix6)
    if name in ("include", "exists", "ptr"):
        domain = _after_colon(rest)
        if domain is None and name != "ptr":
            raise SpfSyntaxError(NEEDS_DOMAIN(name=name))
        return Mechanism(word, qualifier, name, domain)
    if not _VISIBLE.match(word) or _RAW_OCTET.search(word):
        raise SpfSyntaxError(NOT_ASCII())
    near = _MISTAKES.get(name)
    raise SpfSyntaxError(NO_MECHANISM_BUT(name=match[2], near=near) if near else NO_MECHANISM(name=match[2]))


def _after_colon(rest: str) -> str | None:
    if not rest:
        return None
    if not rest.startswith(":"):
        raise SpfSyntaxError(UNEXPECTED(text=rest[:40]))
    check_domain_spec(rest[1:])
    return rest[1:]


def _prefix(digits: str | None, longest: int) -> int:
    """A prefix length: no leading zero, at most `longest` (section 12, ip4-cidr-length and ip6-cidr-length)."""
    if digits is None:
        return longest
    if len(digits) > 3 or (digits[0] == "0" and digits != "0") or int(digits) > longest:
        raise SpfSyntaxError(BAD_PREFIX(n=digits[:8]))
    return int(digits)


def _network(name: str, rest: str) -> IPv4Network | IPv6Network:
    version, longest = (4, 32) if name == "ip4" else (6, 128)
    if not rest.startswith(":") or len(rest) == 1:
        raise SpfSyntaxError(NEEDS_ADDRESS(name=name))
    address, slash, digits = rest[1:].partition("/")
    if slash and not re.fullmatch(r"[0-9]+", digits):
        raise SpfSyntaxError(BAD_PREFIX(n=digits[:8]))
    prefix = _prefix(digits if slash else None, longest)
    if len(address) > 45 or not re.fullmatch(r"[0-9a-f:.]+", address, re.IGNORECASE):
        raise SpfSyntaxError(NO_ADDRESS(text=address[:60], version=version))
    try:
        network = ip_network(f"{address}/{prefix}", strict=False)
    except ValueError:
        raise SpfSyntaxError(NO_ADDRESS(text=address, version=version)) from None
    if network.version != version:
        raise SpfSyntaxError(OTHER_VERSION(text=address, version=network.version))
    return network


MAX_NAME = 253
MAX_LABEL = 63

NAME_EMPTY = Code("name-empty")
NAME_LONG = Code("name-long", ("n",))
NAME_GAP = Code("name-gap")
NAME_LABEL = Code("name-label", ("n",))
NAME_SINGLE = Code("name-single")
NAME_LITERAL = Code("name-literal")


def to_ascii(domain: str) -> str:
    """`domain` lower case, without trailing dot, U-labels as A-labels; returned as it is where that is not possible."""
    domain = domain.strip().removesuffix(".")
    if domain.isascii() or len(domain) > 4 * MAX_NAME:  # no conversion work on a hostile text
        return domain.lower()
    try:
        import idna

        return idna.encode(domain, uts46=True).decode("ascii")
    except (UnicodeError, ValueError):
        return domain.lower()


def name_problem(name: str) -> Detail | None:
    """Why DNS cannot be asked for `name`, or None where it can."""
    if not name:
        return NAME_EMPTY()
    if len(name) > MAX_NAME:
        return NAME_LONG(n=MAX_NAME)
    labels = name.split(".")
    if "" in labels:
        return NAME_GAP()
    if any(len(label) > MAX_LABEL for label in labels):
        return NAME_LABEL(n=MAX_LABEL)
    return None


def domain_problem(domain: str) -> Detail | None:
    """Why `domain` cannot be checked at all (RFC 7208 section 4.3), or None."""
    problem = name_problem(domain)
    if problem is None and "." not in domain:
        problem = NAME_SINGLE()
    if problem is None and domain.startswith("["):
        problem = NAME_LITERAL()
    return problem


def target_name(expanded: str) -> str:
    """An expanded domain-spec as a name to ask for: no trailing dot, cut from the left to 253 octets (section 7.3)."""
    name = expanded.removesuffix(".")
    if len(name) > MAX_NAME:
        cut = name.find(".", len(name) - MAX_NAME - 1)
        name = name[cut + 1 :] if cut >= 0 else name
    return name.lower()
